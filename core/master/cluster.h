// What the leading master knows of its cluster, in memory: agents, frameworks,
// tasks, offers, and who holds which resources. Data and accounting only; what
// happens to them is in agents.h, frameworks.h, tasks.h and offers.h.
//
// Resources of an agent are used by tasks that are not terminal and by
// executors, held in offers, or available.

#ifndef QUORATE_CORE_MASTER_CLUSTER_H_
#define QUORATE_CORE_MASTER_CLUSTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/api/mesos.pb.h"
#include "core/resources/resources.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::wire {
class AgentMessage;
}

namespace quorate::master {

class Subscriber;

struct Agent;

// The connection to one registered agent.
class AgentPeer {
 public:
  AgentPeer() = default;
  AgentPeer(const AgentPeer&) = delete;
  AgentPeer& operator=(const AgentPeer&) = delete;
  // It is no agent's peer any more.
  virtual ~AgentPeer();

  // A message that cannot be queued breaks the connection, so that the agent's
  // registration reconciles what it missed.
  virtual void Send(const wire::AgentMessage& message) = 0;

 private:
  friend class Cluster;
  const Agent* agent_ = nullptr;  // Whose peer it is.
};

struct Task {
  // As the operator API shows it. `state` is the newest known,
  // `status_update_state` that of the newest update that was forwarded.
  mesos::v1::Task info;
  Resources resources;  // Allocated to a role.
  std::string role;

  const std::string& id() const { return info.task_id().value(); }
  const std::string& agent_id() const { return info.agent_id().value(); }
};

struct Executor {
  mesos::v1::ExecutorInfo info;
  Resources resources;  // Allocated to a role.
};

struct Agent {
  std::string id;
  mesos::v1::AgentInfo info;
  io::Endpoint address;
  std::string version;
  std::vector<std::string> capabilities;
  io::WallTime registered_time;
  std::optional<io::WallTime> reregistered_time;
  Resources total;

  // Null when disconnected. Set by Cluster.
  AgentPeer* peer = nullptr;

  // By framework. Executors are those that frameworks bring; the command
  // executor of a task does not count.
  std::map<std::string, std::set<std::string>> tasks;
  std::map<std::string, std::map<std::string, Executor>> executors;
  std::set<std::string> offers;
  // Kills that were asked for while the agent was disconnected, by framework
  // and task.
  std::map<std::string, std::map<std::string, mesos::v1::KillPolicy>> kills;

  int missed_pings = 0;
  bool awaits_pong = false;
  io::Timer ping_timer;
  io::Timer reregister_timer;

  bool connected() const { return peer != nullptr; }
  // "slave(1)@10.0.0.1:5051".
  std::string pid() const;

  // Maintained by Cluster, without allocation marks.
  Resources used;
  Resources offered;
  // When any of this, or who holds it, last changed: Cluster::changes.
  uint64_t changed = 0;
};

// An agent of the registry that has not registered with this master yet.
struct RecoveredAgent {
  mesos::v1::AgentInfo info;
  std::string address;  // Empty: the registry does not tell.
  io::Timer timer;
};

struct Framework {
  std::string id;
  mesos::v1::FrameworkInfo info;  // With id.
  std::set<std::string> suppressed_roles;
  // Known from the registry, or from agents: it has not subscribed with this
  // master yet.
  bool recovered = false;
  io::WallTime registered_time;
  std::optional<io::WallTime> reregistered_time;
  std::optional<io::WallTime> unregistered_time;

  // Null when disconnected.
  std::unique_ptr<Subscriber> subscriber;
  io::Timer failover_timer;

  std::map<std::string, Task> tasks;
  // Both oldest first.
  std::deque<Task> unreachable_tasks;
  std::deque<Task> completed_tasks;
  std::set<std::string> offers;

  Framework();
  ~Framework();

  bool connected() const { return subscriber != nullptr; }
  bool Has(mesos::v1::FrameworkInfo::Capability::Type capability) const;
  // Those it wants offers for.
  std::vector<std::string> roles() const;
  const Task* FindUnreachable(const std::string& task_id) const;
};

struct Offer {
  std::string id;
  std::string framework_id;
  std::string agent_id;
  std::string role;
  Resources resources;  // Allocated to `role`.
  io::Timer timeout;
};

bool IsTerminal(mesos::v1::TaskState state);

class Cluster {
 public:
  Cluster();
  ~Cluster();

