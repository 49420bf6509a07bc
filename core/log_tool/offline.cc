#include "core/log_tool/offline.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/crc32c.h"
#include "core/log/fixed_bytes.h"
#include "core/log/journal.h"
#include "core/log/messages.h"
#include "core/log/storage.h"

namespace quorate::log_tool {
namespace {

using log::Storage;

constexpr size_t kReadBytes = 4 << 20;
constexpr size_t kChecksumBytes = 4;
constexpr size_t kIdBytes = 16;
constexpr absl::string_view kBackupMagic = "QRTLOG1\n";
constexpr size_t kMaxRecordBytes = 64 << 20;

// Opens what is there; to look at it only, or to go on with it.
absl::StatusOr<std::unique_ptr<Storage>> OpenReplica(
    io::Disk& disk, const std::string& directory, bool inspect) {
  if (absl::IsNotFound(
          disk.Stat(absl::StrCat(directory, "/superblock")).status())) {
    return absl::NotFoundError(
        absl::StrCat(directory, " holds no replica of a log"));
  }
  const absl::Status held =
      disk.Lock(absl::StrCat(directory, "/lock")).status();
  if (absl::IsFailedPrecondition(held)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a replica runs in ", directory,
        "; stop it, or ask it: mesos-log status --server=IP:PORT"));
  }
  Storage::Options options;
  options.directory = directory;
  options.inspect = inspect;
  auto storage = Storage::Open(disk, options);
  if (!absl::IsPermissionDenied(storage.status())) return storage;
  return absl::PermissionDeniedError(absl::StrCat(
      storage.status().message(), ". ", directory,
      " must be writable, even to be looked at; of one that is not, look at a "
      "copy"));
}

absl::StatusOr<std::unique_ptr<Storage>> Inspect(io::Disk& disk,
                                                 const std::string& directory) {
  return OpenReplica(disk, directory, true);
}

// Whether votes were lost since the replica last ran: only a start writes that
// down.
absl::StatusOr<bool> LostVotes(io::Disk& disk, const std::string& directory,
                               const log::SuperblockProto& identity) {
  log::Journal::Options options;
  options.directory = directory;
  options.member = identity.member_id();
  options.segment_bytes = Storage::Options().segment_bytes;
  options.incarnation = identity.incarnation();
  options.from = identity.journal_from();
  options.upto = identity.journal_upto();
  options.blind_through = identity.blind_through();
  options.settled = identity.settled();
  log::Journal::Contents contents;
  absl::Status opened = log::Journal::Open(disk, options, &contents).status();
  if (!opened.ok()) return opened;
  return contents.blind;
}

absl::StatusOr<std::unique_ptr<Storage>> OpenFresh(io::Disk& disk,
                                                   const std::string& directory,
                                                   io::Random& random) {
  const absl::Status there =
      disk.Stat(absl::StrCat(directory, "/superblock")).status();
  if (there.ok()) {
    return absl::AlreadyExistsError(absl::StrCat(
        directory, " holds a replica already; choose an empty directory"));
  }
  if (!absl::IsNotFound(there)) return there;
  Storage::Options options;
  options.directory = directory;
  options.fresh_id = random.UuidBytes();
  return Storage::Open(disk, options);
}

// One past what is learned without damage, from the base on.
uint64_t WholeUpto(const log::ReplicaState& state) {
  uint64_t upto = state.holes.empty()
                      ? state.settled
                      : std::min(state.settled, state.holes.begin()->first);
  if (upto < state.settled) return upto;
  for (const auto& [position, slot] : state.slots) {
    if (position != upto || slot.state != log::Slot::State::kLearned) break;
    ++upto;
  }
  return upto;
}

log::Entry ConfigEntry(const log::Config& config) {
  auto entry = std::make_shared<log::EntryProto>();
  entry->set_type(log::CONFIG);
  entry->add_payload(config.SerializeAsString());
  return entry;
}

log::Config Alone(const std::string& member_id) {
  log::Config config;
  config.add_members()->set_id(member_id);
  config.set_reason("mesos-log force");
  return config;
}

// What a new generation says of itself until everything that it begins with is
// stored: nobody votes in it.
constexpr absl::string_view kForcing =
    "mesos-log force was interrupted: repeat it. Vouched for are positions "
    "below ";
