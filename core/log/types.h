// Ballots, entries and quorums: the words of the protocol.

#ifndef QUORATE_CORE_LOG_TYPES_H_
#define QUORATE_CORE_LOG_TYPES_H_

#include <cstdint>
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

inline bool SameEntry(const EntryProto& a, const EntryProto& b) {
  return a.type() == b.type() && a.payload() == b.payload();
}

// Phase-2 quorum: what makes a value chosen.
inline size_t WriteQuorum(size_t members) { return members / 2 + 1; }
// Phase-1 quorum: intersects every phase-2 quorum.
inline size_t PromiseQuorum(size_t members) {
  return members - WriteQuorum(members) + 1;
}

// A message to one member. It may leave only when the durable write with this
// number, and all before it, have reached the disk.
struct Outgoing {
  MemberId to;
  LogMessage message;
  uint64_t after_write = 0;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_TYPES_H_
