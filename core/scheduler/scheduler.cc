#include "core/scheduler/scheduler.h"

#include <glog/logging.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/election/election.h"
#include "core/http/client.h"
#include "core/scheduler/subscription.h"
#include "core/wire/reign.h"

namespace quorate::scheduler {
namespace {

using mesos::v1::FrameworkID;
using mesos::v1::MasterInfo;
using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr absl::string_view kPath = "/api/v1/scheduler";
constexpr io::Duration kMinBackoff = milliseconds(100);
constexpr io::Duration kMaxBackoff = seconds(5);
constexpr int kMaxRedirects = 5;
constexpr size_t kMaxUnanswered = 10000;
// Until the first event of a stream, and its bounds afterwards.
constexpr io::Duration kFirstEventTimeout = seconds(30);
constexpr int kMissedHeartbeats = 5;
constexpr double kMinHeartbeatSeconds = 1;
constexpr double kMaxHeartbeatSeconds = 600;

std::optional<io::Endpoint> EndpointOf(const MasterInfo& info) {
  if (info.address().ip().empty()) return std::nullopt;
  return io::Endpoint{info.address().ip(),
                      static_cast<uint16_t>(info.address().port())};
}

// "//10.0.0.1:5050/api/v1/scheduler", with or without a scheme.
std::optional<io::Endpoint> EndpointOfLocation(absl::string_view location) {
  absl::ConsumePrefix(&location, "http:");
  if (!absl::ConsumePrefix(&location, "//")) return std::nullopt;
  auto endpoint = io::ParseEndpoint(location.substr(0, location.find('/')));
  if (!endpoint.ok()) return std::nullopt;
  return *std::move(endpoint);
}

}  // namespace

class Driver::Core {
 public:
  Core(io::Environment& environment, DriverOptions options,
       Scheduler* scheduler)
      : environment_(environment),
        options_(std::move(options)),
        scheduler_(scheduler),
        random_(environment.random().Split("scheduler")) {}

  void Start();
  absl::Status Send(Call call);
  bool subscribed() const { return subscribed_; }
  const FrameworkID& framework_id() const { return options_.framework.id(); }
  std::optional<io::Endpoint> endpoint() const {
    return subscribed_ ? target_ : std::nullopt;
  }
  const std::string& stream_id() const { return stream_id_; }

 private:
  void OnLeader(const std::optional<MasterInfo>& leader);
  void Subscribe();
  void OnOpen(const http::Response& head);
  void OnEvent(const Event& event);
  void OnSubscribed(const Event& event);
  void OnRecord(absl::string_view record);
  void OnRefused(const http::Response& answer);
  void OnCallAnswered(Call::Type type, absl::StatusOr<http::Response> answer);
  bool FollowRedirect(const http::Response& answer);
  // Leaves the stream, if there is one.
  void Disconnect();
  void Lose(const absl::Status& reason);
  void Renew(const std::string& reason);
  void RetryLater();
  void Fail(const std::string& message);
  void ArmLiveness(io::Duration limit);

  io::Environment& environment_;
  DriverOptions options_;
  Scheduler* const scheduler_;
  const std::unique_ptr<io::Random> random_;

  std::unique_ptr<election::Detector> detector_;
  std::optional<MasterInfo> leader_;
  // Where to subscribe: the leader's, or where it redirected.
  std::optional<io::Endpoint> target_;
  int redirects_ = 0;

