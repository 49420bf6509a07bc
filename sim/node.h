// A machine of a simulated cluster, and the program that matters on it: a
// master, an agent, or a framework.
//
//   MasterNode& master = cluster.AwaitLeader(30s);
//   master.Kill();
//   master.Restart();
//
// Between the lives of the program the machine's disk stays.

#ifndef QUORATE_SIM_NODE_H_
#define QUORATE_SIM_NODE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/agent/agent.h"
#include "core/election/master_url.h"
#include "core/master/master.h"
#include "core/wire/link.h"
#include "sim/executor_program.h"
#include "sim/machine.h"

namespace quorate::sim {

inline constexpr uint16_t kMasterPort = 5050;

class Ensemble;

class Node : public Host {
 public:
  // `ensemble` outlives the node. Nothing runs before Restart.
  Node(World& world, Network& network, Ensemble& ensemble, std::string name,
       std::string ip);
  ~Node() override;

  // Starts the program, again if it has ended, as a supervisor would; boots a
  // machine that has no power. Nothing happens while the program runs.
  void Restart();
  // From now on the program is started again so long after each of its ends.
  void Supervise(io::Duration after) { restart_after_ = after; }

  // No effect when the program does not run.
  void Kill();
  void Pause();
  void PauseFor(io::Duration time);
  void Resume();
  // The program dies at its n-th disk call from now; its machine with it when
  // `power`.
  void DieAtDiskCall(uint64_t n, bool power);
  // As Process::SetSlowLoop; only of this life.
  void SetSlowLoop(io::Duration at_most);

  // That of the program's latest life; null before the first.
  Process* process() { return process_; }
  bool running() const { return process_ != nullptr && process_->alive(); }
  bool paused() const { return running() && process_->paused(); }
  // How the program last ended; nothing while it runs.
  std::optional<Process::Ended> ended() const;
  // Whether it has ended by itself, with that code.
  bool Exited(int code) const;

  // Whether the program has run since this was last asked, and still does.
  bool HasMoved();

  // From the next start on: the versions that its release speaks.
  void SetProtocol(const wire::Versions& protocol) { protocol_ = protocol; }

  // Told of each end of the program.
  std::function<void(Node& node, const Process::Ended& ended)> on_ended;

 protected:
  virtual ProgramFactory MakeFactory() = 0;
  // The next start is one with other flags.
  void NoteOtherFlags() { other_flags_ = true; }
  const wire::Versions& protocol() const { return protocol_; }
  // Null when it does not run.
  Program* program();
  // Of the machine's current boot, unique.
  std::string BootId() const;

 private:
  void CountRestart();

  Process* process_ = nullptr;
  int boots_ = 1;
  bool other_flags_ = false;
  wire::Versions protocol_;
  wire::Versions last_protocol_;  // of the latest start
  uint64_t seen_turns_ = 0;
  std::optional<io::Duration> restart_after_;
};

class MasterNode final : public Node {
 public:
  MasterNode(World& world, Network& network, Ensemble& ensemble,
             std::string name, std::string ip, master::MasterOptions options);

  // Where the others look for it.
  const io::Endpoint& address() const { return options_.advertise; }
  // From the next start on.
  void ChangeFlags(const std::function<void(master::MasterOptions&)>& change);
  // One more master on the work_dir of this one, at another port: an operator
  // has started it twice.
  Process& StartSecond();

  // Null when it does not run.
  master::Master* role();
  // It may act as leader, as far as it knows.
  bool leads();
  uint64_t epoch();

 private:
  ProgramFactory MakeFactory() override;

  master::MasterOptions options_;
};

class AgentNode final : public Node {
 public:
  AgentNode(World& world, Network& network, Ensemble& ensemble,
            std::string name, std::string ip, agent::AgentOptions options);

  // Where the others look for it.
  const io::Endpoint& address() const { return options_.advertise; }
  // From the next start on.
  void ChangeFlags(const std::function<void(agent::AgentOptions&)>& change);
  // As MasterNode's.
  Process& StartSecond();

  // Null when it does not run.
  agent::Agent* role();
  // Of the executors that start from now on.
  ExecutorFaults executor_faults;

  // Of its latest registration, in this or an earlier life; empty before.
  const std::string& id();

 private:
  ProgramFactory MakeFactory() override;

  agent::AgentOptions options_;
  std::string id_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_NODE_H_
