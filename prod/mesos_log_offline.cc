// mesos-log's commands for stopped replicas.

#include <cstdio>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/log_tool/offline.h"
#include "io/environment.h"
#include "prod/disk.h"
#include "prod/mesos_log.h"
#include "prod/random.h"

namespace quorate::mesos_log {

using json::JsonWriter;

std::string Hex(const std::string& bytes) {
  return absl::BytesToHexString(bytes);
}

namespace {

bool errors_as_json = false;

// On standard error.
void Warn(const std::string& line) {
  std::fflush(stdout);
  std::fprintf(stderr, "mesos-log: %s\n", line.c_str());
}

}  // namespace

void ReportErrorsAsJson(bool report) { errors_as_json = report; }

void Finish(const absl::Status& status) {
  if (!status.ok()) {
    const std::string message(status.message());
    Flags flags;
    flags.json = errors_as_json;
    Show(flags, [&](JsonWriter& w) { w.Key("error").String(message); }, {});
    Warn(message);
  }
  std::fflush(stdout);
  std::exit(status.ok() ? io::kExitOk : io::kExitFailure);
}

void Print(const std::string& line) { std::printf("%s\n", line.c_str()); }

// One JSON object, or the lines.
void Show(const Flags& flags, const std::function<void(JsonWriter&)>& fields,
          const std::vector<std::string>& lines) {
  if (!flags.json) {
    for (const std::string& line : lines) Print(line);
    return;
  }
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  fields(writer);
  writer.EndObject();
  Print(text);
}

namespace {

std::string TypeName(log::EntryType type) { return log::EntryType_Name(type); }

void ShowEntry(const Flags& flags, const log_tool::SlotView& slot) {
  for (const std::string& payload : slot.entry.payload()) {
    Show(flags,
         [&](JsonWriter& w) {
           w.Key("position").Uint(slot.position);
           w.Key("payload_base64").String(absl::Base64Escape(payload));
         },
         {absl::StrCat(slot.position, " ", absl::CHexEscape(payload))});
  }
}

void ShowHeader(const Flags& flags, const log::BackupHeader& header) {
  Show(flags,
       [&](JsonWriter& w) {
         w.Key("cluster_id").String(Hex(header.cluster_id()));
         w.Key("generation").Uint(header.generation());
         w.Key("base").Uint(header.base().position());
         w.Key("end").Uint(header.end());
       },
       {absl::StrCat("cluster ", Hex(header.cluster_id()), ", generation ",
                     header.generation(), ", positions ",
                     header.base().position(), " to ", header.end())});
}

void ShowForced(const Flags& flags, const log_tool::Forced& forced) {
  Show(flags,
       [&](JsonWriter& w) {
         w.Key("member_id").String(Hex(forced.member_id));
         w.Key("cluster_id").String(Hex(forced.cluster_id));
         w.Key("generation").Uint(forced.generation);
         w.Key("vouched_upto").Uint(forced.vouched);
         w.Key("end").Uint(forced.end);
       },
       {absl::StrCat("generation ", forced.generation, " of cluster ",
                     Hex(forced.cluster_id), " begins with ",
                     Hex(forced.member_id), " as its only member."),
        absl::StrCat("Positions below ", forced.vouched,
                     " are as they were decided; up to ", forced.end,
                     " they are what this replica had accepted. Whatever else "
                     "was acknowledged is lost."),
        "Start it, then start the other masters with empty directories and add "
        "them: mesos-log members add ID --server=..."});
}

absl::Status Confirmed(const Flags& flags, const std::string& cluster_id) {
  const std::string wanted = Hex(cluster_id).substr(0, 8);
  if (flags.confirm == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "this gives up whatever only the other members hold, and they can never "
      "come back to this log. Stop all of them first; then repeat the command "
      "with --confirm=",
      wanted));
}

}  // namespace

absl::Status RunFormat(const Flags& flags) {
  prod::PosixDisk disk;
  prod::SystemRandom random;
  if (!flags.members.empty()) {
    std::vector<std::string> ids;
    for (absl::string_view id : absl::StrSplit(flags.members, ',')) {
      auto parsed = log_tool::ParseMemberId(id);
      if (!parsed.ok()) return parsed.status();
      ids.push_back(*std::move(parsed));
    }
    auto token = log_tool::MakeGenesis(ids, random);
    if (!token.ok()) return token.status();
    Show(flags, [&](JsonWriter& w) { w.Key("genesis").String(*token); },
         {*token});
    return absl::OkStatus();
  }
  if (flags.path.empty()) {
    return absl::InvalidArgumentError("--path=DIR or --members is required");
  }
  if (!flags.genesis.empty()) {
    return log_tool::ApplyGenesis(disk, flags.path, flags.genesis);
  }
  auto id = log_tool::Format(disk, flags.path, random);
  if (!id.ok()) return id.status();
  Show(flags, [&](JsonWriter& w) { w.Key("member_id").String(Hex(*id)); },
       {Hex(*id)});
  return absl::OkStatus();
}

