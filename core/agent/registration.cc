#include "core/agent/registration.h"

#include <glog/logging.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"

namespace quorate::agent {
namespace {

using mesos::v1::MasterInfo;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr io::Duration kMaxBackoff = minutes(1);
constexpr io::Duration kMinPingTimeout = seconds(1);
constexpr io::Duration kMaxPingTimeout = std::chrono::hours(24);
constexpr size_t kMaxDeferred = 100000;

auto Age(const wire::Reign& reign) {
  return std::make_tuple(reign.generation(), reign.epoch());
}

bool IsSame(const wire::Reign& a, const wire::Reign& b) {
  return a.cluster_id() == b.cluster_id() && Age(a) == Age(b);
}

// Of a message by which a master commands; null for all others.
const wire::Reign* ReignOf(const wire::AgentMessage& message) {
  switch (message.kind_case()) {
    case wire::AgentMessage::kPing:
      return &message.ping().reign();
    case wire::AgentMessage::kRunTask:
      return &message.run_task().reign();
    case wire::AgentMessage::kKillTask:
      return &message.kill_task().reign();
    case wire::AgentMessage::kStatusUpdateAcknowledgement:
      return &message.status_update_acknowledgement().reign();
    case wire::AgentMessage::kShutdownFramework:
      return &message.shutdown_framework().reign();
    case wire::AgentMessage::kShutdownExecutor:
      return &message.shutdown_executor().reign();
    case wire::AgentMessage::kShutdownAgent:
      return &message.shutdown_agent().reign();
    case wire::AgentMessage::kReconcileTasks:
      return &message.reconcile_tasks().reign();
    case wire::AgentMessage::kFrameworkMessage:
      return &message.framework_message().reign();
    default:
      return nullptr;
  }
}

bool IsSameMaster(const MasterInfo& a, const MasterInfo& b) {
  return a.id() == b.id() && a.address().ip() == b.address().ip() &&
         a.address().port() == b.address().port();
}

}  // namespace

Registration::Registration(io::Environment& environment,
                           const AgentOptions& options, Store& store,
                           Listener* listener)
    : environment_(environment),
      options_(options),
      store_(store),
      listener_(listener),
      random_(environment.random().Split("registration")) {}

void Registration::Start(const io::Endpoint& self, Identity identity) {
  self_ = self;
  identity_ = std::move(identity);
  newest_ = identity_.reign;
  Detect();
}

// -----------------------------------------------------------------------------
// Leader and link

void Registration::Detect() {
  auto on_leader = [this](const std::optional<MasterInfo>& leader) {
    OnLeader(leader);
  };
  detector_ = election::NewDetector(environment_, options_.master,
                                    identity_.cluster_id, on_leader);
}

void Registration::OnLeader(const std::optional<MasterInfo>& leader) {
  if (leader.has_value()) {
    LOG(INFO) << "master at " << leader->address().ip() << ":"
              << leader->address().port() << " leads";
  } else {
    LOG(INFO) << "no master leads, or nobody tells who does";
  }
  leader_ = leader;
  // Without news the link to the last leader is as good as any.
  if (!leader.has_value()) return;
  if (dialer_ != nullptr &&
      (IsSameMaster(*leader, dialed_) || Planted(Bug::kFirstLeaderForEver))) {
    return;
  }
  HangUp();
  Dial(*leader);
}

void Registration::Dial(const MasterInfo& master) {
  dialed_ = master;
  const io::Endpoint to = {master.address().ip(),
                           static_cast<uint16_t>(master.address().port())};
  dialer_ = wire::NewDialer(
      environment_.clock(), environment_.network(), to,
      [this] {
        wire::Handshake mine;
        mine.purpose = wire::Purpose::kAgent;
        mine.versions = options_.master.protocol;
        mine.cluster_id = identity_.cluster_id;
        mine.node_id = identity_.agent_id;
        mine.address = self_;
        return mine;
      },
      wire::Dialer::Options{}, random_->Next(), this);
}

void Registration::HangUp() {
  const bool was_registered = registered();
  phase_ = Phase::kIdle;
  ++attempt_;
  register_.Cancel();
  ping_timer_.Cancel();
  deferred_.clear();
  if (was_registered) listener_->OnDisconnected();
  dialer_.reset();
}

void Registration::OnUp(const wire::Handshake&) {
  phase_ = Phase::kRegistering;
  backoff_ = options_.registration_backoff_factor;
  // Of thousands of agents that see a new leader, not all come at once.
  register_ = environment_.clock().RunAfter(
      random_->Between(io::Duration::zero(), backoff_), [this] { Register(); });
}

void Registration::OnDown(const absl::Status& reason) {
  LOG(WARNING) << "no link to the master: " << reason;
  const bool was_registered = registered();
  phase_ = Phase::kIdle;
  ++attempt_;
  register_.Cancel();
  ping_timer_.Cancel();
  deferred_.clear();
  if (was_registered) listener_->OnDisconnected();
}

// -----------------------------------------------------------------------------
// Registering

void Registration::Register() {
  wire::AgentMessage message;
  wire::ReregisterAgent description;
  listener_->Describe(&description);
  if (identity_.agent_id.empty()) {
    wire::RegisterAgent& registration = *message.mutable_register_agent();
    registration.mutable_agent_info()->Swap(description.mutable_agent_info());
    registration.set_version(description.version());
    registration.mutable_capabilities()->Swap(
        description.mutable_capabilities());
  } else {
    message.mutable_reregister_agent()->Swap(&description);
  }
  dialer_->Send(message.SerializeAsString());
  RegisterLater();
}

void Registration::RegisterLater() {
  register_ = environment_.clock().RunAfter(
      random_->Between(backoff_ / 2, backoff_), [this] { Register(); });
  backoff_ = std::min(2 * backoff_, kMaxBackoff);
}

absl::Status Registration::CheckId(const std::string& agent_id) const {
  if (identity_.agent_id.empty()) return ValidateId(agent_id);
  if (agent_id == identity_.agent_id) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("it calls this agent '", agent_id, "'"));
}

