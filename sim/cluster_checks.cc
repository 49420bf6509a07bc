#include "sim/cluster_checks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/agent/model.h"
#include "core/master/cluster.h"
#include "core/master/subscriber.h"
#include "core/wire/link.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

// Changes with everything that takes or frees resources.
uint64_t Signature(const agent::Workload& workload) {
  uint64_t signature = 1;
  for (const auto& [framework_id, framework] : workload.frameworks()) {
    for (const auto& [id, executor] : framework->executors) {
      if (executor->state == agent::Executor::State::kTerminated) continue;
      signature += StableHash(executor->run.container_id);
      for (const auto& [task_id, task] : executor->tasks) {
        if (task.phase == agent::Task::Phase::kTerminated) continue;
        signature += StableHash(task_id);
      }
    }
  }
  return signature;
}

const std::vector<size_t>& Sorted(std::vector<size_t>* moved) {
  if (moved->size() > 1) std::sort(moved->begin(), moved->end());
  return *moved;
}

}  // namespace

ClusterChecks::ClusterChecks(World& world, const LogAgreement& agreement)
    : world_(world),
      one_leader_(world),
      obedience_(world),
      chosen_epochs_(world, agreement),
      task_truth_(world),
      resource_books_(world),
      update_delivery_(world),
      admission_(world),
      framework_ends_(world),
      queue_bounds_(world) {}

void ClusterChecks::Watch(MasterNode& master) {
  master.on_turn = [this, i = masters_.size()] { moved_masters_.push_back(i); };
  masters_.push_back({&master, {}});
  reigns_.try_emplace(master.name(), world_, master.name());
}

void ClusterChecks::Watch(AgentNode& agent) {
  agent.on_turn = [this, i = agents_.size()] { moved_agents_.push_back(i); };
  agents_.push_back({&agent, {}, ""});
  task_truth_.Watch(agent);
}

void ClusterChecks::Watch(FrameworkNode& framework) {
  frameworks_.push_back(&framework);
  framework.on_word = [this, &framework](const FrameworkNode::Word& word) {
    OnWord(framework, word);
  };
}

void ClusterChecks::OnWord(FrameworkNode& framework,
                           const FrameworkNode::Word& word) {
  if (!word.uuid.empty()) {
    return update_delivery_.Heard(agent_names_[word.agent_id], framework.id(),
                                  word.task_id, word.uuid);
  }
  if (word.state == "TASK_UNREACHABLE" && !word.agent_id.empty()) {
    admission_.Unreachable(framework.name(), word.agent_id);
  }
  if (word.state == "TASK_GONE_BY_OPERATOR") {
    admission_.GoneByOperator(framework.name(), word.agent_id);
  }
}

void ClusterChecks::Ended(const Node& master) {
  reigns_.at(master.name()).End();
}

void ClusterChecks::AfterEvent() {
  for (size_t i : Sorted(&moved_masters_)) {
    if (masters_[i].node->HasMoved() && !world_.failure()) Check(masters_[i]);
  }
  for (size_t i : Sorted(&moved_agents_)) {
    if (agents_[i].node->HasMoved() && !world_.failure()) Check(agents_[i]);
  }
  moved_masters_.clear();
  moved_agents_.clear();
  if (world_.now() < next_sample_ || world_.failure()) return;
  next_sample_ = world_.now() + kSampleInterval;
  SampleQueues();
}

void ClusterChecks::Check(WatchedMaster& watched) {
  MasterNode& node = *watched.node;
  const master::Master& master = *node.role();
  OpenSpan& reign = reigns_.at(node.name());
  if (!master.leads()) return reign.End();
  reign.Begin(absl::StrCat("leads in epoch ", master.epoch()));
  one_leader_.Acts(master.id(), master.epoch());
  const master::Cluster& cluster = master.cluster();
  CountSlowReaders(cluster);
  admission_.Committed(master.registry());
  NoteGoneAgents();
  CheckBooks(watched);
  Seen& seen = watched.seen;
  if (seen.checked_changes == cluster.changes()) return;
  const bool due = world_.now() >= seen.next_check;
  if (cluster.agents().size() > kSmallCluster && !due) return;
  seen.checked_changes = cluster.changes();
  seen.next_check = world_.now() + kSampleInterval;
  // One whose reign is over, and which has yet to find out, may hold what has
  // ended since.
  newest_epoch_ = std::max(newest_epoch_, master.epoch());
  if (master.epoch() == newest_epoch_) {
    framework_ends_.Check(node.name(), cluster, master.registry());
    NoteRemovedFrameworks();
    admission_.Check(node.name(), cluster, master.registry());
  }
  // It ends the process: what a checker has seen is told first.
  if (!world_.failure()) master.CheckInvariants();
}

// Of the agents of which something has changed.
void ClusterChecks::CheckBooks(WatchedMaster& watched) {
  MasterNode& node = *watched.node;
  const master::Cluster& cluster = node.role()->cluster();
  Seen& seen = watched.seen;
  if (seen.role != node.role()) seen = {node.role()};
  if (seen.changes == cluster.changes()) return;
  for (const master::Agent* agent : cluster.ChangedSince(seen.changes)) {
    resource_books_.Check(node.name(), BooksOf(cluster, *agent));
  }
  seen.changes = cluster.changes();
}

