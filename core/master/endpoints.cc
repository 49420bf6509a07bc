#include "core/master/endpoints.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/master/views.h"

namespace quorate::master {
namespace {

using http::Handler;
using http::Request;
using http::Responder;
using http::Response;

constexpr char kDelegate[] = "/master";

// The name of a function, perhaps of an object: nothing that could hold code.
bool IsCallback(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '$';
  });
}

Response JsonResponse(const Request& request, std::string json) {
  auto callback = request.query.find("jsonp");
  if (callback == request.query.end() || callback->second.empty()) {
    return Response::Json(std::move(json));
  }
  if (!IsCallback(callback->second)) {
    return Response::Text(400,
                          "Expecting 'jsonp' to be the name of a function");
  }
  return Response::Ok(absl::StrCat(callback->second, "(", json, ")"),
                      "text/javascript");
}

std::string Parameter(const Request& request, const std::string& key) {
  auto it = request.query.find(key);
  return it == request.query.end() ? "" : it->second;
}

Response Redirection(const mesos::v1::MasterInfo& leader,
                     absl::string_view target) {
  const std::string& host =
      leader.has_hostname() ? leader.hostname() : leader.address().hostname();
  return {.status = 307,
          .headers = {{"Location",
                       absl::StrCat("//", host, ":", leader.port(), target)}}};
}

bool IsUnder(absl::string_view path, absl::string_view prefix) {
  return absl::StartsWith(path, prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/' ||
          path[prefix.size()] == '?');
}

}  // namespace

Endpoints::Endpoints(Context& context, const Standing& standing,
                     QuorumView quorum, LeaderProxy* proxy,
                     SchedulerApi& scheduler_api, OperatorApi& operator_api,
                     files::Files& files)
    : context_(context),
      standing_(standing),
      quorum_(std::move(quorum)),
      proxy_(proxy),
      operator_api_(operator_api) {
  router_.Add("*", "/api/v1/scheduler",
              Leading([&scheduler_api](Request request, Responder responder) {
                scheduler_api.Handle(request, std::move(responder));
              }));
  router_.Add("*", "/api/v1",
              Leading([&operator_api](Request request, Responder responder) {
                operator_api.Handle(request, std::move(responder));
              }));
  router_.Add("*", "/teardown",
              Leading([this](Request request, Responder responder) {
                TearDown(request, std::move(responder));
              }));
  router_.Add("*", "/health",
              [](Request, Responder responder) { responder.Send(Response{}); });
  router_.Add("*", "/quorum", [this](Request request, Responder responder) {
    responder.Send(Quorum(request));
  });
  router_.Add("*", "/redirect", [this](Request, Responder responder) {
    responder.Send(RedirectToRoot());
  });
  files.AddRoutes(router_);
  AddViews();
}

void Endpoints::Route(Request request, Responder responder) const {
  router_.Route(std::move(request), std::move(responder));
}

void Endpoints::AddViews() {
  AddLocal("/version", [](const Request&) { return VersionJson(); });
  AddLocal("/flags",
           [this](const Request&) { return FlagsJson(context_.options); });
  AddLocal("/metrics/snapshot",
           [this](const Request&) { return context_.metrics.ToJson(); });
  const View state = [this](const Request&) {
    return StateJson(context_, standing_.leader);
  };
  AddLeading("/state", state);
  // An older name, still asked for.
  AddLeading("/state.json", state);
  AddLeading("/state-summary",
             [this](const Request&) { return StateSummaryJson(context_); });
  AddLeading("/slaves", [this](const Request& request) {
    return AgentsJson(context_, Parameter(request, "slave_id"));
  });
  AddLeading("/frameworks", [this](const Request& request) {
    return FrameworksJson(context_, Parameter(request, "framework_id"));
  });
  const Handler tasks = Leading([this](Request request, Responder responder) {
    responder.Send(Tasks(request));
  });
  router_.Add("*", "/tasks", tasks);
  router_.Add("*", "/tasks.json", tasks);
}

