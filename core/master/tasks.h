// The life of tasks: launched, updated, acknowledged, killed, lost with their
// agent and found again.

#ifndef QUORATE_CORE_MASTER_TASKS_H_
#define QUORATE_CORE_MASTER_TASKS_H_

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/api/scheduler.pb.h"
#include "core/master/context.h"
#include "core/master/validation.h"

namespace quorate::master {

class Tasks {
 public:
  explicit Tasks(Context& context);

  // Calls of a framework.

  // `task` was validated, with this demand, and has its allocation marks.
  void Launch(Framework& framework, Agent& agent, mesos::v1::TaskInfo task,
              TaskDemand demand, const std::string& role);
  void Kill(Framework& framework, const mesos::v1::scheduler::Call::Kill& call);
  void Acknowledge(Framework& framework,
                   const mesos::v1::scheduler::Call::Acknowledge& call);

  // Messages of a registered agent.

  void OnStatusUpdate(Agent& agent, const wire::StatusUpdate& update);
  // The agent has registered again: takes over what it says about its tasks
  // and executors, asks it about those that it does not list, and repeats what
  // it has missed. The frameworks of its tasks are here, or completed.
  void OnReregistered(Agent& agent, const wire::ReregisterAgent& message);

  // What becomes of an agent's tasks when it is not there any more.
  struct Loss {
    mesos::v1::TaskStatus::Reason reason =
        mesos::v1::TaskStatus::REASON_AGENT_REMOVED;
    std::string message;
    // Told to PARTITION_AWARE frameworks; the others get TASK_LOST. Tasks that
    // are TASK_UNREACHABLE may come back.
    mesos::v1::TaskState state = mesos::v1::TASK_UNREACHABLE;
    std::optional<mesos::v1::TimeInfo> unreachable_time;
  };
  // All its tasks and executors.
  void Lose(Agent& agent, const Loss& loss);
  // Those of frameworks that do not checkpoint: they do not survive a restart
  // of the agent, which is the usual cause of a lost connection.
  void LoseUncheckpointed(Agent& agent);
  // Those that are unreachable, and were on that agent, will not come back.
  void GiveUpUnreachable(const std::string& agent_id, const Loss& loss);

  // The framework is removed: its tasks count as killed, without updates.
  void EndAll(Framework& framework);

 private:
  using Key = std::pair<std::string, std::string>;  // Framework and task.

  void LoseTask(Framework& framework, Task& task, const Loss& loss);
  void LoseTasksOf(Agent& agent, Framework& framework, const Loss& loss);
  void Complete(Framework& framework, Task& task);
  void CountTerminal(mesos::v1::TaskState state);
  void SendKill(Agent& agent, const std::string& framework_id,
                const std::string& task_id,
                const mesos::v1::KillPolicy& policy);

  // Parts of OnReregistered.
  void Readmit(Agent& agent, Framework& framework, const wire::AgentTask& task);
  void ReadmitExecutors(Agent& agent, const wire::ReregisterAgent& message);
  void AskAboutUnlisted(Agent& agent, const std::set<Key>& listed);
  void RepeatKills(Agent& agent);

  Context& context_;
};

// Appends `status` to those that operators see; one of the same state as the
// last replaces it.
void RecordStatus(mesos::v1::Task& task, const mesos::v1::TaskStatus& status);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_TASKS_H_
