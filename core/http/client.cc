#include "core/http/client.h"

#include <glog/logging.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/http/parser.h"
#include "core/http/serialize.h"

namespace quorate::http {
namespace {

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) !=
             absl::string_view::npos;
}

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

absl::Status CheckRequest(const Request& request) {
  bool good =
      IsToken(request.method) && !request.target.empty() &&
      std::all_of(request.target.begin(), request.target.end(), [](char c) {
        return c != ' ' && c != 0x7f && !absl::ascii_iscntrl(c);
      });
  for (const auto& field : request.headers.fields()) {
    good = good && IsToken(field.first);
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError("not a well-formed HTTP request");
}

std::string Serialize(const Request& request, const io::Endpoint& server) {
  std::string bytes =
      absl::StrCat(request.method, " ", request.target, " HTTP/1.1\r\n");
  if (!request.headers.Has("Host")) {
    AppendField("Host", server.ToString(), &bytes);
  }
  AppendFields(request.headers, &bytes);
  if (!request.body.empty() ||
      (request.method != "GET" && request.method != "HEAD")) {
    absl::StrAppend(&bytes, "Content-Length: ", request.body.size(), "\r\n");
  }
  absl::StrAppend(&bytes, "\r\n", request.body);
  return bytes;
}

absl::Status ParseFailure(const Parser& parser) {
  const std::string text = absl::StrCat("bad response: ", parser.error());
  return parser.error_status() == 413 || parser.error_status() == 431
             ? absl::ResourceExhaustedError(text)
             : absl::InternalError(text);
}

}  // namespace

class ClientConnection::Core final : public io::Connection::Listener,
                                     public std::enable_shared_from_this<Core> {
 public:
  struct Call {
    std::string bytes;
    bool is_head = false;
    bool is_stream = false;
    OnResponse done;
    StreamCallbacks stream;

    void Fail(const absl::Status& status) {
      if (is_stream) {
        stream.on_closed(status);
      } else {
        done(status);
      }
    }
  };

  Core(io::Clock& clock, io::Network& network, io::Endpoint server,
       ClientOptions options)
      : clock_(clock),
        network_(network),
        server_(std::move(server)),
        options_(options) {}

  const io::Endpoint& server() const { return server_; }

  void Add(const Request& request, Call call);
  void Stop();

  void SetPaused(bool paused) {
    if (connection_ == nullptr) return;
    paused ? connection_->PauseReading() : connection_->ResumeReading();
  }

  void OnData(absl::string_view bytes) override;
  void OnEnd() override;
  void OnClosed(const absl::Status& reason) override;

 private:
  void Refuse(Call call, absl::Status why);
  void OnRefused();
  void SendNext();
  void OnConnected(absl::StatusOr<std::unique_ptr<io::Connection>> connection);
  ParserLimits LimitsFor(const Call& call) const;
  void OnHead();
  void OnBody();
  void OnMessageEnd();
  Call TakeActive();
  void FailActive(const absl::Status& status);

  io::Clock& clock_;
  io::Network& network_;
  const io::Endpoint server_;
  const ClientOptions options_;
  bool stopped_ = false;

  std::deque<Call> calls_;  // The first is being answered when `active_`.
  bool active_ = false;
  std::unique_ptr<io::Connector> connector_;
  std::unique_ptr<io::Connection> connection_;
  io::Timer response_timer_;

  std::optional<Parser> parser_;
  bool keep_alive_ = true;      // Of the response that is being read.
  bool informational_ = false;  // It is a 1xx, before the real one.
  Response response_;

  std::deque<std::pair<Call, absl::Status>> refused_;
  io::Timer refuse_timer_;
};

void ClientConnection::Core::Add(const Request& request, Call call) {
  CHECK(calls_.empty() || (!call.is_stream && !calls_.front().is_stream))
      << "a stream takes the connection for itself";
  absl::Status status = CheckRequest(request);
  if (status.ok() && calls_.size() >= options_.max_queued_requests) {
    status = absl::ResourceExhaustedError("too many requests are queued");
  }
  if (!status.ok()) return Refuse(std::move(call), status);
  call.bytes = Serialize(request, server_);
  call.is_head = request.method == "HEAD";
  calls_.push_back(std::move(call));
  SendNext();
}

void ClientConnection::Core::Stop() {
  stopped_ = true;
  connector_ = nullptr;
  connection_ = nullptr;
  response_timer_.Cancel();
  refuse_timer_.Cancel();
  // What the callbacks hold may reach back here while it is destroyed.
  const auto calls = std::exchange(calls_, {});
  const auto refused = std::exchange(refused_, {});
}

void ClientConnection::Core::Refuse(Call call, absl::Status why) {
  refused_.emplace_back(std::move(call), std::move(why));
  refuse_timer_ =
      clock_.RunAfter(io::Duration::zero(), [this] { OnRefused(); });
}

void ClientConnection::Core::OnRefused() {
  const auto self = shared_from_this();
  auto refused = std::exchange(refused_, {});
  for (auto& [call, status] : refused) {
    if (!stopped_) call.Fail(status);
  }
}

