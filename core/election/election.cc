#include "core/election/election.h"

#include <glog/logging.h>

#include <utility>

#include "core/api/json.h"
#include "core/api/mesos.pb.h"
#include "core/election/news_detector.h"

namespace quorate::election {
namespace {

using mesos::v1::MasterInfo;

constexpr char kLabel[] = "json.info";

struct Leader {
  int32_t sequence;
  MasterInfo info;
};

// The readable member with the lowest sequence number.
std::optional<Leader> LowestOf(const Members& members) {
  for (const auto& [sequence, content] : members) {
    MasterInfo info;
    const absl::Status parsed = api::JsonToMessage(content, &info);
    if (parsed.ok()) return Leader{sequence, std::move(info)};
    LOG(WARNING) << "ignoring the candidate with sequence " << sequence
                 << ", whose znode is not a MasterInfo in JSON: " << parsed;
  }
  return std::nullopt;
}

std::optional<MasterInfo> InfoOf(const std::optional<Leader>& leader) {
  if (!leader.has_value()) return std::nullopt;
  return leader->info;
}

class ZooKeeperDetector final : public Detector, public Group::Listener {
 public:
  ZooKeeperDetector(io::Environment& environment, GroupOptions options,
                    OnLeader on_leader)
      : on_leader_(std::move(on_leader)),
        group_(environment, std::move(options), kLabel, this) {
    group_.Start();
  }

  void OnMembers(const std::optional<Members>& members) override {
    std::optional<Leader> leader;
    if (members.has_value()) leader = LowestOf(*members);
    // Neither alone tells one reign from the next: a master may lead again,
    // and numbers may come back.
    std::optional<Reign> reign;
    if (leader.has_value()) {
      reign = {leader->sequence, leader->info.SerializeAsString()};
    }
    if (told_ && reign == reign_) return;
    told_ = true;
    reign_ = std::move(reign);
    on_leader_(InfoOf(leader));
  }
  void OnJoined(int32_t) override {}
  void OnMembershipLost(const absl::Status&) override {}

 private:
  using Reign = std::pair<int32_t, std::string>;  // number and master

  OnLeader on_leader_;
  bool told_ = false;
  std::optional<Reign> reign_;
  Group group_;
};

// The only master, reported once at the next turn of the loop.
class StaticDetector final : public Detector {
 public:
  StaticDetector(io::Environment& environment, const io::Endpoint& master,
                 OnLeader on_leader)
      : timer_(environment.clock().RunAfter(
            io::Duration::zero(), [on_leader = std::move(on_leader), master] {
              MasterInfo info;
              info.set_id("");
              info.set_ip(0);
              info.set_port(master.port);
              info.set_hostname(master.ip);
              info.mutable_address()->set_hostname(master.ip);
              info.mutable_address()->set_ip(master.ip);
              info.mutable_address()->set_port(master.port);
              on_leader(info);
            })) {}

 private:
  io::Timer timer_;
};

class ZooKeeperContender final : public Contender, public Group::Listener {
 public:
  ZooKeeperContender(io::Environment& environment, GroupOptions options,
                     const std::optional<MasterInfo>& me,
                     Contender::Listener* listener)
      : listener_(listener),
        content_(me ? api::MessageToJson(*me) : ""),
        group_(environment, std::move(options), kLabel, this) {
    group_.Start();
    if (me) group_.Join(content_);
  }

  void OnJoined(int32_t sequence) override {
    LOG(INFO) << "candidate for leadership with sequence " << sequence;
    own_ = sequence;
  }

  void OnMembers(const std::optional<Members>& members) override {
    // A lost session is told by OnMembershipLost as well; what counts first
    // is that the caller stops acting.
    std::optional<Leader> leader;
    if (members.has_value()) leader = LowestOf(*members);
    const bool leads =
        leader.has_value() && own_.has_value() && leader->sequence == *own_;
    if (elected_ && !leads) {
      return Depose(absl::AbortedError(
          members.has_value() ? "another candidate has a lower sequence number"
                              : "the ZooKeeper session is lost"));
    }
    listener_->OnLeader(InfoOf(leader));
    if (leads && !elected_) {
      elected_ = true;
      listener_->OnElected();
    }
  }

  void OnMembershipLost(const absl::Status& reason) override {
    own_.reset();
    if (elected_) return Depose(reason);
    if (!deposed_) group_.Join(content_);
  }

  void OnProblem(const std::string& words) override {
    listener_->OnElectionProblem(words);
  }

 private:
  void Depose(const absl::Status& reason) {
    elected_ = false;
    deposed_ = true;
    listener_->OnDeposed(reason);
  }

  Contender::Listener* const listener_;
  const std::string content_;
  std::optional<int32_t> own_;
  bool elected_ = false;
  bool deposed_ = false;
  Group group_;
};

class ZooKeeperAnnouncement final : public Announcement,
                                    public Group::Listener {
 public:
  ZooKeeperAnnouncement(io::Environment& environment, GroupOptions options,
                        const MasterInfo& me, Announcement::Listener* listener)
      : listener_(listener),
        group_(environment, std::move(options), kLabel, this) {
    group_.Start();
    group_.Join(api::MessageToJson(me));
  }

  void OnMembers(const std::optional<Members>&) override {}
  void OnJoined(int32_t sequence) override {
    LOG(INFO) << "announced in ZooKeeper with sequence " << sequence;
  }
  void OnMembershipLost(const absl::Status& reason) override {
    listener_->OnAnnouncementLost(reason);
  }
  void OnProblem(const std::string& words) override {
    listener_->OnElectionProblem(words);
  }

 private:
  Announcement::Listener* const listener_;
  Group group_;
};

class StandaloneContender final : public Contender {
 public:
  StandaloneContender(io::Environment& environment, const MasterInfo& me,
                      Contender::Listener* listener)
      : timer_(
            environment.clock().RunAfter(io::Duration::zero(), [me, listener] {
              listener->OnLeader(me);
              listener->OnElected();
            })) {}

 private:
  io::Timer timer_;
};

}  // namespace

std::unique_ptr<Detector> NewDetector(io::Environment& environment,
                                      const MasterLocation& location,
                                      std::string cluster_id,
                                      OnLeader on_leader) {
  if (location.zookeeper) {
    return std::make_unique<ZooKeeperDetector>(
        environment,
        GroupOptions{*location.zookeeper, location.zk_session_timeout},
        std::move(on_leader));
  }
  CHECK(!location.masters.empty());
  if (location.masters.size() == 1) {
    return std::make_unique<StaticDetector>(
        environment, location.masters.front(), std::move(on_leader));
  }
  return std::make_unique<NewsDetector>(
      environment, location, std::move(cluster_id), std::move(on_leader));
}

std::unique_ptr<Announcement> NewZooKeeperAnnouncement(
    io::Environment& environment, GroupOptions options, const MasterInfo& me,
    Announcement::Listener* listener) {
  return std::make_unique<ZooKeeperAnnouncement>(
      environment, std::move(options), me, listener);
}

std::unique_ptr<Contender> NewZooKeeperContender(
    io::Environment& environment, GroupOptions options,
    const std::optional<MasterInfo>& me, Contender::Listener* listener) {
  return std::make_unique<ZooKeeperContender>(environment, std::move(options),
                                              me, listener);
}

std::unique_ptr<Contender> NewStandaloneContender(
    io::Environment& environment, const MasterInfo& me,
    Contender::Listener* listener) {
  return std::make_unique<StandaloneContender>(environment, me, listener);
}

}  // namespace quorate::election
