// Scenarios: stories about a cluster, each run under many seeds.
//
//   SCENARIO(Log, SurvivesCrashes) {
//     sim::LogCluster log(world, 3);
//     ...
//     EXPECT_SOON(log.Converged(), 10s);
//   }
//
// A scenario draws what it needs from `world`. It fails when an expectation
// does not hold or a checker has called World::Fail; the failure prints the
// cause, the last events, and the command that replays it.

#ifndef QUORATE_SCENARIOS_SCENARIO_H_
#define QUORATE_SCENARIOS_SCENARIO_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sim/swarm/plan.h"
#include "sim/world.h"

namespace quorate::scenarios {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;

// A story, or a run of the swarm, which is told by a plan.
struct Scenario {
  std::string name;  // "Log.SurvivesCrashes"
  std::function<void(sim::World&)> story;
  std::function<sim::Plan(uint64_t seed)> draw;
  std::function<void(sim::World&, const sim::Plan&)> swarm;
};

// All of the program, by name.
const std::vector<Scenario>& All();

class Registration {
 public:
  explicit Registration(Scenario scenario);
};

struct Outcome {
  std::optional<std::string> failure;  // With events and replay command.
  std::string cause;                   // of the failure, alone
  sim::FailureKind failure_kind = sim::FailureKind::kViolation;
  sim::FaultCounts faults;
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  io::Duration simulated{};
};

struct RunOptions {
  // Outlives the run; null: nobody looks on.
  sim::Spectator* spectator = nullptr;
  // Instead of the plan that the seed draws; null: that one.
  const sim::Plan* plan = nullptr;
  // Called before the run begins.
  std::function<void(sim::World&)> prepare;
  // What a replay needs beside the seed, asked when the run has failed.
  std::function<std::string()> replay_flags;
};

Outcome Run(const Scenario& scenario, uint64_t seed,
            const RunOptions& options = {});

// The world of the story that runs now, null between stories: for what a
// process says last when it dies of a bug.
const sim::World* RunningWorld();

// What a failure prints: the cause, the last events, how to replay it.
// `replay_flags` begin with a space, or are empty.
std::string Report(const std::string& scenario, uint64_t seed,
                   const std::string& cause,
                   const std::vector<std::string>& last_events,
                   const std::string& replay_flags = "");
std::string ReplayCommand(const std::string& scenario, uint64_t seed);
// What runs scenarios as this program does, if that is not ./dev sim.
void SetReplayProgram(const std::string& program);

}  // namespace quorate::scenarios

#define SCENARIO(suite, name)                                                  \
  static void Scenario_##suite##_##name(quorate::sim::World& world);           \
  static const quorate::scenarios::Registration registration_##suite##_##name( \
      {#suite "." #name, Scenario_##suite##_##name, nullptr, nullptr});        \
  static void Scenario_##suite##_##name(                                       \
      [[maybe_unused]] quorate::sim::World& world)

// Both end the scenario when they do not hold.
#define EXPECT_NOW(condition)                                        \
  do {                                                               \
    if (world.failure()) return;                                     \
    if (!(condition)) {                                              \
      return world.FailExpectation(absl::StrCat(                     \
          __FILE__, ":", __LINE__, ": does not hold: " #condition)); \
    }                                                                \
  } while (false)

#define EXPECT_SOON(condition, time)                                        \
  do {                                                                      \
    if (!world.RunUntil([&] { return (condition); }, (time))) {             \
      return world.FailStuck(absl::StrCat(                                  \
          __FILE__, ":", __LINE__, ": not within " #time ": " #condition)); \
    }                                                                       \
  } while (false)

#endif  // QUORATE_SCENARIOS_SCENARIO_H_
