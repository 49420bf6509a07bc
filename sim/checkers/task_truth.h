// What frameworks are told of their tasks is what happens on the machines, and
// what runs there is left alone.
//
// * A task's command starts once, ever.
// * It ends by itself, unless its framework wanted otherwise or its machine
//   lost power.
// * A framework hears TASK_RUNNING only of what was started, TASK_FINISHED
//   only of what ended well, and no end at all of what still runs. (That an
//   agent is out of reach is no end.)

#ifndef QUORATE_SIM_CHECKERS_TASK_TRUTH_H_
#define QUORATE_SIM_CHECKERS_TASK_TRUTH_H_

#include <map>
#include <optional>
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

  // The framework was told this of the task: "TASK_RUNNING".
  void Told(const std::string& framework_id, const std::string& task_id,
            const std::string& state);
  // The framework wants the task to end.
  void KillWanted(const std::string& framework_id, const std::string& task_id);

  // Of what Watch sees.
  void Started(const std::string& container_id, const std::string& framework_id,
               const std::string& task_id);
  // Without a status: with the power of its machine.
  void Ended(const std::string& container_id, std::optional<int> wait_status);

  // Tasks that were started, and those of them that run now.
  int started() const { return started_; }
  int running() const { return static_cast<int>(running_.size()); }

 private:
  struct Task {
    std::string name;
    bool started = false;
    bool runs = false;
    bool ended_well = false;
    bool kill_wanted = false;
  };

  Task& Find(const std::string& framework_id, const std::string& task_id);

  World& world_;
  std::map<std::string, Task> tasks_;     // by framework and task id
  std::map<std::string, Task*> running_;  // by container
  int started_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_TASK_TRUTH_H_
