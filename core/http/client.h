// HTTP/1.1 client over io::Network.
//
// A ClientConnection carries requests to one server, in order, over a single
// connection that it opens when the first request is sent:
//
//   http::ClientConnection calls(clock, network, leader, {});
//   calls.Send(request, [](absl::StatusOr<http::Response> response) {...});
//
// A request that asks for a stream (SUBSCRIBE) takes the connection for itself.
//
// Each request is sent when the one before it is answered. A connection that
// the server closed in between is opened anew; a request of which a byte may
// have been sent is never repeated.
//
// Callbacks run from the event loop, never from inside Send. Any of them may
// destroy the ClientConnection, and none runs afterwards.

#ifndef QUORATE_CORE_HTTP_CLIENT_H_
#define QUORATE_CORE_HTTP_CLIENT_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/http/message.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::http {

struct ClientOptions {
  io::Duration connect_timeout = std::chrono::seconds(5);
  // From sending a request to the end of its response (of its header, for a
  // stream). Opening the connection has its own limit.
  io::Duration response_timeout = std::chrono::seconds(30);
  size_t max_header_bytes = 64 << 10;
  size_t max_body_bytes = 256 << 20;
  size_t max_queued_requests = 1024;
};

class ClientConnection {
 public:
  using OnResponse = std::function<void(absl::StatusOr<Response>)>;

  struct StreamCallbacks {
    // Status and headers have arrived; `body` is empty.
    std::function<void(const Response& head)> on_head;
    std::function<void(absl::string_view bytes)> on_data;
    // The end: OK when the message ended properly. Also the outcome when no
    // head arrived.
    std::function<void(const absl::Status&)> on_closed;
  };

  ClientConnection(io::Clock& clock, io::Network& network, io::Endpoint server,
                   ClientOptions options);
  // Drops everything, without callbacks.
  ~ClientConnection();

  // Unavailable or DeadlineExceeded when there is no answer: the server may
  // or may not have acted. ResourceExhausted when too many are queued, or the
  // response is too long; Internal when it is not HTTP; InvalidArgument when
  // the request is not. When no connection can be opened, all that are queued
  // fail. Adds Host and Content-Length.
  void Send(Request request, OnResponse done);

  // Must be the only request of this ClientConnection. Errors as for Send, to
  // on_closed.
  void SendForStream(Request request, StreamCallbacks callbacks);

  // Back-pressure, for a stream: while it is paused nothing more is read of it.
  // What has arrived already may still be told.
  void PauseStream();
  void ResumeStream();

  const io::Endpoint& server() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_CLIENT_H_
