#include "sim/checkers/obedience.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim {

void Obedience::Obeys(const std::string& agent, uint64_t epoch) {
  uint64_t& newest = epochs_[agent];
  if (epoch < newest) {
    world_.Fail(absl::StrCat(agent, " obeys a master of epoch ", epoch,
                             " after one of epoch ", newest));
  }
  newest = epoch;
}

}  // namespace quorate::sim
