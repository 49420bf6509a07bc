// Where a master stands: what it may answer itself, and to whom it refers.

#ifndef QUORATE_CORE_MASTER_STANDING_H_
#define QUORATE_CORE_MASTER_STANDING_H_

#include <cstdint>
#include <optional>

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
  // As ZooKeeper has it; perhaps this master itself.
  std::optional<mesos::v1::MasterInfo> leader;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_STANDING_H_
