// The part of Agents that lets agents in.

#include <glog/logging.h>
#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/master/agent_connection.h"
#include "core/master/agents.h"
#include "core/master/limits.h"
#include "core/master/validation.h"

namespace quorate::master {
namespace {

using google::protobuf::util::MessageDifferencer;

// Agents of before 1.0.0 are not understood.
bool IsSupported(absl::string_view version) {
  int major = 0;
  return absl::SimpleAtoi(version.substr(0, version.find('.')), &major) &&
         major >= 1;
}

int64_t PingTimeoutNs(const MasterOptions& options) {
  return (options.agent_ping_timeout * options.max_agent_ping_timeouts).count();
}

template <typename Message>
void Describe(const Message& message, Agent& agent) {
  agent.version = message.version();
  agent.capabilities = {message.capabilities().begin(),
                        message.capabilities().end()};
}

}  // namespace

void Agents::Refuse(Connection& connection, absl::string_view reason) {
  LOG(WARNING) << "refusing the agent at " << connection.address().ToString()
               << ": " << reason;
  wire::AgentMessage message;
  *message.mutable_shutdown_agent()->mutable_reign() = context_.reign;
  message.mutable_shutdown_agent()->set_message(std::string(reason));
  connection.Send(message);
}

// It is not told to shut down, and keeps its tasks: an agent whose new id
// became durable only when it had dialed again asks for another one before it
// asks for that. The next link is asked for that only.
bool Agents::AsksForOneThing(Connection& connection, const std::string& id) {
  if (connection.Claim(id)) return true;
  constexpr absl::string_view kReason = "it asks for two ids over one link";
  LOG(WARNING) << "hanging up on the agent at "
               << connection.address().ToString() << ": " << kReason;
  connection.Break(absl::FailedPreconditionError(kReason));
  return false;
}

void Agents::OnRegister(Connection& connection,
                        const wire::AgentMessage& message) {
  ++context_.metrics.AddCounter("master/messages_register_slave");
  const wire::RegisterAgent& wanted = message.register_agent();
  if (!AsksForOneThing(connection, "")) return;
  if (!connection.agent_id().empty()) {
    // It has not heard the answer yet.
    Agent* agent = context_.cluster.FindAgent(connection.agent_id());
    if (agent != nullptr) SendRegistered(*agent);
    return;
  }
  if (!IsSupported(wanted.version())) {
    LOG(WARNING) << "ignoring the agent at " << connection.address().ToString()
                 << ", of version " << wanted.version();
    return;
  }
  const absl::StatusOr<Resources> total =
      ValidateAgentInfo(wanted.agent_info());
  if (!total.ok()) return Refuse(connection, total.status().message());
  if (context_.cluster.agents().size() >= kMaxAgents) {
    return Refuse(connection, "There are too many agents");
  }
  const io::Endpoint address = connection.address();
  const bool pending = registering_.count(address) > 0;
  registering_[address] = {connection.id(), message};
  if (pending) return;
  ReplaceFormerAt(address);
  Admit(address);
}

// Whoever registers from there does not know its id, so nothing that it ran
// under that id is left.
void Agents::ReplaceFormerAt(const io::Endpoint& address) {
  if (const Agent* former = context_.cluster.FindAgentAt(address)) {
    return RemoveFromRegistry(former->id, Removal::kRegisteredAnew);
  }
  const auto& admitted = context_.registry->state().admitted();
  for (const auto& [id, recovered] : context_.cluster.recovered_agents()) {
    auto former = admitted.find(id);
    if (former != admitted.end() &&
        former->second.address() == address.ToString()) {
      return RemoveFromRegistry(std::string(id), Removal::kRegisteredAnew);
    }
  }
}

void Agents::Admit(const io::Endpoint& address) {
  registry::Operation operation;
  operation.mutable_admit_agent()->set_address(address.ToString());
  mesos::v1::AgentInfo& info = *operation.mutable_admit_agent()->mutable_info();
  info = registering_.at(address).message.register_agent().agent_info();
  info.mutable_id()->set_value(
      absl::StrCat(context_.id(), "-S", next_agent_++));
  unheard_.insert(info.id().value());
  const mesos::v1::AgentInfo admitted = info;
  context_.registry->Apply(
      std::move(operation),
      [this, address, admitted](const absl::Status& outcome) {
        OnAdmitted(address, admitted, outcome);
      });
}

void Agents::OnAdmitted(const io::Endpoint& address, mesos::v1::AgentInfo info,
                        const absl::Status& outcome) {
  if (!outcome.ok()) {
    unheard_.erase(info.id().value());
    // Somebody has that id, and had it from elsewhere.
    if (absl::IsAlreadyExists(outcome)) return Admit(address);
    // The agent tries again.
    registering_.erase(address);
    return;
  }
  const Registration registration =
      std::move(registering_.extract(address).mapped());
  Connection* connection = FindConnection(registration.connection);
  if (connection == nullptr) return RemoveUnheard(info.id().value());
  unheard_.erase(info.id().value());
  Agent& agent =
      Add(info, *connection, *Resources::FromProto(info.resources()));
  Describe(registration.message.register_agent(), agent);
  ++context_.metrics.AddCounter("master/slave_registrations");
  LOG(INFO) << "agent " << agent.id << " at " << agent.address.ToString()
            << " (" << agent.info.hostname() << ") is registered with "
            << agent.total.ToText();
  SendRegistered(agent);
  offers_.Poke();
}

// Whoever registered has left.
void Agents::RemoveUnheard(const std::string& id) {
  registry::Operation operation;
  operation.mutable_remove_agent()->mutable_id()->set_value(id);
  context_.registry->Apply(std::move(operation),
                           [this, id](const absl::Status&) {
                             unheard_.erase(id);
                             AwaitReturn(id);
                           });
}

Agent& Agents::Add(const mesos::v1::AgentInfo& info, Connection& connection,
                   Resources total) {
  auto agent = std::make_unique<Agent>();
  agent->id = info.id().value();
  agent->info = info;
  agent->address = connection.address();
  agent->registered_time = context_.clock().WallNow();
  agent->total = std::move(total);
  Agent& added = context_.cluster.AddAgent(std::move(agent));
  Attach(added, connection);
  Ping(added.id);
  return added;
}

void Agents::Attach(Agent& agent, Connection& connection) {
  auto* former = static_cast<Connection*>(agent.peer);
  context_.cluster.SetPeer(agent, &connection);
  if (former != nullptr && former != &connection) Drop(former->id());
  if (connection.agent_id().empty()) --unregistered_;
  connection.set_agent_id(agent.id);
  agent.missed_pings = 0;
  agent.awaits_pong = false;
  agent.reregister_timer.Cancel();
}

void Agents::SendRegistered(Agent& agent) {
  wire::AgentMessage message;
  wire::AgentRegistered& registered = *message.mutable_agent_registered();
  registered.mutable_agent_id()->set_value(agent.id);
  *registered.mutable_reign() = context_.reign;
  registered.set_ping_timeout_ns(PingTimeoutNs(context_.options));
  agent.peer->Send(message);
}

void Agents::SendReregistered(Agent& agent) {
  wire::AgentMessage message;
  wire::AgentReregistered& registered = *message.mutable_agent_reregistered();
  registered.mutable_agent_id()->set_value(agent.id);
  *registered.mutable_reign() = context_.reign;
  registered.set_ping_timeout_ns(PingTimeoutNs(context_.options));
  agent.peer->Send(message);
}

void Agents::OnReregister(Connection& connection,
                          const wire::AgentMessage& message) {
  ++context_.metrics.AddCounter("master/messages_reregister_slave");
  const wire::ReregisterAgent& wanted = message.reregister_agent();
  const mesos::v1::AgentInfo& info = wanted.agent_info();
  const std::string& id = info.id().value();
  if (RefuseReregistration(connection, wanted) ||
      !AsksForOneThing(connection, id)) {
    return;
  }
  // It tries again, when the registry has it as what it is about to become.
  if (leaving_.count(id) + unheard_.count(id) > 0) return;
  const bool pending = reregistering_.count(id) > 0;
  reregistering_[id] = {connection.id(), message};
  if (pending) return;
  // Nobody takes it for lost while the registry is told.
  CancelUnreachable(id);
  StopExpecting(id);

  registry::Operation operation;
  const std::string address = connection.address().ToString();
  const auto& admitted = context_.registry->state().admitted();
  auto known = admitted.find(id);
  if (known == admitted.end()) {
    *operation.mutable_mark_agent_reachable()->mutable_info() = info;
    operation.mutable_mark_agent_reachable()->set_address(address);
  } else if (known->second.address() != address ||
             !MessageDifferencer::Equals(known->second.info(), info)) {
    *operation.mutable_update_agent()->mutable_info() = info;
    operation.mutable_update_agent()->set_address(address);
  } else {
    return OnReadmitted(id, absl::OkStatus());
  }
  context_.registry->Apply(
      std::move(operation),
      [this, id](const absl::Status& outcome) { OnReadmitted(id, outcome); });
}

// True when the agent was told to shut down, or is ignored.
bool Agents::RefuseReregistration(Connection& connection,
                                  const wire::ReregisterAgent& message) {
  const mesos::v1::AgentInfo& info = message.agent_info();
  const std::string& id = info.id().value();
  absl::Status valid = ValidateId("Agent", id);
  if (valid.ok()) valid = ValidateAgentInfo(info).status();
  if (!valid.ok()) {
    Refuse(connection, valid.message());
    return true;
  }
  if (context_.registry->state().gone().count(id) > 0 &&
      !Planted(Bug::kGoneReadmitted)) {
    Refuse(connection, kMarkedGone);
    return true;
  }
  if (!IsSupported(message.version())) {
    LOG(WARNING) << "ignoring agent " << id << " of version "
                 << message.version();
    return true;
  }
  const Agent* agent = context_.cluster.FindAgent(id);
  if (agent == nullptr) return false;
  if (agent->info.hostname() == info.hostname() &&
      agent->address.ip == connection.address().ip) {
    return false;
  }
  Refuse(
      connection,
      absl::StrCat("Agent ", id, " was registered as ", agent->info.hostname(),
                   " at ", agent->address.ip, "; now it is ", info.hostname(),
                   " at ", connection.address().ip));
  return true;
}

void Agents::OnReadmitted(const std::string& id, const absl::Status& outcome) {
  const Registration registration =
      std::move(reregistering_.extract(id).mapped());
  const wire::ReregisterAgent& message =
      registration.message.reregister_agent();
  Connection* connection = FindConnection(registration.connection);
  // It tries again, if it is still there. What was true when it asked need not
  // be so any more.
  if (!outcome.ok() || connection == nullptr || leaving_.count(id) > 0 ||
      RefuseReregistration(*connection, message)) {
    return AwaitReturn(id);
  }
  Agent* agent = context_.cluster.FindAgent(id);
  if (agent == nullptr) {
    agent = &Add(message.agent_info(), *connection,
                 *Resources::FromProto(message.agent_info().resources()));
    ForgetRecovered(id);
  } else {
    Attach(*agent, *connection);
    context_.cluster.SetAddress(*agent, connection->address());
  }
  Readmit(*agent, message);
}

void Agents::Readmit(Agent& agent, const wire::ReregisterAgent& message) {
  ++context_.metrics.AddCounter("master/slave_reregistrations");
  agent.info = message.agent_info();
  agent.reregistered_time = context_.clock().WallNow();
  Describe(message, agent);
  Resources total = *Resources::FromProto(agent.info.resources());
  if (total != agent.total) {
    offers_.RescindAll(agent);
    offers_.Forget(agent);
    context_.cluster.SetTotal(agent, std::move(total));
  }
  LOG(INFO) << "agent " << agent.id << " at " << agent.address.ToString()
            << " (" << agent.info.hostname() << ") is registered again with "
            << message.tasks_size() << " tasks";
  SendReregistered(agent);
  RecoverFrameworks(agent, message);
  tasks_.OnReregistered(agent, message);
  // What it runs may be more than was known when the offers were made.
  if (!agent.total.Contains(agent.used + agent.offered)) {
    offers_.RescindAll(agent);
  }
  offers_.Poke();
}

void Agents::RecoverFrameworks(Agent& agent,
                               const wire::ReregisterAgent& message) {
  for (const mesos::v1::FrameworkInfo& info : message.frameworks()) {
    const std::string& id = info.id().value();
    if (!ValidateId("Framework", id).ok()) continue;
    if (context_.cluster.FindFramework(id) != nullptr) continue;
    if (context_.registry->state().HasEnded(id) &&
        !Planted(Bug::kEndedRecovered)) {
      frameworks_.ShutDownOn(agent, id);
    } else if (context_.cluster.frameworks().size() < kMaxFrameworks) {
      frameworks_.Recover(info);
    }
  }
}

}  // namespace quorate::master
