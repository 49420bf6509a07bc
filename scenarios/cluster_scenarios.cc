// What the operational and the high-availability guide promise of a cluster.

#include <string>
#include <vector>

#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

// Latencies as different as those of a rack and of a continent.
void DrawNetwork(sim::World& world, sim::Cluster& c) {
  auto random = world.NewRandom("weather");
  sim::NetworkOptions options;
  options.latency = random->Between(50us, 5ms);
  options.jitter = random->Between(50us, 20ms);
  options.spike_probability = random->Fraction() * 0.01;
  options.spike = random->Between(100ms, 1s);
  c.network().SetOptions(options);
}

bool OnlyThese(const std::vector<std::string>& states) {
  for (const std::string& state : states) {
    if (state != "TASK_STAGING" && state != "TASK_STARTING" &&
        state != "TASK_RUNNING" && state != "TASK_FINISHED") {
      return false;
    }
  }
  return true;
}

}  // namespace

// High-availability guide: when the leading master fails, another is elected
// and takes over; agents and frameworks re-register with it, and tasks keep
// running meanwhile.
SCENARIO(FailOver, ATaskSurvivesTheDeathOfTheLeadingMaster) {
  sim::Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
  DrawNetwork(world, c);
  auto random = world.NewRandom("story");
  EXPECT_SOON(c.Registered(c.leader()), 60s);
  const std::vector<std::string> ids = c.AgentIds();
  c.framework().Launch("long", "sleep 60");
  EXPECT_SOON(c.framework().Reached("long", "TASK_RUNNING"), 30s);
  const std::string framework = c.framework().id();

  world.RunFor(random->Between(0s, 5s));
  const int old = c.leader();
  c.KillMaster(old);
  EXPECT_SOON(c.leader() >= 0 && c.leader() != old, 60s);
  EXPECT_SOON(c.Registered(c.leader()), 90s);
  EXPECT_NOW(c.AgentIds() == ids);
  EXPECT_SOON(c.framework().Reached("long", "TASK_FINISHED"), 120s);
  EXPECT_NOW(c.framework().id() == framework);
  EXPECT_NOW(c.framework().subscriptions() >= 2);
  EXPECT_NOW(OnlyThese(c.framework().States("long")));
}

// Agent recovery: an agent that is restarted finds the executors of its
// previous life, and their tasks go on.
SCENARIO(AgentRecovery, ATaskSurvivesTheRestartOfItsAgent) {
  sim::Cluster c(world, {.masters = 1, .quorum = 1, .agents = 2});
  DrawNetwork(world, c);
  auto random = world.NewRandom("story");
  EXPECT_SOON(c.Registered(c.leader()), 60s);
  c.framework().Launch("steady", "sleep 30");
  EXPECT_SOON(c.framework().Reached("steady", "TASK_RUNNING"), 30s);
  const std::string id = c.framework().AgentOf("steady");
  const int agent = c.AgentWithId(id);

  c.KillAgent(agent);
  world.RunFor(random->Between(0s, 10s));
  c.StartAgent(agent);
  EXPECT_SOON(c.Registered(c.leader()), 90s);
  EXPECT_NOW(c.AgentIds()[agent] == id);
  EXPECT_SOON(c.framework().Reached("steady", "TASK_FINISHED"), 120s);
  EXPECT_NOW(OnlyThese(c.framework().States("steady")));
}

// A partitioned leader must not act: the majority side elects another one, and
// the old one ends itself.
SCENARIO(SplitBrain, TheLeaderOfAMinorityStepsDown) {
  sim::Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
  DrawNetwork(world, c);
  EXPECT_SOON(c.Registered(c.leader()), 60s);
  const int old = c.leader();
  const std::vector<std::string> minority = {c.ip(c.master(old))};
  c.Cut(minority, c.AllBut(minority));
  EXPECT_SOON(!c.master(old).up(), 30s);
  EXPECT_NOW(c.master(old).process->ended()->code == io::kExitLostLeadership);
  EXPECT_SOON(c.leader() >= 0 && c.leader() != old, 60s);
  EXPECT_SOON(c.Registered(c.leader()), 90s);

  c.framework().Launch("after", "sleep 1");
  EXPECT_SOON(c.framework().Reached("after", "TASK_FINISHED"), 60s);
  c.Heal();
  c.StartMaster(old);
  world.RunFor(30s);
  EXPECT_NOW(c.leader() >= 0 && c.leader() != old);
}

// A leader that was suspended, and wakes after another took over, ends itself
// before it does harm.
SCENARIO(SplitBrain, ASuspendedLeaderEndsItselfWhenItWakes) {
  sim::Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
  DrawNetwork(world, c);
  EXPECT_SOON(c.Registered(c.leader()), 60s);
  const int old = c.leader();
  c.master(old).process->Pause();
  EXPECT_SOON(c.leader() >= 0 && c.leader() != old, 90s);
  EXPECT_SOON(c.Registered(c.leader()), 90s);
  c.master(old).process->Resume();
  EXPECT_SOON(!c.master(old).up(), 30s);
  EXPECT_NOW(c.master(old).process->ended()->code == io::kExitLostLeadership);
}

// Masters and agents die, restart, and are cut off from each other, again and
// again; afterwards the cluster serves, and no task that ran was started twice.
SCENARIO(Cluster, SurvivesAStorm) {
  sim::Cluster c(world, {.masters = 3, .quorum = 2, .agents = 3});
  DrawNetwork(world, c);
  c.SuperviseMasters();
  auto random = world.NewRandom("storm");
  EXPECT_SOON(c.Registered(c.leader()), 60s);
  for (int step = 0; step < 25 && !world.failure(); ++step) {
    const int m = static_cast<int>(random->Below(c.masters()));
    const int a = static_cast<int>(random->Below(c.agents()));
    c.framework().Launch(absl::StrCat("task", step),
                         absl::StrCat("sleep ", random->Below(20)));
    switch (random->Below(6)) {
      case 0:
        if (c.master(m).up()) c.KillMaster(m);
        break;
      case 1:
        if (c.agent(a).up()) c.KillAgent(a);
        break;
      case 2:
        c.Cut({c.ip(c.master(m))}, c.AllBut({c.ip(c.master(m))}));
        break;
      case 3:
        c.Cut({c.ip(c.agent(a))}, c.AllBut({c.ip(c.agent(a))}));
        break;
      case 4:
        if (c.master(m).up()) c.master(m).host->LosePower();
        break;
      default:
        c.Heal();
        break;
    }
    world.RunFor(random->Between(100ms, 8s));
    if (!c.agent(a).up()) c.StartAgent(a);
  }
  c.Heal();
  for (int i = 0; i < c.agents(); ++i) {
    if (!c.agent(i).up()) c.StartAgent(i);
  }
  EXPECT_SOON(c.Registered(c.leader()), 180s);
  c.framework().Launch("last", "sleep 1");
  EXPECT_SOON(c.framework().Reached("last", "TASK_FINISHED"), 120s);
}

}  // namespace quorate::scenarios
