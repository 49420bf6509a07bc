#include "core/master/frameworks.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/api/media.h"
#include "core/base/planted.h"
#include "core/master/events.h"
#include "core/master/limits.h"
#include "core/master/subscriber.h"
#include "core/master/validation.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::scheduler::Call;

constexpr char kRemoved[] = "Framework has been removed";

std::vector<std::string> ToVector(
    const google::protobuf::RepeatedPtrField<std::string>& roles) {
  return {roles.begin(), roles.end()};
}

// Not half a character at its end.
std::string Shortened(absl::string_view text) {
  if (text.size() <= kMaxEndedTextBytes) return std::string(text);
  size_t end = kMaxEndedTextBytes;
  const auto continues = [&text](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (end > kMaxEndedTextBytes - 4 && continues(end)) --end;
  return std::string(text.substr(0, end));
}

// Who it is and whose.
FrameworkInfo EssenceOf(const FrameworkInfo& info) {
  FrameworkInfo essence;
  *essence.mutable_id() = info.id();
  essence.set_user(Shortened(info.user()));
  essence.set_name(Shortened(info.name()));
  if (info.has_principal()) essence.set_principal(Shortened(info.principal()));
  return essence;
}

absl::Status Busy(const absl::Status& outcome) {
  return absl::UnavailableError(
      absl::StrCat("The registry cannot be changed now: ", outcome.message(),
                   "; try again"));
}

}  // namespace

Frameworks::Frameworks(Context& context, Offers& offers, Tasks& tasks)
    : context_(context), offers_(offers), tasks_(tasks) {}

void Frameworks::Start() {
  const registry::RegistryState& registry = context_.registry->state();
  for (const registry::Registry::EndedFramework& ended :
       registry.ended_frameworks()) {
    auto framework = std::make_unique<Framework>();
    framework->id = ended.info().id().value();
    framework->info = ended.info();
    framework->registered_time = ToWallTime(ended.registered());
    framework->unregistered_time = ToWallTime(ended.ended());
    context_.cluster.AddCompleted(std::move(framework),
                                  context_.options.max_completed_frameworks);
  }
  for (const auto& [id, known] : registry.frameworks()) {
    Framework& framework = Add(known.info(), ToWallTime(known.registered()));
    framework.recovered = true;
    AwaitReturn(framework, RecoveryTimeout(framework.info));
  }
}

// Whoever runs the framework needs time to notice that there is a new leader,
// also if it has asked for none.
io::Duration Frameworks::RecoveryTimeout(const FrameworkInfo& info) const {
  return std::max(FailoverTimeout(info),
                  context_.options.agent_reregister_timeout);
}

// -----------------------------------------------------------------------------
// Subscribing

void Frameworks::Refuse(Subscription subscription, const std::string& reason) {
  Subscriber refused(context_.clock(), subscription.type,
                     subscription.stream_id, std::move(subscription.stream),
                     nullptr);
  refused.Close(reason);
}

void Frameworks::Subscribe(const Call::Subscribe& call,
                           Subscription subscription) {
  Waiting waiting{.call = call, .subscription = std::move(subscription)};
  FrameworkInfo& info = *waiting.call.mutable_framework_info();
  info.DiscardUnknownFields();
  const absl::Status valid = Check(waiting.call);
  if (!valid.ok()) {
    LOG(WARNING) << "refusing framework '" << absl::CHexEscape(info.name())
                 << "': " << valid.message();
    return Refuse(std::move(waiting.subscription),
                  std::string(valid.message()));
  }
  waiting.is_new = info.id().value().empty();
  if (waiting.is_new) {
    info.mutable_id()->set_value(
        absl::StrFormat("%s-%04d", context_.id(), next_framework_++));
  }
  const std::string id = info.id().value();
  if (Framework* known = context_.cluster.FindFramework(id)) {
    // Tasks run with these.
    info.set_user(known->info.user());
    info.set_checkpoint(known->info.checkpoint());
    known->failover_timer.Cancel();
  }
  waiting.subscription.stream->OnClosed([this, id] {
    auto it = waiting_.find(id);
    if (it != waiting_.end()) it->second.left = true;
  });
  auto former = waiting_.find(id);
  if (former != waiting_.end()) {
    waiting.writing = former->second.writing;
    Refuse(Take(former).subscription, "Framework failed over");
  }
  bytes_ += info.ByteSizeLong();
  waiting_.emplace(id, std::move(waiting));
  Proceed(id);
}

