// A whole cluster in one simulated world: ZooKeeper, masters, agents and a
// framework, each on a machine of its own, and the checkers that watch them.
//
//   Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
//   MasterNode& old = c.AwaitLeader(60s);
//   c.Cut({old}, c.Others(old));
//   MasterNode& next = c.AwaitLeaderOtherThan(old, 60s);
//   c.Heal();
//   c.AwaitRegistered(next, 60s);
//
// What is awaited and does not come fails the run. After a failure time stands
// still and the rest of the story does nothing, so that stories need not ask.

#ifndef QUORATE_SIM_CLUSTER_H_
#define QUORATE_SIM_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/checkers/chosen_epochs.h"
#include "sim/checkers/log_agreement.h"
#include "sim/checkers/obedience.h"
#include "sim/checkers/one_leader.h"
#include "sim/checkers/registry_witness.h"
#include "sim/checkers/task_truth.h"
#include "sim/coordination.h"
#include "sim/framework.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/world.h"

namespace quorate::sim {

struct ClusterOptions {
  int masters = 3;
  int quorum = 2;
  int agents = 2;
  int zookeepers = 3;
  NetworkOptions network;
};

class Cluster {
 public:
  // Hosts on one side of a cut.
  using Side = std::vector<std::reference_wrapper<const Host>>;

  // Everything is started. `world` outlives the cluster.
  Cluster(World& world, ClusterOptions options);
  ~Cluster();

  const std::vector<MasterNode*>& masters() const { return master_list_; }
  const std::vector<AgentNode*>& agents() const { return agent_list_; }
  const std::vector<Host*>& zookeepers() const { return ensemble_.servers(); }
  FrameworkNode& framework() { return *framework_; }
  Network& network() { return network_; }
  Ensemble& zookeeper() { return ensemble_; }

  // The master that leads; of several, all but one of which have yet to find
  // out, that of the newest epoch. Null when none does.
  MasterNode* Leader();
  // Whether every agent is registered with `master` and knows it.
  bool Registered(MasterNode& master);
  // The agent with that id, in this or an earlier life; null for none.
  AgentNode* AgentWithId(const std::string& id);
  std::vector<std::string> AgentIds();

  // The result is arbitrary if the run has failed.
  MasterNode& AwaitLeader(io::Duration at_most);
  MasterNode& AwaitLeaderOtherThan(const MasterNode& old, io::Duration at_most);
  void AwaitRegistered(MasterNode& master, io::Duration at_most);
  // With whoever leads then.
  void AwaitRegistered(io::Duration at_most);
  void AwaitExit(const Node& node, int code, io::Duration at_most);
  void AwaitTask(const std::string& task_id, const std::string& state,
                 io::Duration at_most);

  // No link between the two sides carries anything, in either direction.
  void Cut(const Side& side, const Side& other);
  // What `from` sends does not arrive at `to`.
  void CutOneWay(const Side& from, const Side& to);
  void Heal() { network_.MendAll(); }
  // All hosts but these.
  Side Others(const Side& side) const;
  Side Others(const Host& host) const { return Others(Side{host}); }

  // Starts every program that ends again, a moment later.
  void Supervise();
  // Ends all disturbances: links are whole, everything has power and runs.
  void EndDisturbances();

 private:
  std::vector<Host*> MakeZooKeepers(int count);
  void Add(MasterNode* master);
  void Add(AgentNode* agent);
  void Await(const std::function<bool()>& condition, io::Duration at_most,
             const std::string& what);
  void OnEnded(Node& node, const Process::Ended& ended);
  void CheckAll();
  std::vector<Host*> AllHosts() const;
  std::vector<Node*> AllNodes() const;

  World& world_;
  Network network_;
  OneLeader one_leader_;
  Obedience obedience_;
  TaskTruth task_truth_;
  LogAgreement log_agreement_;
  ChosenEpochs chosen_epochs_;
  RegistryWitness registry_witness_;
  std::vector<std::unique_ptr<Host>> zookeepers_;
  Ensemble ensemble_;
  const election::ZooKeeperUrl zk_;
  std::vector<std::unique_ptr<Node>> nodes_;  // the framework's as well
  std::vector<MasterNode*> master_list_;
  std::vector<AgentNode*> agent_list_;
  FrameworkNode* framework_ = nullptr;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CLUSTER_H_
