// Which cluster's masters meet at a path of ZooKeeper, on record there: the
// persistent znode <path>/cluster_id, which the first leader writes. It
// outlives the masters' disks, so that masters that have lost them, or that
// were sent to the path of another cluster, do not begin anew in its place.
//
//   ClusterRecord record(environment, group, "", [&](const std::string& id) {
//     // Empty: there is none.
//   });

#ifndef QUORATE_CORE_ELECTION_CLUSTER_RECORD_H_
#define QUORATE_CORE_ELECTION_CLUSTER_RECORD_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/election/group.h"
#include "io/environment.h"

namespace quorate::election {

// In whose words operators find it: "/mesos/cluster_id".
std::string ClusterRecordPath(const ZooKeeperUrl& url);

// One look at the record. Asks until there is an answer, on a session of its
// own that ends with it.
class ClusterRecord final : public io::CoordinationSession::Listener {
 public:
  // What the znode holds, at most once; may destroy this object.
  using OnFound = std::function<void(const std::string& id)>;

  // `group.url.path` is the masters'. With a `claim` the record becomes that,
  // if there is none. `environment` outlives it. Ends the process when
  // ZooKeeper refuses the credentials.
  ClusterRecord(io::Environment& environment, GroupOptions group,
                std::string claim, OnFound found);
  ~ClusterRecord() override;

  void OnConnected(int64_t session_id) override;
  void OnDisconnected() override { connected_ = false; }
  void OnExpired() override;
  void OnAuthenticationFailed() override;

 private:
  void Connect();
  void Look();
  void Get();
  // Creates the path up to `end`, then further, then the record.
  void Create(size_t end);
  void Retry(const absl::Status& status);
  void Found(std::string id);

  io::Environment& environment_;
  const GroupOptions group_;
  const std::string path_;
  const std::string claim_;
  const OnFound found_;
  bool connected_ = false;
  io::Timer timer_;
  std::unique_ptr<io::CoordinationSession> session_;
};

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_CLUSTER_RECORD_H_
