#include "scenarios/shrinking.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "scenarios/scenario.h"
#include "scenarios/variation.h"
#include "scenarios/workers.h"

namespace quorate::scenarios {
namespace {

// The first line of a cause, without what differs from run to run.
std::string KindOf(absl::string_view cause) {
  std::string kind(cause.substr(0, cause.find('\n')));
  const auto differs = [](char c) { return absl::ascii_isdigit(c); };
  kind.erase(std::remove_if(kind.begin(), kind.end(), differs), kind.end());
  return kind;
}

}  // namespace

std::string ShrinkFailure(const Result& failed, const Options& options,
                          std::chrono::seconds at_most,
                          const std::function<void()>& tick,
                          const std::function<bool()>& may_go_on) {
  const Scenario& scenario = All()[failed.job.scenario];
  const sim::Plan drawn = scenario.draw(failed.job.seed);
  const auto began = std::chrono::steady_clock::now();
  const auto left = [&] {
    return std::chrono::duration_cast<std::chrono::seconds>(
        began + at_most - std::chrono::steady_clock::now());
  };
  int runs = 0;
  Result smallest = failed;
  const auto fails = [&](const sim::Plan& plan) {
    ++runs;
    Options again = options;
    again.seed = failed.job.seed;
    again.trace.reset();
    again.html.reset();
    again.events.reset();
    again.run_timeout = std::min<flags::Duration>(
        again.run_timeout, std::max(std::chrono::seconds(1), left()));
    again.set = plan.Difference(drawn);
    Workers worker(1, again);
    std::optional<Job> next = failed.job;
    bool same = false;
    worker.Run([&] { return std::exchange(next, std::nullopt); },
               [&](const Result& result) {
                 same = result.ending == failed.ending &&
                        KindOf(result.cause) == KindOf(failed.cause);
                 if (same) smallest = result;
               },
               tick);
    return same;
  };
  const auto plan = PlanOf(scenario, failed.job.seed, options);
  const sim::Plan small = sim::Shrink(plan.value_or(drawn), fails, [&] {
    return may_go_on() && left() > std::chrono::seconds(0);
  });
  return absl::StrCat("The smallest run that fails like it, found in ", runs,
                      " more:\n  ", small.ToString(), "\n", smallest.report);
}

}  // namespace quorate::scenarios
