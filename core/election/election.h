// Who leads: the contender puts a master forward, the detector tells everyone
// who it is.

#ifndef QUORATE_CORE_ELECTION_ELECTION_H_
#define QUORATE_CORE_ELECTION_ELECTION_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "core/election/group.h"
#include "core/election/master_url.h"
#include "io/environment.h"

namespace mesos::v1 {
class MasterInfo;
}

namespace quorate::election {

// Tells who leads: at the first finding and after every change; nullopt when
// nobody does or it is not known.
using OnLeader =
    std::function<void(const std::optional<mesos::v1::MasterInfo>&)>;

// What existing detectors read: `json.info_<seq>` with a MasterInfo in JSON,
// the lowest sequence leads. Foreign or unreadable nodes are skipped with a
// warning.
class Detector {
 public:
  virtual ~Detector() = default;
};
std::unique_ptr<Detector> NewZooKeeperDetector(io::Environment& environment,
                                               GroupOptions options,
                                               OnLeader on_leader);
// A fixed master, reported once at the next turn of the loop.
std::unique_ptr<Detector> NewStaticDetector(io::Environment& environment,
                                            io::Endpoint master,
                                            std::string hostname,
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
  };
  virtual ~Contender() = default;
};
// Contends again by itself after a loss before it was elected; after
// OnDeposed it is dead.
std::unique_ptr<Contender> NewZooKeeperContender(
    io::Environment& environment, GroupOptions options,
    const mesos::v1::MasterInfo& me, Contender::Listener* listener);
// Without ZooKeeper: elected at the next turn of the loop, for ever.
std::unique_ptr<Contender> NewStandaloneContender(
    io::Environment& environment, const mesos::v1::MasterInfo& me,
    Contender::Listener* listener);

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_ELECTION_H_
