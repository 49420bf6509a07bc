#include "core/executor/command_executor.h"

#include <glog/logging.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/executor/agent_client.h"

namespace quorate::executor {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::executor::Event;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Between SIGTERM and SIGKILL, unless a kill policy says otherwise.
constexpr io::Duration kKillGrace = seconds(3);
// Of the time in which the executor has to shut down: for itself, after its
// task.
constexpr io::Duration kShutdownReserve = seconds(1) + milliseconds(100);
// After the agent has the last update.
constexpr io::Duration kExitDelay = seconds(1);
// For the agent to take the last update.
constexpr io::Duration kAcknowledgementTimeout = seconds(60);

std::string SignalText(int signal) {
  const char* text = sigdescr_np(signal);
  return text != nullptr ? text : absl::StrCat("signal ", signal);
}

std::string ExitText(const std::optional<int>& wait_status) {
  if (!wait_status.has_value()) {
    return "Command terminated with unknown status";
  }
  if (WIFEXITED(*wait_status)) {
    return absl::StrCat("Command exited with status ",
                        WEXITSTATUS(*wait_status));
  }
  return absl::StrCat("Command terminated with signal ",
                      SignalText(WTERMSIG(*wait_status)));
}

bool HasCapability(const FrameworkInfo& framework,
                   FrameworkInfo::Capability::Type type) {
  for (const auto& capability : framework.capabilities()) {
    if (capability.type() == type) return true;
  }
  return false;
}

}  // namespace

class CommandExecutor::Core final : private AgentClient::Listener {
 public:
  Core(io::Environment& environment, ExecutorOptions options)
      : environment_(environment),
        options_(std::move(options)),
        client_(environment, options_, this) {}

  void Start() { client_.Start(); }

 private:
  enum class Phase { kIdle, kLaunching, kRunning, kKilling, kEnded };

  // AgentClient::Listener
  void OnEvent(const Event& event) override;
  void OnAbandoned(const absl::Status& why) override;

  void OnLaunch(const TaskInfo& task);
  io::ContainerSpec MakeSpec() const;
  void OnLaunched(const absl::StatusOr<io::ContainerInfo>& info);
  void OnExited(const io::ContainerExit& exit);
  void OnKill(const Event::Kill& kill);
  void OnShutdown();
  void OnCompletionTimeout();

  // SIGTERM now, SIGKILL after `grace` from the first SIGTERM on.
  void Kill(io::Duration grace);
  void Send(TaskState state, const std::string& message = "");
  void End(TaskState state, const std::string& message);
  void ExitIfDone();
  void ExitAfter(io::Duration delay);
  std::string TaskContainer() const { return container_id_ + ".task"; }
  bool HasTask() const {
    return phase_ != Phase::kIdle && phase_ != Phase::kEnded;
  }

  io::Environment& environment_;
  const ExecutorOptions options_;
  FrameworkInfo framework_;
  std::string container_id_;

  Phase phase_ = Phase::kIdle;
  TaskInfo task_;
  // A kill that came before there was anything to kill.
  std::optional<io::Duration> kill_when_launched_;
  io::Instant kill_started_;
  bool timed_out_ = false;  // It exceeded max_completion_time.
  bool shutdown_ = false;   // The agent wants this executor to end.
  std::optional<absl::Status> abandoned_;
  io::Timer escalation_;
  io::Timer completion_;
  io::Timer exit_;

  AgentClient client_;
  // The containers may outlive this object: their callbacks check it.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void CommandExecutor::Core::OnEvent(const Event& event) {
  switch (event.type()) {
    case Event::SUBSCRIBED:
      framework_ = event.subscribed().framework_info();
      container_id_ = event.subscribed().container_id().value();
      return;
    case Event::LAUNCH:
      return OnLaunch(event.launch().task());
    case Event::KILL:
      return OnKill(event.kill());
    case Event::ACKNOWLEDGED:
      return ExitIfDone();
    case Event::SHUTDOWN:
      return OnShutdown();
    default:
      LOG(WARNING) << "ignoring event " << Event::Type_Name(event.type());
  }
}

