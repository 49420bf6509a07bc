// A whole cluster in the simulated world: ZooKeeper, masters, agents and one
// framework, each a process on a host of its own.
//
//   Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2});
//   EXPECT_SOON(c.leader() >= 0, 30s);
//   c.framework().Launch("t", "sleep 60");
//   c.KillMaster(c.leader());
//
// Checkers run after every event: two masters never act in one epoch, no agent
// obeys an older epoch than it has, no agent starts a task twice, and every
// role's own invariants hold.

#ifndef QUORATE_SIM_CLUSTER_H_
#define QUORATE_SIM_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/agent/agent.h"
#include "core/master/master.h"
#include "sim/coordination.h"
#include "sim/framework.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {

struct ClusterOptions {
  int masters = 3;
  int quorum = 2;
  int agents = 2;
  int zookeepers = 3;
};

// One host with the process that matters on it.
struct Node {
  std::unique_ptr<Host> host;
  Process* process = nullptr;
  int boots = 1;

  bool up() const { return process != nullptr && process->alive(); }
};

class Cluster {
 public:
  // Everything is started. `world` outlives the cluster.
  Cluster(World& world, ClusterOptions options);
  ~Cluster();

  Network& network() { return network_; }
  Ensemble& zookeeper() { return *ensemble_; }
  Framework& framework() { return *framework_; }
  int masters() const { return static_cast<int>(masters_.size()); }
  int agents() const { return static_cast<int>(agents_.size()); }
  Node& master(int i) { return masters_[i]; }
  Node& agent(int i) { return agents_[i]; }

  // Of a running process; null otherwise.
  master::Master* MasterRole(int i);
  agent::Agent* AgentRole(int i);

  // The master that acts as leader; of several the one of the newest epoch;
  // -1 when none does.
  int leader();
  // All agents are registered and connected there, and know it.
  bool Registered(int master);
  // Agent index -> id, "" for none yet.
  std::vector<std::string> AgentIds();
  // The agent whose id this is; -1 for none.
  int AgentWithId(const std::string& id);
  // Whether every master that ended by itself did so for losing leadership.
  int exits_for_lost_leadership() const { return lost_leadership_; }

  // SIGKILL.
  void KillMaster(int i) { masters_[i].process->Kill(); }
  void KillAgent(int i) { agents_[i].process->Kill(); }
  // After an end, as a supervisor would; also boots the host.
  void StartMaster(int i);
  void StartAgent(int i);
  // Restarts, a moment later, every master that ends, as a supervisor does.
  void SuperviseMasters() { supervised_ = true; }

  // Cuts every link between the two sides, both ways, by ip.
  void Cut(const std::vector<std::string>& side,
           const std::vector<std::string>& other);
  void Heal() { network_.MendAll(); }
  std::string ip(const Node& node) const { return node.host->ip(); }
  // The ips of all hosts but these.
  std::vector<std::string> AllBut(const std::vector<std::string>& ips) const;

 private:
  void CheckAll();
  void CheckEpochs();
  void CheckAgents();
  std::string ZooKeeperServer() const;

  World& world_;
  Network network_;
  std::vector<std::unique_ptr<Host>> zookeepers_;
  std::unique_ptr<Ensemble> ensemble_;
  const ClusterOptions options_;
  std::vector<Node> masters_;
  std::vector<Node> agents_;
  std::unique_ptr<Host> framework_host_;
  std::unique_ptr<Framework> framework_;
  bool supervised_ = false;
  int lost_leadership_ = 0;

  std::map<uint64_t, std::string> epoch_holders_;  // epoch -> master id
  std::vector<uint64_t> obeyed_epochs_;            // of each agent
  std::map<std::string, int> launches_;            // agent and task
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CLUSTER_H_