constexpr absl::string_view kRestoring =
    "mesos-log restore was interrupted: remove the directory and repeat it";

// Up to where an interrupted force vouches, if there was one.
std::optional<uint64_t> InterruptedForce(const log::SuperblockProto& identity) {
  absl::string_view reason = identity.reason();
  uint64_t vouched = 0;
  if (identity.status() != log::QUARANTINED ||
      !absl::ConsumePrefix(&reason, kForcing) ||
      !absl::SimpleAtoi(reason, &vouched)) {
    return std::nullopt;
  }
  return vouched;
}

// Whether the last of the positions below `end` begins the new generation.
absl::StatusOr<bool> EndsAlone(Storage& storage, uint64_t end) {
  if (end == 0) return false;
  auto read = storage.Read(end - 1, end, kReadBytes);
  if (!read.ok()) return read.status();
  const log::Entry alone = ConfigEntry(Alone(storage.identity().member_id()));
  return !read->entries.empty() && log::SameEntry(*read->entries[0], *alone);
}

// What comes at and above `*end`: what the replica had accepted, as it may have
// been acknowledged, and itself as the only member.
std::vector<log::LearnedEntry> NewGeneration(const log::ReplicaState& state,
                                             const std::string& member_id,
                                             uint64_t* end) {
  std::vector<log::LearnedEntry> entries;
  for (auto slot = state.slots.find(*end);
       slot != state.slots.end() && slot->first == *end &&
       slot->second.entry != nullptr;
       ++slot) {
    entries.push_back({(*end)++, slot->second.ballot, slot->second.entry});
  }
  entries.push_back({(*end)++, {}, ConfigEntry(Alone(member_id))});
  return entries;
}

// Everything that follows is stored: the last step of what makes a log anew.
absl::Status Finish(Storage& storage, std::vector<log::LearnedEntry> entries,
                    uint64_t end) {
  absl::Status status = storage.Absorb(entries);
  if (status.ok()) status = storage.Checkpoint({});
  if (status.ok()) status = storage.Recycle(end, {});
  return status;
}

// Frames of a backup: size, checksum, bytes.
void AppendRecord(const std::string& bytes, std::string* out) {
  log::PutFixed(bytes.size(), 4, out);
  log::PutFixed(Crc32c(bytes), kChecksumBytes, out);
  *out += bytes;
}

// The header, and the entries of [base, end), into a new file.
absl::Status WriteBackup(io::Disk& disk, Storage& storage,
                         const log::ReplicaState& state,
                         const log::BackupHeader& header,
                         const std::string& file) {
  const std::string temporary = absl::StrCat(file, ".new");
  auto out = disk.Open(temporary, io::Disk::Mode::kCreateEmpty);
  if (!out.ok()) return out.status();
  std::string chunk(kBackupMagic);
  AppendRecord(header.SerializeAsString(), &chunk);
  absl::Status status = (*out)->Append(chunk);
  for (uint64_t at = state.base; at < header.end() && status.ok();) {
    chunk.clear();
    if (at < state.settled) {
      auto read = storage.Read(at, state.settled, kReadBytes);
      if (!read.ok()) return read.status();
      if (read->entries.empty()) {
        return absl::DataLossError(
            absl::StrCat("the record of position ", at, " is damaged"));
      }
      for (const log::Entry& entry : read->entries) {
        AppendRecord(entry->SerializeAsString(), &chunk);
      }
      at += read->entries.size();
    } else {
      AppendRecord(state.slots.at(at++).entry->SerializeAsString(), &chunk);
    }
    status = (*out)->Append(chunk);
  }
  if (status.ok()) status = (*out)->Sync();
  if (status.ok()) status = disk.Rename(temporary, file);
  const size_t slash = file.rfind('/');
  if (!status.ok()) return status;
  return disk.SyncDirectory(slash == 0 ? "/" : file.substr(0, slash));
}

