// All that the master answers over HTTP. What only the leader knows is
// redirected to it by the others.

#ifndef QUORATE_CORE_MASTER_ENDPOINTS_H_
#define QUORATE_CORE_MASTER_ENDPOINTS_H_

#include <functional>
#include <string>

#include "core/files/files.h"
#include "core/http/router.h"
#include "core/master/context.h"
#include "core/master/operator_api.h"
#include "core/master/scheduler_api.h"
#include "core/master/standing.h"

namespace quorate::master {

class Endpoints {
 public:
  Endpoints(Context& context, const Standing& standing,
            SchedulerApi& scheduler_api, OperatorApi& operator_api,
            files::Files& files);

  void Route(http::Request request, http::Responder responder) const;

 private:
  // Answers with JSON, or with JSONP when the query asks for it.
  using View = std::function<std::string(const http::Request&)>;

  void AddLocal(absl::string_view path, View view);
  void AddLeading(absl::string_view path, View view);
  // For this master when it leads.
  http::Handler Leading(http::Handler handler) const;
  http::Response Redirect(const http::Request& request) const;
  http::Response RedirectToRoot() const;
  void AddViews();
  http::Response Tasks(const http::Request& request) const;
  void TearDown(const http::Request& request, http::Responder responder);

  Context& context_;
  const Standing& standing_;
  OperatorApi& operator_api_;
  http::Router router_{"master"};
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_ENDPOINTS_H_
