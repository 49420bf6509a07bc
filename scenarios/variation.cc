#include "scenarios/variation.h"

#include <glog/logging.h>

#include "absl/strings/str_cat.h"
#include "scenarios/extra_fault.h"

namespace quorate::scenarios {
namespace {

constexpr char kEachStep[] = "each";

Outcome RunEachStep(const Scenario& story, uint64_t seed,
                    const Options& options) {
  const Sweep sweep = SweepExtraFaults(story, seed, options.extra_fault_steps);
  return sweep.failed.value_or(sweep.plain);
}

}  // namespace

absl::StatusOr<sim::Plan> PlanOf(const Scenario& scenario, uint64_t seed,
                                 const Options& options) {
  sim::Plan plan = scenario.draw(seed);
  auto settings = sim::ParseSettings(options.set);
  if (!settings.ok()) return settings.status();
  for (const sim::Setting& setting : *settings) {
    absl::Status set = plan.Set(setting.name, setting.value);
    if (!set.ok()) return set;
  }
  return plan;
}

absl::Status CheckVariation(const Options& options,
                            const std::vector<size_t>& scenarios) {
  if (!options.extra_fault.empty() && options.extra_fault != kEachStep) {
    auto fault = ParseExtraFault(options.extra_fault);
    if (!fault.ok()) return fault.status();
  }
  if (options.set.empty()) return absl::OkStatus();
  for (const size_t i : scenarios) {
    const Scenario& scenario = All()[i];
    if (!scenario.draw) {
      return absl::InvalidArgumentError(
          absl::StrCat(scenario.name, " is a story: --set is for the swarm"));
    }
    auto plan = PlanOf(scenario, 1, options);
    if (!plan.ok()) return plan.status();
  }
  return absl::OkStatus();
}

Outcome RunVaried(const Scenario& scenario, uint64_t seed,
                  const Options& options, sim::Spectator* spectator) {
  if (options.extra_fault == kEachStep) {
    return RunEachStep(scenario, seed, options);
  }
  if (!options.extra_fault.empty()) {
    auto fault = ParseExtraFault(options.extra_fault);
    CHECK(fault.ok()) << fault.status();
    return RunWithExtraFault(scenario, seed, *fault, spectator).outcome;
  }
  if (!scenario.draw) return Run(scenario, seed, {.spectator = spectator});
  const auto plan = PlanOf(scenario, seed, options);
  CHECK(plan.ok()) << plan.status();
  return Run(scenario, seed, {.spectator = spectator, .plan = &*plan});
}

std::string FlagsOf(const Options& options) {
  std::string flags;
  if (!options.set.empty()) absl::StrAppend(&flags, " --set=", options.set);
  if (!options.extra_fault.empty()) {
    absl::StrAppend(&flags, " --extra_fault='", options.extra_fault, "'");
  }
  return flags;
}

}  // namespace quorate::scenarios