// Reads a backup's records one after the other.
class BackupReader {
 public:
  static absl::StatusOr<std::unique_ptr<BackupReader>> Open(
      io::Disk& disk, const std::string& path) {
    auto file = disk.Open(path, io::Disk::Mode::kRead);
    if (!file.ok()) return file.status();
    std::unique_ptr<BackupReader> reader(
        new BackupReader(*std::move(file), path));
    std::string magic;
    absl::Status read = reader->file_->ReadAt(0, kBackupMagic.size(), &magic);
    if (!read.ok()) return read;
    if (magic != kBackupMagic) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " is no backup of a log"));
    }
    reader->offset_ = kBackupMagic.size();
    return reader;
  }

  absl::StatusOr<std::string> Next() {
    std::string head;
    absl::Status read = file_->ReadAt(offset_, 8, &head);
    if (!read.ok()) return read;
    if (head.size() < 8) return Damaged();
    const uint64_t size = log::GetFixed(head, 0, 4);
    if (size > kMaxRecordBytes) return Damaged();
    std::string bytes;
    read = file_->ReadAt(offset_ + 8, size, &bytes);
    if (!read.ok()) return read;
    if (bytes.size() < size || Crc32c(bytes) != log::GetFixed(head, 4, 4)) {
      return Damaged();
    }
    offset_ += 8 + size;
    return bytes;
  }

  absl::StatusOr<log::BackupHeader> Header() {
    auto bytes = Next();
    if (!bytes.ok()) return bytes.status();
    log::BackupHeader header;
    if (!header.ParseFromString(*bytes)) return Damaged();
    return header;
  }

  absl::StatusOr<log::Entry> Entry() {
    auto bytes = Next();
    if (!bytes.ok()) return bytes.status();
    auto entry = std::make_shared<log::EntryProto>();
    if (!entry->ParseFromString(*bytes)) return Damaged();
    return entry;
  }

 private:
  BackupReader(std::unique_ptr<io::File> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  absl::Status Damaged() const {
    return absl::DataLossError(
        absl::StrCat(path_, " is damaged at byte ", offset_));
  }

  std::unique_ptr<io::File> file_;
  const std::string path_;
  uint64_t offset_ = 0;
};

}  // namespace

absl::StatusOr<Summary> Summarize(io::Disk& disk,
                                  const std::string& directory) {
  auto storage = Inspect(disk, directory);
  if (!storage.ok()) return storage.status();
  Summary summary;
  summary.identity = (*storage)->identity();
  const log::ReplicaState state = (*storage)->TakeState();
  summary.base = state.base;
  summary.learned = std::max(state.settled, WholeUpto(state));
  auto lost = LostVotes(disk, directory, summary.identity);
  if (!lost.ok()) return lost.status();
  summary.blind = *lost || summary.identity.blind_below() > state.settled;
  summary.salvaged =
      disk.Stat(absl::StrCat(directory, "/records.damaged")).ok();
  for (const auto& [begin, end] : state.holes) summary.damaged += end - begin;
  for (const auto& [position, slot] : state.slots) {
    if (slot.state == log::Slot::State::kAccepted) ++summary.accepted;
    if (slot.state == log::Slot::State::kFaulty) ++summary.faulty;
  }
  return summary;
}

absl::StatusOr<std::string> Format(io::Disk& disk, const std::string& directory,
                                   io::Random& random) {
  auto storage = OpenFresh(disk, directory, random);
  if (!storage.ok()) return storage.status();
  return (*storage)->identity().member_id();
}

absl::StatusOr<std::string> ParseMemberId(absl::string_view text) {
  const absl::string_view id = absl::StripAsciiWhitespace(text);
  const bool hex = std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c));
  });
  if (id.size() == 2 * kIdBytes && hex) return absl::HexStringToBytes(id);
  return absl::InvalidArgumentError(
      absl::StrCat("'", id, "' is no member's id, which has ", 2 * kIdBytes,
                   " hexadecimal digits"));
}

absl::StatusOr<std::string> MakeGenesis(std::vector<std::string> members,
                                        io::Random& random) {
  std::sort(members.begin(), members.end());
  log::Genesis genesis;
  genesis.set_cluster_id(random.UuidBytes());
  for (const std::string& id : members) {
    genesis.mutable_members()->add_members()->set_id(id);
  }
  if (!log::IsConfig(genesis.members())) {
    return absl::InvalidArgumentError(
        absl::StrCat("between 1 and ", log::kMaxMembers,
                     " different member ids are needed"));
  }
  std::string bytes = genesis.SerializeAsString();
  log::PutFixed(Crc32c(bytes), kChecksumBytes, &bytes);
  return absl::WebSafeBase64Escape(bytes);
}

