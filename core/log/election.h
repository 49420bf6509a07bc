// Who stands for leadership, and when, without a coordination service; and
// when a leader has to go.
//
// Election is about liveness only: whatever it decides, the ballots keep the
// log safe. A member that has not heard a leader for a random time asks the
// others whether they would vote for it, and stands when a quorum says so.
// Nothing of the question is persisted: a member that cannot hear the leader,
// while the others can, disturbs nobody.

#ifndef QUORATE_CORE_LOG_ELECTION_H_
#define QUORATE_CORE_LOG_ELECTION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/log/types.h"
#include "io/clock.h"
#include "io/random.h"

namespace quorate::log {

class Election {
 public:
  struct Options {
    // The wait without a heartbeat is random between the two.
    io::Duration min_timeout = std::chrono::milliseconds(600);
    io::Duration max_timeout = std::chrono::milliseconds(900);
  };
  struct Output {
    bool ask = false;    // send PreVote to all members, then OnAsked
    bool stand = false;  // a new ballot
  };

  Election(MemberId me, Options options, uint64_t seed);

  // Only members stand.
  void OnConfig(std::vector<MemberId> members);
  void OnHeartbeat(io::Instant now, const MemberId& leader,
                   const Ballot& ballot);
  // The connection to the leader broke: news that need no timer.
  void OnLeaderGone(io::Instant now);
  // This member's own candidacy or reign has ended.
  void OnLost(io::Instant now);
  // This member would vote for another one, or has: that one goes first.
  void OnGranted(io::Instant now);
  void OnPromised(io::Instant now);
  // The leader asks this member to take over.
  void OnTransfer(Output* out);
  void OnTick(io::Instant now, Output* out);

  // PreVote was sent for this round.
  void OnAsked(uint64_t round);
  void OnPreVoteReply(io::Instant now, const MemberId& from, uint64_t round,
                      bool granted, Output* out);

  // Whether this member would vote for that one now: it has not heard a
  // leader itself, and the other one is a member and not behind.
  bool Grants(io::Instant now, const MemberId& candidate,
              uint64_t candidate_learned, uint64_t own_learned) const;

  // Whether a leader was heard lately.
  bool Hears(io::Instant now) const;

  // When OnTick has something to do, if nothing happens before.
  io::Instant deadline() const { return deadline_; }

 private:
  bool IsMember(const MemberId& id) const;
  void Arm(io::Instant from, io::Duration low, io::Duration high);

  const MemberId me_;
  const Options options_;
  io::SeededRandom random_;
  std::vector<MemberId> members_;
  std::optional<io::Instant> heard_;  // a leader, whose link is not broken
  Ballot ballot_;                     // its
  io::Instant deadline_;
  bool armed_ = false;
  uint64_t asked_round_ = 0;  // 0: not asking
  std::set<MemberId> granted_;
};

// On the leader: whether a quorum still answers.
class QuorumCheck {
 public:
  QuorumCheck(MemberId me, io::Duration timeout, std::vector<MemberId> members,
              io::Instant now);

  void OnConfig(std::vector<MemberId> members, io::Instant now);
  void OnReply(const MemberId& from, io::Instant now);
  // Why this leader has to step down; empty while it need not.
  std::string Lost(io::Instant now) const;

 private:
  const MemberId me_;
  const io::Duration timeout_;
  std::vector<MemberId> members_;
  std::map<MemberId, io::Instant> heard_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_ELECTION_H_
