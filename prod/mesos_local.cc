// mesos-local: a whole cluster on this machine, in processes of its own.

#include <glog/logging.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/election/master_url.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/agent_options.h"
#include "prod/options/common.h"
#include "prod/program.h"

namespace quorate {
namespace {

constexpr char kIp[] = "127.0.0.1";
constexpr uint32_t kMaxProcesses = 100;
constexpr io::Duration kRestartDelay = std::chrono::seconds(1);
// For agents to end their tasks.
constexpr io::Duration kStopGrace = std::chrono::seconds(15);

struct LocalFlags {
  options::LoggingFlags logging;
  uint32_t num_masters = 1;
  uint32_t num_agents = 1;
  uint16_t port = 5050;
  std::string work_dir;
  std::optional<std::string> zk;
  std::string resources = "cpus:1;mem:512;disk:1024;ports:[31000-32000]";

  void AddTo(flags::FlagSet* flags) {
    logging.AddTo(flags);
    flags->Add(&num_masters, "num_masters",
               "Masters to run; several elect a leader among themselves.");
    flags->Add(&num_agents, "num_agents", "Agents to run.").Alias("num_slaves");
    flags->Add(&port, "port",
               "Port of the first master; those of the other masters, then of "
               "the agents, follow.");
    flags->Add(&work_dir, "work_dir", "Directory for all of them.")
        .ValueName("PATH")
        .Required()
        .Check(options::CheckAbsolutePath);
    flags
        ->Add(&zk, "zk",
              "Has ZooKeeper elect the leader instead: zk://host:port/path.")
        .ValueName("URL")
        .Check([](const std::string& url) {
          return election::ParseZooKeeperUrl(url).status();
        });
    flags->Add(&resources, "resources", "What each agent offers.");
  }
};

flags::Program LocalProgram() {
  return {
      .name = "mesos-local",
      .summary = "a cluster on this machine",
      .synopsis = "mesos-local --work_dir=PATH [flags]",
      .description =
          "Runs masters and agents as processes on the loopback address, "
          "starts again those that end, and ends them all when it ends.",
      .version = "1.12.0",
  };
}

// Keeps its processes running.
class Local {
 public:
  Local(prod::Environment& environment, LocalFlags flags, std::string programs)
      : environment_(environment),
        flags_(std::move(flags)),
        programs_(std::move(programs)) {}

  void Start() {
    for (uint32_t i = 0; i < flags_.num_masters; ++i) {
      specs_.push_back(MasterSpec(i));
    }
    for (uint32_t i = 0; i < flags_.num_agents; ++i) {
      specs_.push_back(AgentSpec(i));
    }
    timers_.resize(specs_.size());
    running_.resize(specs_.size());
    for (size_t i = 0; i < specs_.size(); ++i) Launch(i);
  }

  // Agents first, with their tasks; they tell the masters. Ends the process
  // when all agents have ended, or have had their time.
  void Stop() {
    if (std::exchange(stopping_, true)) return;
    grace_ = environment_.clock().RunAfter(kStopGrace, [this] { End(); });
    for (size_t i = flags_.num_masters; i < specs_.size(); ++i) {
      if (!running_[i]) continue;
      absl::Status told =
          environment_.containers().Signal(specs_[i].id, SIGUSR1);
      LOG_IF(WARNING, !told.ok()) << told;
    }
    EndIfAgentsHave();
  }

 private:
  uint16_t PortOf(uint32_t index) const {
    return static_cast<uint16_t>(flags_.port + index);
  }

  io::ContainerSpec Spec(const std::string& name, const std::string& program,
                         uint16_t port) const {
    io::ContainerSpec spec;
    spec.id = name;
    spec.program = absl::StrCat(programs_, "/", program);
    spec.directory = flags_.work_dir;
    spec.stdout_path = absl::StrCat(flags_.work_dir, "/", name, ".log");
    spec.stderr_path = spec.stdout_path;
    spec.environment = prod::EnvironmentVariables();
    spec.arguments = {program, absl::StrCat("--ip=", kIp),
                      absl::StrCat("--port=", port),
                      absl::StrCat("--hostname=", kIp),
                      absl::StrCat("--work_dir=", flags_.work_dir, "/", name)};
    return spec;
  }

