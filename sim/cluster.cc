#include "sim/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/executor/command_executor.h"
#include "sim/containers.h"

namespace quorate::sim {
namespace {

constexpr uint16_t kMasterPort = 5050;
constexpr uint16_t kAgentPort = 5051;
constexpr char kBootId[] = "boot-";
constexpr io::Duration kRestartDelay = std::chrono::seconds(1);

class MasterProgram final : public Program {
 public:
  MasterProgram(io::Environment& environment, master::MasterOptions options)
      : role(environment, std::move(options)) {
    absl::Status started = role.Start();
    if (!started.ok()) environment.Exit(io::kExitFailure, started.message());
  }
  master::Master role;
};

class AgentProgram final : public Program {
 public:
  AgentProgram(io::Environment& environment, agent::AgentOptions options)
      : role(environment, std::move(options)) {
    absl::Status started = role.Start();
    if (!started.ok()) environment.Exit(io::kExitFailure, started.message());
  }
  agent::Agent role;
};

class ExecutorProgram final : public Program {
 public:
  ExecutorProgram(io::Environment& environment,
                  const std::map<std::string, std::string>& variables) {
    auto options = executor::OptionsFromEnvironment(variables);
    if (!options.ok()) {
      environment.Exit(io::kExitFailure, options.status().message());
      return;
    }
    role_ = std::make_unique<executor::CommandExecutor>(environment,
                                                        *std::move(options));
    role_->Start();
  }

