// Who leads: the contender puts a master forward, the detector tells everyone
// who it is.

#ifndef QUORATE_CORE_ELECTION_ELECTION_H_
#define QUORATE_CORE_ELECTION_ELECTION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/election/group.h"
#include "core/election/master_url.h"
#include "core/wire/link.h"
#include "io/environment.h"
#include "io/network.h"

namespace mesos::v1 {
class MasterInfo;
}

namespace quorate::election {

// Tells who leads: at the first finding and after every change; nullopt when
// nobody does or it is not known.
using OnLeader =
    std::function<void(const std::optional<mesos::v1::MasterInfo>&)>;

// Where a program looks for the leading master.
struct MasterLocation {
  std::optional<ZooKeeperUrl> zookeeper;
  // A session that is disconnected that long counts as expired.
  io::Duration zk_session_timeout = std::chrono::seconds(10);
  // Without ZooKeeper: the only master; or several, any of which tells who
  // leads.
  std::vector<io::Endpoint> masters;
  // Of links to them.
  wire::Versions protocol;
};

// Watches while it lives.
class Detector {
 public:
  virtual ~Detector() = default;
};
// `cluster_id`: 16 bytes, or empty while it is not known. Masters of another
// cluster are not asked.
std::unique_ptr<Detector> NewDetector(io::Environment& environment,
                                      const MasterLocation& location,
                                      std::string cluster_id,
                                      OnLeader on_leader);

// A master's side: candidate and detector on one session, so that both see
// the same order of events.
class Contender {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnLeader(
        const std::optional<mesos::v1::MasterInfo>& leader) = 0;
    // This candidate has the lowest sequence number now.
    virtual void OnElected() = 0;
    // Was elected and is no more, or cannot know (session lost). Safe only if
    // the caller stops acting now.
    virtual void OnDeposed(const absl::Status& reason) = 0;
    // As Group::Listener::OnProblem.
    virtual void OnElectionProblem(const std::string& words) = 0;
  };
  virtual ~Contender() = default;
};
// Candidates are `json.info_<seq>` nodes with a MasterInfo in JSON; the lowest
// sequence leads. Foreign or unreadable nodes are skipped with a warning.
// Contends again by itself after a loss before it was elected; after
// OnDeposed it is dead. Without `me` it puts nobody forward, and only tells who
// leads.
std::unique_ptr<Contender> NewZooKeeperContender(
    io::Environment& environment, GroupOptions options,
    const std::optional<mesos::v1::MasterInfo>& me,
    Contender::Listener* listener);
// For a master that was elected in another way: what detectors in ZooKeeper
// read.
class Announcement {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // It was there, and is not any more. The object is dead: what ZooKeeper
    // holds may not be what it held before.
    virtual void OnAnnouncementLost(const absl::Status& reason) = 0;
    // As Group::Listener::OnProblem.
    virtual void OnElectionProblem(const std::string& words) = 0;
  };
  virtual ~Announcement() = default;
};
std::unique_ptr<Announcement> NewZooKeeperAnnouncement(
    io::Environment& environment, GroupOptions options,
    const mesos::v1::MasterInfo& me, Announcement::Listener* listener);
// The only master: elected at the next turn of the loop, for ever.
std::unique_ptr<Contender> NewStandaloneContender(
    io::Environment& environment, const mesos::v1::MasterInfo& me,
    Contender::Listener* listener);

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_ELECTION_H_
