// The agent: offers one machine's resources to the leading master, runs what
// frameworks launch there and reports on it.

#ifndef QUORATE_CORE_AGENT_AGENT_H_
#define QUORATE_CORE_AGENT_AGENT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/queue_size.h"
#include "core/election/election.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate {
class Resources;
}

namespace quorate::agent {

class Workload;

// Sees what an agent does with status updates: for the simulator's checkers.
// Ids are those of frameworks and tasks, uuids have 16 bytes.
class UpdateObserver {
 public:
  virtual ~UpdateObserver() = default;
  // The update is taken, after all that were taken of the task before; those
  // that a checkpoint held when the agent started are taken again. `durable`:
  // no crash loses it.
  virtual void OnTaken(const std::string& framework_id,
                       const std::string& task_id, const std::string& uuid,
                       bool durable) = 0;
};

struct AgentOptions {
  io::Endpoint bind;       // --ip, --port
  io::Endpoint advertise;  // default bind
  std::string hostname;    // default the advertised ip
  election::MasterLocation master;
  std::string work_dir;
  std::string runtime_dir;
  std::string launcher_dir;  // holds mesos-executor
  // Text form, complete (main adds what it detects): "cpus:2;mem:1024;...".
  std::string resources;
  std::string attributes;
  std::string default_role = "*";

  io::Duration registration_backoff_factor = std::chrono::seconds(1);
  io::Duration executor_registration_timeout = std::chrono::minutes(1);
  io::Duration executor_reregistration_timeout = std::chrono::seconds(2);
  io::Duration executor_shutdown_grace_period = std::chrono::seconds(5);
  io::Duration recovery_timeout = std::chrono::minutes(15);
  bool strict = true;     // --strict
  bool reconnect = true;  // --recover=reconnect, or cleanup
  bool switch_user = true;
  std::string boot_id;  // of the machine; another one: tasks are gone

  // Name -> value in Mesos' text forms, for /flags.
  std::map<std::string, std::string> flags;
  std::string log_file;  // served as /slave/log; empty: none

  // Outlives the agent; may be null.
  UpdateObserver* update_observer = nullptr;
};

class Agent {
 public:
  // For tests and for the simulator's checkers.
  struct View {
    std::string id;  // empty before the first registration
    bool registered = false;
    uint64_t epoch = 0;  // of the master it obeys
    struct Task {
      std::string framework_id;
      std::string task_id;
      std::string state;  // "TASK_RUNNING"
    };
    std::vector<Task> tasks;  // not terminal, or not acknowledged
  };

  // `environment` outlives the agent. Nothing happens before Start.
  Agent(io::Environment& environment, AgentOptions options);
  ~Agent();

  // Opens the port and begins to recover from work_dir; looks for a master when
  // that is done. An error is for the operator. What recovery cannot cope with
  // ("Incompatible agent info detected ...") ends the process with a message.
  absl::Status Start();

  // SIGUSR1: kill all tasks, unregister, exit 0.
  void ShutDown();

  View view() const;
  // The view's first facts, for little.
  const std::string& id() const;
  bool registered() const;
  uint64_t epoch() const;
  // What runs here, of which resources, and what waits.
  const Workload& workload() const;
  const Resources& total() const;
  std::vector<QueueSize> queues() const;
  // Ends the process when the agent contradicts itself; for simulation.
  void CheckInvariants() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_AGENT_H_
