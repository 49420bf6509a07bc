// Asks running replicas of a log: whichever answers, and the leader when only
// it will do.

#ifndef QUORATE_CORE_LOG_TOOL_CLIENT_H_
#define QUORATE_CORE_LOG_TOOL_CLIENT_H_

#include <cstdint>
#include <functional>
#include <map>
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
    // For a question; DeadlineExceeded afterwards.
    io::Duration timeout = std::chrono::seconds(10);
    // For a change of the members, which takes its time, and for an append,
    // which outlasts the end of a leader.
    io::Duration long_timeout = std::chrono::seconds(90);
  };
  using OnReply = std::function<void(absl::StatusOr<log::AdminReply>)>;

  // `environment` outlives the client.
  Client(io::Environment& environment, Options options);
  ~Client() override;

  // One question at a time. Asks again elsewhere while there is no answer, and
  // when the server does not lead; what the leader refuses is the reply.
  // Unavailable, for a question, as soon as no server could be reached at all.
  void Ask(log::AdminRequest request, OnReply done);

  void OnUp(const wire::Handshake& peer) override;
  void OnMessage(absl::string_view payload) override;
  void OnDown(const absl::Status& reason) override;

 private:
  class Network;

  bool Lasts() const {
    return request_.has_change_members() || request_.has_append();
  }
  void OnNoLink(const absl::Status& reason);
  void Dial(const io::Endpoint& server);
  void TryNext();
  void Send();
  void OnAdminReply(const log::AdminReply& reply);
  void Finish(absl::StatusOr<log::AdminReply> reply);

  io::Environment& environment_;
  const Options options_;
  const std::string id_;
  std::unique_ptr<io::Random> random_;
  const std::unique_ptr<Network> network_;
  size_t next_server_ = 0;
  io::Endpoint server_;
  // Those that could not be reached, and why.
  std::map<io::Endpoint, std::string> unreachable_;
  std::unique_ptr<wire::Dialer> dialer_;
  log::AdminRequest request_;
  OnReply done_;
  std::string last_problem_;
  io::Timer patience_;
  io::Timer deadline_;
  io::Timer redial_;
  bool redialing_ = false;
};

// The members and their states as the leader sees them, in the status of the
// replica that was asked. Without the leader's: a replica that follows hears of
// the others only from the leader, so that its silent ones are "unknown".
log::LogStatusProto WholeView(log::LogStatusProto asked,
                              const log::LogStatusProto* leader);

}  // namespace quorate::log_tool

#endif  // QUORATE_CORE_LOG_TOOL_CLIENT_H_
