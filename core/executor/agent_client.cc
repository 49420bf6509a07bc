#include "core/executor/agent_client.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/api/media.h"

namespace quorate::executor {
namespace {

using scheduler::Subscription;

constexpr absl::string_view kPath = "/api/v1/executor";
constexpr api::MediaType kMedia = api::MediaType::kProtobuf;
constexpr io::Duration kMinBackoff = std::chrono::milliseconds(50);
// A restarted agent waits for subscription_backoff_max: several attempts have
// to fall into that time.
constexpr int kAttemptsPerBackoffMax = 4;
// Of an executor whose agent is not there from the start.
constexpr io::Duration kFirstPatience = std::chrono::seconds(10);

}  // namespace

AgentClient::AgentClient(io::Environment& environment,
                         const ExecutorOptions& options, Listener* listener)
    : environment_(environment),
      options_(options),
      listener_(listener),
      random_(environment.random().Split("agent_client")),
      backoff_(kMinBackoff) {}

void AgentClient::Start() { Subscribe(); }

AgentClient::Call AgentClient::MakeCall(Call::Type type) const {
  Call call;
  call.set_type(type);
  call.mutable_executor_id()->set_value(options_.executor_id);
  call.mutable_framework_id()->set_value(options_.framework_id);
  return call;
}

void AgentClient::Subscribe() {
  Call call = MakeCall(Call::SUBSCRIBE);
  Call::Subscribe& subscribe = *call.mutable_subscribe();
  for (const auto& [id, task] : tasks_) {
    *subscribe.add_unacknowledged_tasks() = task;
  }
  for (const Call::Update& update : updates_) {
    *subscribe.add_unacknowledged_updates() = update;
  }
  brought_ = updates_.size();
  stream_ = std::make_unique<Subscription>(
      environment_, options_.agent, kPath, kMedia,
      api::SerializeBody(kMedia, call),
      Subscription::Callbacks{
          .on_open = [](const http::Response&) {},
          .on_record = [this](absl::string_view record) { OnRecord(record); },
          .on_refused =
              [this](const http::Response& answer) { OnRefused(answer); },
          .on_closed = [this](const absl::Status& why) { Lose(why); }});
}

void AgentClient::OnRecord(absl::string_view record) {
  Event event;
  const absl::Status parsed = api::ParseBody(kMedia, record, &event);
  if (!parsed.ok()) return Lose(parsed);
  switch (event.type()) {
    case Event::HEARTBEAT:
      return;
    case Event::ERROR:
      return Abandon(absl::FailedPreconditionError(event.error().message()));
    case Event::SUBSCRIBED:
      LOG(INFO) << "subscribed at agent " << options_.agent.ToString();
      subscribed_ = true;
      was_subscribed_ = true;
      lost_ = false;
      patience_.Cancel();
      backoff_ = kMinBackoff;
      calls_ = std::make_unique<http::ClientConnection>(
          environment_.clock(), environment_.network(), options_.agent,
          http::ClientOptions{});
      for (size_t i = brought_; i < updates_.size(); ++i) Send(updates_[i]);
      break;
    case Event::ACKNOWLEDGED:
      OnAcknowledged(event.acknowledged());
      break;
    default:
      break;
  }
  listener_->OnEvent(event);
}

void AgentClient::OnAcknowledged(const Event::Acknowledged& acknowledged) {
  tasks_.erase(acknowledged.task_id().value());
  std::erase_if(updates_, [&](const Call::Update& update) {
    return update.status().uuid() == acknowledged.uuid();
  });
}

void AgentClient::OnRefused(const http::Response& answer) {
  const absl::Status why = absl::UnavailableError(
      absl::StrCat("the agent answered ", answer.status, " ", answer.body));
  // So an agent refuses an executor that it does not know. Another answer is
  // that of an agent which is not ready yet, or of another program that has its
  // address meanwhile: no reason to end a task.
  if (answer.status == 400 || answer.status == 403) return Abandon(why);
  Lose(why);
}

io::Duration AgentClient::Patience() const {
  if (options_.checkpoint) return options_.recovery_timeout;
  // Without checkpoints the agent's next process would not know this executor.
  return was_subscribed_ ? io::Duration::zero() : kFirstPatience;
}

void AgentClient::Lose(const absl::Status& why) {
  subscribed_ = false;
  stream_.reset();
  calls_.reset();
  if (!lost_) {
    LOG(WARNING) << "the agent is gone: " << why;
    lost_ = true;
    patience_ = environment_.clock().RunAfter(Patience(), [this, why] {
      Abandon(absl::DeadlineExceededError(
          absl::StrCat("the agent did not come back: ", why.message())));
    });
  }
  retry_ = environment_.clock().RunAfter(
      random_->Between(backoff_ / 2, backoff_), [this] { Subscribe(); });
  backoff_ = std::min(2 * backoff_,
                      std::max(kMinBackoff, options_.subscription_backoff_max /
                                                kAttemptsPerBackoffMax));
}

void AgentClient::Abandon(const absl::Status& why) {
  abandoned_ = true;
  subscribed_ = false;
  patience_.Cancel();
  retry_.Cancel();
  stream_.reset();
  calls_.reset();
  listener_->OnAbandoned(why);
}

void AgentClient::AddTask(const mesos::v1::TaskInfo& task) {
  tasks_[task.task_id().value()] = task;
}

void AgentClient::SendUpdate(mesos::v1::TaskStatus status) {
  status.set_uuid(environment_.random().UuidBytes());
  status.set_timestamp(io::ToUnixSeconds(environment_.clock().WallNow()));
  status.set_source(mesos::v1::TaskStatus::SOURCE_EXECUTOR);
  status.mutable_executor_id()->set_value(options_.executor_id);
  Call::Update update;
  *update.mutable_status() = std::move(status);
  updates_.push_back(std::move(update));
  // Otherwise the next subscription brings it along, or is followed by it.
  if (subscribed_) Send(updates_.back());
}

void AgentClient::Send(const Call::Update& update) {
  Call call = MakeCall(Call::UPDATE);
  *call.mutable_update() = update;
  calls_->Send(
      scheduler::ApiRequest(kPath, kMedia, api::SerializeBody(kMedia, call)),
      [this](auto answer) { OnUpdateAnswered(answer); });
}

void AgentClient::OnUpdateAnswered(
    const absl::StatusOr<http::Response>& answer) {
  if (!answer.ok()) return Lose(answer.status());
  if (answer->status >= 500) return OnRefused(*answer);
  if (answer->status != 202) {
    LOG(ERROR) << "the agent refuses an update: " << answer->status << " "
               << answer->body;
  }
}

}  // namespace quorate::executor
