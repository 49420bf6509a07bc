// What has to come of a log when its faults are over, by the word of the
// recoverability oracle.
//
//   const Recovery recovery = AwaitRecovery(world, log);
//
// Must it go on: within the bounds of the protocol there is a leader, an append
// is acknowledged, all that run have everything, and everything that was ever
// acknowledged can be read from each of them. Must it halt: it acknowledges
// nothing, and says which position or which members it lacks.

#ifndef QUORATE_SIM_LOG_RECOVERY_H_
#define QUORATE_SIM_LOG_RECOVERY_H_

#include "sim/checkers/recoverability.h"
#include "sim/log_cluster.h"
#include "sim/world.h"

namespace quorate::sim {

// Ends all disturbances, asks the oracle, and holds the log to what it says;
// notes that in the trace as "oracle". A log that may do either is watched for
// as long as one that must halt.
Recovery AwaitRecovery(World& world, LogCluster& log);

// Whoever stands in a log whose replicas do not stand by themselves is asked
// to; the one that leads, -1 while it is not exactly one.
int AskForLeader(LogCluster& log);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_LOG_RECOVERY_H_
