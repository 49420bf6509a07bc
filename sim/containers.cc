#include "sim/containers.h"

#include <algorithm>
#include <csignal>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

constexpr char kShell[] = "/bin/sh";
constexpr io::Duration kForkCost = std::chrono::milliseconds(2);
constexpr int kNotFoundStatus = 127;

constexpr size_t kMaxIdBytes = 242;

bool IsId(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxIdBytes && text != "." &&
         text != ".." &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

int ExitStatus(int code) { return (code & 0xff) << 8; }

}  // namespace

// A shell command, a step at a time.
class HostContainers::Script {
 public:
  Script(HostContainers& owner, std::string id, const io::ContainerSpec& spec,
         absl::string_view text)
      : owner_(owner), id_(std::move(id)), stdout_path_(spec.stdout_path) {
    const std::string marked = absl::StrReplaceAll(text, {{"&&", ";&"}});
    for (absl::string_view part : absl::StrSplit(marked, ';')) {
      steps_.emplace_back(absl::StripAsciiWhitespace(part));
    }
    Wait(kForkCost);
  }
  ~Script() { Stop(); }

  // Nothing more of it runs. It is reaped later, perhaps after its host.
  void Stop() {
    if (event_ != 0) owner_.host_.world().Cancel(event_);
    event_ = 0;
  }

  bool ignores(int signal) const { return ignored_.count(signal) != 0; }

 private:
  void Wait(io::Duration time) {
    event_ = owner_.host_.world().After(time, "script", [this] { Next(); });
  }

  // Runs until it has to wait, or is over.
  void Next() {
    while (!steps_.empty()) {
      std::string step = std::move(steps_.front());
      steps_.pop_front();
      absl::string_view words = step;
      const bool conditional = absl::ConsumePrefix(&words, "&");
      words = absl::StripAsciiWhitespace(words);
      if (words.empty() || (conditional && status_ != 0)) continue;
      if (!Run(words)) return;
    }
    owner_.OnEnded(id_, ExitStatus(status_));
  }

  // False when the script waits, or has ended and is gone.
  bool Run(absl::string_view words) {
    if (absl::ConsumePrefix(&words, "sleep ")) {
      double seconds = 0;
      status_ = absl::SimpleAtod(words, &seconds) ? 0 : 1;
      Wait(io::Duration(static_cast<io::Duration::rep>(seconds * 1e9)));
      return false;
    }
    if (absl::ConsumePrefix(&words, "exit")) {
      int code = status_;
      absl::string_view number = absl::StripAsciiWhitespace(words);
      if (!number.empty() && !absl::SimpleAtoi(number, &code)) code = 2;
      owner_.OnEnded(id_, ExitStatus(code));
      return false;
    }
    status_ = 0;
    if (absl::ConsumePrefix(&words, "echo ")) {
      owner_.Append(stdout_path_, absl::StrCat(words, "\n"));
    } else if (words == "trap '' TERM") {
      ignored_.insert(SIGTERM);
    } else if (words == "false") {
      status_ = 1;
    } else if (words != "true") {
      status_ = kNotFoundStatus;
    }
    return true;
  }

  HostContainers& owner_;
  const std::string id_;
  const std::string stdout_path_;
  std::deque<std::string> steps_;
  std::set<int> ignored_;
  int status_ = 0;
  uint64_t event_ = 0;
};

struct HostContainers::Container {
  io::ContainerInfo info;
  std::string parent;  // Of a nested container: that of its launcher.
  // One of the two.
  std::unique_ptr<Script> script;
  Process* process = nullptr;
  // Who waits for it, and who launched it: only its child's status is told.
  Process* launcher = nullptr;
  Process* waiter = nullptr;
  io::Containers::OnExited on_exited;
  // Signals that wait until it is no longer stuck.
  std::optional<std::vector<int>> stuck;
  // It has ended, and is to be removed.
  std::optional<int> wait_status;
};

// The containers as one process sees them.
class HostContainers::View final : public io::Containers {
 public:
  View(HostContainers& owner, Process& process)
      : owner_(owner), process_(process) {}

  void Launch(const io::ContainerSpec& spec, OnLaunched done) override {
    auto info = owner_.Launch(process_, spec);
    process_.Later(
        kForkCost, "launched",
        [info = std::move(info), done = std::move(done)] { done(info); });
  }

  void Wait(const std::string& id, OnExited done) override {
    auto found = owner_.running_.find(id);
    if (found != owner_.running_.end()) {
      found->second->waiter = &process_;
      found->second->on_exited = std::move(done);
      return;
    }
    io::ContainerExit exit;
    auto ended = ended_.find(id);
    if (ended != ended_.end()) {
      exit.wait_status = ended->second;
      ended_.erase(ended);
    }
    process_.Later(io::Duration::zero(), "exited",
                   [exit, done = std::move(done)] { done(exit); });
  }

