#include "core/master/operator_api.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/api/media.h"
#include "core/master/calls.h"
#include "core/master/events.h"
#include "core/master/proto_views.h"
#include "core/master/validation.h"

namespace quorate::master {
namespace {

using http::Response;
using Reply = mesos::v1::master::Response;

Response Encode(api::MediaType type, const Reply& reply) {
  if (type == api::MediaType::kJson) return Response::Json(ReplyJson(reply));
  return Response::Ok(api::SerializeBody(type, reply),
                      api::MediaTypeName(type));
}

Response FileError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return Response::Text(404, "");
    case absl::StatusCode::kInvalidArgument:
      return Response::Text(400, status.message());
    case absl::StatusCode::kResourceExhausted:
      return Response::Text(503, status.message());
    default:
      return Response::Text(500, status.message());
  }
}

}  // namespace

OperatorApi::OperatorApi(Context& context, Agents& agents,
                         Frameworks& frameworks, files::Files& files)
    : context_(context),
      agents_(agents),
      frameworks_(frameworks),
      files_(files) {}

void OperatorApi::Handle(const http::Request& request,
                         http::Responder responder) {
  Call call;
  if (auto refusal = ParseCall(request, &call)) {
    return responder.Send(*std::move(refusal));
  }
  const absl::Status valid = ValidateCall(call);
  if (!valid.ok()) {
    return responder.Send(Response::Text(
        400,
        absl::StrCat("Failed to validate master::Call: ", valid.message())));
  }
  const api::Negotiation accept =
      api::NegotiateAccept(request.headers.GetJoined("Accept"));
  if (!accept.type) {
    return responder.Send(Response::Text(accept.http_status, accept.error));
  }
  switch (call.type()) {
    case Call::LIST_FILES:
      return ListFiles(call, *accept.type, std::move(responder));
    case Call::READ_FILE:
      return ReadFile(call, *accept.type, std::move(responder));
    case Call::TEARDOWN:
      return TearDown(call.teardown().framework_id().value(),
                      std::move(responder));
    case Call::MARK_AGENT_GONE:
      return MarkAgentGone(call.mark_agent_gone().agent_id().value(),
                           std::move(responder));
    default:
      break;
  }
  Reply reply;
  if (!Answer(call, &reply)) {
    return responder.Send(Response::Text(
        501, absl::StrCat("Calls of type ", Call::Type_Name(call.type()),
                          " are not supported by this version")));
  }
  responder.Send(Encode(*accept.type, reply));
}

void OperatorApi::TearDown(const std::string& framework_id,
                           http::Responder responder) {
  const Framework* framework = context_.cluster.FindFramework(framework_id);
  if (framework == nullptr) {
    return responder.Send(
        Response::Text(400, "No framework found with specified ID"));
  }
  auto answer = std::make_shared<http::Responder>(std::move(responder));
  frameworks_.Remove(*framework, [answer](const absl::Status& removed) {
    answer->Send(removed.ok() ? Response{}
                              : Response::Text(503, removed.message()));
  });
}

void OperatorApi::MarkAgentGone(const std::string& agent_id,
                                http::Responder responder) {
  auto answer = std::make_shared<http::Responder>(std::move(responder));
  agents_.MarkGone(agent_id, [answer](const absl::Status& marked) {
    if (marked.ok()) return answer->Send(Response{});
    answer->Send(
        Response::Text(absl::IsNotFound(marked) ? 404 : 503, marked.message()));
  });
}

bool OperatorApi::Answer(const Call& call, Reply* reply) const {
  return AnswerAboutMaster(call.type(), reply) ||
         AnswerAboutCluster(call.type(), reply);
}

