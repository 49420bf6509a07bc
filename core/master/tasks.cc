#include "core/master/tasks.h"

#include <glog/logging.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/master/events.h"
#include "core/master/limits.h"
#include "core/master/reconciliation.h"

namespace quorate::master {
namespace {

using mesos::v1::TaskInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Call;

constexpr size_t kUuidBytes = 16;

Task NewTask(const std::string& framework_id, const TaskInfo& info,
             const Resources& resources, const std::string& role) {
  Task task;
  task.role = role;
  task.resources = resources;
  mesos::v1::Task& record = task.info;
  record.set_name(info.name());
  *record.mutable_task_id() = info.task_id();
  record.mutable_framework_id()->set_value(framework_id);
  if (info.has_executor()) {
    *record.mutable_executor_id() = info.executor().executor_id();
  }
  *record.mutable_agent_id() = info.agent_id();
  record.set_state(mesos::v1::TASK_STAGING);
  resources.ToProto(record.mutable_resources());
  if (info.has_labels()) *record.mutable_labels() = info.labels();
  if (info.has_discovery()) *record.mutable_discovery() = info.discovery();
  if (info.has_container()) *record.mutable_container() = info.container();
  if (info.has_health_check()) {
    *record.mutable_health_check() = info.health_check();
  }
  if (info.has_kill_policy()) {
    *record.mutable_kill_policy() = info.kill_policy();
  }
  if (info.command().has_user()) record.set_user(info.command().user());
  *record.mutable_limits() = info.limits();
  return task;
}

std::string RoleOf(const TaskInfo& task, const Framework& framework) {
  for (const mesos::v1::Resource& resource : task.resources()) {
    if (resource.allocation_info().has_role()) {
      return resource.allocation_info().role();
    }
  }
  const std::vector<std::string> roles = framework.roles();
  return roles.empty() ? "*" : roles.front();
}

// Marked as allocated to `role`. What cannot be read counts as nothing: the
// agent runs it whatever the master thinks.
Resources ResourcesOf(const Resources::Protos& protos,
                      const std::string& role) {
  absl::StatusOr<Resources> resources = Resources::FromProto(protos);
  if (!resources.ok()) {
    LOG(ERROR) << "an agent runs something with invalid resources: "
               << resources.status();
    return Resources();
  }
  resources->Allocate(role);
  return *std::move(resources);
}

}  // namespace

void RecordStatus(mesos::v1::Task& task, const TaskStatus& status) {
  auto& statuses = *task.mutable_statuses();
  if (!statuses.empty() && statuses.rbegin()->state() == status.state()) {
    statuses.RemoveLast();
  }
  if (statuses.size() >= kMaxStatusesPerTask) {
    statuses.DeleteSubrange(0, statuses.size() - kMaxStatusesPerTask + 1);
  }
  TaskStatus& added = *statuses.Add();
  added = status;
  // Of any size, and of no use to operators.
  added.clear_data();
}

Tasks::Tasks(Context& context) : context_(context) {}

void Tasks::Launch(Framework& framework, Agent& agent, TaskInfo info,
                   TaskDemand demand, const std::string& role) {
  if (info.has_executor()) {
    info.mutable_executor()->mutable_framework_id()->set_value(framework.id);
    if (demand.is_new_executor) {
      context_.cluster.AddExecutor(
          agent, framework.id,
          {.info = info.executor(), .resources = std::move(demand.executor)});
    }
  }
  context_.cluster.AddTask(NewTask(framework.id, info, demand.task, role));
  LOG(INFO) << "launching task " << info.task_id().value() << " of framework "
            << framework.id << " on agent " << agent.id;
  wire::AgentMessage message;
  wire::RunTask& run = *message.mutable_run_task();
  *run.mutable_reign() = context_.reign;
  *run.mutable_framework_info() = framework.info;
  *run.mutable_task() = std::move(info);
  agent.peer->Send(message);
}

void Tasks::Kill(Framework& framework, const Call::Kill& call) {
  const std::string& id = call.task_id().value();
  auto it = framework.tasks.find(id);
  if (it == framework.tasks.end()) {
    return ReconcileTask(context_, framework, id, call.agent_id().value());
  }
  Agent& agent =
      *CHECK_NOTNULL(context_.cluster.FindAgent(it->second.agent_id()));
  if (call.has_agent_id() && call.agent_id().value() != agent.id) {
    LOG(WARNING) << "framework " << framework.id << " wants to kill task " << id
                 << " on agent " << call.agent_id().value() << ", but it is on "
                 << agent.id;
    return;
  }
  if (!agent.connected()) {
    LOG(INFO) << "killing task " << id << " of framework " << framework.id
              << " when agent " << agent.id << " is back";
    agent.kills[framework.id][id] = call.kill_policy();
    return;
  }
  SendKill(agent, framework.id, id, call.kill_policy());
}

void Tasks::SendKill(Agent& agent, const std::string& framework_id,
                     const std::string& task_id,
                     const mesos::v1::KillPolicy& policy) {
  LOG(INFO) << "killing task " << task_id << " of framework " << framework_id
            << " on agent " << agent.id;
  wire::AgentMessage message;
  wire::KillTask& kill = *message.mutable_kill_task();
  *kill.mutable_reign() = context_.reign;
  kill.mutable_framework_id()->set_value(framework_id);
  kill.mutable_task_id()->set_value(task_id);
  if (policy.has_grace_period()) *kill.mutable_kill_policy() = policy;
  agent.peer->Send(message);
}

void Tasks::Acknowledge(Framework& framework, const Call::Acknowledge& call) {
  Agent* agent = context_.cluster.FindAgent(call.agent_id().value());
  if (agent == nullptr || !agent->connected()) {
    // It sends the update again when it is back.
    ++context_.metrics.AddCounter(
        "master/invalid_status_update_acknowledgements");
    return;
  }
  ++context_.metrics.AddCounter("master/valid_status_update_acknowledgements");
  const std::string& id = call.task_id().value();
  wire::AgentMessage message;
  auto& acknowledgement = *message.mutable_status_update_acknowledgement();
  *acknowledgement.mutable_reign() = context_.reign;
  acknowledgement.mutable_framework_id()->set_value(framework.id);
  acknowledgement.mutable_task_id()->set_value(id);
  acknowledgement.set_uuid(call.uuid());
  agent->peer->Send(message);

  auto it = framework.tasks.find(id);
  if (it == framework.tasks.end()) return;
  Task& task = it->second;
  if (task.agent_id() == agent->id &&
      IsTerminal(task.info.status_update_state()) &&
      task.info.status_update_uuid() == call.uuid()) {
    Complete(framework, task);
  }
}

void Tasks::OnStatusUpdate(Agent& agent, const wire::StatusUpdate& update) {
  TaskStatus status = update.status();
  Framework* framework =
      context_.cluster.FindFramework(update.framework_id().value());
  if (framework == nullptr || status.uuid().size() != kUuidBytes) {
    ++context_.metrics.AddCounter("master/invalid_status_updates");
    LOG(WARNING) << "ignoring an update of task " << status.task_id().value()
                 << " of framework " << update.framework_id().value()
                 << " from agent " << agent.id << ": "
                 << (framework == nullptr ? "unknown framework" : "bad UUID");
    return;
  }
  ++context_.metrics.AddCounter("master/valid_status_updates");
  status.mutable_agent_id()->set_value(agent.id);
  SendUpdate(*framework, status);
  auto it = framework->tasks.find(status.task_id().value());
  if (it == framework->tasks.end() || it->second.agent_id() != agent.id) {
    // Of a task that the agent has dropped, for instance; the framework's
    // acknowledgement stops it.
    return;
  }
  Task& task = it->second;
  const TaskState latest =
      update.has_latest_state() ? update.latest_state() : status.state();
  if (!IsTerminal(task.info.state())) {
    LOG(INFO) << "task " << task.id() << " of framework " << framework->id
              << " is " << mesos::v1::TaskState_Name(latest);
    if (IsTerminal(latest)) CountTerminal(latest);
    context_.cluster.SetTaskState(task, latest);
  }
  task.info.set_status_update_state(status.state());
  task.info.set_status_update_uuid(status.uuid());
  RecordStatus(task.info, status);
}

void Tasks::Complete(Framework& framework, Task& task) {
  context_.cluster.CompleteTask(
      framework, task, context_.options.max_completed_tasks_per_framework);
}

void Tasks::CountTerminal(TaskState state) {
  static constexpr struct {
    TaskState state;
    const char* name;
  } kNames[] = {
      {mesos::v1::TASK_FINISHED, "finished"},
      {mesos::v1::TASK_FAILED, "failed"},
      {mesos::v1::TASK_KILLED, "killed"},
      {mesos::v1::TASK_ERROR, "error"},
      {mesos::v1::TASK_LOST, "lost"},
      {mesos::v1::TASK_DROPPED, "dropped"},
      {mesos::v1::TASK_GONE, "gone"},
      {mesos::v1::TASK_GONE_BY_OPERATOR, "gone_by_operator"},
  };
  for (const auto& [counted, name] : kNames) {
    if (counted == state) {
      ++context_.metrics.AddCounter(absl::StrCat("master/tasks_", name));
    }
  }
}

void Tasks::EndAll(Framework& framework) {
  while (!framework.tasks.empty()) {
    Task& task = framework.tasks.begin()->second;
    if (!IsTerminal(task.info.state())) {
      const TaskStatus status = MakeStatus(
          context_,
          {.task_id = task.id(),
           .agent_id = task.agent_id(),
           .state = mesos::v1::TASK_KILLED,
           .reason = TaskStatus::REASON_FRAMEWORK_REMOVED,
           .message = absl::StrCat("Framework ", framework.id, " removed")});
      CountTerminal(mesos::v1::TASK_KILLED);
      context_.cluster.SetTaskState(task, mesos::v1::TASK_KILLED);
      RecordStatus(task.info, status);
    }
    Complete(framework, task);
  }
}

void Tasks::LoseTask(Framework& framework, Task& task, const Loss& loss) {
  // Nobody is left who would send its last update again.
  if (IsTerminal(task.info.state())) return Complete(framework, task);
  const TaskState state = LostState(framework, loss.state);
  const TaskStatus status =
      MakeStatus(context_, {.task_id = task.id(),
                            .agent_id = task.agent_id(),
                            .state = state,
                            .reason = loss.reason,
                            .message = loss.message,
                            .unreachable_time = loss.unreachable_time});
  LOG(WARNING) << "task " << task.id() << " of framework " << framework.id
               << " is " << mesos::v1::TaskState_Name(state) << ": "
               << loss.message;
  CountTerminal(state);
  context_.cluster.SetTaskState(task, state);
  RecordStatus(task.info, status);
  SendUpdate(framework, status);
  if (loss.state == mesos::v1::TASK_UNREACHABLE) {
    context_.cluster.MoveToUnreachable(framework, task);
  } else {
    Complete(framework, task);
  }
}

void Tasks::LoseTasksOf(Agent& agent, Framework& framework, const Loss& loss) {
  context_.cluster.RemoveExecutors(agent, framework.id);
  auto it = agent.tasks.find(framework.id);
  if (it == agent.tasks.end()) return;
  const std::set<std::string> ids = it->second;
  for (const std::string& id : ids) {
    LoseTask(framework, framework.tasks.at(id), loss);
  }
}

void Tasks::Lose(Agent& agent, const Loss& loss) {
  for (const auto& [id, framework] : context_.cluster.frameworks()) {
    LoseTasksOf(agent, *framework, loss);
  }
}

void Tasks::LoseUncheckpointed(Agent& agent) {
  const Loss loss{.reason = TaskStatus::REASON_AGENT_DISCONNECTED,
                  .message = absl::StrCat("Agent ", agent.info.hostname(),
                                          " disconnected")};
  for (const auto& [id, framework] : context_.cluster.frameworks()) {
    if (!framework->info.checkpoint()) LoseTasksOf(agent, *framework, loss);
  }
}

void Tasks::OnReregistered(Agent& agent, const wire::ReregisterAgent& message) {
  std::set<Key> listed;
  for (const wire::AgentTask& task : message.tasks()) {
    Framework* framework =
        context_.cluster.FindFramework(task.framework_id().value());
    // Completed: the agent is told to shut it down.
    if (framework == nullptr) continue;
    listed.insert({framework->id, task.task_info().task_id().value()});
    Readmit(agent, *framework, task);
  }
  ReadmitExecutors(agent, message);
  // The agent is back without those that it does not list.
  GiveUpUnreachable(agent.id, {.reason = TaskStatus::REASON_AGENT_REREGISTERED,
                               .message = "Agent registered again without it",
                               .state = mesos::v1::TASK_GONE});
  AskAboutUnlisted(agent, listed);
  RepeatKills(agent);
}

void Tasks::Readmit(Agent& agent, Framework& framework,
                    const wire::AgentTask& listed) {
  const std::string& id = listed.task_info().task_id().value();
  auto it = framework.tasks.find(id);
  if (it != framework.tasks.end() && it->second.agent_id() != agent.id) {
    // The framework has used the id again while this agent was away.
    LOG(ERROR) << "task " << id << " of framework " << framework.id
               << " runs on agent " << it->second.agent_id() << " and on "
               << agent.id << ": killing the latter";
    return SendKill(agent, framework.id, id, {});
  }
  if (it == framework.tasks.end()) {
    const std::string role = RoleOf(listed.task_info(), framework);
    Task task =
        NewTask(framework.id, listed.task_info(),
                ResourcesOf(listed.task_info().resources(), role), role);
    task.info.mutable_agent_id()->set_value(agent.id);
    it = framework.tasks.find(context_.cluster.AddTask(std::move(task)).id());
  }
  Task& task = it->second;
  context_.cluster.SetTaskState(task, listed.state());
  if (listed.statuses_size() > 0) task.info.clear_statuses();
  for (const TaskStatus& status : listed.statuses()) {
    RecordStatus(task.info, status);
  }
  if (listed.has_status_update_state()) {
    task.info.set_status_update_state(listed.status_update_state());
    task.info.set_status_update_uuid(listed.status_update_uuid());
  }
  if (framework.FindUnreachable(id) == nullptr) return;
  context_.cluster.DropUnreachable(framework, id);
  if (IsTerminal(listed.state())) return;
  SendUpdate(
      framework,
      MakeStatus(context_, {.task_id = id,
                            .agent_id = agent.id,
                            .state = listed.state(),
                            .reason = TaskStatus::REASON_AGENT_REREGISTERED,
                            .message = "Agent registered again"}));
}

void Tasks::ReadmitExecutors(Agent& agent,
                             const wire::ReregisterAgent& message) {
  const auto known = agent.executors;
  for (const auto& [framework_id, executors] : known) {
    context_.cluster.RemoveExecutors(agent, framework_id);
  }
  for (const auto& listed : message.executors()) {
    const std::string& framework_id = listed.framework_id().value();
    const Framework* framework = context_.cluster.FindFramework(framework_id);
    if (framework == nullptr) continue;
    const mesos::v1::ExecutorInfo& info = listed.executor_info();
    std::string role = framework->roles().empty() ? "*" : framework->roles()[0];
    for (const mesos::v1::Resource& resource : info.resources()) {
      if (resource.allocation_info().has_role()) {
        role = resource.allocation_info().role();
      }
    }
    context_.cluster.AddExecutor(
        agent, framework_id,
        {.info = info, .resources = ResourcesOf(info.resources(), role)});
  }
}

// A launch, or the end of a task, may have been lost with the connection.
void Tasks::AskAboutUnlisted(Agent& agent, const std::set<Key>& listed) {
  if (Planted(Bug::kLaunchLossUntold)) return;
  for (const auto& [framework_id, tasks] : agent.tasks) {
    wire::AgentMessage message;
    wire::ReconcileTasks& question = *message.mutable_reconcile_tasks();
    for (const std::string& id : tasks) {
      if (listed.count({framework_id, id}) > 0) continue;
      question.add_task_ids()->set_value(id);
    }
    if (question.task_ids_size() == 0) continue;
    *question.mutable_reign() = context_.reign;
    *question.mutable_framework_info() =
        context_.cluster.FindFramework(framework_id)->info;
    agent.peer->Send(message);
  }
}

void Tasks::GiveUpUnreachable(const std::string& agent_id, const Loss& loss) {
  for (const auto& [framework_id, framework] : context_.cluster.frameworks()) {
    std::vector<std::string> gone;
    for (const Task& task : framework->unreachable_tasks) {
      if (task.agent_id() == agent_id) gone.push_back(task.id());
    }
    const TaskState state = LostState(*framework, loss.state);
    for (const std::string& id : gone) {
      context_.cluster.CompleteUnreachable(
          *framework, id, state,
          context_.options.max_completed_tasks_per_framework);
      // The others were told TASK_LOST.
      if (state != loss.state) continue;
      CountTerminal(state);
      SendUpdate(*framework, MakeStatus(context_, {.task_id = id,
                                                   .agent_id = agent_id,
                                                   .state = state,
                                                   .reason = loss.reason,
                                                   .message = loss.message}));
    }
  }
}

void Tasks::RepeatKills(Agent& agent) {
  const auto kills = std::exchange(agent.kills, {});
  for (const auto& [framework_id, tasks] : kills) {
    const Framework* framework = context_.cluster.FindFramework(framework_id);
    if (framework == nullptr) continue;
    for (const auto& [id, policy] : tasks) {
      auto it = framework->tasks.find(id);
      if (it == framework->tasks.end() || IsTerminal(it->second.info.state())) {
        continue;
      }
      SendKill(agent, framework_id, id, policy);
    }
  }
}

}  // namespace quorate::master
