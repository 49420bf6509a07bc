#include "core/master/scheduler_api.h"

#include <glog/logging.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/api/media.h"
#include "core/master/accept.h"
#include "core/master/calls.h"
#include "core/master/limits.h"
#include "core/master/reconciliation.h"
#include "core/master/subscriber.h"
#include "core/master/validation.h"
#include "core/wire/reign.h"

namespace quorate::master {
namespace {

using http::Response;

constexpr char kStreamId[] = "Mesos-Stream-Id";

std::vector<std::string> ToVector(
    const google::protobuf::RepeatedPtrField<std::string>& roles) {
  return {roles.begin(), roles.end()};
}

}  // namespace

SchedulerApi::SchedulerApi(Context& context, Offers& offers, Tasks& tasks,
                           Frameworks& frameworks)
    : context_(context),
      offers_(offers),
      tasks_(tasks),
      frameworks_(frameworks) {}

void SchedulerApi::Handle(const http::Request& request,
                          http::Responder responder) {
  Call call;
  if (auto refusal = ParseCall(request, &call)) {
    return responder.Send(*std::move(refusal));
  }
  const absl::Status valid = ValidateCall(call);
  if (!valid.ok()) {
    return responder.Send(Response::Text(
        400,
        absl::StrCat("Failed to validate scheduler::Call: ", valid.message())));
  }
  if (call.type() == Call::SUBSCRIBE) {
    return Subscribe(request, call, std::move(responder));
  }
  if (auto refusal = Refusal(request, call)) {
    return responder.Send(*std::move(refusal));
  }
  CountCall(call.type());
  Framework& framework = *CHECK_NOTNULL(
      context_.cluster.FindFramework(call.framework_id().value()));
  if (call.type() == Call::TEARDOWN) {
    return TearDown(framework, std::move(responder));
  }
  if (call.type() == Call::UPDATE_FRAMEWORK) {
    return Update(framework, call.update_framework(), std::move(responder));
  }
  Perform(framework, call);
  responder.Send({.status = 202});
}

void SchedulerApi::TearDown(Framework& framework, http::Responder responder) {
  auto answer = std::make_shared<http::Responder>(std::move(responder));
  frameworks_.Remove(framework, [answer](const absl::Status& removed) {
    answer->Send(removed.ok() ? Response{.status = 202}
                              : Response::Text(503, removed.message()));
  });
}

void SchedulerApi::Update(Framework& framework,
                          const Call::UpdateFramework& call,
                          http::Responder responder) {
  auto answer = std::make_shared<http::Responder>(std::move(responder));
  frameworks_.Update(framework, call, [answer](const absl::Status& updated) {
    if (updated.ok()) return answer->Send(Response{});
    int status = 400;
    if (absl::IsFailedPrecondition(updated)) status = 409;
    if (absl::IsUnavailable(updated)) status = 503;
    answer->Send(Response::Text(status, updated.message()));
  });
}

void SchedulerApi::Subscribe(const http::Request& request, const Call& call,
                             http::Responder responder) {
  const api::Negotiation accept =
      api::NegotiateAccept(request.headers.GetJoined("Accept"));
  if (!accept.type) {
    return responder.Send(Response::Text(accept.http_status, accept.error));
  }
  if (request.headers.Has(kStreamId)) {
    return responder.Send(Response::Text(
        400,
        "Subscribe calls should not include the 'Mesos-Stream-Id' header"));
  }
  ++context_.metrics.AddCounter(call.framework_id().value().empty()
                                    ? "master/messages_register_framework"
                                    : "master/messages_reregister_framework");
  Frameworks::Subscription subscription;
  subscription.type = *accept.type;
  subscription.stream_id = context_.environment.random().Uuid();
  subscription.stream = responder.StartStream(
      200, {{kStreamId, subscription.stream_id},
            {std::string(wire::kReignHeader), wire::ReignText(context_.reign)},
            {"Content-Type", std::string(api::MediaTypeName(*accept.type))}});
  frameworks_.Subscribe(call.subscribe(), std::move(subscription));
}

std::optional<Response> SchedulerApi::Refusal(const http::Request& request,
                                              const Call& call) const {
  if (call.type() == Call::UNKNOWN) {
    return Response::Text(501, "Calls of type UNKNOWN are not supported");
  }
  const Framework* framework =
      context_.cluster.FindFramework(call.framework_id().value());
  if (framework == nullptr) {
    return Response::Text(400, "Framework cannot be found");
  }
  if (!framework->connected()) {
    return Response::Text(403, "Framework is not subscribed");
  }
  const auto stream_id = request.headers.Get(kStreamId);
  if (!stream_id) {
    return Response::Text(
        400,
        "All non-subscribe calls should include the 'Mesos-Stream-Id' header");
  }
  if (*stream_id != framework->subscriber->stream_id()) {
    return Response::Text(
        400,
        absl::StrCat("The stream ID '",
                     absl::string_view(*stream_id).substr(0, kMaxStreamIdBytes),
                     "' included in this request didn't match the stream "
                     "ID currently associated with framework ID ",
                     framework->id));
  }
  return std::nullopt;
}

void SchedulerApi::Perform(Framework& framework, const Call& call) {
  switch (call.type()) {
    case Call::ACCEPT:
      return Accept(context_, offers_, tasks_, framework, call.accept());
    case Call::DECLINE:
      return offers_.Decline(framework, call.decline());
    case Call::REVIVE:
      return offers_.Revive(framework, ToVector(call.revive().roles()));
    case Call::SUPPRESS:
      return offers_.Suppress(framework, ToVector(call.suppress().roles()));
    case Call::KILL:
      return tasks_.Kill(framework, call.kill());
    case Call::SHUTDOWN:
      return ShutDownExecutor(framework, call.shutdown());
    case Call::ACKNOWLEDGE:
      return tasks_.Acknowledge(framework, call.acknowledge());
    case Call::RECONCILE:
      return Reconcile(context_, framework, call.reconcile());
    case Call::RECONCILE_OPERATIONS:
      return ReconcileOperations(context_, framework,
                                 call.reconcile_operations());
    case Call::MESSAGE:
      return SendToExecutor(framework, call.message());
    // Nothing here asks for an answer: there are no inverse offers and no
    // operations, and requests are hints.
    case Call::ACCEPT_INVERSE_OFFERS:
    case Call::DECLINE_INVERSE_OFFERS:
    case Call::ACKNOWLEDGE_OPERATION_STATUS:
    case Call::REQUEST:
    case Call::UNKNOWN:
    // Elsewhere.
    case Call::SUBSCRIBE:
    case Call::TEARDOWN:
    case Call::UPDATE_FRAMEWORK:
      return;
  }
}

void SchedulerApi::SendToExecutor(Framework& framework,
                                  const Call::Message& call) {
  Agent* agent = context_.cluster.FindAgent(call.agent_id().value());
  if (agent == nullptr || !agent->connected()) {
    ++context_.metrics.AddCounter(
        "master/invalid_framework_to_executor_messages");
    return;
  }
  ++context_.metrics.AddCounter("master/valid_framework_to_executor_messages");
  wire::AgentMessage message;
  wire::FrameworkMessage& to = *message.mutable_framework_message();
  *to.mutable_reign() = context_.reign;
  to.mutable_framework_id()->set_value(framework.id);
  *to.mutable_executor_id() = call.executor_id();
  to.set_data(call.data());
  agent->peer->Send(message);
}

void SchedulerApi::ShutDownExecutor(Framework& framework,
                                    const Call::Shutdown& call) {
  Agent* agent = context_.cluster.FindAgent(call.agent_id().value());
  if (agent == nullptr || !agent->connected()) return;
  wire::AgentMessage message;
  wire::ShutdownExecutor& shutdown = *message.mutable_shutdown_executor();
  *shutdown.mutable_reign() = context_.reign;
  shutdown.mutable_framework_id()->set_value(framework.id);
  *shutdown.mutable_executor_id() = call.executor_id();
  agent->peer->Send(message);
}

void SchedulerApi::CountCall(Call::Type type) {
  static constexpr struct {
    Call::Type type;
    const char* name;
  } kNames[] = {
      {Call::TEARDOWN, "unregister_framework"},
      {Call::ACCEPT, "launch_tasks"},
      {Call::DECLINE, "decline_offers"},
      {Call::REVIVE, "revive_offers"},
      {Call::SUPPRESS, "suppress_offers"},
      {Call::KILL, "kill_task"},
      {Call::ACKNOWLEDGE, "status_update_acknowledgement"},
      {Call::RECONCILE, "reconcile_tasks"},
      {Call::RECONCILE_OPERATIONS, "reconcile_operations"},
      {Call::MESSAGE, "framework_to_executor"},
      {Call::REQUEST, "resource_request"},
  };
  for (const auto& [counted, name] : kNames) {
    if (counted != type) continue;
    ++context_.metrics.AddCounter(absl::StrCat("master/messages_", name));
  }
}

}  // namespace quorate::master
