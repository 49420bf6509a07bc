#include "sim/swarm/cluster_swarm.h"

#include <algorithm>
#include <csignal>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sim/cluster.h"
#include "sim/containers.h"
#include "sim/swarm/weather.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

using Kind = Plan::Kind;

int MastersOf(const Plan& plan) {
  return 2 * static_cast<int>(plan.at("quorum")) - 1;
}

ClusterOptions OptionsOf(const Plan& plan) {
  ClusterOptions options;
  options.masters = MastersOf(plan);
  options.quorum = static_cast<int>(plan.at("quorum"));
  options.agents = static_cast<int>(plan.at("agents"));
  options.zookeepers = static_cast<int>(plan.at("zookeepers"));
  options.frameworks = static_cast<int>(plan.at("frameworks"));
  options.builtin_election = plan.at("builtin-election") != 0;
  options.standby = plan.at("standby") != 0;
  return options;
}

class ClusterSwarm {
 public:
  ClusterSwarm(World& world, const Plan& plan)
      : world_(world),
        plan_(plan),
        cluster_(world, OptionsOf(plan)),
        weather_(world, cluster_.network(), plan) {}
  ~ClusterSwarm() { *working_ = false; }

  void Run() {
    cluster_.AwaitRegistered(60s);
    AddVictims();
    AddZooKeeperKinds();
    AddZooKeeperDataKinds();
    AddContainerKinds();
    AddFrameworkKinds();
    AddWork();
    AddEnds();
    Misbehave();
    cluster_.network().SetOptions(Weather::NetworkOf(plan_));
    weather_.Begin();
    world_.RunFor(std::chrono::milliseconds(plan_.at("storm-ms")));
    cluster_.network().SetOptions({});
    storming_ = false;
    EndMisbehaviour();
    if (plan_.at("heal-core") != 0) {
      HealCore();
    } else {
      HealAll();
    }
  }

 private:
  void AddVictims();
  template <typename NodeType>
  void AddServer(NodeType& node, const io::Endpoint& address);
  void AddVictim(Node& node);
  void AddZooKeeperKinds();
  void AddZooKeeperDataKinds();
  void AddContainerKinds();
  void AddFrameworkKinds();
  void Misbehave();
  void EndMisbehaviour();
  void AddWork();
  void AddEnds();
  void Recurring(const char* knob, std::function<void(io::Random&)> event) {
    Recur(world_, plan_.at(knob), world_.NewRandom(absl::StrCat("work ", knob)),
          working_, std::move(event));
  }
  void HealAll();
  void HealCore();
  void AwaitAnyTask();

  World& world_;
  const Plan& plan_;
  Cluster cluster_;
  int tasks_ = 0;
  std::optional<Ensemble::Backup> backup_;
  bool storming_ = true;
  std::shared_ptr<bool> working_ = std::make_shared<bool>(true);
  Weather weather_;
};

// In the order that HealCore counts on.
void ClusterSwarm::AddVictims() {
  for (MasterNode* master : cluster_.masters()) {
    AddServer(*master, master->address());
  }
  for (Host* server : cluster_.zookeepers()) {
    weather_.Add({.host = server, .process = nullptr, .start = [server] {
                    server->Boot();
                  }});
  }
  for (AgentNode* agent : cluster_.agents()) {
    AddServer(*agent, agent->address());
  }
  for (FrameworkNode* framework : cluster_.frameworks()) AddVictim(*framework);
}

namespace {

// Of those that an operator may change from one start to the next.
void DrawFlags(io::Random& random, master::MasterOptions& flags) {
  flags.allocation_interval = random.Between(100ms, 2s);
  flags.log_segment_bytes = (64 + random.Below(448)) << 10;
  flags.log_reserve_bytes = (8 + random.Below(24)) << 10;
}

void DrawFlags(io::Random& random, agent::AgentOptions& flags) {
  flags.registration_backoff_factor = random.Between(100ms, 3s);
  flags.executor_shutdown_grace_period = random.Between(1s, 10s);
  flags.executor_registration_timeout = random.Between(30s, 90s);
}

}  // namespace

