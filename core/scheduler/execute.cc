#include "core/scheduler/execute.h"

#include <glog/logging.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/json/value.h"
#include "core/resources/resources.h"
#include "core/scheduler/scheduler.h"

namespace quorate::scheduler {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::Offer;
using mesos::v1::TaskInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;
using std::chrono::seconds;

// A call or its effect may get lost; the master knows.
constexpr io::Duration kReconcileInterval = seconds(30);
// For the master to take note of the framework's end.
constexpr io::Duration kTeardownTimeout = seconds(5);

absl::Status ParseEnvironment(const std::string& text,
                              mesos::v1::Environment* environment) {
  auto value = json::Parse(text);
  if (!value.ok() || !value->is_object()) {
    return absl::InvalidArgumentError(
        "the environment is not a JSON object such as {\"NAME\":\"value\"}");
  }
  for (const auto& [name, member] : value->members()) {
    if (!member.is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the value of '", name, "' is not a string"));
    }
    auto& variable = *environment->add_variables();
    variable.set_name(name);
    variable.set_value(std::string(member.AsString()));
  }
  return absl::OkStatus();
}

absl::Status AddCapability(const std::string& name, FrameworkInfo* framework) {
  FrameworkInfo::Capability::Type type;
  if (!FrameworkInfo::Capability::Type_Parse(name, &type)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name, "' is not a framework capability"));
  }
  for (const auto& capability : framework->capabilities()) {
    if (capability.type() == type) return absl::OkStatus();
  }
  framework->add_capabilities()->set_type(type);
  return absl::OkStatus();
}

absl::StatusOr<FrameworkInfo> MakeFramework(const ExecuteOptions& options) {
  FrameworkInfo framework;
  framework.set_user(options.user);
  framework.set_name("mesos-execute instance");
  framework.set_checkpoint(options.checkpoint);
  framework.set_failover_timeout(
      std::chrono::duration<double>(options.failover_timeout).count());
  framework.add_roles(options.role);
  for (const char* name : {"MULTI_ROLE", "RESERVATION_REFINEMENT",
                           "TASK_KILLING_STATE", "PARTITION_AWARE"}) {
    const absl::Status added = AddCapability(name, &framework);
    if (!added.ok()) return added;
  }
  for (const std::string& name : options.framework_capabilities) {
    const absl::Status added = AddCapability(name, &framework);
    if (!added.ok()) return added;
  }
  return framework;
}

bool IsTerminal(TaskState state) {
  switch (state) {
    case mesos::v1::TASK_FINISHED:
    case mesos::v1::TASK_FAILED:
    case mesos::v1::TASK_KILLED:
    case mesos::v1::TASK_ERROR:
    case mesos::v1::TASK_LOST:
    case mesos::v1::TASK_DROPPED:
    case mesos::v1::TASK_GONE:
    case mesos::v1::TASK_GONE_BY_OPERATOR:
    // The master has no record of it, nor will it find one.
    case mesos::v1::TASK_UNKNOWN:
      return true;
    default:
      return false;
  }
}

std::string Describe(const TaskStatus& status) {
  std::string text =
      absl::StrCat("Received status update ", TaskState_Name(status.state()),
                   " for task '", status.task_id().value(), "'");
  if (status.has_message()) {
    absl::StrAppend(&text, "\n  message: '", status.message(), "'");
  }
  if (status.has_source()) {
    absl::StrAppend(&text,
                    "\n  source: ", TaskStatus::Source_Name(status.source()));
  }
  if (status.has_reason()) {
    absl::StrAppend(&text,
                    "\n  reason: ", TaskStatus::Reason_Name(status.reason()));
  }
  return text;
}

}  // namespace

class Execute::Core final : public Scheduler {
 public:
  Core(io::Environment& environment, ExecuteOptions options, Output output)
      : environment_(environment),
        options_(std::move(options)),
        output_(std::move(output)) {}

  absl::Status Start();
  void Cancel() { End("cancelled"); }

  void OnEvent(const Event& event) override;
  void OnSubscribed(const mesos::v1::FrameworkID& id,
                    const mesos::v1::MasterInfo& master) override;
  void OnDisconnected() override;
  void OnError(const std::string& message) override;

