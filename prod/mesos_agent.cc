// mesos-agent: the agent of one machine.

#include <csignal>

#include "core/agent/agent.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/agent_options.h"
#include "prod/program.h"
#include "prod/systemd.h"

int main(int argc, char** argv) {
  using namespace quorate;
  options::AgentFlags values;
  flags::FlagSet flags(options::AgentProgram());
  values.AddTo(&flags);
  prod::LoadFlags(argc, argv, &flags);
  auto machine = options::InspectMachine(values.work_dir);
  if (!machine.ok()) {
    prod::FailUsage("mesos-agent", machine.status().message());
  }
  auto options = options::ToAgentOptions(values, flags, *machine);
  if (!options.ok()) {
    prod::FailUsage("mesos-agent", options.status().message());
  }
  options->log_file = prod::InitLogging("mesos-agent", values.logging);

  prod::EventLoop loop;
  prod::SystemdNotifier systemd(&loop, prod::EnvironmentVariables());
  prod::Environment environment(
      &loop, {.container_folder = options->runtime_dir + "/containers"});
  agent::Agent agent(environment, *std::move(options));
  loop.HandleSignals({SIGTERM, SIGINT, SIGUSR1}, [&](int signal) {
    if (signal == SIGUSR1) return agent.ShutDown();
    systemd.Stopping();
    environment.Exit(io::kExitOk, "told to stop; tasks go on");
  });
  if (absl::Status started = agent.Start(); !started.ok()) {
    environment.Exit(io::kExitFailure, started.message());
  }
  systemd.Ready();
  environment.Run();
}
