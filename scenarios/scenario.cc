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

// Where and why, for people and for who replays it.
std::string Report(const Scenario& scenario, uint64_t seed,
                   const sim::World& world, const sim::Plan& drawn,
                   const sim::Plan& plan, const std::string& flags) {
  const std::string settings = plan.Difference(drawn);
  return absl::StrCat(
      scenario.name, " failed with seed ", seed, ":\n  ", *world.failure(),
      "\nThe last events:\n  ", absl::StrJoin(world.LastNotes(), "\n  "),
      scenario.swarm ? absl::StrCat("\nIts plan: ", plan.ToString()) : "",
      "\nReplay it with:\n  ./dev sim --scenario=", scenario.name,
      " --seed=", seed, settings.empty() ? "" : " --set=", settings, flags,
      " --verbose\n");
}

}  // namespace

Registration::Registration(Scenario scenario) {
  auto& scenarios = Registry();
  auto at = std::lower_bound(
      scenarios.begin(), scenarios.end(), scenario.name,
      [](const Scenario& a, const std::string& b) { return a.name < b; });
  scenarios.insert(at, std::move(scenario));
}

const std::vector<Scenario>& All() { return Registry(); }

Outcome Run(const Scenario& scenario, uint64_t seed,
            const RunOptions& options) {
  sim::World world(seed);
  world.spectator = options.spectator;
  if (options.prepare) options.prepare(world);
  sim::Plan drawn;
  if (scenario.draw) drawn = scenario.draw(seed);
  const sim::Plan& plan = options.plan == nullptr ? drawn : *options.plan;
  if (scenario.swarm) {
    scenario.swarm(world, plan);
  } else {
    scenario.story(world);
  }
  Outcome outcome;
  outcome.trace_hash = world.trace_hash();
  outcome.events = world.events();
  outcome.simulated = world.elapsed();
  outcome.failure_kind = world.failure_kind();
  outcome.faults = world.faults();
  if (world.failure()) {
    outcome.failure =
        Report(scenario, seed, world, drawn, plan,
               options.replay_flags ? options.replay_flags() : "");
  }
  return outcome;
}

}  // namespace quorate::scenarios
