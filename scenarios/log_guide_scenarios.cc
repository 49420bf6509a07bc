// What operators do to the masters' log, in the right order and in wrong ones,
// and what their machines do to them.

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "scenarios/log_story.h"
#include "scenarios/scenario.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

using State = log::LogStatus::State;

std::vector<int> Shuffled(std::vector<int> list, io::Random& random) {
  for (size_t i = list.size(); i > 1; --i) {
    std::swap(list[i - 1], list[random.Below(i)]);
  }
  return list;
}

void Restart(sim::LogCluster& log, int i) {
  log.Kill(i);
  log.Start(i);
}

// One bit of each sector of the records that a stopped replica has on disk.
void DamageRecords(sim::LogCluster& log, int i) {
  for (auto& [path, node] : log.Files(i)) {
    if (!absl::StrContains(path, "/records/")) continue;
    for (size_t at = 100; at < node->content.size();
         at += sim::FileSystem::kSectorBytes) {
      if (node->content[at] != '\0') node->content[at] ^= 0x10;
    }
    node->durable = node->content;
  }
}

}  // namespace

// S5. Operational guide, replacing a master: the old machine, switched on again
// after another has its place, has no vote and harms nobody.
SCENARIO(Members, AReplacedMasterThatReturnsHasNoVote) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  const int old = static_cast<int>(random->Below(3));
  log.Kill(old);
  const int fresh = log.Add(2);
  EXPECT_NOW(ChangeMembers(world, log, {fresh}, {old}));
  Load(world, log, 10);
  log.Start(old);
  world.Took(sim::Fault::kReplacedReturns, log.host(old).name());
  EXPECT_SOON(log.status(old).state == State::kJoining, 30s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  // With it there are three again that hear each other, of which two vote.
  log.Retire((old + 1) % 3);
  log.Retire((old + 2) % 3);
  world.RunFor(5s);
  EXPECT_NOW(log.Leaders().empty());
  EXPECT_NOW(!log.status(old).voting);
}

// S7. A disk is wiped, and before its successor has a vote another master dies:
// the log waits for that one, and forgets nothing.
SCENARIO(Members, AWipedDiskAndThenAnotherDeath) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, static_cast<int>(random->Below(20)));
  const int wiped = static_cast<int>(random->Below(3));
  const int dies = static_cast<int>((wiped + 1 + random->Below(2)) % 3);
  log.LosePower(wiped);
  log.Wipe(wiped);
  log.Start(wiped);
  world.RunFor(random->Between(0ms, 500ms));
  log.LosePower(dies);
  world.RunFor(5s);
  const uint64_t before = log.acknowledged();
  Load(world, log, 400);
  EXPECT_NOW(log.acknowledged() == before);
  EXPECT_NOW(log.Leaders().empty());
  log.Start(dies);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_SOON(log.Converged(), 20s);
}

// S10. Operational guide, from three masters to five: each is restarted with
// the larger --quorum, and two are added, in whatever order the operator does
// it. The members follow, and appends go on throughout.
SCENARIO(Members, ThreeBecomeFiveInAnyOrderOfSteps) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  // 0 to 2: restart that one; 3, 4: add one.
  for (int step : Shuffled({0, 1, 2, 3, 4}, *random)) {
    if (step < 3) {
      log.SetQuorum(step, 3);
      Restart(log, step);
    } else {
      log.Add(3);
    }
    world.RunFor(random->Between(0s, 10s));
    EXPECT_NOW(Acknowledges(world, log, 30s));
  }
  EXPECT_SOON(Leader(log) >= 0 && log.Members(Leader(log)).size() == 5, 3min);
  // Five tolerate two.
  const int leader = Leader(log);
  log.Retire((leader + 1) % 5);
  log.Retire((leader + 2) % 5);
  EXPECT_NOW(Acknowledges(world, log, 30s));
}

// S17. A master of another cluster comes to the same place: nothing of it is
// believed, in either direction.
SCENARIO(Members, AMasterOfAnotherClusterIsRefused) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const std::string ours = log.status(Leader(log)).cluster_id;
  const int stranger = log.AddForeign(1);
  for (int i = 0; i < 3; ++i) log.Cut(stranger, i);
  EXPECT_SOON(log.status(stranger).state == State::kLeading, 30s);
  const std::string theirs = log.status(stranger).cluster_id;
  EXPECT_NOW(ours != theirs);
  log.network().MendAll();
  const uint64_t before = log.acknowledged();
  for (int i = 0; i < 200 && !world.failure(); ++i) {
    for (int leader : log.Leaders()) {
      if (leader != stranger) log.Append(leader);
    }
    world.RunFor(20ms);
  }
  EXPECT_NOW(log.acknowledged() > before + 100);
  for (int i = 0; i < 3; ++i) EXPECT_NOW(log.status(i).cluster_id == ours);
  EXPECT_NOW(log.status(stranger).cluster_id == theirs);
  EXPECT_NOW(log.status(stranger).state == State::kLeading);
}

