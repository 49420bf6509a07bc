// io::Network over TCP.

#ifndef QUORATE_PROD_NETWORK_H_
#define QUORATE_PROD_NETWORK_H_

#include <memory>

#include "io/network.h"
#include "prod/event_loop.h"

namespace quorate::prod {

// `loop` must outlive the network, and the network all that it gives out.
//
// A peer that is silent although data waits for it, or although it is asked
// for a sign of life, is found within about a minute; so is one that takes no
// data for that long while its window is closed.
class TcpNetwork final : public io::Network {
 public:
  explicit TcpNetwork(EventLoop* loop) : loop_(loop) {}

  absl::StatusOr<std::unique_ptr<io::Acceptor>> Listen(
      const io::Endpoint& at, OnAccepted on_accepted) override;
  std::unique_ptr<io::Connector> Connect(const io::Endpoint& to,
                                         io::Duration timeout,
                                         OnConnected on_connected) override;

 private:
  EventLoop* const loop_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_NETWORK_H_
