// What frameworks may do to a cluster, by mistake or out of spite, and what
// masters answer.

#include <algorithm>
#include <string>
#include <vector>

#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

using sim::AgentNode;
using sim::Cluster;
using sim::Fault;
using sim::FrameworkNode;
using sim::MasterNode;

// The task ran from its beginning to its end; perhaps told more than once.
bool Undisturbed(std::vector<std::string> states) {
  states.erase(std::unique(states.begin(), states.end()), states.end());
  return states == std::vector<std::string>{"TASK_STARTING", "TASK_RUNNING",
                                            "TASK_FINISHED"};
}

}  // namespace

// A framework that leaves and comes back, again and again, keeps its id, and
// its tasks do not notice.
SCENARIO(Frameworks, AReconnectStormCostsNoTask) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 2});
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 30");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = framework.id();
  for (int storm = 0; storm < 5; ++storm) {
    framework.Reconnect(10);
    world.RunFor(4s);
  }
  EXPECT_NOW(world.faults().of(Fault::kFrameworkReconnects) > 0);
  c.AwaitTask("long", "TASK_FINISHED", 60s);
  EXPECT_NOW(framework.id() == id);
  c.AwaitService();
  c.AwaitSettled();
}

// Who subscribes last with an id has the framework; the other is told, and may
// take it back.
SCENARIO(Frameworks, TheSecondSubscriptionWins) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 20");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  framework.SubscribeTwice();
  EXPECT_SOON(!framework.errors().empty(), 30s);
  EXPECT_NOW(framework.errors().back() == "Framework failed over");
  EXPECT_SOON(world.faults().of(Fault::kSubscribedTwice) == 1, 10s);
  EXPECT_SOON(framework.subscribed(), 30s);
  c.AwaitTask("long", "TASK_FINISHED", 60s);
  c.AwaitService();
  c.AwaitSettled();
}

// A launch on an offer that is gone is told to be TASK_DROPPED, and runs
// nothing.
SCENARIO(Frameworks, AnOfferThatIsGoneLaunchesNothing) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("first", "sleep 1");
  c.AwaitTask("first", "TASK_FINISHED", 30s);
  framework.AcceptStale();
  EXPECT_SOON(framework.Ended("stale0-framework"), 30s);
  EXPECT_NOW(framework.States("stale0-framework") ==
             std::vector<std::string>{"TASK_DROPPED"});
  EXPECT_NOW(world.faults().of(Fault::kStaleOfferAccepted) == 1);
  EXPECT_NOW(c.checks().task_truth().started() == 1);
  c.AwaitService();
}

// An acknowledgement that fits no update changes nothing: what waits is told
// all the same.
SCENARIO(Frameworks, AnAcknowledgementOfNothingIsIgnored) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 10");
  c.AwaitTask("long", "TASK_STARTING", 30s);
  for (int i = 0; i < 20; ++i) {
    c.framework().AcknowledgeUnknown();
    world.RunFor(500ms);
  }
  c.AwaitTask("long", "TASK_FINISHED", 60s);
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
  EXPECT_NOW(world.faults().of(Fault::kUnknownAcknowledged) == 20);
  c.AwaitSettled();
}

// A task id may be used again when its task has ended; while it has not, the
// second is refused and the first goes on. While the former run's executor is
// still there, the launch is told to be dropped.
SCENARIO(Frameworks, ATaskIdIsUsedAgain) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.LaunchNextTwice();
  framework.Launch("twin", "sleep 3");
  c.AwaitTask("twin", "TASK_FINISHED", 30s);
  EXPECT_NOW(Undisturbed(framework.States("twin")));
  EXPECT_NOW(world.faults().of(Fault::kTaskIdReused) == 1);
  EXPECT_NOW(framework.ReuseId());
  EXPECT_SOON(framework.Ended("twin"), 60s);
  EXPECT_NOW(framework.States("twin").back() == "TASK_DROPPED");
  for (int life = 2; life <= 6; ++life) {
    world.RunFor(3s);
    EXPECT_NOW(framework.ReuseId());
    EXPECT_SOON(framework.Ended("twin"), 60s);
    EXPECT_NOW(framework.States("twin").back() == "TASK_FINISHED");
    EXPECT_NOW(c.checks().task_truth().started() == life);
  }
  EXPECT_NOW(world.faults().of(Fault::kTaskIdReused) == 6);
  c.AwaitSettled();
}

