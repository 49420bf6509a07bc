#include "core/agent/executor_api.h"

#include <glog/logging.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/api/media.h"

namespace quorate::agent {
namespace {

using http::Response;
using mesos::v1::TaskStatus;
using mesos::v1::executor::Call;

constexpr size_t kUuidBytes = 16;

absl::Status Missing(absl::string_view field) {
  return absl::InvalidArgumentError(
      absl::StrCat("Expecting '", field, "' to be present"));
}

absl::Status ValidateStatus(const Call& call, const TaskStatus& status) {
  if (!status.has_uuid()) return Missing("uuid");
  if (status.uuid().size() != kUuidBytes) {
    return absl::InvalidArgumentError("'uuid' is not a valid UUID");
  }
  const std::string& executor = call.executor_id().value();
  if (status.has_executor_id() && status.executor_id().value() != executor) {
    return absl::InvalidArgumentError(
        absl::StrCat("ExecutorID in Call: ", executor,
                     " does not match ExecutorID in TaskStatus: ",
                     status.executor_id().value()));
  }
  if (status.source() != TaskStatus::SOURCE_EXECUTOR || !status.has_source()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Received Call from executor ", executor,
                     " with invalid source, expecting 'SOURCE_EXECUTOR'"));
  }
  if (status.state() == mesos::v1::TASK_STAGING) {
    return absl::InvalidArgumentError(
        absl::StrCat("Received TASK_STAGING from executor ", executor,
                     " which is not allowed"));
  }
  return absl::OkStatus();
}

// One that cannot be right must not keep the executor from subscribing.
void DropInvalidUpdates(Call* call) {
  auto* updates = call->mutable_subscribe()->mutable_unacknowledged_updates();
  for (int i = updates->size() - 1; i >= 0; --i) {
    const absl::Status valid = ValidateStatus(*call, updates->Get(i).status());
    if (valid.ok()) continue;
    LOG(WARNING) << "dropping an update: " << valid.message();
    updates->DeleteSubrange(i, 1);
  }
}

}  // namespace

absl::Status ValidateCall(const Call& call) {
  if (!call.has_type()) return Missing("type");
  switch (call.type()) {
    case Call::SUBSCRIBE:
      return call.has_subscribe() ? absl::OkStatus() : Missing("subscribe");
    case Call::UPDATE:
      return call.has_update() ? ValidateStatus(call, call.update().status())
                               : Missing("update");
    case Call::MESSAGE:
      return call.has_message() ? absl::OkStatus() : Missing("message");
    case Call::HEARTBEAT:
    case Call::UNKNOWN:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

void ExecutorApi::Handle(const http::Request& request,
                         http::Responder responder) {
  const auto refuse = [&responder](int status, absl::string_view text) {
    responder.Send(Response::Text(status, text));
  };
  if (!open_) return refuse(503, "Agent has not finished recovery");
  const api::Negotiation input =
      api::NegotiateContentType(request.headers.Get("Content-Type"));
  if (!input.type.has_value()) return refuse(input.http_status, input.error);
  Call call;
  absl::Status status = api::ParseBody(*input.type, request.body, &call);
  if (!status.ok()) return refuse(400, status.message());
  status = ValidateCall(call);
  if (!status.ok()) {
    if (call.type() == Call::UPDATE) executors_.CountInvalidUpdate();
    return refuse(400, absl::StrCat("Failed to validate executor::Call: ",
                                    status.message()));
  }
  const Workload& workload = executors_.workload();
  const std::string& framework_id = call.framework_id().value();
  if (workload.FindFramework(framework_id) == nullptr) {
    return refuse(400, "Framework cannot be found");
  }
  Executor* executor =
      workload.FindExecutor(framework_id, call.executor_id().value());
  if (executor == nullptr || executor->state == Executor::State::kTerminated) {
    return refuse(400, "Executor cannot be found");
  }
  if (call.type() == Call::SUBSCRIBE) {
    return Subscribe(request, *executor, std::move(call), std::move(responder));
  }
  if (executor->stream == nullptr) {
    return refuse(403, "Executor is not subscribed");
  }
  switch (call.type()) {
    case Call::UPDATE:
      status = executors_.Update(*executor, call.update().status());
      if (!status.ok()) return refuse(503, status.message());
      break;
    case Call::MESSAGE:
      executors_.ForwardMessage(*executor, call.message().data());
      break;
    case Call::HEARTBEAT:
      break;
    default:
      return refuse(501, "Not Implemented");
  }
  Response accepted;
  accepted.status = 202;
  responder.Send(std::move(accepted));
}

void ExecutorApi::Subscribe(const http::Request& request, Executor& executor,
                            Call call, http::Responder responder) {
  const api::Negotiation output =
      api::NegotiateAccept(request.headers.GetJoined("Accept"));
  if (!output.type.has_value()) {
    return responder.Send(Response::Text(output.http_status, output.error));
  }
  DropInvalidUpdates(&call);
  http::Headers headers;
  headers.Set("Content-Type", api::MediaTypeName(*output.type));
  executors_.Subscribe(executor, call.subscribe(), *output.type,
                       responder.StartStream(200, std::move(headers)));
}

}  // namespace quorate::agent
