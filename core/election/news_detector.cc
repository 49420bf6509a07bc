#include "core/election/news_detector.h"

#include <glog/logging.h>

#include "absl/strings/str_cat.h"
#include "core/api/mesos.pb.h"
#include "core/election/announcer.h"
#include "core/election/news.pb.h"

namespace quorate::election {
namespace {

// To connect and to be told a leader, before the next master is asked.
constexpr io::Duration kAnswerTimeout = std::chrono::seconds(1);
constexpr io::Duration kSilenceTimeout = 3 * kNewsInterval;
// Between a link's end and the next one: a fail-over takes no longer than it
// must, and not all who were told by one master come to the next at once.
constexpr io::Duration kMinPause = std::chrono::milliseconds(5);
constexpr io::Duration kMaxPause = std::chrono::milliseconds(50);
// The same when all have been asked in vain.
constexpr io::Duration kLongPause = std::chrono::seconds(1);
// How long the leader itself is asked: a new one has more important things to
// do than to lose all that were told by it before.
constexpr io::Duration kMaxStay = std::chrono::seconds(30);

}  // namespace

NewsDetector::NewsDetector(io::Environment& environment,
                           const MasterLocation& location,
                           std::string cluster_id, OnLeader on_leader)
    : environment_(environment),
      location_(location),
      cluster_id_(std::move(cluster_id)),
      on_leader_(std::move(on_leader)),
      random_(environment.random().Split("detector")),
      asked_(random_->Below(location.masters.size())) {
  Ask();
}

void NewsDetector::Ask() {
  asking_ = true;
  dialer_ = wire::NewDialer(
      environment_.clock(), environment_.network(), location_.masters[asked_],
      [this] {
        wire::Handshake mine;
        mine.purpose = wire::Purpose::kDetector;
        mine.versions = location_.protocol;
        // Whoever is told a leader is not told one of another cluster.
        const bool told = told_.has_value() && !told_->empty();
        mine.cluster_id =
            cluster_id_.empty() && told ? peer_cluster_ : cluster_id_;
        return mine;
      },
      wire::Dialer::Options{}, random_->Next(), this);
  WaitFor(kAnswerTimeout, "tells no leader");
}

void NewsDetector::WaitFor(io::Duration patience, const char* what) {
  patience_ = environment_.clock().RunAfter(patience, [this, what] {
    AskNext(absl::StrCat("the master at ", location_.masters[asked_].ToString(),
                         " ", what));
  });
}

void NewsDetector::AskNext(const std::string& why) {
  VLOG(1) << why << "; asking the next one who leads";
  asked_ = (asked_ + 1) % location_.masters.size();
  asking_ = tells_ = leaving_ = false;
  leave_.Cancel();
  const bool all = ++fruitless_ >= static_cast<int>(location_.masters.size());
  const io::Duration pause = all ? random_->Between(kLongPause / 2, kLongPause)
                                 : random_->Between(kMinPause, kMaxPause);
  // What is asked no more is destroyed then: this may run inside its callback.
  patience_ = environment_.clock().RunAfter(pause, [this] { Ask(); });
  if (!all || told_ == "") return;
  LOG(WARNING) << "none of the masters tells who leads";
  told_ = "";
  on_leader_(std::nullopt);
}

void NewsDetector::OnUp(const wire::Handshake& peer) {
  if (peer.cluster_id.empty() || peer.cluster_id == peer_cluster_) return;
  LOG_IF(WARNING, !peer_cluster_.empty())
      << "the master at " << location_.masters[asked_].ToString()
      << " is of another cluster than those asked before";
  peer_cluster_ = peer.cluster_id;
  newest_ = {};
}

void NewsDetector::OnDown(const absl::Status& reason) {
  if (!asking_) return;
  AskNext(absl::StrCat("the link to the master at ",
                       location_.masters[asked_].ToString(),
                       " broke: ", reason.message()));
}

// The dialer would go on trying, for as long as it may answer.
void NewsDetector::OnUnreachable(const absl::Status& reason) {
  if (asking_) AskNext(std::string(reason.message()));
}

void NewsDetector::OnMessage(absl::string_view payload) {
  if (!asking_) return;
  LeaderNews news;
  if (news.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return OnNews(news);
  }
  LOG(ERROR) << "the master at " << location_.masters[asked_].ToString()
             << " tells no news, but something else";
}

void NewsDetector::LeaveLeader(const LeaderNews& news) {
  const auto& address = news.leader().address();
  const io::Endpoint& asked = location_.masters[asked_];
  const bool leads = address.ip() == asked.ip && address.port() == asked.port;
  if (left_ != asked_) left_.reset();
  if (!leads || left_ || location_.masters.size() == 1) {
    leaving_ = false;
    return leave_.Cancel();
  }
  if (std::exchange(leaving_, true)) return;
  leave_ = environment_.clock().RunAfter(
      random_->Between(kMaxStay / 2, kMaxStay), [this] {
        left_ = asked_;
        fruitless_ = -1;
        AskNext(absl::StrCat("the master at ",
                             location_.masters[asked_].ToString(), " leads"));
      });
}

void NewsDetector::OnNews(const LeaderNews& news) {
  const std::pair<uint32_t, uint64_t> reign = {news.generation(), news.epoch()};
  // A master that is cut off from the others may not have heard yet that its
  // leader is none any more.
  const bool outdated = news.has_epoch() && reign < newest_;
  if (!news.has_leader() || outdated) {
    // It may hear of the next leader soon.
    if (std::exchange(tells_, false)) {
      WaitFor(kAnswerTimeout, "tells no leader any more");
    }
    return;
  }
  tells_ = true;
  if (news.has_epoch()) newest_ = reign;
  fruitless_ = 0;
  WaitFor(kSilenceTimeout, "is silent");
  LeaveLeader(news);
  std::string leader = news.leader().SerializeAsString();
  if (told_ == leader) return;
  told_ = std::move(leader);
  on_leader_(news.leader());
}

}  // namespace quorate::election
