// The high-availability guide's cases of disconnection, and what a cluster
// resource manager, such as Pacemaker with an OCF agent, asks of a master.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "scenarios/cluster_story.h"
#include "scenarios/http_probe.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

using sim::AgentNode;
using sim::Cluster;
using sim::MasterNode;

// What its framework was last told.
std::string LastState(Cluster& c, const std::string& task) {
  const std::vector<std::string>& states = c.framework().States(task);
  return states.empty() ? "" : states.back();
}

bool Unreachable(Cluster& c, const std::string& task) {
  return LastState(c, task) == "TASK_UNREACHABLE";
}

}  // namespace

// Operational guide, the table of what a quorum tolerates: of 1, 3, 5 and 7
// masters 0, 1, 2 and 3 may fail, always the leader. With one more nothing is
// done, and what runs goes on; when it is back, so does all else.
SCENARIO(Tolerance, AsManyMastersFailAsTheGuideAllows) {
  auto random = world.NewRandom("story");
  const auto tolerated = static_cast<int>(random->Below(4));
  sim::ClusterOptions options = AnyElection(world);
  options.masters = 2 * tolerated + 1;
  options.quorum = tolerated + 1;
  Cluster c(world, options);
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 900");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  for (int i = 0; i < tolerated; ++i) c.AwaitLeader(60s).LosePower();
  c.AwaitService();
  MasterNode& last = c.AwaitLeader(60s);
  last.LosePower();
  // Those that are elected and find no quorum end in the end.
  for (MasterNode* master : c.masters()) {
    if (master->running()) master->Supervise(1s);
  }
  // Five heartbeats are missed before its framework believes it.
  world.RunFor(100s);
  c.framework().Launch("waits", "sleep 1");
  world.RunFor(30s);
  EXPECT_NOW(c.Leader() == nullptr);
  EXPECT_NOW(c.framework().States("waits").empty());
  last.Supervise(1s);
  last.Restart();
  c.AwaitTask("waits", "TASK_FINISHED", 300s);
  c.AwaitTask("long", "TASK_FINISHED", 1000s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// High-availability guide: an agent that answers no ping of the leader for 75
// seconds is unreachable, and no sooner. Its task runs on, and is told to run
// again when the agent is back.
SCENARIO(Partition, AnAgentIsUnreachableAfter75Seconds) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 400");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  AgentNode* agent = c.AgentWithId(c.framework().AgentOf("long"));
  EXPECT_NOW(agent != nullptr);
  c.Cut({*agent}, c.Others(*agent));
  world.RunFor(70s);
  EXPECT_NOW(!Unreachable(c, "long"));
  EXPECT_SOON(Unreachable(c, "long"), 60s);
  world.RunFor(random->Between(0s, 60s));
  c.Heal();
  c.AwaitRegistered(90s);
  EXPECT_SOON(LastState(c, "long") == "TASK_RUNNING", 90s);
  c.AwaitTask("long", "TASK_FINISHED", 500s);
}

// High-availability guide: a shorter partition costs nothing at all.
SCENARIO(Partition, AnAgentIsBackBefore75Seconds) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 120");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = c.framework().AgentOf("long");
  AgentNode* agent = c.AgentWithId(id);
  EXPECT_NOW(agent != nullptr);
  c.Cut({*agent}, c.Others(*agent));
  world.RunFor(random->Between(1s, 65s));
  c.Heal();
  c.AwaitRegistered(90s);
  EXPECT_NOW(agent->id() == id);
  c.AwaitTask("long", "TASK_FINISHED", 240s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// High-availability guide: a framework that is cut off from the leader goes on
// where it was when it is back, and hears how its task ended meanwhile.
SCENARIO(Partition, AFrameworkIsCutOffFromTheLeader) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& leader = c.AwaitLeader(60s);
  c.AwaitRegistered(leader, 60s);
  c.framework().Launch("brief", "sleep 10");
  c.AwaitTask("brief", "TASK_RUNNING", 30s);
  const std::string framework = c.framework().id();
  if (random->Below(2) == 0) {
    c.Cut({c.framework()}, {leader});
  } else {
    c.CutOneWay({leader}, {c.framework()});
  }
  world.RunFor(random->Between(10s, 120s));
  EXPECT_NOW(!c.framework().Ended("brief"));
  c.Heal();
  c.AwaitTask("brief", "TASK_FINISHED", 120s);
  EXPECT_NOW(c.framework().id() == framework);
  c.framework().Launch("next", "sleep 1");
  c.AwaitTask("next", "TASK_FINISHED", 60s);
}

// High-availability guide: after a fail-over, agents have ten minutes
// (--agent_reregister_timeout) to come back. Nothing is said of their tasks
// before, and then that they are unreachable.
SCENARIO(FailOver, AnAgentThatDoesNotComeBackIsUnreachable) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("lost", "sleep 3000");
  c.AwaitTask("lost", "TASK_RUNNING", 30s);
  AgentNode* agent = c.AgentWithId(c.framework().AgentOf("lost"));
  EXPECT_NOW(agent != nullptr);
  agent->LosePower();
  old.Kill();
  c.AwaitLeaderOtherThan(old, 60s);
  world.RunFor(580s);
  EXPECT_NOW(LastState(c, "lost") == "TASK_RUNNING");
  EXPECT_SOON(Unreachable(c, "lost"), 120s);
  // Back at last, its machine was started anew: the task is no more.
  agent->Restart();
  EXPECT_SOON(c.framework().Ended("lost"), 120s);
}

