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

std::string& ReplayProgram() {
  static auto& program = *new std::string("./dev sim");
  return program;
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

const sim::World* RunningWorld() { return running_world; }

std::string ReplayCommand(const std::string& scenario, uint64_t seed) {
  return absl::StrCat(ReplayProgram(), " --scenario=", scenario,
                      " --seed=", seed);
}

void SetReplayProgram(const std::string& program) { ReplayProgram() = program; }

std::string Report(const std::string& scenario, uint64_t seed,
                   const std::string& cause,
                   const std::vector<std::string>& last_events,
                   const std::string& replay_flags) {
  std::string report =
      absl::StrCat(scenario, " failed with seed ", seed, ":\n  ", cause, "\n");
  if (!last_events.empty()) {
    absl::StrAppend(&report, "The last events:\n  ",
                    absl::StrJoin(last_events, "\n  "), "\n");
  }
  const std::string replay =
      absl::StrCat(ReplayCommand(scenario, seed), replay_flags);
  absl::StrAppend(&report, "Replay it with:\n  ", replay, " --verbose\n  ",
                  replay, " --html=run.html\n");
  return report;
}

namespace {

std::string Setting(const sim::Plan& plan, const sim::Plan& drawn) {
  const std::string difference = plan.Difference(drawn);
  return difference.empty() ? "" : absl::StrCat(" --set=", difference);
}

}  // namespace

Outcome Run(const Scenario& scenario, uint64_t seed,
            const RunOptions& options) {
  sim::World world(seed);
  world.spectator = options.spectator;
  if (options.prepare) options.prepare(world);
  sim::Plan drawn;
  if (scenario.draw) drawn = scenario.draw(seed);
  const sim::Plan& plan = options.plan == nullptr ? drawn : *options.plan;
  running_world = &world;
  if (scenario.swarm) {
    scenario.swarm(world, plan);
  } else {
    scenario.story(world);
  }
  running_world = nullptr;
  Outcome outcome;
  outcome.trace_hash = world.trace_hash();
  outcome.events = world.events();
  outcome.simulated = world.elapsed();
  outcome.failure_kind = world.failure_kind();
  outcome.faults = world.faults();
  if (world.failure()) {
    outcome.cause = *world.failure();
    const std::string flags =
        absl::StrCat(Setting(plan, drawn),
                     options.replay_flags ? options.replay_flags() : "");
    outcome.failure =
        Report(scenario.name, seed, outcome.cause, world.LastNotes(), flags);
    if (scenario.swarm) {
      absl::StrAppend(&*outcome.failure, "Its plan:\n  ", plan.ToString(),
                      "\n");
    }
  }
  return outcome;
}

}  // namespace quorate::scenarios
