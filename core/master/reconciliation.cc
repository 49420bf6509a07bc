#include "core/master/reconciliation.h"

#include <optional>
#include <utility>

#include "core/master/events.h"

namespace quorate::master {
namespace {

using mesos::v1::OperationStatus;
using mesos::v1::TaskState;
using mesos::v1::scheduler::Call;

// The newest state that was forwarded, if one was: the framework must not
// learn here of an update that it has yet to acknowledge.
TaskState KnownState(const Task& task) {
  return task.info.has_status_update_state() ? task.info.status_update_state()
                                             : task.info.state();
}

void SendKnown(Context& context, Framework& framework, const Task& task) {
  mesos::v1::TaskStatus status =
      MakeStatus(context, {.task_id = task.id(),
                           .agent_id = task.agent_id(),
                           .state = KnownState(task),
                           .message = "Reconciliation: Latest task state"});
  // What else the newest such status said.
  for (auto it = task.info.statuses().rbegin();
       it != task.info.statuses().rend(); ++it) {
    if (it->state() != status.state()) continue;
    if (it->has_healthy()) status.set_healthy(it->healthy());
    if (it->has_container_status()) {
      *status.mutable_container_status() = it->container_status();
    }
    break;
  }
  SendUpdate(framework, status);
}

// Where a task that the master does not have may be.
enum class Whereabouts { kMayReturn, kGone, kUnreachable, kRemoved, kUnknown };

Whereabouts WhereaboutsOf(const Context& context, const std::string& agent_id) {
  const auto& recovered = context.cluster.recovered_agents();
  if (agent_id.empty()) {
    return recovered.empty() ? Whereabouts::kUnknown : Whereabouts::kMayReturn;
  }
  const registry::RegistryState& registry = context.registry->state();
  if (recovered.count(agent_id) > 0) return Whereabouts::kMayReturn;
  if (context.cluster.FindAgent(agent_id) != nullptr) return Whereabouts::kGone;
  if (registry.unreachable().count(agent_id) > 0) {
    return Whereabouts::kUnreachable;
  }
  if (registry.gone().count(agent_id) > 0) return Whereabouts::kRemoved;
  return Whereabouts::kUnknown;
}

}  // namespace

void ReconcileTask(Context& context, Framework& framework,
                   const std::string& task_id, const std::string& agent_id) {
  auto known = framework.tasks.find(task_id);
  if (known != framework.tasks.end()) {
    return SendKnown(context, framework, known->second);
  }
  MasterStatus status{.task_id = task_id};
  if (!agent_id.empty()) status.agent_id = agent_id;
  Whereabouts whereabouts = WhereaboutsOf(context, agent_id);
  const Task* unreachable = framework.FindUnreachable(task_id);
  if (unreachable != nullptr) {
    whereabouts = Whereabouts::kUnreachable;
    status.agent_id = unreachable->agent_id();
  }
  switch (whereabouts) {
    case Whereabouts::kMayReturn:
      return;
    case Whereabouts::kGone:
      status.state = mesos::v1::TASK_GONE;
      status.message = "Reconciliation: Task is gone";
      break;
    case Whereabouts::kUnreachable: {
      status.state = mesos::v1::TASK_UNREACHABLE;
      status.message = "Reconciliation: Task is unreachable";
      const auto& times = context.registry->state().unreachable();
      auto time = times.find(*status.agent_id);
      if (time != times.end()) status.unreachable_time = time->second;
      break;
    }
    case Whereabouts::kRemoved:
      status.state = mesos::v1::TASK_GONE_BY_OPERATOR;
      status.message = "Reconciliation: Task is gone by operator";
      break;
    case Whereabouts::kUnknown:
      status.state = mesos::v1::TASK_UNKNOWN;
      status.message = "Reconciliation: Task is unknown";
      break;
  }
  status.state = LostState(framework, status.state);
  SendUpdate(framework, MakeStatus(context, status));
}

void Reconcile(Context& context, Framework& framework,
               const Call::Reconcile& call) {
  for (const Call::Reconcile::Task& task : call.tasks()) {
    ReconcileTask(context, framework, task.task_id().value(),
                  task.agent_id().value());
  }
  if (call.tasks_size() > 0) return;
  for (const auto& [id, task] : framework.tasks) {
    if (!IsTerminal(KnownState(task))) SendKnown(context, framework, task);
  }
}

void ReconcileOperations(Context& context, Framework& framework,
                         const Call::ReconcileOperations& call) {
  for (const auto& operation : call.operations()) {
    OperationStatus status;
    *status.mutable_operation_id() = operation.operation_id();
    status.set_message("Reconciliation: Operation is unknown");
    if (operation.has_agent_id()) {
      *status.mutable_agent_id() = operation.agent_id();
    }
    if (operation.has_resource_provider_id()) {
      *status.mutable_resource_provider_id() = operation.resource_provider_id();
    }
    switch (WhereaboutsOf(context, operation.agent_id().value())) {
      case Whereabouts::kMayReturn:
        status.set_state(mesos::v1::OPERATION_RECOVERING);
        break;
      case Whereabouts::kUnreachable:
        status.set_state(mesos::v1::OPERATION_UNREACHABLE);
        break;
      case Whereabouts::kRemoved:
        status.set_state(mesos::v1::OPERATION_GONE_BY_OPERATOR);
        break;
      case Whereabouts::kGone:
      case Whereabouts::kUnknown:
        status.set_state(mesos::v1::OPERATION_UNKNOWN);
        break;
    }
    SendOperationStatus(framework, status);
  }
}

}  // namespace quorate::master
