// Where a master stands: what it may answer itself, and to whom it refers.

#ifndef QUORATE_CORE_MASTER_STANDING_H_
#define QUORATE_CORE_MASTER_STANDING_H_

#include <cstdint>
#include <optional>
#include <string>

#include "core/api/mesos.pb.h"

namespace quorate::master {

struct Standing {
  enum class Phase {
    kFollowing,
    kRecovering,  // Elected; reads the registry and takes over the log.
    kLeading,
  };
  Phase phase = Phase::kFollowing;
  // 0 until this master leads.
  uint64_t epoch = 0;
  // As it was elected, through ZooKeeper or by the masters themselves; perhaps
  // this master.
  std::optional<mesos::v1::MasterInfo> leader;
  // As the replicated log has it, which may be ahead of ZooKeeper or behind:
  // the leader's id, empty when it is not known, and its epoch.
  std::string log_leader_id;
  uint64_t log_leader_epoch = 0;
  // What is wrong with the election, in words for the operator; empty: nothing.
  std::string election_problem;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_STANDING_H_