// -----------------------------------------------------------------------------
// The task

void CommandExecutor::Core::OnLaunch(const TaskInfo& task) {
  if (task_.task_id().value() == task.task_id().value()) return;
  if (phase_ != Phase::kIdle || shutdown_) {
    TaskStatus status;
    *status.mutable_task_id() = task.task_id();
    status.set_state(mesos::v1::TASK_FAILED);
    status.set_message("The command executor runs one task only");
    return client_.SendUpdate(std::move(status));
  }
  task_ = task;
  phase_ = Phase::kLaunching;
  client_.AddTask(task);
  if (task.has_health_check() || task.has_check()) {
    LOG(WARNING) << "this executor does not run checks";
  }
  Send(mesos::v1::TASK_STARTING);
  environment_.containers().Launch(
      MakeSpec(), [this, alive = std::weak_ptr<bool>(alive_)](
                      const absl::StatusOr<io::ContainerInfo>& info) {
        if (!alive.expired()) OnLaunched(info);
      });
}

io::ContainerSpec CommandExecutor::Core::MakeSpec() const {
  const mesos::v1::CommandInfo& command = task_.command();
  io::ContainerSpec spec;
  spec.id = TaskContainer();
  spec.nested = true;
  if (command.shell()) {
    spec.program = "/bin/sh";
    spec.arguments = {"sh", "-c", command.value()};
  } else {
    spec.program = command.value();
    spec.arguments = {command.arguments().begin(), command.arguments().end()};
    if (spec.arguments.empty()) spec.arguments = {command.value()};
  }
  spec.environment = options_.environment;
  if (task_.resources_size() > 0) {
    spec.environment["MESOS_ALLOCATION_ROLE"] =
        task_.resources(0).allocation_info().role();
  }
  for (const auto& variable : command.environment().variables()) {
    spec.environment[variable.name()] = variable.value();
  }
  spec.directory = options_.sandbox;
  spec.stdout_path = options_.sandbox + "/stdout";
  spec.stderr_path = options_.sandbox + "/stderr";
  return spec;
}

void CommandExecutor::Core::OnLaunched(
    const absl::StatusOr<io::ContainerInfo>& info) {
  if (!info.ok()) {
    return End(mesos::v1::TASK_FAILED,
               absl::StrCat("Failed to launch the command: ",
                            info.status().message()));
  }
  phase_ = Phase::kRunning;
  environment_.containers().Wait(info->id,
                                 [this, alive = std::weak_ptr<bool>(alive_)](
                                     const io::ContainerExit& exit) {
                                   if (!alive.expired()) OnExited(exit);
                                 });
  if (kill_when_launched_.has_value()) return Kill(*kill_when_launched_);
  Send(mesos::v1::TASK_RUNNING);
  if (!task_.has_max_completion_time()) return;
  completion_ = environment_.clock().RunAfter(
      io::Duration(task_.max_completion_time().nanoseconds()),
      [this] { OnCompletionTimeout(); });
}

void CommandExecutor::Core::OnExited(const io::ContainerExit& exit) {
  // What the command has left running ends with it.
  environment_.containers().Destroy(TaskContainer());
  const std::string text = ExitText(exit.wait_status);
  if (timed_out_) return End(mesos::v1::TASK_FAILED, text);
  if (phase_ == Phase::kKilling) return End(mesos::v1::TASK_KILLED, text);
  const bool succeeded = exit.wait_status.has_value() &&
                         WIFEXITED(*exit.wait_status) &&
                         WEXITSTATUS(*exit.wait_status) == 0;
  End(succeeded ? mesos::v1::TASK_FINISHED : mesos::v1::TASK_FAILED, text);
}

void CommandExecutor::Core::OnCompletionTimeout() {
  if (phase_ != Phase::kRunning) return;
  timed_out_ = true;
  Kill(kKillGrace);
}

