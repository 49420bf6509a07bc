#include "core/log/records.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/planted.h"
#include "core/log/fixed_bytes.h"
#include "core/log/leveldb_log.h"
#include "leveldb/db.h"
#include "leveldb/table.h"
#include "leveldb/write_batch.h"

namespace quorate::log {
namespace {

constexpr size_t kKeyBytes = 8;
constexpr size_t kIdBytes = 16;
// checksum, state, cluster, position, round, member.
constexpr size_t kHeaderBytes = 4 + 1 + kIdBytes + 8 + 8 + kIdBytes;
constexpr size_t kWriteBufferBytes = 8 << 20;
constexpr size_t kBlockBytes = 32 << 10;
constexpr size_t kCopyBatchBytes = 1 << 20;
// Truncated records are worth a rewrite when they are this much, and more than
// what is left.
constexpr uint64_t kWorthRewriting = 4 << 20;
constexpr size_t kMaxDamagedPerScrub = 1024;

// Beside the records: a copy that is not complete; what was replaced by a
// complete one; what was found damaged.
constexpr char kNew[] = ".new";
constexpr char kOld[] = ".old";
constexpr char kDamaged[] = ".damaged";

// Big-endian: LevelDB's order is that of the positions.
std::string KeyOf(uint64_t position) {
  std::string key(kKeyBytes, '\0');
  for (size_t i = 0; i < kKeyBytes; ++i) {
    key[i] = static_cast<char>((position >> (56 - 8 * i)) & 0xff);
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

void PutId(const std::string& id, std::string* out) {
  const size_t size = std::min(id.size(), kIdBytes);
  out->append(id, 0, size);
  out->append(kIdBytes - size, '\0');
}

void PutEntry(const EntryProto& entry, std::string* out) {
  out->push_back(static_cast<char>(entry.type()));
  PutFixed(static_cast<uint64_t>(entry.payload_size()), 4, out);
  for (const std::string& payload : entry.payload()) {
    PutFixed(payload.size(), 4, out);
    out->append(payload);
  }
}

Entry GetEntry(absl::string_view bytes) {
  if (bytes.size() < 5 || !EntryType_IsValid(bytes[0])) return nullptr;
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(static_cast<EntryType>(bytes[0]));
  uint64_t payloads = GetFixed(bytes, 1, 4);
  bytes.remove_prefix(5);
  for (; payloads > 0; --payloads) {
    if (bytes.size() < 4) return nullptr;
    const uint64_t size = GetFixed(bytes, 0, 4);
    bytes.remove_prefix(4);
    if (bytes.size() < size) return nullptr;
    entry->add_payload(bytes.data(), size);
    bytes.remove_prefix(size);
  }
  return bytes.empty() ? entry : nullptr;
}

void EncodeRecord(const std::string& cluster_id, uint64_t position,
                  Slot::State state, const Ballot& ballot,
                  const EntryProto* entry, absl::string_view hash,
                  std::string* out) {
  out->assign(4, '\0');
  out->push_back(static_cast<char>(state));
  PutId(cluster_id, out);
  PutFixed(position, 8, out);
  PutFixed(ballot.round, 8, out);
  PutId(ballot.member, out);
  if (entry != nullptr) {
    PutEntry(*entry, out);
  } else {
    out->append(hash.data(), hash.size());
  }
  std::string checksum;
  PutFixed(Crc32c(absl::string_view(*out).substr(4)), 4, &checksum);
  memcpy(&(*out)[0], checksum.data(), 4);
}

// Whether it is whole, of this cluster, and of this very position.
bool IsWhole(const leveldb::Slice& key, const leveldb::Slice& value,
             const std::string& cluster_id) {
  if (key.size() != kKeyBytes || value.size() < kHeaderBytes) return false;
  const absl::string_view bytes(value.data(), value.size());
  std::string cluster;
  PutId(cluster_id, &cluster);
  return Crc32c(bytes.substr(4)) == GetFixed(bytes, 0, 4) &&
         bytes.substr(5, kIdBytes) == cluster &&
         GetFixed(bytes, 5 + kIdBytes, 8) == PositionOf(key);
}

Slot::State StateOf(const leveldb::Slice& value) {
  return static_cast<Slot::State>(value[4]);
}

Entry EntryOf(const leveldb::Slice& value) {
  return GetEntry({value.data() + kHeaderBytes, value.size() - kHeaderBytes});
}

// Requires IsWhole.
std::optional<Slot> DecodeRecord(const leveldb::Slice& value) {
  const absl::string_view bytes(value.data(), value.size());
  Slot slot;
  slot.state = StateOf(value);
  slot.ballot.round = GetFixed(bytes, 13 + kIdBytes, 8);
  if (slot.ballot.round > 0) {
    slot.ballot.member = std::string(bytes.substr(21 + kIdBytes, kIdBytes));
  }
  if (slot.state == Slot::State::kFaulty) {
    slot.hash = std::string(bytes.substr(kHeaderBytes));
    return slot;
  }
  slot.entry = EntryOf(value);
  if (slot.entry == nullptr) return std::nullopt;
  slot.hash = EntryHash(*slot.entry);
  return slot;
}

// Of two whole records of a position.
bool IsBetter(const leveldb::Slice& record, const leveldb::Slice& other) {
  const bool learned = StateOf(record) == Slot::State::kLearned;
  if (learned != (StateOf(other) == Slot::State::kLearned)) return learned;
  const auto ballot = [](const leveldb::Slice& value) {
    const absl::string_view bytes(value.data(), value.size());
    return Ballot{GetFixed(bytes, 13 + kIdBytes, 8),
                  std::string(bytes.substr(21 + kIdBytes, kIdBytes))};
  };
  return ballot(other) <= ballot(record);
}

void AddHole(uint64_t begin, uint64_t end,
             std::map<uint64_t, uint64_t>* holes) {
  if (begin >= end) return;
  if (!holes->empty() && holes->rbegin()->second == begin) {
    holes->rbegin()->second = end;
  } else {
    holes->emplace(begin, end);
  }
}

leveldb::Options OptionsOf(LevelDbEnv* env) {
  leveldb::Options options;
  options.env = env;
  // Blocks that are not checked have LevelDB abort. It refuses to open then,
  // and what is readable is salvaged.
  options.paranoid_checks = true;
  options.compression = leveldb::kNoCompression;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_file_size = kWriteBufferBytes;
  options.block_size = kBlockBytes;
  return options;
}

leveldb::ReadOptions ReadOptionsOf(bool fill_cache) {
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = fill_cache;
  return options;
}

}  // namespace

Records::Records(io::Disk& disk, const std::string& directory,
                 std::string cluster_id)
    : disk_(disk),
      directory_(directory),
      path_(absl::StrCat(directory, "/records")),
      cluster_id_(std::move(cluster_id)),
      env_(disk) {}

Records::~Records() { CloseDb(); }

void Records::CloseDb() {
  // LevelDB would wait for what is scheduled.
  env_.Drain();
  db_.reset();
}

absl::Status Records::Closed() const {
  // Without space it is opened again when there is some.
  const absl::StatusCode code =
      unopened_.ok() ? absl::StatusCode::kResourceExhausted : unopened_.code();
  return absl::Status(
      code,
      absl::StrCat(path_, " could not be opened again: ", unopened_.message()));
}

bool Records::WaitsForSpace() const {
  return absl::IsResourceExhausted(Closed());
}

absl::Status Records::Outcome(const absl::Status& status) const {
  return tolerant_ ? absl::OkStatus() : status;
}

absl::Status Records::Write(leveldb::DB& db,
                            const leveldb::WriteOptions& options,
                            leveldb::WriteBatch* batch) {
  absl::Status status = env_.Full();
  if (!status.ok()) return status;
  status = env_.Take(db.Write(options, batch));
  env_.Drain();
  // No compaction after one that has found no space.
  return status.ok() ? env_.Full() : status;
}

absl::Status Records::OpenDb() {
  env_.Begin();
  leveldb::DB* db = nullptr;
  const leveldb::Status status =
      leveldb::DB::Open(OptionsOf(&env_), path_, &db);
  db_.reset(db);
  if (!status.ok()) env_.RemoveMade();
  env_.Drain();
  unopened_ = env_.Take(status);
  return unopened_;
}

// Renames `from`, durably.
absl::Status Records::Move(const std::string& from, const std::string& to) {
  absl::Status status = disk_.Rename(from, to);
  return status.ok() ? disk_.SyncDirectory(directory_) : status;
}

absl::StatusOr<bool> Records::Exists(const std::string& path) {
  absl::Status status = disk_.Stat(path).status();
  if (status.ok() || absl::IsNotFound(status)) return status.ok();
  return status;
}

absl::Status Records::Remove(const std::string& path) {
  absl::Status status = disk_.RemoveTree(path);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status Records::Open() {
  auto there = Exists(path_);
  if (!there.ok()) return there.status();
  if (!*there) {
    auto old = Exists(path_ + kOld);
    if (!old.ok()) return old.status();
    // New, or a salvage was cut short, or a rewrite was.
    if (!*old) return Salvage();
    absl::Status moved = Move(path_ + kOld, path_);
    if (!moved.ok()) return moved;
  }
  absl::Status removed = Remove(path_ + kOld);
  if (!removed.ok()) return removed;
  absl::Status opened = OpenDb();
  if (!absl::IsDataLoss(opened)) return opened;
  LOG(ERROR) << path_ << " is damaged: " << opened.message();
  return Salvage();
}

// What is readable goes into a new directory. The old one is kept under
// another name, and is the source for as long as the new one is not complete.
absl::Status Records::Salvage() {
  CloseDb();
  const std::string damaged = path_ + kDamaged;
  auto there = Exists(path_);
  if (!there.ok()) return there.status();
  if (*there) {
    LOG(ERROR) << "what can be read of " << path_
               << " is copied; it is left as " << damaged;
    absl::Status moved = Remove(damaged);
    if (moved.ok()) moved = Move(path_, damaged);
    if (!moved.ok()) return moved;
  }
  absl::Status built = Build(nullptr, 0, damaged);
  if (built.ok()) built = Move(path_ + kNew, path_);
  return built.ok() ? OpenDb() : built;
}

// A complete and durable copy, that is not in its place yet, of the records of
// `source` from `from` on, if there is one, and of what can be read in the
// directory `damaged`.
absl::Status Records::Build(leveldb::DB* source, uint64_t from,
                            const std::string& damaged) {
  absl::Status status = Remove(path_ + kNew);
  if (!status.ok()) return status;
  leveldb::Options options = OptionsOf(&env_);
  options.create_if_missing = true;
  leveldb::DB* db = nullptr;
  status = env_.Take(leveldb::DB::Open(options, path_ + kNew, &db));
  std::unique_ptr<leveldb::DB> target(db);
  env_.Drain();
  if (status.ok() && source != nullptr) status = Copy(*source, from, *target);
  if (status.ok() && !damaged.empty()) status = Gather(damaged, *target);
  leveldb::WriteOptions durable;
  durable.sync = true;
  leveldb::WriteBatch nothing;
  if (status.ok()) status = Write(*target, durable, &nothing);
  return status;
}

absl::Status Records::Copy(leveldb::DB& source, uint64_t from,
                           leveldb::DB& target) {
  leveldb::WriteBatch batch;
  std::unique_ptr<leveldb::Iterator> record(
      source.NewIterator(ReadOptionsOf(false)));
  for (record->Seek(KeyOf(from)); record->Valid(); record->Next()) {
    if (!IsWhole(record->key(), record->value(), cluster_id_)) continue;
    batch.Put(record->key(), record->value());
    if (batch.ApproximateSize() < kCopyBatchBytes) continue;
    absl::Status written = Write(target, {}, &batch);
    if (!written.ok()) return written;
    batch.Clear();
  }
  absl::Status read = env_.Take(record->status());
  if (!read.ok() && !absl::IsDataLoss(read)) return read;
  return Write(target, {}, &batch);
}

// What can be read in the files of a LevelDB that may have lost track of them;
// its own repair believes logs, and aborts when a table cannot be read once.
absl::Status Records::Gather(const std::string& directory,
                             leveldb::DB& target) {
  auto there = Exists(directory);
  if (!there.ok()) return there.status();
  if (!*there) return absl::OkStatus();
  auto names = disk_.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(directory, "/", name);
    absl::Status status;
    if (absl::EndsWith(name, ".ldb") || absl::EndsWith(name, ".sst")) {
      status = GatherTable(path, target);
    } else if (absl::EndsWith(name, ".log")) {
      auto log = disk_.ReadFile(path);
      if (!log.ok()) return log.status();
      ForEachPut(*log, [&](absl::string_view key, absl::string_view value) {
        if (status.ok()) {
          status = Improve({key.data(), key.size()},
                           {value.data(), value.size()}, target);
        }
      });
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Records::GatherTable(const std::string& path,
                                  leveldb::DB& target) {
  auto info = disk_.Stat(path);
  if (!info.ok()) return info.status();
  leveldb::RandomAccessFile* file = nullptr;
  absl::Status opened = env_.Take(env_.NewRandomAccessFile(path, &file));
  const std::unique_ptr<leveldb::RandomAccessFile> owned_file(file);
  leveldb::Table* table = nullptr;
  if (opened.ok()) {
    opened = env_.Take(
        leveldb::Table::Open(OptionsOf(&env_), file, info->size, &table));
  }
  if (!opened.ok()) return absl::IsDataLoss(opened) ? absl::OkStatus() : opened;
  const std::unique_ptr<leveldb::Table> owned_table(table);
  const std::unique_ptr<leveldb::Iterator> record(
      table->NewIterator(ReadOptionsOf(false)));
  absl::Status status;
  for (record->SeekToFirst(); record->Valid() && status.ok(); record->Next()) {
    // A table's keys end with a sequence number and a type: 1 for a value.
    constexpr size_t kSuffixBytes = 8;
    leveldb::Slice key = record->key();
    if (key.size() != kKeyBytes + kSuffixBytes || key[kKeyBytes] != 1) continue;
    status = Improve({key.data(), kKeyBytes}, record->value(), target);
  }
  const absl::Status read = env_.Take(record->status());
  if (status.ok() && !absl::IsDataLoss(read)) status = read;
  return status;
}

// Takes the record, unless there is a better one.
absl::Status Records::Improve(const leveldb::Slice& key,
                              const leveldb::Slice& record,
                              leveldb::DB& target) {
  if (!IsWhole(key, record, cluster_id_)) return absl::OkStatus();
  std::string old;
  const leveldb::Status got = target.Get(ReadOptionsOf(false), key, &old);
  if (!got.ok() && !got.IsNotFound()) return env_.Take(got);
  if (got.ok() && !IsBetter(record, old)) return absl::OkStatus();
  leveldb::WriteBatch batch;
  batch.Put(key, record);
  return Write(target, {}, &batch);
}

absl::StatusOr<Records::Contents> Records::Load(uint64_t base,
                                                uint64_t settled) {
  for (bool salvaged = false;; salvaged = true) {
    Contents contents;
    contents.settled = std::max(base, settled);
    absl::Status loaded = LoadOnce(base, &contents);
    if (loaded.ok()) return contents;
    if (salvaged || !absl::IsDataLoss(loaded)) return loaded;
    absl::Status done = Salvage();
    if (!done.ok()) return done;
  }
}

absl::Status Records::LoadOnce(uint64_t base, Contents* contents) {
  std::unique_ptr<leveldb::Iterator> record(
      db_->NewIterator(ReadOptionsOf(false)));
  uint64_t next = base;  // the first position that was not looked at
  for (record->Seek(KeyOf(base)); record->Valid(); record->Next()) {
    const leveldb::Slice key = record->key();
    if (!IsWhole(key, record->value(), cluster_id_)) continue;
    const uint64_t position = PositionOf(key);
    const bool learned = StateOf(record->value()) == Slot::State::kLearned;
    if (position < contents->settled && learned) {
      AddHole(next, position, &contents->holes);
      next = position + 1;
    } else if (position == contents->settled && learned &&
               contents->slots.empty()) {
      AddHole(next, position, &contents->holes);
      next = position + 1;
      contents->settled = next;
    } else if (position >= contents->settled) {
      std::optional<Slot> slot = DecodeRecord(record->value());
      if (slot.has_value()) contents->slots[position] = *std::move(slot);
    }
  }
  AddHole(next, contents->settled, &contents->holes);
  absl::Status status = env_.Take(record->status());
  record.reset();
  env_.Drain();
  if (Planted(Bug::kIteratorStatusIgnored)) {
    contents->holes.clear();
    return absl::OkStatus();
  }
  return status;
}

absl::Status Records::Absorb(const std::vector<LearnedEntry>& entries) {
  if (db_ == nullptr) return Outcome(Closed());
  leveldb::WriteBatch batch;
  for (const LearnedEntry& learned : entries) {
    EncodeRecord(cluster_id_, learned.position, Slot::State::kLearned,
                 learned.ballot, learned.entry.get(), "", &scratch_);
    batch.Put(KeyOf(learned.position), scratch_);
  }
  return Outcome(Write(*db_, {}, &batch));
}

absl::Status Records::Checkpoint(const std::map<uint64_t, Slot>& unsettled) {
  if (db_ == nullptr) return Outcome(Closed());
  leveldb::WriteBatch batch;
  for (const auto& [position, slot] : unsettled) {
    EncodeRecord(cluster_id_, position, slot.state, slot.ballot,
                 slot.entry.get(), slot.hash, &scratch_);
    batch.Put(KeyOf(position), scratch_);
  }
  leveldb::WriteOptions options;
  options.sync = true;
  return Outcome(Write(*db_, options, &batch));
}

absl::StatusOr<Storage::ReadResult> Records::Read(uint64_t position,
                                                  uint64_t end,
                                                  size_t max_bytes) {
  Storage::ReadResult result;
  if (db_ == nullptr) {
    if (!tolerant_ && !WaitsForSpace()) return Closed();
    result.damaged = true;
    return result;
  }
  std::unique_ptr<leveldb::Iterator> record(
      db_->NewIterator(ReadOptionsOf(false)));
  size_t bytes = 0;
  for (record->Seek(KeyOf(position)); position < end; record->Next()) {
    if (!result.entries.empty() && bytes >= max_bytes) break;
    Entry entry;
    if (record->Valid() &&
        IsWhole(record->key(), record->value(), cluster_id_) &&
        PositionOf(record->key()) == position &&
        StateOf(record->value()) == Slot::State::kLearned) {
      entry = EntryOf(record->value());
    }
    if (entry == nullptr) {
      result.damaged = true;
      break;
    }
    bytes += record->value().size();
    result.entries.push_back(std::move(entry));
    ++position;
  }
  absl::Status status = env_.Take(record->status());
  record.reset();
  env_.Drain();
  // Damage is what the missing record tells already.
  if (!status.ok() && !absl::IsDataLoss(status) && !tolerant_) return status;
  return result;
}

absl::StatusOr<Storage::ScrubResult> Records::Scrub(uint64_t position,
                                                    uint64_t end,
                                                    size_t max_bytes) {
  Storage::ScrubResult result;
  if (db_ == nullptr) {
    if (!WaitsForSpace()) return Closed();
    result.next = end;
    return result;
  }
  std::unique_ptr<leveldb::Iterator> record(
      db_->NewIterator(ReadOptionsOf(false)));
  size_t bytes = 0;
  const auto missing_until = [&](uint64_t until) {
    for (; position < until && result.damaged.size() < kMaxDamagedPerScrub;
         ++position) {
      result.damaged.push_back(position);
    }
    return position == until;
  };
  bool room = true;
  for (record->Seek(KeyOf(position));
       record->Valid() && position < end && bytes < max_bytes && room;
       record->Next()) {
    bytes += record->value().size();
    if (!IsWhole(record->key(), record->value(), cluster_id_) ||
        StateOf(record->value()) != Slot::State::kLearned) {
      continue;
    }
    const uint64_t found = PositionOf(record->key());
    room = missing_until(std::min(found, end));
    if (room && found < end) position = found + 1;
  }
  if (!record->Valid() && bytes < max_bytes && room) missing_until(end);
  result.next = std::min(position, end);
  absl::Status status = env_.Take(record->status());
  record.reset();
  env_.Drain();
  if (!status.ok() && !absl::IsDataLoss(status) && !tolerant_) return status;
  return result;
}

// LevelDB frees the space of deleted records only when it comes by with a
// compaction. What is left after a truncation is little: it is copied.
absl::Status Records::DeleteBelow(uint64_t base) {
  if (db_ == nullptr) return Closed();
  const std::string first = KeyOf(0);
  const std::string split = KeyOf(base);
  const std::string last = KeyOf(~uint64_t{0});
  const leveldb::Range ranges[] = {{first, split}, {split, last}};
  uint64_t sizes[2];
  db_->GetApproximateSizes(ranges, 2, sizes);
  if (sizes[0] < kWorthRewriting || sizes[0] < sizes[1]) {
    return absl::OkStatus();
  }
  absl::Status status = Build(db_.get(), base, "");
  CloseDb();
  if (!status.ok()) {
    absl::Status opened = OpenDb();
    return opened.ok() ? status : opened;
  }
  status = disk_.Rename(path_, path_ + kOld);
  if (status.ok()) status = Move(path_ + kNew, path_);
  if (status.ok()) status = Remove(path_ + kOld);
  return status.ok() ? OpenDb() : status;
}

absl::Status Records::Reopen() {
  CloseDb();
  return Open();
}

}  // namespace quorate::log