Frameworks::Waiting Frameworks::Take(WaitingById::iterator it) {
  bytes_ -= it->second.call.framework_info().ByteSizeLong();
  return std::move(waiting_.extract(it).mapped());
}

// Whether the registry holds exactly this, and is not about to hold something
// else.
bool Frameworks::InRegistry(const FrameworkInfo& info) const {
  const std::string& id = info.id().value();
  const auto& frameworks = context_.registry->state().frameworks();
  auto known = frameworks.find(id);
  if (known == frameworks.end() || writes_.count(id) > 0) return false;
  // Bytes, as these are equal to themselves: NaN is not.
  const auto bytes = [](const FrameworkInfo& info) {
    return api::SerializeBody(api::MediaType::kProtobuf, info);
  };
  return bytes(known->second.info()) == bytes(info);
}

// As far as the registry allows now.
void Frameworks::Proceed(const std::string& id) {
  auto it = waiting_.find(id);
  if (it == waiting_.end() || it->second.writing || ending_.count(id) > 0 ||
      forgetting_.count(id) > 0) {
    return;
  }
  if (context_.registry->state().HasEnded(id)) {
    return Refuse(Take(it).subscription, kRemoved);
  }
  if (it->second.left) return GiveUp(Take(it));
  const FrameworkInfo& info = it->second.call.framework_info();
  if (InRegistry(info)) return Accept(Take(it));
  if (Planted(Bug::kSubscribedUncommitted)) {
    Write(info, [](const absl::Status&) {});
    return Accept(Take(it));
  }
  it->second.writing = true;
  it->second.told = true;
  Write(info,
        [this, id](const absl::Status& outcome) { OnWritten(id, outcome); });
}

void Frameworks::OnWritten(const std::string& id, const absl::Status& outcome) {
  auto it = waiting_.find(id);
  Waiting& waiting = it->second;
  waiting.writing = false;
  const bool told = std::exchange(waiting.told, false);
  if (!RegistryWriter::IsDurable(outcome)) return PutOff(Take(it), outcome);
  // Without a look at what the registry holds now: it was told, and if it did
  // not hold that it would be told for ever.
  if (outcome.ok() && told && !waiting.left && ending_.count(id) == 0) {
    return Accept(Take(it));
  }
  Proceed(id);
}

void Frameworks::Accept(Waiting waiting) {
  const Call::Subscribe& call = waiting.call;
  const std::string id = call.framework_info().id().value();
  Framework* framework = context_.cluster.FindFramework(id);
  if (framework == nullptr) {
    framework = &Add(call.framework_info(), context_.clock().WallNow());
  } else {
    FailOver(*framework, call.framework_info());
  }
  framework->suppressed_roles = {call.suppressed_roles().begin(),
                                 call.suppressed_roles().end()};
  if (call.offer_constraints().role_constraints_size() > 0) {
    LOG(WARNING) << "framework " << id
                 << " has offer constraints; they are not supported yet, so it "
                    "is offered agents that it does not want";
  }
  LOG(INFO) << "framework " << id << " ('"
            << absl::CHexEscape(framework->info.name()) << "') is subscribed";
  Subscription& subscription = waiting.subscription;
  context_.cluster.SetSubscriber(
      *framework,
      std::make_unique<Subscriber>(
          context_.clock(), subscription.type, subscription.stream_id,
          std::move(subscription.stream), [this, id] { OnDisconnected(id); }));
  SendSubscribed(context_, *framework);
  framework->subscriber->StartHeartbeats();
  offers_.Poke();
}

// Not an ERROR, which ends frameworks: this one may subscribe again.
void Frameworks::PutOff(Waiting waiting, const absl::Status& reason) {
  const std::string& id = waiting.call.framework_info().id().value();
  LOG(WARNING) << "framework " << id
               << " has to subscribe again: " << Busy(reason).message();
  Refuse(std::move(waiting.subscription), "");
  if (Framework* known = context_.cluster.FindFramework(id)) {
    FollowRegistry(*known);
    AwaitReturn(*known);
  }
}

