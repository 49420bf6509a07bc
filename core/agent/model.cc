#include "core/agent/model.h"

#include <iterator>
#include <utility>

namespace quorate::agent {

bool IsTerminal(mesos::v1::TaskState state) {
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
    default:
      return false;
  }
}

mesos::v1::TaskState DroppedState(const mesos::v1::FrameworkInfo& framework) {
  using Capability = mesos::v1::FrameworkInfo::Capability;
  for (const Capability& capability : framework.capabilities()) {
    if (capability.type() == Capability::PARTITION_AWARE) {
      return mesos::v1::TASK_DROPPED;
    }
  }
  return mesos::v1::TASK_LOST;
}

void Task::Add(const mesos::v1::TaskStatus& status) {
  state = status.state();
  if (IsTerminal(state)) phase = Phase::kTerminated;
  const bool repeated = !statuses.empty() && statuses.back().state() == state;
  if (repeated) statuses.pop_back();
  if (statuses.size() >= kMaxStatuses) statuses.erase(statuses.begin());
  statuses.push_back(status);
  // Payload for the framework, of any size; it is not ours to show.
  statuses.back().clear_data();
}

bool Executor::HasLiveTasks() const {
  for (const auto& [id, task] : tasks) {
    if (task.phase != Task::Phase::kTerminated) return true;
  }
  return false;
}

bool Executor::HasHad(const std::string& task_id) const {
  if (tasks.count(task_id) > 0) return true;
  for (const Task& task : completed) {
    if (task.id() == task_id) return true;
  }
  return false;
}

Resources Executor::Used() const {
  Resources used;
  if (state == State::kTerminated) return used;
  const auto add = [&used](const Resources::Protos& protos) {
    // Validated when they arrived.
    auto resources = Resources::FromProto(protos);
    if (resources.ok()) used += *resources;
  };
  add(info.resources());
  for (const auto& [id, task] : tasks) {
    if (task.phase != Task::Phase::kTerminated) add(task.info.resources());
  }
  return used;
}

Framework* Workload::FindFramework(const std::string& id) const {
  const auto it = frameworks_.find(id);
  return it == frameworks_.end() ? nullptr : it->second.get();
}

Executor* Workload::FindExecutor(const std::string& framework_id,
                                 const std::string& executor_id) const {
  const Framework* framework = FindFramework(framework_id);
  if (framework == nullptr) return nullptr;
  const auto it = framework->executors.find(executor_id);
  return it == framework->executors.end() ? nullptr : it->second.get();
}

Executor* Workload::FindRun(const Run& run) const {
  Executor* executor = FindExecutor(run.framework_id, run.executor_id);
  if (executor == nullptr) return nullptr;
  const bool same = executor->run.container_id == run.container_id;
  return same ? executor : nullptr;
}

Workload::Place Workload::FindTask(const std::string& framework_id,
                                   const std::string& task_id) const {
  Place place;
  place.framework = FindFramework(framework_id);
  if (place.framework == nullptr) return place;
  for (const auto& [id, executor] : place.framework->executors) {
    const auto it = executor->tasks.find(task_id);
    if (it == executor->tasks.end()) continue;
    place.executor = executor.get();
    place.task = &it->second;
    break;
  }
  return place;
}

Framework& Workload::AddFramework(const mesos::v1::FrameworkInfo& info) {
  const std::string& id = info.id().value();
  std::unique_ptr<Framework>& framework = frameworks_[id];
  for (auto it = completed_.begin();
       framework == nullptr && it != completed_.end(); ++it) {
    if ((*it)->id() != id) continue;
    framework = std::move(*it);
    framework->terminating = false;
    completed_.erase(it);
    break;
  }
  if (framework == nullptr) framework = std::make_unique<Framework>();
  framework->info = info;
  return *framework;
}

void Workload::CompleteTask(Executor& executor, const std::string& task_id) {
  auto node = executor.tasks.extract(task_id);
  if (node.empty()) return;
  executor.completed.push_back(std::move(node.mapped()));
  if (executor.completed.size() > kMaxCompletedTasks) {
    executor.completed.pop_front();
  }
}

Workload::Forgotten Workload::CompleteExecutor(Framework& framework,
                                               const std::string& executor_id) {
  auto node = framework.executors.extract(executor_id);
  if (node.empty()) return {};
  framework.completed.push_back(std::move(node.mapped()));
  Forgotten forgotten;
  if (framework.completed.size() > kMaxCompletedExecutors) {
    forgotten.push_back(std::move(framework.completed.front()));
    framework.completed.pop_front();
  }
  return forgotten;
}

Workload::Forgotten Workload::CompleteFramework(const std::string& id) {
  auto node = frameworks_.extract(id);
  if (node.empty()) return {};
  completed_.push_back(std::move(node.mapped()));
  if (completed_.size() <= kMaxCompletedFrameworks) return {};
  Forgotten forgotten(
      std::make_move_iterator(completed_.front()->completed.begin()),
      std::make_move_iterator(completed_.front()->completed.end()));
  completed_.pop_front();
  return forgotten;
}

absl::string_view StateName(Executor::State state) {
  switch (state) {
    case Executor::State::kRegistering:
      return "registering";
    case Executor::State::kRunning:
      return "running";
    case Executor::State::kTerminating:
      return "terminating";
    case Executor::State::kTerminated:
      return "terminated";
  }
  return "";
}

wire::AgentTask ToWire(const Executor& executor, const Task& task) {
  wire::AgentTask message;
  message.mutable_framework_id()->set_value(executor.run.framework_id);
  *message.mutable_task_info() = task.info;
  message.mutable_executor_id()->set_value(executor.id());
  message.set_state(task.state);
  for (const auto& status : task.statuses) *message.add_statuses() = status;
  if (task.forwarded_state.has_value()) {
    message.set_status_update_state(*task.forwarded_state);
    message.set_status_update_uuid(task.forwarded_uuid);
  }
  return message;
}

mesos::v1::Task ToApi(const Executor& executor, const Task& task) {
  mesos::v1::Task message;
  const mesos::v1::TaskInfo& info = task.info;
  message.set_name(info.name());
  *message.mutable_task_id() = info.task_id();
  message.mutable_framework_id()->set_value(executor.run.framework_id);
  if (!executor.generated) {
    message.mutable_executor_id()->set_value(executor.id());
  }
  *message.mutable_agent_id() = info.agent_id();
  message.set_state(task.state);
  *message.mutable_resources() = info.resources();
  for (const auto& status : task.statuses) *message.add_statuses() = status;
  if (task.forwarded_state.has_value()) {
    message.set_status_update_state(*task.forwarded_state);
    message.set_status_update_uuid(task.forwarded_uuid);
  }
  if (info.has_labels()) *message.mutable_labels() = info.labels();
  if (info.has_discovery()) *message.mutable_discovery() = info.discovery();
  if (info.has_container()) *message.mutable_container() = info.container();
  if (info.has_health_check()) {
    *message.mutable_health_check() = info.health_check();
  }
  if (info.has_kill_policy()) {
    *message.mutable_kill_policy() = info.kill_policy();
  }
  if (!executor.user.empty()) message.set_user(executor.user);
  *message.mutable_limits() = info.limits();
  return message;
}

}  // namespace quorate::agent
