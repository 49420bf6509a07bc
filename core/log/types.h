// Ballots, entries, slots and quorums: the words of the protocol.

#ifndef QUORATE_CORE_LOG_TYPES_H_
#define QUORATE_CORE_LOG_TYPES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/log/log.pb.h"

namespace quorate::log {

// 16 random bytes, made when a directory is formatted, never reused.
using MemberId = std::string;

// Who may propose: the higher ballot wins. Round 0 is no ballot.
struct Ballot {
  uint64_t round = 0;
  MemberId member;

  friend bool operator==(const Ballot& a, const Ballot& b) {
    return a.round == b.round && a.member == b.member;
  }
  friend bool operator!=(const Ballot& a, const Ballot& b) { return !(a == b); }
  friend bool operator<(const Ballot& a, const Ballot& b) {
    return std::tie(a.round, a.member) < std::tie(b.round, b.member);
  }
  friend bool operator>(const Ballot& a, const Ballot& b) { return b < a; }
  friend bool operator<=(const Ballot& a, const Ballot& b) { return !(b < a); }
};

inline Ballot FromProto(const BallotProto& proto) {
  return {proto.round(), proto.member()};
}
inline BallotProto ToProto(const Ballot& ballot) {
  BallotProto proto;
  proto.set_round(ballot.round);
  proto.set_member(ballot.member);
  return proto;
}

// Entries are large and travel between machines and lanes: shared, and never
// changed.
using Entry = std::shared_ptr<const EntryProto>;

inline bool SameEntry(const EntryProto& a, const EntryProto& b) {
  if (a.type() != b.type() || a.payload_size() != b.payload_size()) {
    return false;
  }
  for (int i = 0; i < a.payload_size(); ++i) {
    if (a.payload(i) != b.payload(i)) return false;
  }
  return true;
}

inline std::vector<MemberId> MembersOf(const Config& config) {
  std::vector<MemberId> ids;
  for (const Member& member : config.members()) ids.push_back(member.id());
  return ids;
}
inline bool IsMember(const Config& config, const MemberId& id) {
  for (const Member& member : config.members()) {
    if (member.id() == id) return true;
  }
  return false;
}

// 16 bytes, against accidents and not against forgers.
std::string EntryHash(const EntryProto& entry);

// What a replica holds at a position that is not empty.
struct Slot {
  enum class State {
    kAccepted,
    kLearned,
    kFaulty,  // accepted at `ballot`; the entry is damaged
  };
  State state = State::kAccepted;
  Ballot ballot;
  Entry entry;       // null when faulty
  std::string hash;  // EntryHash of what was accepted
};

struct LearnedEntry {
  uint64_t position = 0;
  // Of the accepted value; none for what was only learned.
  Ballot ballot;
  Entry entry;
};

// What a replica knows of another one.
struct Seen {
  uint64_t incarnation = 0;
  uint64_t boot_nonce = 0;
  Ballot promised;
  uint64_t end = 0;  // one past the highest position it voted for
};

// A replica's memory, as its disk shows it.
struct ReplicaState {
  Ballot promised;
  // Every position in [base, settled) is learned. Its record is in Storage,
  // but for the holes.
  uint64_t base = 0;
  uint64_t settled = 0;
  // Begin and end of the learned positions whose record is damaged.
  std::map<uint64_t, uint64_t> holes;
  // At and above `settled`.
  std::map<uint64_t, Slot> slots;
  // Below it, a position at or above `settled` that is not in `slots` may have
  // been accepted: the disk does not tell.
  uint64_t blind_below = 0;
  // Under this promise, or a lower one.
  Ballot blind_promised;
  // Its reserve is used, and there is no space for another one.
  bool disk_full = false;
  std::map<MemberId, Seen> seen;
};

// Writes that must reach the disk together, the promise before the slots.
struct DurableWrite {
  uint64_t number = 0;
  std::optional<Ballot> promised;
  std::map<uint64_t, Slot> accepted;
  std::map<MemberId, Seen> seen;

  bool empty() const {
    return !promised.has_value() && accepted.empty() && seen.empty();
  }
};

// Phase-2 quorum: what makes a value chosen.
inline size_t WriteQuorum(size_t members) { return members / 2 + 1; }
// Phase-1 quorum: intersects every phase-2 quorum.
inline size_t PromiseQuorum(size_t members) {
  return members - WriteQuorum(members) + 1;
}

// Why something does not go on, and what an operator does about it.
struct Explanation {
  std::string why;     // empty: it goes on
  std::string remedy;  // empty: nothing but to wait
};

// A message to one member. It may leave only when the durable write with this
// number, and all before it, have reached the disk.
struct Outgoing {
  MemberId to;
  LogMessage message;
  uint64_t after_write = 0;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_TYPES_H_
