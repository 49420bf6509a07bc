#include "core/master/validation.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/master.pb.h"
#include "core/api/scheduler.pb.h"
#include "core/master/limits.h"
#include "core/resources/roles.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskInfo;
using SchedulerCall = mesos::v1::scheduler::Call;
using MasterCall = mesos::v1::master::Call;

constexpr io::Duration kMaxFailoverTimeout = std::chrono::hours(24 * 36500);
constexpr size_t kUuidBytes = 16;

// For messages: a framework can name any number of ranges.
std::string Shortened(const Resources& resources) {
  constexpr size_t kMaxText = 200;
  std::string text = resources.ToText();
  if (text.size() <= kMaxText) return text;
  return absl::StrCat(text.substr(0, kMaxText), "...");
}

absl::Status Invalid(absl::string_view message) {
  return absl::InvalidArgumentError(message);
}

absl::Status Expect(bool present, absl::string_view field) {
  if (present) return absl::OkStatus();
  return Invalid(absl::StrCat("Expecting '", field, "' to be present"));
}

absl::Status ValidateUuid(absl::string_view uuid) {
  if (uuid.size() == kUuidBytes) return absl::OkStatus();
  return Invalid(
      absl::StrCat("Expecting 'uuid' to hold 16 bytes, not ", uuid.size()));
}

absl::Status ValidateSubscribe(const SchedulerCall& call) {
  absl::Status present = Expect(call.has_subscribe(), "subscribe");
  if (!present.ok()) return present;
  const std::string& id = call.subscribe().framework_info().id().value();
  if (id != call.framework_id().value()) {
    return Invalid("'framework_id' differs from 'subscribe.framework_info.id'");
  }
  return absl::OkStatus();
}

absl::Status ValidateUpdateFramework(const SchedulerCall& call) {
  absl::Status present =
      Expect(call.has_update_framework(), "update_framework");
  if (!present.ok()) return present;
  if (call.update_framework().framework_info().id().value() !=
      call.framework_id().value()) {
    return Invalid(
        "'framework_id' differs from 'update_framework.framework_info.id'");
  }
  return absl::OkStatus();
}

absl::Status ValidateBody(const SchedulerCall& call) {
  switch (call.type()) {
    case SchedulerCall::UNKNOWN:
    case SchedulerCall::TEARDOWN:
    // Both mean all roles without a body.
    case SchedulerCall::REVIVE:
    case SchedulerCall::SUPPRESS:
      return absl::OkStatus();
    case SchedulerCall::SUBSCRIBE:
      return ValidateSubscribe(call);
    case SchedulerCall::ACCEPT:
      return Expect(call.has_accept(), "accept");
    case SchedulerCall::DECLINE:
      return Expect(call.has_decline(), "decline");
    case SchedulerCall::ACCEPT_INVERSE_OFFERS:
      return Expect(call.has_accept_inverse_offers(), "accept_inverse_offers");
    case SchedulerCall::DECLINE_INVERSE_OFFERS:
      return Expect(call.has_decline_inverse_offers(),
                    "decline_inverse_offers");
    case SchedulerCall::KILL:
      return Expect(call.has_kill(), "kill");
    case SchedulerCall::SHUTDOWN:
      return Expect(call.has_shutdown(), "shutdown");
    case SchedulerCall::ACKNOWLEDGE:
      if (!call.has_acknowledge()) return Expect(false, "acknowledge");
      return ValidateUuid(call.acknowledge().uuid());
    case SchedulerCall::ACKNOWLEDGE_OPERATION_STATUS:
      if (!call.has_acknowledge_operation_status()) {
        return Expect(false, "acknowledge_operation_status");
      }
      if (!call.acknowledge_operation_status().has_agent_id()) {
        return Expect(false, "acknowledge_operation_status.agent_id");
      }
      return ValidateUuid(call.acknowledge_operation_status().uuid());
    case SchedulerCall::RECONCILE:
      return Expect(call.has_reconcile(), "reconcile");
    case SchedulerCall::RECONCILE_OPERATIONS:
      return Expect(call.has_reconcile_operations(), "reconcile_operations");
    case SchedulerCall::MESSAGE:
      return Expect(call.has_message(), "message");
    case SchedulerCall::REQUEST:
      return Expect(call.has_request(), "request");
    case SchedulerCall::UPDATE_FRAMEWORK:
      return ValidateUpdateFramework(call);
  }
  return absl::OkStatus();
}

