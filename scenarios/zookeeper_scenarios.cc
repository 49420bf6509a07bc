// ZooKeeper proposes who leads, and the replicated log decides: what happens
// when one of them is away, late, or of another opinion.

#include "scenarios/cluster_story.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"
#include "sim/file_system.h"

namespace quorate::scenarios {
namespace {

using sim::Cluster;
using sim::MasterNode;

// After which ZooKeeper takes a silent master for dead, and what an election
// takes from then on.
constexpr io::Duration kSession = 10s;
constexpr io::Duration kFailOver = 8s;

}  // namespace

// High-availability guide: a leader that is cut off from ZooKeeper, and from
// nothing else, ends itself when its session is over, and another leads.
SCENARIO(ZooKeeper, ALeaderThatCannotReachItStepsDown) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("long", "sleep 60");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  c.Cut({old}, ZooKeepers(c));
  c.AwaitExit(old, io::kExitLostLeadership, 30s);
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  c.AwaitRegistered(next, 90s);
  c.AwaitTask("long", "TASK_FINISHED", 120s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// S24. The session of the leader expires while it lives and hears everybody: it
// ends itself at once, and what it began is seen to its end by another.
SCENARIO(ZooKeeper, TheLeadersSessionExpires) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  c.Supervise();
  auto random = world.NewRandom("story");
  for (int turn = 0; turn < 3 && !world.failure(); ++turn) {
    MasterNode& old = c.AwaitLeader(60s);
    c.AwaitRegistered(old, 90s);
    const std::string task = absl::StrCat("task", turn);
    c.framework().Launch(task, "sleep 5");
    world.RunFor(random->Between(0s, 3s));
    const uint64_t epoch = old.epoch();
    EXPECT_NOW(c.zookeeper().ExpireSessionsOf(old) > 0);
    EXPECT_SOON(!old.leads() || old.epoch() > epoch, 15s);
    c.AwaitRegistered(90s);
    // Perhaps as lost, if the launch was on its way.
    EXPECT_SOON(c.framework().Ended(task), 120s);
  }
}

// Sessions of an agent and of a framework expire: each finds the same leader
// again, and nothing else changes.
SCENARIO(ZooKeeper, SessionsOfOthersExpire) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& leader = c.AwaitLeader(60s);
  c.AwaitRegistered(leader, 60s);
  c.framework().Launch("long", "sleep 30");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  for (sim::AgentNode* agent : c.agents()) {
    EXPECT_NOW(c.zookeeper().ExpireSessionsOf(*agent) > 0);
    world.RunFor(random->Between(0s, 5s));
  }
  EXPECT_NOW(c.zookeeper().ExpireSessionsOf(c.framework()) > 0);
  c.AwaitTask("long", "TASK_FINISHED", 120s);
  c.AwaitRegistered(leader, 90s);
  EXPECT_SOON(c.framework().subscribed(), 60s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// S25. ZooKeeper has no quorum for an hour: nobody leads, tasks run on and end,
// and afterwards all of it is told.
SCENARIO(ZooKeeper, AnOutageOfAnHour) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  c.Supervise();
  c.AwaitRegistered(60s);
  c.framework().Launch("brief", "sleep 600");
  c.framework().Launch("long", "sleep 3700");
  c.AwaitTask("brief", "TASK_RUNNING", 30s);
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  c.zookeepers()[0]->LosePower();
  c.zookeepers()[1]->LosePower();
  EXPECT_SOON(c.Leader() == nullptr, 60s);
  world.RunFor(1h);
  EXPECT_NOW(c.Leader() == nullptr);
  EXPECT_NOW(!c.framework().Ended("brief"));
  c.zookeepers()[1]->Boot();
  c.AwaitRegistered(180s);
  c.AwaitTask("brief", "TASK_FINISHED", 120s);
  c.AwaitTask("long", "TASK_FINISHED", 300s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// S26. ZooKeeper says X, the log says Y: a master that ZooKeeper elects, and
// that reaches no quorum of the log, never acts; it gives up, and one that the
// log can follow leads.
SCENARIO(ZooKeeper, ElectsAMasterThatTheLogDoesNot) {
  Cluster c(
      world,
      {.masters = 5, .quorum = 3, .agents = 2, .network = DrawNetwork(world)});
  c.Supervise();
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  // Two are cut off from the other masters, of which three are left.
  std::vector<MasterNode*> alone;
  for (MasterNode* master : c.masters()) {
    if (master == &old || alone.size() == 2) continue;
    alone.push_back(master);
    c.Cut({*master}, OtherMasters(c, *master));
  }
  const auto acts = [&] { return alone[0]->leads() || alone[1]->leads(); };
  old.Kill();
  EXPECT_SOON(acts() || (c.Leader() != nullptr && c.Registered(*c.Leader())),
              600s);
  EXPECT_NOW(!acts());
  c.framework().Launch("after", "sleep 1");
  c.AwaitTask("after", "TASK_FINISHED", 120s);
}

// Its data is restored from a backup, again and again: numbers of candidates
// come back, for others than before. Whoever leads by then, one does.
SCENARIO(ZooKeeper, ABackupOfItIsRestored) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  c.Supervise();
  auto random = world.NewRandom("story");
  c.AwaitRegistered(c.AwaitLeader(60s), 60s);
  for (int turn = 0; turn < 4 && !world.failure(); ++turn) {
    const sim::Ensemble::Backup backup = c.zookeeper().BackUp();
    for (int i = 0; i < 3; ++i) {
      MasterNode& gone = *c.masters()[random->Below(3)];
      gone.Kill();
      world.RunFor(random->Between(0s, 15s));
    }
    c.zookeeper().RollBack(backup);
    world.RunFor(random->Between(0s, 15s));
    c.AwaitRegistered(180s);
  }
  c.AwaitService();
}

// The numbers of candidates overflow, and are negative then: whoever leads
// notices that another has a lower one, and the cluster goes on.
SCENARIO(ZooKeeper, ItsNumbersOverflow) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  c.Supervise();
  auto random = world.NewRandom("story");
  c.AwaitRegistered(c.AwaitLeader(60s), 60s);
  c.zookeeper().SetSequence(c.zookeeper_path(), 2147483646);
  for (int turn = 0; turn < 4 && !world.failure(); ++turn) {
    c.masters()[random->Below(3)]->Kill();
    world.RunFor(random->Between(5s, 30s));
  }
  EXPECT_NOW(world.faults().of(sim::Fault::kSequenceOverflow) > 0);
  c.AwaitRegistered(180s);
  c.AwaitService();
}

// Nobody may write any more where masters stand for leadership: those that
// have a node lead on, the others try until they may.
SCENARIO(ZooKeeper, DeniesWriting) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  c.Supervise();
  MasterNode& leader = c.AwaitLeader(60s);
  c.AwaitRegistered(leader, 60s);
  c.zookeeper().Restrict(c.zookeeper_path(), "somebody:else");
  world.RunFor(60s);
  EXPECT_NOW(leader.leads());
  for (MasterNode* master : c.masters()) master->Kill();
  EXPECT_SOON(world.faults().of(sim::Fault::kAccessDenied) > 0, 30s);
  world.RunFor(120s);
  EXPECT_NOW(c.Leader() == nullptr);
  c.zookeeper().Restrict(c.zookeeper_path(), "");
  c.AwaitRegistered(180s);
  c.AwaitService();
}

