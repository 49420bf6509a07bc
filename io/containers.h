// Processes that the agent and the executor run for others.
//
// A container outlives the process that launched it: an agent that restarts
// finds its containers by List and waits for them again. In production process
// groups, in the simulator scripted processes.

#ifndef QUORATE_IO_CONTAINERS_H_
#define QUORATE_IO_CONTAINERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace quorate::io {

struct ContainerSpec {
  // Unique on this machine for ever; [A-Za-z0-9._-], at most 242 characters.
  std::string id;
  std::string program;                 // Path; looked up in PATH without '/'.
  std::vector<std::string> arguments;  // Including argv[0].
  std::map<std::string, std::string> environment;  // Whole; nothing inherited.
  std::string directory;  // Working directory; must exist.
  // Appended to; created when missing. Standard input is empty.
  std::string stdout_path;
  std::string stderr_path;
  // Empty: as this process. Otherwise `directory` is given to that user.
  std::string user;
  // Part of the container that this process itself runs in: it ends at the
  // latest when that one does, whoever ends it. An executor's tasks are.
  bool nested = false;
};

struct ContainerInfo {
  std::string id;
  int64_t pid = 0;
};

// How a container ended. `wait_status` is the raw wait(2) status, absent when
// it was lost (the container ended while nobody who could reap it was alive).
struct ContainerExit {
  std::optional<int> wait_status;
};

class Containers {
 public:
  using OnLaunched = std::function<void(absl::StatusOr<ContainerInfo>)>;
  using OnExited = std::function<void(const ContainerExit&)>;
  using OnListed =
      std::function<void(absl::StatusOr<std::vector<ContainerInfo>>)>;

  // Destroying leaves the containers running and drops callbacks.
  virtual ~Containers() = default;

  // AlreadyExists, NotFound (no such program or directory), InvalidArgument,
  // ResourceExhausted (no processes left), PermissionDenied (user).
  virtual void Launch(const ContainerSpec& spec, OnLaunched done) = 0;

  // Calls back once, when the container has ended; at once if it has ended
  // already or is unknown (without a status). One waiter per container.
  virtual void Wait(const std::string& id, OnExited done) = 0;

  // To every process of the container. NotFound when it is not running.
  virtual absl::Status Signal(const std::string& id, int signal) = 0;

  // SIGKILL to all its processes, again until none is left; Wait tells when.
  virtual void Destroy(const std::string& id) = 0;

  // All containers that are running under this root, sorted by id: the truth
  // after a restart.
  virtual void List(OnListed done) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_CONTAINERS_H_
