// Finds the leader without ZooKeeper: holds a link to one of the masters,
// which tells who leads, and moves on to the next one when the link breaks, is
// silent, or belongs to a master that knows no leader. If others can be asked,
// it does not stay with the leader: when that falls silent, they know first.

#ifndef QUORATE_CORE_ELECTION_NEWS_DETECTOR_H_
#define QUORATE_CORE_ELECTION_NEWS_DETECTOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/election/election.h"
#include "core/wire/link.h"
#include "io/random.h"

namespace quorate::election {

class LeaderNews;

class NewsDetector final : public Detector, public wire::Dialer::Listener {
 public:
  NewsDetector(io::Environment& environment, const MasterLocation& location,
               std::string cluster_id, OnLeader on_leader);

 private:
  void OnUp(const wire::Handshake& peer) override;
  void OnMessage(absl::string_view payload) override;
  void OnDown(const absl::Status& reason) override;
  void OnUnreachable(const absl::Status& reason) override;

  void Ask();
  void AskNext(const std::string& why);
  void LeaveLeader(const LeaderNews& news);
  void WaitFor(io::Duration patience, const char* what);
  void OnNews(const LeaderNews& news);

  io::Environment& environment_;
  const MasterLocation location_;
  const std::string cluster_id_;
  const OnLeader on_leader_;
  const std::unique_ptr<io::Random> random_;

  size_t asked_;  // of location_.masters
  // Whether it still counts: the dialer of one that does not lives on for a
  // moment.
  bool asking_ = false;
  // Masters in a row that told no leader; one less when the leader was left.
  int fruitless_ = 0;
  // Whether the one that is asked has told a leader, and holds to it.
  bool tells_ = false;
  std::unique_ptr<wire::Dialer> dialer_;
  io::Timer patience_;
  // Runs while the leader itself is asked.
  bool leaving_ = false;
  io::Timer leave_;
  // The leader that was left, until another master tells who leads: when none
  // does, it is not left again.
  std::optional<size_t> left_;

  // The cluster that is asked, generation and epoch of its newest reign that
  // was told.
  std::string peer_cluster_;
  std::pair<uint32_t, uint64_t> newest_;
  // As told to the caller: serialized, empty for none.
  std::optional<std::string> told_;
};

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_NEWS_DETECTOR_H_