absl::Status RunOfflineStatus(const Flags& flags) {
  prod::PosixDisk disk;
  auto summary = log_tool::Summarize(disk, flags.path);
  if (!summary.ok()) return summary.status();
  const log::SuperblockProto& identity = summary->identity;
  const std::string status = log::MemberStatus_Name(identity.status());
  Show(flags,
       [&](JsonWriter& w) {
         w.Key("member_id").String(Hex(identity.member_id()));
         w.Key("cluster_id").String(Hex(identity.cluster_id()));
         w.Key("generation").Uint(identity.generation());
         w.Key("incarnation").Uint(identity.incarnation());
         w.Key("status").String(status);
         w.Key("reason").String(identity.reason());
         w.Key("promised_round").Uint(identity.promised().round());
         w.Key("base").Uint(summary->base);
         w.Key("learned").Uint(summary->learned);
         w.Key("accepted").Uint(summary->accepted);
         w.Key("damaged").Uint(summary->damaged + summary->faulty);
         w.Key("blind").Bool(summary->blind);
         w.Key("salvaged").Bool(summary->salvaged);
       },
       {absl::StrCat("member      ", Hex(identity.member_id())),
        absl::StrCat(
            "cluster     ",
            identity.cluster_id().empty() ? "none" : Hex(identity.cluster_id()),
            ", generation ", identity.generation()),
        absl::StrCat("status      ", status,
                     identity.reason().empty() ? "" : ": ", identity.reason()),
        absl::StrCat("promised    round ", identity.promised().round()),
        absl::StrCat("positions   ", summary->base, " to ", summary->learned,
                     " learned, ", summary->accepted, " accepted"),
        absl::StrCat("damage      ", summary->damaged, " learned, ",
                     summary->faulty, " voted for",
                     summary->blind ? ", votes were lost" : "",
                     summary->salvaged ? ", records were salvaged" : "")});
  return absl::OkStatus();
}

absl::Status RunRead(const Flags& flags) {
  prod::PosixDisk disk;
  std::vector<uint64_t> damaged;
  absl::Status read = log_tool::ForEachSlot(
      disk, flags.path, flags.first, flags.last,
      [&](const log_tool::SlotView& slot) {
        if (slot.state == "damaged") {
          damaged.push_back(slot.position);
          if (flags.json) {
            Show(flags,
                 [&](JsonWriter& w) {
                   w.Key("position").Uint(slot.position);
                   w.Key("damaged").Bool(true);
                 },
                 {});
          }
          Warn(absl::StrCat("position ", slot.position, " is damaged"));
        }
        if (slot.state == "learned" && slot.entry.type() == log::APPEND) {
          ShowEntry(flags, slot);
        }
      });
  if (!read.ok() || damaged.empty()) return read;
  return absl::DataLossError(absl::StrCat(
      damaged.size() == 1
          ? "one position is damaged, "
          : absl::StrCat(damaged.size(),
                         " positions are damaged, the first is "),
      damaged.front(),
      "; start the replica with the other members, and it repairs itself"));
}

void ShowSlot(const Flags& flags, const log_tool::SlotView& slot) {
  uint64_t bytes = 0;
  for (const std::string& payload : slot.entry.payload()) {
    bytes += payload.size();
  }
  const bool known = slot.entry.IsInitialized();
  const std::string type = known ? TypeName(slot.entry.type()) : "?";
  // Of what was only learned, no ballot is known.
  const std::string ballot =
      slot.round == 0 ? ""
                      : absl::StrFormat("round %d by %s, ", slot.round,
                                        Hex(slot.proposer).substr(0, 8));
  Show(flags,
       [&](JsonWriter& w) {
         w.Key("position").Uint(slot.position);
         w.Key("state").String(slot.state);
         w.Key("type").String(type);
         if (slot.round != 0) {
           w.Key("round").Uint(slot.round);
           w.Key("proposer").String(Hex(slot.proposer));
         }
         w.Key("payloads").Int(slot.entry.payload_size());
         w.Key("bytes").Uint(bytes);
         w.Key("hash").String(Hex(slot.hash));
       },
       {absl::StrFormat("%8d %-9s %-9s %s%d payloads, %d bytes, %s",
                        slot.position, slot.state, type, ballot,
                        slot.entry.payload_size(), bytes, Hex(slot.hash))});
}

