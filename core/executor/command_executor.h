// The command executor: a process of its own that runs one task's command and
// reports to the agent through the executor API, also across agent restarts.

#ifndef QUORATE_CORE_EXECUTOR_COMMAND_EXECUTOR_H_
#define QUORATE_CORE_EXECUTOR_COMMAND_EXECUTOR_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "io/environment.h"

namespace quorate::executor {

struct ExecutorOptions {
  std::string framework_id;
  std::string executor_id;
  std::string agent_id;
  io::Endpoint agent;
  std::string sandbox;
  bool checkpoint = false;
  io::Duration recovery_timeout = std::chrono::minutes(15);
  io::Duration subscription_backoff_max = std::chrono::seconds(2);
  io::Duration shutdown_grace_period = std::chrono::seconds(5);
  // What the task's command inherits.
  std::map<std::string, std::string> environment;
};

// From MESOS_FRAMEWORK_ID and its kin, as the agent sets them. InvalidArgument
// names the variable that is missing or wrong.
absl::StatusOr<ExecutorOptions> OptionsFromEnvironment(
    const std::map<std::string, std::string>& variables);

class CommandExecutor {
 public:
  // `environment` outlives the executor.
  CommandExecutor(io::Environment& environment, ExecutorOptions options);
  ~CommandExecutor();

  // Ends the process by Environment::Exit when it is done.
  void Start();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::executor

#endif  // QUORATE_CORE_EXECUTOR_COMMAND_EXECUTOR_H_
