// Executors and their tasks: what masters and executors say, and what the
// containers do, is turned here into launches, kills and status updates.

#ifndef QUORATE_CORE_AGENT_EXECUTORS_H_
#define QUORATE_CORE_AGENT_EXECUTORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/agent/agent.h"
#include "core/agent/model.h"
#include "core/agent/runner.h"
#include "core/agent/store.h"
#include "core/agent/updates.h"
#include "core/api/executor.pb.h"
#include "core/files/files.h"
#include "core/metrics/metrics.h"
#include "core/wire/agent.pb.h"
#include "io/environment.h"

namespace quorate::agent {

class Executors final : private Updates::Listener, private Runner::Listener {
 public:
  // All of it outlives the executors.
  struct Context {
    io::Environment& environment;
    const AgentOptions& options;
    Store& store;
    files::Files& files;
    metrics::Metrics& metrics;
    // Dropped when no master listens; what matters is repeated.
    std::function<void(const wire::AgentMessage&)> send;
    std::function<mesos::v1::AgentInfo()> agent_info;
  };

  explicit Executors(Context context);
  ~Executors() override;

  // Before anything is launched. `self`: where this agent is reached.
  void SetSelf(const io::Endpoint& self) { self_ = self; }
  void SetAgentId(const std::string& id) { agent_id_ = id; }

  // What the leading master says.
  void RunTask(const wire::RunTask& message);
  void KillTask(const wire::KillTask& message);
  void Acknowledge(const wire::StatusUpdateAcknowledgement& message);
  void ShutDownFramework(const std::string& framework_id);
  void ShutDownExecutor(const std::string& framework_id,
                        const std::string& executor_id);
  void Reconcile(const wire::ReconcileTasks& message);
  void SendMessage(const wire::FrameworkMessage& message);

  // What an executor says; validated.
  void Subscribe(Executor& executor,
                 const mesos::v1::executor::Call::Subscribe& call,
                 api::MediaType media, std::unique_ptr<http::Stream> stream);
  // ResourceExhausted when too many updates of the task wait.
  absl::Status Update(Executor& executor, mesos::v1::TaskStatus status);
  // One that was not valid.
  void CountInvalidUpdate() { ++invalid_updates_; }
  void ForwardMessage(const Executor& executor, const std::string& data);

  // A master listens, or does no longer.
  void OnMasterUp() { updates_.Resume(); }
  void OnMasterDown() { updates_.Pause(); }
  void AddTo(wire::ReregisterAgent* message) const;

  // After a restart: takes over what a previous process ran. Of these
  // executors, those in `running` may subscribe again; the others, and all if
  // `rebooted`, have ended unseen. Containers of nobody are destroyed.
  void Restore(const RecoveredAgent& recovered,
               const std::vector<io::ContainerInfo>& running, bool rebooted);
  // Executors that have not subscribed since Restore.
  bool AwaitsExecutors() const;
  void GiveUpMissing();

  // Ends everything; `done` runs when nothing is left running.
  void ShutDown(std::function<void()> done);

  const Workload& workload() const { return workload_; }
  std::vector<QueueSize> queues() const;
  void CheckInvariants() const;

 private:
  using Event = mesos::v1::executor::Event;

  // How a task that never ran, or cannot go on, is reported.
  struct Verdict {
    mesos::v1::TaskState state;
    mesos::v1::TaskStatus::Reason reason;
    std::string message;
  };

  // Updates::Listener
  void OnAccepted(const StatusUpdates::Stream& stream,
                  const std::string& uuid) override;
  void OnForward(wire::StatusUpdate update) override;
  void OnFinished(const StatusUpdates::Stream& stream) override;

  // Runner::Listener
  void OnLaunched(const Run& run, int64_t pid) override;
  void OnLaunchFailed(const Run& run, const absl::Status& why) override;
  void OnExited(const Run& run, const io::ContainerExit& exit) override;

  // Launching.
  Executor* ExecutorFor(Framework& framework, const mesos::v1::TaskInfo& task);
  Executor& AddExecutor(Framework& framework, mesos::v1::ExecutorInfo info,
                        bool generated, const mesos::v1::TaskInfo& task);
  void Queue(Executor& executor, const mesos::v1::TaskInfo& info);
  void OnTaskDurable(const Run& run, const std::string& task_id);
  void Launch(Executor& executor);

  // Talking to executors.
  void Send(Executor& executor, const Event& event);
  void SendQueued(Executor& executor);
  void SendKill(Executor& executor, Task& task,
                const mesos::v1::KillPolicy& policy);
  void SendHeartbeats(Executor& executor);
  void SendAccepted(Executor& executor, const std::string& task_id,
                    const std::string& uuid);
  void CompareTasks(Executor& executor,
                    const mesos::v1::executor::Call::Subscribe& call);

  // Updates.
  wire::StatusUpdate MakeUpdate(const std::string& framework_id,
                                const std::string& task_id,
                                const Verdict& verdict);
  // Of a task that this agent holds, or does not.
  void Report(Executor& executor, Task& task, const Verdict& verdict);
  void ReportUnknown(const mesos::v1::FrameworkInfo& framework,
                     const std::string& task_id, const Verdict& verdict);
  void CountEnd(mesos::v1::TaskState state);

  // Endings.
  void ShutDown(Executor& executor);
  void Terminate(Executor& executor, std::optional<Executor::Cause> cause);
  void End(Executor& executor, const io::ContainerExit& exit);
  void EndTasks(Executor& executor);
  void CompleteIfOver(Executor& executor);
  void CompleteIfOver(Framework& framework);
  void ArmDeadline(Executor& executor, io::Duration delay,
                   std::optional<Executor::Cause> cause);

  // Sandboxes in /files.
  void Attach(const Executor& executor);
  void Detach(const Workload::Forgotten& forgotten);

  void RestoreExecutor(Framework& framework,
                       const RecoveredExecutor& recovered);
  void RestoreTask(Executor& executor, const RecoveredTask& recovered);

  const Context context_;
  io::Clock& clock_;
  io::Endpoint self_;
  std::string agent_id_;
  Workload workload_;
  // UUIDs of updates by the agent itself, until they are accepted: no executor
  // waits to hear of it.
  std::set<std::string> own_updates_;
  std::function<void()> on_empty_;  // Of ShutDown.

  metrics::Counter& valid_updates_;
  metrics::Counter& invalid_updates_;
  metrics::Counter& terminated_;
  metrics::Counter& launch_errors_;

  Updates updates_;
  Runner runner_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_EXECUTORS_H_
