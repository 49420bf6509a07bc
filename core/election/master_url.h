// How an operator says where the masters are.

#ifndef QUORATE_CORE_ELECTION_MASTER_URL_H_
#define QUORATE_CORE_ELECTION_MASTER_URL_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/network.h"

namespace quorate::election {

// zk://[user:password@]host1:port1,host2:port2/path
struct ZooKeeperUrl {
  std::vector<std::string> servers;  // "host:port", port 2181 when left out
  std::string credentials;           // "user:password" or empty
  std::string path;                  // "/mesos"; never "/" alone
};

// The URL with its password, if any, replaced by "****": for messages.
std::string WithoutPassword(absl::string_view url);

// Errors name the part that is wrong and show a correct example.
absl::StatusOr<ZooKeeperUrl> ParseZooKeeperUrl(absl::string_view text);

// "host:port". The host may be a name; the program's main resolves it.
struct HostAndPort {
  std::string host;
  uint16_t port = 0;

  friend bool operator==(const HostAndPort&, const HostAndPort&) = default;
};
// --masters of a master: "host1:port1,host2:port2", each once.
absl::StatusOr<std::vector<HostAndPort>> ParseMasters(absl::string_view text);

// --master of agents and frameworks: a ZooKeeper URL, or masters as above, not
// necessarily all.
struct MasterUrl {
  std::optional<ZooKeeperUrl> zookeeper;
  std::vector<HostAndPort> masters;
};
absl::StatusOr<MasterUrl> ParseMasterUrl(absl::string_view text);

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_MASTER_URL_H_
