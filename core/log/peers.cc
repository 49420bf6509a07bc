#include "core/log/peers.h"

#include <glog/logging.h>

#include <set>
#include <utility>

namespace quorate::log {

class Peers::Dialed final : public wire::Dialer::Listener {
 public:
  Dialed(Peers* peers, const io::Endpoint& to)
      : peers_(peers),
        dialer_(wire::NewDialer(peers->environment_.clock(),
                                peers->environment_.network(), to, peers->mine_,
                                {}, peers->random_->Next(), this)) {}

  void OnUp(const wire::Handshake& peer) override {
    member_ = peer.node_id;
    peers_->listener_->OnPeerUp();
  }
  void OnMessage(absl::string_view payload) override {
    peers_->listener_->OnMessage(payload, &member_);
  }
  void OnDown(const absl::Status& reason) override {
    VLOG(1) << "link to a replica lost: " << reason;
    peers_->listener_->OnPeerDown(std::exchange(member_, MemberId()));
  }

  void OnRefused(const absl::Status& reason) override {
    refusal_ = std::string(reason.message());
  }

  const MemberId& member() const { return member_; }
  const std::string& refusal() const { return refusal_; }
  uint32_t version() const { return dialer_->version(); }
  bool up() const { return dialer_->up(); }
  bool Send(absl::string_view payload) { return dialer_->Send(payload); }

 private:
  Peers* const peers_;
  MemberId member_;
  std::string refusal_;  // Empty: none.
  std::unique_ptr<wire::Dialer> dialer_;
};

class Peers::Accepted final : public wire::Link::Listener {
 public:
  Accepted(Peers* peers, uint64_t id, std::unique_ptr<wire::Link> link)
      : peers_(peers),
        id_(id),
        member_(link->peer().node_id),
        link_(std::move(link)) {
    link_->Start(this);
  }

  void OnMessage(absl::string_view payload) override {
    peers_->listener_->OnMessage(payload, &member_);
  }
  void OnClosed(const absl::Status&) override {
    closed_ = true;
    // Not from inside its own callback.
    reap_ = peers_->environment_.clock().RunAfter(
        io::Duration::zero(), [this] { peers_->accepted_.erase(id_); });
  }

  const MemberId& member() const { return member_; }
  uint32_t version() const { return closed_ ? 0 : link_->version(); }
  bool Send(absl::string_view payload) {
    return !closed_ && link_->Send(payload);
  }

 private:
  Peers* const peers_;
  const uint64_t id_;
  MemberId member_;
  bool closed_ = false;
  std::unique_ptr<wire::Link> link_;
  io::Timer reap_;
};

Peers::Peers(io::Environment& environment,
             std::function<wire::Handshake()> mine, Listener* listener)
    : environment_(environment),
      mine_(std::move(mine)),
      listener_(listener),
      random_(environment.random().Split("log peers")) {}

Peers::~Peers() = default;

void Peers::SetAddresses(const std::vector<io::Endpoint>& addresses) {
  const std::set<io::Endpoint> wanted(addresses.begin(), addresses.end());
  for (auto dialed = dialed_.begin(); dialed != dialed_.end();) {
    if (wanted.count(dialed->first) == 0) {
      dialed = dialed_.erase(dialed);
    } else {
      ++dialed;
    }
  }
  for (const io::Endpoint& address : wanted) {
    if (dialed_.count(address) == 0) {
      dialed_[address] = std::make_unique<Dialed>(this, address);
    }
  }
}

void Peers::Accept(std::unique_ptr<wire::Link> link) {
  if (accepted_.size() >= kMaxAccepted) {
    LOG(WARNING) << "too many links of replicas; refusing one from "
                 << link->peer_address().ToString();
    return;
  }
  const uint64_t id = next_accepted_++;
  accepted_[id] = std::make_unique<Accepted>(this, id, std::move(link));
  listener_->OnPeerUp();
}

bool Peers::Send(const MemberId& to, absl::string_view payload) {
  for (auto& [address, dialed] : dialed_) {
    if (dialed->member() == to && dialed->Send(payload)) return true;
  }
  // The newest first: an older one may be half dead.
  for (auto link = accepted_.rbegin(); link != accepted_.rend(); ++link) {
    if (link->second->member() == to && link->second->Send(payload)) {
      return true;
    }
  }
  return false;
}

void Peers::SendToEach(const MemberId& to, absl::string_view payload) {
  for (auto& [address, dialed] : dialed_) {
    if (dialed->member() == to) dialed->Send(payload);
  }
  for (auto& [id, accepted] : accepted_) {
    if (accepted->member() == to) accepted->Send(payload);
  }
}

void Peers::SendToAll(absl::string_view payload) {
  std::set<MemberId> reached;
  for (auto& [address, dialed] : dialed_) {
    if (dialed->up() && dialed->Send(payload)) reached.insert(dialed->member());
  }
  for (auto link = accepted_.rbegin(); link != accepted_.rend(); ++link) {
    if (reached.insert(link->second->member()).second) {
      link->second->Send(payload);
    }
  }
}

uint32_t Peers::VersionOf(const MemberId& member) const {
  for (const auto& [address, dialed] : dialed_) {
    if (dialed->member() == member && dialed->up()) return dialed->version();
  }
  for (auto link = accepted_.rbegin(); link != accepted_.rend(); ++link) {
    const Accepted& accepted = *link->second;
    if (accepted.member() == member && accepted.version() != 0) {
      return accepted.version();
    }
  }
  return 0;
}

std::map<io::Endpoint, std::string> Peers::Refusals() const {
  std::map<io::Endpoint, std::string> refusals;
  for (const auto& [address, dialed] : dialed_) {
    if (!dialed->refusal().empty()) refusals[address] = dialed->refusal();
  }
  return refusals;
}

}  // namespace quorate::log