  absl::Status Signal(const std::string& id, int signal) override {
    auto found = owner_.running_.find(id);
    if (found == owner_.running_.end()) {
      return absl::NotFoundError(
          absl::StrCat("container ", id, " is not running"));
    }
    // Not from inside the caller: it may be what the signal ends.
    owner_.host_.world().After(
        io::Duration::zero(), "signal",
        [&owner = owner_, id, signal] { owner.Take(id, signal); });
    return absl::OkStatus();
  }

  void Destroy(const std::string& id) override {
    Signal(id, SIGKILL).IgnoreError();  // Gone already is as good.
  }

  void List(OnListed done) override {
    std::vector<io::ContainerInfo> all;
    for (const auto& [id, container] : owner_.running_) {
      all.push_back(container->info);
    }
    process_.Later(
        io::Duration::zero(), "listed",
        [all = std::move(all), done = std::move(done)] { done(all); });
  }

  // A child of this process that nobody waited for yet.
  void KeepStatus(const std::string& id, std::optional<int> status) {
    ended_[id] = status;
  }

 private:
  HostContainers& owner_;
  Process& process_;
  std::map<std::string, std::optional<int>> ended_;
};

HostContainers::HostContainers(Host& host)
    : host_(host),
      random_(
          host.world().NewRandom(absl::StrCat("containers ", host.name()))) {}
HostContainers::~HostContainers() = default;

void HostContainers::Register(const std::string& name, Registered program) {
  programs_[name] = std::move(program);
}

std::unique_ptr<io::Containers> HostContainers::For(Process& process) {
  return std::make_unique<View>(*this, process);
}

std::string HostContainers::IdOf(const Process& process) const {
  for (const auto& [id, container] : running_) {
    if (container->process == &process) return id;
  }
  return "";
}

absl::StatusOr<io::ContainerInfo> HostContainers::Fork(const std::string& id) {
  if (Draw(faults.fork_fails)) {
    host_.world().Took(Fault::kForkFailed, host_.name());
    return absl::ResourceExhaustedError(
        absl::StrCat("launching ", id, ": no processes left"));
  }
  if (free_pids_.empty() || !Draw(faults.pid_reused)) {
    return io::ContainerInfo{id, next_pid_++};
  }
  host_.world().Took(Fault::kPidReused, host_.name());
  const size_t which = random_->Below(free_pids_.size());
  const io::ContainerInfo info{id, free_pids_[which]};
  free_pids_.erase(free_pids_.begin() + static_cast<ptrdiff_t>(which));
  return info;
}

absl::StatusOr<io::ContainerInfo> HostContainers::Launch(
    Process& launcher, const io::ContainerSpec& spec) {
  if (!IsId(spec.id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", spec.id, "' is not the id of a container"));
  }
  if (running_.count(spec.id) != 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("container ", spec.id, " is running"));
  }
  auto directory = host_.files().Find(spec.directory, true);
  if (!directory.ok()) return directory.status();
  auto info = Fork(spec.id);
  if (!info.ok()) return info;
  auto container = std::make_unique<Container>();
  container->info = *info;
  container->launcher = &launcher;
  if (spec.nested) container->parent = IdOf(launcher);
  const std::string name = spec.program.substr(spec.program.rfind('/') + 1);
  auto program = programs_.find(name);
  host_.world().Note(host_.name(), "launches", spec.id);
  Append(spec.stdout_path, "");
  Append(spec.stderr_path, "");
  if (program != programs_.end()) {
    running_[spec.id] = std::move(container);
    // After this event: a process does not begin inside another's callback.
    host_.world().After(
        kForkCost, "fork",
        [this, id = spec.id, factory = program->second(spec)] {
          auto found = running_.find(id);
          if (found == running_.end() || found->second->wait_status) return;
          Process& process = host_.Start(
              absl::StrCat(host_.name(), "/", id.substr(0, 12)), factory);
          found->second->process = &process;
          process.on_ended = [this, id](const Process::Ended& ended) {
            OnEnded(id, ended.killed ? SIGKILL : ExitStatus(ended.code));
          };
        });
    return info;
  }
  if (spec.program != kShell || spec.arguments.size() != 3 ||
      spec.arguments[1] != "-c") {
    return absl::NotFoundError(
        absl::StrCat("launching ", spec.program, ": no such program"));
  }
  if (on_command) on_command(spec);
  container->script =
      std::make_unique<Script>(*this, spec.id, spec, spec.arguments[2]);
  running_[spec.id] = std::move(container);
  return info;
}

bool HostContainers::KillAny(int signal) {
  std::vector<std::string> alive;
  for (const auto& [id, container] : running_) {
    if (!container->wait_status) alive.push_back(id);
  }
  if (alive.empty()) return false;
  host_.world().Took(Fault::kContainerKilled, host_.name());
  Take(alive[random_->Below(alive.size())], signal);
  return true;
}