  // Called whenever resources may have become available.
  void OnAvailable(std::function<void()> callback) {
    on_available_ = std::move(callback);
  }

  const std::map<std::string, std::unique_ptr<Agent>>& agents() const {
    return agents_;
  }
  const std::map<std::string, std::unique_ptr<Framework>>& frameworks() const {
    return frameworks_;
  }
  const std::map<std::string, Offer>& offers() const { return offers_; }
  // Oldest first.
  const std::deque<std::unique_ptr<Framework>>& completed_frameworks() const {
    return completed_;
  }
  std::map<std::string, RecoveredAgent>& recovered_agents() {
    return recovered_;
  }
  const std::map<std::string, RecoveredAgent>& recovered_agents() const {
    return recovered_;
  }

  // Null when there is none.
  Agent* FindAgent(const std::string& id) const;
  Agent* FindAgentAt(const io::Endpoint& address) const;
  Framework* FindFramework(const std::string& id) const;
  const Framework* FindCompleted(const std::string& id) const;
  Offer* FindOffer(const std::string& id);

  Agent& AddAgent(std::unique_ptr<Agent> agent);
  // The agent has no tasks, no offers and no peer any more.
  void RemoveAgent(Agent& agent);
  void SetTotal(Agent& agent, Resources total);
  void SetAddress(Agent& agent, const io::Endpoint& address);
  // `peer` is that of no other agent, and outlives being its peer. Null when
  // the agent is disconnected.
  void SetPeer(Agent& agent, AgentPeer* peer);

  // Null: disconnected. Closing the former one is up to the caller.
  void SetSubscriber(Framework& framework,
                     std::unique_ptr<Subscriber> subscriber);

  Framework& AddFramework(std::unique_ptr<Framework> framework);
  // The framework has no tasks and no offers any more. At most
  // `max_completed` are kept.
  void CompleteFramework(Framework& framework, size_t max_completed);
  // One that has ended under a leader before this one.
  void AddCompleted(std::unique_ptr<Framework> framework, size_t max_completed);

  // Its framework and its agent are here, and no task of that id.
  Task& AddTask(Task task);
  void SetTaskState(Task& task, mesos::v1::TaskState state);
  // `max_completed` of the framework are kept; one of the same id is replaced.
  void CompleteTask(Framework& framework, Task& task, size_t max_completed);
  void MoveToUnreachable(Framework& framework, Task& task);
  void DropUnreachable(Framework& framework, const std::string& task_id);
  void CompleteUnreachable(Framework& framework, const std::string& task_id,
                           mesos::v1::TaskState state, size_t max_completed);

  void AddExecutor(Agent& agent, const std::string& framework_id,
                   Executor executor);
  void RemoveExecutor(Agent& agent, const std::string& framework_id,
                      const std::string& executor_id);
  void RemoveExecutors(Agent& agent, const std::string& framework_id);

  Offer& AddOffer(Offer offer);
  void RemoveOffer(const std::string& id);

  // What can be offered now; nothing when the agent says that it runs more
  // than it has.
  static Resources Available(const Agent& agent);
  // Allocated to roles, of one framework.
  Resources UsedBy(const Framework& framework) const;
  Resources OfferedTo(const Framework& framework) const;
  // Allocated to roles, on one agent.
  Resources UsedOn(const Agent& agent) const;

  // Rises with each change of what agents have or of who holds it, and of which
  // frameworks there are.
  uint64_t changes() const { return changes_; }
  // The agents of which that, or whether they are connected, has changed since
  // changes() was so; the latest last.
  std::vector<const Agent*> ChangedSince(uint64_t changes) const;

  // Ends the process when the books do not agree with each other.
  void CheckInvariants() const;

 private:
  void ForgetAddress(const Agent& agent);
  void NoteChange(Agent& agent);
  void Recount(Agent& agent);
  void RecountOffers(Agent& agent);
  // Unlinks the task from its agent, if that is still here.
  void Detach(const Task& task);

  std::map<std::string, std::unique_ptr<Agent>> agents_;
  std::map<io::Endpoint, std::string> agents_by_address_;
  std::map<std::string, RecoveredAgent> recovered_;
  std::map<std::string, std::unique_ptr<Framework>> frameworks_;
  std::deque<std::unique_ptr<Framework>> completed_;
  std::map<std::string, Offer> offers_;
  std::function<void()> on_available_;
  uint64_t changes_ = 0;
  std::map<uint64_t, Agent*> agents_by_change_;  // Of each the latest.
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_CLUSTER_H_
