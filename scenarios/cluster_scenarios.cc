// What the operational and the high-availability guide promise of a cluster.

#include <string>
#include <vector>

#include "scenarios/cluster_story.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

using sim::AgentNode;
using sim::Cluster;
using sim::MasterNode;

}  // namespace

// High-availability guide: when the leading master fails, another is elected
// and takes over; agents and frameworks register with it again, under their
// ids, and tasks keep running meanwhile.
SCENARIO(FailOver, ATaskSurvivesTheDeathOfTheLeadingMaster) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  const std::vector<std::string> ids = c.AgentIds();
  c.framework().Launch("long", "sleep 60");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string framework = c.framework().id();

  world.RunFor(random->Between(0s, 5s));
  old.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  c.AwaitRegistered(next, 90s);
  EXPECT_NOW(c.AgentIds() == ids);
  c.AwaitTask("long", "TASK_FINISHED", 120s);
  EXPECT_NOW(c.framework().id() == framework);
  EXPECT_NOW(c.framework().subscriptions() >= 2);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// A framework that died with the leader, and comes back with its id while
// another leads, hears how its task ended.
SCENARIO(FailOver, AFrameworkThatComesBackHearsOfItsTask) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("long", "sleep 20");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string framework = c.framework().id();

  c.framework().Kill();
  world.RunFor(random->Between(0s, 3s));
  old.Kill();
  c.AwaitLeaderOtherThan(old, 60s);
  world.RunFor(random->Between(0s, 60s));
  c.framework().Restart();
  c.AwaitTask("long", "TASK_FINISHED", 120s);
  EXPECT_NOW(c.framework().id() == framework);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// Leaders die one after another, each restarted by its supervisor.
