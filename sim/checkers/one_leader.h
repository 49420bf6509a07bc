// C4: in each epoch one master acts, and epochs only rise: a master that begins
// to act has a newer epoch than all that ever acted before it.

#ifndef QUORATE_SIM_CHECKERS_ONE_LEADER_H_
#define QUORATE_SIM_CHECKERS_ONE_LEADER_H_

#include <cstdint>
#include <map>
#include <string>

#include "sim/world.h"

namespace quorate::sim {

class OneLeader {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit OneLeader(World& world) : world_(world) {}

  // The master process with this id acts in that epoch; may be told again.
  void Acts(const std::string& master_id, uint64_t epoch);

  // How many masters have led so far.
  size_t reigns() const { return leaders_.size(); }

 private:
  World& world_;
  std::map<uint64_t, std::string> leaders_;  // by epoch
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_ONE_LEADER_H_