void CommandExecutor::Core::OnKill(const Event::Kill& kill) {
  if (kill.task_id().value() != task_.task_id().value() || !HasTask()) {
    LOG(WARNING) << "no task '" << kill.task_id().value() << "' to kill";
    return;
  }
  io::Duration grace = kKillGrace;
  for (const auto* policy : {&task_.kill_policy(), &kill.kill_policy()}) {
    if (!policy->has_grace_period()) continue;
    grace = io::Duration(policy->grace_period().nanoseconds());
  }
  Kill(grace);
}

void CommandExecutor::Core::Kill(io::Duration grace) {
  if (phase_ == Phase::kLaunching) {
    kill_when_launched_ = grace;
    return;
  }
  const std::string id = TaskContainer();
  if (phase_ == Phase::kRunning) {
    phase_ = Phase::kKilling;
    kill_started_ = environment_.clock().Now();
    if (HasCapability(framework_,
                      FrameworkInfo::Capability::TASK_KILLING_STATE)) {
      Send(mesos::v1::TASK_KILLING);
    }
    const absl::Status sent = environment_.containers().Signal(id, SIGTERM);
    if (!sent.ok()) LOG(INFO) << "the command has ended by itself: " << sent;
  }
  const io::Duration left = kill_started_ + grace - environment_.clock().Now();
  escalation_ = environment_.clock().RunAfter(
      left, [this, id] { environment_.containers().Destroy(id); });
}

// -----------------------------------------------------------------------------
// Reports and the end

void CommandExecutor::Core::Send(TaskState state, const std::string& message) {
  TaskStatus status;
  *status.mutable_task_id() = task_.task_id();
  status.set_state(state);
  if (!message.empty()) status.set_message(message);
  if (timed_out_ && state == mesos::v1::TASK_FAILED) {
    status.set_reason(TaskStatus::REASON_MAX_COMPLETION_TIME_REACHED);
  }
  client_.SendUpdate(std::move(status));
}

void CommandExecutor::Core::End(TaskState state, const std::string& message) {
  LOG(INFO) << TaskState_Name(state) << ": " << message;
  phase_ = Phase::kEnded;
  escalation_.Cancel();
  completion_.Cancel();
  Send(state, message);
  if (abandoned_.has_value()) {
    return environment_.Exit(io::kExitFailure, abandoned_->message());
  }
  // While the agent is away the client's patience decides instead.
  ExitAfter(options_.checkpoint
                ? std::max(kAcknowledgementTimeout, options_.recovery_timeout)
                : kAcknowledgementTimeout);
}

void CommandExecutor::Core::ExitIfDone() {
  if (phase_ != Phase::kEnded || client_.HasUnacknowledged()) return;
  ExitAfter(kExitDelay);
}

void CommandExecutor::Core::ExitAfter(io::Duration delay) {
  exit_ = environment_.clock().RunAfter(
      delay, [this] { environment_.Exit(io::kExitOk, "done"); });
}

void CommandExecutor::Core::OnShutdown() {
  LOG(INFO) << "told to shut down";
  shutdown_ = true;
  if (phase_ == Phase::kIdle) return ExitAfter(io::Duration::zero());
  if (phase_ == Phase::kEnded) return ExitIfDone();
  Kill(std::max(options_.shutdown_grace_period - kShutdownReserve,
                io::Duration::zero()));
}

void CommandExecutor::Core::OnAbandoned(const absl::Status& why) {
  LOG(ERROR) << "ending without an agent: " << why;
  abandoned_ = why;
  if (!HasTask()) return environment_.Exit(io::kExitFailure, why.message());
  Kill(kKillGrace);
}

// -----------------------------------------------------------------------------

CommandExecutor::CommandExecutor(io::Environment& environment,
                                 ExecutorOptions options)
    : core_(std::make_unique<Core>(environment, std::move(options))) {}

CommandExecutor::~CommandExecutor() = default;

void CommandExecutor::Start() { core_->Start(); }

}  // namespace quorate::executor
