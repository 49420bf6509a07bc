#include "core/log_tool/client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::log_tool {
namespace {

constexpr io::Duration kPause = std::chrono::milliseconds(50);

}  // namespace

Client::Client(io::Environment& environment, Options options)
    : environment_(environment),
      options_(std::move(options)),
      id_(environment.random().UuidBytes()),
      random_(environment.random().Split("log client")) {}

Client::~Client() = default;

void Client::Ask(log::AdminRequest request, OnReply done) {
  request_ = std::move(request);
  request_.set_id(random_->Next());
  done_ = std::move(done);
  last_problem_ = "no server was reached";
  deadline_ = environment_.clock().RunAfter(options_.timeout, [this] {
    Finish(absl::DeadlineExceededError(
        absl::StrCat("no answer in time: ", last_problem_)));
  });
  if (dialer_ != nullptr && dialer_->up()) return Send();
  TryNext();
}

void Client::Dial(const io::Endpoint& server) {
  server_ = server;
  // Not from inside the dialer's own callback.
  redial_ = environment_.clock().RunAfter(kPause, [this] {
    dialer_ = wire::NewDialer(
        environment_.clock(), environment_.network(), server_,
        [this] {
          return wire::Handshake{.purpose = wire::Purpose::kLog,
                                 .node_id = id_};
        },
        {.connect_timeout = options_.patience,
         .handshake_timeout = options_.patience},
        random_->Next(), this);
    patience_ = environment_.clock().RunAfter(options_.patience, [this] {
      last_problem_ = absl::StrCat(server_.ToString(), " does not answer");
      TryNext();
    });
  });
}

void Client::TryNext() {
  if (!done_) return;
  Dial(options_.servers[next_server_++ % options_.servers.size()]);
}

void Client::OnUp(const wire::Handshake&) {
  if (done_) Send();
}

void Client::Send() {
  log::LogMessage message;
  message.set_cluster_id("");
  message.set_generation(0);
  message.set_from(id_);
  message.set_to("");
  message.set_incarnation(0);
  message.set_boot_nonce(0);
  message.set_learned_upto(0);
  message.set_config_position(0);
  *message.mutable_admin_request() = request_;
  dialer_->Send(message.SerializeAsString());
  // A change of the members takes its time on the leader.
  const io::Duration patience =
      request_.has_change_members() ? options_.timeout : options_.patience;
  patience_ = environment_.clock().RunAfter(patience, [this] {
    last_problem_ = absl::StrCat(server_.ToString(), " does not answer");
    TryNext();
  });
}

void Client::OnDown(const absl::Status& reason) {
  last_problem_ = absl::StrCat(server_.ToString(), ": ", reason.message());
  TryNext();
}

void Client::OnMessage(absl::string_view payload) {
  log::LogMessage message;
  // Replicas also tell what is for each other.
  if (!message.ParseFromArray(payload.data(),
                              static_cast<int>(payload.size())) ||
      !message.has_admin_reply() || !done_ ||
      message.admin_reply().id() != request_.id()) {
    return;
  }
  OnAdminReply(message.admin_reply());
}

void Client::OnAdminReply(const log::AdminReply& reply) {
  const bool elsewhere =
      reply.code() == static_cast<int>(absl::StatusCode::kFailedPrecondition) &&
      !request_.has_status() &&
      (reply.has_leader_address() || !reply.message().empty());
  if (!elsewhere) return Finish(reply);
  last_problem_ = absl::StrCat(server_.ToString(), ": ", reply.message());
  auto leader = io::ParseEndpoint(reply.leader_address());
  if (leader.ok() && !(*leader == server_)) return Dial(*leader);
  // A refusal by the leader itself is final.
  if (!reply.has_leader_address() &&
      reply.message().find("does not lead") == std::string::npos) {
    return Finish(reply);
  }
  TryNext();
}

void Client::Finish(absl::StatusOr<log::AdminReply> reply) {
  if (!done_) return;
  patience_.Cancel();
  deadline_.Cancel();
  redial_.Cancel();
  OnReply done = std::exchange(done_, nullptr);
  done(std::move(reply));
}

}  // namespace quorate::log_tool
