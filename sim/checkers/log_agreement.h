// The log's safety, as seen from outside every replica.
//
// * Agreement: at each position every replica that ever learned an entry
//   learned the same one.
// * Promises: what a replica has made durable never decreases, over crashes
//   too.
// * Durability: an acknowledged entry is the one that is learned at its
//   position, by everybody, for ever.

#ifndef QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_
#define QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/log/log_node.h"
#include "sim/world.h"

namespace quorate::sim {

class LogAgreement {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit LogAgreement(World& world);
  ~LogAgreement();

  // To be given to the replica of that name in every life it has.
  log::LogObserver* Observe(const std::string& replica);

  // A client was told that its entry is chosen at that position.
  void Acknowledged(uint64_t position, const std::string& payload);

  // Positions that anybody has learned.
  size_t learned() const { return learned_.size(); }
  size_t acknowledged() const { return acknowledged_.size(); }

 private:
  class Observer;

  void Learned(const std::string& replica, uint64_t position,
               const std::string& entry);

  World& world_;
  std::map<std::string, std::unique_ptr<Observer>> observers_;
  std::map<uint64_t, std::string> learned_;
  std::map<uint64_t, std::string> acknowledged_;  // payloads
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_