bool OperatorApi::AnswerAboutMaster(Call::Type type, Reply* reply) const {
  switch (type) {
    case Call::GET_HEALTH:
      reply->set_type(Reply::GET_HEALTH);
      reply->mutable_get_health()->set_healthy(true);
      return true;
    case Call::GET_VERSION:
      reply->set_type(Reply::GET_VERSION);
      FillVersion(reply->mutable_get_version()->mutable_version_info());
      return true;
    case Call::GET_FLAGS:
      reply->set_type(Reply::GET_FLAGS);
      for (const auto& [name, value] : context_.options.flags) {
        mesos::v1::Flag& flag = *reply->mutable_get_flags()->add_flags();
        flag.set_name(name);
        flag.set_value(value);
      }
      return true;
    case Call::GET_METRICS:
      reply->set_type(Reply::GET_METRICS);
      for (const auto& [name, value] : context_.metrics.Snapshot()) {
        mesos::v1::Metric& metric =
            *reply->mutable_get_metrics()->add_metrics();
        metric.set_name(name);
        metric.set_value(value);
      }
      return true;
    case Call::GET_MASTER:
      reply->set_type(Reply::GET_MASTER);
      FillMaster(context_, reply->mutable_get_master());
      return true;
    default:
      return false;
  }
}

bool OperatorApi::AnswerAboutCluster(Call::Type type, Reply* reply) const {
  switch (type) {
    case Call::GET_AGENTS:
      reply->set_type(Reply::GET_AGENTS);
      FillAgents(context_, reply->mutable_get_agents());
      return true;
    case Call::GET_FRAMEWORKS:
      reply->set_type(Reply::GET_FRAMEWORKS);
      FillFrameworks(context_, reply->mutable_get_frameworks());
      return true;
    case Call::GET_EXECUTORS:
      reply->set_type(Reply::GET_EXECUTORS);
      FillExecutors(context_, reply->mutable_get_executors());
      return true;
    case Call::GET_TASKS:
      reply->set_type(Reply::GET_TASKS);
      FillTasks(context_, reply->mutable_get_tasks());
      return true;
    case Call::GET_STATE: {
      reply->set_type(Reply::GET_STATE);
      auto& state = *reply->mutable_get_state();
      FillTasks(context_, state.mutable_get_tasks());
      FillExecutors(context_, state.mutable_get_executors());
      FillFrameworks(context_, state.mutable_get_frameworks());
      FillAgents(context_, state.mutable_get_agents());
      return true;
    }
    case Call::GET_OPERATIONS:
      reply->set_type(Reply::GET_OPERATIONS);
      reply->mutable_get_operations();
      return true;
    default:
      return false;
  }
}

void OperatorApi::ListFiles(const Call& call, api::MediaType type,
                            http::Responder responder) {
  auto answer = std::make_shared<http::Responder>(std::move(responder));
  files_.Browse(call.list_files().path(), [type, answer](auto entries) {
    if (!entries.ok()) return answer->Send(FileError(entries.status()));
    Reply reply;
    reply.set_type(Reply::LIST_FILES);
    auto& list = *reply.mutable_list_files();
    for (const files::Entry& entry : *entries) {
      mesos::v1::FileInfo& info = *list.add_file_infos();
      info.set_path(entry.path);
      info.set_nlink(static_cast<int32_t>(entry.info.links));
      info.set_size(entry.info.size);
      *info.mutable_mtime() = MakeTime(entry.info.modified);
      info.set_mode(entry.info.mode);
      info.set_uid(entry.info.user);
      info.set_gid(entry.info.group);
    }
    answer->Send(Encode(type, reply));
  });
}

void OperatorApi::ReadFile(const Call& call, api::MediaType type,
                           http::Responder responder) {
  files::Range range{.offset = call.read_file().offset()};
  if (call.read_file().has_length()) range.length = call.read_file().length();
  auto answer = std::make_shared<http::Responder>(std::move(responder));
  files_.Read(call.read_file().path(), range, [type, answer](auto content) {
    if (!content.ok()) return answer->Send(FileError(content.status()));
    Reply reply;
    reply.set_type(Reply::READ_FILE);
    reply.mutable_read_file()->set_size(content->file_size);
    reply.mutable_read_file()->set_data(content->data);
    answer->Send(Encode(type, reply));
  });
}

}  // namespace quorate::master
