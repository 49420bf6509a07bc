// Makes a failed run of the swarm as small as it can: fewer faults, a smaller
// cluster, an earlier end.

#ifndef QUORATE_SCENARIOS_SHRINKING_H_
#define QUORATE_SCENARIOS_SHRINKING_H_

#include <chrono>
#include <functional>
#include <string>

#include "scenarios/job.h"
#include "scenarios/options.h"

namespace quorate::scenarios {

// The report of the smallest run that still fails in the same way; each attempt
// runs in a process of its own, and none goes on for long after `at_most`.
// `tick` is called now and then; no attempt begins when `may_go_on` says no.
std::string ShrinkFailure(const Result& failed, const Options& options,
                          std::chrono::seconds at_most,
                          const std::function<void()>& tick,
                          const std::function<bool()>& may_go_on);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_SHRINKING_H_
