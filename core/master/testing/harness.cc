#include "core/master/testing/harness.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/api/media.h"
#include "core/http/recordio.h"
#include "core/master/master_metrics.h"

namespace quorate::master::testing {
namespace {

class InlineLane final : public io::Lane {
 public:
  void Run(std::function<void()> work, std::function<void()> done) override {
    work();
    done();
  }
};

class AnswerStream final : public http::Stream {
 public:
  explicit AnswerStream(std::shared_ptr<StreamEnd> end)
      : end_(std::move(end)) {}
  ~AnswerStream() override {
    end_->closed = true;
    end_->on_peer_left = nullptr;
  }
  bool Write(absl::string_view bytes) override {
    absl::StrAppend(&end_->bytes, bytes);
    return true;
  }
  size_t queued_bytes() const override { return end_->bytes.size(); }
  // Everything is taken at once.
  void OnWritable(std::function<void()>) override {}
  void Close() override { end_->closed = true; }
  void OnClosed(std::function<void()> callback) override {
    end_->on_peer_left = std::move(callback);
  }

 private:
  const std::shared_ptr<StreamEnd> end_;
};

class AnswerSink final : public http::Responder::Sink {
 public:
  explicit AnswerSink(std::shared_ptr<Answer> answer)
      : answer_(std::move(answer)) {}
  void Send(http::Response response) override {
    answer_->response = std::move(response);
  }
  std::unique_ptr<http::Stream> StartStream(int status, http::Headers headers,
                                            std::optional<uint64_t>) override {
    answer_->response = {.status = status, .headers = std::move(headers)};
    return std::make_unique<AnswerStream>(answer_->stream);
  }

