// What masters remember over fail-overs: frameworks and their end, agents that
// are gone; and how many agents they give up.

#include <functional>
#include <string>
#include <vector>

#include "core/master/cluster.h"
#include "core/registry/registrar.h"
#include "scenarios/cluster_story.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

using sim::AgentNode;
using sim::Cluster;
using sim::FrameworkNode;
using sim::MasterNode;

// From the first start on.
void SetFlags(sim::Cluster& c,
              const std::function<void(master::MasterOptions&)>& change) {
  for (MasterNode* master : c.masters()) {
    master->ChangeFlags(change);
    master->Kill();
  }
  for (MasterNode* master : c.masters()) master->Restart();
}

bool IsListed(MasterNode& leader, const std::string& framework_id) {
  return leader.leads() &&
         leader.role()->cluster().FindFramework(framework_id) != nullptr;
}

bool HasEnded(MasterNode& leader, const std::string& framework_id) {
  return leader.leads() && leader.role()->registry().HasEnded(framework_id);
}

int Unreachable(Cluster& c) {
  MasterNode* leader = c.Leader();
  return leader == nullptr
             ? 0
             : static_cast<int>(
                   leader->role()->registry().unreachable().size());
}

}  // namespace

// A framework that was torn down has ended for every leader to come. Its
// agent, which could not be told, ends its task when it is back; and whoever
// uses its id hears that it has been removed.
SCENARIO(FailOver, AnEndedFrameworkStaysEnded) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  c.Supervise();
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 3000");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = framework.id();
  AgentNode& agent = *c.AgentWithId(framework.AgentOf("long"));
  c.Cut({agent}, c.Others(agent));
  const auto call = c.console().TearDown(id);
  EXPECT_SOON(call->status != 0, 60s);
  for (int turn = 0; turn < 2; ++turn) {
    c.AwaitLeader(60s).Kill();
    world.RunFor(random->Between(0s, 20s));
  }
  c.Heal();
  MasterNode& next = c.AwaitLeader(60s);
  EXPECT_NOW(HasEnded(next, id));
  EXPECT_SOON(!framework.id().empty() && framework.id() != id, 180s);
  EXPECT_NOW(framework.errors().back() == "Framework has been removed");
  c.AwaitRegistered(180s);
  EXPECT_SOON(c.checks().task_truth().running() == 0, 60s);
  c.AwaitService();
  c.AwaitSettled();
}

// A new leader knows the frameworks of the one before, although neither they
// nor any agent has come back, and counts their failover_timeout from its own
// election.
SCENARIO(FailOver, AFrameworkThatStaysAwayIsRemovedByTheNextLeader) {
  Cluster c(world, {.masters = 3,
                    .quorum = 2,
                    .agents = 1,
                    .framework = {.failover_timeout = 700s},
                    .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 3000");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = framework.id();
  AgentNode& agent = *c.agents().front();
  c.Cut({agent}, c.Others(agent));
  framework.Kill();
  world.RunFor(300s);
  old.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  EXPECT_NOW(IsListed(next, id));
  world.RunFor(690s);
  EXPECT_NOW(IsListed(next, id));
  EXPECT_SOON(HasEnded(next, id), 30s);
  EXPECT_NOW(c.checks().task_truth().running() == 1);
  c.Heal();
  EXPECT_SOON(c.checks().task_truth().running() == 0, 180s);
  framework.Restart();
  EXPECT_SOON(framework.subscribed() && framework.id() != id, 60s);
}

// An operator may tear down a framework that has not come back after a
// fail-over, so that its tasks end.
SCENARIO(FailOver, AFrameworkThatIsAwayIsTornDown) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 3000");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = framework.id();
  framework.Kill();
  old.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  // Before its agent is back, or later.
  world.RunFor(random->Between(0s, 20s));
  const auto call = c.console().TearDown(id);
  EXPECT_SOON(call->status == 200, 60s);
  EXPECT_NOW(HasEnded(next, id));
  EXPECT_SOON(c.checks().task_truth().running() == 0, 120s);
  framework.Restart();
  EXPECT_SOON(framework.subscribed() && framework.id() != id, 60s);
}

// An agent that an operator has marked gone never comes back, whoever leads: it
// is told to shut down, ends what it runs, and begins anew as another one.
// Wherever it was meanwhile, its framework hears that the task is gone.
SCENARIO(FailOver, AnAgentThatIsGoneStaysGone) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 2, .network = DrawNetwork(world)});
  c.Supervise();
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 3000");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = c.framework().AgentOf("long");
  AgentNode& agent = *c.AgentWithId(id);
  // It may hear of it at once, later, or from the next leader.
  const uint64_t where = random->Below(3);
  if (where != 0) c.Cut({agent}, c.Others(agent));
  if (where == 2) EXPECT_SOON(Unreachable(c) == 1, 180s);
  const auto call = c.console().MarkGone(id);
  EXPECT_SOON(call->status == 200, 60s);
  c.AwaitTask("long", "TASK_GONE_BY_OPERATOR", 120s);
  c.AwaitLeader(60s).Kill();
  world.RunFor(random->Between(0s, 20s));
  c.Heal();
  c.AwaitRegistered(180s);
  EXPECT_NOW(agent.id() != id);
  EXPECT_SOON(c.checks().task_truth().running() == 0, 60s);
  c.AwaitService();
  c.AwaitSettled();
}

// After a fail-over most agents are missing: then it is more likely that the
// new leader is cut off than that they are dead, and nobody is told anything of
// their tasks, until they are back.
SCENARIO(FailOver, MostAgentsAreMissingAndWaitedFor) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 3, .network = DrawNetwork(world)});
  MasterNode& old = c.AwaitLeader(60s);
  c.AwaitRegistered(old, 60s);
  c.framework().Launch("long", "sleep 3000");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  for (AgentNode* agent : c.agents()) c.Cut({*agent}, c.Others(*agent));
  old.Kill();
  MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
  world.RunFor(1300s);
  EXPECT_NOW(Unreachable(c) == 0 && next.leads());
  EXPECT_NOW(c.framework().States("long").back() == "TASK_RUNNING");
  c.Heal();
  c.AwaitRegistered(180s);
  c.AwaitTask("long", "TASK_FINISHED", 2000s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// Agents are marked unreachable no faster than --agent_unreachable_rate_limit
// says; whoever is back before its turn has never been unreachable.
SCENARIO(Partition, AgentsAreUnreachableAtALimitedRate) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 3, .network = DrawNetwork(world)});
  SetFlags(c, [](master::MasterOptions& options) {
    options.agent_unreachable_rate_limit =
        master::RateLimit{1, std::chrono::minutes(10)};
  });
  auto random = world.NewRandom("story");
  c.AwaitRegistered(180s);
  const std::vector<std::string> ids = c.AgentIds();
  for (AgentNode* agent : c.agents()) c.Cut({*agent}, c.Others(*agent));
  EXPECT_SOON(Unreachable(c) == 1, 180s);
  world.RunFor(random->Between(60s, 500s));
  EXPECT_NOW(Unreachable(c) == 1);
  c.Heal();
  c.AwaitRegistered(180s);
  world.RunFor(1300s);
  EXPECT_NOW(Unreachable(c) == 0 && c.AgentIds() == ids);
  c.AwaitService();
}

}  // namespace quorate::scenarios