template <typename NodeType>
void ClusterSwarm::AddServer(NodeType& node, const io::Endpoint& address) {
  weather_.Add({.host = &node,
                .process = [&node] { return node.process(); },
                .start = [&node] { node.Restart(); },
                .other_flags =
                    [&node](io::Random& random) {
                      node.ChangeFlags(
                          [&random](auto& flags) { DrawFlags(random, flags); });
                    },
                .set_protocol =
                    [&node](const wire::Versions& versions) {
                      node.SetProtocol(versions);
                    },
                .address = address});
}

void ClusterSwarm::AddVictim(Node& node) {
  weather_.Add({.host = &node,
                .process = [&node] { return node.process(); },
                .start = [&node] { node.Restart(); }});
}

void ClusterSwarm::AddZooKeeperKinds() {
  weather_.AddKind("session-move", [this](io::Random& random) {
    const size_t i = random.Below(cluster_.masters().size());
    if (weather_.Spared(i)) return;
    cluster_.zookeeper().BreakConnectionsOf(*cluster_.masters()[i]);
  });
  weather_.AddKind("session-expiry", [this](io::Random& random) {
    const size_t i = random.Below(cluster_.masters().size());
    if (weather_.Spared(i)) return;
    cluster_.zookeeper().ExpireSessionsOf(*cluster_.masters()[i]);
  });
}

// What is wrong with what ZooKeeper holds concerns everybody: it is over when
// anybody is to be well.
void ClusterSwarm::AddZooKeeperDataKinds() {
  Ensemble& zookeeper = cluster_.zookeeper();
  const std::string path = cluster_.zookeeper_path();
  weather_.AddKind("access-denied", [this, &zookeeper, path](auto& random) {
    const io::Duration time = DrawSpell(random);
    if (weather_.SparesAny()) return;
    zookeeper.Restrict(path, "somebody:else");
    weather_.For(time, {},
                 [&zookeeper, path] { zookeeper.Restrict(path, ""); });
  });
  weather_.AddKind("sequence-overflow", [this, &zookeeper, path](auto& random) {
    const auto left = static_cast<int32_t>(random.Below(3));
    if (weather_.SparesAny()) return;
    zookeeper.SetSequence(path, std::numeric_limits<int32_t>::max() - left);
  });
  // A copy is made, and next time restored. If nobody was allowed to write when
  // it was made, whoever restores it mends that.
  weather_.AddKind("zookeeper-rollback", [this, &zookeeper, path](auto&) {
    if (weather_.SparesAny()) return;
    if (backup_) {
      zookeeper.RollBack(*backup_);
      zookeeper.Restrict(path, "");
      backup_.reset();
    } else {
      backup_ = zookeeper.BackUp();
    }
  });
}

void ClusterSwarm::AddContainerKinds() {
  weather_.AddKind("container-kill", [this](io::Random& random) {
    const std::vector<AgentNode*>& agents = cluster_.agents();
    const size_t i = random.Below(agents.size());
    const size_t first =
        cluster_.masters().size() + cluster_.zookeepers().size();
    if (!weather_.Spared(first + i)) agents[i]->containers().KillAny(SIGKILL);
  });
}

void ClusterSwarm::AddFrameworkKinds() {
  weather_.AddKind("call-flood", [this](io::Random& random) {
    const int calls = 1 + static_cast<int>(random.Below(3000));
    FrameworkNode& framework = cluster_.AnyFramework(random);
    if (!weather_.SparesAny()) framework.Flood(calls);
  });
  // All at once, again and again.
  weather_.AddKind("reconnect-storm", [this](io::Random& random) {
    const int times = 2 + static_cast<int>(random.Below(50));
    if (weather_.SparesAny()) return;
    for (FrameworkNode* framework : cluster_.frameworks()) {
      framework->Reconnect(times);
    }
  });
}

