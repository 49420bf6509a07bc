#include "core/master/cluster.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/master/limits.h"
#include "core/master/subscriber.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskState;

Resources WithoutMarks(Resources resources) {
  resources.Unallocate();
  return resources;
}

// Appends, without another of the same id, keeping the newest `max`.
void Keep(std::deque<Task>& tasks, Task task, size_t max) {
  const auto same = [&](const Task& other) { return other.id() == task.id(); };
  tasks.erase(std::remove_if(tasks.begin(), tasks.end(), same), tasks.end());
  tasks.push_back(std::move(task));
  while (tasks.size() > max) tasks.pop_front();
}

}  // namespace

std::string Agent::pid() const {
  return absl::StrCat("slave(1)@", address.ToString());
}

AgentPeer::~AgentPeer() {
  CHECK(agent_ == nullptr) << agent_->id << " has lost its peer unawares";
}

Framework::Framework() = default;
Framework::~Framework() = default;

bool Framework::Has(FrameworkInfo::Capability::Type wanted) const {
  for (const FrameworkInfo::Capability& capability : info.capabilities()) {
    if (capability.type() == wanted) return true;
  }
  return false;
}

std::vector<std::string> Framework::roles() const {
  if (!Has(FrameworkInfo::Capability::MULTI_ROLE)) return {info.role()};
  return {info.roles().begin(), info.roles().end()};
}

const Task* Framework::FindUnreachable(const std::string& task_id) const {
  for (const Task& task : unreachable_tasks) {
    if (task.id() == task_id) return &task;
  }
  return nullptr;
}

bool IsTerminal(TaskState state) {
  switch (state) {
    case mesos::v1::TASK_FINISHED:
    case mesos::v1::TASK_FAILED:
    case mesos::v1::TASK_KILLED:
    case mesos::v1::TASK_ERROR:
    case mesos::v1::TASK_LOST:
    case mesos::v1::TASK_DROPPED:
    case mesos::v1::TASK_GONE:
    case mesos::v1::TASK_GONE_BY_OPERATOR:
      return true;
    case mesos::v1::TASK_STAGING:
    case mesos::v1::TASK_STARTING:
    case mesos::v1::TASK_RUNNING:
    case mesos::v1::TASK_KILLING:
    case mesos::v1::TASK_UNREACHABLE:
    case mesos::v1::TASK_UNKNOWN:
      return false;
  }
  return false;
}

Cluster::Cluster() = default;
Cluster::~Cluster() = default;

Agent* Cluster::FindAgent(const std::string& id) const {
  auto it = agents_.find(id);
  return it == agents_.end() ? nullptr : it->second.get();
}

Agent* Cluster::FindAgentAt(const io::Endpoint& address) const {
  auto it = agents_by_address_.find(address);
  return it == agents_by_address_.end() ? nullptr : FindAgent(it->second);
}

Framework* Cluster::FindFramework(const std::string& id) const {
  auto it = frameworks_.find(id);
  return it == frameworks_.end() ? nullptr : it->second.get();
}

const Framework* Cluster::FindCompleted(const std::string& id) const {
  for (const auto& framework : completed_) {
    if (framework->id == id) return framework.get();
  }
  return nullptr;
}

Offer* Cluster::FindOffer(const std::string& id) {
  auto it = offers_.find(id);
  return it == offers_.end() ? nullptr : &it->second;
}

Agent& Cluster::AddAgent(std::unique_ptr<Agent> agent) {
  Agent& added = *agent;
  CHECK(agents_.emplace(added.id, std::move(agent)).second) << added.id;
  agents_by_address_[added.address] = added.id;
  NoteChange(added);
  return added;
}

void Cluster::RemoveAgent(Agent& agent) {
  CHECK(agent.tasks.empty() && agent.offers.empty()) << agent.id;
  CHECK(!agent.connected()) << agent.id;
  ForgetAddress(agent);
  agents_by_change_.erase(agent.changed);
  agents_.erase(std::string(agent.id));
  ++changes_;
}

void Cluster::SetAddress(Agent& agent, const io::Endpoint& address) {
  ForgetAddress(agent);
  agent.address = address;
  agents_by_address_[address] = agent.id;
}

void Cluster::SetPeer(Agent& agent, AgentPeer* peer) {
  if (agent.peer != nullptr) agent.peer->agent_ = nullptr;
  if (peer != nullptr) {
    CHECK(peer->agent_ == nullptr)
        << peer->agent_->id << " has the peer that " << agent.id << " wants";
    peer->agent_ = &agent;
  }
  agent.peer = peer;
  NoteChange(agent);
}

void Cluster::SetSubscriber(Framework& framework,
                            std::unique_ptr<Subscriber> subscriber) {
  framework.subscriber = std::move(subscriber);
  ++changes_;
}

void Cluster::NoteChange(Agent& agent) {
  agents_by_change_.erase(agent.changed);
  agent.changed = ++changes_;
  agents_by_change_.emplace_hint(agents_by_change_.end(), changes_, &agent);
}

