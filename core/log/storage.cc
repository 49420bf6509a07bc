#include "core/log/storage.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/log/fixed_bytes.h"
#include "core/log/identifiers.h"
#include "core/log/leveldb_env.h"
#include "core/log/superblock.h"
#include "leveldb/db.h"
#include "leveldb/write_batch.h"

namespace quorate::log {
namespace {

constexpr absl::string_view kRecordsName = "records";
constexpr absl::string_view kSuperblockName = "superblock";
constexpr absl::string_view kIdentifiersName = "identifiers";
constexpr absl::string_view kLockName = "lock";
constexpr size_t kKeyBytes = 8;
constexpr size_t kChecksumBytes = 4;

// Big-endian: LevelDB's order is that of the positions.
std::string KeyOf(uint64_t position) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>((position >> shift) & 0xff));
  }
  return key;
}

uint64_t PositionOf(const leveldb::Slice& key) {
  uint64_t position = 0;
  for (size_t i = 0; i < kKeyBytes; ++i) {
    position = (position << 8) | static_cast<unsigned char>(key[i]);
  }
  return position;
}

std::string EncodeRecord(const std::string& cluster_id, uint64_t position,
                         const Slot& slot) {
  Record record;
  record.set_cluster_id(cluster_id);
  record.set_position(position);
  *record.mutable_ballot() = ToProto(slot.ballot);
  record.set_learned(slot.learned);
  *record.mutable_entry() = slot.entry;
  const std::string bytes = record.SerializeAsString();
  std::string value;
  PutFixed(Crc32c(bytes), kChecksumBytes, &value);
  return value + bytes;
}

// nullopt unless it is whole, of this cluster, and of this very position.
std::optional<Slot> DecodeRecord(const leveldb::Slice& key,
                                 const leveldb::Slice& value,
                                 const std::string& cluster_id) {
  if (key.size() != kKeyBytes || value.size() < kChecksumBytes) {
    return std::nullopt;
  }
  const absl::string_view bytes(value.data() + kChecksumBytes,
                                value.size() - kChecksumBytes);
  const absl::string_view checksum(value.data(), kChecksumBytes);
  Record record;
  if (Crc32c(bytes) != GetFixed(checksum, 0, kChecksumBytes) ||
      !record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      record.cluster_id() != cluster_id ||
      record.position() != PositionOf(key)) {
    return std::nullopt;
  }
  return Slot{FromProto(record.ballot()), record.learned(),
              std::move(*record.mutable_entry())};
}

constexpr absl::string_view kRemedy =
    ". Move the directory away and start it empty: the replica joins as a new "
    "one";

absl::Status Damaged(uint64_t position) {
  return absl::DataLossError(absl::StrCat("the record of position ", position,
                                          " is damaged", kRemedy));
}

absl::Status Missing(uint64_t position) {
  return absl::DataLossError(
      absl::StrCat("the record of position ", position,
                   ", which this replica has accepted, is missing", kRemedy));
}

absl::Status FromLevelDb(const leveldb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return status.IsCorruption() ? absl::DataLossError(status.ToString())
                               : absl::UnavailableError(status.ToString());
}

class DiskStorage final : public Storage {
 public:
  DiskStorage(io::Disk& disk, std::string directory)
      : disk_(disk), directory_(std::move(directory)), env_(disk) {}

  ~DiskStorage() override {
    // LevelDB would wait for what is scheduled.
    env_.Drain();
    db_.reset();
  }

  absl::Status Open(const MemberId& fresh_id);

  const SuperblockProto& identity() const override {
    return superblock_->content();
  }
  Acceptor::State TakeState() override { return std::move(state_); }

  absl::Status SetIdentity(SuperblockProto identity) override {
    // The promise is Apply's.
    identity.clear_promised();
    if (superblock_->content().has_promised()) {
      *identity.mutable_promised() = superblock_->content().promised();
    }
    return superblock_->Update(identity);
  }
  absl::Status Apply(const DurableWrite& write) override;
  absl::StatusOr<std::vector<EntryProto>> Read(uint64_t position, uint64_t end,
                                               size_t max_bytes) override;

 private:
  std::string PathOf(absl::string_view name) const {
    return absl::StrCat(directory_, "/", name);
  }
  absl::Status OpenSuperblock(const MemberId& fresh_id);
  absl::Status OpenRecords();
  absl::Status LoadState();
  absl::Status CheckIdentifiers() const;

