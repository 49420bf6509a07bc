// Where the masters are, as they have announced it in ZooKeeper. Only looks:
// a path that is not there is not made.

#ifndef QUORATE_CORE_CLI_ZOOKEEPER_MASTERS_H_
#define QUORATE_CORE_CLI_ZOOKEEPER_MASTERS_H_

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/election/master_url.h"
#include "io/coordination.h"
#include "io/environment.h"

namespace quorate::cli {

class ZooKeeperMasters final : public io::CoordinationSession::Listener {
 public:
  // Never empty. NotFound when nobody is announced there, Unavailable when
  // ZooKeeper does not answer, PermissionDenied.
  using OnFound =
      std::function<void(absl::StatusOr<std::vector<io::Endpoint>>)>;

  // `environment` outlives it. `found` may destroy it.
  ZooKeeperMasters(io::Environment& environment, election::ZooKeeperUrl url,
                   io::Duration timeout, OnFound found);
  ~ZooKeeperMasters() override;

  void OnConnected(int64_t session_id) override;
  void OnDisconnected() override {}
  void OnExpired() override;
  void OnAuthenticationFailed() override;

 private:
  void OnNames(const absl::StatusOr<std::vector<std::string>>& names);
  void OnMaster(const absl::StatusOr<io::Znode>& znode);
  // At the next turn, once.
  void Finish(absl::StatusOr<std::vector<io::Endpoint>> outcome);

  io::Environment& environment_;
  const election::ZooKeeperUrl url_;
  const OnFound found_;
  std::set<io::Endpoint> masters_;
  size_t missing_ = 0;
  bool lost_ = false;  // The connection: it begins again with the next.
  bool finished_ = false;
  io::Timer deadline_;
  io::Timer finish_;
  std::unique_ptr<io::CoordinationSession> session_;
};

}  // namespace quorate::cli

#endif  // QUORATE_CORE_CLI_ZOOKEEPER_MASTERS_H_
