#include "core/master/proxy.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/http/client.h"

namespace quorate::master {
namespace {

using http::Headers;
using http::Request;
using http::Responder;
using http::Response;

// What a master adds to Via: "1.1 10.0.0.1:5050 (mesos-master)".
constexpr absl::string_view kVia = "(mesos-master)";

// These belong to one connection, or are made anew for the next one; the body
// has been unpacked.
bool IsOfTheConnection(absl::string_view name) {
  for (absl::string_view one :
       {"Connection", "Content-Length", "Date", "Expect", "Host", "Keep-Alive",
        "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE",
        "Trailer", "Transfer-Encoding", "Upgrade"}) {
    if (absl::EqualsIgnoreCase(name, one)) return true;
  }
  return false;
}

Headers PassedOn(const Headers& headers) {
  const std::string named = headers.GetJoined("Connection").value_or("");
  Headers passed;
  for (const auto& [name, value] : headers.fields()) {
    if (!IsOfTheConnection(name)) passed.Add(name, value);
  }
  for (absl::string_view name : absl::StrSplit(named, ',')) {
    passed.Remove(absl::StripAsciiWhitespace(name));
  }
  return passed;
}

bool WasForwarded(const Request& request) {
  return absl::StrContains(request.headers.GetJoined("Via").value_or(""), kVia);
}

// Of an answer's body; nothing for one that goes on until it ends.
std::optional<uint64_t> LengthOf(const Response& head) {
  if (head.status == 204 || head.status == 304) return 0;
  uint64_t length = 0;
  const auto field = head.headers.Get("Content-Length");
  if (!field || !absl::SimpleAtoi(*field, &length)) return std::nullopt;
  return length;
}

}  // namespace

class LeaderProxy::OneRequest {
 public:
  OneRequest(LeaderProxy& proxy, uint64_t id, const io::Endpoint& leader,
             Responder responder)
      : proxy_(proxy),
        id_(id),
        responder_(std::move(responder)),
        leader_(proxy.clock_, proxy.network_, leader,
                {.response_timeout = kTimeout}) {}

  void Send(Request request) {
    body_bytes_ = request.body.size();
    proxy_.body_bytes_ += body_bytes_;
    leader_.SendForStream(
        std::move(request),
        {.on_head = [this](const Response& head) { OnHead(head); },
         .on_data = [this](absl::string_view bytes) { OnData(bytes); },
         .on_closed = [this](const absl::Status& end) { OnClosed(end); }});
  }
  ~OneRequest() { Answered(); }

  const io::Endpoint& leader() const { return leader_.server(); }

  // The leader is another one now.
  void Cut() {
    if (!stream_) Refuse("the leading master has changed");
    proxy_.Remove(id_);
  }

 private:
  void OnHead(const Response& head) {
    Answered();
    response_.status = head.status;
    response_.headers = PassedOn(head.headers);
    const std::optional<uint64_t> length = LengthOf(head);
    has_length_ = length.has_value();
    Await();
    if (has_length_ && *length <= kMaxCollectedBytes) return;
    stream_ = responder_->StartStream(response_.status,
                                      std::move(response_.headers), length);
    stream_->OnClosed([this] { proxy_.Remove(id_); });
    stream_->OnWritable([this] {
      paused_ = false;
      leader_.ResumeStream();
      Await();
    });
  }

  // The leader may hold back what it has announced.
  void Await() {
    timer_.Cancel();
    if (!has_length_ || paused_) return;
    timer_ = proxy_.clock_.RunAfter(kTimeout, [this] {
      if (!stream_) Refuse("it does not answer in time");
      proxy_.Remove(id_);
    });
  }

  void OnData(absl::string_view bytes) {
    if (stream_ == nullptr) {
      response_.body.append(bytes.data(), bytes.size());
      return;
    }
    if (!stream_->Write(bytes)) {
      paused_ = true;
      leader_.PauseStream();
    }
    Await();
  }

  void OnClosed(const absl::Status& end) {
    if (!end.ok()) {
      if (!stream_) Refuse(end.message());
    } else if (stream_) {
      stream_->Close();
    } else {
      responder_->Send(std::move(response_));
      responder_.reset();
    }
    // What it has of a stream that ended badly is cut.
    proxy_.Remove(id_);
  }

  void Refuse(absl::string_view why) {
    if (!responder_) return;
    responder_->Send(Response::Text(
        502, absl::StrCat("This master does not lead, and could not ask the "
                          "leading one, at ",
                          leader_.server().ToString(), ": ", why)));
    responder_.reset();
  }

  void Answered() { proxy_.body_bytes_ -= std::exchange(body_bytes_, 0); }

  LeaderProxy& proxy_;
  const uint64_t id_;
  std::optional<Responder> responder_;
  std::unique_ptr<http::Stream> stream_;
  Response response_;
  bool has_length_ = false;
  bool paused_ = false;  // The client is slow.
  size_t body_bytes_ = 0;
  io::Timer timer_;
  // Last: its callbacks end first.
  http::ClientConnection leader_;
};

absl::StatusOr<io::Endpoint> AddressOf(const mesos::v1::MasterInfo& master) {
  return io::ParseEndpoint(
      absl::StrCat(master.address().ip(), ":", master.address().port()));
}

LeaderProxy::LeaderProxy(io::Clock& clock, io::Network& network,
                         io::Endpoint me)
    : clock_(clock), network_(network), me_(std::move(me)) {}

LeaderProxy::~LeaderProxy() = default;

void LeaderProxy::Forward(const io::Endpoint& leader, Request request,
                          Responder responder) {
  if (WasForwarded(request)) {
    return responder.Send(Response::Text(
        503, "This master does not lead; another one thought so"));
  }
  if (forwards_.size() >= kMaxRequests ||
      body_bytes_ + request.body.size() > kMaxBodyBytes) {
    return responder.Send(Response::Text(
        503,
        "This master does not lead, and has too much to pass on to the "
        "leading one"));
  }
  Request passed;
  // The body of an answer to HEAD is left out here.
  passed.method = request.method == "HEAD" ? "GET" : std::move(request.method);
  passed.target = std::move(request.target);
  passed.headers = PassedOn(request.headers);
  passed.headers.Remove("Content-Encoding");
  passed.headers.Add("Via", absl::StrCat("1.1 ", me_.ToString(), " ", kVia));
  passed.body = std::move(request.body);
  const uint64_t id = next_id_++;
  auto& forward = forwards_[id];
  forward =
      std::make_unique<OneRequest>(*this, id, leader, std::move(responder));
  forward->Send(std::move(passed));
}

void LeaderProxy::OnLeader(const io::Endpoint& leader) {
  for (auto forward = forwards_.begin(); forward != forwards_.end();) {
    OneRequest& one = *forward->second;
    ++forward;  // It may go.
    if (!(one.leader() == leader)) one.Cut();
  }
}

void LeaderProxy::Remove(uint64_t id) {
  // Destroyed at the end of this, in which it may be called by it.
  const auto forward = forwards_.find(id);
  if (forward == forwards_.end()) return;
  const std::unique_ptr<OneRequest> gone = std::move(forward->second);
  forwards_.erase(forward);
}

}  // namespace quorate::master
