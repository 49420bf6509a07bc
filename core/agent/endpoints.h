// The agent's HTTP endpoints, but for the executor API.

#ifndef QUORATE_CORE_AGENT_ENDPOINTS_H_
#define QUORATE_CORE_AGENT_ENDPOINTS_H_

#include <functional>
#include <string>

#include "core/agent/views.h"
#include "core/api/media.h"
#include "core/files/files.h"
#include "core/http/router.h"
#include "core/metrics/metrics.h"

namespace quorate::agent {

class Endpoints {
 public:
  // All of it outlives the endpoints.
  struct Context {
    io::Clock& clock;
    files::Files& files;
    metrics::Metrics& metrics;
    std::function<Snapshot()> snapshot;
    // Whether the agent still recovers; most is answered 503 until then.
    std::function<bool()> recovering;
  };

  explicit Endpoints(Context context) : context_(std::move(context)) {}

  void AddRoutes(http::Router& router);

 private:
  using Call = mesos::v1::agent::Call;
  using Response = mesos::v1::agent::Response;

  void Add(http::Router& router, const std::string& path,
           std::function<std::string()> body);
  void HandleApi(const http::Request& request, http::Responder responder);
  // False for a call that is not implemented.
  bool Answer(const Call& call, Response* response) const;
  void ListFiles(const std::string& path, api::MediaType media,
                 http::Responder responder);
  void ReadFile(const Call::ReadFile& call, api::MediaType media,
                http::Responder responder);

  const Context context_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_ENDPOINTS_H_
