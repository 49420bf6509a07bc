// What happens to single hosts, links and processes, as operators meet it: a
// program started twice, an address that belongs to another program, links that
// carry little or late, clocks that are wrong.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "scenarios/log_story.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"
#include "sim/log_cluster.h"
#include "sim/squatter.h"

namespace quorate::scenarios {
namespace {

using sim::Fault;

constexpr uint16_t kLogPort = 5050;

// Does that to every link of the log, one after the other.
void ForEachLink(sim::LogCluster& log,
                 const std::function<void(const std::string& from,
                                          const std::string& to)>& act) {
  for (int i = 0; i < log.size(); ++i) {
    for (int j = 0; j < log.size(); ++j) {
      if (i != j) act(log.host(i).ip(), log.host(j).ip());
    }
  }
}

// As Acknowledges, for a leader that may be slow: appends that are asked for
// after each of its events would never let it catch up.
bool Works(sim::World& world, sim::LogCluster& log, io::Duration time) {
  const uint64_t before = log.acknowledged();
  const io::Instant deadline = world.now() + time;
  while (!world.failure() && world.now() < deadline) {
    Load(world, log, 1);
    if (log.acknowledged() > before) return true;
  }
  return false;
}

}  // namespace

// The lock in its directory ends a replica that is started twice; the first
// one does not notice.
SCENARIO(Twice, AReplica) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  for (int i = 0; i < 3; ++i) {
    sim::Process& second = log.StartSecond(i);
    EXPECT_SOON(!second.alive(), 10s);
    EXPECT_NOW(second.ended()->code != 0);
    EXPECT_NOW(absl::StrContains(second.ended()->message,
                                 "another process uses this directory"));
    Load(world, log, 10);
  }
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_NOW(world.faults().of(Fault::kSecondProcess) == 3);
}

SCENARIO(Twice, AMasterAndAnAgent) {
  sim::Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(c.AwaitLeader(60s), 60s);
  c.framework().Launch("service", "sleep 100000");
  c.AwaitTask("service", "TASK_RUNNING", 60s);
  sim::Process& master = c.masters().front()->StartSecond();
  sim::Process& agent = c.agents().front()->StartSecond();
  EXPECT_SOON(!master.alive() && !agent.alive(), 60s);
  EXPECT_NOW(absl::StrContains(master.ended()->message,
                               "another process uses this directory"));
  EXPECT_NOW(absl::StrContains(agent.ended()->message,
                               "another agent runs with --work_dir="));
  world.RunFor(60s);
  EXPECT_NOW(c.Registered(*c.masters().front()));
  EXPECT_NOW(!c.framework().Ended("service"));
  EXPECT_NOW(world.faults().of(Fault::kSecondProcess) == 2);
}

// Restarted with other flags, an agent keeps its id and its task, and a master
// its log.
SCENARIO(OtherFlags, AreNoOtherNode) {
  sim::Cluster c(world, {.masters = 1, .quorum = 1, .agents = 1});
  c.AwaitRegistered(c.AwaitLeader(60s), 60s);
  c.framework().Launch("service", "sleep 100000");
  c.AwaitTask("service", "TASK_RUNNING", 60s);
  sim::MasterNode& master = *c.masters().front();
  sim::AgentNode& agent = *c.agents().front();
  const std::string id = agent.id();
  master.ChangeFlags([](master::MasterOptions& flags) {
    flags.cluster = "renamed";
    flags.allocation_interval = 5s;
  });
  agent.ChangeFlags([](agent::AgentOptions& flags) {
    flags.registration_backoff_factor = 3s;
    flags.executor_shutdown_grace_period = 1s;
  });
  for (sim::Node* node : std::vector<sim::Node*>{&master, &agent}) {
    node->Kill();
    node->Restart();
  }
  c.AwaitRegistered(120s);
  EXPECT_NOW(agent.id() == id);
  EXPECT_NOW(!c.framework().Ended("service"));
  EXPECT_NOW(world.faults().of(Fault::kOtherFlags) == 2);
}

// The address of a replica that is down is given to another program: silent,
// talkative, or of another cluster. Nobody takes it for the replica.
SCENARIO(AddressReuse, AnotherProgramIsNoReplica) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (const std::string& answer : sim::SquatterAnswers()) {
    const int gone = static_cast<int>(random->Below(3));
    const int other = (gone + 1) % 3;
    const io::Endpoint at{log.host(gone).ip(), kLogPort};
    log.Kill(gone);
    const uint64_t reused = world.faults().of(Fault::kAddressReused);
    sim::Process& squatter =
        log.host(gone).Start("squatter", sim::SquatterAt(at, answer));
    EXPECT_SOON(world.faults().of(Fault::kAddressReused) > reused, 30s);
    EXPECT_NOW(Acknowledges(world, log, 30s));
    if (answer.size() > wire::kGreeting.size()) {
      EXPECT_SOON(
          absl::StrContains(log.status(other).explanation, at.ToString()), 30s);
    }
    squatter.Kill();
    log.Start(gone);
    EXPECT_SOON(log.Converged(), 30s);
    EXPECT_SOON(log.status(other).explanation.empty(), 30s);
  }
}