void Endpoints::AddLocal(absl::string_view path, View view) {
  router_.Add("*", path,
              [view = std::move(view)](Request request, Responder responder) {
                responder.Send(JsonResponse(request, view(request)));
              });
}

void Endpoints::AddLeading(absl::string_view path, View view) {
  router_.Add(
      "*", path,
      Leading([view = std::move(view)](Request request, Responder responder) {
        responder.Send(JsonResponse(request, view(request)));
      }));
}

Handler Endpoints::Leading(Handler handler) const {
  return [this, handler = std::move(handler)](Request request,
                                              Responder responder) {
    switch (standing_.phase) {
      case Standing::Phase::kLeading:
        return handler(std::move(request), std::move(responder));
      case Standing::Phase::kRecovering:
        return responder.Send(
            Response::Text(503, "Master has not finished recovery"));
      case Standing::Phase::kFollowing:
        return Elsewhere(std::move(request), std::move(responder));
    }
  };
}

// A master that follows and is told that it leads hears of its own former life.
const mesos::v1::MasterInfo* Endpoints::Leader() const {
  if (!standing_.leader) return nullptr;
  if (standing_.phase == Standing::Phase::kFollowing) {
    const absl::StatusOr<io::Endpoint> leader = AddressOf(*standing_.leader);
    if (leader.ok() && *leader == context_.options.advertise) return nullptr;
  }
  return &*standing_.leader;
}

void Endpoints::Elsewhere(Request request, Responder responder) const {
  const mesos::v1::MasterInfo* known = Leader();
  if (proxy_ != nullptr && known != nullptr) {
    if (auto leader = AddressOf(*known); leader.ok()) {
      return proxy_->Forward(*leader, std::move(request), std::move(responder));
    }
  }
  responder.Send(Redirect(request));
}

Response Endpoints::Redirect(const Request& request) const {
  const mesos::v1::MasterInfo* leader = Leader();
  if (leader == nullptr) return Response::Text(503, "No leader elected");
  const std::string target = IsUnder(request.target, kDelegate)
                                 ? request.target
                                 : absl::StrCat(kDelegate, request.target);
  return Redirection(*leader, target);
}

Response Endpoints::RedirectToRoot() const {
  const mesos::v1::MasterInfo* leader = Leader();
  if (leader == nullptr) return Response::Text(503, "No leader elected");
  return Redirection(*leader, "");
}

// Everybody answers for itself: who asks it may reach nobody else.
Response Endpoints::Quorum(const Request& request) const {
  const QuorumReport report = quorum_();
  Response response = JsonResponse(request, QuorumJson(report));
  if (response.status == 200 &&
      report.health == QuorumReport::Health::kUnavailable) {
    response.status = 503;
  }
  return response;
}

Response Endpoints::Tasks(const Request& request) const {
  const absl::StatusOr<TaskQuery> query = ParseTaskQuery(request.query);
  if (!query.ok()) return Response::Text(400, query.status().message());
  return JsonResponse(request, TasksJson(context_, *query));
}

void Endpoints::TearDown(const Request& request, Responder responder) {
  if (request.method != "POST") {
    Response refusal = Response::Text(
        405, absl::StrCat("405 Method Not Allowed. Expecting one of { 'POST' "
                          "}, but received '",
                          request.method, "'."));
    refusal.headers.Set("Allow", "POST");
    return responder.Send(std::move(refusal));
  }
  const absl::StatusOr<http::Target> form =
      http::ParseTarget(absl::StrCat("/?", request.body));
  if (!form.ok()) {
    return responder.Send(Response::Text(400, form.status().message()));
  }
  auto id = form->query.find("frameworkId");
  if (id == form->query.end()) {
    return responder.Send(
        Response::Text(400, "Expecting 'frameworkId=value' in the body"));
  }
  operator_api_.TearDown(id->second, std::move(responder));
}

}  // namespace quorate::master