 private:
  std::unique_ptr<executor::CommandExecutor> role_;
};

ProgramFactory ExecutorFor(const io::ContainerSpec& spec) {
  return [variables = spec.environment](io::Environment& environment) {
    return std::make_unique<ExecutorProgram>(environment, variables);
  };
}

}  // namespace

Cluster::Cluster(World& world, ClusterOptions options)
    : world_(world), network_(world, {}), options_(options) {
  std::vector<Host*> servers;
  for (int i = 0; i < options.zookeepers; ++i) {
    zookeepers_.push_back(
        std::make_unique<Host>(world, network_, absl::StrCat("zookeeper", i),
                               absl::StrCat("10.0.1.", i + 1)));
    servers.push_back(zookeepers_.back().get());
  }
  ensemble_ = std::make_unique<Ensemble>(world, servers);
  const auto add = [&](std::vector<Node>& nodes, const char* kind, int net) {
    const int i = static_cast<int>(nodes.size());
    nodes.push_back(
        {std::make_unique<Host>(world, network_, absl::StrCat(kind, i),
                                absl::StrCat("10.0.", net, ".", i + 1)),
         nullptr});
    nodes.back().host->ensemble = ensemble_.get();
  };
  for (int i = 0; i < options.masters; ++i) add(masters_, "master", 2);
  for (int i = 0; i < options.agents; ++i) add(agents_, "agent", 3);
  obeyed_epochs_.resize(agents_.size());
  for (Node& agent : agents_) {
    agent.host->containers().Register("mesos-executor", ExecutorFor);
    agent.host->containers().on_command =
        [this, name = agent.host->name()](const io::ContainerSpec& spec) {
          // The sandbox names the framework and the executor.
          const std::string task =
              spec.stdout_path.substr(0, spec.stdout_path.find("/runs/"));
          if (++launches_[absl::StrCat(name, " ", task)] > 1) {
            world_.Fail(absl::StrCat(name, " started a task twice: ", task));
          }
        };
  }
  for (int i = 0; i < masters(); ++i) StartMaster(i);
  for (int i = 0; i < agents(); ++i) StartAgent(i);
  framework_host_ =
      std::make_unique<Host>(world, network_, "framework", "10.0.4.1");
  framework_host_->ensemble = ensemble_.get();
  framework_ = std::make_unique<Framework>(
      *framework_host_,
      election::ZooKeeperUrl{{ZooKeeperServer()}, "", "/mesos"});
  world_.AfterEachEvent([this] { CheckAll(); });
}

Cluster::~Cluster() { world_.ClearChecks(); }

std::string Cluster::ZooKeeperServer() const {
  return absl::StrCat(zookeepers_.front()->ip(), ":2181");
}

void Cluster::StartMaster(int i) {
  Node& node = masters_[i];
  node.host->Boot();
  master::MasterOptions options;
  options.bind = options.advertise = {node.host->ip(), kMasterPort};
  options.hostname = node.host->ip();
  options.work_dir = "/var/lib/mesos";
  options.zk = election::ZooKeeperUrl{{ZooKeeperServer()}, "", "/mesos"};
  options.quorum = options_.quorum;
  node.process =
      &node.host->Start(node.host->name(), [options](io::Environment& env) {
        return std::make_unique<MasterProgram>(env, options);
      });
  node.process->on_ended = [this, i](const Process::Ended& ended) {
    if (!ended.killed && ended.code == io::kExitLostLeadership) {
      ++lost_leadership_;
    } else if (!ended.killed) {
      world_.Fail(absl::StrCat("master", i, " exited with ", ended.code, ": ",
                               ended.message));
    }
    if (!supervised_) return;
    world_.After(kRestartDelay, "supervisor", [this, i] {
      if (!masters_[i].up()) StartMaster(i);
    });
  };
}

void Cluster::StartAgent(int i) {
  Node& node = agents_[i];
  const bool booted = !node.host->up();
  node.host->Boot();
  if (booted) ++node.boots;
  agent::AgentOptions options;
  options.bind = options.advertise = {node.host->ip(), kAgentPort};
  options.hostname = node.host->ip();
  options.master.zookeeper =
      election::ZooKeeperUrl{{ZooKeeperServer()}, "", "/mesos"};
  options.work_dir = "/var/lib/mesos";
  options.runtime_dir = "/run/mesos";
  options.launcher_dir = "/usr/libexec/mesos";
  options.resources = "cpus:4;mem:4096;disk:4096;ports:[31000-32000]";
  options.boot_id = absl::StrCat(kBootId, node.boots);
  node.process =
      &node.host->Start(node.host->name(), [options](io::Environment& env) {
        return std::make_unique<AgentProgram>(env, options);
      });
  node.process->on_ended = [this, i](const Process::Ended& ended) {
    if (!ended.killed) {
      world_.Fail(absl::StrCat("agent", i, " exited with ", ended.code, ": ",
                               ended.message));
    }
  };
}

master::Master* Cluster::MasterRole(int i) {
  if (!masters_[i].up()) return nullptr;
  return &static_cast<MasterProgram*>(masters_[i].process->program())->role;
}

agent::Agent* Cluster::AgentRole(int i) {
  if (!agents_[i].up()) return nullptr;
  return &static_cast<AgentProgram*>(agents_[i].process->program())->role;
}

int Cluster::leader() {
  int leader = -1;
  uint64_t epoch = 0;
  for (int i = 0; i < masters(); ++i) {
    master::Master* role = MasterRole(i);
    if (role == nullptr) continue;
    const master::Master::View view = role->view();
    if (view.elected && view.epoch >= epoch) {
      leader = i;
      epoch = view.epoch;
    }
  }
  return leader;
}

bool Cluster::Registered(int master) {
  if (master < 0 || MasterRole(master) == nullptr) return false;
  for (int i = 0; i < agents(); ++i) {
    if (AgentRole(i) == nullptr || !AgentRole(i)->view().registered) {
      return false;
    }
  }
  const master::Master::View view = MasterRole(master)->view();
  return view.agents.size() == agents_.size() &&
         std::all_of(view.agents.begin(), view.agents.end(),
                     [](const auto& agent) { return agent.second; });
}

std::vector<std::string> Cluster::AgentIds() {
  std::vector<std::string> ids;
  for (int i = 0; i < agents(); ++i) {
    ids.push_back(AgentRole(i) == nullptr ? "" : AgentRole(i)->view().id);
  }
  return ids;
}

int Cluster::AgentWithId(const std::string& id) {
  const std::vector<std::string> ids = AgentIds();
  auto found = std::find(ids.begin(), ids.end(), id);
  return found == ids.end() ? -1 : static_cast<int>(found - ids.begin());
}

void Cluster::Cut(const std::vector<std::string>& side,
                  const std::vector<std::string>& other) {
  for (const std::string& a : side) {
    for (const std::string& b : other) {
      network_.Cut(a, b);
      network_.Cut(b, a);
    }
  }
}

std::vector<std::string> Cluster::AllBut(
    const std::vector<std::string>& ips) const {
  std::vector<std::string> others;
  const auto add = [&](const std::string& ip) {
    if (std::find(ips.begin(), ips.end(), ip) == ips.end()) {
      others.push_back(ip);
    }
  };
  for (const auto& host : zookeepers_) add(host->ip());
  for (const Node& node : masters_) add(node.host->ip());
  for (const Node& node : agents_) add(node.host->ip());
  add(framework_host_->ip());
  return others;
}

void Cluster::CheckAll() {
  CheckEpochs();
  CheckAgents();
}

void Cluster::CheckEpochs() {
  for (int i = 0; i < masters(); ++i) {
    master::Master* role = MasterRole(i);
    if (role == nullptr) continue;
    role->CheckInvariants();
    const master::Master::View view = role->view();
    if (!view.elected) continue;
    auto [holder, is_new] = epoch_holders_.emplace(view.epoch, view.id);
    if (!is_new && holder->second != view.id) {
      world_.Fail(absl::StrCat("two masters act in epoch ", view.epoch));
    }
  }
}

void Cluster::CheckAgents() {
  for (int i = 0; i < agents(); ++i) {
    agent::Agent* role = AgentRole(i);
    if (role == nullptr) continue;
    role->CheckInvariants();
    const uint64_t epoch = role->view().epoch;
    // Zero until a restarted agent has read its checkpoint.
    if (epoch == 0) continue;
    if (epoch < obeyed_epochs_[i]) {
      world_.Fail(absl::StrCat("agent", i, " obeys epoch ", epoch, " after ",
                               obeyed_epochs_[i]));
    }
    obeyed_epochs_[i] = epoch;
  }
}

}  // namespace quorate::sim
