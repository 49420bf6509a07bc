#include "core/agent/model.h"

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

bool Framework::Has(mesos::v1::FrameworkInfo::Capability::Type type) const {
  for (const auto& capability : info.capabilities()) {
    if (capability.type() == type) return true;
  }
  return false;
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
