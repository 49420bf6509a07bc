// mesos-execute: a framework that runs one command and ends with it.
//
//   scheduler::Execute execute(environment, options, print_line);
//   absl::Status status = execute.Start();   // ends by Environment::Exit

#ifndef QUORATE_CORE_SCHEDULER_EXECUTE_H_
#define QUORATE_CORE_SCHEDULER_EXECUTE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/api/media.h"
#include "core/election/election.h"
#include "io/environment.h"

namespace quorate::scheduler {

struct ExecuteOptions {
  election::MasterLocation master;

  std::string name;     // of the task
  std::string task_id;  // default the name
  std::string command;
  // Otherwise `command` is a program and `arguments` its whole argv.
  bool shell = true;
  std::vector<std::string> arguments;
  std::string environment;  // a JSON object of strings, or empty
  std::string resources = "cpus:1;mem:128";
  std::string role = "*";
  std::string user;  // whom the task runs as
  bool checkpoint = false;
  std::optional<io::Duration> kill_after;
  // Names of further framework capabilities, "GPU_RESOURCES".
  std::vector<std::string> framework_capabilities;
  api::MediaType content_type = api::MediaType::kJson;
  // How long the master keeps the task without this program.
  io::Duration failover_timeout = std::chrono::minutes(1);
};

class Execute {
 public:
  // A line for the user, without its end.
  using Output = std::function<void(const std::string& line)>;

  // `environment` outlives the object.
  Execute(io::Environment& environment, ExecuteOptions options, Output output);
  ~Execute();

  // InvalidArgument for options that cannot be. Ends the process with code 0
  // when the task reached TASK_FINISHED, with 1 otherwise.
  absl::Status Start();

  // The user gave up: removes the framework and its task, then exits with 1.
  void Cancel();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::scheduler

#endif  // QUORATE_CORE_SCHEDULER_EXECUTE_H_
