#include "absl/strings/str_cat.h"
#include "core/executor/command_executor.h"
#include "core/flags/values.h"

namespace quorate::executor {
namespace {

using Variables = std::map<std::string, std::string>;

class Reader {
 public:
  explicit Reader(const Variables& variables) : variables_(variables) {}

  void Required(const std::string& name, std::string* value) {
    const auto it = variables_.find(name);
    if (it == variables_.end() || it->second.empty()) {
      return Fail(
          absl::StrCat(name, " is not set: executors are started by agents"));
    }
    *value = it->second;
  }

  void Optional(const std::string& name, io::Duration* value) {
    const auto it = variables_.find(name);
    if (it == variables_.end()) return;
    const absl::Status parsed = flags::ParseValue(it->second, value);
    if (!parsed.ok()) Fail(absl::StrCat(name, ": ", parsed.message()));
  }

  void Fail(const std::string& message) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(message);
  }

  const absl::Status& status() const { return status_; }

 private:
  const Variables& variables_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<ExecutorOptions> OptionsFromEnvironment(
    const Variables& variables) {
  ExecutorOptions options;
  Reader reader(variables);
  reader.Required("MESOS_FRAMEWORK_ID", &options.framework_id);
  reader.Required("MESOS_EXECUTOR_ID", &options.executor_id);
  reader.Required("MESOS_SLAVE_ID", &options.agent_id);
  reader.Required("MESOS_SANDBOX", &options.sandbox);
  std::string agent;
  reader.Required("MESOS_AGENT_ENDPOINT", &agent);
  if (reader.status().ok()) {
    const auto endpoint = io::ParseEndpoint(agent);
    if (endpoint.ok()) {
      options.agent = *endpoint;
    } else {
      reader.Fail(
          absl::StrCat("MESOS_AGENT_ENDPOINT: ", endpoint.status().message()));
    }
  }
  const auto checkpoint = variables.find("MESOS_CHECKPOINT");
  options.checkpoint =
      checkpoint != variables.end() && checkpoint->second == "1";
  reader.Optional("MESOS_RECOVERY_TIMEOUT", &options.recovery_timeout);
  reader.Optional("MESOS_SUBSCRIPTION_BACKOFF_MAX",
                  &options.subscription_backoff_max);
  reader.Optional("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
                  &options.shutdown_grace_period);
  options.environment = variables;
  if (!reader.status().ok()) return reader.status();
  return options;
}

}  // namespace quorate::executor
