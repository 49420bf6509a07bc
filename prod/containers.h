// io::Containers as plain processes: a container is a session, a nested one a
// process group in the session of the process that launched it.
//
// Each container has a record in a folder: which process leads it, in words
// that no later process can answer to. It is written before the program
// begins and removed when the end was seen, so that a restart finds what runs.
//
// A container ends when its first process does; the others are then killed.
// A process that leaves the session (setsid) leaves the container: only
// cgroups can hold those.

#ifndef QUORATE_PROD_CONTAINERS_H_
#define QUORATE_PROD_CONTAINERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/containers.h"
#include "prod/event_loop.h"
#include "prod/process.h"

namespace quorate::prod {

class ProcessContainers final : public io::Containers {
 public:
  // `folder` is absolute; made when a container is first asked about. Only one
  // process at a time may use it.
  ProcessContainers(EventLoop* loop, std::string folder);
  ~ProcessContainers() override;

  void Launch(const io::ContainerSpec& spec, OnLaunched done) override;
  void Wait(const std::string& id, OnExited done) override;
  absl::Status Signal(const std::string& id, int signal) override;
  void Destroy(const std::string& id) override;
  void List(OnListed done) override;

 private:
  // How soon what survives SIGKILL (in the kernel, for now) is tried again.
  static constexpr io::Duration kKillInterval = std::chrono::milliseconds(50);

  // What a record says.
  struct Leader {
    pid_t pid = 0;
    uint64_t start_time = 0;
    std::string boot_id;
    bool nested = false;
    std::string autogroup;
  };

  enum class Step {
    kForked,   // The child waits for its record to be written.
    kStarted,  // It becomes the program.
    kRunning,
    kEnding,  // The leader has ended; the rest is being killed.
    kEnded,   // A status waits for its waiter.
  };

  struct Container {
    std::string id;
    Leader leader;
    Step step = Step::kForked;
    bool is_child = false;
    UniqueFd process;
    std::unique_ptr<FdWatch> process_watch;
    io::Timer kill_again;
    OnExited waiter;
    io::ContainerExit exit;

    // While it is launched.
    Command command;
    Child child;
    std::unique_ptr<FdWatch> report_watch;
    OnLaunched on_launched;
  };

  // Reads the records, once.
  absl::Status Load();
  void Adopt(const std::string& id, const Leader& leader);
  Container* Find(const std::string& id);

  absl::Status Begin(const io::ContainerSpec& spec, OnLaunched* done);
  void OnReport(Container* container);
  void OnForked(Container* container);
  void OnStarted(Container* container);
  void OnLaunchFailed(Container* container, const absl::Status& status);

  void WatchProcess(Container* container);
  void OnLeaderEnded(Container* container);
  void KillRest(Container* container);
  void OnEnded(Container* container);

  std::vector<ProcessStat> MembersOf(const Container& container) const;
  // NotFound when there is no process of it left.
  absl::Status SignalMembers(const Container& container, int signal) const;

  std::string RecordPath(const std::string& id) const;
  absl::Status WriteRecord(const Container& container) const;
  static absl::StatusOr<Leader> ReadRecord(const std::string& path);

  // Runs `call` on the next turn of the loop, unless this goes away.
  void Defer(std::function<void()> call);

  EventLoop* const loop_;
  const std::string folder_;
  const std::string boot_id_;
  bool loaded_ = false;
  std::map<std::string, std::unique_ptr<Container>> containers_;
  uint64_t next_deferred_ = 0;
  std::map<uint64_t, io::Timer> deferred_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_CONTAINERS_H_
