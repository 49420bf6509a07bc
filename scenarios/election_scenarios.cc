// Masters that elect their leader by themselves, and masters that stay when
// they lead no more.

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "scenarios/cluster_story.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

using sim::AgentNode;
using sim::Cluster;
using sim::ClusterOptions;
using sim::MasterNode;

ClusterOptions WithoutZooKeeper(sim::World& world, bool standby = false) {
  sim::NetworkOptions network = DrawNetwork(world);
  // A silence of 600 ms is reason enough for an election.
  network.spike = std::min<io::Duration>(network.spike, 100ms);
  return {.masters = 3,
          .quorum = 2,
          .agents = 2,
          .zookeepers = 0,
          .builtin_election = true,
          .standby = standby,
          .network = network};
}

// It is to feel nothing of what happens.
void BeginTask(Cluster& c) {
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 120");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
}

void AwaitUndisturbedTask(sim::World& world, Cluster& c) {
  c.AwaitTask("long", "TASK_FINISHED", 300s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// A rolling restart with other flags, with a task in between.
void RestartMasters(sim::World& world, Cluster& c,
                    const std::function<void(master::MasterOptions&)>& change) {
  static constexpr io::Duration kApart = 20s;
  for (MasterNode* master : c.masters()) {
    master->ChangeFlags(change);
    master->Kill();
    world.RunFor(1s);
    master->Restart();
    world.RunFor(kApart);
    c.AwaitService();
  }
}

// The same with agents and the framework.
void RestartOthers(sim::World& world, Cluster& c,
                   const election::MasterLocation& location) {
  for (AgentNode* agent : c.agents()) {
    agent->ChangeFlags(
        [&](agent::AgentOptions& flags) { flags.master = location; });
    agent->Kill();
    world.RunFor(1s);
    agent->Restart();
    c.AwaitService();
  }
  c.framework().LookFor(location);
  c.framework().Kill();
  c.framework().Restart();
  c.AwaitService();
}

void LoseLeader(sim::World& world, Cluster& c) {
  MasterNode& old = c.AwaitLeader(60s);
  old.Kill();
  c.AwaitLeaderOtherThan(old, 60s);
  old.Restart();
  world.RunFor(5s);
  c.AwaitService();
}

}  // namespace

// Users asked for masters that need no ZooKeeper (A8). The leader dies, and
// the others have elected another within two seconds.
SCENARIO(Builtin, ATaskSurvivesTheDeathOfTheLeadingMaster) {
  Cluster c(world, WithoutZooKeeper(world));
  auto random = world.NewRandom("story");
  BeginTask(c);
  const std::vector<std::string> ids = c.AgentIds();
  MasterNode& old = c.AwaitLeader(5s);
  world.RunFor(random->Between(0s, 5s));
  old.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 5s);
  c.AwaitRegistered(next, 90s);
  EXPECT_NOW(c.AgentIds() == ids);
  AwaitUndisturbedTask(world, c);
}

// A leader that loses its power says nothing: it is missed.
SCENARIO(Builtin, TheLeadersHostLosesPower) {
  Cluster c(world, WithoutZooKeeper(world));
  BeginTask(c);
  MasterNode& old = c.AwaitLeader(5s);
  old.LosePower();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 10s);
  c.AwaitRegistered(next, 90s);
  old.Restart();
  AwaitUndisturbedTask(world, c);
  EXPECT_NOW(next.leads());
}

// A leader that the others do not hear ends its process, and another leads.
// Back again it follows, and disturbs nobody.
SCENARIO(Builtin, TheLeaderIsCutOffFromTheOthers) {
  Cluster c(world, WithoutZooKeeper(world));
  BeginTask(c);
  MasterNode& old = c.AwaitLeader(5s);
  c.Cut({old}, OtherMasters(c, old));
  c.AwaitExit(old, io::kExitLostLeadership, 10s);
  MasterNode& next = c.AwaitLeaderOtherThan(old, 10s);
  c.AwaitRegistered(next, 90s);
  old.Restart();
  world.RunFor(20s);
  c.Heal();
  world.RunFor(20s);
  EXPECT_NOW(next.leads());
  AwaitUndisturbedTask(world, c);
}

// A link that carries one way only: a leader that is not answered goes, and a
// follower that hears no leader does not bring it down.
SCENARIO(Builtin, AOneWayCutAtTheLeaderOrAtAFollower) {
  Cluster c(world, WithoutZooKeeper(world));
  auto random = world.NewRandom("story");
  BeginTask(c);
  MasterNode& old = c.AwaitLeader(5s);
  const bool deaf = random->Below(2) == 0;
  if (deaf) {
    c.CutOneWay(OtherMasters(c, old), {old});
    c.AwaitExit(old, io::kExitLostLeadership, 10s);
    c.AwaitRegistered(c.AwaitLeaderOtherThan(old, 20s), 90s);
  } else {
    const sim::Host& follower = OtherMasters(c, old).front();
    c.CutOneWay({old}, {follower});
    world.RunFor(60s);
    EXPECT_NOW(old.leads());
  }
  c.Heal();
  AwaitUndisturbedTask(world, c);
}