 private:
  const std::shared_ptr<Answer> answer_;
};

std::vector<TestFramework::Event> Decode(const std::string& bytes) {
  std::vector<TestFramework::Event> events;
  http::RecordDecoder decoder;
  absl::Status decoded = decoder.Feed(bytes, [&](absl::string_view record) {
    TestFramework::Event event;
    const absl::Status parsed =
        api::ParseBody(api::MediaType::kJson, record, &event);
    CHECK(parsed.ok()) << parsed;
    events.push_back(std::move(event));
  });
  CHECK(decoded.ok()) << decoded;
  return events;
}

MasterOptions WithDefaults(MasterOptions options) {
  options.advertise = {"10.0.0.1", 5050};
  options.hostname = "master1";
  return options;
}

}  // namespace

std::unique_ptr<io::Lane> HarnessEnvironment::NewLane(absl::string_view) {
  return std::make_unique<InlineLane>();
}
io::Network& HarnessEnvironment::network() { LOG(FATAL) << "unused"; }
io::Disk& HarnessEnvironment::disk() { LOG(FATAL) << "unused"; }
io::Coordination& HarnessEnvironment::coordination() { LOG(FATAL) << "unused"; }
io::Containers& HarnessEnvironment::containers() { LOG(FATAL) << "unused"; }
void HarnessEnvironment::Exit(int code, absl::string_view message) {
  LOG(FATAL) << "exit " << code << ": " << message;
}

void FakeRegistry::Apply(registry::Operation operation, OnApplied done) {
  ++asked_;
  if (!refusal_.ok()) return done(refusal_);
  pending_.push_back({std::move(operation), std::move(done)});
  if (!held_) {
    timer_ = clock_.RunAfter(io::Duration::zero(), [this] { Drain(); });
  }
}

void FakeRegistry::Release() {
  held_ = false;
  timer_ = clock_.RunAfter(io::Duration::zero(), [this] { Drain(); });
}

void FakeRegistry::Drain() {
  while (!pending_.empty() && !held_) AnswerNext();
}

void FakeRegistry::Answer(int operations) {
  for (int i = 0; i < operations; ++i) AnswerNext();
}

void FakeRegistry::AnswerNext() {
  Pending pending = std::move(pending_.front());
  pending_.pop_front();
  if (distorted_ && pending.operation.has_update_framework()) {
    auto& update = *pending.operation.mutable_update_framework();
    update.mutable_info()->set_name("distorted");
  }
  pending.done(state_.Apply(pending.operation));
}

namespace {

registry::RegistryState StateOf(
    const std::vector<mesos::v1::AgentInfo>& admitted) {
  registry::RegistryState state;
  for (const mesos::v1::AgentInfo& info : admitted) {
    registry::Operation operation;
    *operation.mutable_admit_agent()->mutable_info() = info;
    CHECK(state.Apply(operation).ok());
  }
  return state;
}

}  // namespace

Harness::Harness(MasterOptions options,
                 const std::vector<mesos::v1::AgentInfo>& admitted)
    : Harness(std::move(options), StateOf(admitted), "M1") {}

Harness::Harness(MasterOptions options, const registry::RegistryState& registry,
                 const std::string& id)
    : options_(WithDefaults(std::move(options))),
      context_(environment_, options_),
      registry_(environment_.clock()),
      offers_(context_),
      tasks_(context_),
      frameworks_(context_, offers_, tasks_),
      agents_(context_, offers_, tasks_, frameworks_),
      files_(environment_),
      scheduler_api_(context_, offers_, tasks_, frameworks_),
      operator_api_(context_, agents_, frameworks_, files_),
      endpoints_(
          context_, standing_,
          [this] { return MakeQuorumReport(log_, standing_, context_.info); },
          nullptr, scheduler_api_, operator_api_, files_) {
  registry_.mutable_state() = registry;
  context_.registry = &registry_;
  context_.info.set_id(id);
  context_.info.set_pid("master@10.0.0.1:5050");
  context_.info.set_ip(16777226);
  context_.info.set_port(5050);
  context_.info.set_hostname("master1");
  context_.info.set_version(kVersion);
  context_.info.mutable_address()->set_ip("10.0.0.1");
  context_.info.mutable_address()->set_port(5050);
  context_.start_time = environment_.clock().WallNow();
  context_.elected_time = environment_.clock().WallNow();
  context_.reign.set_cluster_id("0123456789abcdef");
  context_.reign.set_epoch(42);
  standing_.phase = Standing::Phase::kLeading;
  standing_.epoch = 42;
  standing_.leader = context_.info;
  log_.state = log::LogStatus::State::kLeading;
  log_.voting = true;
  log_.member_id = "self";
  log_.members = {log_.member_id};
  RegisterMetrics(context_, [this] {
    return standing_.phase == Standing::Phase::kLeading;
  });
  frameworks_.Start();
  agents_.Start();
  offers_.Start();
}

void Harness::Run(io::Duration time) {
  environment_.clock().Advance(time);
  context_.cluster.CheckInvariants();
  frameworks_.CheckInvariants();
}

std::shared_ptr<Answer> Harness::Ask(http::Request request,
                                     std::shared_ptr<StreamEnd> stream) {
  absl::StatusOr<http::Target> target = http::ParseTarget(request.target);
  CHECK(target.ok()) << target.status();
  request.path = target->path;
  request.query = target->query;
  auto answer = std::make_shared<Answer>();
  answer->stream = std::move(stream);
  endpoints_.Route(std::move(request),
                   http::Responder(std::make_unique<AnswerSink>(answer)));
  Run();
  return answer;
}

http::Response Harness::Send(http::Request request,
                             std::shared_ptr<StreamEnd> stream) {
  const auto answer = Ask(std::move(request), std::move(stream));
  CHECK(answer->response.has_value()) << "no answer";
  return *std::move(answer->response);
}

http::Response Harness::Send(http::Request request) {
  auto stream = std::make_shared<StreamEnd>();
  http::Response response = Send(std::move(request), stream);
  response.body += stream->bytes;
  // Whoever asks this way does not stay.
  if (stream->on_peer_left && !stream->closed) {
    stream->on_peer_left();
    Run();
  }
  return response;
}

http::Response Harness::Get(const std::string& target) {
  return Send({.target = target});
}

http::Response Harness::Post(const std::string& target, const std::string& body,
                             http::Headers headers) {
  return Send({.method = "POST",
               .target = target,
               .headers = std::move(headers),
               .body = body});
}

http::Request MarkGone(const std::string& agent_id) {
  return {.method = "POST",
          .target = "/api/v1",
          .headers = {{"Content-Type", "application/json"}},
          .body = absl::StrCat(R"({"type":"MARK_AGENT_GONE","mark_agent_gone":)"
                               R"({"agent_id":{"value":")",
                               agent_id, R"("}}})")};
}

