// The records: an entry for each position that is learned, and, since the last
// checkpoint, what was accepted and not learned. LevelDB in a directory.
//
// Each record has a checksum of its own, over the cluster and the position as
// well: whatever LevelDB makes of a damaged file, no wrong entry is served. If
// it cannot make anything of one, what is readable is copied into a new
// directory, and the old one is left beside it.

#ifndef QUORATE_CORE_LOG_RECORDS_H_
#define QUORATE_CORE_LOG_RECORDS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/leveldb_env.h"
#include "core/log/storage.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace leveldb {
class DB;
class WriteBatch;
struct WriteOptions;
}  // namespace leveldb

namespace quorate::log {

class Records {
 public:
  struct Contents {
    // Every position of [base, settled) has, or had, a learned record.
    uint64_t settled = 0;
    std::map<uint64_t, uint64_t> holes;  // those that are damaged or missing
    std::map<uint64_t, Slot> slots;      // at and above
  };

  // `directory` is the replica's.
  Records(io::Disk& disk, const std::string& directory, std::string cluster_id);
  ~Records();

  void set_cluster_id(std::string cluster_id) {
    cluster_id_ = std::move(cluster_id);
  }

  // On a disk that is known to fail: what cannot be read is damaged, and what
  // cannot be stored is dropped.
  void set_tolerant() { tolerant_ = true; }

  // Creates what is missing; what is damaged is replaced by what is left of it.
  // ResourceExhausted and Unavailable are the disk's.
  absl::Status Open();
  // Reads everything from `base` on. Positions below `settled` are known to
  // have been learned, and the learned ones that follow are found.
  absl::StatusOr<Contents> Load(uint64_t base, uint64_t settled);

  // As in Storage.
  absl::Status Absorb(const std::vector<LearnedEntry>& entries);
  absl::Status Checkpoint(const std::map<uint64_t, Slot>& unsettled);
  absl::StatusOr<Storage::ReadResult> Read(uint64_t position, uint64_t end,
                                           size_t max_bytes);
  absl::StatusOr<Storage::ScrubResult> Scrub(uint64_t position, uint64_t end,
                                             size_t max_bytes);
  absl::Status DeleteBelow(uint64_t base);
  absl::Status Reopen();

 private:
  absl::Status Write(leveldb::DB& db, const leveldb::WriteOptions& options,
                     leveldb::WriteBatch* batch);
  absl::Status OpenDb();
  void CloseDb();
  absl::Status Salvage();
  absl::Status Build(leveldb::DB* source, uint64_t from,
                     const std::string& damaged);
  absl::Status Gather(const std::string& directory, leveldb::DB& target);
  absl::Status GatherTable(const std::string& path, leveldb::DB& target);
  absl::Status Improve(const leveldb::Slice& key, const leveldb::Slice& record,
                       leveldb::DB& target);
  absl::Status Move(const std::string& from, const std::string& to);
  absl::StatusOr<bool> Exists(const std::string& path);
  absl::Status Remove(const std::string& path);
  absl::Status Copy(leveldb::DB& source, uint64_t from, leveldb::DB& target);
  absl::Status LoadOnce(uint64_t base, Contents* contents);
  absl::Status Closed() const;
  bool WaitsForSpace() const;
  absl::Status Outcome(const absl::Status& status) const;

  io::Disk& disk_;
  const std::string directory_;
  const std::string path_;
  std::string cluster_id_;
  LevelDbEnv env_;
  std::unique_ptr<leveldb::DB> db_;
  absl::Status unopened_;  // Why db_ is null, after an attempt to open it.
  std::string scratch_;
  bool tolerant_ = false;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_RECORDS_H_