  io::Disk& disk_;
  const std::string directory_;
  std::unique_ptr<io::FileLock> lock_;
  std::unique_ptr<Superblock> superblock_;
  std::unique_ptr<IdentifierRing> identifiers_;
  LevelDbEnv env_;
  std::unique_ptr<leveldb::DB> db_;
  Acceptor::State state_;
};

absl::Status DiskStorage::Open(const MemberId& fresh_id) {
  absl::Status status = disk_.MakeDirectories(directory_);
  if (!status.ok()) return status;
  auto lock = disk_.Lock(PathOf(kLockName));
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  status = OpenSuperblock(fresh_id);
  if (status.ok()) status = OpenRecords();
  if (status.ok()) status = LoadState();
  if (status.ok()) status = CheckIdentifiers();
  return status;
}

absl::Status DiskStorage::OpenSuperblock(const MemberId& fresh_id) {
  auto opened = Superblock::Open(disk_, PathOf(kSuperblockName));
  SuperblockProto content;
  if (opened.ok()) {
    superblock_ = *std::move(opened);
    content = superblock_->content();
    content.set_incarnation(content.incarnation() + 1);
    return superblock_->Update(content);
  }
  if (!absl::IsNotFound(opened.status())) return opened.status();
  // Whoever forgot his promises must not go on under his old name.
  if (disk_.Stat(PathOf(kRecordsName)).ok() ||
      disk_.Stat(PathOf(kIdentifiersName)).ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory_,
        " holds records of a log but not its superblock: the replica's "
        "identity is lost",
        kRemedy));
  }
  // The directory's own entry has to survive with it.
  for (std::string path = directory_; path.size() > 1;
       path = path.substr(0, path.rfind('/'))) {
    const std::string parent = path.substr(0, path.rfind('/'));
    absl::Status synced = disk_.SyncDirectory(parent.empty() ? "/" : parent);
    if (!synced.ok()) return synced;
  }
  content.set_member_id(fresh_id);
  content.set_incarnation(1);
  content.set_status(FORMATTED);
  auto created = Superblock::Create(disk_, PathOf(kSuperblockName), content);
  if (!created.ok()) return created.status();
  superblock_ = *std::move(created);
  return absl::OkStatus();
}

absl::Status DiskStorage::OpenRecords() {
  // Before it is a member a replica has accepted nothing; afterwards what is
  // missing is lost.
  const bool create = superblock_->content().status() != ACTIVE;
  if (!create && (!disk_.Stat(PathOf(kRecordsName)).ok() ||
                  !disk_.Stat(PathOf(kIdentifiersName)).ok())) {
    return absl::DataLossError(
        absl::StrCat("the records are gone from ", directory_, kRemedy));
  }
  leveldb::Options options;
  options.env = &env_;
  options.create_if_missing = create;
  // One bad byte in the write-ahead log must not take the other records away:
  // what is missing is found by its identifier.
  options.paranoid_checks = false;
  leveldb::DB* db = nullptr;
  leveldb::Status status =
      leveldb::DB::Open(options, PathOf(kRecordsName), &db);
  db_.reset(db);
  env_.Drain();
  if (!status.ok()) return FromLevelDb(status);
  auto ring = IdentifierRing::Open(disk_, PathOf(kIdentifiersName), create);
  if (!ring.ok()) return ring.status();
  identifiers_ = *std::move(ring);
  return disk_.SyncDirectory(directory_);
}

absl::Status DiskStorage::LoadState() {
  const SuperblockProto& identity = superblock_->content();
  if (identity.has_promised()) state_.promised = FromProto(identity.promised());
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  std::unique_ptr<leveldb::Iterator> record(db_->NewIterator(options));
  bool in_prefix = true;
  for (record->SeekToFirst(); record->Valid(); record->Next()) {
    std::optional<Slot> slot =
        DecodeRecord(record->key(), record->value(), identity.cluster_id());
    if (!slot.has_value()) {
      return Damaged(record->key().size() == kKeyBytes
                         ? PositionOf(record->key())
                         : state_.learned_upto);
    }
    const uint64_t position = PositionOf(record->key());
    // The promise is made durable before what was accepted under it.
    if (state_.promised < slot->ballot) {
      return absl::DataLossError(absl::StrCat(
          "the superblock is older than the record of position ", position,
          ": parts of ", directory_, " come from a backup", kRemedy));
    }
    in_prefix &= position == state_.learned_upto && slot->learned;
    if (in_prefix) {
      ++state_.learned_upto;
    } else {
      state_.slots[position] = *std::move(slot);
    }
  }
  absl::Status status = FromLevelDb(record->status());
  env_.Drain();
  return status;
}

