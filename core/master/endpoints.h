// All that the master answers over HTTP. What only the leader knows is
// redirected to it by the others, or passed on.

#ifndef QUORATE_CORE_MASTER_ENDPOINTS_H_
#define QUORATE_CORE_MASTER_ENDPOINTS_H_

#include <functional>
#include <string>

#include "core/files/files.h"
#include "core/http/router.h"
#include "core/master/context.h"
#include "core/master/operator_api.h"
#include "core/master/proxy.h"
#include "core/master/quorum_report.h"
#include "core/master/scheduler_api.h"
#include "core/master/standing.h"

namespace quorate::master {

class Endpoints {
 public:
  using QuorumView = std::function<QuorumReport()>;

  // Without `proxy`, which may be null, what only the leader knows is
  // redirected.
  Endpoints(Context& context, const Standing& standing, QuorumView quorum,
            LeaderProxy* proxy, SchedulerApi& scheduler_api,
            OperatorApi& operator_api, files::Files& files);

  void Route(http::Request request, http::Responder responder) const;

 private:
  // Answers with JSON, or with JSONP when the query asks for it.
  using View = std::function<std::string(const http::Request&)>;

  void AddLocal(absl::string_view path, View view);
  void AddLeading(absl::string_view path, View view);
  // For this master when it leads.
  http::Handler Leading(http::Handler handler) const;
  // Who else leads, as far as is known; null for nobody.
  const mesos::v1::MasterInfo* Leader() const;
  void Elsewhere(http::Request request, http::Responder responder) const;
  http::Response Redirect(const http::Request& request) const;
  http::Response RedirectToRoot() const;
  void AddViews();
  http::Response Quorum(const http::Request& request) const;
  http::Response Tasks(const http::Request& request) const;
  void TearDown(const http::Request& request, http::Responder responder);

  Context& context_;
  const Standing& standing_;
  const QuorumView quorum_;
  LeaderProxy* const proxy_;
  OperatorApi& operator_api_;
  http::Router router_{"master"};
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_ENDPOINTS_H_