// Fencing: a leader that stood still for longer than any timeout gives no
// command that an agent obeys when it goes on (the checkers watch that), and
// ends as soon as it hears of its successor.
SCENARIO(Builtin, ALeaderThatStoodStillDoesNoHarm) {
  Cluster c(world, WithoutZooKeeper(world));
  auto random = world.NewRandom("story");
  BeginTask(c);
  MasterNode& old = c.AwaitLeader(5s);
  old.PauseFor(random->Between(10s, 100s));
  MasterNode& next = c.AwaitLeaderOtherThan(old, 10s);
  c.AwaitRegistered(next, 90s);
  c.AwaitExit(old, io::kExitLostLeadership, 120s);
  AwaitUndisturbedTask(world, c);
}

// Pauses of 200 ms, as of a busy disk or a virtual machine, elect nobody.
SCENARIO(Builtin, ShortPausesElectNobody) {
  Cluster c(world, WithoutZooKeeper(world));
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  MasterNode& leader = c.AwaitLeader(5s);
  for (int i = 0; i < 50; ++i) {
    MasterNode* paused = c.masters()[random->Below(3)];
    paused->PauseFor(200ms);
    world.RunFor(random->Between(300ms, 2s));
    EXPECT_NOW(leader.leads());
  }
}

// Users asked for leaders that step down without an end of their process
// (A12). It is a warm standby then, and may lead again.
SCENARIO(Builtin, AFormerLeaderStandsByAndLeadsAgain) {
  Cluster c(world, WithoutZooKeeper(world, /*standby=*/true));
  BeginTask(c);
  MasterNode& old = c.AwaitLeader(5s);
  const std::string id = old.role()->id();
  c.Cut({old}, OtherMasters(c, old));
  MasterNode& next = c.AwaitLeaderOtherThan(old, 10s);
  c.AwaitRegistered(next, 90s);
  EXPECT_SOON(!old.leads(), 5s);
  EXPECT_NOW(old.running());
  EXPECT_SOON(old.role()->view().agents.empty(), 1s);
  c.Heal();
  world.RunFor(5s);
  for (MasterNode* master : c.masters()) {
    if (master != &old) master->Kill();
    if (master != &old && master != &next) master->Restart();
  }
  c.AwaitRegistered(c.AwaitLeaderOtherThan(next, 60s), 90s);
  EXPECT_NOW(!old.leads() || old.role()->id() != id);
  AwaitUndisturbedTask(world, c);
}

// The same with ZooKeeper: a session that is lost costs the leadership, and
// nothing else.
SCENARIO(ZooKeeper, AFormerLeaderStandsBy) {
  Cluster c(world, {.masters = 3,
                    .quorum = 2,
                    .agents = 2,
                    .standby = true,
                    .network = DrawNetwork(world)});
  BeginTask(c);
  for (int i = 0; i < 3; ++i) {
    MasterNode& old = c.AwaitLeader(60s);
    c.zookeeper().ExpireSessionsOf(old);
    EXPECT_SOON(!old.leads(), 30s);
    c.AwaitRegistered(90s);
    EXPECT_NOW(old.running());
  }
  AwaitUndisturbedTask(world, c);
}

// A cluster that has ZooKeeper elect moves to the built-in election, program
// by program and under load, does without ZooKeeper for a while, and moves
// back. docs/operations.md tells operators the same steps.
SCENARIO(Builtin, AClusterMovesAwayFromZooKeeperAndBack) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 900");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  RestartMasters(world, c,
                 [&](auto& flags) { flags.masters = c.master_endpoints(); });
  RestartOthers(world, c, {.masters = c.master_endpoints()});
  RestartMasters(world, c, [](auto& flags) { flags.zk.reset(); });
  for (sim::Host* server : c.zookeepers()) server->LosePower();
  LoseLeader(world, c);
  for (sim::Host* server : c.zookeepers()) server->Boot();
  RestartMasters(world, c, [&](auto& flags) { flags.zk = c.zookeeper_url(); });
  RestartOthers(world, c, {.zookeeper = c.zookeeper_url()});
  RestartMasters(world, c, [](auto& flags) { flags.masters.clear(); });
  LoseLeader(world, c);
  c.AwaitTask("long", "TASK_FINISHED", 1000s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

}  // namespace quorate::scenarios
