// An executor's side of the executor API: subscribed to its agent, again after
// the agent restarted, with every update sent until the agent has it.

#ifndef QUORATE_CORE_EXECUTOR_AGENT_CLIENT_H_
#define QUORATE_CORE_EXECUTOR_AGENT_CLIENT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/api/executor.pb.h"
#include "core/executor/command_executor.h"
#include "core/http/client.h"
#include "core/scheduler/subscription.h"
#include "io/environment.h"

namespace quorate::executor {

class AgentClient {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Each event but HEARTBEAT; after the client has taken note of it.
    virtual void OnEvent(const mesos::v1::executor::Event& event) = 0;
    // The agent does not know this executor, or does not come back. The last
    // callback.
    virtual void OnAbandoned(const absl::Status& why) = 0;
  };

  // All arguments outlive the client.
  AgentClient(io::Environment& environment, const ExecutorOptions& options,
              Listener* listener);

  void Start();

  // A task that the agent has handed over: it is told so until it has
  // acknowledged an update of the task.
  void AddTask(const mesos::v1::TaskInfo& task);

  // Fills in uuid, timestamp, source and executor.
  void SendUpdate(mesos::v1::TaskStatus status);

  // Whether an update waits for the agent's acknowledgement.
  bool HasUnacknowledged() const { return !updates_.empty(); }

 private:
  using Call = mesos::v1::executor::Call;
  using Event = mesos::v1::executor::Event;

  Call MakeCall(Call::Type type) const;
  void Subscribe();
  void OnRecord(absl::string_view record);
  void OnAcknowledged(const Event::Acknowledged& acknowledged);
  void OnRefused(const http::Response& answer);
  void Send(const Call::Update& update);
  void OnUpdateAnswered(const absl::StatusOr<http::Response>& answer);
  void Lose(const absl::Status& why);
  void Abandon(const absl::Status& why);
  // How long to try to get back to the agent.
  io::Duration Patience() const;

  io::Environment& environment_;
  const ExecutorOptions& options_;
  Listener* const listener_;
  const std::unique_ptr<io::Random> random_;

  std::unique_ptr<scheduler::Subscription> stream_;
  std::unique_ptr<http::ClientConnection> calls_;
  bool subscribed_ = false;
  bool was_subscribed_ = false;
  bool lost_ = false;  // And the end of patience is set.
  bool abandoned_ = false;
  io::Duration backoff_;
  io::Timer retry_;
  io::Timer patience_;

  // Without an acknowledged update, by id.
  std::map<std::string, mesos::v1::TaskInfo> tasks_;
  std::vector<Call::Update> updates_;  // In order.
  size_t brought_ = 0;  // Of them, by the subscription that is under way.
};

}  // namespace quorate::executor

#endif  // QUORATE_CORE_EXECUTOR_AGENT_CLIENT_H_
