#include "sim/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sim/log_cluster.h"

namespace quorate::sim {
namespace {

constexpr io::Duration kSupervisorDelay = std::chrono::seconds(1);
// An agent that is paused while it recovers must not take that for the end of
// its executors.
constexpr io::Duration kExecutorPatience = std::chrono::minutes(1);
constexpr char kAgentResources[] =
    "cpus:4;mem:4096;disk:4096;ports:[31000-32000]";

std::string Ip(int net, int i) { return absl::StrCat("10.0.", net, ".", i); }

election::ZooKeeperUrl UrlOf(const std::vector<Host*>& servers) {
  election::ZooKeeperUrl url;
  url.path = "/mesos";
  for (const Host* server : servers) {
    url.servers.push_back(absl::StrCat(server->ip(), ":2181"));
  }
  return url;
}

}  // namespace

Cluster::Cluster(World& world, ClusterOptions options)
    : world_(world),
      network_(world, options.network),
      one_leader_(world),
      obedience_(world),
      task_truth_(world),
      log_agreement_(world),
      chosen_epochs_(world, log_agreement_),
      registry_witness_(world),
      ensemble_(world, MakeZooKeepers(options.zookeepers)),
      zk_(UrlOf(ensemble_.servers())) {
  log_agreement_.on_entry = [this](uint64_t position,
                                   const log::EntryProto& entry) {
    registry_witness_.Entry(position, entry);
  };
  for (int i = 0; i < options.masters; ++i) {
    const std::string name = absl::StrCat("master", i);
    master::MasterOptions flags;
    flags.zk = zk_;
    flags.quorum = options.quorum;
    flags.log_observer = log_agreement_.Observe(name);
    flags.registry_observer = registry_witness_.Observe(name);
    const log::LogOptions log = LogClusterOptions::SmallLog();
    flags.log_segment_bytes = log.segment_bytes;
    flags.log_reserve_bytes = log.reserve_bytes;
    master_list_.push_back(new MasterNode(world, network_, ensemble_, name,
                                          Ip(2, i + 1), std::move(flags)));
    nodes_.emplace_back(master_list_.back());
  }
  for (int i = 0; i < options.agents; ++i) {
    agent::AgentOptions flags;
    flags.master.zookeeper = zk_;
    flags.resources = kAgentResources;
    flags.executor_reregistration_timeout = kExecutorPatience;
    agent_list_.push_back(new AgentNode(world, network_, ensemble_,
                                        absl::StrCat("agent", i), Ip(3, i + 1),
                                        std::move(flags)));
    nodes_.emplace_back(agent_list_.back());
    task_truth_.Watch(*agent_list_.back());
  }
  framework_ = new FrameworkNode(world, network_, ensemble_, "framework",
                                 Ip(4, 1), zk_, task_truth_);
  nodes_.emplace_back(framework_);
  for (const auto& node : nodes_) {
    node->on_ended = [this](Node& ending, const Process::Ended& ended) {
      OnEnded(ending, ended);
    };
    node->Restart();
  }
  world_.AfterEachEvent([this] { CheckAll(); });
}

Cluster::~Cluster() { world_.ClearChecks(); }

std::vector<Host*> Cluster::MakeZooKeepers(int count) {
  std::vector<Host*> servers;
  for (int i = 0; i < count; ++i) {
    zookeepers_.push_back(std::make_unique<Host>(
        world_, network_, absl::StrCat("zookeeper", i), Ip(1, i + 1)));
    servers.push_back(zookeepers_.back().get());
  }
  return servers;
}

// A program ends by itself only where the guides say that it does.
void Cluster::OnEnded(Node& node, const Process::Ended& ended) {
  if (ended.killed || ended.code == io::kExitLostLeadership) return;
  // A master that is cut off gives up after its --registry_fetch_timeout or
  // --registry_store_timeout.
  if (absl::StrContains(ended.message, " the registry:") &&
      network_.stalled_segments() > 0) {
    return;
  }
  world_.Fail(absl::StrCat(node.name(), " exits with ", ended.code, ": ",
                           ended.message));
}

// -----------------------------------------------------------------------------

MasterNode* Cluster::Leader() {
  MasterNode* leader = nullptr;
  for (MasterNode* master : master_list_) {
    if (!master->leads()) continue;
    if (leader == nullptr || master->epoch() > leader->epoch()) leader = master;
  }
  return leader;
}

bool Cluster::Registered(MasterNode& master) {
  if (!master.leads()) return false;
  const master::Master::View view = master.role()->view();
  return std::all_of(agent_list_.begin(), agent_list_.end(),
                     [&](AgentNode* agent) {
                       if (agent->role() == nullptr) return false;
                       auto known = view.agents.find(agent->id());
                       return known != view.agents.end() && known->second &&
                              agent->role()->view().registered;
                     });
}

AgentNode* Cluster::AgentWithId(const std::string& id) {
  for (AgentNode* agent : agent_list_) {
    if (agent->id() == id) return agent;
  }
  return nullptr;
}

std::vector<std::string> Cluster::AgentIds() {
  std::vector<std::string> ids;
  for (AgentNode* agent : agent_list_) ids.push_back(agent->id());
  return ids;
}

void Cluster::Await(const std::function<bool()>& condition,
                    io::Duration at_most, const std::string& what) {
  if (world_.RunUntil(condition, at_most)) return;
  world_.FailStuck(absl::StrCat(
      "not within ",
      std::chrono::duration_cast<std::chrono::seconds>(at_most).count(),
      " s: ", what));
}

MasterNode& Cluster::AwaitLeader(io::Duration at_most) {
  Await([this] { return Leader() != nullptr; }, at_most, "a master leads");
  MasterNode* leader = Leader();
  return leader == nullptr ? *master_list_.front() : *leader;
}

MasterNode& Cluster::AwaitLeaderOtherThan(const MasterNode& old,
                                          io::Duration at_most) {
  Await([&] { return Leader() != nullptr && Leader() != &old; }, at_most,
        absl::StrCat("another master than ", old.name(), " leads"));
  MasterNode* leader = Leader();
  return leader == nullptr ? *master_list_.front() : *leader;
}

void Cluster::AwaitRegistered(MasterNode& master, io::Duration at_most) {
  Await([&] { return Registered(master); }, at_most,
        absl::StrCat("all agents are registered with ", master.name()));
}

void Cluster::AwaitRegistered(io::Duration at_most) {
  Await([this] { return Leader() != nullptr && Registered(*Leader()); },
        at_most, "all agents are registered with a leading master");
}

void Cluster::AwaitExit(const Node& node, int code, io::Duration at_most) {
  Await([&] { return node.Exited(code); }, at_most,
        absl::StrCat(node.name(), " exits with code ", code));
}

void Cluster::AwaitTask(const std::string& task_id, const std::string& state,
                        io::Duration at_most) {
  Await([&] { return framework_->Reached(task_id, state); }, at_most,
        absl::StrCat(task_id, " is ", state));
}

// -----------------------------------------------------------------------------

std::vector<Host*> Cluster::AllHosts() const {
  std::vector<Host*> hosts = ensemble_.servers();
  for (const auto& node : nodes_) hosts.push_back(node.get());
  return hosts;
}

void Cluster::CutOneWay(const Side& from, const Side& to) {
  for (const Host& source : from) {
    for (const Host& target : to) network_.Cut(source.ip(), target.ip());
  }
}

void Cluster::Cut(const Side& side, const Side& other) {
  CutOneWay(side, other);
  CutOneWay(other, side);
}

Cluster::Side Cluster::Others(const Side& side) const {
  Side others;
  for (const Host* host : AllHosts()) {
    const bool within =
        std::any_of(side.begin(), side.end(),
                    [&](const Host& one) { return &one == host; });
    if (!within) others.push_back(*host);
  }
  return others;
}

void Cluster::Supervise() {
  for (const auto& node : nodes_) node->Supervise(kSupervisorDelay);
}

void Cluster::EndDisturbances() {
  Heal();
  for (Host* server : ensemble_.servers()) server->Boot();
  for (const auto& node : nodes_) {
    node->DieAtDiskCall(0, false);
    node->Resume();
    node->Restart();
  }
}

// -----------------------------------------------------------------------------

// After each event; what did not run has not changed.
void Cluster::CheckAll() {
  for (MasterNode* master : master_list_) {
    if (!master->HasMoved()) continue;
    master->role()->CheckInvariants();
    const master::Master::View view = master->role()->view();
    if (view.elected) one_leader_.Acts(view.id, view.epoch);
  }
  for (AgentNode* agent : agent_list_) {
    if (!agent->HasMoved()) continue;
    agent->role()->CheckInvariants();
    // Zero until a restarted agent has read its checkpoint.
    const uint64_t epoch = agent->role()->view().epoch;
    if (epoch == 0) continue;
    obedience_.Obeys(agent->name(), epoch);
    chosen_epochs_.Obeys(agent->name(), epoch);
  }
}

}  // namespace quorate::sim