struct TestAgent::Ends {
  wire::Link::Listener* listener = nullptr;
  std::vector<wire::AgentMessage> sent;
  bool open = true;
};

class TestAgent::FakeLink final : public wire::Link {
 public:
  FakeLink(std::shared_ptr<Ends> ends, wire::Handshake peer)
      : ends_(std::move(ends)), peer_(std::move(peer)) {}
  ~FakeLink() override {
    ends_->open = false;
    ends_->listener = nullptr;
  }

  void Start(Listener* listener) override { ends_->listener = listener; }
  bool Send(absl::string_view payload) override {
    if (!ends_->open) return false;
    wire::AgentMessage message;
    CHECK(message.ParseFromArray(payload.data(), payload.size()));
    ends_->sent.push_back(std::move(message));
    return true;
  }
  const wire::Handshake& peer() const override { return peer_; }
  uint32_t version() const override { return peer_.versions.newest; }
  io::Endpoint peer_address() const override { return peer_.address; }

 private:
  const std::shared_ptr<Ends> ends_;
  const wire::Handshake peer_;
};

TestAgent::TestAgent(Harness& harness, std::string ip, uint16_t port)
    : harness_(harness), address_{std::move(ip), port} {
  info.set_hostname(absl::StrCat("host-", address_.ip));
  info.set_port(port);
}
TestAgent::~TestAgent() = default;

void TestAgent::Connect() {
  wire::Handshake handshake;
  handshake.purpose = wire::Purpose::kAgent;
  handshake.address = address_;
  ends_ = std::make_shared<Ends>();
  harness_.agents().Accept(std::make_unique<FakeLink>(ends_, handshake));
}

void TestAgent::Break() {
  if (!connected()) return;
  ends_->open = false;
  ends_->listener->OnClosed(absl::UnavailableError("reset"));
  harness_.Run();
}

bool TestAgent::connected() const { return ends_ != nullptr && ends_->open; }

void TestAgent::Send(const wire::AgentMessage& message) {
  CHECK(connected());
  ends_->listener->OnMessage(message.SerializeAsString());
  harness_.Run();
}

void TestAgent::Register(const std::string& resources) {
  if (!connected()) Connect();
  info.clear_resources();
  Resources::ParseText(resources)->ToProto(info.mutable_resources());
  wire::AgentMessage message;
  *message.mutable_register_agent()->mutable_agent_info() = info;
  message.mutable_register_agent()->set_version(kVersion);
  Send(message);
  for (const wire::AgentMessage& answer : ends_->sent) {
    if (!answer.has_agent_registered()) continue;
    *info.mutable_id() = answer.agent_registered().agent_id();
  }
}

void TestAgent::Reregister() {
  if (!connected()) Connect();
  wire::AgentMessage message;
  *message.mutable_reregister_agent() = listing;
  *message.mutable_reregister_agent()->mutable_agent_info() = info;
  message.mutable_reregister_agent()->set_version(kVersion);
  Send(message);
}

void TestAgent::SendPong() {
  wire::AgentMessage message;
  message.mutable_pong();
  Send(message);
}

std::string TestAgent::SendUpdate(const std::string& framework_id,
                                  const std::string& task_id,
                                  mesos::v1::TaskState state) {
  wire::AgentMessage message;
  wire::StatusUpdate& update = *message.mutable_status_update();
  update.mutable_framework_id()->set_value(framework_id);
  mesos::v1::TaskStatus& status = *update.mutable_status();
  status.mutable_task_id()->set_value(task_id);
  status.set_state(state);
  status.set_source(mesos::v1::TaskStatus::SOURCE_EXECUTOR);
  std::string uuid = absl::StrCat("uuid-", ++updates_);
  uuid.resize(16, '.');
  status.set_uuid(uuid);
  Send(message);
  return uuid;
}

std::vector<wire::AgentMessage> TestAgent::Take() {
  if (ends_ == nullptr) return {};
  return std::exchange(ends_->sent, {});
}

std::optional<wire::AgentMessage> TestAgent::Next(
    wire::AgentMessage::KindCase kind) {
  if (ends_ == nullptr) return std::nullopt;
  auto& sent = ends_->sent;
  for (size_t i = 0; i < sent.size(); ++i) {
    if (sent[i].kind_case() != kind) continue;
    wire::AgentMessage message = std::move(sent[i]);
    sent.erase(sent.begin(), sent.begin() + i + 1);
    return message;
  }
  sent.clear();
  return std::nullopt;
}

