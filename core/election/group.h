// A group in ZooKeeper: ephemeral sequential nodes under one path, kept alive
// over lost connections and expired sessions.
//
// Masters form two groups: <path> with `json.info_<seq>` nodes, whose lowest
// leads, and <path>/log_replicas with the addresses of the log's replicas.
// Agents and frameworks only watch.

#ifndef QUORATE_CORE_ELECTION_GROUP_H_
#define QUORATE_CORE_ELECTION_GROUP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "core/election/master_url.h"
#include "io/environment.h"

namespace quorate::election {

struct GroupOptions {
  ZooKeeperUrl url;  // `path` is the group's; created when missing.
  // A session that is disconnected that long counts as expired, whatever the
  // servers will say later.
  io::Duration session_timeout = std::chrono::seconds(10);
};

// "ZooKeeper at z1:2181,z2:2181 does not answer".
std::string DoesNotAnswer(const ZooKeeperUrl& url);

// Membership: sequence number -> content of the node. Only nodes named
// `<label>_<10 digits>` (or plain 10 digits for an empty label) count; others'
// files are left alone. ZooKeeper's numbers are of 32 bits: those after the
// last are negative, and lower than all before.
using Members = std::map<int32_t, std::string>;

class Group {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Whenever the membership changed, or was read for the first time. nullopt
    // when it is not known any more (session lost).
    virtual void OnMembers(const std::optional<Members>& members) = 0;
    // After Join: the node exists and carries this sequence number.
    virtual void OnJoined(int32_t sequence) = 0;
    // The own node is gone: session expired, or removed by someone. The group
    // does not join again by itself.
    virtual void OnMembershipLost(const absl::Status& reason) = 0;
    // What keeps the group from being read, or joined, in words for the
    // operator; empty: nothing, any more. Told when it is first known.
    virtual void OnProblem(const std::string& /*words*/) {}
  };

  // `label` as above. All arguments outlive the group. Authentication failure
  // ends the process: retrying cannot help.
  Group(io::Environment& environment, GroupOptions options, std::string label,
        Listener* listener);
  // Leaves the group, if connected.
  ~Group();

  void Start();
  // Joins as soon as connected, with this content. Once per loss.
  void Join(std::string content);

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_GROUP_H_