 private:
  absl::Status MakeTask();
  void OnOffer(const Offer& offer);
  void Launch(const Offer& offer);
  void Decline(const mesos::v1::OfferID& offer);
  void OnUpdate(const TaskStatus& status);
  // Whether the status says that the task has never reached an agent.
  bool NeverLaunched(const TaskStatus& status) const;
  void LaunchAgain();
  void Reconcile();
  void Kill();
  void End(std::string outcome);
  void Send(Call call);

  io::Environment& environment_;
  const ExecuteOptions options_;
  const Output output_;
  std::unique_ptr<Driver> driver_;

  TaskInfo task_;
  Resources resources_;
  bool announced_ = false;
  std::optional<mesos::v1::OfferID> accepted_;  // The task was launched on it.
  bool seen_by_agent_ = false;  // An update has come from the agent.
  bool kill_requested_ = false;
  std::optional<TaskState> state_;  // The last one printed.
  std::set<std::string> printed_;   // UUIDs of updates.
  io::Timer reconcile_;
  io::Timer kill_after_;

  std::optional<std::string> outcome_;  // Set when the task has ended.
  int exit_code_ = io::kExitFailure;
  io::Timer exit_;
};

absl::Status Execute::Core::Start() {
  if (options_.name.empty() || options_.command.empty()) {
    return absl::InvalidArgumentError("a task needs a name and a command");
  }
  const absl::Status made = MakeTask();
  if (!made.ok()) return made;
  auto framework = MakeFramework(options_);
  if (!framework.ok()) return framework.status();
  driver_ =
      std::make_unique<Driver>(environment_,
                               DriverOptions{.master = options_.master,
                                             .framework = *std::move(framework),
                                             .media = options_.content_type},
                               this);
  driver_->Start();
  return absl::OkStatus();
}

absl::Status Execute::Core::MakeTask() {
  task_.set_name(options_.name);
  task_.mutable_task_id()->set_value(
      options_.task_id.empty() ? options_.name : options_.task_id);
  auto resources = Resources::ParseText(options_.resources);
  if (!resources.ok()) return resources.status();
  resources_ = *std::move(resources);
  mesos::v1::CommandInfo& command = *task_.mutable_command();
  command.set_shell(options_.shell);
  command.set_value(options_.command);
  for (const std::string& argument : options_.arguments) {
    command.add_arguments(argument);
  }
  if (options_.environment.empty()) return absl::OkStatus();
  return ParseEnvironment(options_.environment, command.mutable_environment());
}

void Execute::Core::OnSubscribed(const mesos::v1::FrameworkID& id,
                                 const mesos::v1::MasterInfo&) {
  if (outcome_.has_value()) {
    Call teardown;
    teardown.set_type(Call::TEARDOWN);
    return Send(std::move(teardown));
  }
  output_(absl::StrCat(
      announced_ ? "Subscribed again with ID " : "Subscribed with ID ",
      id.value()));
  announced_ = true;
  if (accepted_.has_value()) Reconcile();
  if (kill_requested_) Kill();
}

void Execute::Core::OnDisconnected() {
  if (outcome_.has_value()) environment_.Exit(exit_code_, *outcome_);
}

void Execute::Core::OnError(const std::string& message) {
  if (outcome_.has_value()) return OnDisconnected();
  output_(absl::StrCat("The master refused: ", message));
  environment_.Exit(io::kExitFailure, absl::StrCat("refused: ", message));
}

void Execute::Core::OnEvent(const Event& event) {
  if (outcome_.has_value()) return;
  switch (event.type()) {
    case Event::OFFERS:
      for (const Offer& offer : event.offers().offers()) OnOffer(offer);
      return;
    case Event::UPDATE:
      return OnUpdate(event.update().status());
    default:
      return;
  }
}

void Execute::Core::OnOffer(const Offer& offer) {
  auto offered = Resources::FromProto(offer.resources());
  if (!offered.ok() || accepted_.has_value()) return Decline(offer.id());
  offered->Unallocate();
  if (!offered->Contains(resources_)) return Decline(offer.id());
  Launch(offer);
}

