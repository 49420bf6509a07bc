// What stories about whole clusters say again and again.

#ifndef QUORATE_SCENARIOS_CLUSTER_STORY_H_
#define QUORATE_SCENARIOS_CLUSTER_STORY_H_

#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/world.h"

namespace quorate::scenarios {

// Latencies as different as those of a rack and of a continent.
sim::NetworkOptions DrawNetwork(sim::World& world);

// Three masters, which elect by themselves or with ZooKeeper, and an agent.
sim::ClusterOptions AnyElection(sim::World& world);

// The task went its way without a disturbance that its framework can see.
bool Undisturbed(const std::vector<std::string>& states);

// The hosts of ZooKeeper, as one side of a cut.
sim::Cluster::Side ZooKeepers(sim::Cluster& c);
// The masters but that one.
sim::Cluster::Side OtherMasters(sim::Cluster& c, const sim::MasterNode& one);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_CLUSTER_STORY_H_