std::vector<const Agent*> Cluster::ChangedSince(uint64_t changes) const {
  std::vector<const Agent*> changed;
  for (auto it = agents_by_change_.upper_bound(changes);
       it != agents_by_change_.end(); ++it) {
    changed.push_back(it->second);
  }
  return changed;
}

void Cluster::ForgetAddress(const Agent& agent) {
  auto at = agents_by_address_.find(agent.address);
  if (at != agents_by_address_.end() && at->second == agent.id) {
    agents_by_address_.erase(at);
  }
}

void Cluster::SetTotal(Agent& agent, Resources total) {
  agent.total = std::move(total);
  NoteChange(agent);
  if (on_available_) on_available_();
}

Framework& Cluster::AddFramework(std::unique_ptr<Framework> framework) {
  Framework& added = *framework;
  CHECK(frameworks_.emplace(added.id, std::move(framework)).second) << added.id;
  ++changes_;
  return added;
}

void Cluster::CompleteFramework(Framework& framework, size_t max_completed) {
  CHECK(framework.tasks.empty() && framework.offers.empty()) << framework.id;
  AddCompleted(std::move(frameworks_.extract(framework.id).mapped()),
               max_completed);
}

void Cluster::AddCompleted(std::unique_ptr<Framework> framework,
                           size_t max_completed) {
  completed_.push_back(std::move(framework));
  while (completed_.size() > max_completed) completed_.pop_front();
  ++changes_;
}

Task& Cluster::AddTask(Task task) {
  const std::string framework_id = task.info.framework_id().value();
  const std::string id = task.id();
  Agent& agent = *CHECK_NOTNULL(FindAgent(task.agent_id()));
  Framework& framework = *CHECK_NOTNULL(FindFramework(framework_id));
  auto [it, added] = framework.tasks.emplace(id, std::move(task));
  CHECK(added) << framework_id << " " << id;
  agent.tasks[framework_id].insert(id);
  if (!IsTerminal(it->second.info.state())) {
    agent.used += WithoutMarks(it->second.resources);
    NoteChange(agent);
  }
  return it->second;
}

void Cluster::SetTaskState(Task& task, TaskState state) {
  const bool was_terminal = IsTerminal(task.info.state());
  task.info.set_state(state);
  if (IsTerminal(state) == was_terminal) return;
  if (Agent* agent = FindAgent(task.agent_id())) Recount(*agent);
}

void Cluster::Detach(const Task& task) {
  Agent* agent = FindAgent(task.agent_id());
  if (agent == nullptr) return;
  auto it = agent->tasks.find(task.info.framework_id().value());
  CHECK(it != agent->tasks.end()) << task.id();
  it->second.erase(task.id());
  if (it->second.empty()) agent->tasks.erase(it);
  Recount(*agent);
}

void Cluster::CompleteTask(Framework& framework, Task& task,
                           size_t max_completed) {
  auto node = framework.tasks.extract(task.id());
  CHECK(!node.empty());
  Detach(node.mapped());
  Keep(framework.completed_tasks, std::move(node.mapped()), max_completed);
}

void Cluster::MoveToUnreachable(Framework& framework, Task& task) {
  auto node = framework.tasks.extract(task.id());
  CHECK(!node.empty());
  Detach(node.mapped());
  Keep(framework.unreachable_tasks, std::move(node.mapped()),
       kMaxUnreachableTasksPerFramework);
}

void Cluster::DropUnreachable(Framework& framework,
                              const std::string& task_id) {
  auto& tasks = framework.unreachable_tasks;
  tasks.erase(
      std::remove_if(tasks.begin(), tasks.end(),
                     [&](const Task& task) { return task.id() == task_id; }),
      tasks.end());
}

void Cluster::CompleteUnreachable(Framework& framework,
                                  const std::string& task_id, TaskState state,
                                  size_t max_completed) {
  const Task* unreachable = framework.FindUnreachable(task_id);
  if (unreachable == nullptr) return;
  Task task = *unreachable;
  DropUnreachable(framework, task_id);
  task.info.set_state(state);
  Keep(framework.completed_tasks, std::move(task), max_completed);
}

void Cluster::AddExecutor(Agent& agent, const std::string& framework_id,
                          Executor executor) {
  const std::string id = executor.info.executor_id().value();
  agent.executors[framework_id][id] = std::move(executor);
  Recount(agent);
}

void Cluster::RemoveExecutor(Agent& agent, const std::string& framework_id,
                             const std::string& executor_id) {
  auto it = agent.executors.find(framework_id);
  if (it == agent.executors.end()) return;
  it->second.erase(executor_id);
  if (it->second.empty()) agent.executors.erase(it);
  Recount(agent);
}

void Cluster::RemoveExecutors(Agent& agent, const std::string& framework_id) {
  if (agent.executors.erase(framework_id) > 0) Recount(agent);
}

