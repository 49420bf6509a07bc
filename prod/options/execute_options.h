// mesos-execute's flags.

#ifndef QUORATE_PROD_OPTIONS_EXECUTE_OPTIONS_H_
#define QUORATE_PROD_OPTIONS_EXECUTE_OPTIONS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/flags/flags.h"
#include "core/scheduler/execute.h"

namespace quorate::options {

struct ExecuteFlags {
  std::string master;
  std::string name;
  std::optional<std::string> task_id;
  std::string command;
  bool shell = true;
  std::string env;
  std::string resources = "cpus:1;mem:128";
  std::string role = "*";
  std::optional<std::string> user;
  bool checkpoint = false;
  std::optional<flags::Duration> kill_after;
  std::string framework_capabilities;
  std::string content_type = "json";
  flags::Duration failover_timeout = std::chrono::minutes(1);
  flags::Duration zk_session_timeout = std::chrono::seconds(10);

  void AddTo(flags::FlagSet* flags);
};

flags::Program ExecuteProgram();

absl::StatusOr<scheduler::ExecuteOptions> ToExecuteOptions(
    const ExecuteFlags& values);

}  // namespace quorate::options

#endif  // QUORATE_PROD_OPTIONS_EXECUTE_OPTIONS_H_
