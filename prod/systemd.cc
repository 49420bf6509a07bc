#include "prod/systemd.h"

#include <glog/logging.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"

namespace quorate::prod {
namespace {

// Of the time that systemd waits: one that is late is no hang.
constexpr int kFeedsPerTimeout = 3;

std::string Lookup(const std::map<std::string, std::string>& environment,
                   const std::string& name) {
  auto variable = environment.find(name);
  return variable == environment.end() ? "" : variable->second;
}

}  // namespace

SystemdNotifier::SystemdNotifier(
    EventLoop* loop, const std::map<std::string, std::string>& environment)
    : loop_(loop), address_(Lookup(environment, "NOTIFY_SOCKET")) {
  int64_t watchdog_us = 0;
  pid_t watched = getpid();
  const std::string pid = Lookup(environment, "WATCHDOG_PID");
  const bool ours =
      pid.empty() || (absl::SimpleAtoi(pid, &watched) && watched == getpid());
  if (ours &&
      absl::SimpleAtoi(Lookup(environment, "WATCHDOG_USEC"), &watchdog_us)) {
    interval_ = std::chrono::microseconds(watchdog_us) / kFeedsPerTimeout;
  }
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    unsetenv(name);
  }
  if (address_.empty()) return;
  socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_ || address_.size() >= sizeof(sockaddr_un::sun_path)) {
    LOG(WARNING) << "cannot tell systemd anything at " << address_;
    address_.clear();
  }
}

void SystemdNotifier::Ready() {
  Send("READY=1");
  if (interval_ > io::Duration::zero()) Feed();
}

void SystemdNotifier::Stopping() { Send("STOPPING=1"); }

void SystemdNotifier::Feed() {
  Send("WATCHDOG=1");
  timer_ = loop_->RunAfter(interval_, [this] { Feed(); });
}

void SystemdNotifier::Send(absl::string_view message) {
  if (address_.empty()) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  // An abstract one.
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // Never waits: a systemd that is busy will hear the next one.
  if (sendto(socket_.get(), message.data(), message.size(),
             MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to),
             size) < 0) {
    PLOG(WARNING) << "cannot tell systemd " << message;
  }
}

}  // namespace quorate::prod
