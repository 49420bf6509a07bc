#include "sim/console.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/http/client.h"
#include "sim/node.h"

namespace quorate::sim {
namespace {

constexpr io::Duration kPatience = std::chrono::seconds(5);

// What a leader knows, and not that there is none, or that it is busy.
bool Counts(int status) {
  return status == 200 || status == 400 || status == 404;
}

}  // namespace

// One call; its process ends with the answer that counts.
class Console::Asking final : public Program {
 public:
  Asking(io::Environment& environment, std::function<Host*()> leader,
         std::shared_ptr<Call> call, std::function<void()> on_ok)
      : environment_(environment),
        leader_(std::move(leader)),
        call_(std::move(call)),
        on_ok_(std::move(on_ok)) {
    Ask();
  }

 private:
  void Ask() {
    again_ = environment_.clock().RunAfter(kPatience, [this] { Ask(); });
    const Host* leader = leader_();
    if (leader == nullptr) return;
    connection_ = std::make_unique<http::ClientConnection>(
        environment_.clock(), environment_.network(),
        io::Endpoint{leader->ip(), kMasterPort},
        http::ClientOptions{.connect_timeout = kPatience,
                            .response_timeout = kPatience});
    http::Request request;
    request.method = "POST";
    request.target = "/api/v1";
    request.headers.Set("Content-Type", "application/json");
    request.body = call_->body;
    connection_->Send(std::move(request),
                      [this](const absl::StatusOr<http::Response>& response) {
                        if (!response.ok() || !Counts(response->status)) return;
                        call_->status = response->status;
                        if (response->status == 200) on_ok_();
                        environment_.Exit(io::kExitOk, "answered");
                      });
  }

  io::Environment& environment_;
  const std::function<Host*()> leader_;
  const std::shared_ptr<Call> call_;
  const std::function<void()> on_ok_;
  io::Timer again_;
  std::unique_ptr<http::ClientConnection> connection_;
};

Console::Console(World& world, Network& network, std::function<Host*()> leader)
    : world_(world),
      leader_(std::move(leader)),
      host_(world, network, "console", "10.0.9.3") {}

std::shared_ptr<const Console::Call> Console::Insist(
    std::string body, std::function<void()> on_ok) {
  auto call = std::make_shared<Call>();
  call->body = std::move(body);
  world_.Note(host_.name(), "asks", "", call->body);
  host_.Start(
      absl::StrCat("console", ++asked_),
      [this, call, on_ok = std::move(on_ok)](io::Environment& environment) {
        return std::make_unique<Asking>(environment, leader_, call, on_ok);
      });
  return call;
}

std::shared_ptr<const Console::Call> Console::MarkGone(
    const std::string& agent_id) {
  return Insist(
      absl::StrCat(
          R"({"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{)",
          R"("value":")", agent_id, R"("}}})"),
      [this, agent_id] {
        if (on_gone) on_gone(agent_id);
      });
}

std::shared_ptr<const Console::Call> Console::TearDown(
    const std::string& framework_id) {
  return Insist(
      absl::StrCat(
          R"({"type":"TEARDOWN","teardown":{"framework_id":{"value":")",
          framework_id, R"("}}})"),
      [this, framework_id] {
        if (on_torn_down) on_torn_down(framework_id);
      });
}

}  // namespace quorate::sim
