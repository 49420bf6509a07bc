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
  void Signal(Container& container, int signal);
  void OnEnded(const std::string& id, int wait_status);
  void Append(const std::string& path, absl::string_view text);
  std::string IdOf(const Process& process) const;

  Host& host_;
  std::map<std::string, Registered> programs_;
  int64_t next_pid_ = 1000;
  std::map<std::string, std::unique_ptr<Container>> running_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CONTAINERS_H_
