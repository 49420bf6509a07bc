// mesos-executor: the command executor, started by the agent for each command
// task. Its configuration is in the environment variables of the executor API.

#include <csignal>

#include "core/executor/command_executor.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/program.h"

int main(int, char** argv) {
  using namespace quorate;
  auto options = executor::OptionsFromEnvironment(prod::EnvironmentVariables());
  if (!options.ok()) {
    std::fprintf(stderr,
                 "%s: %s\nThis program is started by mesos-agent and not "
                 "meant to be run by hand.\n",
                 argv[0], std::string(options.status().message()).c_str());
    return io::kExitFailure;
  }
  prod::InitLogging("mesos-executor", {});

  prod::EventLoop loop;
  // Outside the sandbox's listing of files by its leading dot.
  prod::Environment environment(
      &loop, {.container_folder = options->sandbox + "/.containers"});
  executor::CommandExecutor executor(environment, *std::move(options));
  executor.Start();
  environment.Run();
}
