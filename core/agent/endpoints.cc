#include "core/agent/endpoints.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/version.h"

namespace quorate::agent {
namespace {

using http::Request;
using http::Responder;
using mesos::v1::agent::Call;

constexpr absl::string_view kRecovering = "Agent has not finished recovery";

absl::Status Validate(const Call& call) {
  const auto missing = [](absl::string_view field) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to validate agent::Call: Expecting '", field,
                     "' to be present"));
  };
  if (!call.has_type()) return missing("type");
  if (call.type() == Call::GET_METRICS && !call.has_get_metrics()) {
    return missing("get_metrics");
  }
  if (call.type() == Call::LIST_FILES && !call.has_list_files()) {
    return missing("list_files");
  }
  if (call.type() == Call::READ_FILE && !call.has_read_file()) {
    return missing("read_file");
  }
  return absl::OkStatus();
}

int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kResourceExhausted:
      return 503;
    default:
      return 500;
  }
}

void Send(const mesos::v1::agent::Response& response, api::MediaType media,
          Responder& responder) {
  responder.Send(http::Response::Ok(api::SerializeBody(media, response),
                                    api::MediaTypeName(media)));
}

}  // namespace

void Endpoints::Add(http::Router& router, const std::string& path,
                    std::function<std::string()> body) {
  router.Add("GET", path,
             [body = std::move(body)](const Request&, Responder responder) {
               responder.Send(http::Response::Json(body()));
             });
}

void Endpoints::AddRoutes(http::Router& router) {
  router.Add("GET", "/health", [](const Request&, Responder responder) {
    responder.Send(http::Response());
  });
  Add(router, "/version", VersionJson);
  Add(router, "/flags",
      [this] { return FlagsJson(context_.snapshot().options.flags); });
  Add(router, "/metrics/snapshot",
      [this] { return context_.metrics.ToJson(); });
  Add(router, "/containers", [this] {
    return ContainersJson(context_.snapshot().workload,
                          context_.clock.WallNow());
  });
  // Old tools know it by the second name.
  for (const char* path : {"/state", "/state.json"}) {
    router.Add("GET", path, [this](const Request&, Responder responder) {
      if (context_.recovering()) {
        return responder.Send(http::Response::Text(503, kRecovering));
      }
      responder.Send(http::Response::Json(StateJson(context_.snapshot())));
    });
  }
  router.Add("POST", "/api/v1",
             [this](const Request& request, Responder responder) {
               HandleApi(request, std::move(responder));
             });
  context_.files.AddRoutes(router);
}

void Endpoints::HandleApi(const Request& request, Responder responder) {
  const auto refuse = [&responder](int status, absl::string_view text) {
    responder.Send(http::Response::Text(status, text));
  };
  if (context_.recovering()) return refuse(503, kRecovering);
  const api::Negotiation input = api::NegotiateContentType(
      request.headers.Get("Content-Type"), api::Streams::kAllowed);
  if (!input.type.has_value()) return refuse(input.http_status, input.error);
  if (*input.type == api::MediaType::kRecordIo) {
    return refuse(501, "Streams of calls are not implemented");
  }
  Call call;
  absl::Status status = api::ParseBody(*input.type, request.body, &call);
  if (status.ok()) status = Validate(call);
  if (!status.ok()) return refuse(400, status.message());
  const api::Negotiation output =
      api::NegotiateAccept(request.headers.GetJoined("Accept"));
  if (!output.type.has_value()) {
    return refuse(output.http_status, output.error);
  }
  if (call.type() == Call::LIST_FILES) {
    return ListFiles(call.list_files().path(), *output.type,
                     std::move(responder));
  }
  if (call.type() == Call::READ_FILE) {
    return ReadFile(call.read_file(), *output.type, std::move(responder));
  }
  Response response;
  if (!Answer(call, &response)) {
    return refuse(
        501, absl::StrCat(Call::Type_Name(call.type()), " is not implemented"));
  }
  Send(response, *output.type, responder);
}

