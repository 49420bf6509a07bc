// What runs on this agent: frameworks, their executors, and their tasks. Data
// only; Executors (executors.h) changes it, the views read it.

#ifndef QUORATE_CORE_AGENT_MODEL_H_
#define QUORATE_CORE_AGENT_MODEL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/agent/checkpoint.h"
#include "core/api/media.h"
#include "core/api/mesos.pb.h"
#include "core/http/server.h"
#include "core/resources/resources.h"
#include "core/wire/agent.pb.h"
#include "io/clock.h"

namespace quorate::agent {

// What is kept of what is over, for people to look at.
inline constexpr size_t kMaxCompletedFrameworks = 50;
inline constexpr size_t kMaxCompletedExecutors = 150;  // per framework
inline constexpr size_t kMaxCompletedTasks = 200;      // per executor
inline constexpr size_t kMaxStatuses = 100;            // per task

bool IsTerminal(mesos::v1::TaskState state);
// What becomes of a task that never came to run: frameworks that are not
// PARTITION_AWARE know only TASK_LOST.
mesos::v1::TaskState DroppedState(const mesos::v1::FrameworkInfo& framework);

struct Task {
  enum class Phase {
    kQueued,      // Not sent to the executor yet.
    kLaunched,    // Sent, and not terminal.
    kTerminated,  // Terminal; the framework has not acknowledged it yet.
  };

  mesos::v1::TaskInfo info;
  Phase phase = Phase::kQueued;
  bool durable = false;  // Checkpointed, if it has to be.
  mesos::v1::TaskState state = mesos::v1::TASK_STAGING;
  // The newest of each state that it went through, at most kMaxStatuses.
  std::vector<mesos::v1::TaskStatus> statuses;
  // The newest update that was forwarded.
  std::optional<mesos::v1::TaskState> forwarded_state;
  std::string forwarded_uuid;
  // A kill that the executor has not been told, for want of a stream.
  std::optional<mesos::v1::KillPolicy> kill;

  const std::string& id() const { return info.task_id().value(); }
  void Add(const mesos::v1::TaskStatus& status);
};

struct Executor {
  enum class State {
    kRegistering,  // Being launched, or has not subscribed yet.
    kRunning,      // Has subscribed.
    kTerminating,  // Was told to end, or is being killed.
    kTerminated,   // Ended; updates of its tasks may still wait.
  };

  // Why the agent ended it: what its tasks are told then.
  struct Cause {
    mesos::v1::TaskStatus::Reason reason;
    std::string message;
  };

  Run run;
  mesos::v1::ExecutorInfo info;
  bool generated = false;     // Made by the agent for a task with a command.
  bool checkpointed = false;  // Its framework is.
  State state = State::kRegistering;
  bool launched = false;  // Its container may be there.
  std::optional<Cause> cause;
  std::string user;
  std::string sandbox;
  int64_t pid = 0;

  std::map<std::string, Task> tasks;
  std::deque<std::string> queue;  // Of Phase::kQueued, in order of arrival.
  std::deque<Task> completed;

  std::unique_ptr<http::Stream> stream;
  api::MediaType media = api::MediaType::kJson;
  io::Timer deadline;  // To register, or to end by itself.
  io::Timer heartbeat;

  const std::string& id() const { return run.executor_id; }
  bool HasLiveTasks() const;
  // Now or, as far as it is remembered, before.
  bool HasHad(const std::string& task_id) const;
  // Of the executor itself and of its tasks that are not terminal.
  Resources Used() const;
};

struct Framework {
  mesos::v1::FrameworkInfo info;
  // It is being shut down; nothing is forwarded to it any more.
  bool terminating = false;
  std::map<std::string, std::unique_ptr<Executor>> executors;
  std::deque<std::unique_ptr<Executor>> completed;

  const std::string& id() const { return info.id().value(); }
};

// Everything on this agent, with what is over and still shown.
class Workload {
 public:
  struct Place {
    Framework* framework = nullptr;
    Executor* executor = nullptr;
    Task* task = nullptr;
  };

  const std::map<std::string, std::unique_ptr<Framework>>& frameworks() const {
    return frameworks_;
  }
  const std::deque<std::unique_ptr<Framework>>& completed() const {
    return completed_;
  }

  // Null when there is none.
  Framework* FindFramework(const std::string& id) const;
  Executor* FindExecutor(const std::string& framework_id,
                         const std::string& executor_id) const;
  Executor* FindRun(const Run& run) const;
  Place FindTask(const std::string& framework_id,
                 const std::string& task_id) const;

  // The framework of that id with this info; a completed one comes back.
  Framework& AddFramework(const mesos::v1::FrameworkInfo& info);
  // They are over and remembered for a while. Executors that have been
  // forgotten for that come back to the caller.
  using Forgotten = std::vector<std::unique_ptr<Executor>>;
  void CompleteTask(Executor& executor, const std::string& task_id);
  Forgotten CompleteExecutor(Framework& framework,
                             const std::string& executor_id);
  Forgotten CompleteFramework(const std::string& id);

 private:
  std::map<std::string, std::unique_ptr<Framework>> frameworks_;
  std::deque<std::unique_ptr<Framework>> completed_;  // Oldest first.
};

absl::string_view StateName(Executor::State state);

// As it is told to a master.
wire::AgentTask ToWire(const Executor& executor, const Task& task);
// As the operator API shows it.
mesos::v1::Task ToApi(const Executor& executor, const Task& task);

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_MODEL_H_
