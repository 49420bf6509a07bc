// Masters that elect their leader by themselves, and masters that stay when
// they lead no more.

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

// With a task that runs for two minutes, and is to feel nothing.
ClusterOptions WithoutZooKeeper(sim::World& world) {
  return {.masters = 3,
          .quorum = 2,
          .agents = 2,
          .zookeepers = 0,
          .builtin_election = true,
          .network = DrawNetwork(world)};
}

void BeginTask(Cluster& c) {
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 120");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
}

void AwaitUndisturbedTask(sim::World& world, Cluster& c) {
  c.AwaitTask("long", "TASK_FINISHED", 300s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// From now on a master that leads no more stays.
void StandBy(Cluster& c) {
  for (MasterNode* master : c.masters()) {
    master->ChangeFlags([](master::MasterOptions& flags) {
      flags.on_lost_leadership = master::LostLeadership::kStandby;
    });
    master->Restart();
  }
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
  Cluster c(world, WithoutZooKeeper(world));
  StandBy(c);
  BeginTask(c);
  MasterNode& old = c.AwaitLeader(5s);
  const std::string id = old.role()->id();
  c.Cut({old}, OtherMasters(c, old));
  MasterNode& next = c.AwaitLeaderOtherThan(old, 10s);
  c.AwaitRegistered(next, 90s);
  EXPECT_NOW(old.running() && !old.leads());
  EXPECT_NOW(old.role()->view().agents.empty());
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
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  StandBy(c);
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

}  // namespace quorate::scenarios
