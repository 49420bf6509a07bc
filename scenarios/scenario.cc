#include "scenarios/scenario.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"

namespace quorate::scenarios {
namespace {

std::vector<Scenario>& Registry() {
  static auto& scenarios = *new std::vector<Scenario>;
  return scenarios;
}

}  // namespace

Registration::Registration(std::string name,
                           std::function<void(sim::World&)> body) {
  auto& scenarios = Registry();
  auto at = std::lower_bound(
      scenarios.begin(), scenarios.end(), name,
      [](const Scenario& a, const std::string& b) { return a.name < b; });
  scenarios.insert(at, {std::move(name), std::move(body)});
}

const std::vector<Scenario>& All() { return Registry(); }

Outcome Run(const Scenario& scenario, uint64_t seed) {
  sim::World world(seed);
  scenario.body(world);
  Outcome outcome;
  outcome.trace_hash = world.trace_hash();
  outcome.events = world.events();
  outcome.simulated = world.elapsed();
  outcome.failure_kind = world.failure_kind();
  outcome.faults = world.faults();
  if (world.failure()) {
    outcome.failure = absl::StrCat(
        scenario.name, " failed with seed ", seed, ":\n  ", *world.failure(),
        "\nThe last events:\n  ", absl::StrJoin(world.LastNotes(), "\n  "),
        "\nReplay it with:\n  ./dev sim --scenario=", scenario.name,
        " --seed=", seed, " --verbose\n");
  }
  return outcome;
}

}  // namespace quorate::scenarios
