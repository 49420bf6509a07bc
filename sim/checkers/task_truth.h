// What frameworks are told of their tasks is what happens on the machines, and
// what runs there is left alone.
//
// * A task's command starts once for each time that its framework has asked for
//   it, whatever restarts in between: agents, executors, masters.
// * It ends by itself, unless its framework wanted otherwise, its machine lost
//   power, its agent was marked gone, or the run has had faults that end
//   containers.
// * A framework hears TASK_RUNNING only of what was started, TASK_FINISHED
//   only of what ended well, and no end at all of what still runs. (That an
//   agent is out of reach is no end.)
//   For TASK_GONE_BY_OPERATOR the operator answers.
// * What it was told to be over does not start any more, unless it asks anew.
// * What became of all that it has asked for is told, and what it believes to
//   run does run, or it will be told: when all is quiet, Unsettled is empty.

#ifndef QUORATE_SIM_CHECKERS_TASK_TRUTH_H_
#define QUORATE_SIM_CHECKERS_TASK_TRUTH_H_

#include <map>
#include <optional>
#include <set>
#include <string>

#include "sim/machine.h"
#include "sim/world.h"

namespace quorate::sim {

class TaskTruth {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit TaskTruth(World& world) : world_(world) {}

  // Watches the commands that executors run on `host`, which the checker
  // outlives.
  void Watch(Host& host);

  // The framework asks for the task, for the first time or, when it has ended,
  // once more.
  void Asked(const std::string& framework_id, const std::string& task_id);
  // The framework was told this of the task: "TASK_RUNNING".
  void Told(const std::string& framework_id, const std::string& task_id,
            const std::string& state);
  // The framework wants the task to end.
  void KillWanted(const std::string& framework_id, const std::string& task_id);
  // A master has removed the framework: all its tasks are to end, and nobody is
  // told.
  void FrameworkRemoved(const std::string& framework_id);
  // The agent on that host was marked gone: what it runs is to end. Until
  // another one begins there.
  void AgentGone(const std::string& host);
  void AgentBegins(const std::string& host) { gone_hosts_.erase(host); }
  // Somebody from outside the cluster has killed what runs in that container.
  void KilledFromOutside(const std::string& container_id);

  // Of what Watch sees.
  void Started(const std::string& container_id, const std::string& framework_id,
               const std::string& task_id, const std::string& host = "");
  // Without a status: with the power of its machine.
  void Ended(const std::string& container_id, std::optional<int> wait_status);

  // Tasks that were started, and those of them that run now.
  int started() const { return started_; }
  int running() const { return static_cast<int>(running_.size()); }
  // Tasks that were last told to be TASK_RUNNING and are not, those of which
  // nothing was told, and those that run although their framework was removed
  // or their agent is gone, in words; empty for none.
  std::string Unsettled() const;

 private:
  bool ContainersSuffer() const;

  struct Task {
    std::string name;
    int asked = 0;
    int started = 0;
    bool runs = false;
    bool ended_well = false;
    bool kill_wanted = false;
    bool given_up = false;  // with its framework
    bool gone = false;      // with its agent
    std::string host;       // Where it was last started.
    std::string told;       // Last.
  };

  Task& Find(const std::string& framework_id, const std::string& task_id);

  World& world_;
  std::map<std::string, Task> tasks_;     // by framework and task id
  std::map<std::string, Task*> running_;  // by container
  std::set<std::string> removed_frameworks_;
  std::set<std::string> gone_hosts_;
  int started_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_TASK_TRUTH_H_