// What is wrong at every turn, as long as the storm lasts.
void ClusterSwarm::Misbehave() {
  const auto chance = [this](const char* knob) {
    return static_cast<double>(plan_.at(knob)) / 1000;
  };
  cluster_.zookeeper().faults = {
      .max_lag = std::chrono::milliseconds(plan_.at("zookeeper-lag-ms")),
      .reply_lost = chance("zookeeper-reply-lost")};
  for (AgentNode* agent : cluster_.agents()) {
    agent->containers().faults = {.fork_fails = chance("fork-fails"),
                                  .status_lost = chance("exit-status-lost"),
                                  .stuck = chance("container-stuck"),
                                  .remove_busy = chance("container-busy"),
                                  .pid_reused = chance("pid-reused")};
    agent->executor_faults = {.slow = chance("executor-slow"),
                              .repeats = chance("executor-repeats"),
                              .garbage = chance("executor-garbage")};
  }
  for (FrameworkNode* framework : cluster_.frameworks()) {
    framework->Misbehave({.reconnect = chance("framework-reconnects"),
                          .subscribe_twice = chance("subscribed-twice"),
                          .stale_accept = chance("stale-accept"),
                          .unknown_acknowledge = chance("unknown-acknowledge"),
                          .slow = chance("slow-consumer"),
                          .reuse_id = chance("task-id-reused")});
  }
}

void ClusterSwarm::EndMisbehaviour() {
  cluster_.zookeeper().faults = {};
  for (AgentNode* agent : cluster_.agents()) {
    agent->containers().faults = {};
    agent->executor_faults = {};
  }
  for (FrameworkNode* framework : cluster_.frameworks()) {
    framework->Misbehave({});
  }
}

void ClusterSwarm::AddWork() {
  Recurring("launch", [this](io::Random& random) {
    const uint64_t seconds = random.Below(60);
    const uint64_t way = random.Below(8);
    std::string command = absl::StrCat("sleep ", seconds);
    if (way == 0) command = "exit 3";
    if (way == 1) absl::StrAppend(&command, "; exit 1");
    if (way == 2) command = absl::StrCat("trap '' TERM; ", command);
    const std::vector<FrameworkNode*>& all = cluster_.frameworks();
    all[random.Below(all.size())]->Launch(absl::StrCat("task", tasks_++),
                                          command);
  });
  Recurring("kill-task", [this](io::Random& random) {
    const uint64_t drawn = random.Below(1000);
    if (tasks_ == 0) return;
    const int recent = std::min(tasks_, 20);
    const std::string task =
        absl::StrCat("task", tasks_ - 1 - static_cast<int>(drawn) % recent);
    for (FrameworkNode* framework : cluster_.frameworks()) {
      if (framework->Knows(task)) framework->KillTask(task);
    }
  });
}

// Frameworks that are torn down and agents that an operator gives up, for good.
void ClusterSwarm::AddEnds() {
  Recurring("teardown", [this](io::Random& random) {
    FrameworkNode& framework = cluster_.AnyFramework(random);
    const bool by_operator = random.Below(2) == 0;
    if (!storming_ || framework.id().empty()) return;
    if (by_operator) {
      cluster_.console().TearDown(framework.id());
    } else {
      framework.TearDown();
    }
  });
  Recurring("mark-gone", [this](io::Random& random) {
    const std::vector<AgentNode*>& agents = cluster_.agents();
    AgentNode& agent = *agents[random.Below(agents.size())];
    if (!storming_ || agent.id().empty()) return;
    cluster_.console().MarkGone(agent.id());
  });
}

// -----------------------------------------------------------------------------

// After the last session timeout, back-off and health check.
constexpr io::Duration kRegistered = 180s;

void ClusterSwarm::HealAll() {
  weather_.End();
  cluster_.EndDisturbances();
  cluster_.AwaitService();
  cluster_.AwaitSettled();
}

void ClusterSwarm::HealCore() {
  auto random = world_.NewRandom("core");
  const size_t masters = cluster_.masters().size();
  const size_t servers = cluster_.zookeepers().size();
  const size_t agents = cluster_.agents().size();
  std::vector<size_t> core;
  // A majority, from anywhere on around the ring.
  const auto majority = [&](size_t first, size_t count) {
    const size_t start = random->Below(count);
    for (size_t i = 0; i < count / 2 + 1; ++i) {
      core.push_back(first + (start + i) % count);
    }
  };
  majority(0, masters);
  majority(masters, servers);
  const size_t agent = random->Below(agents);
  core.push_back(masters + servers + agent);
  for (size_t i = 0; i < cluster_.frameworks().size(); ++i) {
    core.push_back(masters + servers + agents + i);
  }
  weather_.Spare(core);
  AgentNode& well = *cluster_.agents()[agent];
  const auto registered = [&] {
    MasterNode* leader = cluster_.Leader();
    return leader != nullptr && well.role() != nullptr &&
           well.role()->registered() && well.role()->epoch() == leader->epoch();
  };
  if (!world_.RunUntil(registered, kRegistered)) {
    return world_.FailStuck(
        absl::StrCat(well.name(), " is not registered with a leader although ",
                     "a majority of everything is well"));
  }
  AwaitAnyTask();
}

