// The journal: what a replica has voted for, in the order of its votes, so that
// a vote costs one sync.
//
// Two files take turns. Each is a sequence of frames in space that was
// preallocated, by writing zeros, so that no sync on the way of a vote has to
// wait for the file system's own journal.
//
// A small frame is written twice, and synced once: either copy is enough. A
// large one is written once, and when it is durable a small one with its
// identifiers follows; only then is the vote durable. So a record that is lost
// leaves its identifier: it is reported as faulty, and never as if nothing had
// been accepted. What a crash has torn, on the other hand, was never answered,
// and counts as nothing.
//
// Invariant: a frame is begun only when the one before it is durable. So any
// sector of a later frame proves an earlier one, and each frame names the one
// before.

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
#include "core/log/frame.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace quorate::log {

class Journal {
 public:
  // Up to such a payload a frame is written twice: on the disks that were
  // measured, a second sync costs more than the bytes. Of a small file less.
  static constexpr uint64_t kSmallBytes = 256 << 10;

  // What the superblock knows of it.
  struct Options {
    std::string directory;
    MemberId member;  // whose journal it is
    uint64_t segment_bytes = 0;
    uint64_t incarnation = 0;  // Frames of different lives differ by it.
    // Frames with lower numbers do not matter any more.
    uint64_t from = 0;
    // A frame with this number was durable; 0: maybe none.
    uint64_t upto = 0;
    // Votes that were lost without a trace up to here are accounted for.
    uint64_t blind_through = 0;
    // Of positions below it only the identifiers are looked at.
    uint64_t settled = 0;
    // What cannot be read counts as damaged, instead of as an error.
    bool tolerant = false;
  };

  // What the files hold.
  struct Contents {
    // The vote with the highest ballot at each position, faulty where only its
    // identifier is left.
    std::map<uint64_t, Slot> slots;
    std::map<MemberId, Seen> seen;
    // Votes were lost without their identifiers.
    bool blind = false;
  };

  // Creates files that are missing; the caller syncs the directory.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(io::Disk& disk,
                                                       const Options& options,
                                                       Contents* contents);

  // Before the first Append: makes durable what was found, takes away what was
  // torn, and keeps the identifiers of what is faulty, while there is room.
  absl::Status Begin(const std::map<uint64_t, Slot>& faulty);

  // Durable when OK. ResourceExhausted, with nothing written, when there is no
  // room; after another error nothing is known.
  absl::Status Append(const std::map<uint64_t, Slot>& accepted,
                      const std::map<MemberId, Seen>& seen);

  // The other file is full, and waits for Recycle.
  bool wants_recycle() const { return full_; }
  // Bytes of entries that fit without it, in one Append: of any, and of one
  // truncation alone, for which something is kept back.
  uint64_t free_bytes() const;
  uint64_t truncation_bytes() const;

  // All votes below `settled` are durable elsewhere, and so are `unsettled`.
  // Keeps the identifiers of those, durably, if that is all that the full file
  // holds: votes may have come since `unsettled` was made.
  absl::Status Prepare(uint64_t settled,
                       const std::map<uint64_t, Slot>& unsettled);
  // The full file may be written again, if Prepare found so. Requires that
  // from() is durable.
  void Recycle();

  // For Options of the next Open: the first frame that matters, and the last
  // one.
  uint64_t from() const { return prepared_ ? first_[active_] : oldest(); }
  uint64_t upto() const { return last_; }
  // The first frame in the file that is being written.
  uint64_t first() const { return first_[active_]; }

 private:
  struct Group;
  struct Frame;
  struct Scan;
  enum class Use { kVotes, kTruncation, kCarriedOver };
  // Where the next frame goes.
  struct Head {
    int active = 0;
    uint64_t offset = 0;
    bool full = false;  // The other file is.
  };

  Journal(io::Disk& disk, const Options& options);

  uint64_t oldest() const {
    return full_ ? first_[1 - active_] : first_[active_];
  }
  absl::Status Load(const Options& options, Contents* contents);
  absl::Status ReadSectors(int file, const Options& options, Scan* scan);
  Frame Assemble(const Scan& scan, uint64_t number, uint64_t settled) const;
  std::vector<Frame> FollowChain(const Scan& scan, const Options& options,
                                 bool* blind);
  void TakeOver(std::vector<Frame> chain, const Options& options,
                Contents* contents);

  uint64_t EndOf(int file) const;
  bool Place(uint64_t bytes, Use use, Head* head) const;
  uint64_t Room(Use use) const;
  absl::Status Extend(int file, uint64_t end);
  absl::Status ExtendAhead();
  absl::Status Sync(int file);
  absl::Status WriteFrame(const FrameHeader& header,
                          const std::map<uint64_t, Slot>& slots,
                          bool with_entries,
                          const std::map<MemberId, Seen>& seen);
  absl::Status WriteVotes(const std::map<uint64_t, Slot>& votes,
                          const std::map<MemberId, Seen>& seen, Use use);

  io::Disk& disk_;
  const uint32_t salt_;
  const uint64_t segment_bytes_;
  const uint64_t small_bytes_;
  std::unique_ptr<io::File> files_[2];
  uint64_t allocated_[2] = {0, 0};
  // No space could be had for more.
  bool disk_full_ = false;
  uint64_t first_[2] = {0, 0};  // the number of the first frame in each
  // The votes in each, for Prepare.
  std::vector<std::pair<uint64_t, Ballot>> votes_[2];
  int active_ = 0;
  uint64_t offset_ = 0;  // in the active one
  bool full_ = false;    // The other one is.
  bool prepared_ = false;
  uint64_t next_;             // number of the next frame
  uint64_t last_ = 0;         // of the last durable one
  uint64_t before_last_ = 0;  // and of the one before
  // Begin's: what was torn, as offsets in a file; frames to be written again;
  // the identifiers of a large frame at the end.
  struct Extent {
    int file;
    uint64_t begin;
    uint64_t end;
  };
  struct Repair {
    int file;
    uint64_t offset;
    std::string bytes;
  };
  std::vector<Extent> torn_;
  std::vector<Repair> repairs_;
  std::map<uint64_t, Slot> unnoted_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_JOURNAL_H_
