#include "scenarios/shrinking.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "scenarios/scenario.h"
#include "scenarios/variation.h"
#include "scenarios/workers.h"

namespace quorate::scenarios {

std::string ShrinkFailure(const Result& failed, const Options& options,
                          std::chrono::seconds at_most,
                          const std::function<void()>& tick) {
  const Scenario& scenario = All()[failed.job.scenario];
  const sim::Plan drawn = scenario.draw(failed.job.seed);
  const auto began = std::chrono::steady_clock::now();
  int runs = 0;
  Result smallest = failed;
  const auto fails = [&](const sim::Plan& plan) {
    ++runs;
    Options again = options;
    again.seed = failed.job.seed;
    again.set = plan.Difference(drawn);
    Workers worker(1, again);
    std::optional<Job> next = failed.job;
    bool same = false;
    worker.Run([&] { return std::exchange(next, std::nullopt); },
               [&](const Result& result) {
                 same = result.ending == failed.ending;
                 if (same) smallest = result;
               },
               tick);
    return same;
  };
  const auto plan = PlanOf(scenario, failed.job.seed, options);
  const sim::Plan small = sim::Shrink(plan.value_or(drawn), fails, [&] {
    return std::chrono::steady_clock::now() - began < at_most;
  });
  return absl::StrCat("The smallest run that fails like it, found in ", runs,
                      " more:\n  ", small.ToString(), "\n", smallest.report);
}

}  // namespace quorate::scenarios
