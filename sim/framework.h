// A framework of the simulated world, over core/scheduler's driver.
//
//   framework.Launch("t", "sleep 60");
//   world.RunUntil([&] { return framework.Reached("t", "TASK_RUNNING"); },
//   30s);
//
// It launches what it is asked to on the first offer that suffices,
// acknowledges every update, and reconciles when it has subscribed and now and
// then. What it knows outlives its process, as if it kept it in a database.

#ifndef QUORATE_SIM_FRAMEWORK_H_
#define QUORATE_SIM_FRAMEWORK_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/checkers/task_truth.h"
#include "sim/node.h"

namespace quorate::sim {

class FrameworkNode final : public Node {
 public:
  // `truth` outlives the node.
  FrameworkNode(World& world, Network& network, Ensemble& ensemble,
                std::string name, std::string ip, election::ZooKeeperUrl zk,
                TaskTruth& truth);
  ~FrameworkNode() override;

  // At any time; a task id once only.
  void Launch(const std::string& task_id, const std::string& command);
  void KillTask(const std::string& task_id);

  bool subscribed();
  // Empty before the first subscription.
  const std::string& id() const { return id_; }
  int subscriptions() const { return subscriptions_; }
  // What masters refused for good.
  const std::vector<std::string>& errors() const { return errors_; }

  // The states of a task as it was told of them; an update that was sent again
  // counts once.
  const std::vector<std::string>& States(const std::string& task_id) const;
  bool Reached(const std::string& task_id, const std::string& state) const;
  // Whether it was told that the task runs no more, or never will.
  bool Ended(const std::string& task_id) const;
  // The agent it was launched on, "" before.
  std::string AgentOf(const std::string& task_id) const;

 private:
  class Running;

  struct Task {
    std::string command;
    std::string agent_id;
    bool kill_wanted = false;
    bool ended = false;
    std::vector<std::string> states;
    std::set<std::string> seen;  // uuids of updates
  };

  ProgramFactory MakeFactory() override;

  const election::ZooKeeperUrl zk_;
  TaskTruth& truth_;
  std::string id_;
  int subscriptions_ = 0;
  std::vector<std::string> errors_;
  std::map<std::string, Task> tasks_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FRAMEWORK_H_
