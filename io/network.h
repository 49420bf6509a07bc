// Byte streams between processes: TCP in production, a simulated network with
// latency, partitions and resets in the simulator.
//
//   connector_ = network.Connect(leader, 5s, [this](auto connection) {
//     if (!connection.ok()) return Retry(connection.status());
//     connection_ = *std::move(connection);
//     connection_->Start(this);
//     connection_->Write("GET /health HTTP/1.1\r\n\r\n");
//   });
//
// All callbacks run on the event loop, never from inside the call that causes
// them. Every object may be destroyed inside any of its own callbacks; after
// destruction none of its callbacks runs.

#ifndef QUORATE_IO_NETWORK_H_
#define QUORATE_IO_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/clock.h"

namespace quorate::io {

// An IPv4 address in dotted form and a TCP port. Names are resolved before
// they come here (by the program's main, or by the coordination client).
struct Endpoint {
  std::string ip;
  uint16_t port = 0;

  std::string ToString() const { return ip + ":" + std::to_string(port); }
  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return a.port == b.port && a.ip == b.ip;
  }
  friend bool operator<(const Endpoint& a, const Endpoint& b) {
    return std::tie(a.ip, a.port) < std::tie(b.ip, b.port);
  }
};

// "10.0.0.1:5050" -> Endpoint. InvalidArgument when it is not ip:port.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text);

// One established stream. Destroying it closes both directions at once and
// discards what is still queued.
class Connection {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Bytes from the peer; valid only during the call. Never empty.
    virtual void OnData(absl::string_view bytes) = 0;
    // The peer has closed its direction. Ours stays open for writing.
    virtual void OnEnd() {}
    // The queue has drained below the low-water mark after Write said false.
    virtual void OnWritable() {}
    // The stream is gone, in both directions: reset, unreachable, or closed by
    // both sides (status OK). The last callback.
    virtual void OnClosed(const absl::Status& reason) = 0;
  };

  // Bytes a connection queues before Write asks the caller to wait.
  static constexpr size_t kHighWaterBytes = 1 << 20;
  static constexpr size_t kLowWaterBytes = 1 << 18;

  virtual ~Connection() = default;

  // Begins delivery to `listener`, which must outlive the connection or be
  // replaced by another Start (a protocol upgrade). Until the first Start
  // nothing is read from the stream.
  virtual void Start(Listener* listener) = 0;

  // Queues all of `bytes`. False when the queue is above the high-water mark:
  // the bytes are accepted, the caller should wait for OnWritable.
  // After CloseWrite or a failure the bytes are dropped.
  virtual bool Write(absl::string_view bytes) = 0;
  virtual size_t queued_bytes() const = 0;

  // Half-close: the peer sees OnEnd after everything queued so far.
  virtual void CloseWrite() = 0;

  // Back-pressure: while paused nothing more is read, so the peer's Write
  // fills up. At most one further OnData may arrive from inside Pause's turn.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // What it delivers goes before what other connections do from here on,
  // however much they have to say. For the few that must not wait; nothing to
  // do where handling events takes no time.
  virtual void Prioritize() {}

  virtual Endpoint local() const = 0;
  virtual Endpoint peer() const = 0;
};

// Destroying an acceptor closes the port; accepted connections live on.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  // With the port that the system chose when port 0 was asked for.
  virtual Endpoint local() const = 0;
};

// Destroying a connector abandons the attempt, without a callback.
class Connector {
 public:
  virtual ~Connector() = default;
};

class Network {
 public:
  using OnAccepted = std::function<void(std::unique_ptr<Connection>)>;
  using OnConnected =
      std::function<void(absl::StatusOr<std::unique_ptr<Connection>>)>;

  virtual ~Network() = default;

  // Errors: AlreadyExists when the port is taken, InvalidArgument,
  // PermissionDenied.
  virtual absl::StatusOr<std::unique_ptr<Acceptor>> Listen(
      const Endpoint& at, OnAccepted on_accepted) = 0;

  // Calls `on_connected` once: Unavailable (refused, unreachable) or
  // DeadlineExceeded after `timeout`.
  [[nodiscard]] virtual std::unique_ptr<Connector> Connect(
      const Endpoint& to, Duration timeout, OnConnected on_connected) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_NETWORK_H_
