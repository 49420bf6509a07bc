// mesos-master's flags.

#ifndef QUORATE_PROD_OPTIONS_MASTER_OPTIONS_H_
#define QUORATE_PROD_OPTIONS_MASTER_OPTIONS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/flags/flags.h"
#include "core/master/master.h"
#include "prod/options/common.h"

namespace quorate::options {

struct MasterFlags {
  AddressFlags address;
  LoggingFlags logging;
  std::optional<std::string> masters;
  std::optional<std::string> zk;
  flags::Duration zk_session_timeout = std::chrono::seconds(10);
  std::optional<int32_t> quorum;
  std::string on_lost_leadership = "exit";
  std::optional<std::string> work_dir;
  bool log_auto_initialize = true;
  std::optional<std::string> cluster;
  std::string registry = "replicated_log";
  flags::Duration registry_fetch_timeout = std::chrono::minutes(1);
  flags::Duration registry_store_timeout = std::chrono::seconds(20);
  flags::Duration agent_ping_timeout = std::chrono::seconds(15);
  uint32_t max_agent_ping_timeouts = 5;
  flags::Duration agent_reregister_timeout = std::chrono::minutes(10);
  flags::Duration allocation_interval = std::chrono::seconds(1);
  std::optional<flags::Duration> offer_timeout;
  uint32_t max_completed_frameworks = 50;
  uint32_t max_completed_tasks_per_framework = 1000;
  bool root_submissions = true;

  void AddTo(flags::FlagSet* flags);

 private:
  void AddTimingTo(flags::FlagSet* flags);
};

flags::Program MasterProgram();

// Refuses flags that contradict each other. Resolves names.
absl::StatusOr<master::MasterOptions> ToMasterOptions(
    const MasterFlags& values, const flags::FlagSet& flags);

}  // namespace quorate::options

#endif  // QUORATE_PROD_OPTIONS_MASTER_OPTIONS_H_
