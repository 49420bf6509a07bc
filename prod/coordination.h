// io::Coordination over ZooKeeper's C client, which the event loop drives: the
// single-threaded library does the protocol, the loop waits for its socket.

#ifndef QUORATE_PROD_COORDINATION_H_
#define QUORATE_PROD_COORDINATION_H_

#include <memory>

#include "io/coordination.h"
#include "prod/event_loop.h"

namespace quorate::prod {

// Servers may be names. They are looked up, in a blocking way, when a session
// begins and after each lost connection; as long as none can be found the
// session keeps trying. Destroying a connected session waits for the server to
// answer: milliseconds, or a second or two from a server that hangs.
class ZooKeeperCoordination final : public io::Coordination {
 public:
  // `loop` outlives this and all sessions.
  explicit ZooKeeperCoordination(EventLoop* loop) : loop_(loop) {}

  absl::StatusOr<std::unique_ptr<io::CoordinationSession>> Connect(
      const Options& options,
      io::CoordinationSession::Listener* listener) override;

 private:
  EventLoop* const loop_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_COORDINATION_H_
