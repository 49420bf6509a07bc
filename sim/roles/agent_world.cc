#include "sim/roles/agent_world.h"

#include <glog/logging.h>

#include <optional>
#include <utility>

namespace quorate::sim {
namespace {

using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using std::chrono::seconds;

constexpr uint16_t kMasterPort = 5050;
constexpr uint16_t kAgentPort = 5051;
constexpr io::Duration kPingInterval = seconds(15);
constexpr io::Duration kPingTimeout = seconds(75);

class AgentProgram final : public Program {
 public:
  AgentProgram(io::Environment& environment, const agent::AgentOptions& options)
      : agent(environment, options) {
    const absl::Status started = agent.Start();
    if (!started.ok()) {
      environment.Exit(io::kExitFailure, started.message());
    }
  }

  agent::Agent agent;
};

}  // namespace

// -----------------------------------------------------------------------------

ScriptedMaster::ScriptedMaster(io::Environment& environment,
                               MasterScript* script)
    : environment_(environment), script_(*script) {
  auto port = wire::OpenPort(
      environment.clock(), environment.network(), {"10.0.0.1", kMasterPort},
      {.on_http = [](std::unique_ptr<io::Connection>, const std::string&) {},
       .on_link =
           [this](std::unique_ptr<wire::Link> link) {
             link_ = std::move(link);
             link_->Start(this);
           },
       .handshake =
           [this](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
         return wire::Handshake{.purpose = wire::Purpose::kAgent,
                                .cluster_id = script_.cluster_id,
                                .address = {"10.0.0.1", kMasterPort}};
       }});
  CHECK(port.ok()) << port.status();
  port_ = *std::move(port);
  Ping();
}

wire::Reign ScriptedMaster::Reign() const {
  wire::Reign reign;
  reign.set_cluster_id(script_.cluster_id);
  reign.set_epoch(script_.epoch);
  return reign;
}

void ScriptedMaster::Send(wire::AgentMessage message) {
  if (link_ != nullptr) link_->Send(message.SerializeAsString());
}

void ScriptedMaster::OnMessage(absl::string_view payload) {
  wire::AgentMessage message;
  CHECK(
      message.ParseFromArray(payload.data(), static_cast<int>(payload.size())));
  script_.received.push_back(message);
  if (message.has_status_update()) return OnUpdate(message.status_update());
  if (!script_.answers) return;
  wire::AgentMessage answer;
  if (message.has_register_agent()) {
    auto& registered = *answer.mutable_agent_registered();
    registered.mutable_agent_id()->set_value(script_.agent_id);
    *registered.mutable_reign() = Reign();
    registered.set_ping_timeout_ns(kPingTimeout.count());
    Send(answer);
  } else if (message.has_reregister_agent()) {
    auto& reregistered = *answer.mutable_agent_reregistered();
    *reregistered.mutable_agent_id() =
        message.reregister_agent().agent_info().id();
    *reregistered.mutable_reign() = Reign();
    reregistered.set_ping_timeout_ns(kPingTimeout.count());
    Send(answer);
  }
}

void ScriptedMaster::OnClosed(const absl::Status&) { link_.reset(); }

void ScriptedMaster::OnUpdate(const wire::StatusUpdate& update) {
  const TaskStatus& status = update.status();
  bool known = false;
  for (const TaskStatus& earlier : script_.updates) {
    known = known || earlier.uuid() == status.uuid();
  }
  if (known) {
    ++script_.repetitions;
  } else {
    script_.updates.push_back(status);
  }
  if (!script_.acknowledges) return;
  wire::AgentMessage message;
  auto& acknowledgement = *message.mutable_status_update_acknowledgement();
  *acknowledgement.mutable_reign() = Reign();
  *acknowledgement.mutable_framework_id() = update.framework_id();
  *acknowledgement.mutable_task_id() = status.task_id();
  acknowledgement.set_uuid(status.uuid());
  Send(message);
}

void ScriptedMaster::Ping() {
  ping_ = environment_.clock().RunAfter(kPingInterval, [this] {
    wire::AgentMessage message;
    *message.mutable_ping()->mutable_reign() = Reign();
    message.mutable_ping()->set_connected(true);
    if (script_.pings) Send(message);
    Ping();
  });
}

// -----------------------------------------------------------------------------

AgentWorld::AgentWorld(uint64_t seed)
    : world(seed),
      network(world, NetworkOptions{}),
      master_host(world, network, "master", "10.0.0.1"),
      agent_host(world, network, "agent", "10.0.0.2") {
  options.bind = {"10.0.0.2", kAgentPort};
  options.advertise = options.bind;
  options.hostname = "10.0.0.2";
  options.master.masters = {{"10.0.0.1", kMasterPort}};
  options.work_dir = "/work";
  options.runtime_dir = "/run";
  options.launcher_dir = "/libexec";
  options.resources = "cpus:4;mem:1024;disk:1024;ports:[31000-32000]";
  options.boot_id = "boot-1";
  options.flags = {{"work_dir", "/work"}};
  agent_host.containers().Register(
      "mesos-executor", [this](const io::ContainerSpec& spec) {
        return NewExecutorProgram(spec, executor_faults);
      });
  agent_host.containers().on_command = [this](const io::ContainerSpec& spec) {
    commands.push_back(spec.arguments.back());
  };
  world.AfterEachEvent([this] {
    if (agent() != nullptr) agent()->CheckInvariants();
  });
}

void AgentWorld::StartMaster() {
  master_process =
      &master_host.Start("master", [this](io::Environment& environment) {
        return std::make_unique<ScriptedMaster>(environment, &script);
      });
}

void AgentWorld::StartAgent() {
  agent_process =
      &agent_host.Start("agent", [this](io::Environment& environment) {
        return std::make_unique<AgentProgram>(environment, options);
      });
}

void AgentWorld::Begin() {
  StartMaster();
  StartAgent();
  CHECK(AwaitRegistered());
}

ScriptedMaster& AgentWorld::master() {
  return *static_cast<ScriptedMaster*>(master_process->program());
}

agent::Agent* AgentWorld::agent() {
  if (agent_process == nullptr || !agent_process->alive() ||
      agent_process->program() == nullptr) {
    return nullptr;
  }
  return &static_cast<AgentProgram*>(agent_process->program())->agent;
}

mesos::v1::FrameworkInfo AgentWorld::Framework() const {
  mesos::v1::FrameworkInfo framework;
  framework.mutable_id()->set_value("framework-1");
  framework.set_user("root");
  framework.set_name("test");
  framework.set_checkpoint(checkpoint);
  framework.add_capabilities()->set_type(
      mesos::v1::FrameworkInfo::Capability::PARTITION_AWARE);
  framework.add_capabilities()->set_type(
      mesos::v1::FrameworkInfo::Capability::TASK_KILLING_STATE);
  return framework;
}

void AgentWorld::Launch(const std::string& task_id,
                        const std::string& command) {
  wire::AgentMessage message;
  wire::RunTask& run = *message.mutable_run_task();
  *run.mutable_reign() = master().Reign();
  *run.mutable_framework_info() = Framework();
  mesos::v1::TaskInfo& task = *run.mutable_task();
  task.set_name(task_id);
  task.mutable_task_id()->set_value(task_id);
  task.mutable_agent_id()->set_value(script.agent_id);
  task.mutable_command()->set_value(command);
  auto& cpus = *task.add_resources();
  cpus.set_name("cpus");
  cpus.set_type(mesos::v1::Value::SCALAR);
  cpus.mutable_scalar()->set_value(1);
  cpus.mutable_allocation_info()->set_role("*");
  master().Send(message);
}

void AgentWorld::Kill(const std::string& task_id) {
  wire::AgentMessage message;
  wire::KillTask& kill = *message.mutable_kill_task();
  *kill.mutable_reign() = master().Reign();
  kill.mutable_framework_id()->set_value("framework-1");
  kill.mutable_task_id()->set_value(task_id);
  master().Send(message);
}

bool AgentWorld::AwaitRegistered() {
  return RunUntil(
      [this] { return agent() != nullptr && agent()->view().registered; });
}

bool AgentWorld::AwaitState(const std::string& task_id, TaskState state,
                            io::Duration at_most) {
  return RunUntil(
      [&] {
        for (const TaskStatus& status : script.updates) {
          if (status.task_id().value() == task_id && status.state() == state) {
            return true;
          }
        }
        return false;
      },
      at_most);
}

std::vector<std::string> AgentWorld::States(const std::string& task_id) const {
  std::vector<std::string> states;
  for (const TaskStatus& status : script.updates) {
    if (status.task_id().value() != task_id) continue;
    states.push_back(TaskState_Name(status.state()));
  }
  return states;
}

TaskStatus AgentWorld::Last(const std::string& task_id) const {
  TaskStatus last;
  for (const TaskStatus& status : script.updates) {
    if (status.task_id().value() == task_id) last = status;
  }
  return last;
}

http::Response AgentWorld::Exchange(http::Request request) {
  io::Environment& environment = master().environment();
  http::ClientConnection connection(environment.clock(), environment.network(),
                                    options.bind, {});
  std::optional<http::Response> response;
  connection.Send(std::move(request), [&](const auto& answer) {
    CHECK(answer.ok()) << answer.status();
    response = *answer;
  });
  CHECK(RunUntil([&] { return response.has_value(); }));
  return *response;
}

}  // namespace quorate::sim
