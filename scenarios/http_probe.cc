#include "scenarios/http_probe.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/http/client.h"

namespace quorate::scenarios {
namespace {

constexpr uint16_t kMasterPort = 5050;
constexpr io::Duration kPatience = std::chrono::seconds(5);

class Question final : public sim::Program {
 public:
  Question(io::Environment& environment, io::Endpoint to,
           const std::string& target, std::shared_ptr<HttpProbe::Answer> answer,
           std::shared_ptr<bool> done)
      : connection_(
            environment.clock(), environment.network(), std::move(to),
            {.connect_timeout = kPatience, .response_timeout = kPatience}) {
    http::Request request;
    request.target = target;
    connection_.Send(
        std::move(request),
        [answer, done](const absl::StatusOr<http::Response>& response) {
          *done = true;
          if (!response.ok()) return;
          answer->status = response->status;
          answer->location = response->headers.Get("Location").value_or("");
          answer->body = response->body;
        });
  }

 private:
  http::ClientConnection connection_;
};

}  // namespace

HttpProbe::HttpProbe(sim::World& world, sim::Network& network)
    : world_(world), host_(world, network, "probe", "10.0.9.1") {}

HttpProbe::Answer HttpProbe::Get(const sim::Host& host,
                                 const std::string& target) {
  auto answer = std::make_shared<Answer>();
  auto done = std::make_shared<bool>(false);
  sim::Process& process =
      host_.Start(absl::StrCat("probe", ++asked_),
                  [to = io::Endpoint{host.ip(), kMasterPort}, target, answer,
                   done](io::Environment& environment) {
                    return std::make_unique<Question>(environment, to, target,
                                                      answer, done);
                  });
  world_.RunUntil([&] { return *done; }, 3 * kPatience);
  process.Kill();
  return *answer;
}

}  // namespace quorate::scenarios