// Ten thousand calls at once are all answered, and nobody else waits for that.
SCENARIO(Frameworks, TenThousandCallsAtOnce) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 2, .frameworks = 2});
  c.AwaitRegistered(60s);
  FrameworkNode& noisy = *c.frameworks()[0];
  FrameworkNode& quiet = *c.frameworks()[1];
  EXPECT_SOON(noisy.subscribed() && quiet.subscribed(), 30s);
  noisy.Flood(10'000);
  EXPECT_SOON(noisy.flood_answers() > 0, 10s);
  quiet.Launch("short", "sleep 1");
  c.AwaitTask("short", "TASK_FINISHED", 20s);
  EXPECT_SOON(noisy.flood_answers() == 10'000, 120s);
  EXPECT_NOW(noisy.flood_accepted() == 10'000);
  EXPECT_NOW(world.faults().of(Fault::kCallFlood) == 1);
  c.AwaitService();
}

// A framework that does not read what it asks for is cut off when it has left
// too much, comes back, and hears then what it has missed of its tasks.
SCENARIO(Frameworks, ASlowReaderIsCutOff) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 30");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const int subscriptions = framework.subscriptions();
  framework.Flood(150, 1000);
  // Its calls are on their way, and the answers will not be read.
  EXPECT_SOON(framework.flood_answers() > 0, 30s);
  framework.ReadNothingFor(240s);
  world.RunFor(250s);
  EXPECT_NOW(world.faults().of(Fault::kSlowConsumer) == 1);
  EXPECT_SOON(framework.subscriptions() > subscriptions, 60s);
  c.AwaitTask("long", "TASK_FINISHED", 60s);
  c.AwaitService();
  c.AwaitSettled();
}

// A framework has its failover_timeout to come back. At the edge it is either
// in time, with its id and its tasks, or it is removed: then its tasks are
// killed, it is told so, and it may begin anew.
SCENARIO(Frameworks, TheFailoverTimeoutIsKeptAtItsEdge) {
  Cluster c(world, {.masters = 1,
                    .quorum = 1,
                    .agents = 1,
                    .framework = {.failover_timeout = 20s}});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  FrameworkNode& framework = c.framework();
  framework.Launch("long", "sleep 60");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  const std::string id = framework.id();
  const int subscriptions = framework.subscriptions();
  framework.Kill();
  world.RunFor(random->Between(19500ms, 20500ms));
  framework.Restart();
  EXPECT_SOON(framework.subscriptions() > subscriptions, 60s);
  if (framework.id() == id) {
    c.AwaitTask("long", "TASK_FINISHED", 120s);
    EXPECT_NOW(Undisturbed(framework.States("long")));
  } else {
    EXPECT_NOW(framework.errors().back() == "Framework has been removed");
    EXPECT_SOON(c.checks().task_truth().running() == 0, 30s);
    EXPECT_NOW(!framework.Reached("long", "TASK_FINISHED"));
  }
  c.AwaitService();
  c.AwaitSettled();
}

// A task is unreachable when the registry says so of its agent, and runs on
// when the agent is back.
SCENARIO(Tasks, AreUnreachableAndComeBack) {
  Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
  c.AwaitRegistered(60s);
  c.framework().Launch("lonely", "sleep 300");
  c.AwaitTask("lonely", "TASK_RUNNING", 30s);
  AgentNode& agent = *c.AgentWithId(c.framework().AgentOf("lonely"));
  c.Cut({agent}, c.Others(agent));
  c.AwaitTask("lonely", "TASK_UNREACHABLE", 180s);
  c.Heal();
  c.AwaitRegistered(180s);
  EXPECT_SOON(c.framework().States("lonely").back() == "TASK_RUNNING", 60s);
  c.AwaitTask("lonely", "TASK_FINISHED", 400s);
  c.AwaitSettled();
}

// A launch that is lost on its way to the agent is told to be so.
SCENARIO(Tasks, ALaunchIsLostOnItsWay) {
  Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  AgentNode& agent = *c.agents().front();
  MasterNode& master = *c.masters().front();
  // The link is made anew only when the framework has used an offer.
  c.CutOneWay({master}, {agent});
  for (int i = 0; i < 3; ++i) {
    c.framework().Launch(absl::StrCat("lost", i), "sleep 1");
    world.RunFor(random->Between(500ms, 1500ms));
  }
  world.RunFor(random->Between(10s, 40s));
  c.Heal();
  c.AwaitService();
  c.AwaitSettled();
}

namespace {

constexpr sim::FrameworkFaults kEveryMisdeed{.reconnect = 0.05,
                                             .subscribe_twice = 0.05,
                                             .stale_accept = 0.1,
                                             .unknown_acknowledge = 0.2,
                                             .flood = 0.01,
                                             .flood_calls = 500,
                                             .slow = 0.02,
                                             .slow_for = 10s,
                                             .reuse_id = 0.2};

void Disturb(Cluster& c, io::Random& random) {
  MasterNode& master = *c.masters()[random.Below(c.masters().size())];
  AgentNode& agent = *c.agents()[random.Below(c.agents().size())];
  switch (random.Below(6)) {
    case 0:
      return master.Kill();
    case 1:
      return agent.Kill();
    case 2:
      return agent.LosePower();
    case 3:
      return c.Cut({agent}, c.Others(agent));
    case 4:
      return c.AnyFramework(random).Kill();
    default:
      return c.Heal();
  }
}

}  // namespace

// Frameworks misbehave in every way while masters and agents die and links
// break: when it is over all agree with each other again.
SCENARIO(Storm, OfFrameworksComesToRest) {
  Cluster c(world, {.masters = 3, .quorum = 2, .agents = 3, .frameworks = 2});
  c.Supervise();
  auto random = world.NewRandom("storm");
  c.AwaitRegistered(60s);
  for (FrameworkNode* framework : c.frameworks()) {
    framework->Misbehave(kEveryMisdeed);
  }
  for (int step = 0; step < 30 && !world.failure(); ++step) {
    const auto seconds = random->Below(20);
    c.AnyFramework(*random).Launch(absl::StrCat("task", step),
                                   absl::StrCat("sleep ", seconds));
    Disturb(c, *random);
    world.RunFor(random->Between(100ms, 5s));
  }
  c.EndDisturbances();
  c.AwaitService();
  c.AwaitSettled();
}

}  // namespace quorate::scenarios
