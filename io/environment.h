// Everything a process may touch. One per process: a production binary makes
// one over epoll and the kernel, the simulator one per simulated process.

#ifndef QUORATE_IO_ENVIRONMENT_H_
#define QUORATE_IO_ENVIRONMENT_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "io/clock.h"
#include "io/containers.h"
#include "io/coordination.h"
#include "io/disk.h"
#include "io/network.h"
#include "io/random.h"

namespace quorate::io {

// Exit codes of our programs that have a meaning of their own. Supervisors
// restart on all of them.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,         // Bad flags, or a failure that a message explains.
  kExitLostLeadership = 3,  // A leading master that leads no more.
  kExitDiskFailure = 4,     // A write or sync failed: nothing more is known.
};

class Environment {
 public:
  virtual ~Environment() = default;

  virtual Clock& clock() = 0;
  virtual Network& network() = 0;
  virtual Disk& disk() = 0;
  virtual Random& random() = 0;
  virtual Coordination& coordination() = 0;
  virtual Containers& containers() = 0;

  // A new lane for blocking disk work; `name` shows in traces and in ps.
  virtual std::unique_ptr<Lane> NewLane(absl::string_view name) = 0;

  // Ends the process after the running callback returns: nothing else of it
  // runs, nothing queued is sent; sessions of coordination that are connected
  // are closed. The first call counts. `message` is one line for the operator.
  virtual void Exit(int code, absl::string_view message) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_ENVIRONMENT_H_
