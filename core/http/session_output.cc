#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/http/gzip.h"
#include "core/http/serialize.h"
#include "core/http/session.h"

namespace quorate::http {
namespace {

// Smaller ones do not get shorter by enough.
constexpr size_t kMinGzipBytes = 1024;
// Up to here copying is cheaper than another write.
constexpr size_t kMaxJoinedBytes = 16 << 10;

// Neither a length nor a body may follow these.
bool HasNoBody(int status) { return status == 204 || status == 304; }

class ExchangeStream final : public Stream {
 public:
  ExchangeStream(std::shared_ptr<Exchange> exchange,
                 std::weak_ptr<ServerState> state)
      : exchange_(std::move(exchange)), state_(std::move(state)) {}

  ~ExchangeStream() override {
    Forget();
    if (IsOpen()) exchange_->session->AbortStream(*exchange_);
  }

  bool Write(absl::string_view bytes) override {
    if (!IsOpen() || bytes.empty()) return true;
    exchange_->session->WriteStream(*exchange_, bytes);
    return queued_bytes() <= io::Connection::kHighWaterBytes;
  }

  size_t queued_bytes() const override {
    return IsOpen() ? exchange_->session->QueuedBytes(*exchange_) : 0;
  }

  void OnWritable(std::function<void()> callback) override {
    if (IsOpen()) exchange_->on_writable = std::move(callback);
  }

  void Close() override {
    closed_ = true;
    Forget();
    late_.Cancel();
    if (IsOpen()) exchange_->session->CloseStream(*exchange_);
  }

  void OnClosed(std::function<void()> callback) override {
    if (closed_) return;
    if (IsOpen()) {
      exchange_->on_closed = std::move(callback);
      return;
    }
    const std::shared_ptr<ServerState> state = state_.lock();
    if (state == nullptr || state->stopped) return;
    late_ = state->clock.RunAfter(io::Duration::zero(), std::move(callback));
  }

 private:
  void Forget() {
    exchange_->on_closed = nullptr;
    exchange_->on_writable = nullptr;
    exchange_->writable.Cancel();
  }

  bool IsOpen() const {
    return exchange_->session != nullptr &&
           exchange_->state == Exchange::State::kStreaming;
  }

  const std::shared_ptr<Exchange> exchange_;
  const std::weak_ptr<ServerState> state_;
  bool closed_ = false;
  io::Timer late_;  // Tells of an end that came before OnClosed.
};

class ExchangeSink final : public Responder::Sink {
 public:
  ExchangeSink(std::shared_ptr<Exchange> exchange,
               std::weak_ptr<ServerState> state)
      : exchange_(std::move(exchange)), state_(std::move(state)) {}

  void Send(Response response) override {
    if (exchange_->session == nullptr) return;
    exchange_->session->Respond(*exchange_, std::move(response));
  }

  std::unique_ptr<Stream> StartStream(int status, Headers headers,
                                      std::optional<uint64_t> length) override {
    if (exchange_->session != nullptr) {
      exchange_->session->StartStream(*exchange_, status, headers, length);
    }
    return std::make_unique<ExchangeStream>(exchange_, state_);
  }

