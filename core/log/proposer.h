// The proposer: one attempt of one member to lead the log with one ballot. A
// pure machine; a new attempt is a new proposer.
//
// It first has its own acceptor promise the ballot, durably, before anybody
// else hears of it, so that no ballot is used twice. Then it collects promises
// from a quorum, finishes every position that an earlier leader may have left
// half done, and writes its LEADER entry. When that is chosen it leads, and
// its position is the epoch. One position is under way at a time, so that the
// configuration of each is known exactly: after a CONFIG entry the promises of
// the new members are needed before anything else is written.
//
// Invariants: a ballot proposes at most one value at a position; each member
// of the position's configuration counts once, whatever is duplicated, and
// nobody else does; a damaged record never counts as "nothing was accepted";
// once it leads, it alone chooses, so that an entry learned from elsewhere
// deposes it.

#ifndef QUORATE_CORE_LOG_PROPOSER_H_
#define QUORATE_CORE_LOG_PROPOSER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/log/types.h"

namespace quorate::log {

namespace testing {
struct MachineText;
}

class Proposer {
 public:
  enum class Phase {
    kSelf,     // our own promise is being made durable
    kPromise,  // promises of the others
    kRecover,  // finding out what a position holds
    kWrite,    // an entry is being written at `position()`
    kIdle,     // leading, nothing to write
    kDeposed,  // another ballot is in the way; the end
  };

  struct Chosen {
    uint64_t position;
    Entry entry;
    std::string hash;
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

  // `members` vote at `learned_upto`, up to which our acceptor has learned,
  // and include `me`.
  Proposer(MemberId me, std::vector<MemberId> members, Ballot ballot,
           uint64_t learned_upto);

  void Start(Output* out);
  void OnPromiseReply(const MemberId& from, const PromiseReply& reply,
                      Output* out);
  void OnSlotReply(const MemberId& from, const SlotReply& reply, Output* out);
  void OnWriteReply(const MemberId& from, const WriteReply& reply, Output* out);
  // Our acceptor has learned everything below, what was chosen here included;
  // `members` vote at `learned_upto`.
  void OnLearned(uint64_t learned_upto, const std::vector<MemberId>& members,
                 Output* out);
  // Time for what was not answered to be sent again.
  void OnRetry(Output* out);

  // Asks somebody outside the configuration for a promise, before a
  // configuration with it is proposed. Requires leading().
  void AskPromise(const MemberId& member, Output* out);
  bool HasPromised(const MemberId& member) const {
    return promised_.count(member) != 0;
  }

  // Requires leading() and idle(). Chosen comes as Output::chosen with `own`.
  void Propose(Entry entry, Output* out);

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
  // Members that answered that they do not vote now.
  const std::set<MemberId>& not_ready() const { return not_ready_; }
  // Why the position cannot be decided although a quorum has answered: every
  // copy that is reachable is damaged. Empty when that is not so.
  std::string Blocked() const;

  void CheckInvariants() const;

  // For the planted bug of that name.
  void PlantQuorum(size_t quorum) { planted_quorum_ = quorum; }

 private:
  // Tells equal states from different ones.
  friend struct testing::MachineText;

  struct Promised {
    uint64_t end = 0;
    uint64_t blind_below = 0;
  };

  size_t promise_quorum() const {
    return planted_quorum_ > 0 ? planted_quorum_
                               : PromiseQuorum(members_.size());
  }
  size_t write_quorum() const {
    return planted_quorum_ > 0 ? planted_quorum_ : WriteQuorum(members_.size());
  }
  size_t CountPromised() const;
  size_t CountRefused() const;

  void SendPromise(const MemberId& to, Output* out) const;
  void NextPosition(Output* out);
  void Query(Output* out);
  void Decide(Output* out);
  bool Take(const std::map<MemberId, SlotProto>& slots, Output* out);
  std::map<MemberId, SlotProto> KnownSlots() const;
  void WriteEntry(Entry entry, bool own, Output* out);
  void SendWrite(const MemberId& to, Output* out) const;
  // Notes a refusal, and gives up when it makes `needed` votes impossible.
  void Refused(const MemberId& from, const BallotProto& promised, size_t needed,
               Output* out);
  void Depose(Output* out);
  bool Counts(const MemberId& from) const;

  const MemberId me_;
  std::vector<MemberId> members_;  // of position_
  const Ballot ballot_;
  Phase phase_ = Phase::kSelf;
  uint64_t position_;
  uint64_t highest_round_ = 0;

  // Also those outside the configuration.
  std::map<MemberId, Promised> promised_;
  std::set<MemberId> refused_;
  std::set<MemberId> not_ready_;
  std::map<MemberId, SlotProto> slots_;  // of position_
  Entry entry_;                          // being written at position_
  std::string hash_;                     // of entry_
  bool own_ = false;
  std::set<MemberId> accepted_;
  uint64_t duplicates_ = 0;    // planted
  size_t planted_quorum_ = 0;  // 0: not planted
  bool chosen_ = false;  // entry_ is, and our acceptor will learn it next.
  // Hash of what this ballot chose at position_ - 1; empty: not by it.
  std::string previous_hash_;
  std::map<MemberId, uint64_t> acked_;  // one past the highest vote for us
  std::optional<uint64_t> epoch_;
};

// What the slots of one position allow to be written there.
struct Decision {
  enum class Kind {
    kWait,    // the answers of others are needed
    kFree,    // nothing can have been chosen, or ever be, at a lower ballot
    kForced,  // `slot` may have been chosen
  };
  Kind kind = Kind::kWait;
  const SlotProto* slot = nullptr;
  // kWait although q1 have answered: this ballot's value is only known damaged.
  std::optional<Ballot> damaged;
};

// The rule of Paxos, made for disks that fail: a record that is damaged is
// never counted as "nothing was accepted". `slots` holds the answers of
// members, none of them LEARNED or TRUNCATED, of a configuration of that many.
Decision Decide(const std::map<MemberId, SlotProto>& slots, size_t members);

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_PROPOSER_H_
