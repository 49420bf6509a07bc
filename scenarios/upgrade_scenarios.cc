// Programs of different releases in one cluster: the versions of the protocol
// that they speak overlap, as in a rolling upgrade, or do not.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "scenarios/log_story.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

using sim::Fault;

constexpr uint32_t kNow = wire::kProtocolVersion;
// The next release speaks the protocol of this one, too; the one after it does
// not any more.
constexpr wire::Versions kThis{kNow, kNow};
constexpr wire::Versions kNext{kNow, kNow + 1};
constexpr wire::Versions kAfterNext{kNow + 1, kNow + 2};

void Restart(sim::LogCluster& log, int i, const wire::Versions& protocol) {
  log.SetProtocol(i, protocol);
  if (log.up(i)) log.Kill(i);
  log.Start(i);
}

// The version of the link from one replica to another; 0: none.
uint32_t VersionBetween(sim::LogCluster& log, int from, int to) {
  log.status(to);
  for (const log::LogStatus::Peer& peer : log.status(from).peers) {
    if (peer.id == log.id(to)) return peer.protocol_version;
  }
  return 0;
}

bool AllSpeak(sim::LogCluster& log, uint32_t version) {
  for (int i = 0; i < log.size(); ++i) {
    for (int j = 0; j < log.size(); ++j) {
      if (i != j && VersionBetween(log, i, j) != version) return false;
    }
  }
  return true;
}

// One replica after the other, in any order, under appends; before each the
// log works.
void Roll(sim::World& world, sim::LogCluster& log, io::Random& random,
          const wire::Versions& protocol) {
  const int first = static_cast<int>(random.Below(log.size()));
  for (int k = 0; k < log.size() && !world.failure(); ++k) {
    Restart(log, (first + k) % log.size(), protocol);
    Load(world, log, 20);
    if (!Acknowledges(world, log, 30s)) {
      return world.FailStuck("the log stops in the middle of an upgrade");
    }
  }
}

// A cut of one replica, or of one direction, that lasts while others restart.
void Disturb(sim::LogCluster& log, io::Random& random) {
  const int alone = static_cast<int>(random.Below(log.size()));
  const bool one_way = random.Below(2) == 0;
  for (int i = 0; i < log.size(); ++i) {
    if (i == alone) continue;
    log.CutOneWay(alone, i);
    if (!one_way) log.CutOneWay(i, alone);
  }
}

}  // namespace

// The guide's way to upgrade: one master after the other. Mixed versions talk
// in the older one's protocol, and the way back is open.
SCENARIO(Upgrade, ReplicasRollToTheNextReleaseAndBack) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  EXPECT_SOON(AllSpeak(log, kNow), 30s);
  Roll(world, log, *random, kNext);
  EXPECT_SOON(AllSpeak(log, kNow + 1), 30s);
  const int old = static_cast<int>(random->Below(3));
  Restart(log, old, kThis);
  EXPECT_SOON(VersionBetween(log, old, (old + 1) % 3) == kNow, 30s);
  EXPECT_SOON(VersionBetween(log, (old + 2) % 3, (old + 1) % 3) == kNow + 1,
              30s);
  Roll(world, log, *random, kThis);
  EXPECT_SOON(AllSpeak(log, kNow), 30s);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(world.faults().of(Fault::kUpgrade) == 6);
}

// While the replicas are upgraded the network is cut somewhere, heals, and is
// cut elsewhere. Nothing that was acknowledged is lost, and it goes on.
SCENARIO(Upgrade, MeetsAPartition) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (const wire::Versions& protocol : {kNext, kThis}) {
    const int first = static_cast<int>(random->Below(3));
    for (int k = 0; k < 3 && !world.failure(); ++k) {
      Disturb(log, *random);
      world.RunFor(random->Between(0ms, 3s));
      Restart(log, (first + k) % 3, protocol);
      Load(world, log, 20);
      world.RunFor(random->Between(0ms, 10s));
      if (random->Below(2) == 0) log.network().MendAll();
    }
    log.HealAll();
    EXPECT_NOW(Acknowledges(world, log, 60s));
  }
  EXPECT_SOON(AllSpeak(log, kNow), 60s);
  EXPECT_SOON(log.Converged(), 60s);
}