// Every accepted position has its record, at that ballot or a higher one.
absl::Status DiskStorage::CheckIdentifiers() const {
  auto ring = identifiers_->Read();
  if (!ring.ok()) return ring.status();
  for (const auto& [position, identifier] : ring->identifiers) {
    if (position < state_.learned_upto) continue;
    // No position further ahead of the learned ones is ever accepted, so that
    // the ring still holds all that may have been.
    static_assert(Acceptor::kMaxAhead < IdentifierRing::kSlots);
    if (position - state_.learned_upto >= Acceptor::kMaxAhead) {
      return Missing(state_.learned_upto);
    }
    auto found = state_.slots.find(position);
    if (found == state_.slots.end()) return Missing(position);
    const Slot& slot = found->second;
    if (slot.learned || identifier.ballot < slot.ballot) continue;
    if (slot.ballot < identifier.ballot ||
        EntryHash(slot.entry) != identifier.entry_hash) {
      return Damaged(position);
    }
  }
  for (uint64_t slot : ring->damaged_slots) {
    // The only position of this slot that may have been accepted since.
    const uint64_t position =
        state_.learned_upto +
        (slot - state_.learned_upto) % IdentifierRing::kSlots;
    if (position - state_.learned_upto < Acceptor::kMaxAhead &&
        state_.slots.count(position) == 0) {
      return Missing(position);
    }
  }
  return absl::OkStatus();
}

absl::Status DiskStorage::Apply(const DurableWrite& write) {
  if (write.promised_changed) {
    SuperblockProto identity = superblock_->content();
    *identity.mutable_promised() = ToProto(write.promised);
    absl::Status status = superblock_->Update(identity);
    if (!status.ok()) return status;
  }
  if (write.slots.empty()) return absl::OkStatus();
  leveldb::WriteBatch batch;
  for (const auto& [position, slot] : write.slots) {
    batch.Put(KeyOf(position), EncodeRecord(superblock_->content().cluster_id(),
                                            position, slot));
  }
  leveldb::WriteOptions options;
  options.sync = !write.accepted.empty();
  absl::Status status = FromLevelDb(db_->Write(options, &batch));
  env_.Drain();
  if (!status.ok() || write.accepted.empty()) return status;
  std::vector<Identifier> identifiers;
  for (uint64_t position : write.accepted) {
    const Slot& slot = write.slots.at(position);
    identifiers.push_back({position, slot.ballot, EntryHash(slot.entry)});
  }
  return identifiers_->Write(identifiers);
}

absl::StatusOr<std::vector<EntryProto>> DiskStorage::Read(uint64_t position,
                                                          uint64_t end,
                                                          size_t max_bytes) {
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  std::unique_ptr<leveldb::Iterator> record(db_->NewIterator(options));
  std::vector<EntryProto> entries;
  size_t bytes = 0;
  for (record->Seek(KeyOf(position));
       record->Valid() && position < end && bytes < max_bytes;
       record->Next(), ++position) {
    std::optional<Slot> slot = DecodeRecord(
        record->key(), record->value(), superblock_->content().cluster_id());
    if (!slot.has_value()) return Damaged(position);
    // What is only accepted may yet be replaced.
    if (PositionOf(record->key()) != position || !slot->learned) break;
    bytes += record->value().size();
    entries.push_back(std::move(slot->entry));
  }
  absl::Status status = FromLevelDb(record->status());
  env_.Drain();
  if (!status.ok()) return status;
  return entries;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(
    io::Disk& disk, const std::string& directory, const MemberId& fresh_id) {
  auto storage = std::make_unique<DiskStorage>(disk, directory);
  absl::Status status = storage->Open(fresh_id);
  if (!status.ok()) return status;
  return storage;
}

}  // namespace quorate::log
