#include "core/http/server.h"

#include <glog/logging.h>

#include <utility>

#include "core/http/session.h"

namespace quorate::http {

Responder::Responder(std::unique_ptr<Sink> sink) : sink_(std::move(sink)) {}

Responder::Responder(Responder&&) noexcept = default;

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  Responder unanswered = std::move(*this);
  sink_ = std::move(other.sink_);
  return *this;
}

Responder::~Responder() {
  if (sink_ != nullptr) Send(Response::Text(500, "500 Internal Server Error."));
}

void Responder::Send(Response response) {
  CHECK(sink_ != nullptr) << "answered twice";
  CHECK_GE(response.status, 200);
  std::exchange(sink_, nullptr)->Send(std::move(response));
}

std::unique_ptr<Stream> Responder::StartStream(int status, Headers headers,
                                               std::optional<uint64_t> length) {
  CHECK(sink_ != nullptr) << "answered twice";
  return std::exchange(sink_, nullptr)
      ->StartStream(status, std::move(headers), length);
}

Server::Server(io::Clock& clock, ServerOptions options, Handler handler)
    : state_(new ServerState{
          .clock = clock, .options = options, .handler = std::move(handler)}) {}

Server::~Server() {
  state_->stopped = true;
  const auto sessions = std::exchange(state_->sessions, {});
  for (const auto& [id, session] : sessions) session->Stop();
}

void Server::Adopt(std::unique_ptr<io::Connection> connection,
                   absl::string_view first_bytes) {
  if (state_->sessions.size() >= state_->options.max_connections) {
    LOG_EVERY_N(WARNING, 1000)
        << "Refused a connection: " << state_->sessions.size() << " are open";
    return;
  }
  const uint64_t id = state_->next_id++;
  auto session = std::make_shared<Session>(state_, id, std::move(connection));
  state_->sessions.emplace(id, session);
  session->Start(first_bytes);
}

size_t Server::connections() const { return state_->sessions.size(); }

}  // namespace quorate::http
