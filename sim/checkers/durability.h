// C2: each acknowledged append is readable for ever, unchanged and where it
// was acknowledged, from the disk of every later leader; until a truncation
// that was asked for gives it up.
//
//   Durability durability(world, agreement);
//   durability.Acknowledged(position, payload);
//   durability.Read("replica1", from, range.next, range.entries);

#ifndef QUORATE_SIM_CHECKERS_DURABILITY_H_
#define QUORATE_SIM_CHECKERS_DURABILITY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/log/log_node.h"
#include "sim/checkers/log_agreement.h"
#include "sim/world.h"

namespace quorate::sim {

class Durability {
 public:
  // Both outlive the checker; a violation fails the run of `world`.
  Durability(World& world, const LogAgreement& agreement)
      : world_(world), agreement_(agreement) {}

  // A client was told that its entry is chosen at that position. Each append
  // has a payload of its own.
  void Acknowledged(uint64_t position, const std::string& payload);
  // Somebody has asked for a truncation to there, whatever comes of it.
  void MayTruncate(uint64_t to);

  // Of what was read, in order of positions: nobody may begin above what may
  // have been truncated.
  void BeginsAt(const std::string& who, uint64_t base);
  // These are all the client entries of [from, to) there.
  void Read(const std::string& who, uint64_t from, uint64_t to,
            const std::vector<log::LogNode::Committed>& entries);
  // Everything that was acknowledged by now lies below `end`.
  void EndsAt(const std::string& who, uint64_t end);

  uint64_t acknowledged() const { return positions_.size(); }
  // The highest position of an acknowledged append; 0: none.
  uint64_t highest() const {
    return payloads_.empty() ? 0 : payloads_.rbegin()->first;
  }
  // Below, entries may have been given up.
  uint64_t may_be_truncated() const { return may_be_truncated_; }

 private:
  World& world_;
  const LogAgreement& agreement_;
  std::map<std::string, uint64_t> positions_;      // by payload
  std::multimap<uint64_t, std::string> payloads_;  // by position
  uint64_t may_be_truncated_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_DURABILITY_H_
