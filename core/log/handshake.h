// How a replica finds out that its disk is not the one it promised with.
//
// A disk that was restored from a backup, or copied to a second machine, has
// forgotten promises and votes that others count on. So each replica remembers
// what it has seen of the others (Acquaintances), and none votes after a start
// before a quorum of the members has told it what they remember, and all of
// them had the time to (Handshake). What comes later still counts against the
// disk. What a rollback lost before anybody heard of it cannot be found.

#ifndef QUORATE_CORE_LOG_HANDSHAKE_H_
#define QUORATE_CORE_LOG_HANDSHAKE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/log/types.h"

namespace quorate::log {

class Handshake {
 public:
  // What the own disk shows.
  struct Self {
    uint64_t incarnation = 0;
    uint64_t boot_nonce = 0;
    Ballot promised;
    uint64_t end = 0;    // one past the highest vote
    bool blind = false;  // the disk does not tell the end
    // Somebody may be there who is no member yet, as far as the disk knows.
    bool others = false;
  };
  struct Output {
    // Why this replica must never vote again; empty: no reason.
    std::string quarantine;
  };

  // `members` of the latest configuration known.
  Handshake(MemberId me, Self self, std::vector<MemberId> members);

  void OnConfig(std::vector<MemberId> members);
  // All that are there had the time to answer.
  void OnTimeUp();
  // What was promised and voted for in this life: answers that arrive after
  // done() still count against the disk, and not against what came since.
  void OnProgress(const Ballot& promised, uint64_t end);
  // An answer that was meant for an earlier life is ignored.
  void OnReply(const MemberId& from, const HelloReply& reply, Output* out);

  // A quorum of the members, itself included if it is one, has answered, and
  // all of them unless time is up. Once true it stays so.
  bool done() const { return done_; }
  // The members that have not answered.
  std::vector<MemberId> Missing() const;

 private:
  void CheckDone();
  std::string Evidence(const std::string& who, const HelloReply& reply) const;
  static std::string Forgotten(const Self& self, const Ballot& promised,
                               uint64_t end);

  const MemberId me_;
  const Self opened_;
  Self self_;  // and since
  std::vector<MemberId> members_;
  std::set<MemberId> answered_;
  bool time_up_ = false;
  bool done_ = false;
};

class Acquaintances {
 public:
  enum class Verdict {
    kAccept,
    kOlderLife,  // a later life of that replica was heard of
    kCloned,     // two processes use its id and incarnation
  };
  // Replicas that are remembered. A member always is, in place of one that is
  // none; others only while there is plenty of room.
  static constexpr size_t kMax = 40;
  static constexpr size_t kMaxStrangers = 20;

  Acquaintances(MemberId me, std::map<MemberId, Seen> seen);

  void OnConfig(std::vector<MemberId> members);

  // Of every message, before anything else is done with it.
  Verdict OnHeader(const MemberId& from, uint64_t incarnation,
                   uint64_t boot_nonce);
  void OnPromised(const MemberId& id, const Ballot& promised);
  void OnVoted(const MemberId& id, uint64_t end);
  // As somebody else says: nobody knows in which of its lives.
  void OnOthersVote(const MemberId& id, uint64_t end);

  // For an answer to that replica; nullopt when it is unknown.
  std::optional<SeenProto> SeenOf(const MemberId& id) const;
  bool cloned(const MemberId& id) const { return cloned_.count(id) != 0; }

  // What has changed since the last call and is to be made durable.
  std::map<MemberId, Seen> TakeChanged();
  bool changed() const { return !changed_.empty(); }

 private:
  // What one life of a replica has said itself.
  struct Life {
    Ballot promised;
    uint64_t end = 0;
  };

  Seen* Find(const MemberId& id);
  bool IsMember(const MemberId& id) const;
  void ForgetStranger();

  const MemberId me_;
  std::vector<MemberId> members_;
  std::map<MemberId, Seen> seen_;
  // Heard by this process: in the latest life, and in those before.
  std::map<MemberId, Life> latest_;
  std::map<MemberId, Life> before_;
  std::set<MemberId> cloned_;
  std::set<MemberId> changed_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_HANDSHAKE_H_