// A master without a vote in the log, whose disk was wiped, is first in line
// when the leader dies. It cannot lead, and holds nobody up who can.
SCENARIO(ZooKeeper, AMasterWithoutAVoteIsPassedOver) {
  Cluster c(
      world,
      {.masters = 5, .quorum = 3, .agents = 1, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  std::vector<MasterNode*> others;
  for (MasterNode* master : c.masters()) {
    if (master != &old) others.push_back(master);
  }
  MasterNode& extra = *others[0];
  extra.LosePower();
  extra.files().Replace(sim::FileSystem().root());
  for (MasterNode* master : others) {
    master->Kill();
    world.RunFor(1s);
    master->Restart();
    world.RunFor(15s);
  }
  EXPECT_NOW(old.leads());
  old.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, kSession + kFailOver);
  EXPECT_NOW(&next != &extra);
  EXPECT_NOW(extra.running());
  c.AwaitRegistered(next, 90s);
  c.AwaitService();
}

// A leader that is told to stop says so to ZooKeeper: another leads before its
// session would be over.
SCENARIO(ZooKeeper, ALeaderThatStopsIsSucceededAtOnce) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  world.RunFor(10s);
  old.process()->Run([&] { old.process()->Exit(io::kExitOk, "told to stop"); });
  c.AwaitLeaderOtherThan(old, kFailOver);
  c.AwaitService();
}

// High-availability guide: an agent that reaches the leader but not ZooKeeper
// knows no leader after its session; its tasks run on, and it comes back.
SCENARIO(ZooKeeper, AnAgentThatCannotReachItKeepsItsTasks) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& leader = c.AwaitLeader(60s);
  c.AwaitRegistered(leader, 60s);
  c.framework().Launch("long", "sleep 60");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  c.Cut({*c.agents().front()}, ZooKeepers(c));
  world.RunFor(random->Between(1s, 70s));
  c.Heal();
  c.AwaitRegistered(leader, 90s);
  c.AwaitTask("long", "TASK_FINISHED", 120s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

}  // namespace quorate::scenarios