bool Endpoints::Answer(const Call& call, Response* response) const {
  const Snapshot snapshot = context_.snapshot();
  // The two enumerations name what they share alike.
  Response::Type type;
  if (!Response::Type_Parse(Call::Type_Name(call.type()), &type)) return false;
  response->set_type(type);
  switch (call.type()) {
    case Call::GET_HEALTH:
      response->mutable_get_health()->set_healthy(true);
      return true;
    case Call::GET_VERSION: {
      auto& version = *response->mutable_get_version()->mutable_version_info();
      version.set_version(kVersion);
      version.set_build_date(kBuildDate);
      version.set_build_time(kBuildTime);
      version.set_build_user(kBuildUser);
      return true;
    }
    case Call::GET_FLAGS:
      for (const auto& [name, value] : snapshot.options.flags) {
        auto& flag = *response->mutable_get_flags()->add_flags();
        flag.set_name(name);
        flag.set_value(value);
      }
      return true;
    case Call::GET_METRICS:
      for (const auto& [name, value] : context_.metrics.Snapshot()) {
        auto& metric = *response->mutable_get_metrics()->add_metrics();
        metric.set_name(name);
        metric.set_value(value);
      }
      return true;
    case Call::GET_AGENT:
      *response->mutable_get_agent()->mutable_agent_info() = snapshot.info;
      return true;
    case Call::GET_TASKS:
      FillTasks(snapshot.workload, response->mutable_get_tasks());
      return true;
    case Call::GET_EXECUTORS:
      FillExecutors(snapshot.workload, response->mutable_get_executors());
      return true;
    case Call::GET_FRAMEWORKS:
      FillFrameworks(snapshot.workload, response->mutable_get_frameworks());
      return true;
    case Call::GET_CONTAINERS:
      FillContainers(snapshot.workload, response->mutable_get_containers());
      return true;
    case Call::GET_STATE: {
      auto& state = *response->mutable_get_state();
      FillTasks(snapshot.workload, state.mutable_get_tasks());
      FillExecutors(snapshot.workload, state.mutable_get_executors());
      FillFrameworks(snapshot.workload, state.mutable_get_frameworks());
      return true;
    }
    default:
      return false;
  }
}

void Endpoints::ListFiles(const std::string& path, api::MediaType media,
                          Responder responder) {
  auto shared = std::make_shared<Responder>(std::move(responder));
  context_.files.Browse(path, [shared, media](auto entries) {
    if (!entries.ok()) {
      return shared->Send(http::Response::Text(HttpStatus(entries.status()),
                                               entries.status().message()));
    }
    Response response;
    response.set_type(Response::LIST_FILES);
    for (const files::Entry& entry : *entries) {
      auto& info = *response.mutable_list_files()->add_file_infos();
      info.set_path(entry.path);
      info.set_nlink(static_cast<int32_t>(entry.info.links));
      info.set_size(entry.info.size);
      info.mutable_mtime()->set_nanoseconds(
          entry.info.modified.time_since_epoch().count());
      info.set_mode(entry.info.mode);
      info.set_uid(entry.info.user);
      info.set_gid(entry.info.group);
    }
    response.mutable_list_files();
    agent::Send(response, media, *shared);
  });
}

void Endpoints::ReadFile(const Call::ReadFile& call, api::MediaType media,
                         Responder responder) {
  auto shared = std::make_shared<Responder>(std::move(responder));
  files::Range range;
  range.offset = call.offset();
  if (call.has_length()) {
    range.length = std::min(call.length(), files::kMaxReadBytes);
  }
  context_.files.Read(call.path(), range, [shared, media](auto content) {
    if (!content.ok()) {
      return shared->Send(http::Response::Text(HttpStatus(content.status()),
                                               content.status().message()));
    }
    Response response;
    response.set_type(Response::READ_FILE);
    response.mutable_read_file()->set_size(content->file_size);
    response.mutable_read_file()->set_data(content->data);
    agent::Send(response, media, *shared);
  });
}

}  // namespace quorate::agent