  std::string MasterUrl() const {
    if (flags_.zk) return *flags_.zk;
    std::vector<std::string> masters;
    for (uint32_t i = 0; i < flags_.num_masters; ++i) {
      masters.push_back(absl::StrCat(kIp, ":", PortOf(i)));
    }
    return absl::StrJoin(masters, ",");
  }

  io::ContainerSpec MasterSpec(uint32_t i) const {
    io::ContainerSpec spec =
        Spec(absl::StrCat("master", i + 1), "mesos-master", PortOf(i));
    spec.arguments.push_back(
        absl::StrCat("--quorum=", flags_.num_masters / 2 + 1));
    if (flags_.zk || flags_.num_masters > 1) {
      spec.arguments.push_back(
          absl::StrCat(flags_.zk ? "--zk=" : "--masters=", MasterUrl()));
    }
    return spec;
  }

  io::ContainerSpec AgentSpec(uint32_t i) const {
    const std::string name = absl::StrCat("agent", i + 1);
    io::ContainerSpec spec =
        Spec(name, "mesos-agent", PortOf(flags_.num_masters + i));
    spec.arguments.push_back(absl::StrCat("--master=", MasterUrl()));
    spec.arguments.push_back(
        absl::StrCat("--runtime_dir=", flags_.work_dir, "/", name, "/run"));
    spec.arguments.push_back(absl::StrCat("--launcher_dir=", programs_));
    spec.arguments.push_back(absl::StrCat("--resources=", flags_.resources));
    return spec;
  }

  void Launch(size_t i) {
    environment_.containers().Launch(
        specs_[i], [this, i](absl::StatusOr<io::ContainerInfo> info) {
          if (!info.ok()) {
            return environment_.Exit(io::kExitFailure, info.status().message());
          }
          running_[i] = true;
          environment_.containers().Wait(
              specs_[i].id,
              [this, i](const io::ContainerExit&) { OnEnded(i); });
        });
  }

  void OnEnded(size_t i) {
    running_[i] = false;
    if (stopping_) return EndIfAgentsHave();
    LOG(WARNING) << specs_[i].id << " has ended; starting it again";
    timers_[i] =
        environment_.clock().RunAfter(kRestartDelay, [this, i] { Launch(i); });
  }

  void EndIfAgentsHave() {
    if (std::find(running_.begin() + flags_.num_masters, running_.end(),
                  true) == running_.end()) {
      End();
    }
  }

  void End() {
    for (const io::ContainerSpec& spec : specs_) {
      environment_.containers().Destroy(spec.id);
    }
    environment_.Exit(io::kExitOk, "told to stop");
  }

  prod::Environment& environment_;
  const LocalFlags flags_;
  const std::string programs_;
  std::vector<io::ContainerSpec> specs_;
  std::vector<io::Timer> timers_;
  std::vector<bool> running_;
  bool stopping_ = false;
  io::Timer grace_;
};

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) {
  using namespace quorate;
  LocalFlags values;
  flags::FlagSet flags(LocalProgram());
  values.AddTo(&flags);
  prod::LoadFlags(argc, argv, &flags);
  if (values.num_masters == 0 ||
      values.num_masters + values.num_agents > kMaxProcesses) {
    prod::FailUsage("mesos-local",
                    absl::StrCat("--num_masters has to be at least 1, and at "
                                 "most ",
                                 kMaxProcesses, " processes can be run"));
  }
  auto machine = options::InspectMachine(values.work_dir);
  if (!machine.ok()) {
    prod::FailUsage("mesos-local", machine.status().message());
  }
  prod::InitLogging("mesos-local", values.logging);

  prod::EventLoop loop;
  prod::Environment environment(
      &loop, {.container_folder = values.work_dir + "/containers"});
  Local local(environment, values, machine->program_directory);
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) { local.Stop(); });
  local.Start();
  environment.Run();
}
