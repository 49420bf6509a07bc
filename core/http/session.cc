#include "core/http/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/http/gzip.h"
#include "core/http/serialize.h"

namespace quorate::http {
namespace {

constexpr size_t kMinBodyBytesPerSecond = 1 << 10;
// For a client that still sends while it is refused: were the connection
// destroyed at once, the refusal would be lost.
constexpr io::Duration kLingerTimeout = std::chrono::seconds(5);
// A larger announced body is not reserved in advance.
constexpr size_t kMaxReservedBytes = 1 << 20;

size_t MinBodyBytesIn(io::Duration period) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(period).count();
  return kMinBodyBytesPerSecond * static_cast<size_t>(seconds);
}

ParserLimits LimitsOf(const ServerOptions& options) {
  return {.max_start_line_bytes = options.max_request_line_bytes,
          .max_header_bytes = options.max_header_bytes,
          .max_headers = options.max_headers,
          .max_body_bytes = options.max_body_bytes};
}

// A proxy's form, "http://host:port/path", to the usual one.
std::string OriginForm(std::string target) {
  constexpr absl::string_view kScheme = "http://";
  if (!absl::StartsWithIgnoreCase(target, kScheme)) return target;
  const size_t path = target.find_first_of("/?", kScheme.size());
  if (path == std::string::npos) return "/";
  const std::string rest = target.substr(path);
  return rest[0] == '/' ? rest : "/" + rest;
}

bool HasRepeated(const Headers& headers, absl::string_view name) {
  int count = 0;
  for (const auto& field : headers.fields()) {
    if (absl::EqualsIgnoreCase(field.first, name)) ++count;
  }
  return count > 1;
}

std::shared_ptr<Exchange> NewExchange(Session* session, const Head& head) {
  auto exchange = std::make_shared<Exchange>();
  exchange->session = session;
  exchange->is_head = head.method == "HEAD";
  exchange->chunked = head.minor_version > 0;
  exchange->keep_alive = head.keep_alive;
  exchange->announce_keep_alive = head.minor_version == 0 && head.keep_alive;
  exchange->accepts_gzip =
      AcceptsGzip(head.headers.GetJoined("Accept-Encoding"));
  return exchange;
}

}  // namespace

Session::Session(std::shared_ptr<ServerState> state, uint64_t id,
                 std::unique_ptr<io::Connection> connection)
    : state_(std::move(state)),
      id_(id),
      connection_(std::move(connection)),
      parser_(Parser::Kind::kRequest, LimitsOf(state_->options)) {}

void Session::Start(absl::string_view first_bytes) {
  const auto self = shared_from_this();
  connection_->Start(this);
  Read(first_bytes);
}

void Session::Stop() {
  connection_ = nullptr;
  timer_.Cancel();
  read_timer_.Cancel();
  incoming_ = nullptr;
  for (const std::shared_ptr<Exchange>& exchange : exchanges_) {
    exchange->session = nullptr;
    exchange->on_closed = nullptr;
    exchange->on_writable = nullptr;
  }
  exchanges_.clear();
}

void Session::OnData(absl::string_view bytes) {
  const auto self = shared_from_this();
  if (ignore_input_) return;
  if (paused_) {
    unread_.append(bytes.data(), bytes.size());
  } else {
    Read(bytes);
  }
}

void Session::OnEnd() {
  const auto self = shared_from_this();
  peer_ended_ = true;
  // Nobody subscribes and then ends its direction but keeps on listening; it
  // is how the death of a client shows.
  for (const std::shared_ptr<Exchange>& exchange : exchanges_) {
    if (exchange->state == Exchange::State::kStreaming) return Die();
  }
  if (!paused_) OnInputEnd();
}

void Session::OnWritable() {
  const auto self = shared_from_this();
  if (!exchanges_.empty() && exchanges_.front()->on_writable) {
    const auto on_writable = exchanges_.front()->on_writable;
    on_writable();
  }
  ReadPaused();
}

void Session::OnClosed(const absl::Status&) { Die(); }

bool Session::HasRoom() const {
  const ServerOptions& options = state_->options;
  size_t body_bytes = 0;
  for (const std::shared_ptr<Exchange>& exchange : exchanges_) {
    body_bytes += exchange->request_body_bytes;
  }
  return exchanges_.size() < options.max_pipelined_requests &&
         body_bytes < options.max_body_bytes &&
         connection_->queued_bytes() < io::Connection::kHighWaterBytes;
}

