#include "core/election/announcer.h"

#include <glog/logging.h>

#include <utility>

#include "core/election/news.pb.h"

namespace quorate::election {

// One detector's link.
class Announcer::Audience final : public wire::Link::Listener {
 public:
  Audience(Announcer& announcer, uint64_t id, std::unique_ptr<wire::Link> link)
      : announcer_(announcer), id_(id), link_(std::move(link)) {}

  void Start() {
    link_->Start(this);
    Tell();
  }
  void Tell() {
    if (!closed_ && !link_->Send(announcer_.news_)) Close();
  }

  void OnMessage(absl::string_view) override {}
  void OnClosed(const absl::Status&) override { Close(); }

 private:
  // At the next turn: this may run inside a callback of the link.
  void Close() {
    if (std::exchange(closed_, true)) return;
    timer_ = announcer_.clock_.RunAfter(
        io::Duration::zero(), [this] { announcer_.links_.erase(id_); });
  }

  Announcer& announcer_;
  const uint64_t id_;
  const std::unique_ptr<wire::Link> link_;
  bool closed_ = false;
  io::Timer timer_;
};

Announcer::Announcer(io::Clock& clock) : clock_(clock) {
  news_ = LeaderNews().SerializeAsString();
  Repeat();
}

Announcer::~Announcer() = default;

void Announcer::Accept(std::unique_ptr<wire::Link> link) {
  if (links_.size() >= kMaxDetectors) return;  // Closes it.
  const uint64_t id = next_id_++;
  auto& audience = links_[id];
  audience = std::make_unique<Audience>(*this, id, std::move(link));
  audience->Start();
}

void Announcer::Announce(const LeaderNews& news) {
  std::string text = news.SerializeAsString();
  if (text == news_) return;
  news_ = std::move(text);
  for (const auto& [id, audience] : links_) audience->Tell();
}

void Announcer::Repeat() {
  repeat_ = clock_.RunAfter(kNewsInterval, [this] {
    for (const auto& [id, audience] : links_) audience->Tell();
    Repeat();
  });
}

}  // namespace quorate::election