// Operational guide, a rolling restart of everything: masters one by one, then
// agents, then the framework. Tasks do not notice.
SCENARIO(Operations, ARollingRestartDisturbsNoTask) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 200");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::vector<std::string> ids = c.AgentIds();
  for (MasterNode* master : c.masters()) {
    master->Kill();
    world.RunFor(random->Between(0s, 5s));
    master->Restart();
    c.AwaitRegistered(120s);
  }
  for (AgentNode* agent : c.agents()) {
    agent->Kill();
    world.RunFor(random->Between(0s, 5s));
    agent->Restart();
    c.AwaitRegistered(120s);
  }
  c.framework().Kill();
  c.framework().Restart();
  c.AwaitTask("long", "TASK_FINISHED", 400s);
  EXPECT_NOW(c.AgentIds() == ids);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// S31, of a whole cluster: every machine loses its power at once. Agents come
// back under their ids, and the framework hears that its task is over.
SCENARIO(Operations, TheWholeRoomLosesItsPower) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 1000");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::vector<std::string> ids = c.AgentIds();
  world.RunFor(random->Between(0s, 3s));
  for (sim::Host* server : c.zookeepers()) server->LosePower();
  for (MasterNode* master : c.masters()) master->LosePower();
  for (AgentNode* agent : c.agents()) agent->LosePower();
  c.framework().LosePower();
  world.RunFor(random->Between(0s, 60s));
  c.EndDisturbances();
  c.AwaitRegistered(180s);
  EXPECT_NOW(c.AgentIds() == ids);
  EXPECT_SOON(c.framework().Ended("long"), 120s);
  c.framework().Launch("next", "sleep 1");
  c.AwaitTask("next", "TASK_FINISHED", 60s);
}

// S27. A suspended leader has accepted launches when it wakes, and its agent
// has heard of the next one, or not yet, or is being restarted: whatever the
// old one still sends, no task is started twice, and all end as they are told.
SCENARIO(SplitBrain, AZombieLeaderStartsNothingTwice) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  for (int i = 0; i < 4; ++i) {
    c.framework().Launch(absl::StrCat("task", i), "sleep 20");
  }
  world.RunFor(random->Between(0ms, 1500ms));
  old.Pause();
  AgentNode& agent = *c.agents()[random->Below(2)];
  const uint64_t state = random->Below(3);
  if (state == 1) c.Cut({agent}, ZooKeepers(c));
  if (state == 2) agent.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 90s);
  world.RunFor(random->Between(0s, 10s));
  if (state == 2) agent.Restart();
  old.Resume();
  c.AwaitExit(old, io::kExitLostLeadership, 30s);
  c.Heal();
  c.AwaitRegistered(next, 120s);
  for (int i = 0; i < 4; ++i) {
    EXPECT_SOON(c.framework().Ended(absl::StrCat("task", i)), 180s);
  }
}

