// Asks running replicas of a log: whichever answers, and the leader when only
// it will do.

#ifndef QUORATE_CORE_LOG_TOOL_CLIENT_H_
#define QUORATE_CORE_LOG_TOOL_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/log/log.pb.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate::log_tool {

class Client final : public wire::Dialer::Listener {
 public:
  struct Options {
    std::vector<io::Endpoint> servers;
    // A server that has not answered for that long is left for the next.
    io::Duration patience = std::chrono::seconds(3);
    // For the whole question; DeadlineExceeded afterwards.
    io::Duration timeout = std::chrono::seconds(90);
  };
  using OnReply = std::function<void(absl::StatusOr<log::AdminReply>)>;

  // `environment` outlives the client.
  Client(io::Environment& environment, Options options);
  ~Client() override;

  // One question at a time. Asks again elsewhere while there is no answer, and
  // when the server does not lead; what the leader refuses is the reply.
  void Ask(log::AdminRequest request, OnReply done);

  void OnUp(const wire::Handshake& peer) override;
  void OnMessage(absl::string_view payload) override;
  void OnDown(const absl::Status& reason) override;

 private:
  void Dial(const io::Endpoint& server);
  void TryNext();
  void Send();
  void OnAdminReply(const log::AdminReply& reply);
  void Finish(absl::StatusOr<log::AdminReply> reply);

  io::Environment& environment_;
  const Options options_;
  const std::string id_;
  std::unique_ptr<io::Random> random_;
  size_t next_server_ = 0;
  io::Endpoint server_;
  std::unique_ptr<wire::Dialer> dialer_;
  log::AdminRequest request_;
  OnReply done_;
  std::string last_problem_;
  io::Timer patience_;
  io::Timer deadline_;
  io::Timer redial_;
};

}  // namespace quorate::log_tool

#endif  // QUORATE_CORE_LOG_TOOL_CLIENT_H_
