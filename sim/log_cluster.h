// The replicated log alone: replicas on hosts of their own, and a client that
// appends through whichever leads.

#ifndef QUORATE_SIM_LOG_CLUSTER_H_
#define QUORATE_SIM_LOG_CLUSTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/log/log_node.h"
#include "sim/checkers/log_agreement.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {

class LogReplica;

class LogCluster {
 public:
  LogCluster(World& world, int replicas);
  ~LogCluster();

  int size() const { return static_cast<int>(hosts_.size()); }
  Host& host(int i) { return *hosts_[i]; }
  // The process of that replica; it may have ended.
  Process& process(int i) { return *processes_[i]; }
  // Null while it is down.
  log::LogNode* node(int i);
  Network& network() { return network_; }
  LogAgreement& agreement() { return agreement_; }

  void Start(int i);
  void Kill(int i) { processes_[i]->Kill(); }
  void LosePower(int i) { hosts_[i]->LosePower(); }
  bool up(int i) const;
  // Nothing goes from one to the other, in either direction.
  void Cut(int i, int j);
  // Ends all disturbances: links are whole, every replica runs.
  void HealAll();

  // Asks a replica to lead, unless it does or tries already.
  void Elect(int i);
  // Which replicas lead, by their own word.
  std::vector<int> Leaders();
  // Appends at that replica if it leads; the outcome goes to the checker.
  void Append(int i);
  uint64_t acknowledged() const { return agreement_.acknowledged(); }
  // Every running replica has learned what any has.
  bool Converged();

 private:
  World& world_;
  Network network_;
  LogAgreement agreement_;
  uint64_t next_payload_ = 0;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<Process*> processes_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_LOG_CLUSTER_H_
