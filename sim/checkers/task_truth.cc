#include "sim/checkers/task_truth.h"

#include <sys/wait.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sim/containers.h"

namespace quorate::sim {
namespace {

constexpr char kRunning[] = "TASK_RUNNING";
constexpr char kGoneByOperator[] = "TASK_GONE_BY_OPERATOR";

// A task of which one of these is told does not run, nor will it.
bool IsEnd(const std::string& state) {
  static const auto& ends = *new std::set<std::string>{
      "TASK_FINISHED", "TASK_FAILED",  "TASK_KILLED",
      "TASK_ERROR",    "TASK_LOST",    "TASK_DROPPED",
      "TASK_GONE",     "TASK_UNKNOWN", kGoneByOperator,
  };
  return ends.count(state) != 0;
}

// Whether it came to run, or not, is still to be told.
bool IsNoAnswer(const std::string& state) {
  return state.empty() || state == "TASK_STAGING" || state == "TASK_STARTING";
}

std::string ValueOf(const std::map<std::string, std::string>& variables,
                    const std::string& name) {
  auto variable = variables.find(name);
  return variable == variables.end() ? "" : variable->second;
}

}  // namespace

void TaskTruth::Watch(Host& host) {
  // A command inherits its executor's variables, and a command executor is
  // called as its task.
  host.containers().on_command = [this, name = host.name()](const auto& spec) {
    Started(spec.id, ValueOf(spec.environment, "MESOS_FRAMEWORK_ID"),
            ValueOf(spec.environment, "MESOS_EXECUTOR_ID"), name);
  };
  host.containers().on_command_ended = [this](const std::string& id,
                                              std::optional<int> wait_status) {
    Ended(id, wait_status);
  };
}

TaskTruth::Task& TaskTruth::Find(const std::string& framework_id,
                                 const std::string& task_id) {
  Task& task = tasks_[absl::StrCat(framework_id, "/", task_id)];
  task.name = task_id;
  return task;
}

void TaskTruth::Started(const std::string& container_id,
                        const std::string& framework_id,
                        const std::string& task_id, const std::string& host) {
  Task& task = Find(framework_id, task_id);
  task.host = host;
  task.gone = gone_hosts_.count(host) > 0;
  if (task.gone) task.kill_wanted = true;
  if (++task.started > task.asked) {
    world_.Fail(absl::StrCat(task_id, " was started ", task.started,
                             " times, and asked for ", task.asked, " times"));
  }
  // The word that its agent is gone may be behind the launch, on the same way.
  if (IsEnd(task.told) && !(task.gone && task.told == kGoneByOperator)) {
    world_.Fail(absl::StrCat(task_id, " is started after it was told to be ",
                             task.told));
  }
  task.runs = true;
  task.ended_well = false;
  running_[container_id] = &task;
  ++started_;
}

void TaskTruth::Ended(const std::string& container_id,
                      std::optional<int> wait_status) {
  auto running = running_.find(container_id);
  if (running == running_.end()) return;
  Task& task = *running->second;
  running_.erase(running);
  task.runs = false;
  task.ended_well = wait_status == 0;
  if (wait_status && WIFSIGNALED(*wait_status) && !task.kill_wanted &&
      !ContainersSuffer()) {
    world_.Fail(absl::StrCat(task.name, " was killed by signal ",
                             WTERMSIG(*wait_status),
                             ", and its framework did not want that"));
  }
}

// An executor that is killed or makes no sense takes its command with it.
bool TaskTruth::ContainersSuffer() const {
  const FaultCounts& faults = world_.faults();
  return faults.of(Fault::kContainerKilled) + faults.of(Fault::kExecutorSlow) +
             faults.of(Fault::kExecutorGarbage) !=
         0;
}

void TaskTruth::Asked(const std::string& framework_id,
                      const std::string& task_id) {
  Task& task = Find(framework_id, task_id);
  ++task.asked;
  task.told.clear();
  // It may have yet to read that it was removed.
  task.given_up = removed_frameworks_.count(framework_id) > 0;
}

void TaskTruth::FrameworkRemoved(const std::string& framework_id) {
  removed_frameworks_.insert(framework_id);
  const std::string prefix = absl::StrCat(framework_id, "/");
  for (auto& [id, task] : tasks_) {
    if (!absl::StartsWith(id, prefix)) continue;
    task.kill_wanted = true;
    task.given_up = true;
  }
}

void TaskTruth::AgentGone(const std::string& host) {
  gone_hosts_.insert(host);
  for (auto& [container_id, task] : running_) {
    if (task->host == host) task->gone = task->kill_wanted = true;
  }
}

void TaskTruth::KilledFromOutside(const std::string& container_id) {
  auto running = running_.find(container_id);
  if (running != running_.end()) running->second->kill_wanted = true;
}

std::string TaskTruth::Unsettled() const {
  std::string unsettled;
  for (const auto& [id, task] : tasks_) {
    if (task.told == kRunning && !task.runs && !task.given_up) {
      absl::StrAppend(&unsettled, task.name,
                      " does not run, and its framework was not told; ");
    }
    if (task.runs && (task.given_up || task.gone)) {
      absl::StrAppend(&unsettled, task.name, " runs on ", task.host,
                      ", and is to be over; ");
    }
    if (task.asked > 0 && !task.given_up && IsNoAnswer(task.told)) {
      absl::StrAppend(&unsettled, "nothing was told of ", task.name,
                      task.told.empty() ? "" : " but ", task.told, "; ");
    }
  }
  return unsettled;
}

void TaskTruth::KillWanted(const std::string& framework_id,
                           const std::string& task_id) {
  Find(framework_id, task_id).kill_wanted = true;
}

void TaskTruth::Told(const std::string& framework_id,
                     const std::string& task_id, const std::string& state) {
  Task& task = Find(framework_id, task_id);
  task.told = state;
  if (state == kRunning && task.started == 0) {
    world_.Fail(absl::StrCat(task_id, " is told to run and was not started"));
  }
  if (state == "TASK_FINISHED" && !task.ended_well) {
    world_.Fail(absl::StrCat(task_id, " is told to have finished and did not"));
  }
  if (IsEnd(state) && state != kGoneByOperator && task.runs) {
    world_.Fail(
        absl::StrCat(task_id, " is told to be ", state, " while it runs"));
  }
}

}  // namespace quorate::sim
