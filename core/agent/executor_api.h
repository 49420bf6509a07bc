// POST /api/v1/executor: checks what executors send before Executors acts on
// it.

#ifndef QUORATE_CORE_AGENT_EXECUTOR_API_H_
#define QUORATE_CORE_AGENT_EXECUTOR_API_H_

#include "absl/status/status.h"
#include "core/agent/executors.h"
#include "core/http/server.h"

namespace quorate::agent {

class ExecutorApi {
 public:
  // `executors` outlives this.
  explicit ExecutorApi(Executors& executors) : executors_(executors) {}

  // An agent that recovers answers 503 until it knows its executors.
  void SetOpen(bool open) { open_ = open; }

  void Handle(const http::Request& request, http::Responder responder);

 private:
  using Call = mesos::v1::executor::Call;

  void Subscribe(const http::Request& request, Executor& executor, Call call,
                 http::Responder responder);

  Executors& executors_;
  bool open_ = false;
};

// InvalidArgument with the text of a 400 answer.
absl::Status ValidateCall(const mesos::v1::executor::Call& call);

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_EXECUTOR_API_H_
