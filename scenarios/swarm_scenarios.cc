// The swarm: runs that are not told but drawn, each by its seed.
// docs/simulator.md

#include "scenarios/scenario.h"
#include "sim/swarm/cluster_swarm.h"
#include "sim/swarm/log_swarm.h"

namespace quorate::scenarios {
namespace {

const Registration cluster_swarm({"Swarm.Cluster", nullptr,
                                  sim::DrawClusterPlan, sim::RunClusterSwarm});

const Registration log_swarm({"Swarm.Log", nullptr, sim::DrawLogPlan,
                              sim::RunLogSwarm});

}  // namespace
}  // namespace quorate::scenarios
