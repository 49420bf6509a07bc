// A log as LogAgreement sees it, written by hand: entries that votes choose and
// replicas learn.

#ifndef QUORATE_SIM_CHECKERS_TESTING_CHOSEN_LOG_H_
#define QUORATE_SIM_CHECKERS_TESTING_CHOSEN_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/log/log.pb.h"
#include "core/log/types.h"
#include "sim/checkers/log_agreement.h"

namespace quorate::sim {

inline log::EntryProto EntryOf(log::EntryType type,
                               const std::vector<std::string>& payload) {
  log::EntryProto entry;
  entry.set_type(type);
  for (const std::string& part : payload) entry.add_payload(part);
  return entry;
}

inline log::EntryProto AppendOf(const std::string& payload) {
  return EntryOf(log::APPEND, {payload});
}

// The first entry of a leader with that ballot.
inline log::EntryProto LeaderOf(uint64_t round, const std::string& member) {
  log::BallotProto ballot;
  ballot.set_round(round);
  ballot.set_member(member);
  return EntryOf(log::LEADER, {member, ballot.SerializeAsString()});
}

// These disks, each of the member of its name, vote for it; all are members.
inline void Vote(LogAgreement& c, uint64_t position,
                 const log::EntryProto& entry,
                 const std::vector<std::string>& disks,
                 const std::vector<std::string>& members) {
  const std::string hash = log::EntryHash(entry);
  for (const std::string& disk : disks) {
    c.Observe(disk)->OnOpened(disk);
    c.Observe(disk)->OnProposed(position, 1, "a", hash, members);
    c.Observe(disk)->OnVoted(position, 1, "a", hash);
  }
}

inline void Learn(LogAgreement& c, uint64_t position,
                  const log::EntryProto& entry, const std::string& disk) {
  c.Observe(disk)->OnLearned(position, entry.SerializeAsString());
}

// Chosen by the only member, and learned by it.
inline void Choose(LogAgreement& c, uint64_t position,
                   const log::EntryProto& entry) {
  Vote(c, position, entry, {"a"}, {"a"});
  Learn(c, position, entry, "a");
}

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_TESTING_CHOSEN_LOG_H_
