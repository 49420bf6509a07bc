// How executors end, and what is found after a restart.

#include <glog/logging.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/agent/executors.h"
#include "core/base/planted.h"

namespace quorate::agent {

using mesos::v1::TaskStatus;

// -----------------------------------------------------------------------------
// Endings

void Executors::ShutDown(Executor& executor) {
  if (executor.state == Executor::State::kTerminating ||
      executor.state == Executor::State::kTerminated) {
    return;
  }
  if (executor.state == Executor::State::kRegistering ||
      executor.stream == nullptr) {
    return Terminate(executor, std::nullopt);
  }
  executor.state = Executor::State::kTerminating;
  Event event;
  event.set_type(Event::SHUTDOWN);
  Send(executor, event);
  const auto& info = executor.info;
  ArmDeadline(executor,
              info.has_shutdown_grace_period()
                  ? io::Duration(info.shutdown_grace_period().nanoseconds())
                  : context_.options.executor_shutdown_grace_period,
              std::nullopt);
}

void Executors::ArmDeadline(Executor& executor, io::Duration delay,
                            std::optional<Executor::Cause> cause) {
  executor.deadline = clock_.RunAfter(
      delay, [this, run = executor.run, cause = std::move(cause)] {
        Executor* executor = workload_.FindRun(run);
        if (executor != nullptr) Terminate(*executor, cause);
      });
}

void Executors::Terminate(Executor& executor,
                          std::optional<Executor::Cause> cause) {
  LOG(INFO) << "killing executor '" << executor.id() << "' of framework "
            << executor.run.framework_id
            << (cause.has_value() ? ": " + cause->message : "");
  executor.state = Executor::State::kTerminating;
  if (cause.has_value()) executor.cause = std::move(cause);
  if (!executor.launched) return End(executor, {});
  runner_.Destroy(executor.run.container_id);
}

void Executors::OnExited(const Run& run, const io::ContainerExit& exit) {
  Executor* executor = workload_.FindRun(run);
  if (executor != nullptr) End(*executor, exit);
}

void Executors::End(Executor& executor, const io::ContainerExit& exit) {
  LOG(INFO) << "executor '" << executor.id() << "' has ended";
  executor.state = Executor::State::kTerminated;
  executor.deadline.Cancel();
  executor.heartbeat.Cancel();
  if (executor.stream != nullptr) executor.stream->Close();
  executor.stream.reset();
  ++terminated_;
  if (!executor.generated) {
    wire::AgentMessage message;
    wire::ExecutorExited& exited = *message.mutable_executor_exited();
    exited.mutable_framework_id()->set_value(executor.run.framework_id);
    exited.mutable_executor_id()->set_value(executor.id());
    if (exit.wait_status.has_value()) {
      exited.set_wait_status(*exit.wait_status);
    }
    context_.send(message);
  }
  EndTasks(executor);
  CompleteIfOver(executor);
}

void Executors::EndTasks(Executor& executor) {
  const bool unwanted =
      workload_.FindFramework(executor.run.framework_id)->terminating;
  const Executor::Cause cause = executor.cause.value_or(Executor::Cause{
      TaskStatus::REASON_EXECUTOR_TERMINATED, "Executor terminated"});
  std::vector<std::string> ids;
  for (const auto& [task_id, task] : executor.tasks) ids.push_back(task_id);
  for (const std::string& task_id : ids) {
    // A report may complete another task, but not this one.
    Task& task = executor.tasks.at(task_id);
    const bool live = task.phase != Task::Phase::kTerminated;
    if (!unwanted) {
      if (live) {
        Report(executor, task,
               {mesos::v1::TASK_FAILED, cause.reason, cause.message});
      }
      continue;
    }
    if (live) {
      TaskStatus status;
      *status.mutable_task_id() = task.info.task_id();
      status.set_state(mesos::v1::TASK_KILLED);
      status.set_reason(TaskStatus::REASON_FRAMEWORK_REMOVED);
      status.set_source(TaskStatus::SOURCE_AGENT);
      status.set_timestamp(io::ToUnixSeconds(clock_.WallNow()));
      task.Add(status);
      CountEnd(status.state());
    }
    workload_.CompleteTask(executor, task_id);
  }
  executor.queue.clear();
}

void Executors::CompleteIfOver(Executor& executor) {
  if (executor.state != Executor::State::kTerminated ||
      !executor.tasks.empty()) {
    return;
  }
  if (executor.checkpointed) {
    context_.store.Write(
        [run = executor.run](Checkpoints& checkpoints) {
          return checkpoints.WriteSentinel(run);
        },
        [] {});
  }
  Framework& framework = *workload_.FindFramework(executor.run.framework_id);
  Detach(workload_.CompleteExecutor(framework, std::string(executor.id())));
  CompleteIfOver(framework);
}

void Executors::CompleteIfOver(Framework& framework) {
  if (!framework.executors.empty()) return;
  Detach(workload_.CompleteFramework(std::string(framework.id())));
  if (workload_.frameworks().empty() && on_empty_ != nullptr) {
    std::exchange(on_empty_, nullptr)();
  }
}

void Executors::ShutDown(std::function<void()> done) {
  std::vector<std::string> ids;
  for (const auto& [id, framework] : workload_.frameworks()) ids.push_back(id);
  if (ids.empty()) return done();
  on_empty_ = std::move(done);
  for (const std::string& id : ids) ShutDownFramework(id);
}

// -----------------------------------------------------------------------------
// After a restart

void Executors::Restore(const RecoveredAgent& recovered,
                        const std::vector<io::ContainerInfo>& running,
                        bool rebooted) {
  std::map<std::string, int64_t> pids;
  for (const io::ContainerInfo& container : running) {
    pids[container.id] = container.pid;
  }
  std::vector<Run> missing;
  for (const RecoveredFramework& entry : recovered.frameworks) {
    Framework& framework = workload_.AddFramework(entry.info);
    for (const RecoveredExecutor& executor : entry.executors) {
      RestoreExecutor(framework, executor);
    }
    for (const auto& [id, executor] : framework.executors) {
      const auto pid = pids.find(executor->run.container_id);
      if (rebooted || pid == pids.end() || Planted(Bug::kExecutorsForgotten)) {
        missing.push_back(executor->run);
        continue;
      }
      executor->pid = pid->second;
      runner_.Watch(executor->run);
      pids.erase(pid);
    }
  }
  for (const Run& run : missing) {
    Executor& executor = *workload_.FindRun(run);
    executor.cause = Executor::Cause{
        TaskStatus::REASON_EXECUTOR_TERMINATED,
        rebooted ? "The machine of the agent restarted"
                 : "Executor terminated while the agent was not running"};
    End(executor, {});
  }
  // What is left belongs to nobody: to frameworks without checkpoints, or to
  // executors that are over. A nested one (they have a dot in their ids) ends
  // with the container around it.
  for (const auto& [id, pid] : pids) {
    if (absl::StrContains(id, '.')) continue;
    LOG(INFO) << "destroying container " << id << ", which nobody owns";
    runner_.Destroy(id);
  }
}

void Executors::RestoreExecutor(Framework& framework,
                                const RecoveredExecutor& recovered) {
  const std::string& id = recovered.record.info().executor_id().value();
  if (framework.executors.count(id) > 0) {
    // The sentinel of the older run is written before the newer one begins.
    LOG(ERROR) << "giving up run " << recovered.container_id << " of executor '"
               << id << "', which has another";
    return;
  }
  framework.executors[id] = std::make_unique<Executor>();
  Executor& executor = *framework.executors[id];
  executor.run = {agent_id_, framework.id(), id, recovered.container_id};
  executor.info = recovered.record.info();
  executor.generated = recovered.record.generated();
  executor.checkpointed = true;
  executor.launched = true;
  executor.user = framework.info.user();
  executor.sandbox = context_.store.paths().Sandbox(executor.run);
  Attach(executor);
  for (const RecoveredTask& task : recovered.tasks) {
    RestoreTask(executor, task);
  }
}

void Executors::RestoreTask(Executor& executor,
                            const RecoveredTask& recovered) {
  const std::string& task_id = recovered.info.task_id().value();
  Task& task = executor.tasks[task_id];
  task.info = recovered.info;
  task.phase = Task::Phase::kLaunched;
  task.durable = true;
  // What was acknowledged has been forwarded, and the one after it may have
  // been.
  size_t forwarded = 1;
  for (const UpdateRecord& record : recovered.updates) {
    if (record.has_acknowledged_uuid()) ++forwarded;
  }
  for (const UpdateRecord& record : recovered.updates) {
    if (!record.has_update()) continue;
    const TaskStatus& status = record.update().status();
    if (task.phase != Task::Phase::kTerminated) task.Add(status);
    if (forwarded == 0) continue;
    --forwarded;
    task.forwarded_state = status.state();
    task.forwarded_uuid = status.uuid();
  }
  if (!updates_.Recover(executor.run, task_id, recovered.updates)) {
    workload_.CompleteTask(executor, task_id);
  }
}

bool Executors::AwaitsExecutors() const {
  for (const auto& [framework_id, framework] : workload_.frameworks()) {
    for (const auto& [id, executor] : framework->executors) {
      if (executor->state == Executor::State::kRegistering) return true;
    }
  }
  return false;
}

void Executors::GiveUpMissing() {
  std::vector<Run> missing;
  for (const auto& [framework_id, framework] : workload_.frameworks()) {
    for (const auto& [id, executor] : framework->executors) {
      if (executor->state == Executor::State::kRegistering) {
        missing.push_back(executor->run);
      }
    }
  }
  for (const Run& run : missing) {
    Executor* executor = workload_.FindRun(run);
    if (executor == nullptr) continue;
    Terminate(*executor, Executor::Cause{
                             TaskStatus::REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
                             "Executor did not subscribe again in time"});
  }
}

// -----------------------------------------------------------------------------
// Sandboxes, counters

void Executors::Attach(const Executor& executor) {
  const std::string runs = context_.store.paths().Runs(executor.run);
  context_.files.Attach(executor.sandbox, executor.sandbox);
  context_.files.Attach(runs + "/latest", executor.sandbox);
  context_.files.Attach(
      absl::StrCat("/frameworks/", executor.run.framework_id, "/executors/",
                   executor.id(), "/runs/latest"),
      executor.sandbox);
}

void Executors::Detach(const Workload::Forgotten& forgotten) {
  for (const auto& executor : forgotten) {
    const Run& run = executor->run;
    context_.files.Detach(executor->sandbox);
    context_.files.Detach(context_.store.paths().Runs(run) + "/latest");
    context_.files.Detach(absl::StrCat("/frameworks/", run.framework_id,
                                       "/executors/", run.executor_id,
                                       "/runs/latest"));
    const Executor* newer =
        workload_.FindExecutor(run.framework_id, run.executor_id);
    if (newer != nullptr) Attach(*newer);
  }
}

void Executors::CountEnd(mesos::v1::TaskState state) {
  // TASK_FINISHED is slave/tasks_finished.
  ++context_.metrics.AddCounter(absl::StrCat(
      "slave/tasks", absl::AsciiStrToLower(TaskState_Name(state).substr(4))));
}

void Executors::CheckInvariants() const {
  updates_.CheckInvariants();
  for (const auto& [framework_id, framework] : workload_.frameworks()) {
    for (const auto& [id, executor] : framework->executors) {
      CHECK_EQ(executor->run.framework_id, framework_id);
      size_t queued = 0;
      for (const auto& [task_id, task] : executor->tasks) {
        queued += task.phase == Task::Phase::kQueued;
        CHECK_EQ(task.phase == Task::Phase::kTerminated, IsTerminal(task.state))
            << task_id;
      }
      CHECK_EQ(queued, executor->queue.size()) << id;
      if (executor->state != Executor::State::kTerminated) continue;
      CHECK(executor->stream == nullptr) << id;
      CHECK(!executor->HasLiveTasks()) << id;
    }
  }
}

}  // namespace quorate::agent