// It has gone before it could be told anything.
void Frameworks::GiveUp(const Waiting& waiting) {
  const FrameworkInfo& info = waiting.call.framework_info();
  Framework* known = context_.cluster.FindFramework(info.id().value());
  if (known == nullptr && waiting.is_new) return Forget(info);
  if (known == nullptr) {
    known = &Add(info, context_.clock().WallNow());
    known->recovered = true;
  }
  FollowRegistry(*known);
  AwaitReturn(*known);
}

// What a subscription has changed there stays so, also if it was not accepted.
void Frameworks::FollowRegistry(Framework& framework) {
  const auto& frameworks = context_.registry->state().frameworks();
  auto held = frameworks.find(framework.id);
  if (held == frameworks.end()) return;
  SetInfo(framework, held->second.info());
  offers_.RescindForeign(framework);
}

// Not as one that has ended: those are remembered in place of others.
void Frameworks::Forget(const FrameworkInfo& info) {
  const std::string id = info.id().value();
  forgetting_.insert(id);
  registry::Operation operation;
  operation.mutable_forget_framework()->mutable_id()->set_value(id);
  context_.registry->Apply(
      std::move(operation), [this, id, info](const absl::Status& outcome) {
        forgetting_.erase(id);
        if (!RegistryWriter::IsDurable(outcome) &&
            context_.cluster.FindFramework(id) == nullptr) {
          // It ends as it would under the next leader.
          Framework& kept = Add(info, context_.clock().WallNow());
          kept.recovered = true;
          AwaitReturn(kept);
        }
        Proceed(id);
      });
}

void Frameworks::Write(const FrameworkInfo& info, OnDone done) {
  const std::string id = info.id().value();
  ++writes_[id];
  registry::Operation operation;
  auto& update = *operation.mutable_update_framework();
  *update.mutable_info() = info;
  *update.mutable_timestamp() = MakeTime(context_.clock().WallNow());
  context_.registry->Apply(
      std::move(operation),
      [this, id, done = std::move(done)](const absl::Status& outcome) {
        if (--writes_[id] == 0) writes_.erase(id);
        done(outcome);
      });
}

absl::Status Frameworks::Check(const Call::Subscribe& call) const {
  const FrameworkInfo& info = call.framework_info();
  absl::Status valid =
      ValidateFrameworkInfo(info, ToVector(call.suppressed_roles()),
                            context_.options.root_submissions);
  if (!valid.ok()) return valid;
  const std::string& id = info.id().value();
  if (context_.registry->state().HasEnded(id)) {
    return absl::InvalidArgumentError(kRemoved);
  }
  const Framework* known = context_.cluster.FindFramework(id);
  if (known == nullptr &&
      context_.cluster.frameworks().size() + waiting_.size() >=
          kMaxFrameworks) {
    return absl::ResourceExhaustedError("There are too many frameworks");
  }
  if (known != nullptr && known->info.principal() != info.principal()) {
    return absl::InvalidArgumentError(
        "The principal of a framework must not change");
  }
  return CheckRoom(info);
}

// One that does not grow may always come back.
absl::Status Frameworks::CheckRoom(const FrameworkInfo& info) const {
  const Framework* known = context_.cluster.FindFramework(info.id().value());
  const size_t before = known == nullptr ? 0 : known->info.ByteSizeLong();
  const size_t after = info.ByteSizeLong();
  if (after <= before || bytes_ - before + after <= kMaxFrameworkBytes) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "The descriptions of all frameworks would take more than ",
      kMaxFrameworkBytes >> 20,
      " MiB of the masters' registry: make this one smaller, or tear down "
      "frameworks that are not needed any more"));
}

Framework& Frameworks::Add(const FrameworkInfo& info,
                           io::WallTime registered_time) {
  auto framework = std::make_unique<Framework>();
  framework->id = info.id().value();
  SetInfo(*framework, info);
  framework->registered_time = registered_time;
  return context_.cluster.AddFramework(std::move(framework));
}

void Frameworks::SetInfo(Framework& framework, const FrameworkInfo& info) {
  bytes_ -= framework.info.ByteSizeLong();
  framework.info = info;
  bytes_ += framework.info.ByteSizeLong();
}

