// One listening port for HTTP and for our own links.

#ifndef QUORATE_CORE_WIRE_PORT_H_
#define QUORATE_CORE_WIRE_PORT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/wire/link.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::wire {

// Looks at the first bytes of each connection: those of a link get the
// handshake and go to `on_link`, everything else goes to `on_http` with the
// bytes read so far. A connection that says nothing within 10 s is closed, and
// at most 10,000 are kept waiting.
class Port {
 public:
  struct Callbacks {
    std::function<void(std::unique_ptr<io::Connection>, std::string first)>
        on_http;
    std::function<void(std::unique_ptr<Link>)> on_link;
    // What this side says of itself, for the purpose that the peer asks for.
    std::function<absl::StatusOr<Handshake>(const Handshake& peer)> handshake;
  };

  virtual ~Port() = default;
  virtual io::Endpoint local() const = 0;
};

// `clock` outlives the port. Errors are those of Network::Listen.
absl::StatusOr<std::unique_ptr<Port>> OpenPort(io::Clock& clock,
                                               io::Network& network,
                                               const io::Endpoint& at,
                                               Port::Callbacks callbacks);

}  // namespace quorate::wire

#endif  // QUORATE_CORE_WIRE_PORT_H_
