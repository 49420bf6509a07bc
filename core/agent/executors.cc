// What masters say, and how executors are launched.

#include "core/agent/executors.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/agent/launching.h"
#include "core/api/media.h"

namespace quorate::agent {

using mesos::v1::ExecutorInfo;
using mesos::v1::FrameworkInfo;
using mesos::v1::TaskInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;

namespace {

const std::string& ExecutorIdOf(const TaskInfo& task) {
  return task.has_executor() ? task.executor().executor_id().value()
                             : task.task_id().value();
}

absl::Status ValidateIds(const FrameworkInfo& framework, const TaskInfo& task) {
  for (const std::string* id : {&framework.id().value(),
                                &task.task_id().value(), &ExecutorIdOf(task)}) {
    const absl::Status valid = ValidateId(*id);
    if (!valid.ok()) return valid;
  }
  return absl::OkStatus();
}

}  // namespace

Executors::Executors(Context context)
    : context_(std::move(context)),
      clock_(context_.environment.clock()),
      valid_updates_(context_.metrics.AddCounter("slave/valid_status_updates")),
      invalid_updates_(
          context_.metrics.AddCounter("slave/invalid_status_updates")),
      terminated_(context_.metrics.AddCounter("slave/executors_terminated")),
      launch_errors_(
          context_.metrics.AddCounter("slave/container_launch_errors")),
      updates_(context_.environment, context_.store, this,
               context_.options.update_observer),
      runner_(context_.environment, context_.store, this) {}

Executors::~Executors() = default;

// -----------------------------------------------------------------------------
// What masters say

void Executors::RunTask(const wire::RunTask& message) {
  const TaskInfo& task = message.task();
  const absl::Status valid = ValidateIds(message.framework_info(), task);
  if (!valid.ok()) {
    LOG(ERROR) << "not launching a task: " << valid.message();
    return;
  }
  Framework& framework = workload_.AddFramework(message.framework_info());
  if (framework.terminating) {
    LOG(WARNING) << "not launching task '" << task.task_id().value()
                 << "' of framework " << framework.id()
                 << ", which is being shut down";
    return;
  }
  const Task* known =
      workload_.FindTask(framework.id(), task.task_id().value()).task;
  if (known != nullptr && known->phase != Task::Phase::kTerminated) {
    LOG(WARNING) << "task '" << task.task_id().value() << "' is here already";
    return;
  }
  if (known != nullptr) {
    // The framework has used the id again before it is durable here that it
    // has acknowledged the end of the former task.
    return ReportUnknown(
        framework.info, task.task_id().value(),
        {DroppedState(framework.info), TaskStatus::REASON_EXECUTOR_TERMINATED,
         "The task of that id is not over yet"});
  }
  LOG(INFO) << "launching task '" << task.task_id().value() << "' of framework "
            << framework.id();
  Executor* executor = ExecutorFor(framework, task);
  if (executor != nullptr) return Queue(*executor, task);
  CompleteIfOver(framework);
}

Executor* Executors::ExecutorFor(Framework& framework, const TaskInfo& task) {
  const auto refuse = [&](const Verdict& verdict) {
    ReportUnknown(framework.info, task.task_id().value(), verdict);
    return nullptr;
  };
  const auto it = framework.executors.find(ExecutorIdOf(task));
  if (it != framework.executors.end()) {
    Executor& executor = *it->second;
    if (executor.generated) {
      // It runs one task only. The framework has used the task's id again.
      return refuse({DroppedState(framework.info),
                     TaskStatus::REASON_EXECUTOR_TERMINATED,
                     "The executor of the task's former run is still there"});
    }
    if (executor.state == Executor::State::kRegistering ||
        executor.state == Executor::State::kRunning) {
      return &executor;
    }
    return refuse({DroppedState(framework.info),
                   TaskStatus::REASON_EXECUTOR_TERMINATED,
                   "Executor is being shut down"});
  }
  const bool generated = !task.has_executor();
  ExecutorInfo info = generated ? CommandExecutorInfo(context_.options,
                                                      framework.info.id(), task)
                                : task.executor();
  const absl::Status launchable = CheckLaunchable(task, info);
  if (!launchable.ok()) {
    ++launch_errors_;
    return refuse({mesos::v1::TASK_FAILED,
                   TaskStatus::REASON_CONTAINER_LAUNCH_FAILED,
                   std::string(launchable.message())});
  }
  return &AddExecutor(framework, std::move(info), generated, task);
}

Executor& Executors::AddExecutor(Framework& framework, ExecutorInfo info,
                                 bool generated, const TaskInfo& task) {
  auto owned = std::make_unique<Executor>();
  Executor& executor = *owned;
  executor.run = {agent_id_, framework.id(), info.executor_id().value(),
                  context_.environment.random().Uuid()};
  *info.mutable_framework_id() = framework.info.id();
  executor.user = UserOf(framework.info, info, task);
  executor.info = std::move(info);
  executor.generated = generated;
  executor.checkpointed = framework.info.checkpoint();
  executor.sandbox = context_.store.paths().Sandbox(executor.run);
  framework.executors[executor.id()] = std::move(owned);
  Attach(executor);
  if (executor.checkpointed) {
    ExecutorRecord record;
    *record.mutable_info() = executor.info;
    record.set_generated(generated);
    context_.store.Write(
        [run = executor.run, info = framework.info,
         record](Checkpoints& checkpoints) {
          const absl::Status status = checkpoints.WriteFramework(run, info);
          return status.ok() ? checkpoints.WriteExecutor(run, record) : status;
        },
        [] {});
  }
  return executor;
}

void Executors::Queue(Executor& executor, const TaskInfo& info) {
  const std::string& task_id = info.task_id().value();
  executor.tasks[task_id].info = info;
  executor.queue.push_back(task_id);
  if (!executor.checkpointed) return OnTaskDurable(executor.run, task_id);
  context_.store.Write(
      [run = executor.run, info](Checkpoints& checkpoints) {
        return checkpoints.WriteTask(run, info);
      },
      [this, run = executor.run, task_id] { OnTaskDurable(run, task_id); });
}

void Executors::OnTaskDurable(const Run& run, const std::string& task_id) {
  Executor* executor = workload_.FindRun(run);
  if (executor == nullptr) return;
  const auto task = executor->tasks.find(task_id);
  if (task != executor->tasks.end()) task->second.durable = true;
  if (executor->state == Executor::State::kRegistering && !executor->launched) {
    return Launch(*executor);
  }
  SendQueued(*executor);
}

void Executors::Launch(Executor& executor) {
  executor.launched = true;
  LOG(INFO) << "launching executor '" << executor.id() << "' in container "
            << executor.run.container_id;
  runner_.Launch(executor.run,
                 MakeContainerSpec(context_.options, self_, executor));
}

void Executors::OnLaunched(const Run& run, int64_t pid) {
  Executor* executor = workload_.FindRun(run);
  if (executor == nullptr || executor->state == Executor::State::kTerminating) {
    return runner_.Destroy(run.container_id);
  }
  executor->pid = pid;
  if (executor->checkpointed) {
    context_.store.Write(
        [run, pid](Checkpoints& checkpoints) {
          return checkpoints.WritePid(run, pid);
        },
        [] {});
  }
  // It may be quicker than the answer that its process has started.
  if (executor->state != Executor::State::kRegistering) return;
  ArmDeadline(*executor, context_.options.executor_registration_timeout,
              Executor::Cause{TaskStatus::REASON_EXECUTOR_REGISTRATION_TIMEOUT,
                              "Executor did not register in time"});
}

void Executors::OnLaunchFailed(const Run& run, const absl::Status& why) {
  Executor* executor = workload_.FindRun(run);
  if (executor == nullptr) return;
  ++launch_errors_;
  LOG(ERROR) << "executor '" << run.executor_id << "' cannot start: " << why;
  if (!executor->cause.has_value()) {
    executor->cause = Executor::Cause{
        TaskStatus::REASON_CONTAINER_LAUNCH_FAILED,
        absl::StrCat("Failed to launch container: ", why.message())};
  }
  End(*executor, {});
}

void Executors::KillTask(const wire::KillTask& message) {
  const std::string& task_id = message.task_id().value();
  const Workload::Place place =
      workload_.FindTask(message.framework_id().value(), task_id);
  if (place.framework == nullptr) {
    LOG(WARNING) << "not killing task '" << task_id
                 << "' of an unknown framework";
    return;
  }
  if (place.task == nullptr) {
    return ReportUnknown(
        place.framework->info, task_id,
        {DroppedState(place.framework->info),
         TaskStatus::REASON_EXECUTOR_TERMINATED, "Cannot find executor"});
  }
  LOG(INFO) << "killing task '" << task_id << "'";
  Executor& executor = *place.executor;
  switch (place.task->phase) {
    case Task::Phase::kQueued:
      Report(
          executor, *place.task,
          {mesos::v1::TASK_KILLED, TaskStatus::REASON_TASK_KILLED_DURING_LAUNCH,
           "Killed before delivery to the executor"});
      // Nobody will tell an executor that has never had a task to end.
      if (!executor.HasLiveTasks() &&
          (executor.generated ||
           executor.state == Executor::State::kRegistering)) {
        ShutDown(executor);
      }
      return;
    case Task::Phase::kLaunched:
      return SendKill(executor, *place.task,
                      message.has_kill_policy()
                          ? message.kill_policy()
                          : place.task->info.kill_policy());
    case Task::Phase::kTerminated:
      return;
  }
}

void Executors::Acknowledge(const wire::StatusUpdateAcknowledgement& message) {
  updates_.Acknowledge(
      {message.framework_id().value(), message.task_id().value()},
      message.uuid());
}

void Executors::ShutDownFramework(const std::string& framework_id) {
  Framework* framework = workload_.FindFramework(framework_id);
  if (framework == nullptr || framework->terminating) return;
  LOG(INFO) << "shutting down framework " << framework_id;
  framework->terminating = true;
  updates_.RemoveFramework(framework_id);
  // Shutting one down may complete it, and then the framework.
  std::vector<std::string> ids;
  for (const auto& [id, executor] : framework->executors) ids.push_back(id);
  for (const std::string& id : ids) {
    Executor* executor = workload_.FindExecutor(framework_id, id);
    if (executor == nullptr) continue;
    if (executor->state == Executor::State::kTerminated) {
      EndTasks(*executor);
      CompleteIfOver(*executor);
    } else {
      ShutDown(*executor);
    }
  }
  framework = workload_.FindFramework(framework_id);
  if (framework != nullptr) CompleteIfOver(*framework);
}

void Executors::ShutDownExecutor(const std::string& framework_id,
                                 const std::string& executor_id) {
  Executor* executor = workload_.FindExecutor(framework_id, executor_id);
  if (executor != nullptr) ShutDown(*executor);
}

void Executors::Reconcile(const wire::ReconcileTasks& message) {
  const FrameworkInfo& framework = message.framework_info();
  for (const auto& task_id : message.task_ids()) {
    // The updates of those that are here speak for themselves.
    if (workload_.FindTask(framework.id().value(), task_id.value()).task !=
        nullptr) {
      continue;
    }
    ReportUnknown(framework, task_id.value(),
                  {DroppedState(framework), TaskStatus::REASON_RECONCILIATION,
                   "Task is unknown to the agent"});
  }
}

void Executors::SendMessage(const wire::FrameworkMessage& message) {
  Executor* executor = workload_.FindExecutor(message.framework_id().value(),
                                              message.executor_id().value());
  if (executor == nullptr) return;
  Event event;
  event.set_type(Event::MESSAGE);
  event.mutable_message()->set_data(message.data());
  Send(*executor, event);
}

void Executors::AddTo(wire::ReregisterAgent* message) const {
  for (const auto& [framework_id, framework] : workload_.frameworks()) {
    // Of one that ends, its master awaits nothing any more.
    if (framework->terminating || framework->executors.empty()) continue;
    *message->add_frameworks() = framework->info;
    for (const auto& [executor_id, executor] : framework->executors) {
      for (const auto& [task_id, task] : executor->tasks) {
        *message->add_tasks() = ToWire(*executor, task);
      }
      if (executor->generated ||
          executor->state == Executor::State::kTerminated) {
        continue;
      }
      auto& entry = *message->add_executors();
      *entry.mutable_framework_id() = framework->info.id();
      *entry.mutable_executor_info() = executor->info;
    }
  }
}

// -----------------------------------------------------------------------------
// Updates

wire::StatusUpdate Executors::MakeUpdate(const std::string& framework_id,
                                         const std::string& task_id,
                                         const Verdict& verdict) {
  wire::StatusUpdate update;
  update.mutable_framework_id()->set_value(framework_id);
  TaskStatus& status = *update.mutable_status();
  status.mutable_task_id()->set_value(task_id);
  status.set_state(verdict.state);
  status.set_message(verdict.message);
  status.set_source(TaskStatus::SOURCE_AGENT);
  status.set_reason(verdict.reason);
  status.mutable_agent_id()->set_value(agent_id_);
  status.set_timestamp(io::ToUnixSeconds(clock_.WallNow()));
  status.set_uuid(context_.environment.random().UuidBytes());
  own_updates_.insert(status.uuid());
  return update;
}

void Executors::Report(Executor& executor, Task& task, const Verdict& verdict) {
  wire::StatusUpdate update =
      MakeUpdate(executor.run.framework_id, task.id(), verdict);
  update.mutable_executor_id()->set_value(executor.id());
  *update.mutable_status()->mutable_executor_id() = update.executor_id();
  std::erase(executor.queue, task.id());
  task.Add(update.status());
  CountEnd(verdict.state);
  const absl::Status taken =
      updates_.Take(update, executor.checkpointed ? std::optional(executor.run)
                                                  : std::nullopt);
  // Terminal updates are always taken.
  CHECK(taken.ok()) << taken;
}

void Executors::ReportUnknown(const FrameworkInfo& framework,
                              const std::string& task_id,
                              const Verdict& verdict) {
  LOG(INFO) << "task '" << task_id << "': " << TaskState_Name(verdict.state)
            << ", " << verdict.message;
  const absl::Status taken = updates_.Take(
      MakeUpdate(framework.id().value(), task_id, verdict), std::nullopt);
  CHECK(taken.ok()) << taken;
}

void Executors::OnAccepted(const StatusUpdates::Stream& stream,
                           const std::string& uuid) {
  if (own_updates_.erase(uuid) > 0) return;
  const Workload::Place place =
      workload_.FindTask(stream.framework_id, stream.task_id);
  if (place.executor == nullptr) return;
  SendAccepted(*place.executor, stream.task_id, uuid);
}

void Executors::OnForward(wire::StatusUpdate update) {
  const Workload::Place place = workload_.FindTask(
      update.framework_id().value(), update.status().task_id().value());
  if (place.framework != nullptr && place.framework->terminating) return;
  if (place.task != nullptr) {
    place.task->forwarded_state = update.status().state();
    place.task->forwarded_uuid = update.status().uuid();
    update.set_latest_state(place.task->state);
  }
  wire::AgentMessage message;
  *message.mutable_status_update() = std::move(update);
  context_.send(message);
}

void Executors::OnFinished(const StatusUpdates::Stream& stream) {
  const Workload::Place place =
      workload_.FindTask(stream.framework_id, stream.task_id);
  if (place.task == nullptr) return;
  workload_.CompleteTask(*place.executor, stream.task_id);
  CompleteIfOver(*place.executor);
}

}  // namespace quorate::agent
