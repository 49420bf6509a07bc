// The master: one process of the cluster's control plane. It contends for
// leadership; the one that leads hands out the agents' resources as offers.

#ifndef QUORATE_CORE_MASTER_MASTER_H_
#define QUORATE_CORE_MASTER_MASTER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/queue_size.h"
#include "core/base/version.h"
#include "core/election/master_url.h"
#include "core/master/rate_limiter.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate::log {
class LogObserver;
}
namespace quorate::registry {
class RegistryObserver;
class RegistryState;
}  // namespace quorate::registry

namespace quorate::master {

class Cluster;

// What a leading master does that may not lead any more.
enum class LostLeadership {
  kExit,  // With io::kExitLostLeadership; its supervisor starts it again.
  kStandby,
};

struct MasterOptions {
  io::Endpoint bind;       // --ip, --port
  io::Endpoint advertise;  // --advertise_ip, --advertise_port; default bind
  std::string hostname;    // --hostname; default the advertised ip
  std::string work_dir;    // log and registry live below
  // The masters, with this one, elect a leader among themselves; a leader is
  // also announced in ZooKeeper, if that is given.
  std::vector<io::Endpoint> masters;
  // Without `masters`: ZooKeeper elects. Without both: standalone, quorum 1.
  std::optional<election::ZooKeeperUrl> zk;
  io::Duration zk_session_timeout = std::chrono::seconds(10);
  int quorum = 1;
  LostLeadership on_lost_leadership = LostLeadership::kExit;
  bool log_auto_initialize = true;
  // Whether a master that does not lead passes requests on to the leader, and
  // does not redirect them.
  bool proxy_to_leader = false;
  std::string cluster;  // a name for people

  io::Duration registry_fetch_timeout = std::chrono::minutes(1);
  io::Duration registry_store_timeout = std::chrono::seconds(20);
  io::Duration agent_ping_timeout = std::chrono::seconds(15);
  int max_agent_ping_timeouts = 5;
  io::Duration agent_reregister_timeout = std::chrono::minutes(10);
  // In percent of the agents that a new leader finds in the registry.
  double recovery_agent_removal_limit = 50;
  // Of agents whose tasks a framework takes for lost when they are unreachable,
  // and of all.
  std::optional<RateLimit> agent_removal_rate_limit;
  std::optional<RateLimit> agent_unreachable_rate_limit;
  // Of agents that are unreachable or gone.
  io::Duration registry_gc_interval = std::chrono::minutes(15);
  io::Duration registry_max_agent_age = std::chrono::hours(24 * 14);
  size_t registry_max_agent_count = 102400;
  io::Duration allocation_interval = std::chrono::seconds(1);
  std::optional<io::Duration> offer_timeout;
  size_t max_completed_frameworks = 50;
  size_t max_completed_tasks_per_framework = 1000;
  bool root_submissions = true;

  // Name -> value as given or by default, in Mesos' text forms, for /flags.
  std::map<std::string, std::string> flags;
  std::string log_file;  // served as /master/log; empty: none

  // As in log::LogOptions; also with agents.
  wire::Versions protocol;
  // Of the replicated log; outlives the master; may be null.
  log::LogObserver* log_observer = nullptr;
  // Of the registry; the same.
  registry::RegistryObserver* registry_observer = nullptr;
  // What the log sets aside on disk, as in log::LogOptions; 0: its default.
  uint64_t log_segment_bytes = 0;
  uint64_t log_reserve_bytes = 0;
};

using quorate::kVersion;

class Master {
 public:
  // Counts and facts for tests and for the simulator's checkers.
  struct View {
    bool elected = false;  // leads and has finished recovery
    uint64_t epoch = 0;
    std::string id;
    std::string election_problem;  // as in Standing
    // Agent id -> registered and connected.
    std::map<std::string, bool> agents;
  };

  // `environment` outlives the master. Nothing happens before Start.
  Master(io::Environment& environment, MasterOptions options);
  ~Master();

  // Opens the port and begins to contend. An error is for the operator.
  absl::Status Start();

  View view() const;
  // The view's first facts, for little.
  bool leads() const;
  uint64_t epoch() const;
  const std::string& id() const;
  // What this master knows, and the registry as far as it has folded it.
  const Cluster& cluster() const;
  const registry::RegistryState& registry() const;
  // What waits in this master, each with its limit.
  std::vector<QueueSize> queues() const;

  // Ends the process when the master's books do not agree with each other:
  // resources held twice, tasks without an agent. For simulations.
  void CheckInvariants() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_MASTER_H_
