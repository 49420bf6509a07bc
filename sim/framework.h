// A framework of the simulated world, over core/scheduler's driver.
//
//   framework.Launch("t", "sleep 60");
//   world.RunUntil([&] { return framework.Reached("t", "TASK_RUNNING"); },
//   30s);
//
// It launches what it is asked to on the first offer that suffices,
// acknowledges every update, and reconciles when it has subscribed and now and
// then. What it knows outlives its process, as if it kept it in a database.
//
//   framework.Misbehave({.reconnect = 0.1});   // and {} to stop

#ifndef QUORATE_SIM_FRAMEWORK_H_
#define QUORATE_SIM_FRAMEWORK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/checkers/task_truth.h"
#include "sim/node.h"

namespace quorate::sim {

struct FrameworkOptions {
  // How long a master waits for it to come back.
  io::Duration failover_timeout = std::chrono::hours(1);
  // For how long it does not want what it has no use for. Short, so that much
  // happens; frameworks that say nothing get 5 s.
  double refuse_seconds = 1;
};

// What a framework may do to a cluster: chances, for each second. Each counts
// as its Fault when the cluster has answered it; a stream that is left, and an
// acknowledgement, to which there is no answer, when they are on their way.
struct FrameworkFaults {
  // Leaves its stream and subscribes again, up to ten times in a row.
  double reconnect = 0;
  // Subscribes a second time with its id, while the first stream is there.
  double subscribe_twice = 0;
  // Launches on an offer that it has used, declined or lost before.
  double stale_accept = 0;
  // Acknowledges an update that nobody sent.
  double unknown_acknowledge = 0;
  // Sends so many calls at once, on a connection of their own.
  double flood = 0;
  int flood_calls = 10'000;
  // Reads nothing for up to so long.
  double slow = 0;
  io::Duration slow_for = std::chrono::seconds(20);
  // Launches a task id that has ended once more; or one twice at once.
  double reuse_id = 0;

  bool any() const {
    return reconnect > 0 || subscribe_twice > 0 || stale_accept > 0 ||
           unknown_acknowledge > 0 || flood > 0 || slow > 0 || reuse_id > 0;
  }
};

class FrameworkNode final : public Node {
 public:
  // `truth` outlives the node.
  FrameworkNode(World& world, Network& network, Ensemble& ensemble,
                std::string name, std::string ip,
                election::MasterLocation masters, FrameworkOptions options,
                TaskTruth& truth);
  ~FrameworkNode() override;

  // At any time; a task id once only.
  void Launch(const std::string& task_id, const std::string& command);
  void KillTask(const std::string& task_id);
  // Whether it was asked to launch that.
  bool Knows(const std::string& task_id) const {
    return tasks_.count(task_id) != 0;
  }

  // Where it looks for the leader, from its next life on.
  void LookFor(election::MasterLocation masters) {
    masters_ = std::move(masters);
  }

  // From now on, in every life.
  void Misbehave(const FrameworkFaults& faults);
  // Each misdeed once, now; nothing happens while it is not subscribed.
  void Reconnect(int times);
  void SubscribeTwice();
  void AcceptStale();
  void AcknowledgeUnknown();
  // Of calls that ask for so many events each.
  void Flood(int calls, int events = 1);
  void ReadNothingFor(io::Duration time);
  // False when no task has ended yet whose id could be used again.
  bool ReuseId();
  // Of the next launch: the same task twice.
  void LaunchNextTwice() { launch_twice_ = true; }

  bool subscribed();
  // Empty before the first subscription, and after its removal.
  const std::string& id() const { return id_; }
  int subscriptions() const { return subscriptions_; }
  // What masters refused for good.
  const std::vector<std::string>& errors() const { return errors_; }
  // Of its floods: answered, and accepted.
  int flood_answers() const { return flood_answers_; }
  int flood_accepted() const { return flood_accepted_; }
  bool reads_nothing();

  // The states of a task as it was told of them; an update that was sent again
  // counts once.
  const std::vector<std::string>& States(const std::string& task_id) const;
  bool Reached(const std::string& task_id, const std::string& state) const;
  // Whether it has been asked to launch such a task.
  bool Has(const std::string& task_id) const {
    return tasks_.count(task_id) > 0;
  }
  // Whether it was told that the task runs no more, or never will.
  bool Ended(const std::string& task_id) const;
  // Tasks that wait for an offer.
  int Waiting() const;
  // The agent it was launched on, "" before.
  std::string AgentOf(const std::string& task_id) const;

  // What it is told, in words; without a uuid by a master. Each once.
  struct Word {
    std::string agent_id;
    std::string task_id;
    std::string state;
    std::string uuid;
  };
  std::function<void(const Word& word)> on_word;

 private:
  class Running;
  class Twin;

  struct Task {
    std::string command;
    std::string agent_id;
    bool kill_wanted = false;
    bool ended = false;
    bool ended_by_agent = false;
    bool reused = false;  // and has not run since.
    bool stale = false;   // Launched on an offer that was gone.
    int duplicates = 0;   // Launches that are to be refused.
    std::vector<std::string> states;
    std::set<std::string> seen;  // uuids of updates
  };

  ProgramFactory MakeFactory() override;
  // In the process, if it runs.
  void Do(std::function<void(Running&)> deed);
  void OnRemoved();

  election::MasterLocation masters_;
  const FrameworkOptions options_;
  TaskTruth& truth_;
  const std::unique_ptr<io::Random> misdeeds_;
  FrameworkFaults faults_;
  std::string id_;
  int subscriptions_ = 0;
  std::vector<std::string> errors_;
  std::map<std::string, Task> tasks_;
  std::set<std::string> waiting_;  // To be launched, and perhaps others.
  // Offers that it has answered, the newest last: id and agent.
  std::deque<std::pair<std::string, std::string>> old_offers_;
  int stale_ = 0;
  bool launch_twice_ = false;
  int flood_answers_ = 0;
  int flood_accepted_ = 0;
  io::Instant reads_again_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FRAMEWORK_H_
