#include "prod/event_loop.h"

#include <glog/logging.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>

namespace quorate::prod {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// A century: later timers never run, and sums do not overflow.
constexpr io::Duration kLongestDelay = std::chrono::hours(24 * 365 * 100);

int64_t ReadClock(clockid_t clock) {
  timespec time;
  PCHECK(clock_gettime(clock, &time) == 0);
  return time.tv_sec * kNanosPerSecond + time.tv_nsec;
}

// Empties an eventfd or timerfd.
void Drain(int fd) {
  uint64_t count;
  if (Retry([&] { return read(fd, &count, sizeof(count)); }) < 0) {
    PCHECK(errno == EAGAIN);
  }
}

}  // namespace

EventLoop::EventLoop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      urgent_epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_fd_(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)),
      wakeup_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  PCHECK(epoll_ && urgent_epoll_ && timer_fd_ && wakeup_fd_);
  signal(SIGPIPE, SIG_IGN);
  timer_watch_ = std::make_unique<FdWatch>(this, timer_fd_.get(), EPOLLIN,
                                           [this](uint32_t) {
                                             Drain(timer_fd_.get());
                                             armed_for_ = io::Instant::max();
                                           });
  // TakePosted empties it.
  wakeup_watch_ = std::make_unique<FdWatch>(this, wakeup_fd_.get(), EPOLLIN,
                                            [](uint32_t) {});
  // RunUrgent asks it.
  urgent_watch_ = std::make_unique<FdWatch>(this, urgent_epoll_.get(), EPOLLIN,
                                            [](uint32_t) {});
}

EventLoop::~EventLoop() {
  timer_watch_.reset();
  wakeup_watch_.reset();
  urgent_watch_.reset();
  signal_watch_.reset();
  CHECK(fds_.empty()) << "a watch outlives its loop";
}

io::Instant EventLoop::Now() const {
  return io::Instant(io::Duration(ReadClock(CLOCK_BOOTTIME)));
}

io::WallTime EventLoop::WallNow() const {
  return io::WallTime(io::Duration(ReadClock(CLOCK_REALTIME)));
}

void EventLoop::Run() {
  while (!stopped_) RunOnce();
}

void EventLoop::RunOnce(const std::function<bool()>& between) {
  if (next_ready_ == ready_.size()) WaitForEvents();
  if (RunPosted(between) || RunTimers(between) || RunUrgent(between)) return;
  RunReady(between);
}

void EventLoop::WaitForEvents() {
  int timeout_ms = -1;
  if (!timers_.empty()) {
    const io::Instant first = timers_.begin()->first.first;
    if (first <= Now()) {
      timeout_ms = 0;
    } else if (first != armed_for_) {
      const int64_t nanos = first.time_since_epoch().count();
      itimerspec when = {};
      when.it_value.tv_sec = nanos / kNanosPerSecond;
      when.it_value.tv_nsec = nanos % kNanosPerSecond;
      PCHECK(timerfd_settime(timer_fd_.get(), TFD_TIMER_ABSTIME, &when,
                             nullptr) == 0);
      armed_for_ = first;
    }
  }
  ready_.resize(kMaxEvents);
  next_ready_ = 0;
  const int count =
      epoll_wait(epoll_.get(), ready_.data(), kMaxEvents, timeout_ms);
  PCHECK(count >= 0 || errno == EINTR);
  ready_.resize(std::max(count, 0));
}

std::function<void()> EventLoop::TakePosted() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::function<void()> work = std::move(posted_.front());
  posted_.pop_front();
  if (posted_.empty()) Drain(wakeup_fd_.get());
  return work;
}

bool EventLoop::RunPosted(const std::function<bool()>& between) {
  size_t left;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    left = posted_.size();
  }
  for (; left > 0; --left) {
    TakePosted()();
    if (Over(between)) return true;
  }
  return false;
}

bool EventLoop::RunTimers(const std::function<bool()>& between) {
  const io::Instant now = Now();
  // Timers made from here on wait for the next turn.
  const uint64_t end = next_id_;
  while (!timers_.empty()) {
    const auto first = timers_.begin();
    if (first->first.first > now || first->first.second >= end) break;
    timer_times_.erase(first->first.second);
    const auto timer = timers_.extract(first);
    timer.mapped()();
    if (Over(between)) return true;
  }
  return false;
}

bool EventLoop::RunFd(const epoll_event& event,
                      const std::function<bool()>& between) {
  const auto it = fds_.find(event.data.u64);
  if (it == fds_.end()) return false;  // Removed since it was reported.
  const std::shared_ptr<Watched> watched = it->second;
  watched->callback(event.events);
  return Over(between);
}

bool EventLoop::RunUrgent(const std::function<bool()>& between) {
  epoll_event events[kMaxEvents];
  const int count = epoll_wait(urgent_epoll_.get(), events, kMaxEvents, 0);
  PCHECK(count >= 0 || errno == EINTR);
  const io::Instant end = Now() + kMaxTurn;
  for (int i = 0; i < count; ++i) {
    if (RunFd(events[i], between)) return true;
    if (Now() >= end) break;  // The rest is reported again.
  }
  return false;
}

void EventLoop::RunReady(const std::function<bool()>& between) {
  const io::Instant end = Now() + kMaxTurn;
  while (next_ready_ < ready_.size()) {
    if (RunFd(ready_[next_ready_++], between) || Now() >= end) return;
  }
}

void EventLoop::Post(std::function<void()> work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (posted_.empty()) PCHECK(eventfd_write(wakeup_fd_.get(), 1) == 0);
  posted_.push_back(std::move(work));
}

uint64_t EventLoop::Schedule(io::Duration delay,
                             std::function<void()> callback) {
  const uint64_t id = next_id_++;
  const io::Instant when =
      Now() + std::clamp(delay, io::Duration::zero(), kLongestDelay);
  timers_.emplace(TimerKey(when, id), std::move(callback));
  timer_times_.emplace(id, when);
  return id;
}

void EventLoop::Cancel(uint64_t id) {
  const auto it = timer_times_.find(id);
  if (it == timer_times_.end()) return;
  // Destroyed last: what the callback holds may cancel timers, too.
  const auto timer = timers_.extract(TimerKey(it->second, id));
  timer_times_.erase(it);
}

uint64_t EventLoop::AddFd(int fd, uint32_t events, FdCallback callback,
                          bool urgent) {
  const uint64_t id = next_id_++;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id;
  const int epoll = urgent ? urgent_epoll_.get() : epoll_.get();
  PCHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  fds_.emplace(id,
               std::make_shared<Watched>(Watched{std::move(callback), epoll}));
  return id;
}

void EventLoop::ModifyFd(uint64_t id, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = id;
  PCHECK(epoll_ctl(fds_.at(id)->epoll, EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::RemoveFd(uint64_t id, int fd) {
  const auto watched = fds_.extract(id);
  PCHECK(epoll_ctl(watched.mapped()->epoll, EPOLL_CTL_DEL, fd, nullptr) == 0);
}

void EventLoop::HandleSignals(const std::vector<int>& signals,
                              std::function<void(int)> callback) {
  CHECK(!signal_fd_);
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  PCHECK(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
  signal_fd_.reset(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  PCHECK(signal_fd_);
  signal_watch_ = std::make_unique<FdWatch>(
      this, signal_fd_.get(), EPOLLIN,
      [this, callback = std::move(callback)](uint32_t) {
        signalfd_siginfo info;
        if (read(signal_fd_.get(), &info, sizeof(info)) == sizeof(info)) {
          callback(static_cast<int>(info.ssi_signo));
        }
      });
}

}  // namespace quorate::prod