void ClientConnection::Core::SendNext() {
  if (stopped_ || active_ || calls_.empty() || connector_ != nullptr) return;
  if (connection_ == nullptr) {
    connector_ = network_.Connect(
        server_, options_.connect_timeout,
        [this](absl::StatusOr<std::unique_ptr<io::Connection>> connection) {
          OnConnected(std::move(connection));
        });
    return;
  }
  Call& call = calls_.front();
  active_ = true;
  response_ = Response();
  parser_.emplace(Parser::Kind::kResponse, LimitsFor(call));
  if (call.is_head) parser_->ExpectNoBody();
  connection_->Write(std::exchange(call.bytes, std::string()));
  response_timer_ = clock_.RunAfter(options_.response_timeout, [this] {
    FailActive(absl::DeadlineExceededError(
        absl::StrCat("no response from ", server_.ToString())));
  });
}

void ClientConnection::Core::OnConnected(
    absl::StatusOr<std::unique_ptr<io::Connection>> connection) {
  const auto self = shared_from_this();
  connector_ = nullptr;
  if (connection.ok()) {
    connection_ = *std::move(connection);
    connection_->Start(this);
    return SendNext();
  }
  auto calls = std::exchange(calls_, {});
  for (Call& call : calls) {
    if (!stopped_) call.Fail(connection.status());
  }
}

ParserLimits ClientConnection::Core::LimitsFor(const Call& call) const {
  return {.max_header_bytes = options_.max_header_bytes,
          .max_body_bytes = call.is_stream
                                ? std::numeric_limits<uint64_t>::max()
                                : options_.max_body_bytes};
}

void ClientConnection::Core::OnData(absl::string_view bytes) {
  const auto self = shared_from_this();
  while (active_ && connection_ != nullptr) {
    switch (parser_->Next(&bytes)) {
      case Parser::Event::kNeedMore:
        return;
      case Parser::Event::kHead:
        OnHead();
        break;
      case Parser::Event::kBody:
        OnBody();
        break;
      case Parser::Event::kEnd:
        // Whatever follows a response answers no request of ours.
        if (!bytes.empty()) keep_alive_ = false;
        OnMessageEnd();
        break;
      case Parser::Event::kError:
        return FailActive(ParseFailure(*parser_));
    }
  }
  if (!active_ && !bytes.empty()) connection_ = nullptr;
}

void ClientConnection::Core::OnHead() {
  Head head = parser_->TakeHead();
  if (head.status == 101) {
    return FailActive(absl::InternalError("the server changed the protocol"));
  }
  informational_ = head.status < 200;
  if (informational_) return;
  keep_alive_ = head.keep_alive;
  response_ =
      Response{.status = head.status, .headers = std::move(head.headers)};
  if (!calls_.front().is_stream) return;
  response_timer_.Cancel();
  // A copy: the callback may destroy what holds it.
  const auto on_head = calls_.front().stream.on_head;
  on_head(response_);
}

void ClientConnection::Core::OnBody() {
  if (!calls_.front().is_stream) {
    response_.body.append(parser_->body().data(), parser_->body().size());
    return;
  }
  const auto on_data = calls_.front().stream.on_data;
  on_data(parser_->body());
}

void ClientConnection::Core::OnMessageEnd() {
  if (informational_) {
    if (calls_.front().is_head) parser_->ExpectNoBody();
    return;
  }
  Call call = TakeActive();
  if (!keep_alive_) connection_ = nullptr;
  if (call.is_stream) {
    call.stream.on_closed(absl::OkStatus());
  } else {
    call.done(std::exchange(response_, Response()));
  }
  SendNext();
}

ClientConnection::Core::Call ClientConnection::Core::TakeActive() {
  Call call = std::move(calls_.front());
  calls_.pop_front();
  active_ = false;
  response_timer_.Cancel();
  return call;
}

void ClientConnection::Core::FailActive(const absl::Status& status) {
  const auto self = shared_from_this();
  connection_ = nullptr;
  Call call = TakeActive();
  call.Fail(status);
  SendNext();
}

void ClientConnection::Core::OnEnd() {
  const auto self = shared_from_this();
  if (!active_) {
    connection_ = nullptr;
    return;
  }
  keep_alive_ = false;
  if (parser_->Finish() == Parser::Event::kEnd && !informational_) {
    return OnMessageEnd();
  }
  FailActive(absl::UnavailableError(absl::StrCat(
      server_.ToString(), " closed the connection before the response ended")));
}

void ClientConnection::Core::OnClosed(const absl::Status& reason) {
  const auto self = shared_from_this();
  if (!active_) {
    connection_ = nullptr;
    return;
  }
  FailActive(absl::UnavailableError(absl::StrCat(
      "lost the connection to ", server_.ToString(), ": ", reason.message())));
}

ClientConnection::ClientConnection(io::Clock& clock, io::Network& network,
                                   io::Endpoint server, ClientOptions options)
    : core_(
          std::make_shared<Core>(clock, network, std::move(server), options)) {}

ClientConnection::~ClientConnection() { core_->Stop(); }

void ClientConnection::Send(Request request, OnResponse done) {
  core_->Add(request, {.done = std::move(done)});
}

void ClientConnection::SendForStream(Request request,
                                     StreamCallbacks callbacks) {
  core_->Add(request, {.is_stream = true, .stream = std::move(callbacks)});
}

void ClientConnection::PauseStream() { core_->SetPaused(true); }
void ClientConnection::ResumeStream() { core_->SetPaused(false); }

const io::Endpoint& ClientConnection::server() const { return core_->server(); }

}  // namespace quorate::http
