#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "prod/process.h"

namespace quorate::prod {
namespace {

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kUserBufferBytes = 16 << 10;
constexpr int kFailedExit = 127;

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// All that the child needs, made before the fork: between fork and exec it
// may neither allocate nor call what is not async-signal-safe.
struct Plan {
  explicit Plan(const Command& command);

  Command command;
  std::vector<std::string> programs;  // To be tried in turn.
  std::vector<std::string> variables;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::optional<Identity> identity;  // To be taken on.
  pid_t parent = 0;
  int report = -1;
  int go = -1;
};

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& s : *strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

Plan::Plan(const Command& from) : command(from), parent(getpid()) {
  if (absl::StrContains(command.program, '/')) {
    programs.push_back(command.program);
  } else {
    const auto path = command.environment.find("PATH");
    for (absl::string_view folder : absl::StrSplit(
             path == command.environment.end() ? kDefaultPath : path->second,
             ':', absl::SkipEmpty())) {
      programs.push_back(absl::StrCat(folder, "/", command.program));
    }
  }
  for (const auto& [name, value] : command.environment) {
    variables.push_back(absl::StrCat(name, "=", value));
  }
  argv = Pointers(&command.arguments);
  envp = Pointers(&variables);
}

absl::StatusOr<Identity> LookUp(const std::string& user) {
  std::vector<char> buffer(kUserBufferBytes);
  passwd entry;
  passwd* found = nullptr;
  getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return absl::PermissionDeniedError(
        absl::StrCat("user ", user, " does not exist on this machine"));
  }
  Identity identity{entry.pw_uid, entry.pw_gid, {}};
  int count = 0;
  getgrouplist(user.c_str(), entry.pw_gid, nullptr, &count);
  identity.groups.resize(count);
  getgrouplist(user.c_str(), entry.pw_gid, identity.groups.data(), &count);
  identity.groups.resize(count);
  return identity;
}

// ---- In the child ----

[[noreturn]] void Fail(const Plan& plan, LaunchFailure::Step step) {
  const LaunchFailure failure{step, errno};
  (void)!write(plan.report, &failure, sizeof(failure));
  _exit(kFailedExit);
}

void ResetSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void TakeOn(const Plan& plan, const Identity& identity) {
  // The system calls themselves: glibc's wrappers would tell other threads,
  // of which this process has none.
  if (syscall(SYS_setgroups, identity.groups.size(), identity.groups.data()) ||
      syscall(SYS_setresgid, identity.gid, identity.gid, identity.gid) ||
      syscall(SYS_setresuid, identity.uid, identity.uid, identity.uid)) {
    Fail(plan, LaunchFailure::kUser);
  }
}

void Redirect(const Plan& plan, int target, const char* path, int flags,
              LaunchFailure::Step step) {
  const int fd = open(path, flags, 0644);
  if (fd < 0) Fail(plan, step);
  if (fd == target) return;
  if (dup2(fd, target) < 0) Fail(plan, step);
  close(fd);
}

[[noreturn]] void BecomeProgram(const Plan& plan) {
  int error = ENOENT;
  for (const std::string& program : plan.programs) {
    execve(program.c_str(), plan.argv.data(), plan.envp.data());
    // As a shell does: another folder may have it, but it is not unknown.
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
  }
  errno = error;
  Fail(plan, LaunchFailure::kProgram);
}

[[noreturn]] void RunChild(const Plan& plan) {
  const Command& command = plan.command;
  if (command.nested) {
    setpgid(0, 0);
  } else {
    setsid();
  }
  char byte = 'r';
  if (write(plan.report, &byte, 1) != 1 || read(plan.go, &byte, 1) != 1) {
    _exit(kFailedExit);
  }
  ResetSignals();
  if (plan.identity.has_value()) TakeOn(plan, *plan.identity);
  if (command.nested) {
    // After the change of user, which would undo it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan.parent) _exit(kFailedExit);
  }
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY;
  Redirect(plan, STDIN_FILENO, "/dev/null", O_RDONLY, LaunchFailure::kStdin);
  Redirect(plan, STDOUT_FILENO, command.stdout_path.c_str(), kAppend,
           LaunchFailure::kStdout);
  Redirect(plan, STDERR_FILENO, command.stderr_path.c_str(), kAppend,
           LaunchFailure::kStderr);
  if (chdir(command.directory.c_str()) != 0) {
    Fail(plan, LaunchFailure::kDirectory);
  }
  close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
  BecomeProgram(plan);
}

// ---- In the parent ----

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

// Neither end is one of the standard streams, which the child replaces.
absl::StatusOr<Pipe> NewPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  for (UniqueFd* end : {&pipe.read, &pipe.write}) {
    if (end->get() > STDERR_FILENO) continue;
    UniqueFd moved(fcntl(end->get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!moved) return ErrnoStatus(errno, "pipe");
    *end = std::move(moved);
  }
  return pipe;
}

}  // namespace

absl::StatusOr<Child> Fork(const Command& command) {
  Plan plan(command);
  if (!command.user.empty()) {
    auto identity = LookUp(command.user);
    if (!identity.ok()) return identity.status();
    if (identity->uid != geteuid()) plan.identity = *std::move(identity);
  }
  if (plan.identity.has_value() &&
      chown(command.directory.c_str(), plan.identity->uid,
            plan.identity->gid) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "cannot give ", command.directory, " to user ", command.user));
  }
  auto report = NewPipe();
  if (!report.ok()) return report.status();
  auto go = NewPipe();
  if (!go.ok()) return go.status();
  plan.report = report->write.get();
  plan.go = go->read.get();

  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    // Or it would not see its end when this process dies.
    close(go->write.get());
    RunChild(plan);
  }
  Child child;
  child.pid = pid;
  child.process.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  child.report = std::move(report->read);
  child.go = std::move(go->write);
  fcntl(child.report.get(), F_SETFL, O_NONBLOCK);
  return child;
}

absl::Status ToStatus(const LaunchFailure& failure, const Command& command) {
  switch (failure.step) {
    case LaunchFailure::kUser:
      return absl::PermissionDeniedError(
          absl::StrCat("cannot run as user ", command.user));
    case LaunchFailure::kStdin:
      return ErrnoStatus(failure.error, "/dev/null");
    case LaunchFailure::kStdout:
      return ErrnoStatus(failure.error, command.stdout_path);
    case LaunchFailure::kStderr:
      return ErrnoStatus(failure.error, command.stderr_path);
    case LaunchFailure::kDirectory:
      return ErrnoStatus(failure.error, command.directory);
    case LaunchFailure::kProgram:
      break;
  }
  return ErrnoStatus(failure.error, command.program);
}

}  // namespace quorate::prod