// The handler runs in here: afterwards the session may be over.
void Session::Read(absl::string_view input) {
  reading_ = true;
  while (connection_ != nullptr && !ignore_input_) {
    if (parser_.between_messages() && !HasRoom()) {
      paused_ = true;
      unread_ = std::string(input);
      connection_->PauseReading();
      break;
    }
    const Parser::Event event = parser_.Next(&input);
    if (event == Parser::Event::kNeedMore) break;
    OnEvent(event);
  }
  reading_ = false;
  if (connection_ == nullptr) return;
  if (peer_ended_ && !paused_) OnInputEnd();
  UpdatePhase();
}

void Session::OnEvent(Parser::Event event) {
  switch (event) {
    case Parser::Event::kNeedMore:
      return;
    case Parser::Event::kHead:
      return OnHead(parser_.TakeHead());
    case Parser::Event::kBody:
      continue_due_ = false;
      request_.body.append(parser_.body().data(), parser_.body().size());
      return;
    case Parser::Event::kEnd:
      return OnRequest();
    case Parser::Event::kError:
      return Fail(parser_.error_status(), parser_.error());
  }
}

// Not from inside a Send: the handler of the next request would run in the
// middle of another's.
void Session::ReadLater() {
  if (!paused_ || reading_ || !HasRoom()) return;
  read_timer_ = state_->clock.RunAfter(io::Duration::zero(), [this] {
    const auto self = shared_from_this();
    ReadPaused();
  });
}

void Session::ReadPaused() {
  if (!paused_ || !HasRoom()) return;
  paused_ = false;
  connection_->ResumeReading();
  const std::string input = std::exchange(unread_, std::string());
  Read(input);
}

void Session::OnInputEnd() {
  if (ignore_input_) return;
  if (parser_.Finish() == Parser::Event::kError) {
    return Fail(parser_.error_status(), parser_.error());
  }
  ignore_input_ = true;
  if (exchanges_.empty()) CloseGently();
}

void Session::OnHead(Head head) {
  ++requests_;
  incoming_ = NewExchange(this, head);
  request_ = Request{.method = std::move(head.method),
                     .target = OriginForm(std::move(head.target)),
                     .headers = std::move(head.headers)};
  const bool has_body =
      head.framing == Framing::kChunked || head.content_length > 0;
  if (HasRepeated(request_.headers, "Host")) {
    return Fail(400, "more than one Host");
  }
  const std::string expect = request_.headers.Get("Expect").value_or("");
  continue_due_ = absl::EqualsIgnoreCase(expect, "100-continue") && has_body &&
                  head.minor_version > 0;
  if (!expect.empty() && !absl::EqualsIgnoreCase(expect, "100-continue")) {
    return Fail(417, "only 100-continue can be expected");
  }
  const std::string coding =
      request_.headers.GetJoined("Content-Encoding").value_or("identity");
  is_gzip_ = absl::EqualsIgnoreCase(coding, "gzip") ||
             absl::EqualsIgnoreCase(coding, "x-gzip");
  if (has_body && !is_gzip_ && !absl::EqualsIgnoreCase(coding, "identity")) {
    return Fail(415, "of the content encodings only gzip is known");
  }
  absl::StatusOr<Target> target = ParseTarget(request_.target);
  if (!target.ok()) return Fail(400, target.status().message());
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  request_.body.reserve(
      std::min<uint64_t>(head.content_length, kMaxReservedBytes));
  ContinueIfDue();
}

void Session::OnRequest() {
  continue_due_ = false;
  if (is_gzip_ && !request_.body.empty()) {
    absl::StatusOr<std::string> body =
        Gunzip(request_.body, state_->options.max_body_bytes);
    if (!body.ok()) {
      return Fail(absl::IsResourceExhausted(body.status()) ? 413 : 400,
                  body.status().message());
    }
    request_.body = *std::move(body);
  }
  request_.peer = connection_->peer();
  incoming_->request_body_bytes = request_.body.size();
  if (!incoming_->keep_alive) ignore_input_ = true;
  exchanges_.push_back(incoming_);
  Responder responder = NewResponder(std::move(incoming_), state_);
  incoming_ = nullptr;
  state_->handler(std::exchange(request_, Request()), std::move(responder));
}

