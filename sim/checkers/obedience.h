// C4: an agent that has obeyed a master obeys none of an older epoch, whatever
// restarts and power losses lie between.

#ifndef QUORATE_SIM_CHECKERS_OBEDIENCE_H_
#define QUORATE_SIM_CHECKERS_OBEDIENCE_H_

#include <cstdint>
#include <map>
#include <string>

#include "sim/world.h"

namespace quorate::sim {

class Obedience {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit Obedience(World& world) : world_(world) {}

  // The agent of this work directory obeys a master of that epoch; may be
  // told again.
  void Obeys(const std::string& agent, uint64_t epoch);

 private:
  World& world_;
  std::map<std::string, uint64_t> epochs_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_OBEDIENCE_H_