// S19. The same records are damaged on two of three: the third has them, and
// gives them to the others.
SCENARIO(Damage, OfTheSameRecordsOnTwoOfThree) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int i = 0; i < 20; ++i) EXPECT_NOW(Acknowledges(world, log, 10s));
  EXPECT_SOON(log.Converged(), 10s);
  // A checkpoint brings the records to the disk.
  for (int i = 0; i < 3; ++i) Restart(log, i);
  EXPECT_SOON(Leader(log) >= 0 && log.Converged(), 30s);
  const int whole = static_cast<int>(random->Below(3));
  for (int i = 0; i < 3; ++i) {
    if (i == whole) continue;
    log.Kill(i);
    DamageRecords(log, i);
  }
  log.Start((whole + 1) % 3);
  world.RunFor(random->Between(0s, 3s));
  log.Start((whole + 2) % 3);
  EXPECT_SOON(Leader(log) >= 0 && log.Converged(), 60s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  for (int i = 0; i < 3; ++i) {
    EXPECT_SOON(log.up(i) && log.status(i).metrics["log/damaged"] == 0, 60s);
    if (i == whole) continue;
    EXPECT_NOW(log.status(i).metrics["log/repaired"] > 0);
  }
}

// S28. Wall clocks are days apart, and jump by hours while leaders come and go:
// the log does not look at them.
SCENARIO(Log, ClocksThatJumpMeanNothing) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  for (int i = 0; i < 3; ++i) {
    log.host(i).clock().SetWallOffset(random->Between(-24h, 24h));
  }
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int turn = 0; turn < 6 && !world.failure(); ++turn) {
    const int i = static_cast<int>(random->Below(3));
    log.host(i).clock().JumpWall(random->Between(-1h, 1h));
    Load(world, log, 20);
    log.Read(i);
    EXPECT_SOON(Leader(log) >= 0, 30s);
    if (random->Below(2) == 0) Restart(log, Leader(log));
    EXPECT_NOW(Acknowledges(world, log, 30s));
  }
  EXPECT_SOON(log.Converged(), 10s);
}

// S29. A replica comes back and fetches what it missed, while the leader gives
// up the very entries that it asks for.
SCENARIO(Log, TruncationRacesWithCatchingUp) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  for (int turn = 0; turn < 4 && !world.failure(); ++turn) {
    EXPECT_SOON(Leader(log) >= 0 && log.Converged(), 30s);
    const int late = (Leader(log) + 1) % 3;
    log.Kill(late);
    Load(world, log, 60);
    log.Start(late);
    for (int i = 0; i < 40 && !world.failure(); ++i) {
      if (Leader(log) >= 0) {
        const int leader = Leader(log);
        const uint64_t learned = log.status(leader).learned_upto;
        log.Truncate(leader, learned - std::min<uint64_t>(learned, 2));
        log.Append(leader);
      }
      world.RunFor(random->Between(100us, 20ms));
    }
  }
  EXPECT_SOON(Leader(log) >= 0 && log.Converged(), 30s);
  EXPECT_NOW(log.status(0).base > 60);
}

// S31. The power of the whole room fails while appends are under way, again and
// again: what was acknowledged is there afterwards.
SCENARIO(Log, AllLosePowerAtOnce) {
  auto random = world.NewRandom("story");
  const int replicas = random->Below(2) == 0 ? 3 : 5;
  sim::LogCluster log(world, Electing(replicas));
  for (int turn = 0; turn < 6 && !world.failure(); ++turn) {
    EXPECT_SOON(Leader(log) >= 0, 30s);
    Load(world, log, static_cast<int>(random->Below(10)));
    for (int leader : log.Leaders()) log.Append(leader, 20 << 10);
    world.RunFor(random->Between(0us, 3ms));
    for (int i = 0; i < replicas; ++i) log.LosePower(i);
    std::vector<int> all;
    for (int i = 0; i < replicas; ++i) all.push_back(i);
    for (int i : Shuffled(all, *random)) {
      world.RunFor(random->Between(0s, 2s));
      log.Start(i);
    }
  }
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_SOON(log.Converged(), 20s);
}

// A leader that is about to be stopped hands over: another one leads before
// anybody could have missed it.
SCENARIO(Log, ALeaderHandsOver) {
  sim::LogCluster log(world, Electing(3));
  auto random = world.NewRandom("story");
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, static_cast<int>(random->Below(50)));
  EXPECT_NOW(Acknowledges(world, log, 10s));
  const int old = Leader(log);
  log.TransferLeadership(old);
  const io::Duration noticed =
      sim::LogClusterOptions::SmallLog().min_election_timeout;
  EXPECT_SOON(Leader(log) >= 0 && Leader(log) != old, noticed);
  log.Kill(old);
  EXPECT_NOW(Acknowledges(world, log, 10s));
  log.Start(old);
  EXPECT_SOON(log.Converged(), 30s);
}

// Operational guide, a rolling restart: one master after the other, waiting for
// each to be back; the log is never without a leader for long.
SCENARIO(Log, ARollingRestartStopsNothing) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int i : Shuffled({0, 1, 2}, *random)) {
    Restart(log, i);
    EXPECT_SOON(log.status(i).voting, 30s);
    EXPECT_NOW(Acknowledges(world, log, 15s));
  }
  EXPECT_SOON(log.Converged(), 10s);
}

// Operational guide, first start: nothing is decided before all that the
// --quorum declares are there, and then by itself.
SCENARIO(Members, AFirstStartWaitsForAll) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  const int late = static_cast<int>(random->Below(3));
  log.Kill(late);
  world.RunFor(random->Between(1s, 60s));
  EXPECT_NOW(log.Leaders().empty() && log.acknowledged() == 0);
  log.Start(late);
  EXPECT_SOON(Leader(log) >= 0, 60s);
  EXPECT_NOW(Acknowledges(world, log, 10s));
  EXPECT_NOW(log.Members(Leader(log)).size() == 3);
}

}  // namespace quorate::scenarios