absl::Status ApplyGenesis(io::Disk& disk, const std::string& directory,
                          const std::string& token) {
  std::string bytes;
  log::Genesis genesis;
  if (!absl::WebSafeBase64Unescape(token, &bytes) ||
      bytes.size() < kChecksumBytes ||
      Crc32c(
          absl::string_view(bytes).substr(0, bytes.size() - kChecksumBytes)) !=
          log::GetFixed(bytes, bytes.size() - kChecksumBytes, 4) ||
      !genesis.ParseFromArray(
          bytes.data(), static_cast<int>(bytes.size() - kChecksumBytes))) {
    return absl::InvalidArgumentError(
        "this is no genesis token; copy the whole line that 'mesos-log format "
        "--members=...' has printed");
  }
  auto storage = Inspect(disk, directory);
  if (!storage.ok()) return storage.status();
  log::SuperblockProto identity = (*storage)->identity();
  if (identity.status() != log::FORMATTED) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the replica in ", directory,
        " has begun or joined a log already; format an empty directory"));
  }
  if (!log::IsMember(genesis.members(), identity.member_id())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the token does not name ",
                     absl::BytesToHexString(identity.member_id()),
                     ", the replica in ", directory));
  }
  identity.set_status(log::ACTIVE);
  identity.set_cluster_id(genesis.cluster_id());
  *identity.mutable_members() = genesis.members();
  return (*storage)->SetIdentity(identity);
}

absl::Status ForEachSlot(io::Disk& disk, const std::string& directory,
                         uint64_t from, uint64_t to,
                         const std::function<void(const SlotView&)>& visit) {
  auto storage = Inspect(disk, directory);
  if (!storage.ok()) return storage.status();
  const log::ReplicaState state = (*storage)->TakeState();
  uint64_t position = std::max(from, state.base);
  const uint64_t settled = std::min(to, state.settled);
  while (position < settled) {
    auto read = (*storage)->Read(position, settled, kReadBytes);
    if (!read.ok()) return read.status();
    for (const log::Entry& entry : read->entries) {
      visit({position++, "learned", 0, "", log::EntryHash(*entry), *entry});
    }
    if (read->damaged) visit({position++, "damaged", 0, "", "", {}});
  }
  for (const auto& [at, slot] : state.slots) {
    if (at < from || at >= to) continue;
    const char* const name =
        slot.state == log::Slot::State::kLearned    ? "learned"
        : slot.state == log::Slot::State::kAccepted ? "accepted"
                                                    : "faulty";
    visit({at, name, slot.ballot.round, slot.ballot.member, slot.hash,
           slot.entry ? *slot.entry : log::EntryProto()});
  }
  return absl::OkStatus();
}

absl::StatusOr<BackedUp> Backup(io::Disk& disk, const std::string& directory,
                                const std::string& file) {
  const absl::Status there = disk.Stat(file).status();
  if (there.ok())
    return absl::AlreadyExistsError(absl::StrCat(file, " exists"));
  if (!absl::IsNotFound(there)) return there;
  auto storage = Inspect(disk, directory);
  if (!storage.ok()) return storage.status();
  const log::SuperblockProto& identity = (*storage)->identity();
  if (identity.cluster_id().empty()) {
    return absl::FailedPreconditionError("the replica belongs to no log yet");
  }
  const log::ReplicaState state = (*storage)->TakeState();
  if (!state.holes.empty()) {
    return absl::DataLossError(absl::StrCat(
        "the record of position ", state.holes.begin()->first,
        " is damaged; start the replica, let it repair itself, and try again"));
  }
  BackedUp backed_up;
  log::BackupHeader& header = backed_up.header;
  header.set_cluster_id(identity.cluster_id());
  header.set_generation(identity.generation());
  *header.mutable_genesis() = identity.members();
  if (identity.has_base()) *header.mutable_base() = identity.base();
  header.set_end(WholeUpto(state));
  backed_up.seen_upto = header.end();
  if (!state.slots.empty()) {
    backed_up.seen_upto =
        std::max(header.end(), state.slots.rbegin()->first + 1);
  }
  absl::Status status = WriteBackup(disk, **storage, state, header, file);
  if (!status.ok()) return status;
  return backed_up;
}

