// The journal: what a replica has voted for, in the order of its votes, so that
// a vote costs one sync.
//
// Two files take turns. Each is a sequence of frames in preallocated space.
// Every 512-byte sector of a frame ends with a checksum, its place in the
// frame and the frame's number: after a crash the sectors that were not
// written any more still carry an older number, and that tells them from
// sectors that were written and are damaged.
//
// A frame begins with a header: the number of the last frame that was durable
// before, and an identifier (position, ballot, hash) of each record. A small
// frame is written twice, and synced once. A large one is written once, and
// when it is durable a small one with its identifiers follows; only then is
// the vote durable. So a record that is lost leaves its identifier: it is
// reported as lost, and never as if nothing had been accepted. What a crash
// has torn, on the other hand, was never answered, and counts as nothing.

#ifndef QUORATE_CORE_LOG_JOURNAL_H_
#define QUORATE_CORE_LOG_JOURNAL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace quorate::log {

class Journal {
 public:
  static constexpr size_t kSectorBytes = 512;
  static constexpr size_t kBlockBytes = 4096;
  // Of a frame that is written twice.
  static constexpr size_t kSmallBytes = 16 << 10;

  struct Options {
    std::string directory;
    uint64_t segment_bytes = 0;
    uint64_t incarnation = 0;  // frames of different lives differ by it
    // Frames below this number are settled; at least one at or above `head`
    // was durable. 0: nothing was ever written.
    uint64_t from = 0;
    uint64_t head = 0;
  };

  // What the files hold.
  struct Contents {
    // The vote with the highest ballot at each position, faulty where only its
    // identifier is left.
    std::map<uint64_t, Slot> slots;
    // Votes were lost without their identifiers.
    bool blind = false;
    std::map<MemberId, Seen> seen;
  };

  // Creates files that are missing; the caller syncs the directory.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(io::Disk& disk,
                                                       const Options& options,
                                                       Contents* contents);

  // Durable when OK. ResourceExhausted, with nothing written, when there is no
  // room; after another error nothing is known.
  absl::Status Append(const std::map<uint64_t, Slot>& accepted,
                      const std::map<MemberId, Seen>& seen);

  // The other file is full, and waits for Recycle.
  bool wants_recycle() const { return full_; }
  // Bytes of entries that fit without it.
  uint64_t free_bytes() const;
  // What was voted for and is not settled is carried over by its identifiers,
  // durably; then the full file may be written again.
  absl::Status CarryOver(const std::map<uint64_t, Slot>& unsettled);
  void Recycle() {
    full_ = false;
    first_[1 - active_] = 0;
  }
  // Numbers of the first frame that may matter, and of the first in the file
  // now being written: for Options of the next Open, once durable.
  uint64_t from() const { return full_ ? first_[1 - active_] : first_[active_]; }
  uint64_t head() const { return first_[active_]; }

 private:
  struct Found;

  Journal(io::Disk& disk, const Options& options);

  absl::Status Load(const Options& options, Contents* contents);
  absl::Status Scan(int which, uint64_t from, Found* found);
  bool TailIsDamaged(const Found& found) const;
  void Collect(const Found& found, Contents* contents) const;
  absl::Status WriteFrame(const std::map<uint64_t, Slot>& identifiers,
                          const std::map<uint64_t, Slot>& records,
                          const std::map<MemberId, Seen>& seen, bool repeats);
  absl::Status Reserve(uint64_t bytes);
  absl::Status Extend(uint64_t end);
  uint64_t Left() const;

  io::Disk& disk_;
  const uint64_t segment_bytes_;
  std::unique_ptr<io::File> files_[2];
  uint64_t allocated_[2] = {0, 0};
  uint64_t first_[2] = {0, 0};  // the number of the first frame in each
  int active_ = 0;
  uint64_t offset_ = 0;  // in the active one
  bool full_ = false;    // The other one is.
  uint64_t next_;        // number of the next frame
  uint64_t synced_ = 0;  // of the last durable one
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_JOURNAL_H_
