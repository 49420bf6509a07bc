#include "sim/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/agent/model.h"
#include "core/master/agents.h"
#include "core/master/cluster.h"
#include "sim/log_cluster.h"
#include "sim/squatter.h"

namespace quorate::sim {
namespace {

constexpr io::Duration kSupervisorDelay = std::chrono::seconds(1);
// The default --registry_fetch_timeout, and what passes before it begins.
constexpr io::Duration kLongestRegistryWait = std::chrono::seconds(90);
// An agent that is paused while it recovers must not take that for the end of
// its executors.
constexpr io::Duration kExecutorPatience = std::chrono::minutes(1);
constexpr char kAgentResources[] =
    "cpus:4;mem:4096;disk:4096;ports:[31000-32000]";

std::string Ip(int net, int i) {
  return absl::StrCat("10.", i / 256, ".", net, ".", i % 256);
}

std::vector<io::Endpoint> EndpointsOfMasters(int count) {
  std::vector<io::Endpoint> endpoints;
  for (int i = 0; i < count; ++i) {
    endpoints.push_back({Ip(2, i + 1), kMasterPort});
  }
  return endpoints;
}

}  // namespace

Cluster::Cluster(World& world, ClusterOptions options)
    : world_(world),
      network_(world, options.network),
      log_agreement_(world),
      registry_witness_(world),
      checks_(world, log_agreement_),
      ensemble_(world, MakeZooKeepers(options.zookeepers)),
      console_(world, network_, [this] { return Leader(); }) {
  log_agreement_.appends_differ = false;
  log_agreement_.on_entry = [this](uint64_t position,
                                   const log::EntryProto& entry) {
    registry_witness_.Entry(position, entry);
  };
  console_.on_gone = [this](const auto& id) { checks_.MarkedGone(id); };
  console_.on_torn_down = [this](const auto& id) { checks_.TornDown(id); };
  AddMasters(options);
  AddAgents(options);
  AddFrameworks(options);
  for (const auto& node : nodes_) {
    node->on_ended = [this](Node& ending, const Process::Ended& ended) {
      OnEnded(ending, ended);
    };
    node->Restart();
  }
  world_.AfterEachEvent([this] { checks_.AfterEvent(); });
  witness_ = world_.CallAsWitness([this] { return Testimony(); });
}

election::ZooKeeperUrl Cluster::zookeeper_url() const {
  election::ZooKeeperUrl url;
  url.path = "/mesos";
  for (const Host* server : ensemble_.servers()) {
    url.servers.push_back(absl::StrCat(server->ip(), ":2181"));
  }
  return url;
}

std::vector<io::Endpoint> Cluster::master_endpoints() const {
  return EndpointsOfMasters(static_cast<int>(master_list_.size()));
}

election::MasterLocation Cluster::LocationOf(
    const ClusterOptions& options) const {
  election::MasterLocation location;
  if (options.builtin_election) {
    location.masters = EndpointsOfMasters(options.masters);
  } else {
    location.zookeeper = zookeeper_url();
  }
  return location;
}

void Cluster::AddMasters(const ClusterOptions& options) {
  const election::MasterLocation location = LocationOf(options);
  for (int i = 0; i < options.masters; ++i) {
    const std::string name = absl::StrCat("master", i);
    master::MasterOptions flags;
    flags.zk = location.zookeeper;
    flags.masters = location.masters;
    if (options.standby) {
      flags.on_lost_leadership = master::LostLeadership::kStandby;
    }
    flags.quorum = options.quorum;
    flags.log_observer = log_agreement_.Observe(name);
    flags.registry_observer = registry_witness_.Observe(name);
    const log::LogOptions log = LogClusterOptions::SmallLog();
    flags.log_segment_bytes = log.segment_bytes;
    flags.log_reserve_bytes = log.reserve_bytes;
    master_list_.push_back(new MasterNode(world_, network_, ensemble_, name,
                                          Ip(2, i + 1), std::move(flags)));
    nodes_.emplace_back(master_list_.back());
    checks_.Watch(*master_list_.back());
  }
}

void Cluster::AddAgents(const ClusterOptions& options) {
  for (int i = 0; i < options.agents; ++i) {
    const std::string name = absl::StrCat("agent", i);
    agent::AgentOptions flags;
    flags.master = LocationOf(options);
    flags.resources = kAgentResources;
    flags.executor_reregistration_timeout = kExecutorPatience;
    flags.update_observer = checks_.update_delivery().Observe(name);
    agent_list_.push_back(new AgentNode(world_, network_, ensemble_, name,
                                        Ip(3, i + 1), std::move(flags)));
    nodes_.emplace_back(agent_list_.back());
    checks_.Watch(*agent_list_.back());
  }
}

void Cluster::AddFrameworks(const ClusterOptions& options) {
  for (int i = 0; i < options.frameworks; ++i) {
    const std::string name =
        i == 0 ? std::string("framework") : absl::StrCat("framework", i);
    framework_list_.push_back(new FrameworkNode(
        world_, network_, ensemble_, name, Ip(4, i + 1), LocationOf(options),
        options.framework, checks_.task_truth()));
    nodes_.emplace_back(framework_list_.back());
    checks_.Watch(*framework_list_.back());
  }
}

Cluster::~Cluster() { world_.EndStory(); }

std::vector<Host*> Cluster::MakeZooKeepers(int count) {
  std::vector<Host*> servers;
  for (int i = 0; i < count; ++i) {
    zookeepers_.push_back(std::make_unique<Host>(
        world_, network_, absl::StrCat("zookeeper", i), Ip(1, i + 1)));
    servers.push_back(zookeepers_.back().get());
  }
  return servers;
}

// Another than this one, so lately that it may have been waited for since.
bool Cluster::MasterWasDown(const Node& but) const {
  if (last_master_end_ &&
      world_.now() - *last_master_end_ < kLongestRegistryWait) {
    return true;
  }
  return std::any_of(
      master_list_.begin(), master_list_.end(),
      [&](MasterNode* master) { return master != &but && !master->running(); });
}

void Cluster::OnEnded(Node& node, const Process::Ended& ended) {
  const bool is_master = dynamic_cast<MasterNode*>(&node) != nullptr;
  const bool explained = ended.killed || DiskExplains(node, ended) ||
                         SquatterExplains(node, ended) ||
                         (is_master && ReignExplains(node, ended)) ||
                         // A story has told it to stop: no master does by
                         // itself.
                         (is_master && ended.code == io::kExitOk);
  if (is_master) {
    last_master_end_ = world_.now();
    checks_.Ended(node);
  }
  if (explained) return;
  // As an operator wants it.
  auto* agent = dynamic_cast<AgentNode*>(&node);
  if (agent != nullptr && checks_.IsGone(agent->id()) &&
      absl::StrContains(ended.message, master::kMarkedGone)) {
    return;
  }
  world_.Fail(absl::StrCat(node.name(), " exits with ", ended.code, ": ",
                           ended.message));
}

// A program ends by itself only where the guides say that it does: a master
// that does not lead any more, for which something has to have gone wrong; and
// one that did not reach the others, or of which the others were down, after
// its --registry_fetch_timeout or --registry_store_timeout.
bool Cluster::ReignExplains(const Node& node,
                            const Process::Ended& ended) const {
  if (ended.code == io::kExitLostLeadership) {
    return world_.faults().total() > 0;
  }
  const std::optional<io::Instant> stall = network_.LastStall(node.ip());
  const bool was_cut_off =
      stall && world_.now() - *stall < kLongestRegistryWait;
  return absl::StrContains(ended.message, " the registry:") &&
         (was_cut_off || MasterWasDown(node));
}

// Its own disk failed, or was full: a log waits for space, an agent does not.
bool Cluster::DiskExplains(const Node& node,
                           const Process::Ended& ended) const {
  if (ended.code != io::kExitDiskFailure) return false;
  const FaultCounts& faults = world_.faults_of(node.name());
  const bool failed = faults.of(Fault::kReadFailed) > 0 ||
                      faults.of(Fault::kWriteFailed) > 0 ||
                      faults.of(Fault::kSyncFailed) > 0;
  const bool is_agent = dynamic_cast<const AgentNode*>(&node) != nullptr;
  return (failed && absl::StrContains(ended.message, "input/output error")) ||
         (is_agent && faults.of(Fault::kDiskFull) > 0 &&
          absl::StrContains(ended.message, "no space left"));
}

bool Cluster::SquatterExplains(const Node& node,
                               const Process::Ended& ended) const {
  return IsSquatted(node) && absl::StrContains(ended.message, " is in use");
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
  const master::Cluster& cluster = master.role()->cluster();
  const auto missing = [&](AgentNode* agent) {
    if (agent->role() == nullptr) return true;
    const master::Agent* known = cluster.FindAgent(agent->id());
    return known == nullptr || !known->connected() ||
           !agent->role()->registered();
  };
  // This is asked after each event: who was missing is, most often, still.
  if (missing_ != nullptr && missing(missing_)) return false;
  const auto one =
      std::find_if(agent_list_.begin(), agent_list_.end(), missing);
  missing_ = one == agent_list_.end() ? nullptr : *one;
  return missing_ == nullptr;
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
                    io::Duration at_most,
                    const std::function<std::string()>& what) {
  if (world_.RunUntil(condition, at_most)) return;
  world_.FailStuck(absl::StrCat(
      "not within ",
      std::chrono::duration_cast<std::chrono::seconds>(at_most).count(),
      " s: ", what()));
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
  const auto reached = [&] {
    return std::any_of(framework_list_.begin(), framework_list_.end(),
                       [&](const FrameworkNode* framework) {
                         return framework->Reached(task_id, state);
                       });
  };
  Await(reached, at_most, absl::StrCat(task_id, " is ", state));
}

void Cluster::AwaitService() {
  AwaitLeader(kLeaderBound);
  AwaitRegistered(kAgentsBound);
  for (FrameworkNode* framework : framework_list_) AwaitLaunch(*framework);
}

// A link that was half open breaks now, perhaps, and a task with it.
void Cluster::AwaitLaunch(FrameworkNode& framework) {
  std::string probe;
  const auto done = [&] {
    if (!probe.empty() && !framework.Ended(probe)) return false;
    if (framework.Reached(probe, "TASK_FINISHED")) return true;
    probe = absl::StrCat("probe", probes_++, "-", framework.name());
    framework.Launch(probe, "sleep 1");
    return false;
  };
  Await(done, kLaunchBound,
        [&] { return absl::StrCat(framework.name(), " runs ", probe); });
}

void Cluster::AwaitSettled() {
  std::string unsettled;
  io::Instant next_look;
  // Costs too much after each event.
  const auto settled = [&] {
    if (world_.now() < next_look) return false;
    next_look = world_.now() + std::chrono::seconds(1);
    MasterNode* leader = Leader();
    unsettled = leader == nullptr ? "nobody leads" : checks_.Unsettled(*leader);
    return unsettled.empty();
  };
  Await(settled, kSettleBound,
        [&] { return absl::StrCat("everybody agrees: ", unsettled); });
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
  network_.ClearLinks();
  for (FrameworkNode* framework : framework_list_) framework->Misbehave({});
  for (Host* server : ensemble_.servers()) server->Boot();
  for (const auto& node : nodes_) {
    node->Wake();
    node->DieAtDiskCall(0, false);
    node->SetSlowLoop({});
    node->Resume();
    node->Restart();
  }
}

// -----------------------------------------------------------------------------

// What each node says of itself, when nothing gets on.
std::string Cluster::Testimony() {
  std::string said;
  for (MasterNode* node : master_list_) {
    absl::StrAppend(&said, node->name(), ": ");
    if (const master::Master* master = node->role(); master == nullptr) {
      absl::StrAppend(&said, "does not run");
    } else {
      absl::StrAppend(&said, master->leads() ? "leads" : "follows", ", epoch ",
                      master->epoch(), ", ", master->cluster().agents().size(),
                      " agents, ", master->cluster().frameworks().size(),
                      " frameworks, ", master->cluster().offers().size(),
                      " offers", node->paused() ? ", paused" : "");
    }
    absl::StrAppend(&said, "\n");
  }
  for (AgentNode* node : agent_list_) {
    absl::StrAppend(&said, node->name(), ": ");
    if (const agent::Agent* agent = node->role(); agent == nullptr) {
      absl::StrAppend(&said, "does not run");
    } else {
      absl::StrAppend(&said, agent->registered() ? "registered" : "alone",
                      " as ", agent->id(), ", epoch ", agent->epoch(), ", ",
                      agent->workload().frameworks().size(),
                      " frameworks on it", node->paused() ? ", paused" : "");
    }
    absl::StrAppend(&said, "\n");
  }
  for (FrameworkNode* node : framework_list_) {
    absl::StrAppend(&said, node->name(), ": ",
                    !node->running()     ? "does not run"
                    : node->subscribed() ? "subscribed"
                                         : "not subscribed",
                    " as ", node->id(), ", ", node->Waiting(),
                    " tasks wait for an offer\n");
  }
  return said;
}

}  // namespace quorate::sim