// S28, of a whole cluster: wall clocks are wrong by days and jump by hours.
// Nobody is thought to be unreachable for that, and fail-over works.
SCENARIO(Operations, WrongClocksDisturbNothing) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  std::vector<sim::Host*> hosts(c.masters().begin(), c.masters().end());
  hosts.insert(hosts.end(), c.agents().begin(), c.agents().end());
  hosts.push_back(&c.framework());
  for (sim::Host* host : hosts) {
    host->clock().SetWallOffset(random->Between(-24h, 24h));
  }
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("long", "sleep 120");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  for (int turn = 0; turn < 5; ++turn) {
    sim::Host* host = hosts[random->Below(hosts.size())];
    host->clock().JumpWall(random->Between(-1h, 1h));
    world.RunFor(random->Between(1s, 10s));
  }
  EXPECT_NOW(c.Leader() == &old && c.Registered(old));
  old.Kill();
  c.AwaitRegistered(c.AwaitLeaderOtherThan(old, 60s), 90s);
  c.AwaitTask("long", "TASK_FINISHED", 240s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// High-availability guide: standby masters answer for themselves and send
// everybody else to the leader; while none leads, they say so.
SCENARIO(Operations, StandbysSendClientsToTheLeader) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  HttpProbe probe(world, c.network());
  MasterNode& leader = c.AwaitLeader(60s);
  c.AwaitRegistered(leader, 60s);
  for (MasterNode* master : c.masters()) {
    const HttpProbe::Answer answer = probe.Get(*master, "/state");
    EXPECT_NOW(answer.status == (master == &leader ? 200 : 307));
    if (master == &leader) continue;
    EXPECT_NOW(answer.location ==
               absl::StrCat("//", leader.ip(), ":5050/master/state"));
  }
  for (sim::Host* server : c.zookeepers()) server->LosePower();
  EXPECT_SOON(c.Leader() == nullptr, 60s);
  world.RunFor(30s);
  for (MasterNode* master : c.masters()) {
    if (master == &leader) continue;
    EXPECT_NOW(probe.Get(*master, "/state").status == 503);
    EXPECT_NOW(probe.Get(*master, "/health").status == 200);
  }
}

// OCF page, the monitor action: a master that runs is well, whether it leads or
// not; one that was stopped or hangs is not. After a start it is well again.
SCENARIO(Operations, AMonitorSeesWhetherAMasterIsWell) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  HttpProbe probe(world, c.network());
  const auto well = [&](const MasterNode& master) {
    return probe.Get(master, "/health").status == 200;
  };
  c.AwaitRegistered(60s);
  for (MasterNode* master : c.masters()) EXPECT_NOW(well(*master));
  MasterNode& stopped = *c.masters()[random->Below(3)];
  stopped.Kill();
  EXPECT_NOW(!well(stopped));
  stopped.Restart();
  EXPECT_NOW(well(stopped));
  MasterNode& hangs = *c.masters()[random->Below(3)];
  hangs.Pause();
  EXPECT_NOW(!well(hangs));
  // What the resource manager does then: stop and start.
  hangs.Kill();
  hangs.Restart();
  EXPECT_NOW(well(hangs));
  c.AwaitRegistered(120s);
}

// OCF page: a master that lost its leadership ends with an exit code of its
// own, by which its supervisor knows that a restart is all it takes.
SCENARIO(Operations, AnExitCodeTellsThatLeadershipWasLost) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  HttpProbe probe(world, c.network());
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  EXPECT_NOW(c.zookeeper().ExpireSessionsOf(old) > 0);
  c.AwaitExit(old, io::kExitLostLeadership, 30s);
  EXPECT_NOW(absl::StrContains(old.ended()->message, "lost leadership"));
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  old.Restart();
  c.AwaitRegistered(next, 90s);
  world.RunFor(5s);
  EXPECT_NOW(probe.Get(old, "/redirect").status == 307);
}

}  // namespace quorate::scenarios