TestFramework::TestFramework(Harness& harness) : harness_(harness) {
  info.set_user("root");
  info.set_name("test");
  info.add_roles("*");
  info.add_capabilities()->set_type(
      mesos::v1::FrameworkInfo::Capability::MULTI_ROLE);
}

http::Response TestFramework::Subscribe() {
  Call call;
  call.set_type(Call::SUBSCRIBE);
  *call.mutable_subscribe()->mutable_framework_info() = info;
  for (const std::string& role : suppressed_roles) {
    call.mutable_subscribe()->add_suppressed_roles(role);
  }
  if (info.has_id()) *call.mutable_framework_id() = info.id();
  stream_ = std::make_shared<StreamEnd>();
  http::Response response =
      harness_.Send({.method = "POST",
                     .target = "/api/v1/scheduler",
                     .headers = {{"Content-Type", "application/json"}},
                     .body = api::SerializeBody(api::MediaType::kJson, call)},
                    stream_);
  stream_id = response.headers.Get("Mesos-Stream-Id").value_or("");
  for (const Event& event : Decode(stream_->bytes)) {
    if (!event.has_subscribed()) continue;
    *info.mutable_id() = event.subscribed().framework_id();
  }
  return response;
}

void TestFramework::Disconnect() {
  stream_->on_peer_left();
  harness_.Run();
}

http::Response TestFramework::Send(Call call) {
  if (!call.has_framework_id()) *call.mutable_framework_id() = info.id();
  http::Headers headers = {{"Content-Type", "application/json"}};
  if (!stream_id.empty()) headers.Add("Mesos-Stream-Id", stream_id);
  return harness_.Post("/api/v1/scheduler",
                       api::SerializeBody(api::MediaType::kJson, call),
                       std::move(headers));
}

mesos::v1::TaskInfo TestFramework::MakeTask(
    const mesos::v1::Offer& offer, const std::string& id,
    const std::string& resources) const {
  mesos::v1::TaskInfo task;
  task.set_name(id);
  task.mutable_task_id()->set_value(id);
  *task.mutable_agent_id() = offer.agent_id();
  Resources::ParseText(resources)->ToProto(task.mutable_resources());
  task.mutable_command()->set_value("true");
  return task;
}

http::Response TestFramework::Launch(
    const std::vector<mesos::v1::Offer>& offers,
    const std::vector<std::string>& task_ids, const std::string& resources) {
  Call call;
  call.set_type(Call::ACCEPT);
  for (const mesos::v1::Offer& offer : offers) {
    *call.mutable_accept()->add_offer_ids() = offer.id();
  }
  auto& operation = *call.mutable_accept()->add_operations();
  operation.set_type(mesos::v1::Offer::Operation::LAUNCH);
  for (const std::string& id : task_ids) {
    *operation.mutable_launch()->add_task_infos() =
        MakeTask(offers.front(), id, resources);
  }
  return Send(std::move(call));
}

http::Response TestFramework::Acknowledge(const mesos::v1::TaskStatus& status) {
  Call call;
  call.set_type(Call::ACKNOWLEDGE);
  *call.mutable_acknowledge()->mutable_agent_id() = status.agent_id();
  *call.mutable_acknowledge()->mutable_task_id() = status.task_id();
  call.mutable_acknowledge()->set_uuid(status.uuid());
  return Send(std::move(call));
}

std::vector<TestFramework::Event> TestFramework::Take() {
  std::vector<Event> events;
  for (Event& event : Decode(TakeBytes())) {
    if (event.type() != Event::HEARTBEAT) events.push_back(std::move(event));
  }
  return events;
}

std::vector<mesos::v1::Offer> TestFramework::TakeOffers() {
  std::vector<mesos::v1::Offer> offers;
  for (const Event& event : Take()) {
    for (const auto& offer : event.offers().offers()) offers.push_back(offer);
  }
  return offers;
}

std::vector<mesos::v1::TaskStatus> TestFramework::TakeUpdates() {
  std::vector<mesos::v1::TaskStatus> updates;
  for (const Event& event : Take()) {
    if (event.has_update()) updates.push_back(event.update().status());
  }
  return updates;
}

}  // namespace quorate::master::testing
