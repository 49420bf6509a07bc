// The replicated log by itself, under everything that its fault model allows.

#include <algorithm>

#include "scenarios/scenario.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

// One step of a storm: something breaks, heals, or works.
void Storm(sim::LogCluster& log, io::Random& random) {
  const int i = static_cast<int>(random.Below(log.size()));
  const int j = static_cast<int>(random.Below(log.size()));
  switch (random.Below(12)) {
    case 0:
      if (log.up(i)) log.Kill(i);
      break;
    case 1:
      if (log.up(i)) log.LosePower(i);
      break;
    case 2:
      if (log.up(i)) {
        log.process(i).DieAtDiskCall(1 + random.Below(30), random.Below(2));
      }
      break;
    case 3:
    case 4:
    case 5:
      if (!log.up(i)) log.Start(i);
      break;
    case 6:
      if (i != j) log.network().Cut(log.host(i).ip(), log.host(j).ip());
      break;
    case 7:
      log.network().MendAll();
      break;
    case 8:
      if (log.up(i)) log.process(i).Pause();
      break;
    case 9:
      log.process(i).Resume();
      break;
    default:
      log.Elect(i);
      break;
  }
}

void HealAll(sim::LogCluster& log) {
  log.network().MendAll();
  for (int i = 0; i < log.size(); ++i) {
    log.process(i).DieAtDiskCall(0, false);
    log.process(i).Resume();
    if (!log.up(i)) log.Start(i);
  }
}

void RunStorm(sim::World& world, int replicas) {
  auto random = world.NewRandom("storm");
  sim::LogCluster log(world, replicas);
  EXPECT_SOON(log.Converged(), 30s);
  for (int step = 0; step < 60 && !world.failure(); ++step) {
    Storm(log, *random);
    for (int leader : log.Leaders()) log.Append(leader);
    world.RunFor(random->Between(1ms, 400ms));
  }
  HealAll(log);
  // Disturbances have ended: deposed leaders find out, one that is asked to
  // leads, and everybody catches up.
  world.RunFor(3s);
  log.Elect(0);
  EXPECT_SOON(log.Leaders() == std::vector<int>{0}, 30s);
  const uint64_t before = log.acknowledged();
  log.Append(0);
  EXPECT_SOON(log.acknowledged() > before, 10s);
  EXPECT_SOON(log.Converged(), 10s);
}

}  // namespace

// Acknowledged entries survive crashes, power losses, pauses and partitions
// of any of three replicas, at any moment, and the log goes on afterwards.
SCENARIO(Log, ThreeReplicasInAStorm) { RunStorm(world, 3); }

SCENARIO(Log, FiveReplicasInAStorm) { RunStorm(world, 5); }

// A single replica is a log, too: what it acknowledged survives its power.
SCENARIO(Log, OneReplicaKeepsWhatItAcknowledged) {
  auto random = world.NewRandom("storm");
  sim::LogCluster log(world, 1);
  for (int life = 0; life < 8 && !world.failure(); ++life) {
    log.Elect(0);
    EXPECT_SOON(!log.Leaders().empty(), 10s);
    for (int i = 0; i < 5; ++i) {
      log.Append(0);
      world.RunFor(random->Between(0ms, 3ms));
    }
    log.LosePower(0);
    log.Start(0);
  }
  EXPECT_SOON(log.Converged(), 10s);
}

// Two of three directories are enough to go on; one is not, and says so by
// acknowledging nothing.
SCENARIO(Log, AMinorityDoesNotAcknowledge) {
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  log.Elect(0);
  EXPECT_SOON(log.Leaders() == std::vector<int>{0}, 10s);
  log.Kill(1);
  log.Kill(2);
  const uint64_t before = log.acknowledged();
  log.Append(0);
  world.RunFor(10s);
  EXPECT_NOW(log.acknowledged() == before);
  EXPECT_NOW(log.Leaders().empty());
  log.Start(1);
  log.Elect(0);
  EXPECT_SOON(!log.Leaders().empty(), 10s);
  log.Append(0);
  EXPECT_SOON(log.acknowledged() > before, 10s);
}

}  // namespace quorate::scenarios