// A signal arrives, or waits for its container to come back from the kernel.
void HostContainers::Take(const std::string& id, int signal) {
  auto found = running_.find(id);
  if (found == running_.end() || found->second->wait_status) return;
  Container& container = *found->second;
  if (container.stuck) return container.stuck->push_back(signal);
  if (!Draw(faults.stuck)) return Signal(container, signal);
  host_.world().Took(Fault::kContainerStuck, host_.name());
  container.stuck.emplace({signal});
  host_.world().After(random_->Between(io::Duration::zero(), faults.max_stuck),
                      "comes back", [this, id, pid = container.info.pid] {
                        auto back = running_.find(id);
                        if (back == running_.end() ||
                            back->second->info.pid != pid ||
                            !back->second->stuck) {
                          return;
                        }
                        const std::vector<int> signals =
                            *std::exchange(back->second->stuck, std::nullopt);
                        for (int each : signals) {
                          back = running_.find(id);
                          if (back != running_.end())
                            Signal(*back->second, each);
                        }
                      });
}

void HostContainers::Signal(Container& container, int signal) {
  const std::string id = container.info.id;
  if (container.script != nullptr) {
    if (signal == SIGKILL || !container.script->ignores(signal)) {
      OnEnded(id, signal);
    }
  } else if (container.process != nullptr) {
    container.process->Terminate();
  } else {
    OnEnded(id, signal);  // Before it began.
  }
}

void HostContainers::OnEnded(const std::string& id, int wait_status) {
  auto found = running_.find(id);
  if (found == running_.end() || found->second->wait_status) return;
  Container& container = *found->second;
  container.wait_status = wait_status;
  container.process = nullptr;
  if (container.script != nullptr) {
    container.script->Stop();
    if (on_command_ended) on_command_ended(id, wait_status);
  }
  host_.world().Note(host_.name(), "container ends",
                     static_cast<uint64_t>(wait_status));
  // What is nested in it ends with it.
  std::vector<std::string> nested;
  for (const auto& [other, candidate] : running_) {
    if (candidate->parent == id) nested.push_back(other);
  }
  for (const std::string& other : nested) {
    auto child = running_.find(other);
    if (child != running_.end() && !child->second->wait_status) {
      Signal(*child->second, SIGKILL);
    }
  }
  if (!Draw(faults.remove_busy)) return Remove(id);
  host_.world().Took(Fault::kContainerRemoveBusy, host_.name());
  host_.world().After(
      random_->Between(io::Duration::zero(), faults.max_remove_busy), "removes",
      [this, id] { Remove(id); });
}

void HostContainers::Remove(const std::string& id) {
  auto found = running_.find(id);
  // A loss of power may have been quicker.
  if (found == running_.end() || !found->second->wait_status) return;
  std::unique_ptr<Container> container = std::move(found->second);
  running_.erase(found);
  free_pids_.push_back(container->info.pid);
  Tell(*container);
  // A script that ends itself is still on the stack.
  host_.world().After(
      io::Duration::zero(), "reap",
      [dead = std::shared_ptr<Container>(std::move(container))] {});
}

void HostContainers::Tell(Container& container) {
  io::ContainerExit exit{container.wait_status};
  Process* const waiter = container.waiter;
  const bool waits = waiter != nullptr && waiter->alive();
  const bool stranger = waits && waiter != container.launcher;
  if (stranger || Draw(faults.status_lost)) {
    host_.world().Took(Fault::kExitStatusLost, host_.name());
    exit.wait_status.reset();
  }
  if (waits) {
    waiter->Later(
        io::Duration::zero(), "exited",
        [exit, done = std::move(container.on_exited)] { done(exit); });
  } else if (container.launcher->alive()) {
    static_cast<View&>(container.launcher->containers())
        .KeepStatus(container.info.id, exit.wait_status);
  }
}

void HostContainers::Append(const std::string& path, absl::string_view text) {
  std::string name;
  auto parent = host_.files().Parent(path, &name);
  if (!parent.ok()) return;
  auto file = host_.files().Find(path, true);
  if (!file.ok()) {
    file = std::make_shared<FileSystem::Node>();
    host_.files().Link(**parent, name, *file);
  }
  if (!text.empty()) {
    // As a shell's echo: what does not fit is lost.
    host_.files().Write(**file, (*file)->content.size(), text).IgnoreError();
  }
}

void HostContainers::LosePower() {
  for (const auto& [id, container] : running_) {
    if (container->script != nullptr && !container->wait_status &&
        on_command_ended) {
      on_command_ended(id, std::nullopt);
    }
  }
  running_.clear();
  free_pids_.clear();
}

}  // namespace quorate::sim
