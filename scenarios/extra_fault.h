// One fault more than a story tells of, at one of its steps. A step begins
// whenever the story begins to wait; World counts them.
//
//   auto fault = ParseExtraFault("3:suspend:master0");
//   Outcome outcome = RunWithExtraFault(story, 7, *fault);
//
// There are two classes. A *hiccup* is short: a host that sleeps for at most
// 300 ms, a link that carries nothing as long, connections that are reset, a
// slow disk, a slow process, a wall clock that jumps. Stories survive one as
// they are told: all that they expect must hold. A *blow* is not in the story:
// a process dies, a host loses its power, sleeps, or is cut off for long. Then
// what the story expects is excused, and whether it ends; what checkers see is
// not.

#ifndef QUORATE_SCENARIOS_EXTRA_FAULT_H_
#define QUORATE_SCENARIOS_EXTRA_FAULT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {

enum class FaultClass { kHiccup, kBlow };

struct ExtraFault {
  uint64_t step = 0;
  FaultClass fault_class = FaultClass::kHiccup;
  // Empty: both are drawn by seed and step.
  std::string kind;    // "suspend"
  std::string target;  // "master0", or of a link "master0>agent1"
};

// STEP:KIND:TARGET, as replay commands have it.
absl::StatusOr<ExtraFault> ParseExtraFault(absl::string_view text);
std::string ToString(const ExtraFault& fault);

struct ExtraOutcome {
  // Without a failure if that is excused.
  Outcome outcome;
  // What was injected; nothing if the story has no such step, or there was
  // nobody to strike.
  std::optional<ExtraFault> injected;
  // It had an effect, by the world's own count.
  bool took_effect = false;
};

// `spectator` may be null.
ExtraOutcome RunWithExtraFault(const Scenario& story, uint64_t seed,
                               const ExtraFault& fault,
                               sim::Spectator* spectator = nullptr);

struct Sweep {
  uint64_t steps = 0;
  uint64_t runs = 0;
  uint64_t took_effect = 0;
  Outcome plain;                  // of the story as it is told
  std::optional<Outcome> failed;  // the first one
};

// A run with a hiccup and one with a blow for each step of the story; for
// `most_steps` of them at most, others with each seed. 0: all.
Sweep SweepExtraFaults(const Scenario& story, uint64_t seed,
                       uint64_t most_steps);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_EXTRA_FAULT_H_
