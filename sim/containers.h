// Containers of a simulated host.
//
// A program that is registered by name runs as a simulated process of its own.
// Everything else has to be `/bin/sh -c SCRIPT`, of which this much is
// understood, separated by ';' or '&&':
//
//   echo TEXT          to standard output
//   sleep SECONDS
//   exit N, true, false
//   trap '' TERM       ignores that signal
//
// Any other word fails as a shell would: status 127.

#ifndef QUORATE_SIM_CONTAINERS_H_
#define QUORATE_SIM_CONTAINERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/containers.h"
#include "sim/machine.h"

namespace quorate::sim {

// Off by default; what is off draws no random number.
struct ContainerFaults {
  // How likely a launch fails for want of processes.
  double fork_fails = 0;
  // How likely the end of a container is told without its status.
  double status_lost = 0;
  // How likely a container that is signalled is stuck in the kernel, for up to
  // so long: what it is sent has its effect only then.
  double stuck = 0;
  io::Duration max_stuck = std::chrono::minutes(1);
  // How likely a container cannot be removed after its end, for up to so long:
  // it is listed, and nobody is told of its end.
  double remove_busy = 0;
  io::Duration max_remove_busy = std::chrono::seconds(10);
  // How likely a container gets the pid of an earlier one.
  double pid_reused = 0;
};

class HostContainers {
 public:
  // Makes the program of a container; called when it is launched.
  using Registered =
      std::function<ProgramFactory(const io::ContainerSpec& spec)>;

  explicit HostContainers(Host& host);
  ~HostContainers();

  // `name` is the last component of ContainerSpec::program.
  void Register(const std::string& name, Registered program);

  // The containers as a process sees them.
  std::unique_ptr<io::Containers> For(Process& process);

  void LosePower();

  ContainerFaults faults;
  // The kernel kills one of the running containers, for want of memory, or
  // somebody sends it that signal. False when there is none.
  bool KillAny(int signal);

  // For checkers: each launch of a shell command, and its end; without a
  // status when the host lost its power.
  std::function<void(const io::ContainerSpec& spec)> on_command;
  std::function<void(const std::string& id, std::optional<int> wait_status)>
      on_command_ended;

 private:
  class View;
  struct Container;
  class Script;

  absl::StatusOr<io::ContainerInfo> Launch(Process& launcher,
                                           const io::ContainerSpec& spec);
  absl::StatusOr<io::ContainerInfo> Fork(const std::string& id);
  bool Draw(double chance) {
    return chance > 0 && random_->Fraction() < chance;
  }
  void Take(const std::string& id, int signal);
  void Signal(Container& container, int signal);
  void OnEnded(const std::string& id, int wait_status);
  void Remove(const std::string& id);
  void Tell(Container& container);
  void Append(const std::string& path, absl::string_view text);
  std::string IdOf(const Process& process) const;

  Host& host_;
  const std::unique_ptr<io::Random> random_;  // of faults
  std::vector<int64_t> free_pids_;
  std::map<std::string, Registered> programs_;
  int64_t next_pid_ = 1000;
  std::map<std::string, std::unique_ptr<Container>> running_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CONTAINERS_H_
