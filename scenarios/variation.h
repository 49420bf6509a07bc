// A run as the flags want it: with a plan that is changed, or with a fault more
// than its story tells of.

#ifndef QUORATE_SCENARIOS_VARIATION_H_
#define QUORATE_SCENARIOS_VARIATION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "scenarios/options.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {

// Whether --set and --extra_fault are understood by these, of All().
absl::Status CheckVariation(const Options& options,
                            const std::vector<size_t>& scenarios);

// CheckVariation has said yes. `spectator` may be null.
Outcome RunVaried(const Scenario& scenario, uint64_t seed,
                  const Options& options, sim::Spectator* spectator);

// What a replay needs beside the seed: "" or " --set=kill=0".
std::string FlagsOf(const Options& options);

// The plan of that seed, changed by --set.
absl::StatusOr<sim::Plan> PlanOf(const Scenario& scenario, uint64_t seed,
                                 const Options& options);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_VARIATION_H_
