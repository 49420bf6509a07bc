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
        const bool power = random.Below(2) != 0;
        log.process(i).DieAtDiskCall(1 + random.Below(30), power);
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

// Disturbances have ended: deposed leaders find out, one that is asked to
// leads, and everybody catches up.
void AwaitRecovery(sim::World& world, sim::LogCluster& log) {
  log.HealAll();
  world.RunFor(3s);
  log.Elect(0);
  EXPECT_SOON(log.Leaders() == std::vector<int>{0}, 30s);
  const uint64_t before = log.acknowledged();
  log.Append(0);
  EXPECT_SOON(log.acknowledged() > before, 10s);
  EXPECT_SOON(log.Converged(), 10s);
}

void AppendEverywhere(sim::LogCluster& log) {
  for (int leader : log.Leaders()) log.Append(leader);
}

void RunStorm(sim::World& world, int replicas) {
  auto random = world.NewRandom("storm");
  sim::LogCluster log(world, replicas);
  EXPECT_SOON(log.Converged(), 30s);
  for (int step = 0; step < 60 && !world.failure(); ++step) {
    Storm(log, *random);
    AppendEverywhere(log);
    world.RunFor(random->Between(1ms, 400ms));
  }
  AwaitRecovery(world, log);
}

}  // namespace

// Acknowledged entries survive crashes, power losses, pauses and partitions
// of any of three replicas, at any moment, and the log goes on afterwards.
SCENARIO(Log, ThreeReplicasInAStorm) { RunStorm(world, 3); }

SCENARIO(Log, FiveReplicasInAStorm) { RunStorm(world, 5); }

// Two candidates that do not hear each other need the same third replica, and
// that one loses its power while it promises. If it forgot a promise that it
// has given, both would have a majority.
SCENARIO(Log, TheOnlyWitnessLosesItsPower) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  for (int turn = 0; turn < 10 && !world.failure(); ++turn) {
    const int first = static_cast<int>(random->Below(3));
    const int second = static_cast<int>((first + 1 + random->Below(2)) % 3);
    const int witness = 3 - first - second;
    log.Elect(first);
    world.RunFor(500ms);
    log.Cut(first, second);
    log.process(witness).DieAtDiskCall(1 + random->Below(16), true);
    log.Elect(second);
    for (int i = 0; i < 4; ++i) {
      AppendEverywhere(log);
      world.RunFor(random->Between(100us, 2ms));
    }
    if (!log.up(witness)) log.Start(witness);
    for (int i = 0; i < 4; ++i) {
      AppendEverywhere(log);
      world.RunFor(random->Between(10ms, 400ms));
    }
    log.HealAll();
    world.RunFor(random->Between(10ms, 3s));
  }
  AwaitRecovery(world, log);
}

// The disk of one is so slow that two large votes wait for it, which together
// do not fit into its journal. It takes them one after the other.
SCENARIO(Log, ASlowDiskGetsMoreThanFits) {
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  log.Elect(0);
  EXPECT_SOON(!log.Leaders().empty(), 10s);
  log.host(2).disk_stall = 50ms;
  for (int i = 0; i < 4; ++i) {
    const uint64_t before = log.acknowledged();
    log.Append(0, 100 << 10);
    EXPECT_SOON(log.acknowledged() > before, 20s);
  }
  log.host(2).disk_stall = {};
  EXPECT_SOON(log.Converged(), 30s);
  log.Retire(1);
  const uint64_t before = log.acknowledged();
  log.Append(0);
  EXPECT_SOON(log.acknowledged() > before, 20s);
}

// A disk that fails to sync ends the process: what it wrote is uncertain, and
// only its disk can tell the next life.
SCENARIO(Log, AReplicaWhoseDiskFailsEndsItself) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  log.Elect(0);
  EXPECT_SOON(log.Leaders() == std::vector<int>{0}, 10s);
  for (int turn = 0; turn < 5 && !world.failure(); ++turn) {
    const int i = static_cast<int>(random->Below(3));
    // On a full disk it goes on in the space that it has.
    const bool fails = random->Below(2) == 0;
    log.host(i).files().failing_syncs = fails ? 1 : 0;
    log.host(i).files().full = !fails;
    for (int k = 0; k < 5 && log.up(i); ++k) {
      AppendEverywhere(log);
      world.RunFor(random->Between(1ms, 500ms));
    }
    EXPECT_NOW(!log.up(i) || !fails || log.Leaders().empty());
    if (!log.up(i)) {
      EXPECT_NOW(log.process(i).ended()->code == io::kExitDiskFailure);
    }
    log.host(i).files().failing_syncs = 0;
    log.host(i).files().full = false;
    if (log.up(i)) log.Kill(i);
    if (random->Below(2) == 0) log.LosePower(i);
    log.Start(i);
    log.Elect(0);
    world.RunFor(3s);
  }
  AwaitRecovery(world, log);
}

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