  std::unique_ptr<Subscription> stream_;
  // While a new subscription is to take its place.
  std::unique_ptr<Subscription> former_;
  std::string stream_id_;
  wire::Reign newest_;  // That subscribed this framework.
  std::unique_ptr<http::ClientConnection> calls_;
  size_t unanswered_ = 0;
  bool subscribed_ = false;
  bool failed_ = false;
  io::Duration liveness_limit_ = kFirstEventTimeout;
  io::Timer liveness_;
  io::Duration backoff_ = kMinBackoff;
  io::Timer retry_;
};

void Driver::Core::Start() {
  auto on_leader = [this](const std::optional<MasterInfo>& leader) {
    OnLeader(leader);
  };
  // Which cluster that is, only its masters know.
  detector_ = election::NewDetector(environment_, options_.master,
                                    /*cluster_id=*/"", on_leader);
}

void Driver::Core::OnLeader(const std::optional<MasterInfo>& leader) {
  if (failed_) return;
  if (!leader.has_value()) {
    // Not a reason to leave a stream that works: a master that is deposed ends
    // it by itself.
    leader_.reset();
    if (!subscribed_) Disconnect();
    return;
  }
  leader_ = leader;
  const std::optional<io::Endpoint> endpoint = EndpointOf(*leader);
  if (subscribed_ && endpoint == target_) return;
  LOG(INFO) << "master " << (endpoint ? endpoint->ToString() : "?") << " leads";
  target_ = endpoint;
  backoff_ = kMinBackoff;
  redirects_ = 0;
  const bool was_subscribed = subscribed_;
  Disconnect();
  former_.reset();
  if (was_subscribed) scheduler_->OnDisconnected();
  Subscribe();
}

void Driver::Core::Subscribe() {
  if (failed_ || !target_.has_value() || !leader_.has_value()) return;
  Disconnect();
  Call call;
  call.set_type(Call::SUBSCRIBE);
  *call.mutable_subscribe()->mutable_framework_info() = options_.framework;
  if (options_.framework.has_id()) {
    *call.mutable_framework_id() = options_.framework.id();
  }
  stream_ = std::make_unique<Subscription>(
      environment_, *target_, kPath, options_.media,
      api::SerializeBody(options_.media, call),
      Subscription::Callbacks{
          .on_open = [this](const http::Response& head) { OnOpen(head); },
          .on_record = [this](absl::string_view record) { OnRecord(record); },
          .on_refused =
              [this](const http::Response& answer) { OnRefused(answer); },
          .on_closed = [this](const absl::Status& reason) { Lose(reason); }});
}

// A master that was deposed, and has yet to find out, has nothing to say.
void Driver::Core::OnOpen(const http::Response& head) {
  const std::optional<wire::Reign> reign = wire::ParseReign(
      head.headers.Get(std::string(wire::kReignHeader)).value_or(""));
  if (reign) {
    if (wire::IsOlder(*reign, newest_)) {
      return Lose(absl::FailedPreconditionError(
          absl::StrCat("its epoch ", reign->epoch(), " is over: epoch ",
                       newest_.epoch(), " has begun")));
    }
    newest_ = *reign;
  }
  stream_id_ = head.headers.Get("Mesos-Stream-Id").value_or("");
  ArmLiveness(kFirstEventTimeout);
}

void Driver::Core::OnRecord(absl::string_view record) {
  Event event;
  const absl::Status parsed = api::ParseBody(options_.media, record, &event);
  if (!parsed.ok()) return Lose(parsed);
  ArmLiveness(liveness_limit_);
  OnEvent(event);
}

void Driver::Core::OnEvent(const Event& event) {
  switch (event.type()) {
    case Event::SUBSCRIBED:
      return OnSubscribed(event);
    case Event::HEARTBEAT:
      return;
    case Event::ERROR:
      return Fail(event.error().message());
    default:
      if (subscribed_) scheduler_->OnEvent(event);
  }
}

void Driver::Core::OnSubscribed(const Event& event) {
  const Event::Subscribed& subscribed = event.subscribed();
  const double heartbeat =
      std::clamp(subscribed.has_heartbeat_interval_seconds()
                     ? subscribed.heartbeat_interval_seconds()
                     : kMaxHeartbeatSeconds,
                 kMinHeartbeatSeconds, kMaxHeartbeatSeconds);
  liveness_limit_ = std::chrono::duration_cast<io::Duration>(
      std::chrono::duration<double>(kMissedHeartbeats * heartbeat));
  ArmLiveness(liveness_limit_);
  *options_.framework.mutable_id() = subscribed.framework_id();
  subscribed_ = true;
  former_.reset();
  backoff_ = kMinBackoff;
  redirects_ = 0;
  unanswered_ = 0;
  calls_ = std::make_unique<http::ClientConnection>(
      environment_.clock(), environment_.network(), *target_,
      http::ClientOptions{.max_queued_requests = kMaxUnanswered});
  LOG(INFO) << "subscribed at " << target_->ToString() << " as "
            << subscribed.framework_id().value();
  scheduler_->OnSubscribed(
      subscribed.framework_id(),
      subscribed.has_master_info() ? subscribed.master_info() : *leader_);
}

bool Driver::Core::FollowRedirect(const http::Response& answer) {
  if (answer.status != 307 || ++redirects_ > kMaxRedirects) return false;
  const std::string location = answer.headers.Get("Location").value_or("");
  const std::optional<io::Endpoint> endpoint = EndpointOfLocation(location);
  if (!endpoint.has_value()) {
    LOG(WARNING) << "redirected to '" << location
                 << "', which is not //ip:port: masters need --hostname with "
                    "an address, or frameworks a zk:// URL";
    return false;
  }
  target_ = endpoint;
  Subscribe();
  return true;
}

void Driver::Core::OnRefused(const http::Response& answer) {
  if (FollowRedirect(answer)) return;
  if (answer.status >= 400 && answer.status < 500) {
    return Fail(absl::StrCat(answer.status, " ", answer.body));
  }
  Lose(absl::UnavailableError(
      absl::StrCat("answered ", answer.status, " ", answer.body)));
}

void Driver::Core::Lose(const absl::Status& reason) {
  LOG(WARNING) << "no event stream from "
               << (target_ ? target_->ToString() : "?") << ": " << reason;
  const bool was_subscribed = subscribed_;
  Disconnect();
  RetryLater();
  if (was_subscribed) scheduler_->OnDisconnected();
}

// The call may have used offers, or not: a new subscription settles that. A
// framework without failover_timeout is removed as soon as its stream ends, so
// that this one goes on until the new one has taken its place.
void Driver::Core::Renew(const std::string& reason) {
  LOG(WARNING) << "subscribing anew: " << reason;
  former_ = std::move(stream_);
  former_->Mute();
  Disconnect();
  RetryLater();
  scheduler_->OnDisconnected();
}

void Driver::Core::Disconnect() {
  subscribed_ = false;
  liveness_.Cancel();
  retry_.Cancel();
  stream_.reset();
  calls_.reset();
  stream_id_.clear();
}

void Driver::Core::RetryLater() {
  if (!leader_.has_value()) return;
  retry_ = environment_.clock().RunAfter(
      random_->Between(backoff_ / 2, backoff_), [this] {
        // A redirect is not trusted for longer than its stream.
        target_ = leader_.has_value() ? EndpointOf(*leader_) : std::nullopt;
        redirects_ = 0;
        Subscribe();
      });
  backoff_ = std::min(2 * backoff_, kMaxBackoff);
}

void Driver::Core::Fail(const std::string& message) {
  failed_ = true;
  Disconnect();
  former_.reset();
  scheduler_->OnError(message);
}

void Driver::Core::ArmLiveness(io::Duration limit) {
  liveness_ = environment_.clock().RunAfter(
      limit, [this] { Lose(absl::DeadlineExceededError("no heartbeats")); });
}

absl::Status Driver::Core::Send(Call call) {
  if (!subscribed_) return absl::UnavailableError("not subscribed");
  if (unanswered_ == kMaxUnanswered) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMaxUnanswered, " calls wait for their answers"));
  }
  ++unanswered_;
  *call.mutable_framework_id() = options_.framework.id();
  http::Request request = ApiRequest(kPath, options_.media,
                                     api::SerializeBody(options_.media, call));
  request.headers.Set("Mesos-Stream-Id", stream_id_);
  calls_->Send(std::move(request), [this, type = call.type()](auto answer) {
    OnCallAnswered(type, std::move(answer));
  });
  return absl::OkStatus();
}