SCENARIO(AddressReuse, AnotherClusterIsRefused) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  log.Kill(0);
  const io::Endpoint at{log.host(0).ip(), kLogPort};
  sim::Process& process =
      log.host(0).Start("stranger", [&](io::Environment& environment) {
        return std::make_unique<sim::Stranger>(environment, at);
      });
  EXPECT_SOON(absl::StrContains(log.status(1).explanation,
                                "belongs to another cluster"),
              30s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_NOW(!static_cast<sim::Stranger*>(process.program())->fooled());
  process.Kill();
  log.Start(0);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(world.faults().of(Fault::kAddressReused) > 0);
}

// Links that lose, crawl, clog, flap and forget: the log does what it can
// meanwhile, and everything afterwards.
SCENARIO(BadLinks, TheLogBearsEachKind) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  sim::Network& network = log.network();
  const std::vector<std::function<void(const std::string&, const std::string&)>>
      kinds = {
          [&](auto& from, auto& to) {
            network.SetLink(
                from, to,
                {.latency = random->Between(0ms, 500ms), .jitter = 50ms});
          },
          [&](auto& from, auto& to) {
            network.SetLink(from, to, {.loss = .3});
          },
          [&](auto& from, auto& to) {
            network.SetLink(from, to,
                            {.bytes_per_second = 1000 + random->Below(99'000)});
          },
          [&](auto& from, auto& to) {
            network.Clog(from, to, random->Between(100ms, 20s));
          },
          [&](auto& from, auto& to) { network.Flap(from, to); },
          [&](auto& from, auto& to) { network.ResetConnections(from, to); },
          [&](auto& from, auto& to) {
            if (random->Below(2) == 0) network.HalfOpenConnections(from, to);
          },
          [&](auto& from, auto& to) {
            network.LoseFirstBytes(from, to);
            network.ResetConnections(from, to);
          },
      };
  for (const auto& kind : kinds) {
    ForEachLink(log, kind);
    for (int i = 0; i < 20; ++i) {
      Load(world, log, 10);
      world.RunFor(1s);
    }
    network.MendAll();
    network.ClearLinks();
    EXPECT_NOW(Acknowledges(world, log, 60s));
    EXPECT_SOON(log.Converged(), 60s);
  }
  for (const Fault fault :
       {Fault::kSegmentStalled, Fault::kSlowLink, Fault::kClog,
        Fault::kLinkFlapped, Fault::kConnectionReset,
        Fault::kConnectionHalfOpen, Fault::kFirstBytesLost}) {
    EXPECT_NOW(world.faults().of(fault) > 0);
  }
}

// Wall clocks of any time, monotonic ones that drift apart by a tenth, hosts
// that sleep, loops that are slow: the log keeps its promises and its leaders.
SCENARIO(BadClocks, TheLogBearsEachKind) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int turn = 0; turn < 10 && !world.failure(); ++turn) {
    const int i = static_cast<int>(random->Below(3));
    sim::Host& host = log.host(i);
    switch (turn % 5) {
      case 0:
        host.clock().SetDrift(static_cast<int>(random->Below(100'001)) -
                              50'000);
        break;
      case 1:
        host.clock().SetWallOffset(random->Between(-24h, 24h));
        break;
      case 2:
        host.clock().FreezeWall(true);
        break;
      case 3:
        host.Suspend();
        world.RunFor(random->Between(10ms, 1h));
        host.Wake();
        break;
      default:
        log.process(i).SetSlowLoop(random->Between(1ms, 300ms));
    }
    Load(world, log, 50);
    EXPECT_NOW(Works(world, log, 60s));
  }
  log.HealAll();
  EXPECT_NOW(Acknowledges(world, log, 60s));
  EXPECT_SOON(log.Converged(), 60s);
  EXPECT_NOW(world.faults().of(Fault::kSuspend) >= 2);
  EXPECT_NOW(world.faults().of(Fault::kClockDrift) > 0);
  EXPECT_NOW(world.faults().of(Fault::kSlowLoop) > 0);
}

}  // namespace quorate::scenarios