Offer& Cluster::AddOffer(Offer offer) {
  Agent& agent = *CHECK_NOTNULL(FindAgent(offer.agent_id));
  Framework& framework = *CHECK_NOTNULL(FindFramework(offer.framework_id));
  const std::string id = offer.id;
  auto [it, added] = offers_.emplace(id, std::move(offer));
  CHECK(added) << id;
  agent.offers.insert(id);
  framework.offers.insert(id);
  RecountOffers(agent);
  return it->second;
}

void Cluster::RemoveOffer(const std::string& id) {
  auto node = offers_.extract(id);
  CHECK(!node.empty()) << id;
  const Offer& offer = node.mapped();
  CHECK_NOTNULL(FindFramework(offer.framework_id))->offers.erase(offer.id);
  Agent& agent = *CHECK_NOTNULL(FindAgent(offer.agent_id));
  agent.offers.erase(offer.id);
  RecountOffers(agent);
}

// Sums are taken anew instead of being corrected: tasks that agents list may
// overlap (the same port twice), and then no difference would be right.
void Cluster::Recount(Agent& agent) {
  Resources used = UsedOn(agent);
  used.Unallocate();
  const bool freed = !used.Contains(agent.used);
  agent.used = std::move(used);
  NoteChange(agent);
  if (freed && on_available_) on_available_();
}

void Cluster::RecountOffers(Agent& agent) {
  Resources offered;
  for (const std::string& id : agent.offers) {
    offered += WithoutMarks(offers_.at(id).resources);
  }
  const bool freed = !offered.Contains(agent.offered);
  agent.offered = std::move(offered);
  NoteChange(agent);
  if (freed && on_available_) on_available_();
}

Resources Cluster::UsedOn(const Agent& agent) const {
  Resources used;
  for (const auto& [framework_id, tasks] : agent.tasks) {
    const Framework& framework = *frameworks_.at(framework_id);
    for (const std::string& id : tasks) {
      const Task& task = framework.tasks.at(id);
      if (!IsTerminal(task.info.state())) used += task.resources;
    }
  }
  for (const auto& [framework_id, executors] : agent.executors) {
    for (const auto& [id, executor] : executors) used += executor.resources;
  }
  return used;
}

Resources Cluster::Available(const Agent& agent) {
  const Resources held = Planted(Bug::kOfferedIsAvailable)
                             ? agent.used
                             : agent.used + agent.offered;
  if (!agent.total.Contains(held)) return Resources();
  return agent.total - held;
}

Resources Cluster::UsedBy(const Framework& framework) const {
  Resources used;
  for (const auto& [id, task] : framework.tasks) {
    if (!IsTerminal(task.info.state())) used += task.resources;
  }
  for (const auto& [agent_id, agent] : agents_) {
    auto it = agent->executors.find(framework.id);
    if (it == agent->executors.end()) continue;
    for (const auto& [id, executor] : it->second) used += executor.resources;
  }
  return used;
}

Resources Cluster::OfferedTo(const Framework& framework) const {
  Resources offered;
  for (const std::string& id : framework.offers) {
    offered += offers_.at(id).resources;
  }
  return offered;
}

void Cluster::CheckInvariants() const {
  for (const auto& [id, agent] : agents_) {
    // Offers are made of what is available only. An agent that lists more
    // tasks than it has resources for gets no offers.
    CHECK(agent->offers.empty() ||
          agent->total.Contains(agent->used + agent->offered))
        << "agent " << id << " has " << agent->total.ToText() << "; "
        << agent->used.ToText() << " is used and " << agent->offered.ToText()
        << " offered";
    CHECK(agent->connected() || agent->offers.empty()) << id;
    CHECK(!agent->connected() || agent->peer->agent_ == agent.get()) << id;
    for (const auto& [framework_id, tasks] : agent->tasks) {
      auto framework = frameworks_.find(framework_id);
      CHECK(framework != frameworks_.end()) << id << " " << framework_id;
      for (const std::string& task : tasks) {
        auto it = framework->second->tasks.find(task);
        CHECK(it != framework->second->tasks.end()) << id << " " << task;
        CHECK_EQ(it->second.agent_id(), id) << task;
      }
    }
  }
  for (const auto& [id, framework] : frameworks_) {
    CHECK(framework->connected() || framework->offers.empty()) << id;
    for (const auto& [task_id, task] : framework->tasks) {
      auto agent = agents_.find(task.agent_id());
      CHECK(agent != agents_.end()) << task_id << " on " << task.agent_id();
      auto tasks = agent->second->tasks.find(id);
      CHECK(tasks != agent->second->tasks.end()) << task_id;
      CHECK_EQ(tasks->second.count(task_id), 1) << task_id;
    }
  }
  for (const auto& [id, offer] : offers_) {
    CHECK_EQ(agents_.at(offer.agent_id)->offers.count(id), 1) << id;
    CHECK_EQ(frameworks_.at(offer.framework_id)->offers.count(id), 1) << id;
  }
}

}  // namespace quorate::master
