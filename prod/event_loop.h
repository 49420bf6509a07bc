// The event loop of a production process: time, file descriptors, signals and
// work handed over by other threads, all on the thread that calls Run.
//
//   EventLoop loop;
//   FdWatch watch(&loop, fd, EPOLLIN, [&](uint32_t events) { ... });
//   io::Timer timer = loop.RunAfter(5s, [&] { loop.Stop(); });
//   loop.Run();
//
// Callbacks run one at a time and to completion. Each may destroy any watch,
// timer or object, its own included: what is destroyed is not called again.

#ifndef QUORATE_PROD_EVENT_LOOP_H_
#define QUORATE_PROD_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "io/clock.h"
#include "prod/posix.h"

namespace quorate::prod {

class FdWatch;

// Now() is CLOCK_BOOTTIME: it goes on while the machine is suspended, as the
// other machines' clocks do. A master that was suspended finds on waking that
// its sessions and leases have run out; CLOCK_MONOTONIC would hide that.
class EventLoop final : public io::Clock {
 public:
  // Makes this process ignore SIGPIPE: a broken stream is an error to handle.
  EventLoop();
  ~EventLoop() override;

  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  io::Instant Now() const override;
  io::WallTime WallNow() const override;

  // Runs until Stop, which makes Run return as soon as the running callback
  // has; nothing else is called. A Stop before Run counts as well.
  void Run();
  void Stop() { stopped_ = true; }

  // One turn: waits until something is due and calls it back. `between` is
  // asked after every callback; true ends the turn early.
  void RunOnce(const std::function<bool()>& between = nullptr);

  // Runs `work` on the loop, in order of the calls. The only entry for other
  // threads.
  void Post(std::function<void()> work);

  // Calls back, on the loop, for each of `signals` that arrives. They are
  // blocked for all of the process from here on: call it before other threads
  // begin. At most once.
  void HandleSignals(const std::vector<int>& signals,
                     std::function<void(int)> callback);

 protected:
  uint64_t Schedule(io::Duration delay,
                    std::function<void()> callback) override;
  void Cancel(uint64_t id) override;

 private:
  friend class FdWatch;
  using FdCallback = std::function<void(uint32_t)>;
  using TimerKey = std::pair<io::Instant, uint64_t>;  // When, then id.

  struct Watched {
    FdCallback callback;
    int epoll;  // Where it is added.
  };

  // Events that are taken from the kernel at once.
  static constexpr int kMaxEvents = 256;
  // How long the urgent ones, and the ordinary ones, may take in a turn; those
  // that are left come in the next ones.
  static constexpr io::Duration kMaxTurn = std::chrono::milliseconds(5);

  uint64_t AddFd(int fd, uint32_t events, FdCallback callback, bool urgent);
  void ModifyFd(uint64_t id, int fd, uint32_t events);
  void RemoveFd(uint64_t id, int fd);

  // The next piece of posted work; there is one.
  std::function<void()> TakePosted();
  void WaitForEvents();
  // Calls back, if that is still wanted. True when the turn is over early.
  bool RunFd(const epoll_event& event, const std::function<bool()>& between);
  // Each returns true when the turn is over early.
  bool RunPosted(const std::function<bool()>& between);
  bool RunTimers(const std::function<bool()>& between);
  bool RunUrgent(const std::function<bool()>& between);
  void RunReady(const std::function<bool()>& between);
  bool Over(const std::function<bool()>& between) const {
    return stopped_ || (between && between());
  }

  UniqueFd epoll_;
  UniqueFd urgent_epoll_;  // Which epoll_ watches, so that it wakes the loop.
  UniqueFd timer_fd_;      // Wakes the loop for the first timer.
  UniqueFd wakeup_fd_;     // Wakes the loop for posted work.
  UniqueFd signal_fd_;
  bool stopped_ = false;

  uint64_t next_id_ = 1;  // Of timers and watches; never reused.
  std::map<TimerKey, std::function<void()>> timers_;
  std::map<uint64_t, io::Instant> timer_times_;
  io::Instant armed_for_ = io::Instant::max();

  // Shared with the call in progress, so that a callback may remove itself.
  std::map<uint64_t, std::shared_ptr<Watched>> fds_;
  std::unique_ptr<FdWatch> timer_watch_, wakeup_watch_, signal_watch_;
  std::unique_ptr<FdWatch> urgent_watch_;
  // Of epoll_; not yet called back from next_ready_ on.
  std::vector<epoll_event> ready_;
  size_t next_ready_ = 0;

  std::mutex mutex_;
  // Guarded by mutex_. Invariant: wakeup_fd_ is readable while not empty.
  std::deque<std::function<void()>> posted_;
};

// Interest in a file descriptor, as long as it lives. Level-triggered: called
// back, at most once a turn, while the condition holds, and maybe a little
// after: what is done then must not block. The descriptor must stay open as
// long.
class FdWatch {
 public:
  enum class Priority {
    kOrdinary,
    kUrgent,  // Goes before them in each turn.
  };

  // `events` as in epoll_ctl(2); EPOLLERR and EPOLLHUP always count as asked
  // for. `callback` gets those that hold.
  FdWatch(EventLoop* loop, int fd, uint32_t events,
          std::function<void(uint32_t)> callback,
          Priority priority = Priority::kOrdinary)
      : loop_(loop),
        fd_(fd),
        events_(events),
        id_(loop->AddFd(fd, events, std::move(callback),
                        priority == Priority::kUrgent)) {}
  ~FdWatch() { loop_->RemoveFd(id_, fd_); }

  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  void SetEvents(uint32_t events) {
    if (events == events_) return;
    events_ = events;
    loop_->ModifyFd(id_, fd_, events);
  }

 private:
  EventLoop* const loop_;
  const int fd_;
  uint32_t events_;
  const uint64_t id_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_EVENT_LOOP_H_
