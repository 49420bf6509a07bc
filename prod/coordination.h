// io::Coordination over ZooKeeper's C client, which the event loop drives: the
// single-threaded library does the protocol, the loop waits for its socket.

#ifndef QUORATE_PROD_COORDINATION_H_
#define QUORATE_PROD_COORDINATION_H_

#include <memory>
#include <set>

#include "io/coordination.h"
#include "prod/event_loop.h"
#include "prod/resolver.h"

namespace quorate::prod {

class ZooKeeperSession;

// Servers may be names. They are looked up when a session begins and while it
// has no connection, and the loop goes on meanwhile; as long as none is found
// the session keeps trying. The addresses that a name had before are tried at
// once. Destroying a connected session waits for the server to answer:
// milliseconds, or a second or two from a server that hangs.
class ZooKeeperCoordination final : public io::Coordination {
 public:
  // `loop` outlives this and all sessions.
  explicit ZooKeeperCoordination(EventLoop* loop,
                                 LookUpHost look_up = &LookUpAddresses);
  ~ZooKeeperCoordination() override;

  absl::StatusOr<std::unique_ptr<io::CoordinationSession>> Connect(
      const Options& options,
      io::CoordinationSession::Listener* listener) override;

  // Says good-bye to the servers: nothing else comes of any session. For a
  // process that ends without destroying them.
  void CloseSessions();

 private:
  EventLoop* const loop_;
  // Shared with the sessions.
  const std::shared_ptr<Resolver> resolver_;
  const std::shared_ptr<std::set<ZooKeeperSession*>> sessions_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_COORDINATION_H_
