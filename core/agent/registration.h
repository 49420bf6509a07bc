// The agent's side of its link to the leading master: finds the leader,
// registers, notices when the master is gone, and obeys no master whose reign
// is over.
//
// Masters prove their reign by the epoch of their entry in the replicated log.
// An epoch is obeyed only after it is durable here, and none below it ever
// again: what a deposed leader still sends is dropped.

#ifndef QUORATE_CORE_AGENT_REGISTRATION_H_
#define QUORATE_CORE_AGENT_REGISTRATION_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/agent/agent.h"
#include "core/agent/store.h"
#include "core/api/mesos.pb.h"
#include "core/base/queue_size.h"
#include "core/election/election.h"
#include "core/wire/agent.pb.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate::agent {

class Registration final : private wire::Dialer::Listener {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // What this agent is and runs, for (re)registration.
    virtual void Describe(wire::ReregisterAgent* message) = 0;
    virtual void OnRegistered(const std::string& agent_id) = 0;
    // After OnRegistered: no master listens any more.
    virtual void OnDisconnected() = 0;
    // From the master at which the agent is registered.
    virtual void OnMessage(const wire::AgentMessage& message) = 0;
  };

  // What is known from an earlier registration.
  struct Identity {
    std::string agent_id;
    std::string cluster_id;
    wire::Reign reign;  // The newest that was obeyed.
  };

  // All arguments outlive the object.
  Registration(io::Environment& environment, const AgentOptions& options,
               Store& store, Listener* listener);

  // `self`: where this agent is reached.
  void Start(const io::Endpoint& self, Identity identity);

  // Dropped unless registered.
  void Send(const wire::AgentMessage& message);

  bool registered() const { return phase_ == Phase::kRegistered; }
  const Identity& identity() const { return identity_; }
  QueueSize queue() const;
  // Of the leader, as the detector tells it.
  const std::optional<mesos::v1::MasterInfo>& leader() const { return leader_; }

 private:
  enum class Phase {
    kIdle,         // No link.
    kRegistering,  // Asks to be registered, again and again.
    kPersisting,   // Accepted; the answer is being made durable.
    kRegistered,
  };

  void Detect();
  void OnLeader(const std::optional<mesos::v1::MasterInfo>& leader);
  void Dial(const mesos::v1::MasterInfo& master);
  void HangUp();

  // wire::Dialer::Listener
  void OnUp(const wire::Handshake& peer) override;
  void OnMessage(absl::string_view payload) override;
  void OnDown(const absl::Status& reason) override;

  void Register();
  void RegisterLater();
  void Dispatch(const wire::AgentMessage& message);
  void OnAnswer(const std::string& agent_id, const wire::Reign& reign,
                int64_t ping_timeout_ns);
  absl::Status CheckId(const std::string& agent_id) const;
  absl::Status CheckReign(const wire::Reign& reign) const;
  void Persist(const std::string& agent_id, const wire::Reign& reign);
  void OnPersisted(uint64_t attempt);
  void OnPing(const wire::Ping& ping);
  void ArmPingTimeout();

  io::Environment& environment_;
  const AgentOptions& options_;
  Store& store_;
  Listener* const listener_;
  const std::unique_ptr<io::Random> random_;

  io::Endpoint self_;
  Identity identity_;   // Durable.
  wire::Reign newest_;  // None older is obeyed; may not be durable yet.
  std::unique_ptr<election::Detector> detector_;
  std::optional<mesos::v1::MasterInfo> leader_;
  mesos::v1::MasterInfo dialed_;  // To whom dialer_ is.
  std::unique_ptr<wire::Dialer> dialer_;

  Phase phase_ = Phase::kIdle;
  // Of persisting: an older one's end means nothing to a newer link.
  uint64_t attempt_ = 0;
  io::Duration backoff_;
  io::Timer register_;
  io::Duration ping_timeout_;
  io::Timer ping_timer_;
  // What arrives while the answer becomes durable.
  std::deque<wire::AgentMessage> deferred_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_REGISTRATION_H_
