// What a program tells systemd, if that has started it (sd_notify(3)): that it
// serves, that it stops, and, when the unit says WatchdogSec=, now and then
// that its event loop turns. A loop that hangs says nothing, and the program is
// started again.
//
//   SystemdNotifier systemd(&loop, EnvironmentVariables());
//   ... start the role ...
//   systemd.Ready();

#ifndef QUORATE_PROD_SYSTEMD_H_
#define QUORATE_PROD_SYSTEMD_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "io/clock.h"
#include "prod/event_loop.h"
#include "prod/posix.h"

namespace quorate::prod {

class SystemdNotifier {
 public:
  // Takes NOTIFY_SOCKET and WATCHDOG_USEC from `environment`; without them does
  // nothing. They are removed from this process' own: they are not for its
  // children. `loop` outlives it.
  SystemdNotifier(EventLoop* loop,
                  const std::map<std::string, std::string>& environment);

  // It serves. From now on the watchdog is fed.
  void Ready();
  // It ends, as it was told to.
  void Stopping();

 private:
  void Feed();
  void Send(absl::string_view message);

  EventLoop* const loop_;
  std::string address_;      // empty: nobody listens
  io::Duration interval_{};  // zero: no watchdog
  UniqueFd socket_;
  io::Timer timer_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_SYSTEMD_H_