void Frameworks::FailOver(Framework& framework, const FrameworkInfo& info) {
  framework.failover_timer.Cancel();
  if (framework.connected()) {
    framework.subscriber->Close("Framework failed over");
    context_.cluster.SetSubscriber(framework, nullptr);
  }
  // Of the connection before this one.
  offers_.DiscardAll(framework);
  offers_.Forget(framework);
  SetInfo(framework, info);
  framework.recovered = false;
  framework.reregistered_time = context_.clock().WallNow();
}

void Frameworks::OnDisconnected(const std::string& framework_id) {
  Framework* framework = context_.cluster.FindFramework(framework_id);
  if (framework == nullptr || !framework->connected()) return;
  LOG(INFO) << "framework " << framework_id
            << " is disconnected; it is removed in "
            << framework->info.failover_timeout() << " seconds";
  context_.cluster.SetSubscriber(*framework, nullptr);
  offers_.DiscardAll(*framework);
  offers_.Forget(*framework);
  AwaitReturn(*framework);
}

// Unless it is connected.
void Frameworks::AwaitReturn(Framework& framework) {
  if (framework.connected()) return;
  AwaitReturn(framework, framework.recovered ? RecoveryTimeout(framework.info)
                                             : FailoverTimeout(framework.info));
}

void Frameworks::AwaitReturn(Framework& framework, io::Duration timeout) {
  // It is back already.
  if (waiting_.count(framework.id) > 0) return;
  framework.failover_timer = context_.clock().RunAfter(
      timeout, [this, id = framework.id] { OnTimeout(id); });
}

void Frameworks::OnTimeout(const std::string& id) {
  const Framework* gone = context_.cluster.FindFramework(id);
  if (gone == nullptr) return;
  LOG(INFO) << "framework " << id << " did not come back";
  Remove(*gone, [this, id](const absl::Status& removed) {
    if (removed.ok()) return;
    LOG(WARNING) << "framework " << id
                 << " is not removed yet: " << removed.message();
    AwaitReturn(*context_.cluster.FindFramework(id), kRegistryRetry);
  });
}

void Frameworks::Update(Framework& framework,
                        const Call::UpdateFramework& wanted, OnDone done) {
  Call::UpdateFramework call = wanted;
  call.mutable_framework_info()->DiscardUnknownFields();
  const FrameworkInfo& info = call.framework_info();
  absl::Status valid =
      ValidateFrameworkInfo(info, ToVector(call.suppressed_roles()),
                            context_.options.root_submissions);
  if (!valid.ok()) return done(valid);
  if (info.user() != framework.info.user() ||
      info.checkpoint() != framework.info.checkpoint() ||
      info.principal() != framework.info.principal()) {
    return done(absl::InvalidArgumentError(
        "'user', 'checkpoint' and 'principal' of a framework must not change"));
  }
  valid = CheckRoom(info);
  if (!valid.ok()) return done(valid);
  if (ending_.count(framework.id) == 0 && InRegistry(info)) {
    Change(framework, call);
    return done(absl::OkStatus());
  }
  const size_t bytes = info.ByteSizeLong();
  bytes_ += bytes;
  Write(info, [this, call, bytes,
               done = std::move(done)](const absl::Status& outcome) {
    bytes_ -= bytes;
    if (!RegistryWriter::IsDurable(outcome)) return done(Busy(outcome));
    Framework* framework =
        context_.cluster.FindFramework(call.framework_info().id().value());
    if (!outcome.ok() || framework == nullptr) {
      return done(absl::FailedPreconditionError(kRemoved));
    }
    Change(*framework, call);
    done(absl::OkStatus());
  });
}

void Frameworks::Change(Framework& framework,
                        const Call::UpdateFramework& call) {
  SetInfo(framework, call.framework_info());
  framework.suppressed_roles = {call.suppressed_roles().begin(),
                                call.suppressed_roles().end()};
  offers_.RescindForeign(framework);
  offers_.Poke();
}

// -----------------------------------------------------------------------------
// The end