absl::Status Registration::CheckReign(const wire::Reign& reign) const {
  if (newest_.has_epoch() && reign.cluster_id() != newest_.cluster_id()) {
    return absl::FailedPreconditionError("it belongs to another cluster");
  }
  if (Age(reign) < Age(newest_) && !Planted(Bug::kEpochIgnored)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "its epoch ", reign.epoch(), " is over: this agent has obeyed epoch ",
        newest_.epoch()));
  }
  return absl::OkStatus();
}

void Registration::OnAnswer(const std::string& agent_id,
                            const wire::Reign& reign, int64_t ping_timeout_ns) {
  // A repeated answer is not news.
  if (phase_ != Phase::kRegistering) return;
  absl::Status checked = CheckId(agent_id);
  if (checked.ok()) checked = CheckReign(reign);
  if (!checked.ok()) {
    LOG(ERROR) << "not obeying the master at " << dialed_.address().ip() << ":"
               << dialed_.address().port() << ": " << checked.message();
    return;
  }
  register_.Cancel();
  ping_timeout_ = std::clamp(io::Duration(ping_timeout_ns), kMinPingTimeout,
                             kMaxPingTimeout);
  phase_ = Phase::kPersisting;
  newest_ = reign;
  Persist(agent_id, reign);
}

void Registration::Persist(const std::string& agent_id,
                           const wire::Reign& reign) {
  const uint64_t attempt = ++attempt_;
  if (!identity_.agent_id.empty() && IsSame(reign, identity_.reign)) {
    return OnPersisted(attempt);
  }
  std::optional<AgentRecord> record;
  if (identity_.agent_id.empty()) {
    wire::ReregisterAgent description;
    listener_->Describe(&description);
    record.emplace();
    record->mutable_info()->Swap(description.mutable_agent_info());
    record->mutable_info()->mutable_id()->set_value(agent_id);
    record->set_cluster_id(reign.cluster_id());
  }
  store_.Write(
      [agent_id, reign, record](Checkpoints& checkpoints) {
        const absl::Status status = checkpoints.WriteReign(agent_id, reign);
        if (!status.ok() || !record.has_value()) return status;
        return checkpoints.WriteAgent(*record);
      },
      [this, attempt, agent_id, reign] {
        // True from now on, whatever has become of the link.
        identity_ = {agent_id, reign.cluster_id(), reign};
        OnPersisted(attempt);
      });
}

void Registration::OnPersisted(uint64_t attempt) {
  if (attempt != attempt_ || phase_ != Phase::kPersisting) return;
  phase_ = Phase::kRegistered;
  LOG(INFO) << "registered as " << identity_.agent_id << " in epoch "
            << identity_.reign.epoch();
  ArmPingTimeout();
  listener_->OnRegistered(identity_.agent_id);
  while (registered() && attempt == attempt_ && !deferred_.empty()) {
    const wire::AgentMessage message = std::move(deferred_.front());
    deferred_.pop_front();
    Dispatch(message);
  }
}

// -----------------------------------------------------------------------------
// Messages

void Registration::Send(const wire::AgentMessage& message) {
  if (registered()) dialer_->Send(message.SerializeAsString());
}

void Registration::OnMessage(absl::string_view payload) {
  wire::AgentMessage message;
  if (!message.ParseFromArray(payload.data(),
                              static_cast<int>(payload.size()))) {
    LOG(ERROR) << "the master sent what is not a message";
    return;
  }
  if (message.has_agent_registered()) {
    const auto& answer = message.agent_registered();
    return OnAnswer(answer.agent_id().value(), answer.reign(),
                    answer.ping_timeout_ns());
  }
  if (message.has_agent_reregistered()) {
    const auto& answer = message.agent_reregistered();
    return OnAnswer(answer.agent_id().value(), answer.reign(),
                    answer.ping_timeout_ns());
  }
  if (phase_ != Phase::kPersisting) return Dispatch(message);
  if (deferred_.size() < kMaxDeferred) deferred_.push_back(std::move(message));
}

QueueSize Registration::queue() const {
  return {"deferred messages", deferred_.size(), kMaxDeferred};
}

void Registration::Dispatch(const wire::AgentMessage& message) {
  const wire::Reign* reign = ReignOf(message);
  if (reign == nullptr) return;
  // A master may refuse to register an agent.
  const bool refused = message.has_shutdown_agent() &&
                       phase_ == Phase::kRegistering && CheckReign(*reign).ok();
  if (!refused && !(registered() && IsSame(*reign, identity_.reign))) {
    LOG(WARNING) << "dropping a message of epoch " << reign->epoch();
    return;
  }
  if (message.has_ping()) return OnPing(message.ping());
  listener_->OnMessage(message);
}

void Registration::OnPing(const wire::Ping& ping) {
  ArmPingTimeout();
  wire::AgentMessage pong;
  pong.mutable_pong();
  Send(pong);
  if (ping.connected()) return;
  LOG(WARNING) << "the master has lost this agent; registering again";
  listener_->OnDisconnected();
  phase_ = Phase::kRegistering;
  ++attempt_;
  ping_timer_.Cancel();
  backoff_ = options_.registration_backoff_factor;
  Register();
}

void Registration::ArmPingTimeout() {
  ping_timer_ = environment_.clock().RunAfter(ping_timeout_, [this] {
    LOG(WARNING) << "the master is silent; looking for the leader anew";
    HangUp();
    Detect();
  });
}

}  // namespace quorate::agent