void Session::Fail(int status, absl::string_view error) {
  ignore_input_ = true;
  continue_due_ = false;
  incoming_ = nullptr;
  request_ = Request();
  auto exchange = std::make_shared<Exchange>();
  exchange->session = this;
  exchange->keep_alive = false;
  exchanges_.push_back(exchange);
  Respond(*exchange,
          Response::Text(status, absl::StrCat(status, " ", ReasonPhrase(status),
                                              ": ", error)));
}

void Session::ContinueIfDue() {
  if (!continue_due_ || !exchanges_.empty()) return;
  continue_due_ = false;
  connection_->Write("HTTP/1.1 100 Continue\r\n\r\n");
}

void Session::CloseGently() {
  if (closing_) return;
  closing_ = true;
  ignore_input_ = true;
  unread_ = std::string();
  if (std::exchange(paused_, false)) connection_->ResumeReading();
  connection_->CloseWrite();
  UpdatePhase();
}

// The callbacks of streams run later: Die is called from inside other calls.
void Session::Die() {
  if (connection_ == nullptr) return;
  connection_ = nullptr;
  read_timer_.Cancel();
  timer_ = state_->clock.RunAfter(io::Duration::zero(), [this] { Finish(); });
}

void Session::Finish() {
  const auto self = shared_from_this();
  state_->sessions.erase(id_);
  const auto exchanges = std::exchange(exchanges_, {});
  for (const auto& exchange : exchanges) exchange->session = nullptr;
  for (const auto& exchange : exchanges) {
    if (state_->stopped) return;
    exchange->on_writable = nullptr;
    const auto on_closed = std::exchange(exchange->on_closed, nullptr);
    if (on_closed) on_closed();
  }
}

Session::Phase Session::CurrentPhase() const {
  if (closing_) return Phase::kLinger;
  if (!ignore_input_ && !paused_) {
    if (parser_.in_head()) return Phase::kHead;
    if (!parser_.between_messages() && !continue_due_) return Phase::kBody;
  }
  return exchanges_.empty() ? Phase::kIdle : Phase::kOthers;
}

io::Duration Session::TimeLimit() const {
  switch (phase_) {
    case Phase::kHead:
      return state_->options.header_timeout;
    case Phase::kBody:
      return state_->options.body_timeout;
    case Phase::kLinger:
      return kLingerTimeout;
    case Phase::kIdle:
    case Phase::kOthers:
      break;
  }
  return state_->options.idle_timeout;
}

// What must change while the phase lasts.
size_t Session::Progress() const {
  return phase_ == Phase::kBody ? request_.body.size()
                                : connection_->queued_bytes();
}

void Session::UpdatePhase() {
  if (connection_ == nullptr) return;
  const Phase phase = CurrentPhase();
  if (phase == phase_ && requests_ == phase_request_) return;
  phase_ = phase;
  phase_request_ = requests_;
  if (phase_ != Phase::kOthers) StartPhase();
}

void Session::StartPhase() {
  phase_mark_ = Progress();
  const io::Duration limit = TimeLimit();
  deadline_ = state_->clock.Now() + limit;
  if (timer_armed_ && timer_at_ <= deadline_) return;
  timer_armed_ = true;
  timer_at_ = deadline_;
  timer_ = state_->clock.RunAfter(limit, [this] { OnTimer(); });
}

void Session::OnTimer() {
  const auto self = shared_from_this();
  timer_armed_ = false;
  if (phase_ == Phase::kOthers) return;
  const io::Duration left = deadline_ - state_->clock.Now();
  if (left <= io::Duration::zero()) return OnTimeout();
  timer_armed_ = true;
  timer_at_ = deadline_;
  timer_ = state_->clock.RunAfter(left, [this] { OnTimer(); });
}

void Session::OnTimeout() {
  const size_t progress = Progress();
  switch (phase_) {
    case Phase::kOthers:
      return;
    case Phase::kHead:
      return Fail(408, "the header did not arrive in time");
    case Phase::kBody:
      if (progress - phase_mark_ < MinBodyBytesIn(TimeLimit())) {
        return Fail(408, "the body did not arrive in time");
      }
      return StartPhase();
    case Phase::kIdle:
      if (progress == 0) return CloseGently();
      break;
    case Phase::kLinger:
      break;
  }
  // A slow reader is waited for as long as it reads.
  if (progress == 0 || progress >= phase_mark_) return Die();
  StartPhase();
}

}  // namespace quorate::http
