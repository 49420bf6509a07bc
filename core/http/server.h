// HTTP/1.1 server over io::Network: keep-alive, pipelining, chunked bodies,
// Expect: 100-continue, streaming responses with back-pressure.
//
//   http::Server server(environment.clock(), {}, [&](http::Request request,
//                                                    http::Responder responder)
//                                                    {
//     responder.Send(http::Response::Text(200, "hello"));
//   });
//   server.Adopt(std::move(connection), first_bytes);
//
// Responses leave in the order of their requests, whenever they are given.
// Malformed input is answered with 400, 408, 413, 414, 415, 417, 431, 501 or
// 505 and the connection closed; nothing from the network ends the process.
//
// The handler may answer at once, destroy the server, or keep the responder.
// Responders and streams outlive their connection and the server, but not the
// clock; what is given to them then is dropped.
//
// A request body in gzip arrives unpacked; a response body worth it leaves in
// gzip when the client accepts that. Streams never do.

#ifndef QUORATE_CORE_HTTP_SERVER_H_
#define QUORATE_CORE_HTTP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/http/message.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::http {

struct ServerOptions {
  size_t max_request_line_bytes = 8 << 10;
  size_t max_header_bytes = 64 << 10;
  size_t max_headers = 100;
  size_t max_body_bytes = 64 << 20;
  size_t max_pipelined_requests = 64;
  size_t max_connections = 20000;
  // From the first byte of a request to the end of its headers.
  io::Duration header_timeout = std::chrono::seconds(10);
  // While a body arrives, each such period must bring at least 1 KiB of it per
  // second, or its end.
  io::Duration body_timeout = std::chrono::seconds(30);
  // Of a kept-alive connection without a request, or whose peer does not take
  // the responses.
  io::Duration idle_timeout = std::chrono::minutes(5);
};

// A response that is sent piece by piece: as chunks, unless its length was
// told. Destroying it without Close cuts the connection, so that the peer sees
// a truncated message.
class Stream {
 public:
  virtual ~Stream() = default;

  // Sends a piece; not more than the length, if that was told. False when more
  // than io::Connection::kHighWaterBytes are queued; still accepted. What is
  // written after the peer left is dropped.
  virtual bool Write(absl::string_view bytes) = 0;
  // Bytes that the peer has not taken yet: whoever feeds a stream bounds it.
  virtual size_t queued_bytes() const = 0;
  // Called, from the event loop, each time that the peer has taken enough after
  // Write said false. Not after Close, or after destruction of the stream or
  // the server.
  virtual void OnWritable(std::function<void()> callback) = 0;
  // Ends the message properly; cuts the connection when less than the length
  // was written.
  virtual void Close() = 0;
  // Called once, from the event loop, when the peer has left (or only ended
  // its side) or the connection broke. Not after Close, or after destruction of
  // the stream or the server.
  virtual void OnClosed(std::function<void()> callback) = 0;
};

// The right to answer one request, once, now or later. Movable. One that is
// destroyed without an answer answers 500.
class Responder {
 public:
  // Where answers go; the server's side of a connection implements it. The
  // sink knows when its connection is gone and then drops the answer.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void Send(Response response) = 0;
    virtual std::unique_ptr<Stream> StartStream(
        int status, Headers headers, std::optional<uint64_t> length) = 0;
  };

  explicit Responder(std::unique_ptr<Sink> sink);
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&&) noexcept;
  ~Responder();

  // Adds Date, Content-Length and what concerns the connection; a header field
  // "Connection: close" ends it afterwards. HEAD requests get no body.
  void Send(Response response);
  // Adds Date and Transfer-Encoding: chunked; or Content-Length.
  std::unique_ptr<Stream> StartStream(
      int status, Headers headers,
      std::optional<uint64_t> length = std::nullopt);

 private:
  std::unique_ptr<Sink> sink_;
};

using Handler = std::function<void(Request, Responder)>;

struct ServerState;

class Server {
 public:
  // Destruction cuts all connections, without callbacks.
  Server(io::Clock& clock, ServerOptions options, Handler handler);
  ~Server();

  // Serves a connection whose first bytes were already read; the handler may
  // run from inside. Drops it when there are max_connections already.
  void Adopt(std::unique_ptr<io::Connection> connection,
             absl::string_view first_bytes);

  size_t connections() const;

 private:
  std::shared_ptr<ServerState> state_;
};

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_SERVER_H_
