#include "core/master/frameworks.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/master/events.h"
#include "core/master/limits.h"
#include "core/master/subscriber.h"
#include "core/master/validation.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::scheduler::Call;

std::vector<std::string> ToVector(
    const google::protobuf::RepeatedPtrField<std::string>& roles) {
  return {roles.begin(), roles.end()};
}

}  // namespace

Frameworks::Frameworks(Context& context, Offers& offers, Tasks& tasks)
    : context_(context), offers_(offers), tasks_(tasks) {}

void Frameworks::Subscribe(const Call::Subscribe& call,
                           Subscription subscription) {
  FrameworkInfo info = call.framework_info();
  const absl::Status valid = Check(call);
  if (!valid.ok()) {
    LOG(WARNING) << "refusing framework '" << absl::CHexEscape(info.name())
                 << "': " << valid.message();
    auto refused = std::make_unique<Subscriber>(
        context_.clock(), subscription.type, subscription.stream_id,
        std::move(subscription.stream), nullptr);
    return refused->Close(std::string(valid.message()));
  }
  if (info.id().value().empty()) {
    info.mutable_id()->set_value(
        absl::StrFormat("%s-%04d", context_.id(), next_framework_++));
  }
  const std::string id = info.id().value();
  Framework* framework = context_.cluster.FindFramework(id);
  if (framework == nullptr) {
    framework = &Add(info);
  } else {
    FailOver(*framework, std::move(info));
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
  framework->subscriber = std::make_unique<Subscriber>(
      context_.clock(), subscription.type, subscription.stream_id,
      std::move(subscription.stream), [this, id] { OnDisconnected(id); });
  SendSubscribed(context_, *framework);
  framework->subscriber->StartHeartbeats();
  offers_.Poke();
}

absl::Status Frameworks::Check(const Call::Subscribe& call) const {
  const FrameworkInfo& info = call.framework_info();
  absl::Status valid =
      ValidateFrameworkInfo(info, ToVector(call.suppressed_roles()),
                            context_.options.root_submissions);
  if (!valid.ok()) return valid;
  const std::string& id = info.id().value();
  if (!id.empty() && context_.cluster.FindCompleted(id) != nullptr) {
    return absl::InvalidArgumentError("Framework has been removed");
  }
  const Framework* known = context_.cluster.FindFramework(id);
  if (known == nullptr) {
    if (context_.cluster.frameworks().size() < kMaxFrameworks) {
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

Framework& Frameworks::Add(const FrameworkInfo& info) {
  auto framework = std::make_unique<Framework>();
  framework->id = info.id().value();
  framework->info = info;
  framework->registered_time = context_.clock().WallNow();
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
  // Tasks run with these.
  info.set_user(framework.info.user());
  info.set_checkpoint(framework.info.checkpoint());
  framework.info = std::move(info);
  framework.recovered = false;
  framework.reregistered_time = context_.clock().WallNow();
}

void Frameworks::OnDisconnected(const std::string& framework_id) {
  Framework* framework = context_.cluster.FindFramework(framework_id);
  if (framework == nullptr || !framework->connected()) return;
  const io::Duration timeout = FailoverTimeout(framework->info);
  LOG(INFO) << "framework " << framework_id
            << " is disconnected; it is removed in "
            << framework->info.failover_timeout() << " seconds";
  framework->subscriber.reset();
  offers_.DiscardAll(*framework);
  offers_.Forget(*framework);
  framework->failover_timer =
      context_.clock().RunAfter(timeout, [this, framework_id] {
        LOG(INFO) << "framework " << framework_id << " did not come back";
        if (Framework* gone = context_.cluster.FindFramework(framework_id)) {
          Remove(*gone);
        }
      });
}

absl::Status Frameworks::Update(Framework& framework,
                                const Call::UpdateFramework& call) {
  const FrameworkInfo& info = call.framework_info();
  absl::Status valid =
      ValidateFrameworkInfo(info, ToVector(call.suppressed_roles()),
                            context_.options.root_submissions);
  if (!valid.ok()) return valid;
  if (info.user() != framework.info.user() ||
      info.checkpoint() != framework.info.checkpoint() ||
      info.principal() != framework.info.principal()) {
    return absl::InvalidArgumentError(
        "'user', 'checkpoint' and 'principal' of a framework must not change");
  }
  framework.info = info;
  framework.suppressed_roles = {call.suppressed_roles().begin(),
                                call.suppressed_roles().end()};
  offers_.RescindForeign(framework);
  offers_.Poke();
  return absl::OkStatus();
}

void Frameworks::Remove(Framework& framework) {
  LOG(INFO) << "removing framework " << framework.id << " ('"
            << framework.info.name() << "')";
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
  Add(info).recovered = true;
}

void Frameworks::ShutDownOn(Agent& agent, const std::string& framework_id) {
  wire::AgentMessage message;
  wire::ShutdownFramework& shutdown = *message.mutable_shutdown_framework();
  *shutdown.mutable_reign() = context_.reign;
  shutdown.mutable_framework_id()->set_value(framework_id);
  agent.peer->Send(message);
}

}  // namespace quorate::master
