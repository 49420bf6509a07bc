#include "sim/call_flood.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

constexpr io::Duration kConnectTimeout = std::chrono::seconds(10);

// Each task is answered by an event.
std::string CallText(const CallFlood::Options& options, int call) {
  std::string tasks;
  for (int i = 0; i < options.tasks; ++i) {
    absl::StrAppend(&tasks, i == 0 ? "" : ",", R"({"task_id":{"value":"flood)",
                    call, "-", i, R"("},"agent_id":{"value":"nobody"}})");
  }
  const std::string body = absl::StrCat(
      R"({"type":"RECONCILE","framework_id":{"value":")", options.framework_id,
      R"("},"reconcile":{"tasks":[)", tasks, "]}}");
  return absl::StrCat(
      "POST /api/v1/scheduler HTTP/1.1\r\nHost: ", options.master.ToString(),
      "\r\nContent-Type: application/json\r\nMesos-Stream-Id: ",
      options.stream_id, "\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

}  // namespace

CallFlood::CallFlood(io::Environment& environment, Options options,
                     std::function<void(int)> on_answer)
    : on_answer_(std::move(on_answer)),
      parser_(http::Parser::Kind::kResponse, {}) {
  connector_ = environment.network().Connect(
      options.master, kConnectTimeout,
      [this,
       options](absl::StatusOr<std::unique_ptr<io::Connection>> connection) {
        if (!connection.ok()) return;
        connection_ = *std::move(connection);
        connection_->Start(this);
        for (int i = 0; i < options.calls; ++i) {
          connection_->Write(CallText(options, i));
        }
      });
}

void CallFlood::OnData(absl::string_view bytes) {
  for (;;) {
    switch (parser_.Next(&bytes)) {
      case http::Parser::Event::kHead:
        on_answer_(parser_.head().status);
        break;
      case http::Parser::Event::kBody:
      case http::Parser::Event::kEnd:
        break;
      case http::Parser::Event::kNeedMore:
      case http::Parser::Event::kError:
        return;
    }
  }
}

void CallFlood::OnClosed(const absl::Status&) { connection_.reset(); }

}  // namespace quorate::sim
