#include "core/agent/launching.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/flags/values.h"

namespace quorate::agent {
namespace {

using mesos::v1::CommandInfo;
using mesos::v1::ContainerInfo;
using mesos::v1::ExecutorInfo;
using mesos::v1::TaskInfo;

// What the command executor itself needs, on top of its task.
constexpr double kExecutorCpus = 0.1;
constexpr double kExecutorMemory = 32;
constexpr size_t kMaxShownCommand = 15;
constexpr char kPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr char kAnyIp[] = "0.0.0.0";

std::string Shown(const CommandInfo& command) {
  std::string text = command.shell() ? command.value()
                                     : absl::StrJoin(command.arguments(), " ");
  if (text.size() > kMaxShownCommand) {
    text = text.substr(0, kMaxShownCommand - 3) + "...";
  }
  return command.shell() ? absl::StrCat("sh -c '", text, "'")
                         : absl::StrCat("[", text, "]");
}

void AddScalar(const char* name, double value, const std::string& role,
               ExecutorInfo* info) {
  mesos::v1::Resource& resource = *info->add_resources();
  resource.set_name(name);
  resource.set_type(mesos::v1::Value::SCALAR);
  resource.mutable_scalar()->set_value(value);
  if (!role.empty()) resource.mutable_allocation_info()->set_role(role);
}

io::Duration GracePeriod(const AgentOptions& options,
                         const ExecutorInfo& info) {
  if (!info.has_shutdown_grace_period()) {
    return options.executor_shutdown_grace_period;
  }
  return io::Duration(info.shutdown_grace_period().nanoseconds());
}

using Variables = std::map<std::string, std::string>;

Variables MakeEnvironment(const AgentOptions& options, const io::Endpoint& self,
                          const Executor& executor) {
  Variables env;
  env["PATH"] = kPath;
  env["LIBPROCESS_PORT"] = "0";
  if (options.bind.ip != kAnyIp) env["LIBPROCESS_IP"] = options.bind.ip;
  env["MESOS_AGENT_ENDPOINT"] = self.ToString();
  env["MESOS_CHECKPOINT"] = executor.checkpointed ? "1" : "0";
  env["MESOS_DIRECTORY"] = executor.sandbox;
  env["MESOS_EXECUTOR_ID"] = executor.id();
  env["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"] =
      flags::ValueToText(GracePeriod(options, executor.info));
  env["MESOS_FRAMEWORK_ID"] = executor.run.framework_id;
  env["MESOS_HTTP_COMMAND_EXECUTOR"] = executor.generated ? "1" : "0";
  env["MESOS_SANDBOX"] = executor.sandbox;
  env["MESOS_SLAVE_ID"] = executor.run.agent_id;
  env["MESOS_SLAVE_PID"] = absl::StrCat("slave(1)@", self.ToString());
  if (executor.checkpointed) {
    env["MESOS_RECOVERY_TIMEOUT"] =
        flags::ValueToText(options.recovery_timeout);
    env["MESOS_SUBSCRIPTION_BACKOFF_MAX"] =
        flags::ValueToText(options.executor_reregistration_timeout);
  }
  for (const auto& variable :
       executor.info.command().environment().variables()) {
    env[variable.name()] = variable.value();
  }
  return env;
}

absl::Status CheckCommand(const CommandInfo& command) {
  if (command.uris_size() == 0) return absl::OkStatus();
  return absl::UnimplementedError("this agent cannot fetch URIs");
}

absl::Status CheckContainer(const ContainerInfo& container) {
  if (container.has_type() && container.type() == ContainerInfo::DOCKER) {
    return absl::UnimplementedError(
        "this agent cannot run containers of type DOCKER");
  }
  if (container.mesos().has_image()) {
    return absl::UnimplementedError("this agent cannot run images");
  }
  return absl::OkStatus();
}

}  // namespace

ExecutorInfo CommandExecutorInfo(const AgentOptions& options,
                                 const mesos::v1::FrameworkID& framework_id,
                                 const TaskInfo& task) {
  ExecutorInfo info;
  const std::string& id = task.task_id().value();
  info.mutable_executor_id()->set_value(id);
  *info.mutable_framework_id() = framework_id;
  CommandInfo& command = *info.mutable_command();
  command.set_shell(false);
  command.set_value(absl::StrCat(options.launcher_dir, "/mesos-executor"));
  command.add_arguments("mesos-executor");
  command.add_arguments(absl::StrCat("--launcher_dir=", options.launcher_dir));
  std::string role;
  if (task.resources_size() > 0) {
    role = task.resources(0).allocation_info().role();
  }
  AddScalar("cpus", kExecutorCpus, role, &info);
  AddScalar("mem", kExecutorMemory, role, &info);
  info.set_name(absl::StrCat("Command Executor (Task: ", id,
                             ") (Command: ", Shown(task.command()), ")"));
  info.set_source(id);
  return info;
}

absl::Status CheckLaunchable(const TaskInfo& task,
                             const ExecutorInfo& executor) {
  for (const CommandInfo* command : {&task.command(), &executor.command()}) {
    const absl::Status checked = CheckCommand(*command);
    if (!checked.ok()) return checked;
  }
  for (const ContainerInfo* container :
       {&task.container(), &executor.container()}) {
    const absl::Status checked = CheckContainer(*container);
    if (!checked.ok()) return checked;
  }
  if (executor.command().value().empty()) {
    return absl::UnimplementedError(
        "this agent can only run executors with a command");
  }
  return absl::OkStatus();
}

std::string UserOf(const mesos::v1::FrameworkInfo& framework,
                   const ExecutorInfo& executor, const TaskInfo& task) {
  if (task.command().has_user()) return task.command().user();
  if (executor.command().has_user()) return executor.command().user();
  return framework.user();
}

io::ContainerSpec MakeContainerSpec(const AgentOptions& options,
                                    const io::Endpoint& self,
                                    const Executor& executor) {
  io::ContainerSpec spec;
  spec.id = executor.run.container_id;
  const CommandInfo& command = executor.info.command();
  if (command.shell()) {
    spec.program = "/bin/sh";
    spec.arguments = {"sh", "-c", command.value()};
  } else {
    spec.program = command.value();
    spec.arguments = {command.arguments().begin(), command.arguments().end()};
    if (spec.arguments.empty()) spec.arguments = {command.value()};
  }
  spec.environment = MakeEnvironment(options, self, executor);
  spec.directory = executor.sandbox;
  spec.stdout_path = executor.sandbox + "/stdout";
  spec.stderr_path = executor.sandbox + "/stderr";
  if (options.switch_user) spec.user = executor.user;
  return spec;
}

}  // namespace quorate::agent