absl::Status ValidateManyRoles(const FrameworkInfo& info) {
  if (info.has_role()) {
    return Invalid(
        "'FrameworkInfo.role' must not be set by a framework with MULTI_ROLE");
  }
  if (info.roles_size() > kMaxRolesPerFramework) {
    return Invalid(absl::StrCat("'FrameworkInfo.roles' holds more than ",
                                kMaxRolesPerFramework, " roles"));
  }
  std::set<std::string> seen;
  for (const std::string& role : info.roles()) {
    const absl::Status valid = ValidateRole(role);
    if (!valid.ok()) {
      return Invalid(absl::StrCat(
          "'FrameworkInfo.roles' contains invalid role: ", valid.message()));
    }
    if (!seen.insert(role).second) {
      return Invalid(
          absl::StrCat("'FrameworkInfo.roles' contains '", role, "' twice"));
    }
  }
  return absl::OkStatus();
}

bool HasMultiRole(const FrameworkInfo& info) {
  return std::any_of(info.capabilities().begin(), info.capabilities().end(),
                     [](const FrameworkInfo::Capability& capability) {
                       return capability.type() ==
                              FrameworkInfo::Capability::MULTI_ROLE;
                     });
}

absl::Status ValidateOneRole(const FrameworkInfo& info) {
  if (info.roles_size() > 0) {
    return Invalid(
        "'FrameworkInfo.roles' needs the capability MULTI_ROLE; without it use "
        "'FrameworkInfo.role'");
  }
  const absl::Status valid = ValidateRole(info.role());
  if (valid.ok()) return valid;
  return Invalid(
      absl::StrCat("'FrameworkInfo.role' is invalid: ", valid.message()));
}

absl::Status ValidateSuppressed(const FrameworkInfo& info, bool multi_role,
                                const std::vector<std::string>& suppressed) {
  for (const std::string& role : suppressed) {
    const bool known =
        multi_role ? std::count(info.roles().begin(), info.roles().end(), role)
                   : info.role() == role;
    if (!known) {
      return Invalid(absl::StrCat("Suppressed role '", role,
                                  "' is not a role of the framework"));
    }
  }
  return absl::OkStatus();
}

// The amounts of the framework's offer filters.
absl::Status ValidateQuantity(double value) {
  if (std::isnan(value)) return Invalid("NaN not supported");
  if (std::isinf(value)) return Invalid("Infinite values not supported");
  if (value < 0) return Invalid("Negative values not supported");
  return absl::OkStatus();
}

absl::Status ValidateOfferFilters(const FrameworkInfo& info) {
  for (const auto& [role, filters] : info.offer_filters()) {
    for (const auto& minimum :
         filters.min_allocatable_resources().quantities()) {
      for (const auto& [name, amount] : minimum.quantities()) {
        const absl::Status valid = ValidateQuantity(amount.value());
        if (valid.ok()) continue;
        return Invalid(absl::StrCat(
            "'FrameworkInfo.offer_filters' holds an invalid quantity of a "
            "resource: ",
            valid.message()));
      }
    }
  }
  return absl::OkStatus();
}

bool IsDuration(double seconds) {
  return seconds >= 0 && seconds < static_cast<double>(INT64_MAX) / 1e9;
}