 private:
  const std::shared_ptr<Exchange> exchange_;
  const std::weak_ptr<ServerState> state_;
};

}  // namespace

Responder NewResponder(std::shared_ptr<Exchange> exchange,
                       const std::shared_ptr<ServerState>& state) {
  return Responder(std::make_unique<ExchangeSink>(std::move(exchange), state));
}

bool Session::IsFront(const Exchange& exchange) const {
  return !exchanges_.empty() && exchanges_.front().get() == &exchange;
}

void Session::Emit(Exchange& exchange, absl::string_view bytes) {
  if (connection_ == nullptr || closing_) return;
  if (IsFront(exchange)) {
    connection_->Write(bytes);
  } else {
    exchange.output.append(bytes.data(), bytes.size());
  }
}

// Sends what may be sent now, after `exchanges_` or one of them has changed.
void Session::Advance() {
  while (connection_ != nullptr && !closing_ && !exchanges_.empty()) {
    Exchange& front = *exchanges_.front();
    if (!front.output.empty()) {
      const bool room = connection_->Write(front.output);
      front.output = std::string();
      if (room && front.on_writable) TellWritable(front);
    }
    if (front.state != Exchange::State::kDone) break;
    const bool keep_alive = front.keep_alive;
    front.session = nullptr;
    exchanges_.pop_front();
    if (!keep_alive) CloseGently();
  }
  if (connection_ == nullptr || closing_) return;
  if (exchanges_.empty() && ignore_input_) return CloseGently();
  ContinueIfDue();
  ReadLater();
  if (!reading_) UpdatePhase();
}

// What waited behind other answers has left at once: the connection says
// nothing of that.
void Session::TellWritable(Exchange& exchange) {
  exchange.writable = state_->clock.RunAfter(io::Duration::zero(), [&exchange] {
    const auto on_writable = exchange.on_writable;
    if (on_writable) on_writable();
  });
}

std::string Session::ResponseHead(const Exchange& exchange, int status,
                                  const Headers& headers) const {
  std::string head =
      absl::StrCat(StatusLine(status), DateField(state_->clock.WallNow()));
  AppendFields(headers, &head);
  if (!exchange.keep_alive) {
    head.append("Connection: close\r\n");
  } else if (exchange.announce_keep_alive) {
    head.append("Connection: keep-alive\r\n");
  }
  return head;
}

void Session::Respond(Exchange& exchange, Response response) {
  if (ConnectionHas(response.headers, "close")) {
    exchange.keep_alive = false;
    ignore_input_ = true;
  }
  if (exchange.accepts_gzip && response.body.size() >= kMinGzipBytes &&
      !response.headers.Has("Content-Encoding")) {
    response.body = Gzip(response.body);
    response.headers.Add("Content-Encoding", "gzip");
    response.headers.Add("Vary", "Accept-Encoding");
  }
  std::string head = ResponseHead(exchange, response.status, response.headers);
  if (HasNoBody(response.status)) {
    response.body.clear();
  } else {
    absl::StrAppend(&head, "Content-Length: ", response.body.size(), "\r\n");
  }
  if (exchange.is_head) response.body.clear();
  head.append("\r\n");
  if (response.body.size() <= kMaxJoinedBytes) {
    Emit(exchange, head + response.body);
  } else {
    Emit(exchange, head);
    Emit(exchange, response.body);
  }
  exchange.state = Exchange::State::kDone;
  Advance();
}

void Session::StartStream(Exchange& exchange, int status,
                          const Headers& headers,
                          std::optional<uint64_t> length) {
  exchange.left = length;
  if (length) {
    exchange.chunked = false;
  } else if (!exchange.chunked) {
    // Only the end of the connection can end the message.
    exchange.keep_alive = false;
  }
  if (!exchange.keep_alive) ignore_input_ = true;
  std::string head = ResponseHead(exchange, status, headers);
  if (exchange.chunked) head.append("Transfer-Encoding: chunked\r\n");
  if (length) absl::StrAppend(&head, "Content-Length: ", *length, "\r\n");
  head.append("\r\n");
  Emit(exchange, head);
  exchange.state =
      exchange.is_head ? Exchange::State::kDone : Exchange::State::kStreaming;
  if (peer_ended_) return Die();
  Advance();
}

void Session::WriteStream(Exchange& exchange, absl::string_view bytes) {
  if (exchange.left) {
    CHECK_LE(bytes.size(), *exchange.left) << "more than was announced";
    *exchange.left -= bytes.size();
  }
  if (exchange.chunked) {
    Emit(exchange, Chunk(bytes));
  } else {
    Emit(exchange, bytes);
  }
}

void Session::CloseStream(Exchange& exchange) {
  if (exchange.left.value_or(0) > 0) return AbortStream(exchange);
  if (exchange.chunked) Emit(exchange, kLastChunk);
  exchange.state = Exchange::State::kDone;
  Advance();
}

void Session::AbortStream(Exchange& exchange) {
  exchange.keep_alive = false;
  exchange.state = Exchange::State::kDone;
  Advance();
}

size_t Session::QueuedBytes(const Exchange& exchange) const {
  if (connection_ == nullptr) return 0;
  return IsFront(exchange) ? connection_->queued_bytes()
                           : exchange.output.size();
}

}  // namespace quorate::http
