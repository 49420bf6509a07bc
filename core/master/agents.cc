#include "core/master/agents.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/master/agent_connection.h"
#include "core/master/events.h"
#include "core/master/limits.h"

namespace quorate::master {

using mesos::v1::TaskStatus;

Agents::Agents(Context& context, Offers& offers, Tasks& tasks,
               Frameworks& frameworks)
    : context_(context),
      offers_(offers),
      tasks_(tasks),
      frameworks_(frameworks),
      removals_(context.clock(), context.options.agent_removal_rate_limit),
      unreachables_(context.clock(),
                    context.options.agent_unreachable_rate_limit) {
  context_.metrics.AddGauge("master/recovery_slaves_withheld",
                            [this] { return static_cast<double>(withheld_); });
}

Agents::~Agents() {
  for (const auto& [id, agent] : context_.cluster.agents()) {
    context_.cluster.SetPeer(*agent, nullptr);
  }
}

void Agents::Start() {
  for (const auto& [id, agent] : context_.registry->state().admitted()) {
    AddRecovered(agent, {});
    expected_.insert(id);
  }
  inherited_ = expected_.size();
  recovery_timer_ = context_.clock().RunAfter(
      context_.options.agent_reregister_timeout, [this] { EndRecovery(); });
  garbage_timer_ = context_.clock().RunAfter(
      context_.options.registry_gc_interval, [this] { CollectGarbage(); });
}

void Agents::Accept(std::unique_ptr<wire::Link> link) {
  if (unregistered_ >= kMaxUnregisteredLinks) {
    LOG(WARNING) << "refusing a link from " << link->peer_address().ToString()
                 << ": too many agents wait for registration";
    return;
  }
  ++unregistered_;
  const uint64_t id = ++last_connection_;
  auto& connection = connections_[id];
  connection = std::make_unique<Connection>(*this, id, std::move(link));
  connection->Start();
}

void Agents::OnMessage(Connection& connection,
                       const wire::AgentMessage& message) {
  switch (message.kind_case()) {
    case wire::AgentMessage::kRegisterAgent:
      return OnRegister(connection, message);
    case wire::AgentMessage::kReregisterAgent:
      return OnReregister(connection, message);
    default:
      break;
  }
  Agent* agent = context_.cluster.FindAgent(connection.agent_id());
  if (agent == nullptr || agent->peer != &connection) {
    ++context_.metrics.AddCounter("master/dropped_messages");
    return;
  }
  OnRegisteredMessage(*agent, message);
}

void Agents::OnRegisteredMessage(Agent& agent,
                                 const wire::AgentMessage& message) {
  switch (message.kind_case()) {
    case wire::AgentMessage::kPong:
      return OnPong(agent);
    case wire::AgentMessage::kStatusUpdate:
      ++context_.metrics.AddCounter("master/messages_status_update");
      return tasks_.OnStatusUpdate(agent, message.status_update());
    case wire::AgentMessage::kExecutorExited:
      ++context_.metrics.AddCounter("master/messages_exited_executor");
      return OnExecutorExited(agent, message.executor_exited());
    case wire::AgentMessage::kExecutorMessage: {
      ++context_.metrics.AddCounter("master/messages_executor_to_framework");
      const wire::FrameworkMessage& from = message.executor_message();
      Framework* framework =
          context_.cluster.FindFramework(from.framework_id().value());
      if (framework == nullptr) return;
      return SendMessage(*framework, agent.id, from.executor_id().value(),
                         from.data());
    }
    case wire::AgentMessage::kUnregisterAgent:
      ++context_.metrics.AddCounter("master/messages_unregister_slave");
      return OnUnregister(agent);
    default:
      ++context_.metrics.AddCounter("master/dropped_messages");
      LOG(WARNING) << "agent " << agent.id
                   << " sends what only a master sends: "
                   << message.kind_case();
  }
}

void Agents::OnPong(Agent& agent) {
  agent.awaits_pong = false;
  agent.missed_pings = 0;
  CancelUnreachable(agent.id);
}

void Agents::OnExecutorExited(Agent& agent,
                              const wire::ExecutorExited& message) {
  const std::string& framework_id = message.framework_id().value();
  const std::string& executor_id = message.executor_id().value();
  auto executors = agent.executors.find(framework_id);
  // The command executor of a task shows to nobody.
  if (executors == agent.executors.end() ||
      executors->second.count(executor_id) == 0) {
    return;
  }
  context_.cluster.RemoveExecutor(agent, framework_id, executor_id);
  Framework* framework = context_.cluster.FindFramework(framework_id);
  if (framework == nullptr) return;
  std::optional<int> status;
  if (message.has_wait_status()) status = message.wait_status();
  SendExecutorFailure(*framework, agent.id, executor_id, status);
}

void Agents::OnUnregister(Agent& agent) {
  RemoveFromRegistry(agent.id, Removal::kUnregistered);
}

void Agents::OnClosed(Connection& connection, const absl::Status& reason) {
  Agent* agent = context_.cluster.FindAgent(connection.agent_id());
  if (agent != nullptr && agent->peer == &connection) {
    LOG(WARNING) << "agent " << agent->id << " at " << agent->address.ToString()
                 << " is disconnected: " << reason;
    Disconnect(*agent);
  }
  Drop(connection.id());
}

Agents::Connection* Agents::FindConnection(uint64_t id) {
  auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : it->second.get();
}

void Agents::Drop(uint64_t id) {
  auto node = connections_.extract(id);
  if (node.empty()) return;
  if (node.mapped()->agent_id().empty()) --unregistered_;
  closed_.insert(std::move(node));
  cleanup_timer_ = context_.clock().RunAfter(io::Duration::zero(),
                                             [this] { closed_.clear(); });
}

void Agents::Disconnect(Agent& agent) {
  context_.cluster.SetPeer(agent, nullptr);
  offers_.RescindAll(agent);
  tasks_.LoseUncheckpointed(agent);
  AwaitLink(agent);
}

void Agents::AwaitLink(Agent& agent) {
  agent.reregister_timer = context_.clock().RunAfter(
      context_.options.agent_reregister_timeout,
      [this, id = agent.id] { MarkUnreachable(id, "did not come back"); });
}

// A disconnected agent misses pings too. Whoever is to become unreachable, and
// waits for its turn, may answer after all.
void Agents::Ping(const std::string& id) {
  Agent* agent = context_.cluster.FindAgent(id);
  if (agent == nullptr) return;
  if (agent->awaits_pong &&
      ++agent->missed_pings >= context_.options.max_agent_ping_timeouts) {
    MarkUnreachable(id, absl::StrCat("missed ", agent->missed_pings, " pings"));
    agent = context_.cluster.FindAgent(id);
    if (agent == nullptr || leaving_.count(id) > 0) return;
  }
  agent->awaits_pong = true;
  agent->ping_timer =
      context_.clock().RunAfter(context_.options.agent_ping_timeout,
                                [this, id] { Ping(std::string(id)); });
  if (!agent->connected()) return;
  wire::AgentMessage message;
  *message.mutable_ping()->mutable_reign() = context_.reign;
  message.mutable_ping()->set_connected(true);
  agent->peer->Send(message);
}

}  // namespace quorate::master