void Execute::Core::Launch(const Offer& offer) {
  *task_.mutable_agent_id() = offer.agent_id();
  Resources allocated = resources_;
  allocated.Allocate(options_.role);
  task_.clear_resources();
  allocated.ToProto(task_.mutable_resources());

  Call call;
  call.set_type(Call::ACCEPT);
  Call::Accept& accept = *call.mutable_accept();
  *accept.add_offer_ids() = offer.id();
  Offer::Operation& operation = *accept.add_operations();
  operation.set_type(Offer::Operation::LAUNCH);
  *operation.mutable_launch()->add_task_infos() = task_;
  Send(std::move(call));
  accepted_ = offer.id();
  output_(absl::StrCat("Submitted task '", task_.task_id().value(),
                       "' to agent '", offer.agent_id().value(), "'"));
  reconcile_ = environment_.clock().RunAfter(kReconcileInterval,
                                             [this] { Reconcile(); });
  if (options_.kill_after.has_value() && !kill_requested_) {
    kill_after_ = environment_.clock().RunAfter(*options_.kill_after, [this] {
      kill_requested_ = true;
      Kill();
    });
  }
}

void Execute::Core::Decline(const mesos::v1::OfferID& offer) {
  Call call;
  call.set_type(Call::DECLINE);
  *call.mutable_decline()->add_offer_ids() = offer;
  Send(std::move(call));
}

bool Execute::Core::NeverLaunched(const TaskStatus& status) const {
  return !seen_by_agent_ && IsTerminal(status.state()) &&
         (status.reason() == TaskStatus::REASON_RECONCILIATION ||
          status.reason() == TaskStatus::REASON_INVALID_OFFERS) &&
         status.has_reason() && status.source() == TaskStatus::SOURCE_MASTER;
}

void Execute::Core::OnUpdate(const TaskStatus& status) {
  if (status.task_id().value() != task_.task_id().value()) {
    return driver_->Acknowledge(status);
  }
  if (!accepted_.has_value()) return;
  if (NeverLaunched(status)) return LaunchAgain();
  if (status.has_uuid()) seen_by_agent_ = true;
  const bool repeated = status.has_uuid()
                            ? !printed_.insert(status.uuid()).second
                            : state_ == status.state();
  state_ = status.state();
  if (!repeated) output_(Describe(status));
  driver_->Acknowledge(status);
  if (!IsTerminal(status.state())) return;
  if (status.state() == mesos::v1::TASK_FINISHED) exit_code_ = io::kExitOk;
  End(absl::StrCat("task '", task_.task_id().value(), "' ended with ",
                   TaskState_Name(status.state())));
}

void Execute::Core::LaunchAgain() {
  output_("The launch was lost; waiting for another offer");
  // The master may still count it as ours.
  Decline(*accepted_);
  accepted_.reset();
  reconcile_.Cancel();
}

void Execute::Core::Reconcile() {
  reconcile_ = environment_.clock().RunAfter(kReconcileInterval,
                                             [this] { Reconcile(); });
  Call call;
  call.set_type(Call::RECONCILE);
  auto& task = *call.mutable_reconcile()->add_tasks();
  *task.mutable_task_id() = task_.task_id();
  *task.mutable_agent_id() = task_.agent_id();
  Send(std::move(call));
}

void Execute::Core::Kill() {
  output_(absl::StrCat("Killing task '", task_.task_id().value(), "'"));
  Call call;
  call.set_type(Call::KILL);
  *call.mutable_kill()->mutable_task_id() = task_.task_id();
  *call.mutable_kill()->mutable_agent_id() = task_.agent_id();
  Send(std::move(call));
}

void Execute::Core::End(std::string outcome) {
  if (outcome_.has_value()) return;
  outcome_ = std::move(outcome);
  reconcile_.Cancel();
  kill_after_.Cancel();
  Call call;
  call.set_type(Call::TEARDOWN);
  Send(std::move(call));
  exit_ = environment_.clock().RunAfter(
      announced_ ? kTeardownTimeout : io::Duration::zero(),
      [this] { environment_.Exit(exit_code_, *outcome_); });
}

void Execute::Core::Send(Call call) {
  // What cannot be sent now is repeated after the next subscription, or was an
  // answer to an offer that is gone by then.
  const absl::Status sent = driver_->Send(std::move(call));
  if (!sent.ok()) LOG(INFO) << "call not sent: " << sent;
}

Execute::Execute(io::Environment& environment, ExecuteOptions options,
                 Output output)
    : core_(std::make_unique<Core>(environment, std::move(options),
                                   std::move(output))) {}

Execute::~Execute() = default;

absl::Status Execute::Start() { return core_->Start(); }

void Execute::Cancel() { core_->Cancel(); }

}  // namespace quorate::scheduler
