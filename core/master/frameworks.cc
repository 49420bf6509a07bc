#include "core/master/frameworks.h"

#include <glog/logging.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/planted.h"
#include "core/master/events.h"
#include "core/master/limits.h"
#include "core/master/subscriber.h"
#include "core/master/validation.h"

namespace quorate::master {
namespace {

using google::protobuf::util::MessageDifferencer;
using mesos::v1::FrameworkInfo;
using mesos::v1::scheduler::Call;

constexpr char kRemoved[] = "Framework has been removed";

std::vector<std::string> ToVector(
    const google::protobuf::RepeatedPtrField<std::string>& roles) {
  return {roles.begin(), roles.end()};
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
  const absl::Status valid = Check(call);
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
  auto [it, first] = waiting_.try_emplace(id);
  if (!first) {
    waiting.writing = it->second.writing;
    Refuse(std::move(it->second.subscription), "Framework failed over");
  }
  it->second = std::move(waiting);
  Proceed(id);
}

// As far as the registry allows now.
void Frameworks::Proceed(const std::string& id) {
  auto it = waiting_.find(id);
  if (it == waiting_.end() || it->second.writing || ending_.count(id) > 0) {
    return;
  }
  const registry::RegistryState& registry = context_.registry->state();
  const FrameworkInfo& info = it->second.call.framework_info();
  auto known = registry.frameworks().find(id);
  const bool durable = known != registry.frameworks().end() &&
                       MessageDifferencer::Equals(known->second.info(), info);
  if (!registry.HasEnded(id) && !durable && !it->second.left) {
    if (Planted(Bug::kSubscribedUncommitted)) {
      Write(info, [] {});
      return Accept(std::move(waiting_.extract(it).mapped()));
    }
    it->second.writing = true;
    return Write(info, [this, id] {
      waiting_.at(id).writing = false;
      Proceed(id);
    });
  }
  Waiting waiting = std::move(waiting_.extract(it).mapped());
  if (registry.HasEnded(id)) {
    return Refuse(std::move(waiting.subscription), kRemoved);
  }
  if (waiting.left) return GiveUp(waiting);
  Accept(std::move(waiting));
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
  framework->subscriber = std::make_unique<Subscriber>(
      context_.clock(), subscription.type, subscription.stream_id,
      std::move(subscription.stream), [this, id] { OnDisconnected(id); });
  SendSubscribed(context_, *framework);
  framework->subscriber->StartHeartbeats();
  offers_.Poke();
}

// It has gone before it could be told anything.
void Frameworks::GiveUp(const Waiting& waiting) {
  const FrameworkInfo& info = waiting.call.framework_info();
  Framework* known = context_.cluster.FindFramework(info.id().value());
  if (known == nullptr && waiting.is_new) return WriteEnd(info, [] {});
  if (known == nullptr) {
    known = &Add(info, context_.clock().WallNow());
    known->recovered = true;
  }
  if (known->connected()) return;
  AwaitReturn(*known, known->recovered ? RecoveryTimeout(known->info)
                                       : FailoverTimeout(known->info));
}

void Frameworks::Write(const FrameworkInfo& info, std::function<void()> done) {
  registry::Operation operation;
  auto& update = *operation.mutable_update_framework();
  *update.mutable_info() = info;
  *update.mutable_timestamp() = MakeTime(context_.clock().WallNow());
  context_.registry->Apply(
      std::move(operation),
      [done = std::move(done)](const absl::Status&) { done(); });
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
  if (known == nullptr) {
    if (context_.cluster.frameworks().size() + waiting_.size() <
        kMaxFrameworks) {
      return absl::OkStatus();
    }
    return absl::ResourceExhaustedError("There are too many frameworks");
  }
  if (known->info.principal() != info.principal()) {
    return absl::InvalidArgumentError(
        "The principal of a framework must not change");
  }
  return absl::OkStatus();
}

Framework& Frameworks::Add(const FrameworkInfo& info,
                           io::WallTime registered_time) {
  auto framework = std::make_unique<Framework>();
  framework->id = info.id().value();
  framework->info = info;
  framework->registered_time = registered_time;
  return context_.cluster.AddFramework(std::move(framework));
}

void Frameworks::FailOver(Framework& framework, FrameworkInfo info) {
  framework.failover_timer.Cancel();
  if (framework.connected()) {
    framework.subscriber->Close("Framework failed over");
    framework.subscriber.reset();
  }
  // Of the connection before this one.
  offers_.DiscardAll(framework);
  offers_.Forget(framework);
  framework.info = std::move(info);
  framework.recovered = false;
  framework.reregistered_time = context_.clock().WallNow();
}

void Frameworks::OnDisconnected(const std::string& framework_id) {
  Framework* framework = context_.cluster.FindFramework(framework_id);
  if (framework == nullptr || !framework->connected()) return;
  LOG(INFO) << "framework " << framework_id
            << " is disconnected; it is removed in "
            << framework->info.failover_timeout() << " seconds";
  framework->subscriber.reset();
  offers_.DiscardAll(*framework);
  offers_.Forget(*framework);
  AwaitReturn(*framework, FailoverTimeout(framework->info));
}

void Frameworks::AwaitReturn(Framework& framework, io::Duration timeout) {
  // It is back already.
  if (waiting_.count(framework.id) > 0) return;
  framework.failover_timer =
      context_.clock().RunAfter(timeout, [this, id = framework.id] {
        LOG(INFO) << "framework " << id << " did not come back";
        if (Framework* gone = context_.cluster.FindFramework(id)) {
          Remove(*gone, nullptr);
        }
      });
}

void Frameworks::Update(Framework& framework, const Call::UpdateFramework& call,
                        OnUpdated done) {
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
  Write(info, [this, call, done = std::move(done)] {
    const FrameworkInfo& info = call.framework_info();
    Framework* framework = context_.cluster.FindFramework(info.id().value());
    if (framework == nullptr) {
      return done(absl::FailedPreconditionError(kRemoved));
    }
    framework->info = info;
    framework->suppressed_roles = {call.suppressed_roles().begin(),
                                   call.suppressed_roles().end()};
    offers_.RescindForeign(*framework);
    offers_.Poke();
    done(absl::OkStatus());
  });
}

// -----------------------------------------------------------------------------
// The end

void Frameworks::Remove(const Framework& framework,
                        std::function<void()> done) {
  auto [it, first] = ending_.try_emplace(framework.id);
  if (done) it->second.push_back(std::move(done));
  if (!first) return;
  LOG(INFO) << "removing framework " << framework.id << " ('"
            << absl::CHexEscape(framework.info.name()) << "')";
  WriteEnd(framework.info, [this, id = framework.id] { OnEnded(id); });
}

void Frameworks::WriteEnd(const FrameworkInfo& info,
                          std::function<void()> done) {
  registry::Operation operation;
  operation.mutable_end_framework()->set_remembered(kMaxEndedFrameworks);
  auto& ended = *operation.mutable_end_framework()->mutable_framework();
  *ended.mutable_info()->mutable_id() = info.id();
  ended.mutable_info()->set_user(info.user());
  ended.mutable_info()->set_name(info.name());
  if (info.has_principal()) {
    ended.mutable_info()->set_principal(info.principal());
  }
  const Framework* known = context_.cluster.FindFramework(info.id().value());
  if (known != nullptr) {
    *ended.mutable_registered() = MakeTime(known->registered_time);
  }
  *ended.mutable_ended() = MakeTime(context_.clock().WallNow());
  context_.registry->Apply(
      std::move(operation),
      [done = std::move(done)](const absl::Status&) { done(); });
}

void Frameworks::OnEnded(const std::string& id) {
  if (Framework* framework = context_.cluster.FindFramework(id)) {
    Complete(*framework);
  }
  const auto waiting = std::move(ending_.extract(id).mapped());
  for (const auto& done : waiting) done();
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
    framework.subscriber.reset();
  }
  framework.failover_timer.Cancel();
  framework.unregistered_time = context_.clock().WallNow();
  context_.cluster.CompleteFramework(framework,
                                     context_.options.max_completed_frameworks);
}

void Frameworks::Recover(const FrameworkInfo& info) {
  LOG(INFO) << "framework " << info.id().value() << " ('"
            << absl::CHexEscape(info.name())
            << "') is known from an agent; it has yet to subscribe";
  Framework& framework = Add(info, context_.clock().WallNow());
  framework.recovered = true;
  AwaitReturn(framework, RecoveryTimeout(info));
}

void Frameworks::ShutDownOn(Agent& agent, const std::string& framework_id) {
  wire::AgentMessage message;
  wire::ShutdownFramework& shutdown = *message.mutable_shutdown_framework();
  *shutdown.mutable_reign() = context_.reign;
  shutdown.mutable_framework_id()->set_value(framework_id);
  agent.peer->Send(message);
}

}  // namespace quorate::master
