// Which cluster's masters meet at a path of ZooKeeper, on record there: the
// persistent znode <path>/cluster_id, which the first leader writes. It
// outlives the masters' disks, so that masters that have lost them, or that
// were sent to the path of another cluster, do not begin anew in its place.
//
//   ClusterRecord record(environment, group, "", [&](const auto& content) {
//     const absl::StatusOr<std::string> id = ParseClusterRecord(url, content);
//   }, [&](const std::string& problem) {...});

#ifndef QUORATE_CORE_ELECTION_CLUSTER_RECORD_H_
#define QUORATE_CORE_ELECTION_CLUSTER_RECORD_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/election/group.h"
#include "io/environment.h"

namespace quorate::election {

// In whose words operators find it: "/mesos/cluster_id".
std::string ClusterRecordPath(const ZooKeeperUrl& url);

// The id, 16 bytes, that the record's content says; empty when there is no
// record. FailedPrecondition, in words, for what is none: also for an empty
// znode, of which nobody can tell what it stood for.
absl::StatusOr<std::string> ParseClusterRecord(
    const ZooKeeperUrl& url, const std::optional<std::string>& content);

// One look at the record. Asks until there is an answer, on a session of its
// own that ends with it.
class ClusterRecord final : public io::CoordinationSession::Listener {
 public:
  // What the znode holds, nullopt for none, at most once; may destroy this
  // object.
  using OnFound =
      std::function<void(const std::optional<std::string>& content)>;
  // Why there is no answer yet, in words for the operator.
  using OnProblem = std::function<void(const std::string& words)>;

  // `group.url.path` is the masters'. With a `claim` the record becomes that,
  // if there is none. `environment` outlives it. Ends the process when
  // ZooKeeper refuses the credentials.
  ClusterRecord(io::Environment& environment, GroupOptions group,
                std::string claim, OnFound found, OnProblem problem);
  ~ClusterRecord() override;

  void OnConnected(int64_t session_id) override;
  void OnDisconnected() override;
  void OnExpired() override;
  void OnAuthenticationFailed() override;

 private:
  void WaitForAnswer();
  void Connect();
  void Look();
  // `created`: what came of the attempt to create it, if there was one.
  void Get(const absl::Status& created);
  // Creates the path up to `end`, then further, then the record.
  void Create(size_t end);
  void Retry(const absl::Status& status);
  void Found(std::optional<std::string> content);

  io::Environment& environment_;
  const GroupOptions group_;
  const std::string path_;
  const std::string claim_;
  const OnFound found_;
  const OnProblem problem_;
  bool connected_ = false;
  io::Timer timer_;
  io::Timer unanswered_;
  std::unique_ptr<io::CoordinationSession> session_;
};

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_CLUSTER_RECORD_H_