void Frameworks::Remove(const Framework& framework, OnDone done) {
  auto [it, first] = ending_.try_emplace(framework.id);
  it->second.push_back(std::move(done));
  if (!first) return;
  LOG(INFO) << "removing framework " << framework.id << " ('"
            << absl::CHexEscape(framework.info.name()) << "')";
  registry::Operation operation;
  operation.mutable_end_framework()->set_remembered(kMaxEndedFrameworks);
  auto& ended = *operation.mutable_end_framework()->mutable_framework();
  *ended.mutable_info() = EssenceOf(framework.info);
  *ended.mutable_registered() = MakeTime(framework.registered_time);
  *ended.mutable_ended() = MakeTime(context_.clock().WallNow());
  context_.registry->Apply(
      std::move(operation),
      [this, id = framework.id](const absl::Status& end) { OnEnded(id, end); });
}

void Frameworks::OnEnded(const std::string& id, const absl::Status& outcome) {
  const bool ended = RegistryWriter::IsDurable(outcome);
  Framework* framework = context_.cluster.FindFramework(id);
  if (ended && framework != nullptr) Complete(*framework);
  const auto waiting = std::move(ending_.extract(id).mapped());
  for (const OnDone& done : waiting) {
    done(ended ? absl::OkStatus() : Busy(outcome));
  }
  Proceed(id);
}

void Frameworks::Complete(Framework& framework) {
  const std::string id = framework.id;
  for (const auto& [agent_id, agent] : context_.cluster.agents()) {
    if (agent->tasks.count(id) == 0 && agent->executors.count(id) == 0) {
      continue;
    }
    context_.cluster.RemoveExecutors(*agent, id);
    agent->kills.erase(id);
    if (agent->connected()) ShutDownOn(*agent, id);
  }
  tasks_.EndAll(framework);
  offers_.DiscardAll(framework);
  offers_.Forget(framework);
  if (framework.connected()) {
    framework.subscriber->Close("");
    context_.cluster.SetSubscriber(framework, nullptr);
  }
  framework.failover_timer.Cancel();
  bytes_ -= framework.info.ByteSizeLong();
  framework.unregistered_time = context_.clock().WallNow();
  context_.cluster.CompleteFramework(framework,
                                     context_.options.max_completed_frameworks);
}

void Frameworks::Recover(const FrameworkInfo& told) {
  FrameworkInfo info = told;
  info.DiscardUnknownFields();
  absl::Status valid = ValidateFrameworkInfo(info, {}, true);
  if (valid.ok()) valid = CheckRoom(info);
  if (!valid.ok()) {
    LOG(WARNING) << "little is kept of what an agent says of framework "
                 << info.id().value() << ": " << valid.message();
    info = EssenceOf(told);
    info.set_checkpoint(told.checkpoint());
    if (FailoverTimeout(told) > io::Duration::zero()) {
      info.set_failover_timeout(told.failover_timeout());
    }
  }
  LOG(INFO) << "framework " << info.id().value() << " ('"
            << absl::CHexEscape(info.name())
            << "') is known from an agent; it has yet to subscribe";
  Framework& framework = Add(info, context_.clock().WallNow());
  framework.recovered = true;
  AwaitReturn(framework, RecoveryTimeout(info));
}

void Frameworks::CheckInvariants() const {
  size_t bytes = 0;
  for (const auto& [id, framework] : context_.cluster.frameworks()) {
    bytes += framework->info.ByteSizeLong();
  }
  for (const auto& [id, waiting] : waiting_) {
    bytes += waiting.call.framework_info().ByteSizeLong();
    CHECK(!waiting.writing || writes_.count(id) > 0) << id;
    CHECK(waiting.writing || !waiting.told) << id;
  }
  CHECK_GE(bytes_, bytes);
  // Otherwise also of updates.
  if (writes_.empty()) CHECK_EQ(bytes_, bytes);
}

void Frameworks::ShutDownOn(Agent& agent, const std::string& framework_id) {
  wire::AgentMessage message;
  wire::ShutdownFramework& shutdown = *message.mutable_shutdown_framework();
  *shutdown.mutable_reign() = context_.reign;
  shutdown.mutable_framework_id()->set_value(framework_id);
  agent.peer->Send(message);
}

}  // namespace quorate::master
