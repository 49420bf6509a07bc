// mesos-execute: runs one command on the cluster and shows what becomes of it.

#include <csignal>
#include <cstdio>

#include "core/scheduler/execute.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/execute_options.h"
#include "prod/program.h"

int main(int argc, char** argv) {
  using namespace quorate;
  options::ExecuteFlags values;
  flags::FlagSet flags(options::ExecuteProgram());
  values.AddTo(&flags);
  prod::LoadFlags(argc, argv, &flags);
  auto options = options::ToExecuteOptions(values);
  if (!options.ok()) {
    prod::FailUsage("mesos-execute", options.status().message());
  }
  prod::InitLogging("mesos-execute", {.logging_level = "ERROR"});

  prod::EventLoop loop;
  prod::Environment environment(&loop, {});
  scheduler::Execute execute(environment, *std::move(options),
                             [](const std::string& line) {
                               std::printf("%s\n", line.c_str());
                               std::fflush(stdout);
                             });
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) { execute.Cancel(); });
  if (absl::Status started = execute.Start(); !started.ok()) {
    prod::FailUsage("mesos-execute", started.message());
  }
  environment.Run();
}
