// C4, the second half: no agent obeys a master before the log has chosen that
// master's LEADER entry. An epoch is the position of that entry, so a command
// whose epoch names no such entry has no effect anywhere.

#ifndef QUORATE_SIM_CHECKERS_CHOSEN_EPOCHS_H_
#define QUORATE_SIM_CHECKERS_CHOSEN_EPOCHS_H_

#include <cstdint>
#include <string>

#include "sim/checkers/log_agreement.h"
#include "sim/world.h"

namespace quorate::sim {

class ChosenEpochs {
 public:
  // Both outlive the checker; a violation fails the run of `world`.
  ChosenEpochs(World& world, const LogAgreement& agreement)
      : world_(world), agreement_(agreement) {}

  // The agent of this work directory obeys a master of that epoch; may be
  // told again.
  void Obeys(const std::string& agent, uint64_t epoch);

 private:
  World& world_;
  const LogAgreement& agreement_;
  uint64_t known_ = 0;  // the last that was found chosen
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_CHOSEN_EPOCHS_H_
