// Processes of this machine: who they are, and how to start one.

#ifndef QUORATE_PROD_PROCESS_H_
#define QUORATE_PROD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prod/posix.h"

namespace quorate::prod {

// From /proc/<pid>/stat.
struct ProcessStat {
  pid_t pid = 0;
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  // In ticks since boot: with the pid it names a process for good.
  uint64_t start_time = 0;

  // Has ended, but nobody has asked for its status yet.
  bool zombie() const { return state == 'Z' || state == 'X'; }
};
std::optional<ProcessStat> ReadProcessStat(pid_t pid);
std::vector<ProcessStat> AllProcesses();

// A descriptor of exactly this process, or none when it is gone.
UniqueFd OpenProcess(pid_t pid, uint64_t start_time);

absl::Status SignalProcess(const UniqueFd& process, int signal);

// The kernel gives each new session an autogroup with a number of its own,
// which, unlike the session's id, does not come back. "-" when this kernel
// has none, or the process is gone.
std::string AutogroupOf(pid_t pid);

// Changes whenever the machine starts.
std::string BootId();

// A program to be started; see io::ContainerSpec.
struct Command {
  std::string program;
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
  std::string directory;
  std::string stdout_path;
  std::string stderr_path;
  std::string user;
  // In the session of this process, in a process group of its own, and killed
  // when this process ends. Otherwise the leader of a new session.
  bool nested = false;
};

// A child that has not yet become the program. It says one byte on `report`
// when it leads its session or group, then waits for one on `go`, then becomes
// the program, whereupon `report` ends, or sends a LaunchFailure there and
// ends. When `go` is closed it ends as well: this process has died.
struct Child {
  pid_t pid = 0;
  UniqueFd process;
  UniqueFd report;  // Non-blocking.
  UniqueFd go;
};

// ResourceExhausted, or PermissionDenied (of the user).
absl::StatusOr<Child> Fork(const Command& command);

struct LaunchFailure {
  enum Step : int {
    kUser,
    kStdin,
    kStdout,
    kStderr,
    kDirectory,
    kProgram,
  };
  Step step = kProgram;
  int error = 0;
};
absl::Status ToStatus(const LaunchFailure& failure, const Command& command);

}  // namespace quorate::prod

#endif  // QUORATE_PROD_PROCESS_H_
