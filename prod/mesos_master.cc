// mesos-master: one master of a cluster.

#include <csignal>

#include "core/master/master.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/master_options.h"
#include "prod/program.h"
#include "prod/systemd.h"

int main(int argc, char** argv) {
  using namespace quorate;
  options::MasterFlags values;
  flags::FlagSet flags(options::MasterProgram());
  values.AddTo(&flags);
  prod::LoadFlags(argc, argv, &flags);
  auto options = options::ToMasterOptions(values, flags);
  if (!options.ok()) {
    prod::FailUsage("mesos-master", options.status().message());
  }
  options->log_file = prod::InitLogging("mesos-master", values.logging);

  prod::EventLoop loop;
  prod::SystemdNotifier systemd(&loop, prod::EnvironmentVariables());
  prod::Environment environment(
      &loop, {.container_folder = options->work_dir + "/containers"});
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) {
    systemd.Stopping();
    environment.Exit(io::kExitOk, "told to stop");
  });
  master::Master master(environment, *std::move(options));
  if (absl::Status started = master.Start(); !started.ok()) {
    environment.Exit(io::kExitFailure, started.message());
  }
  systemd.Ready();
  environment.Run();
}
