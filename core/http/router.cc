#include "core/http/router.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace quorate::http {
namespace {

constexpr absl::string_view kAnyMethod = "*";

// "/a/b/" and "/a/b" are one path, "/" and "" another.
absl::string_view WithoutTrailingSlash(absl::string_view path) {
  return absl::StripSuffix(path, "/");
}

}  // namespace

void Router::Add(absl::string_view method, absl::string_view path,
                 Handler handler) {
  Methods& methods = routes_[std::string(WithoutTrailingSlash(path))];
  const bool added =
      methods.emplace(std::string(method), std::move(handler)).second;
  CHECK(added) << "two routes for " << method << " " << path;
}

const Router::Methods* Router::Find(absl::string_view path) const {
  auto it = routes_.find(std::string(WithoutTrailingSlash(path)));
  if (it != routes_.end()) return &it->second;
  if (!absl::ConsumePrefix(&path, absl::StrCat("/", delegate_)) ||
      (!path.empty() && path[0] != '/')) {
    return nullptr;
  }
  it = routes_.find(std::string(WithoutTrailingSlash(path)));
  return it == routes_.end() ? nullptr : &it->second;
}

void Router::Route(Request request, Responder responder) const {
  const Methods* methods = Find(request.path);
  if (methods == nullptr) {
    return responder.Send(Response::Text(404, "404 Not Found."));
  }
  auto it = methods->find(request.method);
  if (it == methods->end() && request.method == "HEAD") {
    it = methods->find("GET");
  }
  if (it == methods->end()) it = methods->find(std::string(kAnyMethod));
  if (it != methods->end()) {
    // The handler may destroy the router.
    const Handler handler = it->second;
    return handler(std::move(request), std::move(responder));
  }
  const auto name = [](std::string* out, const auto& method) {
    out->append(method.first);
  };
  Response refusal = Response::Text(
      405, absl::StrCat("405 Method Not Allowed. Expecting one of { '",
                        absl::StrJoin(*methods, "', '", name),
                        "' }, but received '", request.method, "'."));
  refusal.headers.Set("Allow", absl::StrJoin(*methods, ", ", name));
  responder.Send(std::move(refusal));
}

}  // namespace quorate::http
