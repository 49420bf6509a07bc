#include "core/agent/agent.h"

#include <glog/logging.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/agent/endpoints.h"
#include "core/agent/executor_api.h"
#include "core/agent/executors.h"
#include "core/agent/recovery.h"
#include "core/agent/registration.h"
#include "core/agent/store.h"
#include "core/agent/views.h"
#include "core/base/version.h"
#include "core/files/files.h"
#include "core/http/router.h"
#include "core/http/server.h"
#include "core/metrics/metrics.h"
#include "core/resources/attributes.h"
#include "core/wire/port.h"

namespace quorate::agent {
namespace {

using mesos::v1::AgentInfo;

// For the last messages to leave.
constexpr io::Duration kFarewell = std::chrono::milliseconds(500);

}  // namespace

class Agent::Core final : private Registration::Listener,
                          private Recovery::Listener {
 public:
  Core(io::Environment& environment, AgentOptions options);

  absl::Status Start();
  void ShutDown();
  View view() const;
  const std::string& id() const { return info_.id().value(); }
  const Registration& registration() const { return registration_; }
  const Workload& workload() const { return executors_.workload(); }
  const Resources& total() const { return total_; }
  std::vector<QueueSize> queues() const;
  void CheckInvariants() const { executors_.CheckInvariants(); }

 private:
  absl::Status ParseOptions();
  absl::Status OpenPort();
  void AddRoutes();
  void AddMetrics();
  Snapshot MakeSnapshot() const;
  // Ends all executors and the process; another start begins as a new agent.
  void Retire(int exit_code, const std::string& message);

  // Recovery::Listener
  void OnReconnecting() override { executor_api_.SetOpen(true); }
  void OnRecovered(Registration::Identity identity) override;
  void OnRecoveryFailed(io::ExitCode code, const std::string& why) override {
    environment_.Exit(code, why);
  }

  // Registration::Listener
  void Describe(wire::ReregisterAgent* message) override;
  void OnRegistered(const std::string& agent_id) override;
  void OnDisconnected() override { executors_.OnMasterDown(); }
  void OnMessage(const wire::AgentMessage& message) override;

  io::Environment& environment_;
  const AgentOptions options_;
  const io::WallTime start_time_;
  const io::Instant started_;
  io::Endpoint self_;
  AgentInfo info_;  // With id once it is registered.
  Resources total_;

  Store store_;
  files::Files files_;
  metrics::Metrics metrics_;
  Registration registration_;
  Executors executors_;
  Recovery recovery_;
  bool recovering_ = true;
  bool retiring_ = false;
  io::Timer farewell_;

  ExecutorApi executor_api_;
  Endpoints endpoints_;
  http::Router router_;
  http::Server server_;
  std::unique_ptr<wire::Port> port_;
};

Agent::Core::Core(io::Environment& environment, AgentOptions options)
    : environment_(environment),
      options_(std::move(options)),
      start_time_(environment.clock().WallNow()),
      started_(environment.clock().Now()),
      store_(environment, options_.work_dir),
      files_(environment),
      registration_(environment, options_, store_, this),
      executors_({.environment = environment,
                  .options = options_,
                  .store = store_,
                  .files = files_,
                  .metrics = metrics_,
                  .send =
                      [this](const wire::AgentMessage& message) {
                        registration_.Send(message);
                      },
                  .agent_info = [this] { return info_; }}),
      recovery_(environment, options_, info_, store_, executors_, this),
      executor_api_(executors_),
      endpoints_({.clock = environment.clock(),
                  .files = files_,
                  .metrics = metrics_,
                  .snapshot = [this] { return MakeSnapshot(); },
                  .recovering = [this] { return recovering_; }}),
      router_("slave(1)"),
      server_(environment.clock(), {},
              [this](http::Request request, http::Responder responder) {
                router_.Route(std::move(request), std::move(responder));
              }) {}

absl::Status Agent::Core::Start() {
  absl::Status status = ParseOptions();
  if (status.ok()) status = OpenPort();
  if (!status.ok()) return status;
  executors_.SetSelf(self_);
  AddMetrics();
  AddRoutes();
  recovery_.Start();
  return absl::OkStatus();
}

absl::Status Agent::Core::ParseOptions() {
  auto resources =
      Resources::ParseText(options_.resources, options_.default_role);
  if (!resources.ok()) return resources.status();
  total_ = *std::move(resources);
  total_.ToProto(info_.mutable_resources());
  info_.set_hostname(options_.hostname);
  return ParseAttributes(options_.attributes, info_.mutable_attributes());
}

absl::Status Agent::Core::OpenPort() {
  auto port = wire::OpenPort(
      environment_.clock(), environment_.network(), options_.bind,
      {.on_http =
           [this](std::unique_ptr<io::Connection> connection,
                  const std::string& first) {
             server_.Adopt(std::move(connection), first);
           },
       .on_link = [](std::unique_ptr<wire::Link>) {},
       .handshake =
           [](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
         return absl::PermissionDeniedError("an agent accepts no links");
       }});
  if (!port.ok()) return port.status();
  port_ = *std::move(port);
  self_ = options_.advertise;
  if (self_.port == 0) self_.port = port_->local().port;
  info_.set_port(self_.port);
  return absl::OkStatus();
}

void Agent::Core::AddRoutes() {
  endpoints_.AddRoutes(router_);
  router_.Add("POST", "/api/v1/executor",
              [this](const http::Request& request, http::Responder responder) {
                executor_api_.Handle(request, std::move(responder));
                recovery_.OnSubscribed();
              });
  if (!options_.log_file.empty()) {
    files_.Attach("/slave/log", options_.log_file);
  }
}

void Agent::Core::AddMetrics() {
  metrics_.AddGauge("slave/registered",
                    [this] { return registration_.registered() ? 1.0 : 0.0; });
  metrics_.AddGauge("slave/uptime_secs", [this] {
    return std::chrono::duration<double>(environment_.clock().Now() - started_)
        .count();
  });
  metrics_.AddGauge("slave/recovery_errors",
                    [this] { return static_cast<double>(recovery_.errors()); });
  AddGauges(executors_.workload(), total_, &metrics_);
}

Snapshot Agent::Core::MakeSnapshot() const {
  const auto& leader = registration_.leader();
  return {.options = options_,
          .info = info_,
          .workload = executors_.workload(),
          .self = self_,
          .start_time = start_time_,
          .master_hostname = leader.has_value() ? leader->hostname() : ""};
}

// -----------------------------------------------------------------------------
// Beginning and end

void Agent::Core::OnRecovered(Registration::Identity identity) {
  if (!options_.reconnect) {
    return Retire(io::kExitOk, "cleaned up what the previous agent ran");
  }
  recovering_ = false;
  if (!identity.agent_id.empty()) {
    info_.mutable_id()->set_value(identity.agent_id);
  }
  registration_.Start(self_, std::move(identity));
}

void Agent::Core::ShutDown() {
  wire::AgentMessage message;
  *message.mutable_unregister_agent()->mutable_agent_id() = info_.id();
  registration_.Send(message);
  Retire(io::kExitOk, "shut down");
}

void Agent::Core::Retire(int exit_code, const std::string& message) {
  if (std::exchange(retiring_, true)) return;
  LOG(WARNING) << "ending all executors: " << message;
  executors_.ShutDown([this, exit_code, message] {
    store_.Write([](Checkpoints& checkpoints) { return checkpoints.Forget(); },
                 [this, exit_code, message] {
                   farewell_ = environment_.clock().RunAfter(
                       kFarewell, [this, exit_code, message] {
                         environment_.Exit(exit_code, message);
                       });
                 });
  });
}

// -----------------------------------------------------------------------------
// The master

void Agent::Core::Describe(wire::ReregisterAgent* message) {
  *message->mutable_agent_info() = info_;
  message->set_version(kVersion);
  for (const std::string& name : Capabilities()) {
    message->add_capabilities(name);
  }
  executors_.AddTo(message);
}

void Agent::Core::OnRegistered(const std::string& agent_id) {
  info_.mutable_id()->set_value(agent_id);
  executors_.SetAgentId(agent_id);
  executors_.OnMasterUp();
}

void Agent::Core::OnMessage(const wire::AgentMessage& message) {
  switch (message.kind_case()) {
    case wire::AgentMessage::kRunTask:
      if (!retiring_) executors_.RunTask(message.run_task());
      return;
    case wire::AgentMessage::kKillTask:
      return executors_.KillTask(message.kill_task());
    case wire::AgentMessage::kStatusUpdateAcknowledgement:
      return executors_.Acknowledge(message.status_update_acknowledgement());
    case wire::AgentMessage::kShutdownFramework:
      return executors_.ShutDownFramework(
          message.shutdown_framework().framework_id().value());
    case wire::AgentMessage::kShutdownExecutor:
      return executors_.ShutDownExecutor(
          message.shutdown_executor().framework_id().value(),
          message.shutdown_executor().executor_id().value());
    case wire::AgentMessage::kReconcileTasks:
      return executors_.Reconcile(message.reconcile_tasks());
    case wire::AgentMessage::kFrameworkMessage:
      return executors_.SendMessage(message.framework_message());
    case wire::AgentMessage::kShutdownAgent:
      return Retire(io::kExitFailure,
                    absl::StrCat("the master refuses this agent: ",
                                 message.shutdown_agent().message()));
    default:
      return;
  }
}

// -----------------------------------------------------------------------------

Agent::Agent(io::Environment& environment, AgentOptions options)
    : core_(std::make_unique<Core>(environment, std::move(options))) {}

Agent::~Agent() = default;

absl::Status Agent::Start() { return core_->Start(); }

void Agent::ShutDown() { core_->ShutDown(); }

void Agent::CheckInvariants() const { core_->CheckInvariants(); }

Agent::View Agent::view() const { return core_->view(); }

const std::string& Agent::id() const { return core_->id(); }

bool Agent::registered() const { return core_->registration().registered(); }

uint64_t Agent::epoch() const {
  return core_->registration().identity().reign.epoch();
}

const Workload& Agent::workload() const { return core_->workload(); }

const Resources& Agent::total() const { return core_->total(); }

std::vector<QueueSize> Agent::queues() const { return core_->queues(); }

std::vector<QueueSize> Agent::Core::queues() const {
  std::vector<QueueSize> queues = executors_.queues();
  queues.push_back(registration_.queue());
  return queues;
}

Agent::View Agent::Core::view() const {
  View view;
  view.id = info_.id().value();
  view.registered = registration_.registered();
  view.epoch = registration_.identity().reign.epoch();
  for (const auto& [id, framework] : executors_.workload().frameworks()) {
    for (const auto& [executor_id, executor] : framework->executors) {
      for (const auto& [task_id, task] : executor->tasks) {
        view.tasks.push_back({id, task_id, TaskState_Name(task.state)});
      }
    }
  }
  return view;
}

}  // namespace quorate::agent
