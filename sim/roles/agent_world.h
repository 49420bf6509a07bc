// A simulated agent with real executors and a scripted master, for tests of
// the agent and the command executor.

#ifndef QUORATE_SIM_ROLES_AGENT_WORLD_H_
#define QUORATE_SIM_ROLES_AGENT_WORLD_H_

#include <memory>
#include <string>
#include <vector>

#include "core/agent/agent.h"
#include "core/api/mesos.pb.h"
#include "core/http/client.h"
#include "core/wire/agent.pb.h"
#include "core/wire/port.h"
#include "sim/containers.h"
#include "sim/executor_program.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {

// What the master says, and what it was told; outlives its processes.
struct MasterScript {
  uint64_t epoch = 1;
  std::string cluster_id = std::string(16, 'c');
  std::string agent_id = "master-S0";
  bool answers = true;       // to registrations
  bool acknowledges = true;  // updates
  bool pings = true;

  std::vector<wire::AgentMessage> received;
  // Of updates, in order, without repetitions.
  std::vector<mesos::v1::TaskStatus> updates;
  int repetitions = 0;
};

class ScriptedMaster final : public Program, private wire::Link::Listener {
 public:
  ScriptedMaster(io::Environment& environment, MasterScript* script);

  // Fills in the reign.
  void Send(wire::AgentMessage message);
  bool connected() const { return link_ != nullptr; }
  wire::Reign Reign() const;
  io::Environment& environment() { return environment_; }

 private:
  void OnMessage(absl::string_view payload) override;
  void OnClosed(const absl::Status& reason) override;
  void OnUpdate(const wire::StatusUpdate& update);
  void Ping();

  io::Environment& environment_;
  MasterScript& script_;
  std::unique_ptr<wire::Port> port_;
  std::unique_ptr<wire::Link> link_;
  io::Timer ping_;
};

class AgentWorld {
 public:
  explicit AgentWorld(uint64_t seed);

  void StartMaster();
  void StartAgent();
  // Starts both and waits for the registration.
  void Begin();
  ScriptedMaster& master();
  agent::Agent* agent();

  // A task that runs `script` of the simulated shell.
  void Launch(const std::string& task_id, const std::string& script);
  void Kill(const std::string& task_id);
  mesos::v1::FrameworkInfo Framework() const;

  bool RunUntil(const std::function<bool()>& condition,
                io::Duration at_most = std::chrono::seconds(30)) {
    return world.RunUntil(condition, at_most);
  }
  bool AwaitRegistered();
  // Whether the master was told of this state, now or within the time.
  bool AwaitState(const std::string& task_id, mesos::v1::TaskState state,
                  io::Duration at_most = std::chrono::seconds(30));
  std::vector<std::string> States(const std::string& task_id) const;
  mesos::v1::TaskStatus Last(const std::string& task_id) const;

  // An HTTP exchange with the agent, from the master's host.
  http::Response Exchange(http::Request request);

  World world;
  Network network;
  Host master_host;
  Host agent_host;
  MasterScript script;
  agent::AgentOptions options;
  bool checkpoint = true;             // of the framework
  ExecutorFaults executor_faults;     // of those that start from now on
  std::vector<std::string> commands;  // as they were started
  Process* master_process = nullptr;
  Process* agent_process = nullptr;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ROLES_AGENT_WORLD_H_
