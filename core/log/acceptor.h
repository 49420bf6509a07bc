// The acceptor: the memory of the log. A pure machine: messages in, durable
// writes and messages out, and every message names the write that it waits
// for.
//
// Invariants, also over crashes: the promise never decreases; the ballot at
// which a position was accepted never decreases; a learned entry never
// changes. Accepting raises the promise.

#ifndef QUORATE_CORE_LOG_ACCEPTOR_H_
#define QUORATE_CORE_LOG_ACCEPTOR_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "core/log/types.h"

namespace quorate::log {

struct Slot {
  Ballot ballot;
  bool learned = false;
  EntryProto entry;
};

// Writes that must reach the disk together, in order of `number`: the promise
// before the slots.
struct DurableWrite {
  uint64_t number = 0;
  bool promised_changed = false;
  Ballot promised;
  std::map<uint64_t, Slot> slots;
  // Those of `slots` that were accepted, and not only learned. A crash may
  // take the others away: nobody counts on this replica for them.
  std::set<uint64_t> accepted;

  bool empty() const { return !promised_changed && slots.empty(); }
};

class Acceptor {
 public:
  // Positions beyond the learned prefix that are kept at once. A member that
  // is further behind catches up before it accepts more.
  static constexpr uint64_t kMaxAhead = 10000;

  struct State {
    Ballot promised;
    // Every position below is learned and on disk.
    uint64_t learned_upto = 0;
    // Those at and above learned_upto.
    std::map<uint64_t, Slot> slots;
  };

  Acceptor(MemberId me, State state);

  // Each answers through `out`. `request` came from `from`.
  void OnPromise(const MemberId& from, const Promise& request,
                 std::vector<Outgoing>* out);
  void OnSlotQuery(const MemberId& from, const SlotQuery& request,
                   std::vector<Outgoing>* out);
  void OnWrite(const MemberId& from, const Write& request,
               std::vector<Outgoing>* out);
  void OnHeartbeat(const MemberId& from, const Heartbeat& request,
                   std::vector<Outgoing>* out);
  // A chosen entry. An error is a breach of the protocol: another value was
  // learned at this position before. The process must not go on.
  absl::Status OnLearned(uint64_t position, const EntryProto& entry);

  // What has to be written since the last call; empty when nothing.
  DurableWrite TakeWrite();

  // Entries that joined the learned prefix since the last call, in order.
  struct Delivery {
    uint64_t position;
    EntryProto entry;
  };
  std::vector<Delivery> TakeDelivered();

  const Ballot& promised() const { return promised_; }
  uint64_t learned_upto() const { return learned_upto_; }
  // One past the highest position that holds anything.
  uint64_t end() const;

  void CheckInvariants() const;

 private:
  void Promised(const Ballot& ballot);
  void Store(uint64_t position, Slot slot);
  SlotProto Describe(uint64_t position) const;
  Outgoing& Answer(const MemberId& to, std::vector<Outgoing>* out) const;

  const MemberId me_;
  Ballot promised_;
  uint64_t learned_upto_;
  std::map<uint64_t, Slot> slots_;  // at and above learned_upto_
  uint64_t writes_ = 0;             // the number of the latest write
  DurableWrite pending_;
  std::vector<Delivery> delivered_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_ACCEPTOR_H_
