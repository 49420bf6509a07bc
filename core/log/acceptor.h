// The acceptor: the memory of the log. A pure machine: messages in, durable
// writes and messages out, and every message names the write that it waits
// for.
//
// Invariants, also over crashes: the promise never decreases; the ballot at
// which a position was accepted never decreases; a learned entry never
// changes; a position that was voted for is never reported as empty.
// Accepting raises the promise.

#ifndef QUORATE_CORE_LOG_ACCEPTOR_H_
#define QUORATE_CORE_LOG_ACCEPTOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/log/types.h"

namespace quorate::log {

namespace testing {
struct MachineText;
}

class Acceptor {
 public:
  // Positions beyond the learned ones that are kept at once. A member that is
  // further behind catches up before it accepts more.
  static constexpr uint64_t kMaxAhead = 10000;

  Acceptor(MemberId me, ReplicaState state);

  // While it does not vote (its disk may be an older one) promises and writes
  // are answered NOT_READY.
  void set_voting(bool voting) { voting_ = voting; }
  bool voting() const { return voting_; }
  // While the disk is full only truncations are accepted.
  void set_disk_full(bool full) { disk_full_ = full; }
  bool disk_full() const { return disk_full_; }
  // Of the entries in one write. What would be more is answered NOT_READY, but
  // for a first entry.
  void set_max_pending_bytes(uint64_t bytes) { max_pending_bytes_ = bytes; }

  // Each answers through `out`. `request` came from `from`; its entry is moved
  // out.
  void OnPromise(const MemberId& from, const Promise& request,
                 std::vector<Outgoing>* out);
  void OnSlotQuery(const MemberId& from, const SlotQuery& request,
                   std::vector<Outgoing>* out);
  void OnWrite(const MemberId& from, Write* request,
               std::vector<Outgoing>* out);
  void OnHeartbeat(const MemberId& from, const Heartbeat& request,
                   std::vector<Outgoing>* out);

  // A chosen entry. An error is a breach of the protocol: another value was
  // learned at this position before. The process must not go on.
  absl::Status OnLearned(uint64_t position, Entry entry,
                         const std::string& hash);
  // The entry with this hash, proposed at `ballot`, is chosen: learned if it
  // was accepted here. An error is a breach as above.
  absl::Status OnChosen(uint64_t position, const Ballot& ballot,
                        const std::string& hash);
  // The leader with this ballot, whose LEADER entry is at `epoch`, has learned
  // everything below `commit`.
  void OnCommit(const Ballot& ballot, uint64_t epoch, uint64_t commit);
  // Everything below is truncated, here or at the peer that this base is of.
  void AdoptBase(uint64_t base);
  // This ballot's LEADER entry is learned at that position. Nothing is chosen
  // above it in a lower ballot, before or after: of the votes that the disk
  // has lost none matters there.
  void OnLeader(uint64_t position, const Ballot& ballot);
  // This learned position turned out to be damaged on disk.
  void OnDamaged(uint64_t position);

  // What has to be written since the last call; empty when nothing.
  DurableWrite TakeWrite();
  // A write is due though nothing was promised or accepted.
  void RequestWrite() { pending(); }
  // Of the entries in the next write.
  uint64_t pending_bytes() const { return pending_bytes_; }

  // Entries that were learned since the last call, to be kept in Storage. Not
  // in order, and never twice in one life.
  std::vector<LearnedEntry> TakeLearned();

  const Ballot& promised() const { return promised_; }
  uint64_t base() const { return base_; }
  // Every position below is learned, and whole.
  uint64_t learned_upto() const { return learned_upto_; }
  // Every position in [from, WholeUpto(from)) is learned, and whole.
  uint64_t WholeUpto(uint64_t from) const;
  // One past the highest position that holds anything.
  uint64_t end() const;
  // One past the highest position voted for: what a crash cannot take away.
  uint64_t voted_end() const { return voted_end_; }
  uint64_t blind_below() const { return blind_below_; }
  uint64_t writes() const { return writes_; }
  // Positions whose entry is damaged, and has to come from another member.
  uint64_t damaged() const;
  // The lowest position, at or above `from`, whose entry is damaged.
  std::optional<uint64_t> FirstDamaged(uint64_t from) const;
  // Everything below is learned, but for damaged positions.
  uint64_t settled() const { return frontier(); }
  // What was voted for at and above settled().
  std::map<uint64_t, Slot> Unsettled() const;

  SlotProto Describe(uint64_t position) const;
  void CheckInvariants() const;

 private:
  // Tells equal states from different ones.
  friend struct testing::MachineText;

  uint64_t frontier() const;
  bool OnDisk(uint64_t position) const;
  bool InHole(uint64_t position) const;
  void FillHole(uint64_t position);
  DurableWrite& pending();
  void Promised(const Ballot& ballot);
  bool HasRoom(const EntryProto& entry) const;
  void Vote(uint64_t position, const Slot& slot);
  void Advance();
  Result Accept(const Ballot& ballot, uint64_t position, Write* request);
  Outgoing& Answer(const MemberId& to, std::vector<Outgoing>* out) const;

  const MemberId me_;
  bool voting_ = true;
  bool disk_full_ = false;
  Ballot promised_;
  uint64_t base_;
  uint64_t learned_upto_;
  // Positions in [learned_upto_, settled_) are learned and on disk, but for
  // the holes.
  uint64_t settled_;
  std::map<uint64_t, uint64_t> holes_;  // begin -> end
  std::map<uint64_t, Slot> slots_;      // at and above both
  uint64_t blind_below_;
  const Ballot blind_promised_;
  uint64_t voted_end_;
  uint64_t writes_ = 0;  // the number of the latest write
  DurableWrite pending_;
  uint64_t pending_bytes_ = 0;
  uint64_t max_pending_bytes_ = UINT64_MAX;
  std::vector<LearnedEntry> learned_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_ACCEPTOR_H_
