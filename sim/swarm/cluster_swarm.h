// A run of the swarm over a whole cluster: masters, agents, a framework and
// ZooKeeper; tasks are launched, killed and end, under faults of every kind;
// then all of them heal, or a majority of the masters and of ZooKeeper does
// with one agent and the framework, and the cluster has to serve again in
// bounded time.

#ifndef QUORATE_SIM_SWARM_CLUSTER_SWARM_H_
#define QUORATE_SIM_SWARM_CLUSTER_SWARM_H_

#include "sim/swarm/plan.h"
#include "sim/world.h"

namespace quorate::sim {

Plan DrawClusterPlan(uint64_t seed);
void RunClusterSwarm(World& world, const Plan& plan);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SWARM_CLUSTER_SWARM_H_
