// The log under everything at once: each seed draws which faults there are, how
// strong, and what is asked of the log meanwhile.

#include "scenarios/log_storm.h"
#include "scenarios/scenario.h"
#include "sim/log_recovery.h"

namespace quorate::scenarios {
namespace {

void Run(sim::World& world, int replicas, const LogWeather& weather, int extra,
         bool builtin_election = true) {
  auto random = world.NewRandom("weather");
  sim::LogClusterOptions options;
  options.replicas = replicas;
  options.builtin_election = builtin_election;
  sim::LogCluster log(world, options);
  EXPECT_SOON(log.Converged(), 30s);
  for (int i = 0; i < extra; ++i) log.Add(replicas / 2 + 1);
  world.RunFor(1s);
  log.network().SetOptions(DrawNetwork(*random));
  LogStorm(world, log, weather).Blow(60);
  log.network().SetOptions({});
  EXPECT_NOW(sim::AwaitRecovery(world, log) == sim::Recovery::kMust);
}

}  // namespace

SCENARIO(Storm, OfThree) {
  Run(world, 3, DrawWeather(*world.NewRandom("faults")), 0);
}

SCENARIO(Storm, OfFive) {
  Run(world, 5, DrawWeather(*world.NewRandom("faults")), 0);
}

// Several are asked to lead at once, again and again, whoever leads already.
SCENARIO(Storm, OfRivals) {
  auto random = world.NewRandom("faults");
  LogWeather weather = DrawWeather(*random);
  weather.elections = true;
  weather.truncation = random->Below(3) == 0;
  weather.members = random->Below(2) == 0;
  Run(world, random->Below(3) == 0 ? 5 : 3, weather, weather.members ? 2 : 0,
      false);
}

// Entries are given up while others have yet to get them.
SCENARIO(Storm, WithTruncation) {
  LogWeather weather = DrawWeather(*world.NewRandom("faults"));
  weather.truncation = true;
  Run(world, 3, weather, 0);
}

// Members come and go, one or a swap at a time, by the wish of whoever leads.
SCENARIO(Storm, WithChangingMembers) {
  LogWeather weather = DrawWeather(*world.NewRandom("faults"));
  weather.members = true;
  weather.truncation = world.NewRandom("truncation")->Below(2) == 0;
  Run(world, 3, weather, 2);
}

}  // namespace quorate::scenarios
