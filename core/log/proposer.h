// The proposer: one attempt of one member to lead the log with one ballot. A
// pure machine; a new attempt is a new proposer.
//
// It first has its own acceptor promise the ballot, durably, before anybody
// else hears of it, so that no ballot is used twice. Then it collects promises
// from a quorum, finishes every position that an earlier leader may have left
// half done, and writes its LEADER entry. When that is chosen it leads, and
// its position is the epoch. One position is under way at a time.
//
// Invariants: a ballot proposes at most one value at a position; each member
// of the configuration counts once, whatever is duplicated; once it leads, it
// alone chooses, so that an entry learned from elsewhere deposes it.

#ifndef QUORATE_CORE_LOG_PROPOSER_H_
#define QUORATE_CORE_LOG_PROPOSER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/log/types.h"

namespace quorate::log {

class Proposer {
 public:
  enum class Phase {
    kSelf,     // our own promise is being made durable
    kPromise,  // promises of the others
    kRecover,  // finding out what a position below the end holds
    kWrite,    // an entry is being written at `position()`
    kIdle,     // leading, nothing to write
    kDeposed,  // another ballot is in the way; the end
  };

  struct Chosen {
    uint64_t position;
    EntryProto entry;
    bool own;  // from Propose, or the LEADER entry
  };

  // What a step led to; the role carries it out.
  struct Output {
    std::vector<Outgoing> messages;
    std::vector<Chosen> chosen;
    // A position that is learned at that member: fetch it from there.
    std::optional<std::pair<MemberId, uint64_t>> fetch;
    std::optional<uint64_t> elected;  // the epoch
    bool deposed = false;
  };

  // `members` vote and include `me`. `learned_upto` is our acceptor's.
  Proposer(MemberId me, std::vector<MemberId> members, Ballot ballot,
           uint64_t learned_upto);

  void Start(Output* out);
  void OnPromiseReply(const MemberId& from, const PromiseReply& reply,
                      Output* out);
  void OnSlotReply(const MemberId& from, const SlotReply& reply, Output* out);
  void OnWriteReply(const MemberId& from, const WriteReply& reply, Output* out);
  // Our acceptor has learned everything below, what was chosen here included.
  void OnLearned(uint64_t learned_upto, Output* out);
  // Time for what was not answered to be sent again.
  void OnRetry(Output* out);

  // Requires leading() and idle(). Chosen comes as Output::chosen with `own`.
  void Propose(EntryProto entry, Output* out);

  bool leading() const { return epoch_.has_value() && !deposed(); }
  bool idle() const { return phase_ == Phase::kIdle; }
  bool deposed() const { return phase_ == Phase::kDeposed; }
  Phase phase() const { return phase_; }
  const Ballot& ballot() const { return ballot_; }
  uint64_t position() const { return position_; }
  std::optional<uint64_t> epoch() const { return epoch_; }
  // The highest round that stood in the way.
  uint64_t highest_round() const { return highest_round_; }
  // The members whose answers would carry it on; none when nothing is asked.
  std::vector<MemberId> Unheard() const;

  void CheckInvariants() const;

 private:
  size_t promise_quorum() const { return PromiseQuorum(members_.size()); }
  size_t write_quorum() const { return WriteQuorum(members_.size()); }

  void SendPromise(const MemberId& to, Output* out) const;
  void NextPosition(Output* out);
  void Query(Output* out);
  void Decide(Output* out);
  void WriteEntry(EntryProto entry, bool own, Output* out);
  void SendWrite(const MemberId& to, Output* out) const;
  // Notes a refusal, and gives up when it makes `needed` votes impossible.
  void Refused(const MemberId& from, const BallotProto& promised, size_t needed,
               Output* out);
  void Depose(Output* out);
  bool Counts(const MemberId& from) const;

  const MemberId me_;
  const std::vector<MemberId> members_;
  const Ballot ballot_;
  Phase phase_ = Phase::kSelf;
  uint64_t position_;
  uint64_t highest_round_ = 0;

  std::set<MemberId> promised_;
  std::set<MemberId> refused_;
  // One past the highest position that any of the promised may hold.
  uint64_t end_ = 0;
  std::map<MemberId, SlotProto> slots_;  // of position_
  EntryProto entry_;                     // being written at position_
  bool own_ = false;
  std::set<MemberId> accepted_;
  bool chosen_ = false;  // entry_ is, and our acceptor will learn it next.
  std::optional<uint64_t> epoch_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_PROPOSER_H_
