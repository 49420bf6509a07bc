// What a replica keeps on disk. Everything here blocks.
//
//   superblock   who the replica is, what it has promised; four copies
//   journal.0/1  what it has accepted, in the order of the votes: two
//                preallocated segments that take turns, so that a vote costs
//                one sync
//   records/     LevelDB: an entry for each position that is learned
//   reserve      space that is given back when the disk is full, for the
//                truncation that makes room
//   lock         one process at a time
//
// After Open there are two halves, for two lanes. The journal half is what a
// vote waits for. The records half trails behind: it takes learned entries
// without a sync, and makes them durable at a checkpoint, after which a
// segment of the journal starts anew.

#ifndef QUORATE_CORE_LOG_STORAGE_H_
#define QUORATE_CORE_LOG_STORAGE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace quorate::log {

class Storage {
 public:
  struct Options {
    std::string directory;
    // Of a directory that has to be formatted: missing or empty.
    MemberId fresh_id;
    uint64_t segment_bytes = uint64_t{32} << 20;
    uint64_t reserve_bytes = uint64_t{64} << 20;
    // For tools: a directory that is not there is not created, and the
    // incarnation is not counted up.
    bool inspect = false;
  };

  // Counts the incarnation up, durably.
  // FailedPrecondition: in use by another process, or records without a
  // superblock. DataLoss: no copy of the superblock is whole. Unavailable: an
  // I/O error; at the second such open in a row the replica is quarantined.
  // ResourceExhausted: no space to format. NotFound: nothing to inspect.
  // Damage to journal and records is no error: state() tells what it took.
  static absl::StatusOr<std::unique_ptr<Storage>> Open(io::Disk& disk,
                                                       const Options& options);

  virtual ~Storage() = default;

  // As found; the slots are moved out.
  virtual ReplicaState TakeState() = 0;

  // --- The journal half ---

  virtual const SuperblockProto& identity() const = 0;
  // Durable when OK. Leaves promise, base, settled and seen as they are.
  virtual absl::Status SetIdentity(const SuperblockProto& identity) = 0;

  struct JournalRoom {
    // A segment is full: its turn comes after a checkpoint and Recycle.
    bool wants_checkpoint = false;
    // Entries of about that many bytes still fit without Recycle; and of a
    // truncation, for which something is kept back.
    uint64_t free_bytes = 0;
    uint64_t truncation_bytes = 0;
  };

  // Durable when OK; after an error nothing may be answered any more. The
  // write is split over frames as needed; ResourceExhausted, with nothing
  // written, when there is no room.
  virtual absl::Status Apply(const DurableWrite& write) = 0;
  virtual JournalRoom room() const = 0;

  // A checkpoint of the records half is over: every position below `settled`
  // is durable there, and so are `unsettled`, all that was voted for at or
  // above. A full segment may be written again; not if it holds votes that came
  // after `unsettled` was made: it waits for the next checkpoint.
  virtual absl::Status Recycle(uint64_t settled,
                               const std::map<uint64_t, Slot>& unsettled) = 0;
  // Durable when OK, and before any record below is deleted.
  virtual absl::Status SetBase(const Base& base) = 0;

  // --- The records half ---
  // ResourceExhausted: the disk is full; Reopen makes the half usable again.
  // DataLoss, of a write: LevelDB has met a damaged file; the next Open, or
  // Reopen, salvages what is left.

  // Without a sync: a crash may take them away, then the journal still has
  // what was voted for.
  virtual absl::Status Absorb(const std::vector<LearnedEntry>& entries) = 0;
  // Everything absorbed, and these slots, durable when OK.
  virtual absl::Status Checkpoint(
      const std::map<uint64_t, Slot>& unsettled) = 0;

  struct ReadResult {
    // From the position on, without a gap; at least one, then up to the bytes
    // asked for.
    std::vector<Entry> entries;
    // The record behind them is damaged or missing, or out of reach until a
    // full disk has space.
    bool damaged = false;
  };
  // Learned entries of [position, end). An error is an I/O error.
  virtual absl::StatusOr<ReadResult> Read(uint64_t position, uint64_t end,
                                          size_t max_bytes) = 0;
  // The records below are not needed. Frees their space when they are more
  // than what is left, which is copied.
  virtual absl::Status DeleteBelow(uint64_t base) = 0;
  // Damaged or missing records among [position, end), without reading more
  // than `max_bytes`; `next` is where to go on. None while they are out of
  // reach.
  struct ScrubResult {
    std::vector<uint64_t> damaged;
    uint64_t next = 0;
  };
  virtual absl::StatusOr<ScrubResult> Scrub(uint64_t position, uint64_t end,
                                            size_t max_bytes) = 0;
  // Gives the reserve back to the file system, or takes it again.
  virtual absl::Status ReleaseReserve() = 0;
  virtual absl::Status TakeReserve() = 0;
  // After ResourceExhausted: opens the records anew. What was absorbed since
  // the last checkpoint is to be absorbed again.
  virtual absl::Status Reopen() = 0;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_STORAGE_H_
