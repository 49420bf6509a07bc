#include "prod/options/execute_options.h"

#include <pwd.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/resources/resources.h"
#include "prod/options/common.h"

namespace quorate::options {
namespace {

absl::Status CheckContentType(const std::string& type) {
  if (type == "json" || type == "protobuf") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", type, "' is neither json nor protobuf"));
}

std::string CurrentUser() {
  const passwd* entry = getpwuid(geteuid());
  return entry != nullptr ? entry->pw_name : "root";
}

}  // namespace

flags::Program ExecuteProgram() {
  return {
      .name = "mesos-execute",
      .summary = "runs a command on the cluster",
      .synopsis =
          "mesos-execute --master=URL --name=NAME --command=TEXT [flags]",
      .description =
          "Launches one task on the first offer that suffices, shows each of "
          "its states, and ends with it: with 0 when the task finished, with "
          "1 otherwise. It stays with the task over a fail-over of the "
          "masters.",
      .version = "1.12.0",
  };
}

void ExecuteFlags::AddTo(flags::FlagSet* flags) {
  flags
      ->Add(&master, "master",
            "Where the masters are: zk://host1:port1,host2:port2/path, or "
            "host1:port1,host2:port2.")
      .ValueName("URL")
      .Required()
      .Check([](const std::string& url) {
        return election::ParseMasterUrl(url).status();
      });
  flags->Add(&name, "name", "Name of the task.").Required();
  flags->Add(&task_id, "task_id", "Id of the task. Without it, the name.");
  flags->Add(&command, "command", "What to run.").Required();
  flags->Add(&shell, "shell",
             "Whether the command is given to /bin/sh. Otherwise it is a "
             "program with its arguments, separated by blanks.");
  flags->Add(&env, "env",
             "Environment variables of the command, as a JSON object.");
  flags->Add(&resources, "resources", "What the task takes of an offer.")
      .Check([](const std::string& text) {
        return Resources::ParseText(text).status();
      });
  flags->Add(&role, "role", "Role to receive offers for.");
  flags->Add(&user, "user",
             "User to run the command as. Without it, the one who runs "
             "mesos-execute.");
  flags->Add(&checkpoint, "checkpoint",
             "Whether the task survives a restart of its agent.");
  flags->Add(&kill_after, "kill_after",
             "Kills the task that long after its launch.");
  flags->Add(&framework_capabilities, "framework_capabilities",
             "Further capabilities of the framework, separated by commas.");
  flags
      ->Add(&content_type, "content_type",
            "How to speak to the master: json or protobuf.")
      .Check(CheckContentType);
  flags->Add(&failover_timeout, "failover_timeout",
             "How long the master keeps the task without this program.");
  flags->Add(&zk_session_timeout, "zk_session_timeout",
             "After how long without ZooKeeper the leader counts as unknown.");
}

absl::StatusOr<scheduler::ExecuteOptions> ToExecuteOptions(
    const ExecuteFlags& values) {
  scheduler::ExecuteOptions options;
  auto master = ResolveMasters(values.master, values.zk_session_timeout);
  if (!master.ok()) return master.status();
  options.master = *std::move(master);
  options.name = values.name;
  options.task_id = values.task_id.value_or(values.name);
  options.command = values.command;
  options.shell = values.shell;
  if (!values.shell) {
    options.arguments = absl::StrSplit(values.command, ' ', absl::SkipEmpty());
    if (options.arguments.empty()) {
      return absl::InvalidArgumentError("--command is empty");
    }
    options.command = options.arguments.front();
  }
  options.environment = values.env;
  options.resources = values.resources;
  options.role = values.role;
  options.user = values.user.value_or(CurrentUser());
  options.checkpoint = values.checkpoint;
  options.kill_after = values.kill_after;
  options.framework_capabilities =
      absl::StrSplit(values.framework_capabilities, ',', absl::SkipEmpty());
  options.content_type = values.content_type == "protobuf"
                             ? api::MediaType::kProtobuf
                             : api::MediaType::kJson;
  options.failover_timeout = values.failover_timeout;
  return options;
}

}  // namespace quorate::options
