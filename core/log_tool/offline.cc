#include "core/log_tool/offline.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/log/fixed_bytes.h"
#include "core/log/messages.h"
#include "core/log/storage.h"

namespace quorate::log_tool {
namespace {

using log::Storage;

constexpr size_t kReadBytes = 4 << 20;
constexpr size_t kChecksumBytes = 4;
constexpr absl::string_view kBackupMagic = "QRTLOG1\n";
constexpr size_t kMaxRecordBytes = 64 << 20;

absl::StatusOr<std::unique_ptr<Storage>> Inspect(io::Disk& disk,
                                                 const std::string& directory) {
  Storage::Options options;
  options.directory = directory;
  options.inspect = true;
  return Storage::Open(disk, options);
}

absl::StatusOr<std::unique_ptr<Storage>> OpenFresh(io::Disk& disk,
                                                   const std::string& directory,
                                                   io::Random& random) {
  if (disk.Stat(absl::StrCat(directory, "/superblock")).ok()) {
    return absl::AlreadyExistsError(absl::StrCat(
        directory, " holds a replica already; choose an empty directory"));
  }
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
  summary.blind = state.blind_below > state.settled;
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

absl::StatusOr<log::BackupHeader> Backup(io::Disk& disk,
                                         const std::string& directory,
                                         const std::string& file) {
  if (disk.Stat(file).ok()) {
    return absl::AlreadyExistsError(absl::StrCat(file, " exists"));
  }
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
  log::BackupHeader header;
  header.set_cluster_id(identity.cluster_id());
  header.set_generation(identity.generation());
  *header.mutable_genesis() = identity.members();
  if (identity.has_base()) *header.mutable_base() = identity.base();
  header.set_end(WholeUpto(state));
  const std::string temporary = absl::StrCat(file, ".new");
  auto out = disk.Open(temporary, io::Disk::Mode::kCreateEmpty);
  if (!out.ok()) return out.status();
  std::string chunk(kBackupMagic);
  AppendRecord(header.SerializeAsString(), &chunk);
  absl::Status status = (*out)->Append(chunk);
  for (uint64_t at = state.base; at < header.end() && status.ok();) {
    chunk.clear();
    if (at < state.settled) {
      auto read = (*storage)->Read(at, state.settled, kReadBytes);
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
  if (status.ok()) {
    status = disk.SyncDirectory(slash == 0 ? "/" : file.substr(0, slash));
  }
  if (!status.ok()) return status;
  return header;
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
  auto storage = Inspect(disk, directory);
  if (!storage.ok()) return storage.status();
  log::SuperblockProto identity = (*storage)->identity();
  if (identity.cluster_id().empty()) {
    return absl::FailedPreconditionError("the replica belongs to no log yet");
  }
  const log::ReplicaState state = (*storage)->TakeState();
  if (!state.holes.empty()) {
    return absl::DataLossError(
        absl::StrCat("the record of position ", state.holes.begin()->first,
                     " is damaged: use another survivor, or restore a backup"));
  }
  Forced forced;
  forced.member_id = identity.member_id();
  forced.cluster_id = identity.cluster_id();
  forced.generation = identity.generation() + 1;
  forced.vouched = WholeUpto(state);
  std::vector<log::LearnedEntry> entries;
  forced.end = forced.vouched;
  // What it had accepted may have been acknowledged.
  for (auto slot = state.slots.find(forced.end);
       slot != state.slots.end() && slot->first == forced.end &&
       slot->second.entry != nullptr;
       ++slot) {
    entries.push_back({forced.end++, slot->second.ballot, slot->second.entry});
  }
  entries.push_back({forced.end++, {}, ConfigEntry(Alone(forced.member_id))});
  absl::Status status = Finish(**storage, std::move(entries), forced.end);
  if (!status.ok()) return status;
  identity.set_generation(forced.generation);
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
  status = (*storage)->SetIdentity(identity);
  if (!status.ok()) return status;
  return forced;
}

}  // namespace quorate::log_tool
