// A framework in the simulated world, over core/scheduler's driver.
//
// It launches what it is asked to on the first offer that suffices, and
// remembers every update.

#ifndef QUORATE_SIM_FRAMEWORK_H_
#define QUORATE_SIM_FRAMEWORK_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/election/master_url.h"
#include "sim/machine.h"

namespace quorate::sim {

class FrameworkProgram;

class Framework {
 public:
  // Starts its process on `host`.
  Framework(Host& host, election::ZooKeeperUrl zk);
  ~Framework();

  // Takes the first offer with enough resources; at any time.
  void Launch(const std::string& task_id, const std::string& command);
  void Kill(const std::string& task_id);

  bool subscribed() const;
  std::string id() const;
  int subscriptions() const { return subscriptions_; }
  const std::vector<std::string>& errors() const { return errors_; }

  // The states of a task in the order of their updates, repeats included.
  std::vector<std::string> States(const std::string& task_id) const;
  bool Reached(const std::string& task_id, const std::string& state) const;
  // The id of the agent it was launched on, "" before.
  std::string AgentOf(const std::string& task_id) const;

 private:
  friend class FrameworkProgram;

  struct Task {
    std::string command;
    std::string agent_id;
    std::vector<std::string> states;
  };

  Host& host_;
  Process* process_;
  int subscriptions_ = 0;
  std::vector<std::string> errors_;
  std::map<std::string, Task> tasks_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FRAMEWORK_H_