absl::Status RunDump(const Flags& flags) {
  prod::PosixDisk disk;
  return log_tool::ForEachSlot(
      disk, flags.path, flags.first, flags.last,
      [&](const log_tool::SlotView& slot) { ShowSlot(flags, slot); });
}

absl::Status RunVerifyBackup(const Flags& flags) {
  prod::PosixDisk disk;
  auto header = log_tool::VerifyBackup(disk, flags.from);
  if (!header.ok()) return header.status();
  ShowHeader(flags, *header);
  return absl::OkStatus();
}

absl::Status RunVerify(const Flags& flags) {
  if (flags.path.empty() == flags.from.empty()) {
    return absl::InvalidArgumentError(
        "--path=DIR, of a stopped replica, or --from=FILE, a backup, is "
        "required");
  }
  if (!flags.from.empty()) return RunVerifyBackup(flags);
  prod::PosixDisk disk;
  auto summary = log_tool::Summarize(disk, flags.path);
  if (!summary.ok()) return summary.status();
  uint64_t checked = 0;
  uint64_t damaged = summary->faulty;
  absl::Status read = log_tool::ForEachSlot(
      disk, flags.path, 0, flags.last, [&](const log_tool::SlotView& slot) {
        ++checked;
        if (slot.state == "damaged") ++damaged;
      });
  if (!read.ok()) return read;
  Show(flags,
       [&](JsonWriter& w) {
         w.Key("checked").Uint(checked);
         w.Key("damaged").Uint(damaged);
         w.Key("blind").Bool(summary->blind);
         w.Key("salvaged").Bool(summary->salvaged);
       },
       {absl::StrCat(checked, " positions read, ", damaged, " damaged",
                     summary->blind ? "; votes were lost" : "",
                     summary->salvaged ? "; records were salvaged" : "")});
  if (damaged > 0 || summary->blind) {
    return absl::DataLossError(
        "there is damage; start the replica with the other members, and it "
        "fetches what it lost");
  }
  if (!summary->salvaged) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "LevelDB's files were damaged; what could be read was copied, and they "
      "are in ",
      flags.path,
      "/records.damaged: start the replica with the other members, and remove "
      "that directory when it follows them"));
}

absl::Status RunBackup(const Flags& flags) {
  prod::PosixDisk disk;
  auto backed_up = log_tool::Backup(disk, flags.path, flags.to);
  if (!backed_up.ok()) return backed_up.status();
  const log::BackupHeader& header = backed_up->header;
  ShowHeader(flags, header);
  if (backed_up->seen_upto > header.end()) {
    Warn(absl::StrCat(
        "warning: the backup ends at position ", header.end(),
        "; the replica has accepted entries up to ", backed_up->seen_upto,
        " without learning that all of them were decided. They are not in the "
        "backup; a member that has followed the leader for longer has them"));
  }
  return absl::OkStatus();
}

absl::Status RunForce(const Flags& flags) {
  prod::PosixDisk disk;
  auto summary = log_tool::Summarize(disk, flags.path);
  if (!summary.ok()) return summary.status();
  absl::Status confirmed = Confirmed(flags, summary->identity.cluster_id());
  if (!confirmed.ok()) return confirmed;
  auto forced = log_tool::Force(disk, flags.path);
  if (!forced.ok()) return forced.status();
  ShowForced(flags, *forced);
  return absl::OkStatus();
}

absl::Status RunRestore(const Flags& flags) {
  prod::PosixDisk disk;
  prod::SystemRandom random;
  auto header = log_tool::VerifyBackup(disk, flags.from);
  if (!header.ok()) return header.status();
  absl::Status confirmed = Confirmed(flags, header->cluster_id());
  if (!confirmed.ok()) return confirmed;
  auto forced = log_tool::Restore(disk, flags.from, flags.path, random);
  if (!forced.ok()) return forced.status();
  ShowForced(flags, *forced);
  return absl::OkStatus();
}

}  // namespace quorate::mesos_log
