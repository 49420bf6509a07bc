// A whole cluster in one simulated world: ZooKeeper, masters, agents and
// frameworks, each on a machine of its own, and the checkers that watch them.
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
#include <optional>
#include <string>
#include <vector>

#include "sim/checkers/log_agreement.h"
#include "sim/checkers/registry_witness.h"
#include "sim/cluster_checks.h"
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
  // Without ZooKeeper, by the masters themselves.
  bool builtin_election = false;
  // A master that leads no more stands by in its process.
  bool standby = false;
  int frameworks = 1;
  FrameworkOptions framework;  // Of each.
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
  // For the flags of programs that find each other in another way from now on.
  election::ZooKeeperUrl zookeeper_url() const;
  std::vector<io::Endpoint> master_endpoints() const;
  // The first, and all.
  FrameworkNode& framework() { return *framework_list_.front(); }
  const std::vector<FrameworkNode*>& frameworks() const {
    return framework_list_;
  }
  FrameworkNode& AnyFramework(io::Random& random) {
    return *framework_list_[random.Below(framework_list_.size())];
  }
  Network& network() { return network_; }
  Ensemble& zookeeper() { return ensemble_; }
  // Under which masters stand for leadership.
  std::string zookeeper_path() const { return zookeeper_url().path; }
  ClusterChecks& checks() { return checks_; }

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
  // Of whichever framework has that task.
  void AwaitTask(const std::string& task_id, const std::string& state,
                 io::Duration at_most);

  // When the last fault has healed the cluster serves again, within:
  //
  // * a leader: a session of ZooKeeper that expires (10 s) and one that begins,
  //   a restart, the log (10 s, docs/replicated-log.md), the registry (20 s).
  static constexpr io::Duration kLeaderBound = std::chrono::seconds(60);
  // * its agents: a silent link is noticed after five pings (75 s), a broken
  //   one after 30 s; the back-off of registration is at most a minute.
  static constexpr io::Duration kAgentsBound = std::chrono::seconds(180);
  // * a task of each framework: five missed heartbeats (75 s) and the back-off,
  //   and once more what was lost with a link that broke only now.
  static constexpr io::Duration kLaunchBound = std::chrono::seconds(240);
  // * and is at rest when the slowest repetition of a status update (10 min)
  //   has come.
  static constexpr io::Duration kSettleBound = std::chrono::minutes(11);

  // Awaits all but the last, by launching a task for each framework.
  void AwaitService();
  // Awaits that everybody agrees with everybody: what frameworks were told with
  // what runs, masters with agents, and nothing that agents have to tell is
  // left. Tasks may run; nothing may be launched meanwhile.
  void AwaitSettled();

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
  election::MasterLocation LocationOf(const ClusterOptions& options) const;
  void AddMasters(const ClusterOptions& options);
  void AddAgents(const ClusterOptions& options);
  void AddFrameworks(const ClusterOptions& options);
  // What it lacks is asked for when the time is over.
  void Await(const std::function<bool()>& condition, io::Duration at_most,
             const std::function<std::string()>& what);
  void Await(const std::function<bool()>& condition, io::Duration at_most,
             const std::string& what) {
    Await(condition, at_most, [&what] { return what; });
  }
  void AwaitLaunch(FrameworkNode& framework);
  void OnEnded(Node& node, const Process::Ended& ended);
  bool ReignExplains(const Node& node, const Process::Ended& ended) const;
  bool DiskExplains(const Node& node, const Process::Ended& ended) const;
  bool SquatterExplains(const Node& node, const Process::Ended& ended) const;
  bool MasterWasDown(const Node& but) const;
  std::string Testimony();
  std::vector<Host*> AllHosts() const;
  std::vector<Node*> AllNodes() const;

  World& world_;
  Network network_;
  LogAgreement log_agreement_;
  RegistryWitness registry_witness_;
  ClusterChecks checks_;
  std::vector<std::unique_ptr<Host>> zookeepers_;
  Ensemble ensemble_;
  std::vector<std::unique_ptr<Node>> nodes_;  // the frameworks' as well
  std::vector<MasterNode*> master_list_;
  std::vector<AgentNode*> agent_list_;
  std::vector<FrameworkNode*> framework_list_;
  AgentNode* missing_ = nullptr;  // When Registered last looked, or null.
  int probes_ = 0;
  std::optional<io::Instant> last_master_end_;
  World::Witness witness_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CLUSTER_H_
