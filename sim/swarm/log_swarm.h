// A run of the swarm over the replicated log alone: replicas and spare
// machines, appends, reads, truncations and changes of the members, faults of
// every kind; then all of them heal, or a majority does while the others go on
// to suffer, and the log has to serve again in bounded time.

#ifndef QUORATE_SIM_SWARM_LOG_SWARM_H_
#define QUORATE_SIM_SWARM_LOG_SWARM_H_

#include "sim/swarm/plan.h"
#include "sim/world.h"

namespace quorate::sim {

Plan DrawLogPlan(uint64_t seed);
void RunLogSwarm(World& world, const Plan& plan);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SWARM_LOG_SWARM_H_
