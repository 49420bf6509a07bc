#include "sim/checkers/chosen_epochs.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim {

void ChosenEpochs::Obeys(const std::string& agent, uint64_t epoch) {
  if (epoch == known_) return;
  if (!agreement_.IsEpoch(epoch)) {
    return world_.Fail(absl::StrCat(agent, " obeys a master of epoch ", epoch,
                                    ", which the log has not chosen"));
  }
  known_ = epoch;
}

}  // namespace quorate::sim
