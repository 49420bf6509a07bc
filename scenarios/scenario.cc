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

const sim::World* running_world = nullptr;

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

const sim::World* RunningWorld() { return running_world; }

std::string ReplayCommand(const std::string& scenario, uint64_t seed) {
  return absl::StrCat("./dev sim --scenario=", scenario, " --seed=", seed);
}

std::string Report(const std::string& scenario, uint64_t seed,
                   const std::string& cause,
                   const std::vector<std::string>& last_events) {
  std::string report =
      absl::StrCat(scenario, " failed with seed ", seed, ":\n  ", cause, "\n");
  if (!last_events.empty()) {
    absl::StrAppend(&report, "The last events:\n  ",
                    absl::StrJoin(last_events, "\n  "), "\n");
  }
  const std::string replay = ReplayCommand(scenario, seed);
  absl::StrAppend(&report, "Replay it with:\n  ", replay, " --verbose\n  ",
                  replay, " --html=run.html\n");
  return report;
}

Outcome Run(const Scenario& scenario, uint64_t seed,
            sim::Spectator* spectator) {
  sim::World world(seed);
  world.spectator = spectator;
  running_world = &world;
  scenario.body(world);
  running_world = nullptr;
  Outcome outcome;
  outcome.trace_hash = world.trace_hash();
  outcome.events = world.events();
  outcome.simulated = world.elapsed();
  outcome.failure_kind = world.failure_kind();
  outcome.faults = world.faults();
  if (world.failure()) {
    outcome.cause = *world.failure();
    outcome.failure =
        Report(scenario.name, seed, outcome.cause, world.LastNotes());
  }
  return outcome;
}

}  // namespace quorate::scenarios
