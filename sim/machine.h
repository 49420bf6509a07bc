// Hosts and the processes on them.
//
// A host has an address and a disk that survives. A process is a program in
// an environment of its own. It ends by its own Exit, by Kill (its memory is
// lost, the disk keeps everything), or with its host by a power loss (what was
// not synced is uncertain). However it ends, the program object is destroyed
// between two events, and nothing of it runs afterwards.
//
//   host.clock().JumpWall(-1h);      // faults, besides those of its disk
//   host.Suspend();                  // and Wake
//   process.Pause();                 // and Resume
//   process.SetSlowLoop(50ms);       // and zero

#ifndef QUORATE_SIM_MACHINE_H_
#define QUORATE_SIM_MACHINE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/environment.h"
#include "sim/file_system.h"
#include "sim/host_clock.h"
#include "sim/world.h"

namespace quorate::sim {

class Ensemble;
class HostContainers;
class Network;
class Process;

// Anything that runs in a process: its constructor begins, its destructor is
// the end.
class Program {
 public:
  virtual ~Program() = default;
};
using ProgramFactory =
    std::function<std::unique_ptr<Program>(io::Environment&)>;

class Host {
 public:
  // `network` and `world` outlive the host.
  Host(World& world, Network& network, std::string name, std::string ip);
  virtual ~Host();

  const std::string& name() const { return name_; }
  const std::string& ip() const { return ip_; }
  World& world() { return world_; }
  Network& network() { return network_; }
  FileSystem& files() { return files_; }
  HostContainers& containers() { return *containers_; }
  HostClock& clock() { return clock_; }
  // It has power and does not sleep.
  bool up() const { return up_ && !asleep_; }
  bool asleep() const { return asleep_; }
  // All that ever ran here, oldest first.
  const std::vector<std::unique_ptr<Process>>& processes() const {
    return processes_;
  }

  // The host's coordination service; null until set.
  Ensemble* ensemble = nullptr;
  // Added to the time of every disk call here that begins before `until`, in
  // virtual time: a lane works its calls off one after the other.
  io::Duration disk_stall{};
  io::Duration disk_stall_until = io::Duration::max();
  // Called when something begins to run here.
  std::function<void()> on_turn;

  // Starts a program under a name that is unique among the running processes
  // of this host. The host keeps the process, also after its end.
  Process& Start(const std::string& name, ProgramFactory factory);

  // Every process and container is gone at once, without a word to anybody,
  // and unsynced data is up to the seed. The host stays down until Boot.
  void LosePower();
  // Also wakes it.
  void Boot();
  // Everything here ends at once, for good: the end of the world, no fault.
  void TurnOff();

  // Nothing runs here and nothing is answered, until Wake; then everything
  // goes on with the memory that it had, as after Process::Pause, but for the
  // monotonic clock, which has stood still. No effect without power.
  void Suspend();
  void Wake();

 private:
  World& world_;
  Network& network_;
  const std::string name_;
  const std::string ip_;
  std::unique_ptr<io::Random> random_;
  FileSystem files_;
  HostClock clock_;
  bool up_ = true;
  bool asleep_ = false;
  uint64_t started_ = 0;
  std::vector<std::unique_ptr<Process>> processes_;
  std::unique_ptr<HostContainers> containers_;
};

class Process final : public io::Environment {
 public:
  struct Ended {
    int code = 0;
    std::string message;
    bool killed = false;  // From outside, not by its own Exit.
  };

  Process(Host& host, std::string name, uint64_t number);
  ~Process() override;

  void Begin(ProgramFactory factory);

  const std::string& name() const { return name_; }
  Host& host() { return host_; }
  World& world() const { return host_.world(); }
  Program* program() { return program_.get(); }
  bool alive() const { return alive_; }
  const std::optional<Ended>& ended() const { return ended_; }
  // Told once, when the process has ended.
  std::function<void(const Ended&)> on_ended;

  // SIGKILL. Its peers see their connections reset. From inside the process
  // itself it takes effect when the running callback returns.
  void Kill();
  // The same by whoever started it, which is no fault.
  void Terminate();
  // As Kill, but nobody hears of it: for the loss of power.
  void Vanish();
  // A paused process runs nothing; what would have run does so, in order,
  // when it is resumed.
  void Pause();
  void Resume();
  // By Pause, or with its host.
  bool paused() const { return paused_ || host_.asleep(); }
  // Each callback runs late by up to that much, all in their order. With zero
  // those that are waiting run at once.
  void SetSlowLoop(io::Duration at_most);
  // How many callbacks of it have run.
  uint64_t turns() const { return turns_; }

  // The process dies at its n-th disk call from now, counted from 1, and that
  // call and all later ones fail. With `power` its host loses power.
  void DieAtDiskCall(uint64_t n, bool power);

  // Runs `callback` in this process now; if it is paused, when it is resumed;
  // if it is slow, later; if it has ended, never.
  void Run(std::function<void()> callback);
  // The same, that much later. The result is for World::Cancel.
  uint64_t Later(io::Duration delay, const char* kind,
                 std::function<void()> callback);

  // The random stream of the process' surroundings, not of its program.
  io::Random& fate() { return *fate_; }
  // False while nothing may leave it any more.
  bool can_speak() const { return alive_ || dying_loudly_; }

  io::Clock& clock() override;
  io::Network& network() override;
  io::Disk& disk() override;
  io::Random& random() override { return *random_; }
  io::Coordination& coordination() override;
  io::Containers& containers() override;
  std::unique_ptr<io::Lane> NewLane(absl::string_view name) override;
  void Exit(int code, absl::string_view message) override;

 private:
  friend class Host;
  class VirtualClock;
  class VirtualDisk;
  class VirtualLane;

  // What a pause holds up, and its end.
  void Defer(std::function<void()> callback);
  void Stop() { stopped_at_ = world().now(); }
  void Continue();
  void RunLate(std::function<void()> callback);
  void RunFirstLate();
  void RunNow(std::function<void()> callback);
  void End(Ended ended, bool loudly);
  absl::Status OnDiskCall(io::Duration cost);

  Host& host_;
  const std::string name_;
  bool alive_ = true;
  bool dying_loudly_ = false;
  bool running_ = false;  // Inside a callback.
  uint64_t turns_ = 0;
  bool paused_ = false;
  std::optional<Ended> ending_;  // When the running callback returns.
  bool ending_host_ = false;     // With it, the host loses power.
  std::optional<Ended> ended_;
  io::Instant stopped_at_;
  std::deque<std::function<void()>> deferred_;
  io::Duration slow_loop_{};
  bool slowness_counted_ = false;
  std::unique_ptr<io::Random> slow_random_;  // Null before it is needed.
  std::deque<std::function<void()>> late_;
  io::Instant last_late_;  // When the last one of them is due.
  uint64_t dies_at_disk_call_ = 0;
  bool dies_with_host_ = false;
  io::Duration disk_cost_{};  // Of the work that a lane runs.

  std::unique_ptr<io::Random> random_;
  std::unique_ptr<io::Random> fate_;
  std::unique_ptr<VirtualClock> clock_;
  std::unique_ptr<VirtualDisk> disk_;
  std::unique_ptr<io::Network> network_;
  std::unique_ptr<io::Coordination> coordination_;
  std::unique_ptr<io::Containers> containers_;
  std::unique_ptr<Program> program_;
  // False once the process has ended; for callbacks that come too late.
  std::shared_ptr<bool> life_ = std::make_shared<bool>(true);
};

// The process whose callback runs now, null between events: for log lines.
const Process* RunningProcess();

}  // namespace quorate::sim

#endif  // QUORATE_SIM_MACHINE_H_
