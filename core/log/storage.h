// What a replica keeps on disk: its superblock, the log's records in LevelDB,
// and identifiers of what it has accepted, which tell when a record is
// missing. Everything here blocks and belongs on the lane.

#ifndef QUORATE_CORE_LOG_STORAGE_H_
#define QUORATE_CORE_LOG_STORAGE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/acceptor.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace quorate::log {

class Storage {
 public:
  // Opens the replica in `directory`, or formats an empty or missing one with
  // `fresh_id`. Counts the incarnation up, durably.
  // FailedPrecondition: in use by another process, or records without a
  // superblock. DataLoss: a record or the superblock is damaged or missing.
  static absl::StatusOr<std::unique_ptr<Storage>> Open(
      io::Disk& disk, const std::string& directory, const MemberId& fresh_id);

  virtual ~Storage() = default;

  virtual const SuperblockProto& identity() const = 0;
  // The acceptor's state as found at Open.
  virtual Acceptor::State TakeState() = 0;

  // Durable when OK, but for slots that were only learned. After an error
  // nothing may be answered any more. SetIdentity leaves the promise as it is.
  virtual absl::Status SetIdentity(SuperblockProto identity) = 0;
  virtual absl::Status Apply(const DurableWrite& write) = 0;

  // Learned entries from `position` on, as far as they are there without a
  // gap, below `end`; at least one, then up to `max_bytes`.
  virtual absl::StatusOr<std::vector<EntryProto>> Read(uint64_t position,
                                                       uint64_t end,
                                                       size_t max_bytes) = 0;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_STORAGE_H_
