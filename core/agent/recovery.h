// How an agent begins: it finds what a previous process left, waits for the
// executors that still run, and gives up the others.

#ifndef QUORATE_CORE_AGENT_RECOVERY_H_
#define QUORATE_CORE_AGENT_RECOVERY_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "core/agent/agent.h"
#include "core/agent/executors.h"
#include "core/agent/registration.h"
#include "core/agent/store.h"
#include "io/environment.h"

namespace quorate::agent {

class Recovery {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Executors may subscribe from now on.
    virtual void OnReconnecting() = 0;
    // The agent knows what it runs. `identity` is empty for a new agent.
    virtual void OnRecovered(Registration::Identity identity) = 0;
    // Not possible; the code is the process', the message for the operator.
    virtual void OnRecoveryFailed(io::ExitCode code,
                                  const std::string& why) = 0;
  };

  // All arguments outlive the object. `info`: what the agent is now.
  Recovery(io::Environment& environment, const AgentOptions& options,
           const mesos::v1::AgentInfo& info, Store& store, Executors& executors,
           Listener* listener);

  void Start();

  // An executor has subscribed: maybe it was the last one.
  void OnSubscribed();

  int errors() const { return errors_; }

 private:
  enum class Step { kReading, kListing, kReconnecting, kDone };

  void OnUnreadable(const absl::Status& why);
  void OnRead(const absl::StatusOr<std::optional<RecoveredAgent>>& read);
  void OnListed(const absl::StatusOr<std::vector<io::ContainerInfo>>& running);
  void Finish();

  io::Environment& environment_;
  const AgentOptions& options_;
  const mesos::v1::AgentInfo& info_;
  Store& store_;
  Executors& executors_;
  Listener* const listener_;
  Step step_ = Step::kReading;
  bool rebooted_ = false;
  std::optional<RecoveredAgent> recovered_;
  int errors_ = 0;
  io::Timer patience_;
  // The containers may outlive this object: their callbacks check it.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// FailedPrecondition that names what differs, when an agent that was `before`
// cannot go on as `now`.
absl::Status CheckCompatible(const mesos::v1::AgentInfo& before,
                             const mesos::v1::AgentInfo& now);

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_RECOVERY_H_
