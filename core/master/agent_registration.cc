// The part of Agents that lets agents in.

#include <glog/logging.h>

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

// What the registry is to have of an agent, as it describes itself. Fields of a
// later release are not for this one to hand on.
registry::Registry::Agent EntryOf(const wire::AgentMessage& message,
                                  const io::Endpoint& address,
                                  const std::string& id) {
  registry::Registry::Agent entry;
  *entry.mutable_info() = message.has_register_agent()
                              ? message.register_agent().agent_info()
                              : message.reregister_agent().agent_info();
  entry.mutable_info()->DiscardUnknownFields();
  entry.mutable_info()->mutable_id()->set_value(id);
  entry.set_address(address.ToString());
  return entry;
}

// By bytes: a number that is none equals nothing, and would be written for
// ever.
bool IsSame(const registry::Registry::Agent& a,
            const registry::Registry::Agent& b) {
  return a.SerializeAsString() == b.SerializeAsString();
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

bool Agents::full() const {
  return context_.registry->state().admitted().size() + joining_ >= kMaxAgents;
}

void Agents::OnRegister(Connection& connection,
                        const wire::AgentMessage& message) {
  ++context_.metrics.AddCounter("master/messages_register_slave");
  const wire::RegisterAgent& wanted = message.register_agent();
  if (!AsksForOneThing(connection, "")) return;
  if (!connection.agent_id().empty()) {
    // It has not heard the answer yet.
    Agent* agent = context_.cluster.FindAgent(connection.agent_id());
    if (agent != nullptr && agent->peer == &connection) SendRegistered(*agent);
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
  const io::Endpoint address = connection.address();
  const bool pending = registering_.count(address) > 0;
  if (!pending && full()) {
    return Refuse(connection, "There are too many agents");
  }
  registering_[address] = {connection.id(), address, message};
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
  const std::string at = address.ToString();
  auto former = recovered_at_.lower_bound({at, ""});
  if (former == recovered_at_.end() || former->first != at) return;
  const std::string id = former->second;
  // It may be on its way back, and at another address by now.
  const auto& admitted = context_.registry->state().admitted();
  auto known = admitted.find(id);
  if (known != admitted.end() && known->second.address() == at) {
    RemoveFromRegistry(id, Removal::kRegisteredAnew);
  }
}

void Agents::Admit(const io::Endpoint& address) {
  const std::string id = absl::StrCat(context_.id(), "-S", next_agent_++);
  const Entry entry = EntryOf(registering_.at(address).message, address, id);
  registry::Operation operation;
  *operation.mutable_admit_agent()->mutable_info() = entry.info();
  operation.mutable_admit_agent()->set_address(entry.address());
  unheard_.insert(id);
  ++joining_;
  context_.registry->Apply(std::move(operation),
                           [this, address, entry](const absl::Status& outcome) {
                             --joining_;
                             OnAdmitted(address, entry, outcome);
                           });
}

void Agents::OnAdmitted(const io::Endpoint& address, const Entry& written,
                        const absl::Status& outcome) {
  const std::string& id = written.info().id().value();
  if (!outcome.ok()) {
    unheard_.erase(id);
    // Somebody has that id, and had it from elsewhere.
    if (absl::IsAlreadyExists(outcome)) return Admit(address);
    // The agent tries again.
    registering_.erase(address);
    return AwaitReturn(id);
  }
  const Registration& newest = registering_.at(address);
  if (FindConnection(newest.connection) == nullptr) {
    registering_.erase(address);
    return RemoveUnheard(id);
  }
  const Entry entry = EntryOf(newest.message, address, id);
  if (!IsSame(entry, written)) return Correct(address, entry);
  unheard_.erase(id);
  Register(address, id);
}

// It was restarted with other resources while the registry was slow. Frameworks
// are offered only what it has.
void Agents::Correct(const io::Endpoint& address, const Entry& entry) {
  registry::Operation operation;
  *operation.mutable_update_agent()->mutable_info() = entry.info();
  operation.mutable_update_agent()->set_address(entry.address());
  context_.registry->Apply(std::move(operation),
                           [this, address, entry](const absl::Status& outcome) {
                             OnAdmitted(address, entry, outcome);
                           });
}

void Agents::Register(const io::Endpoint& address, const std::string& id) {
  const Registration registration =
      std::move(registering_.extract(address).mapped());
  mesos::v1::AgentInfo info =
      registration.message.register_agent().agent_info();
  info.mutable_id()->set_value(id);
  Agent& agent = Add(info, *FindConnection(registration.connection),
                     *Resources::FromProto(info.resources()));
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
  if (!pending && full() &&
      context_.registry->state().admitted().count(id) == 0) {
    // It tries again: told to shut down, it would kill its tasks.
    LOG(WARNING) << "ignoring agent " << id << ": there are too many agents";
    return;
  }
  reregistering_[id] = {connection.id(), connection.address(), message,
                        connection.fingerprint()};
  if (pending) return;
  // Nobody takes it for lost while the registry is told.
  CancelUnreachable(id);
  StopExpecting(id);
  WriteReturn(id);
}

void Agents::WriteReturn(const std::string& id) {
  const Registration& newest = reregistering_.at(id);
  const Entry entry = EntryOf(newest.message, newest.address, id);
  const auto& admitted = context_.registry->state().admitted();
  auto known = admitted.find(id);
  const bool joins = known == admitted.end();
  if (!joins && IsSame(known->second, entry)) return OnReadmitted(id);
  registry::Operation operation;
  if (joins) {
    *operation.mutable_mark_agent_reachable()->mutable_info() = entry.info();
    operation.mutable_mark_agent_reachable()->set_address(entry.address());
    ++joining_;
  } else {
    *operation.mutable_update_agent()->mutable_info() = entry.info();
    operation.mutable_update_agent()->set_address(entry.address());
  }
  context_.registry->Apply(
      std::move(operation),
      [this, id, joins, entry](const absl::Status& outcome) {
        if (joins) --joining_;
        OnReturnWritten(id, entry, outcome);
      });
}

void Agents::OnReturnWritten(const std::string& id, const Entry& written,
                             const absl::Status& outcome) {
  const Registration& newest = reregistering_.at(id);
  if (!outcome.ok() && !Planted(Bug::kGoneReadmitted)) {
    // It tries again.
    reregistering_.erase(id);
    return AwaitReturn(id);
  }
  if (FindConnection(newest.connection) != nullptr &&
      !IsSame(EntryOf(newest.message, newest.address, id), written)) {
    return WriteReturn(id);
  }
  OnReadmitted(id);
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

void Agents::OnReadmitted(const std::string& id) {
  const Registration registration =
      std::move(reregistering_.extract(id).mapped());
  const wire::ReregisterAgent& message =
      registration.message.reregister_agent();
  Connection* connection = FindConnection(registration.connection);
  // What was true when it asked need not be so any more.
  if (connection == nullptr || leaving_.count(id) > 0 ||
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
  connection->set_done(registration.fingerprint);
}

bool Agents::AnswerAgain(Connection& connection) {
  Agent* agent = context_.cluster.FindAgent(connection.agent_id());
  if (agent == nullptr || agent->peer != &connection ||
      leaving_.count(agent->id) + reregistering_.count(agent->id) > 0) {
    return false;
  }
  ++context_.metrics.AddCounter("master/messages_reregister_slave");
  OnPong(*agent);  // It lives.
  SendReregistered(*agent);
  return true;
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
