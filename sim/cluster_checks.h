// All that is checked of a whole cluster beyond its log, in one place: feeds
// each checker with what it has to see, after every event and each second. What
// did not run has not changed, and is not looked at.

#ifndef QUORATE_SIM_CLUSTER_CHECKS_H_
#define QUORATE_SIM_CLUSTER_CHECKS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/checkers/admission.h"
#include "sim/checkers/chosen_epochs.h"
#include "sim/checkers/framework_ends.h"
#include "sim/checkers/obedience.h"
#include "sim/checkers/one_leader.h"
#include "sim/checkers/queue_bounds.h"
#include "sim/checkers/resource_books.h"
#include "sim/checkers/task_truth.h"
#include "sim/checkers/update_delivery.h"
#include "sim/framework.h"
#include "sim/node.h"
#include "sim/world.h"

namespace quorate::sim {

class ClusterChecks {
 public:
  // Between two looks at the queues.
  static constexpr io::Duration kSampleInterval = std::chrono::seconds(1);
  // With more agents what goes through a master's books as a whole is done as
  // often, and not after each change. What agents have is always checked.
  static constexpr size_t kSmallCluster = 16;

  // Both outlive the checks.
  ClusterChecks(World& world, const LogAgreement& agreement);

  // Nodes that outlive the checks; before they run.
  void Watch(MasterNode& master);
  void Watch(AgentNode& agent);
  void Watch(FrameworkNode& framework);

  void AfterEvent();
  // A master's program is over.
  void Ended(const Node& master);

  // An operator was told that this is done.
  void MarkedGone(const std::string& agent_id);
  void TornDown(const std::string& framework_id);

  // What is not as it will be when all has been quiet for long enough, in
  // words; empty when all is well. `leader` leads.
  std::string Unsettled(MasterNode& leader);

  // Whether the agent was ever marked gone.
  bool IsGone(const std::string& agent_id) const {
    return admission_.gone().count(agent_id) > 0;
  }

  TaskTruth& task_truth() { return task_truth_; }
  OneLeader& one_leader() { return one_leader_; }
  UpdateDelivery& update_delivery() { return update_delivery_; }
  ResourceBooks& resource_books() { return resource_books_; }
  QueueBounds& queue_bounds() { return queue_bounds_; }

 private:
  // What was last seen of a master or an agent.
  struct Seen {
    const void* role = nullptr;  // Of which life; never followed.
    uint64_t changes = 0;
    uint64_t epoch = 0;            // That an agent obeys.
    uint64_t checked_changes = 0;  // When a master was checked as a whole.
    io::Instant next_check;
  };
  struct WatchedMaster {
    MasterNode* node;
    Seen seen;
  };
  struct WatchedAgent {
    AgentNode* node;
    Seen seen;
    std::string id;  // The latest.
  };

  void Check(WatchedMaster& master);
  void CheckBooks(WatchedMaster& master);
  void Check(WatchedAgent& agent);
  void NoteRemovedFrameworks();
  void NoteGoneAgents();
  void CountSlowReaders(const master::Cluster& cluster);
  void SampleQueues();
  void OnWord(FrameworkNode& framework, const FrameworkNode::Word& word);

  World& world_;
  OneLeader one_leader_;
  Obedience obedience_;
  ChosenEpochs chosen_epochs_;
  TaskTruth task_truth_;
  ResourceBooks resource_books_;
  UpdateDelivery update_delivery_;
  Admission admission_;
  FrameworkEnds framework_ends_;
  QueueBounds queue_bounds_;
  uint64_t newest_epoch_ = 0;  // Of a master that led.

  std::vector<WatchedMaster> masters_;
  std::vector<WatchedAgent> agents_;
  // Which of them have run since the last event.
  std::vector<size_t> moved_masters_;
  std::vector<size_t> moved_agents_;
  std::vector<FrameworkNode*> frameworks_;
  std::map<std::string, OpenSpan> reigns_;          // By the master's name.
  std::map<std::string, std::string> agent_names_;  // By id.
  std::set<std::string> removed_frameworks_;
  std::set<std::string> noted_gone_;
  std::set<std::string> counted_slow_;
  io::Instant next_sample_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CLUSTER_CHECKS_H_