// One may go to an agent that suffers: of many, some task ends.
void ClusterSwarm::AwaitAnyTask() {
  constexpr int kProbes = 30;
  FrameworkNode& framework = cluster_.framework();
  for (int probe = 0; probe < kProbes; ++probe) {
    framework.Launch(absl::StrCat("probe", probe), "sleep 1");
    const auto any = [&] {
      for (int i = 0; i <= probe; ++i) {
        const std::string name = absl::StrCat("probe", i);
        if (framework.Reached(name, "TASK_FINISHED")) return true;
      }
      return false;
    };
    if (world_.RunUntil(any, 15s)) return;
  }
  world_.FailStuck("no task ends although a majority of everything is well");
}

}  // namespace

namespace {

constexpr const char* kPermille[] = {
    "zookeeper-reply-lost", "fork-fails",       "exit-status-lost",
    "container-stuck",      "container-busy",   "pid-reused",
    "executor-slow",        "executor-repeats", "executor-garbage",
    "framework-reconnects", "subscribed-twice", "stale-accept",
    "unknown-acknowledge",  "slow-consumer",    "task-id-reused",
};

}  // namespace

Plan DrawClusterPlan(uint64_t seed) {
  auto random = io::SeededRandom(seed).Split("cluster plan");
  constexpr uint64_t kQuorums[] = {1, 2, 2, 2, 3};
  constexpr uint64_t kServers[] = {1, 3, 3, 3, 5};
  Plan plan;
  const auto drawn = [&](const char* name, Kind kind, uint64_t most) {
    const uint64_t value = 1 + random->Below(most);
    const bool on = random->Below(4) == 0;
    plan.Add({name, kind, on ? value : 0, 0, 100 * most});
  };
  plan.Add({"quorum", Kind::kSize, kQuorums[random->Below(5)], 1, 4});
  plan.Add({"agents", Kind::kSize, 1 + random->Below(6), 1, 1000});
  plan.Add({"zookeepers", Kind::kSize, kServers[random->Below(5)], 1, 7});
  plan.Add({"frameworks", Kind::kSize, 1 + random->Below(3), 1, 100});
  plan.Add(
      {"storm-ms", Kind::kTime, 10000 + random->Below(170000), 0, 36000000});
  plan.Add({"heal-core", Kind::kOption, random->Below(2), 0, 1});
  plan.Add({"launch", Kind::kWork, random->Below(1000), 0, 100000});
  plan.Add({"kill-task", Kind::kWork, random->Below(300), 0, 100000});
  Weather::Draw(*random, plan);
  drawn("session-expiry", Kind::kFault, 100);
  drawn("session-move", Kind::kFault, 100);
  drawn("container-kill", Kind::kFault, 200);
  drawn("zookeeper-lag-ms", Kind::kStrength, 1500);
  for (const char* permille : kPermille) {
    drawn(permille, Kind::kStrength, 100);
  }
  Weather::DrawRestarts(*random, plan);
  drawn("access-denied", Kind::kFault, 50);
  drawn("sequence-overflow", Kind::kFault, 30);
  drawn("zookeeper-rollback", Kind::kFault, 100);
  drawn("call-flood", Kind::kFault, 50);
  drawn("reconnect-storm", Kind::kFault, 100);
  plan.Add({"builtin-election", Kind::kOption, random->Below(2), 0, 1});
  plan.Add({"standby", Kind::kOption, random->Below(2), 0, 1});
  drawn("teardown", Kind::kWork, 50);
  drawn("mark-gone", Kind::kWork, 50);
  return plan;
}

void RunClusterSwarm(World& world, const Plan& plan) {
  ClusterSwarm(world, plan).Run();
}

}  // namespace quorate::sim