SCENARIO(FailOver, EveryMasterMayDieInTurn) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.Supervise();
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 120");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  for (int death = 0; death < 4; ++death) {
    MasterNode& old = c.AwaitLeader(60s);
    world.RunFor(random->Between(0s, 10s));
    if (random->Below(2) == 0) {
      old.Kill();
    } else {
      old.LosePower();
    }
    c.AwaitRegistered(90s);
  }
  c.AwaitTask("long", "TASK_FINISHED", 240s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// Agent recovery: an agent that is restarted finds the executors of its
// previous life, and their tasks go on.
SCENARIO(AgentRecovery, ATaskSurvivesTheRestartOfItsAgent) {
  Cluster c(
      world,
      {.masters = 1, .quorum = 1, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("steady", "sleep 30");
  c.AwaitTask("steady", "TASK_RUNNING", 30s);
  const std::string id = c.framework().AgentOf("steady");
  AgentNode* agent = c.AgentWithId(id);
  EXPECT_NOW(agent != nullptr);

  agent->Kill();
  world.RunFor(random->Between(0s, 10s));
  agent->Restart();
  c.AwaitRegistered(90s);
  EXPECT_NOW(agent->id() == id);
  c.AwaitTask("steady", "TASK_FINISHED", 120s);
  EXPECT_NOW(Undisturbed(c.framework().States("steady")));
}

// What ended while its agent was down is told when the agent is back.
SCENARIO(AgentRecovery, ATaskEndsWhileItsAgentIsDown) {
  Cluster c(
      world,
      {.masters = 1, .quorum = 1, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("brief", "sleep 5");
  c.AwaitTask("brief", "TASK_RUNNING", 30s);
  AgentNode& agent = *c.agents().front();
  agent.Kill();
  world.RunFor(random->Between(5s, 30s));
  agent.Restart();
  c.AwaitTask("brief", "TASK_FINISHED", 60s);
  EXPECT_NOW(Undisturbed(c.framework().States("brief")));
}

// The agent dies at any disk call while a task is launched: either the task
// runs, or its framework hears that it does not; and it is never started twice.
SCENARIO(AgentRecovery, AnAgentDiesWhileItLaunchesATask) {
  Cluster c(
      world,
      {.masters = 1, .quorum = 1, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  AgentNode& agent = *c.agents().front();
  agent.Supervise(random->Between(100ms, 5s));
  const bool power = random->Below(2) == 0;
  agent.DieAtDiskCall(1 + random->Below(60), power);
  c.framework().Launch("unlucky", "sleep 10");
  EXPECT_SOON(c.framework().Ended("unlucky"), 300s);
  c.framework().Launch("lucky", "sleep 1");
  agent.DieAtDiskCall(0, false);
  c.AwaitTask("lucky", "TASK_FINISHED", 60s);
}

// A framework ends what it launched, also while the leader changes.
SCENARIO(Tasks, AreKilledWhenTheirFrameworkWantsThat) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(60s);
  c.framework().Launch("polite", "sleep 1000");
  c.framework().Launch("stubborn", "trap '' TERM; sleep 1000");
  c.AwaitTask("polite", "TASK_RUNNING", 30s);
  c.AwaitTask("stubborn", "TASK_RUNNING", 30s);
  if (random->Below(2) == 0) old.Kill();
  world.RunFor(random->Between(0s, 5s));
  c.framework().KillTask("polite");
  c.framework().KillTask("stubborn");
  c.AwaitTask("polite", "TASK_KILLED", 120s);
  c.AwaitTask("stubborn", "TASK_KILLED", 120s);
}

// A partitioned leader must not act: the majority side elects a new one, and
// the old one ends itself.
SCENARIO(SplitBrain, MinorityLeaderStepsDown) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("long", "sleep 60");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  c.Cut({old}, c.Others(old));
  c.AwaitExit(old, io::kExitLostLeadership, 30s);
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  c.AwaitRegistered(next, 90s);
  c.AwaitTask("long", "TASK_FINISHED", 120s);

  c.Heal();
  old.Restart();
  world.RunFor(30s);
  EXPECT_NOW(c.Leader() == &next);
}

// An agent that has obeyed a master obeys no former one, though it dies while
// it notes whom it obeys, and then its machine loses power.
SCENARIO(SplitBrain, AnAgentForgetsNoMaster) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.Supervise();
  c.AwaitRegistered(60s);
  AgentNode& agent = *c.agents().front();
  for (int turn = 0; turn < 4; ++turn) {
    agent.DieAtDiskCall(1 + random->Below(8), false);
    c.AwaitLeader(60s).Kill();
    c.AwaitRegistered(120s);
    agent.DieAtDiskCall(0, false);
    agent.LosePower();
    world.RunFor(random->Between(0s, 5s));
  }
  c.AwaitRegistered(60s);
}

// A leader slept, and ZooKeeper's data is restored from before: it says again
// that this one leads, and so it believes itself, cut off from the other
// masters. An agent that has obeyed its successor does not obey it any more.
SCENARIO(SplitBrain, AnAgentMeetsAMasterOfThePast) {
  Cluster c(world, {.masters = 3, .quorum = 2, .agents = 1});
  auto random = world.NewRandom("story");
  c.Supervise();
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  const sim::Ensemble::Backup backup = c.zookeeper().BackUp();
  old.Suspend();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  c.AwaitRegistered(next, 90s);
  c.zookeeper().RollBack(backup);
  c.Cut({old}, OtherMasters(c, old));
  world.RunFor(random->Between(0ms, 100ms));
  old.Wake();
  world.RunFor(random->Between(0s, 30s));
  c.Heal();
  c.AwaitRegistered(180s);
}

// A leader that ZooKeeper still hears, but the other masters do not, cannot
// write its registry: it steps down as well.
SCENARIO(SplitBrain, ALeaderWithoutAQuorumOfTheLogStepsDown) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.Cut({old}, OtherMasters(c, old));
  c.AwaitExit(old, io::kExitLostLeadership, 30s);
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  c.AwaitRegistered(next, 90s);
}

// A leader that was suspended, and wakes after another took over, ends itself
// before it does harm.
SCENARIO(SplitBrain, ASuspendedLeaderEndsItselfWhenItWakes) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  old.Pause();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 90s);
  c.AwaitRegistered(next, 90s);
  old.Resume();
  c.AwaitExit(old, io::kExitLostLeadership, 30s);
  EXPECT_NOW(c.Leader() == &next);
}

// Without ZooKeeper nobody leads; tasks do not care, and when it is back all
// goes on.
SCENARIO(ZooKeeper, AnOutageEndsTheReignAndNothingElse) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  c.Supervise();
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("long", "sleep 60");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  c.zookeepers()[0]->LosePower();
  c.zookeepers()[1]->LosePower();
  EXPECT_SOON(c.Leader() == nullptr, 60s);
  world.RunFor(20s);
  EXPECT_NOW(c.Leader() == nullptr);
  c.zookeepers()[0]->Boot();
  c.AwaitRegistered(120s);
  c.AwaitTask("long", "TASK_FINISHED", 120s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

namespace {

void DieAtDiskCall(sim::Node& node, io::Random& random) {
  const bool power = random.Below(2) == 0;
  node.DieAtDiskCall(1 + random.Below(40), power);
}

// One step of a storm: something breaks or heals.
void Disturb(Cluster& c, io::Random& random) {
  MasterNode& master = *c.masters()[random.Below(c.masters().size())];
  AgentNode& agent = *c.agents()[random.Below(c.agents().size())];
  sim::Host& server = *c.zookeepers()[random.Below(c.zookeepers().size())];
  switch (random.Below(14)) {
    case 0:
      return master.Kill();
    case 1:
      return master.LosePower();
    case 2:
      return DieAtDiskCall(master, random);
    case 3:
      return master.PauseFor(random.Between(100ms, 30s));
    case 4:
      return agent.Kill();
    case 5:
      return agent.LosePower();
    case 6:
      return DieAtDiskCall(agent, random);
    case 7:
      return agent.PauseFor(random.Between(100ms, 30s));
    case 8:
      return c.Cut({master}, c.Others(master));
    case 9:
      return c.Cut({agent}, c.Others(agent));
    case 10:
      return c.CutOneWay({master}, c.Others(master));
    case 11:
      if (!c.zookeepers().front()->up()) return;
      return server.LosePower();
    case 12:
      return c.framework().Kill();
    default:
      return c.EndDisturbances();
  }
}

}  // namespace

// Everything dies, sleeps, restarts and is cut off, again and again;
// afterwards the cluster serves as if nothing had been, and no checker has
// seen a task started twice, or a wrong word about one.
SCENARIO(Storm, TheClusterServesWhenItIsOver) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 3, .network = DrawNetwork(world)});
  c.Supervise();
  auto random = world.NewRandom("storm");
  c.AwaitRegistered(60s);
  for (int step = 0; step < 30 && !world.failure(); ++step) {
    c.framework().Launch(absl::StrCat("task", step),
                         absl::StrCat("sleep ", random->Below(30)));
    Disturb(c, *random);
    world.RunFor(random->Between(100ms, 8s));
  }
  c.EndDisturbances();
  c.AwaitRegistered(180s);
  // What was under way when the last disturbance ended may still reset a link.
  world.RunFor(60s);
  c.framework().Launch("last", "sleep 1");
  c.AwaitTask("last", "TASK_FINISHED", 120s);
}

}  // namespace quorate::scenarios
