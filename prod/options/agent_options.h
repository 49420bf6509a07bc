// mesos-agent's flags, and what it finds out about its machine.

#ifndef QUORATE_PROD_OPTIONS_AGENT_OPTIONS_H_
#define QUORATE_PROD_OPTIONS_AGENT_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/agent/agent.h"
#include "core/flags/flags.h"
#include "prod/options/common.h"

namespace quorate::options {

struct AgentFlags {
  AddressFlags address;
  LoggingFlags logging;
  std::string master;
  flags::Duration zk_session_timeout = std::chrono::seconds(10);
  std::string work_dir;
  std::string runtime_dir = "/var/run/mesos";
  std::optional<std::string> launcher_dir;
  std::optional<std::string> resources;
  std::optional<std::string> attributes;
  std::string default_role = "*";
  flags::Duration registration_backoff_factor = std::chrono::seconds(1);
  flags::Duration executor_registration_timeout = std::chrono::minutes(1);
  flags::Duration executor_reregistration_timeout = std::chrono::seconds(2);
  flags::Duration executor_shutdown_grace_period = std::chrono::seconds(5);
  flags::Duration recovery_timeout = std::chrono::minutes(15);
  std::string recover = "reconnect";
  bool strict = true;
  bool switch_user = true;

  void AddTo(flags::FlagSet* flags);
};

flags::Program AgentProgram();

// What this machine has. Sizes in bytes.
struct Machine {
  uint32_t cpus = 0;
  uint64_t memory = 0;
  uint64_t disk = 0;  // of the file system of the work directory
  std::string boot_id;
  std::string program_directory;  // of this program's file
};
absl::StatusOr<Machine> InspectMachine(const std::string& work_dir);

// `text` (a --resources value) with the kinds that it does not name added from
// the machine: all cpus; memory and disk less a share for the system; ports
// 31000-32000.
absl::StatusOr<std::string> CompleteResources(const std::string& text,
                                              const Machine& machine);

absl::StatusOr<agent::AgentOptions> ToAgentOptions(const AgentFlags& values,
                                                   const flags::FlagSet& flags,
                                                   const Machine& machine);

}  // namespace quorate::options

#endif  // QUORATE_PROD_OPTIONS_AGENT_OPTIONS_H_