// Two releases at once: the replica that went too far is refused and says what
// to do. The others go on; done in order, the upgrade works.
SCENARIO(Upgrade, AReleaseIsSkipped) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  const int hasty = static_cast<int>(random->Below(3));
  Restart(log, hasty, kAfterNext);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_SOON(absl::StrContains(log.status(hasty).explanation,
                                "upgrade the peer to a release that speaks"),
              30s);
  EXPECT_SOON(absl::StrContains(log.status((hasty + 1) % 3).explanation,
                                "upgrade this program to a release"),
              30s);
  EXPECT_NOW(VersionBetween(log, hasty, (hasty + 1) % 3) == 0);
  EXPECT_NOW(!log.status(hasty).voting);
  for (int i = 0; i < 3; ++i) {
    if (i == hasty) continue;
    Restart(log, i, kNext);
    Load(world, log, 10);
  }
  EXPECT_NOW(Acknowledges(world, log, 60s));
  EXPECT_SOON(log.Converged(), 60s);
  EXPECT_SOON(log.status(hasty).explanation.empty(), 30s);
}

// Nothing in common with anybody: the log stops rather than lose anything, and
// goes on when enough replicas understand each other.
SCENARIO(Upgrade, WithNothingInCommonTheLogStops) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  Restart(log, 0, {kNow + 5, kNow + 5});
  Restart(log, 1, {kNow + 7, kNow + 8});
  world.RunFor(5s);
  const uint64_t before = log.acknowledged();
  EXPECT_NOW(!Acknowledges(world, log, 30s));
  EXPECT_NOW(log.acknowledged() == before);
  Restart(log, 1, {kNow, kNow + 8});
  EXPECT_NOW(Acknowledges(world, log, 60s));
  Restart(log, 0, {kNow, kNow + 5});
  EXPECT_NOW(Acknowledges(world, log, 60s));
  EXPECT_SOON(log.Converged(), 60s);
}

// A whole cluster: masters first, then agents, as the guide says; a task runs
// on all the time.
SCENARIO(Upgrade, AClusterRollsUnderARunningTask) {
  auto random = world.NewRandom("story");
  sim::Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
  c.AwaitRegistered(c.AwaitLeader(60s), 60s);
  c.framework().Launch("service", "sleep 100000");
  c.AwaitTask("service", "TASK_RUNNING", 60s);
  std::vector<sim::Node*> nodes(c.masters().begin(), c.masters().end());
  nodes.insert(nodes.end(), c.agents().begin(), c.agents().end());
  for (sim::Node* node : nodes) {
    node->SetProtocol(kNext);
    node->Kill();
    world.RunFor(random->Between(0ms, 5s));
    node->Restart();
    c.AwaitRegistered(120s);
  }
  EXPECT_NOW(world.faults().of(Fault::kUpgrade) == nodes.size());
  EXPECT_NOW(!c.framework().Reached("service", "TASK_LOST"));
  EXPECT_NOW(!c.framework().Reached("service", "TASK_FAILED"));
}

// An agent that was not upgraded in time is refused, keeps its task, and is
// there again when it is.
SCENARIO(Upgrade, AnAgentThatIsTooOldIsRefused) {
  sim::Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(c.AwaitLeader(60s), 60s);
  c.framework().Launch("service", "sleep 100000");
  c.AwaitTask("service", "TASK_RUNNING", 60s);
  sim::MasterNode& master = *c.masters().front();
  master.SetProtocol(kAfterNext);
  master.Kill();
  master.Restart();
  sim::MasterNode& leader = c.AwaitLeader(60s);
  world.RunFor(60s);
  EXPECT_NOW(!c.Registered(leader));
  sim::AgentNode& agent = *c.agents().front();
  agent.SetProtocol(kNext);
  agent.Kill();
  agent.Restart();
  c.AwaitRegistered(leader, 120s);
  EXPECT_NOW(!c.framework().Reached("service", "TASK_LOST"));
}

}  // namespace quorate::scenarios