absl::Status ValidateExecutor(const mesos::v1::ExecutorInfo& executor,
                              const Framework& framework, const Agent& agent) {
  const std::string& id = executor.executor_id().value();
  absl::Status valid = ValidateId("Executor", id);
  if (!valid.ok()) return valid;
  if (executor.has_framework_id() &&
      executor.framework_id().value() != framework.id) {
    return Invalid(absl::StrCat("Executor '", id, "' names framework '",
                                executor.framework_id().value(),
                                "' as its own"));
  }
  if (executor.type() == mesos::v1::ExecutorInfo::DEFAULT) {
    return Invalid("The default executor is not supported yet");
  }
  if (!executor.has_command()) {
    return Invalid(absl::StrCat("Executor '", id, "' has no command"));
  }
  if (executor.shutdown_grace_period().nanoseconds() < 0) {
    return Invalid("'shutdown_grace_period' must not be negative");
  }
  auto executors = agent.executors.find(framework.id);
  if (executors == agent.executors.end()) return absl::OkStatus();
  auto running = executors->second.find(id);
  if (running == executors->second.end() ||
      google::protobuf::util::MessageDifferencer::Equals(running->second.info,
                                                         executor)) {
    return absl::OkStatus();
  }
  return Invalid(absl::StrCat("Another executor '", id,
                              "' runs on the agent, with other properties"));
}

absl::Status ValidateTaskInfo(const TaskInfo& task, const Framework& framework,
                              const Agent& agent) {
  const std::string& id = task.task_id().value();
  absl::Status valid = ValidateId("Task", id);
  if (!valid.ok()) return valid;
  if (framework.tasks.count(id) > 0 ||
      framework.FindUnreachable(id) != nullptr) {
    return Invalid(absl::StrCat("Task '", id, "' exists already"));
  }
  if (task.agent_id().value() != agent.id) {
    return Invalid(absl::StrCat("Task '", id, "' names agent '",
                                task.agent_id().value(),
                                "', the offer is of agent '", agent.id, "'"));
  }
  if (task.has_command() == task.has_executor()) {
    return Invalid(absl::StrCat("Task '", id,
                                "' must have either a command or an executor"));
  }
  if (task.kill_policy().grace_period().nanoseconds() < 0) {
    return Invalid("'kill_policy.grace_period' must not be negative");
  }
  if (task.max_completion_time().nanoseconds() < 0) {
    return Invalid("'max_completion_time' must not be negative");
  }
  if (!task.has_executor()) return absl::OkStatus();
  return ValidateExecutor(task.executor(), framework, agent);
}

bool HasExecutor(const Agent& agent, const std::string& framework_id,
                 const std::string& executor_id) {
  auto executors = agent.executors.find(framework_id);
  return executors != agent.executors.end() &&
         executors->second.count(executor_id) > 0;
}

}  // namespace

