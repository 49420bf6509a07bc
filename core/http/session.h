// The server's side of one connection. Used by Server only.

#ifndef QUORATE_CORE_HTTP_SESSION_H_
#define QUORATE_CORE_HTTP_SESSION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/http/parser.h"
#include "core/http/server.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::http {

class Session;

// What the sessions of one server share. It lives as long as one of them runs,
// so that a handler may destroy the server.
struct ServerState {
  io::Clock& clock;
  const ServerOptions options;
  const Handler handler;
  std::map<uint64_t, std::shared_ptr<Session>> sessions;
  uint64_t next_id = 0;
  bool stopped = false;  // The server is gone.
};

// One request and its answer. Shared with the responder or stream, which may
// outlive the session.
struct Exchange {
  enum class State { kWaiting, kStreaming, kDone };

  Session* session = nullptr;  // Null when the session is over.
  State state = State::kWaiting;
  bool is_head = false;
  bool chunked = true;     // The peer understands chunks, and they are needed.
  bool keep_alive = true;  // The connection is used after this exchange.
  bool announce_keep_alive = false;
  bool accepts_gzip = false;
  size_t request_body_bytes = 0;
  std::optional<uint64_t> left;  // Of a stream whose length was told.
  std::string output;            // While other exchanges are in front.
  std::function<void()> on_closed;
  std::function<void()> on_writable;
  io::Timer writable;  // Calls it.
};

class Session final : public io::Connection::Listener,
                      public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<ServerState> state, uint64_t id,
          std::unique_ptr<io::Connection> connection);

  void Start(absl::string_view first_bytes);
  // The server goes away: cuts the connection, without callbacks.
  void Stop();

  // For `exchange`, one of this session. None of these calls back.
  void Respond(Exchange& exchange, Response response);
  void StartStream(Exchange& exchange, int status, const Headers& headers,
                   std::optional<uint64_t> length);
  void WriteStream(Exchange& exchange, absl::string_view bytes);
  void CloseStream(Exchange& exchange);
  void AbortStream(Exchange& exchange);
  size_t QueuedBytes(const Exchange& exchange) const;

  void OnData(absl::string_view bytes) override;
  void OnEnd() override;
  void OnWritable() override;
  void OnClosed(const absl::Status& reason) override;

 private:
  // What the session waits for. kOthers, the handler and the network, may take
  // any time; each of the rest has a limit.
  enum class Phase { kOthers, kIdle, kHead, kBody, kLinger };

  // Requests.
  bool HasRoom() const;
  void Read(absl::string_view input);
  void OnEvent(Parser::Event event);
  void ReadLater();
  void ReadPaused();
  void OnInputEnd();
  void OnHead(Head head);
  void OnRequest();
  void Fail(int status, absl::string_view error);
  void ContinueIfDue();

  // Responses.
  bool IsFront(const Exchange& exchange) const;
  void Emit(Exchange& exchange, absl::string_view bytes);
  void Advance();
  void TellWritable(Exchange& exchange);
  std::string ResponseHead(const Exchange& exchange, int status,
                           const Headers& headers) const;

  // The end.
  void CloseGently();
  void Die();
  void Finish();

  // Time limits.
  Phase CurrentPhase() const;
  io::Duration TimeLimit() const;
  size_t Progress() const;
  void UpdatePhase();
  void StartPhase();
  void OnTimer();
  void OnTimeout();

  const std::shared_ptr<ServerState> state_;
  const uint64_t id_;
  std::unique_ptr<io::Connection> connection_;  // Null when cut.

  Parser parser_;
  // The request that is being read, from its head on.
  Request request_;
  std::shared_ptr<Exchange> incoming_;
  bool continue_due_ = false;  // Its sender waits for 100 Continue.
  bool is_gzip_ = false;

  std::string unread_;  // Input that waits for room, when paused.
  bool paused_ = false;
  bool reading_ = false;       // Inside Read.
  bool ignore_input_ = false;  // After an error or the last request.
  bool peer_ended_ = false;
  bool closing_ = false;  // Our direction is closed.
  io::Timer read_timer_;

  std::deque<std::shared_ptr<Exchange>> exchanges_;  // Oldest first.

  Phase phase_ = Phase::kOthers;
  uint64_t requests_ = 0;       // Heads read so far.
  uint64_t phase_request_ = 0;  // The same when the phase began.
  size_t phase_mark_ = 0;       // Progress() when the phase began.
  io::Instant deadline_;        // Of the phase.
  // Left running when a deadline moves out, which most requests do.
  io::Timer timer_;
  bool timer_armed_ = false;
  io::Instant timer_at_;
};

// The right to answer `exchange`.
Responder NewResponder(std::shared_ptr<Exchange> exchange,
                       const std::shared_ptr<ServerState>& state);

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_SESSION_H_