void Driver::Core::OnCallAnswered(Call::Type type,
                                  absl::StatusOr<http::Response> answer) {
  if (!answer.ok()) {
    Renew(absl::StrCat("call ", Call::Type_Name(type),
                       " was not answered: ", answer.status().message()));
  } else if (answer->status != 202 && answer->status != 200) {
    LOG(WARNING) << "call " << Call::Type_Name(type) << " was answered "
                 << answer->status << " " << answer->body;
  }
}

Driver::Driver(io::Environment& environment, DriverOptions options,
               Scheduler* scheduler)
    : core_(
          std::make_unique<Core>(environment, std::move(options), scheduler)) {}

Driver::~Driver() = default;

void Driver::Start() { core_->Start(); }

absl::Status Driver::Send(Call call) { return core_->Send(std::move(call)); }

void Driver::Acknowledge(const mesos::v1::TaskStatus& status) {
  if (!status.has_uuid()) return;
  Call call;
  call.set_type(Call::ACKNOWLEDGE);
  Call::Acknowledge& acknowledge = *call.mutable_acknowledge();
  *acknowledge.mutable_agent_id() = status.agent_id();
  *acknowledge.mutable_task_id() = status.task_id();
  acknowledge.set_uuid(status.uuid());
  // Without a stream the update comes again.
  Send(std::move(call)).IgnoreError();
}

bool Driver::subscribed() const { return core_->subscribed(); }

std::optional<io::Endpoint> Driver::endpoint() const {
  return core_->endpoint();
}

const std::string& Driver::stream_id() const { return core_->stream_id(); }

const FrameworkID& Driver::framework_id() const {
  return core_->framework_id();
}

}  // namespace quorate::scheduler