absl::Status ValidateId(absl::string_view what, absl::string_view id) {
  if (id.empty()) return Invalid(absl::StrCat(what, " ID must not be empty"));
  if (id.size() > kMaxIdBytes) {
    return Invalid(absl::StrCat(what, " ID must not be longer than ",
                                kMaxIdBytes, " bytes"));
  }
  if (id == "." || id == "..") {
    return Invalid(absl::StrCat(what, " ID must not be '", id, "'"));
  }
  for (unsigned char c : id) {
    if (c == '/' || c == '\\' || c < ' ' || c == 127) {
      return Invalid(absl::StrCat(
          what, " ID must not contain slashes or control characters"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateCall(const SchedulerCall& call) {
  absl::Status valid = Expect(call.has_type(), "type");
  if (!valid.ok()) return valid;
  if (call.type() != SchedulerCall::SUBSCRIBE && !call.has_framework_id()) {
    return Expect(false, "framework_id");
  }
  return ValidateBody(call);
}

absl::Status ValidateCall(const MasterCall& call) {
  absl::Status valid = Expect(call.has_type(), "type");
  if (!valid.ok()) return valid;
  switch (call.type()) {
    case MasterCall::GET_METRICS:
      return Expect(call.has_get_metrics(), "get_metrics");
    case MasterCall::SET_LOGGING_LEVEL:
      return Expect(call.has_set_logging_level(), "set_logging_level");
    case MasterCall::LIST_FILES:
      return Expect(call.has_list_files(), "list_files");
    case MasterCall::READ_FILE:
      return Expect(call.has_read_file(), "read_file");
    case MasterCall::TEARDOWN:
      return Expect(call.has_teardown(), "teardown");
    case MasterCall::MARK_AGENT_GONE:
      return Expect(call.has_mark_agent_gone(), "mark_agent_gone");
    default:
      return absl::OkStatus();
  }
}

absl::Status ValidateFrameworkInfo(
    const FrameworkInfo& info, const std::vector<std::string>& suppressed_roles,
    bool root_submissions) {
  if (!info.id().value().empty()) {
    absl::Status valid = ValidateId("Framework", info.id().value());
    if (!valid.ok()) return valid;
  }
  if (info.ByteSizeLong() > kMaxInfoBytes) {
    return Invalid("The framework's description is larger than 1 MiB");
  }
  if (info.capabilities_size() > kMaxCapabilitiesPerFramework) {
    return Invalid("'FrameworkInfo.capabilities' holds too many capabilities");
  }
  const bool multi_role = HasMultiRole(info);
  absl::Status valid =
      multi_role ? ValidateManyRoles(info) : ValidateOneRole(info);
  if (!valid.ok()) return valid;
  if (!IsDuration(info.failover_timeout())) {
    return Invalid(absl::StrCat("'FrameworkInfo.failover_timeout' of ",
                                info.failover_timeout(),
                                " seconds is not a duration"));
  }
  valid = ValidateOfferFilters(info);
  if (!valid.ok()) return valid;
  if (info.user() == "root" && !root_submissions) {
    return Invalid("User 'root' is not allowed to run frameworks here");
  }
  return ValidateSuppressed(info, multi_role, suppressed_roles);
}

io::Duration FailoverTimeout(const FrameworkInfo& info) {
  if (!IsDuration(info.failover_timeout())) return io::Duration::zero();
  const auto timeout = std::chrono::duration_cast<io::Duration>(
      std::chrono::duration<double>(info.failover_timeout()));
  return std::min(timeout, kMaxFailoverTimeout);
}

absl::StatusOr<Resources> ValidateAgentInfo(const mesos::v1::AgentInfo& info) {
  if (info.hostname().empty() || info.hostname().size() > kMaxIdBytes) {
    return Invalid("The agent's hostname must have 1 to 255 characters");
  }
  if (info.ByteSizeLong() > kMaxInfoBytes) {
    return Invalid("The agent's description is larger than 1 MiB");
  }
  if (info.resources_size() > kMaxResourcesPerAgent) {
    return Invalid("The agent has too many resources");
  }
  if (info.attributes_size() > kMaxAttributesPerAgent) {
    return Invalid("The agent has too many attributes");
  }
  return Resources::FromProto(info.resources());
}

absl::StatusOr<TaskDemand> ValidateTask(const TaskInfo& task,
                                        const Framework& framework,
                                        const Agent& agent,
                                        const Resources& remaining) {
  absl::Status valid = ValidateTaskInfo(task, framework, agent);
  if (!valid.ok()) return valid;
  const std::string& id = task.task_id().value();
  absl::StatusOr<Resources> resources = Resources::FromProto(task.resources());
  if (!resources.ok()) {
    return Invalid(absl::StrCat("Task '", id, "' has invalid resources: ",
                                resources.status().message()));
  }
  if (resources->empty()) {
    return Invalid(absl::StrCat("Task '", id, "' has no resources"));
  }
  TaskDemand demand{.task = *std::move(resources)};
  if (task.has_executor() &&
      !HasExecutor(agent, framework.id,
                   task.executor().executor_id().value())) {
    resources = Resources::FromProto(task.executor().resources());
    if (!resources.ok()) {
      return Invalid(absl::StrCat(
          "The executor of task '", id,
          "' has invalid resources: ", resources.status().message()));
    }
    demand.executor = *std::move(resources);
    demand.is_new_executor = true;
  }
  const Resources needed = demand.task + demand.executor;
  if (!remaining.Contains(needed)) {
    return Invalid(absl::StrCat("Task '", id, "' uses more resources (",
                                Shortened(needed), ") than are left (",
                                Shortened(remaining), ")"));
  }
  return demand;
}

}  // namespace quorate::master