absl::StatusOr<log::BackupHeader> VerifyBackup(io::Disk& disk,
                                               const std::string& file) {
  auto reader = BackupReader::Open(disk, file);
  if (!reader.ok()) return reader.status();
  auto header = (*reader)->Header();
  if (!header.ok()) return header.status();
  for (uint64_t at = header->base().position(); at < header->end(); ++at) {
    auto entry = (*reader)->Entry();
    if (!entry.ok()) return entry.status();
  }
  return header;
}

absl::StatusOr<Forced> Force(io::Disk& disk, const std::string& directory) {
  // A start, which finds out what was lost: it counts as lost from here on.
  auto storage = OpenReplica(disk, directory, false);
  if (!storage.ok()) return storage.status();
  log::SuperblockProto identity = (*storage)->identity();
  if (identity.cluster_id().empty()) {
    return absl::FailedPreconditionError("the replica belongs to no log yet");
  }
  if (identity.reason() == kRestoring) {
    return absl::FailedPreconditionError(kRestoring);
  }
  const log::ReplicaState state = (*storage)->TakeState();
  if (!state.holes.empty()) {
    return absl::DataLossError(
        absl::StrCat("the record of position ", state.holes.begin()->first,
                     " is damaged: use another survivor, or restore a backup"));
  }
  const std::optional<uint64_t> interrupted = InterruptedForce(identity);
  Forced forced;
  forced.member_id = identity.member_id();
  forced.cluster_id = identity.cluster_id();
  forced.generation = identity.generation() + (interrupted ? 0 : 1);
  forced.end = WholeUpto(state);
  forced.vouched = interrupted.value_or(forced.end);
  identity.set_generation(forced.generation);
  identity.set_status(log::QUARANTINED);
  identity.set_reason(absl::StrCat(kForcing, forced.vouched));
  identity.set_blind_below(0);
  // Before the entry that makes it the only member: in the old generation that
  // would be a second log.
  absl::Status status = (*storage)->SetIdentity(identity);
  if (!status.ok()) return status;
  auto stored = EndsAlone(**storage, forced.end);
  if (!stored.ok()) return stored.status();
  std::vector<log::LearnedEntry> entries;
  if (!interrupted || !*stored) {
    entries = NewGeneration(state, forced.member_id, &forced.end);
  }
  status = Finish(**storage, std::move(entries), forced.end);
  if (!status.ok()) return status;
  identity.set_status(log::ACTIVE);
  identity.clear_reason();
  status = (*storage)->SetIdentity(identity);
  if (!status.ok()) return status;
  return forced;
}

absl::StatusOr<Forced> Restore(io::Disk& disk, const std::string& file,
                               const std::string& directory,
                               io::Random& random) {
  auto verified = VerifyBackup(disk, file);
  if (!verified.ok()) return verified.status();
  auto reader = BackupReader::Open(disk, file);
  if (!reader.ok()) return reader.status();
  auto header = (*reader)->Header();
  if (!header.ok()) return header.status();
  auto storage = OpenFresh(disk, directory, random);
  if (!storage.ok()) return storage.status();
  Forced forced;
  forced.member_id = (*storage)->identity().member_id();
  forced.cluster_id = header->cluster_id();
  forced.generation = header->generation() + 1;
  forced.vouched = header->end();
  log::SuperblockProto identity = (*storage)->identity();
  identity.set_cluster_id(header->cluster_id());
  identity.set_generation(forced.generation);
  *identity.mutable_members() = header->genesis();
  // Not ACTIVE before everything is there: an interrupted restore is none.
  identity.set_status(log::QUARANTINED);
  identity.set_reason(std::string(kRestoring));
  absl::Status status = (*storage)->SetIdentity(identity);
  if (status.ok() && header->has_base()) {
    status = (*storage)->SetBase(header->base());
  }
  uint64_t at = header->base().position();
  while (at < header->end() && status.ok()) {
    auto entry = (*reader)->Entry();
    if (!entry.ok()) return entry.status();
    status = (*storage)->Absorb({{at++, {}, *std::move(entry)}});
  }
  if (!status.ok()) return status;
  forced.end = at + 1;
  status = Finish(**storage, {{at, {}, ConfigEntry(Alone(forced.member_id))}},
                  forced.end);
  if (!status.ok()) return status;
  identity.set_status(log::ACTIVE);
  identity.clear_reason();
  status = (*storage)->SetIdentity(identity);
  if (!status.ok()) return status;
  return forced;
}

}  // namespace quorate::log_tool
