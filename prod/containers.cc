#include "prod/containers.h"

#include <glog/logging.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "prod/disk.h"

namespace quorate::prod {
namespace {

// With the suffixes it still makes a file name.
constexpr size_t kMaxIdLength = 242;
constexpr char kRecordSuffix[] = ".container";

bool IsId(absl::string_view id) {
  if (id.empty() || id.size() > kMaxIdLength || id == "." || id == "..") {
    return false;
  }
  for (char c : id) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

}  // namespace

ProcessContainers::ProcessContainers(EventLoop* loop, std::string folder)
    : loop_(loop), folder_(std::move(folder)), boot_id_(BootId()) {}

ProcessContainers::~ProcessContainers() = default;

// ---- Launching ----

void ProcessContainers::Launch(const io::ContainerSpec& spec, OnLaunched done) {
  const absl::Status begun = Begin(spec, &done);
  if (begun.ok()) return;
  Defer([done = std::move(done), begun] { done(begun); });
}

absl::Status ProcessContainers::Begin(const io::ContainerSpec& spec,
                                      OnLaunched* done) {
  if (!IsId(spec.id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", spec.id, "' is not a container id"));
  }
  if (spec.program.empty() || spec.arguments.empty()) {
    return absl::InvalidArgumentError("a container without a program");
  }
  const absl::Status loaded = Load();
  if (!loaded.ok()) return loaded;
  if (containers_.count(spec.id) > 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("container ", spec.id, " exists"));
  }
  auto container = std::make_unique<Container>();
  container->id = spec.id;
  container->leader.nested = spec.nested;
  container->command = {.program = spec.program,
                        .arguments = spec.arguments,
                        .environment = spec.environment,
                        .directory = spec.directory,
                        .stdout_path = spec.stdout_path,
                        .stderr_path = spec.stderr_path,
                        .user = spec.user,
                        .nested = spec.nested};
  auto child = Fork(container->command);
  if (!child.ok()) return child.status();
  container->child = *std::move(child);
  container->is_child = true;
  container->process = std::move(container->child.process);
  container->on_launched = std::move(*done);
  container->report_watch = std::make_unique<FdWatch>(
      loop_, container->child.report.get(), EPOLLIN,
      [this, c = container.get()](uint32_t) { OnReport(c); });
  containers_[spec.id] = std::move(container);
  return absl::OkStatus();
}

void ProcessContainers::OnReport(Container* container) {
  char buffer[sizeof(LaunchFailure)];
  const size_t wanted =
      container->step == Step::kForked ? 1 : sizeof(LaunchFailure);
  const ssize_t n = Retry(
      [&] { return read(container->child.report.get(), buffer, wanted); });
  if (n < 0 && errno == EAGAIN) return;
  if (container->step == Step::kForked && n == 1) return OnForked(container);
  if (n == sizeof(LaunchFailure)) {
    LaunchFailure failure;
    memcpy(&failure, buffer, sizeof(failure));
    return OnLaunchFailed(container, ToStatus(failure, container->command));
  }
  // The end: it is the program now, or was killed, which the watch will tell.
  OnStarted(container);
}

void ProcessContainers::OnForked(Container* container) {
  Leader& leader = container->leader;
  leader.pid = container->child.pid;
  // It waits for us, or is a zombie: its stat is there.
  const auto stat = ReadProcessStat(leader.pid);
  if (stat.has_value()) leader.start_time = stat->start_time;
  leader.boot_id = boot_id_;
  leader.autogroup = AutogroupOf(leader.pid);
  const absl::Status written = WriteRecord(*container);
  if (!written.ok()) return OnLaunchFailed(container, written);
  container->step = Step::kStarted;
  // Fails when the child was killed, which the end of the report will tell.
  (void)!write(container->child.go.get(), "g", 1);
}

void ProcessContainers::OnStarted(Container* container) {
  container->leader.pid = container->child.pid;
  container->step = Step::kRunning;
  container->report_watch.reset();
  container->child = Child();
  container->command = Command();
  WatchProcess(container);
  const OnLaunched done = std::move(container->on_launched);
  done(io::ContainerInfo{container->id, container->leader.pid});
}

void ProcessContainers::OnLaunchFailed(Container* container,
                                       const absl::Status& status) {
  (void)SignalProcess(container->process, SIGKILL);
  Retry([&] { return waitpid(container->child.pid, nullptr, 0); });
  (void)PosixDisk().Remove(RecordPath(container->id));
  const auto node = containers_.extract(container->id);
  const OnLaunched done = std::move(container->on_launched);
  const OnExited waiter = std::move(container->waiter);
  if (waiter) Defer([waiter] { waiter({}); });
  done(status);
}

// ---- The end ----

void ProcessContainers::WatchProcess(Container* container) {
  container->process_watch = std::make_unique<FdWatch>(
      loop_, container->process.get(), EPOLLIN,
      [this, container](uint32_t) { OnLeaderEnded(container); });
}

void ProcessContainers::OnLeaderEnded(Container* container) {
  container->process_watch.reset();
  container->step = Step::kEnding;
  KillRest(container);
}

void ProcessContainers::KillRest(Container* container) {
  // While the leader is our zombie its pid is the container's. Otherwise the
  // number alone proves nothing; a session's autogroup does.
  const Leader& leader = container->leader;
  const bool provable = !leader.nested && leader.autogroup != "-";
  if (!container->is_child && !provable) return OnEnded(container);
  if (absl::IsNotFound(SignalMembers(*container, SIGKILL))) {
    return OnEnded(container);
  }
  container->kill_again = loop_->RunAfter(
      kKillInterval, [this, container] { KillRest(container); });
}

void ProcessContainers::OnEnded(Container* container) {
  int status = 0;
  if (container->is_child &&
      Retry([&] { return waitpid(container->leader.pid, &status, WNOHANG); }) ==
          container->leader.pid) {
    container->exit.wait_status = status;
  }
  (void)PosixDisk().Remove(RecordPath(container->id));
  container->step = Step::kEnded;
  if (!container->waiter) return;
  const auto node = containers_.extract(container->id);
  const OnExited waiter = std::move(container->waiter);
  waiter(container->exit);
}

void ProcessContainers::Wait(const std::string& id, OnExited done) {
  Container* const container = Find(id);
  if (container == nullptr || container->step == Step::kEnded) {
    const io::ContainerExit exit =
        container == nullptr ? io::ContainerExit{} : container->exit;
    containers_.erase(id);
    return Defer([done = std::move(done), exit] { done(exit); });
  }
  CHECK(!container->waiter) << "two waiters for container " << id;
  container->waiter = std::move(done);
}

// ---- Signals ----

std::vector<ProcessStat> ProcessContainers::MembersOf(
    const Container& container) const {
  const Leader& leader = container.leader;
  std::vector<ProcessStat> members;
  for (const ProcessStat& stat : AllProcesses()) {
    if (stat.zombie() || stat.start_time < leader.start_time) continue;
    if (leader.nested) {
      if (stat.group == leader.pid) members.push_back(stat);
    } else if (stat.session == leader.pid &&
               AutogroupOf(stat.pid) == leader.autogroup) {
      members.push_back(stat);
    }
  }
  return members;
}

absl::Status ProcessContainers::SignalMembers(const Container& container,
                                              int signal) const {
  absl::Status result = absl::NotFoundError(
      absl::StrCat("container ", container.id, " does not run"));
  for (const ProcessStat& stat : MembersOf(container)) {
    const UniqueFd process = OpenProcess(stat.pid, stat.start_time);
    if (!process) continue;
    const absl::Status sent = SignalProcess(process, signal);
    // One that was reached counts more than one that was not.
    if (sent.ok() || absl::IsNotFound(result)) result = sent;
  }
  return result;
}

absl::Status ProcessContainers::Signal(const std::string& id, int signal) {
  const Container* const container = Find(id);
  if (container == nullptr || container->step != Step::kRunning) {
    return absl::NotFoundError(absl::StrCat("container ", id, " does not run"));
  }
  return SignalMembers(*container, signal);
}

void ProcessContainers::Destroy(const std::string& id) {
  Container* const container = Find(id);
  if (container == nullptr) return;
  if (container->step == Step::kForked || container->step == Step::kStarted) {
    // Its launch succeeds, and then it is found dead.
    (void)SignalProcess(container->process, SIGKILL);
    return;
  }
  if (container->step != Step::kRunning) return;
  // Others than the leader may fork while the signals go out: until the leader
  // is found dead, it is all done again.
  (void)SignalMembers(*container, SIGKILL);
  container->kill_again =
      loop_->RunAfter(kKillInterval, [this, id] { Destroy(id); });
}

// ---- Records ----

void ProcessContainers::List(OnListed done) {
  const absl::Status loaded = Load();
  if (!loaded.ok()) {
    return Defer([done = std::move(done), loaded] { done(loaded); });
  }
  std::vector<io::ContainerInfo> running;
  for (const auto& [id, container] : containers_) {
    if (container->step != Step::kRunning && container->step != Step::kEnding) {
      continue;
    }
    running.push_back({id, container->leader.pid});
  }
  Defer([done = std::move(done), running = std::move(running)] {
    done(running);
  });
}

ProcessContainers::Container* ProcessContainers::Find(const std::string& id) {
  const absl::Status loaded = Load();
  if (!loaded.ok()) {
    LOG(ERROR) << "containers: " << loaded;
    return nullptr;
  }
  const auto it = containers_.find(id);
  return it == containers_.end() ? nullptr : it->second.get();
}

absl::Status ProcessContainers::Load() {
  if (loaded_) return absl::OkStatus();
  PosixDisk disk;
  const absl::Status made = disk.MakeDirectories(folder_);
  if (!made.ok()) return made;
  const auto names = disk.List(folder_);
  if (!names.ok()) return names.status();
  loaded_ = true;
  for (absl::string_view name : *names) {
    if (!absl::ConsumeSuffix(&name, kRecordSuffix) || !IsId(name)) continue;
    const std::string id(name);
    const auto leader = ReadRecord(RecordPath(id));
    if (leader.ok() && leader->boot_id == boot_id_) {
      Adopt(id, *leader);
    } else {
      LOG_IF(WARNING, !leader.ok()) << leader.status();
      (void)disk.Remove(RecordPath(id));
    }
  }
  return absl::OkStatus();
}

void ProcessContainers::Adopt(const std::string& id, const Leader& leader) {
  auto owned = std::make_unique<Container>();
  Container* const container = owned.get();
  container->id = id;
  container->leader = leader;
  const auto stat = ReadProcessStat(leader.pid);
  const bool is_leader =
      stat.has_value() && stat->start_time == leader.start_time;
  if (stat.has_value() && !is_leader) {
    // The pid is another process', so nobody of the container is left.
    (void)PosixDisk().Remove(RecordPath(id));
    return;
  }
  container->is_child = is_leader && stat->parent == getpid();
  container->process = OpenProcess(leader.pid, leader.start_time);
  containers_[id] = std::move(owned);
  if (is_leader && container->process) {
    container->step = Step::kRunning;
    return WatchProcess(container);
  }
  container->step = Step::kEnding;
  KillRest(container);
}

std::string ProcessContainers::RecordPath(const std::string& id) const {
  return absl::StrCat(folder_, "/", id, kRecordSuffix);
}

// On the loop, as it only touches the page cache: not synced, for a record says
// nothing once the machine has gone down.
absl::Status ProcessContainers::WriteRecord(const Container& container) const {
  const Leader& leader = container.leader;
  const std::string text = absl::StrCat(
      leader.pid, " ", leader.start_time, " ", leader.boot_id, " ",
      leader.nested ? "nested" : "session", " ", leader.autogroup, "\n");
  PosixDisk disk;
  const std::string path = RecordPath(container.id);
  const std::string temporary = absl::StrCat(path, "~");
  auto file = disk.Open(temporary, io::Disk::Mode::kCreateEmpty);
  if (!file.ok()) return file.status();
  const absl::Status written = (*file)->Append(text);
  return written.ok() ? disk.Rename(temporary, path) : written;
}

absl::StatusOr<ProcessContainers::Leader> ProcessContainers::ReadRecord(
    const std::string& path) {
  const auto text = ReadSmallFile(path);
  if (!text.ok()) return text.status();
  const std::vector<std::string> words =
      absl::StrSplit(absl::StripTrailingAsciiWhitespace(*text), ' ');
  Leader leader;
  if (words.size() != 5 || !absl::SimpleAtoi(words[0], &leader.pid) ||
      !absl::SimpleAtoi(words[1], &leader.start_time) || leader.pid <= 1) {
    return absl::DataLossError(absl::StrCat(path, ": not a container record"));
  }
  leader.boot_id = words[2];
  leader.nested = words[3] == "nested";
  leader.autogroup = words[4];
  return leader;
}

void ProcessContainers::Defer(std::function<void()> call) {
  const uint64_t number = next_deferred_++;
  deferred_[number] = loop_->RunAfter(io::Duration::zero(),
                                      [this, number, call = std::move(call)] {
                                        deferred_.erase(number);
                                        call();
                                      });
}

}  // namespace quorate::prod
