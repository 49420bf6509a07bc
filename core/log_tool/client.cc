#include "core/log_tool/client.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/log/types.h"

namespace quorate::log_tool {
namespace {

constexpr io::Duration kPause = std::chrono::milliseconds(50);

}  // namespace

// Tells what a dialer keeps to itself: that it could not connect.
class Client::Network final : public io::Network {
 public:
  Network(io::Network& network, std::function<void(const absl::Status&)> failed)
      : network_(network), failed_(std::move(failed)) {}

  absl::StatusOr<std::unique_ptr<io::Acceptor>> Listen(
      const io::Endpoint& at, OnAccepted on_accepted) override {
    return network_.Listen(at, std::move(on_accepted));
  }
  std::unique_ptr<io::Connector> Connect(const io::Endpoint& to,
                                         io::Duration timeout,
                                         OnConnected on_connected) override {
    return network_.Connect(
        to, timeout,
        [this, on_connected = std::move(on_connected)](auto connection) {
          const absl::Status status = connection.status();
          on_connected(std::move(connection));
          if (!status.ok()) failed_(status);
        });
  }

 private:
  io::Network& network_;
  const std::function<void(const absl::Status&)> failed_;
};

Client::Client(io::Environment& environment, Options options)
    : environment_(environment),
      options_(std::move(options)),
      id_(environment.random().UuidBytes()),
      random_(environment.random().Split("log client")),
      network_(std::make_unique<Network>(
          environment.network(),
          [this](const absl::Status& reason) { OnNoLink(reason); })) {}

Client::~Client() = default;

void Client::Ask(log::AdminRequest request, OnReply done) {
  request_ = std::move(request);
  request_.set_id(random_->Next());
  done_ = std::move(done);
  last_problem_ = "no server was reached";
  unreachable_.clear();
  const io::Duration timeout =
      Lasts() ? options_.long_timeout : options_.timeout;
  deadline_ = environment_.clock().RunAfter(timeout, [this, timeout] {
    Finish(absl::DeadlineExceededError(absl::StrCat(
        "no answer within ",
        std::chrono::duration_cast<std::chrono::seconds>(timeout).count(),
        " s: ", last_problem_)));
  });
  if (dialer_ != nullptr && dialer_->up()) return Send();
  TryNext();
}

void Client::Dial(const io::Endpoint& server) {
  server_ = server;
  // Not from inside the dialer's own callback.
  redialing_ = true;
  redial_ = environment_.clock().RunAfter(kPause, [this] {
    redialing_ = false;
    dialer_ = wire::NewDialer(
        environment_.clock(), *network_, server_,
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

void Client::OnNoLink(const absl::Status& reason) {
  // The dialer tries again by itself, for as long as it is there.
  if (!done_ || redialing_) return;
  unreachable_[server_] = std::string(reason.message());
  last_problem_ = std::string(reason.message());
  const bool none = std::all_of(
      options_.servers.begin(), options_.servers.end(),
      [this](const auto& server) { return unreachable_.count(server) > 0; });
  if (!none || Lasts()) return TryNext();
  Finish(absl::UnavailableError(absl::StrCat(
      "no server answers: ",
      absl::StrJoin(unreachable_, "; ", [](std::string* out, const auto& one) {
        absl::StrAppend(out, one.second);
      }))));
}

void Client::TryNext() {
  if (!done_) return;
  Dial(options_.servers[next_server_++ % options_.servers.size()]);
}

void Client::OnUp(const wire::Handshake&) {
  unreachable_.erase(server_);
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
      request_.has_change_members() ? options_.long_timeout : options_.patience;
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
  redialing_ = false;
  OnReply done = std::exchange(done_, nullptr);
  done(std::move(reply));
}

log::LogStatusProto WholeView(log::LogStatusProto asked,
                              const log::LogStatusProto* leader) {
  if (leader == nullptr) {
    if (asked.leader_address().empty() || asked.role() == "leading") {
      return asked;
    }
    for (log::PeerStatus& peer : *asked.mutable_peers()) {
      if (peer.state() == "silent" && peer.id() != asked.leader()) {
        peer.set_state("unknown");
      }
    }
    return asked;
  }
  *asked.mutable_config() = leader->config();
  asked.set_config_position(leader->config_position());
  asked.clear_peers();
  log::PeerStatus& leads = *asked.add_peers();
  leads.set_id(leader->member_id());
  leads.set_address(leader->leader_address());
  leads.set_member(log::IsMember(leader->config(), leader->member_id()));
  leads.set_silent_ms(0);
  leads.set_learned_upto(leader->learned_upto());
  leads.set_state(leader->role());
  leads.set_declared_quorum(leader->declared_quorum());
  for (const log::PeerStatus& peer : leader->peers()) {
    if (peer.id() != asked.member_id()) *asked.add_peers() = peer;
  }
  return asked;
}

}  // namespace quorate::log_tool