// A framework that reads nothing has an effect when events wait for it.
void ClusterChecks::CountSlowReaders(const master::Cluster& cluster) {
  for (FrameworkNode* framework : frameworks_) {
    if (!framework->reads_nothing()) {
      counted_slow_.erase(framework->name());
      continue;
    }
    const master::Framework* known = cluster.FindFramework(framework->id());
    if (known != nullptr && known->connected() &&
        known->subscriber->queued_bytes() > 0 &&
        counted_slow_.insert(framework->name()).second) {
      world_.Took(Fault::kSlowConsumer, framework->name());
    }
  }
}

void ClusterChecks::NoteRemovedFrameworks() {
  if (removed_frameworks_.size() == framework_ends_.ended().size()) return;
  for (const std::string& id : framework_ends_.ended()) {
    if (!removed_frameworks_.insert(id).second) continue;
    task_truth_.FrameworkRemoved(id);
    update_delivery_.FrameworkRemoved(id);
  }
}

// What the agent runs there ends, and its updates with it.
void ClusterChecks::NoteGoneAgents() {
  if (noted_gone_.size() == admission_.gone().size()) return;
  for (const std::string& id : admission_.gone()) {
    if (!noted_gone_.insert(id).second) continue;
    for (const WatchedAgent& agent : agents_) {
      if (agent.id != id) continue;
      task_truth_.AgentGone(agent.node->name());
      update_delivery_.Forgotten(agent.node->name());
    }
  }
}

void ClusterChecks::Check(WatchedAgent& watched) {
  AgentNode& node = *watched.node;
  const agent::Agent& agent = *node.role();
  Seen& seen = watched.seen;
  const bool began = seen.role != &agent;
  // Zero until a restarted agent has read its checkpoint.
  if (agent.epoch() != 0 && (began || agent.epoch() != seen.epoch)) {
    seen.epoch = agent.epoch();
    obedience_.Obeys(node.name(), agent.epoch());
    chosen_epochs_.Obeys(node.name(), agent.epoch());
  }
  if (!agent.id().empty() && agent.id() != watched.id) {
    // It began anew, without a memory of what it was.
    if (!watched.id.empty()) update_delivery_.Forgotten(node.name());
    watched.id = agent.id();
    agent_names_[watched.id] = node.name();
    task_truth_.AgentBegins(node.name());
  }
  const uint64_t signature = Signature(agent.workload());
  if (began || seen.changes != signature) {
    seen.role = &agent;
    seen.changes = signature;
    resource_books_.Check(node.name(),
                          BooksOf(watched.id, agent.total(), agent.workload()));
  }
  if (!world_.failure()) agent.CheckInvariants();
}

void ClusterChecks::MarkedGone(const std::string& agent_id) {
  for (const WatchedMaster& master : masters_) {
    const master::Master* role = master.node->role();
    if (role != nullptr) admission_.Committed(role->registry());
  }
  admission_.GoneByOperator("the operator", agent_id);
}

void ClusterChecks::TornDown(const std::string& framework_id) {
  for (const WatchedMaster& master : masters_) {
    const master::Master* role = master.node->role();
    if (role != nullptr) framework_ends_.Committed(role->registry());
  }
  framework_ends_.ToldEnded("the operator", framework_id);
}

void ClusterChecks::SampleQueues() {
  for (const WatchedMaster& master : masters_) {
    MasterNode* node = master.node;
    if (node->role() == nullptr) continue;
    queue_bounds_.Sample(node->name(), node->role()->queues());
  }
  for (const WatchedAgent& agent : agents_) {
    AgentNode* node = agent.node;
    if (node->role() == nullptr) continue;
    queue_bounds_.Sample(node->name(), node->role()->queues());
  }
  if (world_.network == nullptr) return;
  queue_bounds_.Sample("network",
                       {{"unsent bytes", world_.network->LongestQueue(),
                         wire::kMaxQueuedBytes + wire::kMaxFrameBytes, true}});
}

std::string ClusterChecks::Unsettled(MasterNode& leader) {
  std::string unsettled =
      absl::StrCat(task_truth_.Unsettled(), update_delivery_.Unheard());
  const master::Cluster& cluster = leader.role()->cluster();
  for (const WatchedAgent& watched : agents_) {
    AgentNode* node = watched.node;
    const agent::Agent* agent = node->role();
    const master::Agent* known =
        agent == nullptr ? nullptr : cluster.FindAgent(agent->id());
    if (known == nullptr) {
      absl::StrAppend(&unsettled, node->name(), " is not registered; ");
      continue;
    }
    absl::StrAppend(&unsettled, ResourceBooks::Differences(
                                    BooksOf(cluster, *known),
                                    BooksOf(agent->id(), agent->total(),
                                            agent->workload())));
  }
  return unsettled;
}

}  // namespace quorate::sim
