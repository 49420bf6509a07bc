// The life of agents: registered, pinged, disconnected, back again, or marked
// unreachable.
//
// The registry comes first: an agent hears that it is registered, and
// frameworks hear that its tasks are lost, only when a quorum of masters has it
// on disk. A master that is deposed meanwhile has then told nobody anything
// that its successor does not know.

#ifndef QUORATE_CORE_MASTER_AGENTS_H_
#define QUORATE_CORE_MASTER_AGENTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/master/context.h"
#include "core/master/frameworks.h"
#include "core/master/offers.h"
#include "core/master/rate_limiter.h"
#include "core/master/tasks.h"
#include "core/wire/link.h"

namespace quorate::master {

// Why an agent that was marked gone is refused.
inline constexpr char kMarkedGone[] =
    "The agent has been marked gone by an operator";

class Agents {
 public:
  Agents(Context& context, Offers& offers, Tasks& tasks,
         Frameworks& frameworks);
  ~Agents();

  // The master leads: the agents of the registry have
  // --agent_reregister_timeout to come back.
  void Start();

  // An operator says that the agent will never come back: it is told to shut
  // down, is refused from then on, and its tasks are gone. `done` gets OK when
  // that is durable, now or since before; NotFound for an agent that is
  // neither admitted nor unreachable; Unavailable while it is being removed or
  // marked already, and when the registry could not be written.
  using OnMarked = std::function<void(const absl::Status&)>;
  void MarkGone(const std::string& id, OnMarked done);

  // A link whose handshake said Purpose::kAgent.
  void Accept(std::unique_ptr<wire::Link> link);
  // Links whose agents have yet to be registered.
  size_t unregistered() const { return unregistered_; }

 private:
  class Connection;
  // Why an agent is taken out of the registry.
  enum class Removal { kUnregistered, kRegisteredAnew };
  static absl::string_view WordsOf(Removal removal);
  static absl::string_view MetricOf(Removal removal);
  // An answer of the registry that a registration waits for. Of several
  // attempts of one agent the newest counts.
  struct Registration {
    uint64_t connection = 0;
    io::Endpoint address;
    wire::AgentMessage message;
    size_t fingerprint = 0;  // Connection::fingerprint
  };
  // As the registry is to have an agent.
  using Entry = registry::Registry::Agent;

  // Messages, by connection.
  void OnMessage(Connection& connection, const wire::AgentMessage& message);
  void OnRegister(Connection& connection, const wire::AgentMessage& message);
  void OnReregister(Connection& connection, const wire::AgentMessage& message);
  // The agent of that connection has not heard yet that it is registered
  // again. Many repeat themselves when a leader has many to readmit, and each
  // time costs it as much as the first one. False when it is not registered.
  bool AnswerAgain(Connection& connection);
  void OnRegisteredMessage(Agent& agent, const wire::AgentMessage& message);
  void OnPong(Agent& agent);
  void OnExecutorExited(Agent& agent, const wire::ExecutorExited& message);
  void OnUnregister(Agent& agent);
  void OnClosed(Connection& connection, const absl::Status& reason);
  // Else it is hung up on.
  bool AsksForOneThing(Connection& connection, const std::string& id);

  // Registration of a new agent.
  void ReplaceFormerAt(const io::Endpoint& address);
  void Admit(const io::Endpoint& address);
  void OnAdmitted(const io::Endpoint& address, const Entry& written,
                  const absl::Status& outcome);
  void Correct(const io::Endpoint& address, const Entry& entry);
  void Register(const io::Endpoint& address, const std::string& id);
  void RemoveUnheard(const std::string& id);
  void SendRegistered(Agent& agent);

  // Registration of one that has an id.
  bool RefuseReregistration(Connection& connection,
                            const wire::ReregisterAgent& message);
  // Until the registry has what the newest message says.
  void WriteReturn(const std::string& id);
  void OnReturnWritten(const std::string& id, const Entry& written,
                       const absl::Status& outcome);
  void OnReadmitted(const std::string& id);
  void Readmit(Agent& agent, const wire::ReregisterAgent& message);
  void RecoverFrameworks(Agent& agent, const wire::ReregisterAgent& message);
  void SendReregistered(Agent& agent);

  // The connection that a registration has waited on, if it is still there.
  Connection* FindConnection(uint64_t id);
  // There are as many agents as may be, with those that are being admitted.
  bool full() const;
  Agent& Add(const mesos::v1::AgentInfo& info, Connection& connection,
             Resources total);
  void Attach(Agent& agent, Connection& connection);
  void Refuse(Connection& connection, absl::string_view reason);

  // The end of a connection, and of an agent.
  void Disconnect(Agent& agent);
  void AwaitLink(Agent& agent);
  void Ping(const std::string& id);
  void AwaitReturn(const std::string& id);
  void EndRecovery();
  // As soon as the rates allow it, unless it asks to be registered before.
  void MarkUnreachable(const std::string& id, const std::string& reason);
  bool EndsTasks(const std::string& id) const;
  void CancelUnreachable(const std::string& id);
  void WriteUnreachable(const std::string& id, const std::string& reason);
  void OnMarkedUnreachable(const std::string& id, mesos::v1::TimeInfo time);
  void OnMarkedGone(const std::string& id);
  void RemoveFromRegistry(const std::string& id, Removal removal);
  void OnRemoved(const std::string& id, Removal removal);
  void RemoveRecovered(const std::string& id);
  void Remove(Agent& agent, const Tasks::Loss& loss);
  void StopExpecting(const std::string& id);
  void AddRecovered(const Entry& entry, io::Timer timer);
  bool ForgetRecovered(const std::string& id);
  void CollectGarbage();
  void Drop(uint64_t connection);

  Context& context_;
  Offers& offers_;
  Tasks& tasks_;
  Frameworks& frameworks_;

  uint64_t next_agent_ = 0;
  uint64_t last_connection_ = 0;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  size_t unregistered_ = 0;
  // Closed, perhaps inside their own callbacks; gone at the next turn.
  std::map<uint64_t, std::unique_ptr<Connection>> closed_;
  io::Timer cleanup_timer_;

  // The recovered ones: address and id.
  std::set<std::pair<std::string, std::string>> recovered_at_;

  std::map<io::Endpoint, Registration> registering_;
  std::map<std::string, Registration> reregistering_;  // By agent id.
  // Operations under way after which there is an agent more.
  size_t joining_ = 0;
  // Ids that were made for agents which have not been told them yet. Nobody can
  // register again under one.
  std::set<std::string> unheard_;
  // Ids that the registry is about to know as unreachable or gone, or not at
  // all.
  std::set<std::string> leaving_;
  // Those that are to become unreachable, and wait for their turn.
  std::set<std::string> scheduled_;
  RateLimiter removals_;
  RateLimiter unreachables_;

  // Of the agents that the registry had when this master was elected: how many
  // there were, those that have yet to come back, and how many of them are
  // withheld from being unreachable, being too many.
  size_t inherited_ = 0;
  std::set<std::string> expected_;
  size_t withheld_ = 0;
  io::Timer recovery_timer_;
  io::Timer garbage_timer_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_AGENTS_H_
