// What stories about the log's members say again and again.
//
//   sim::LogCluster log(world, Electing(3));
//   EXPECT_SOON(Leader(log) >= 0, 30s);
//   EXPECT_NOW(ChangeMembers(world, log, {fresh}, {old}));
//   EXPECT_NOW(Acknowledges(world, log, 30s));

#ifndef QUORATE_SCENARIOS_LOG_STORY_H_
#define QUORATE_SCENARIOS_LOG_STORY_H_

#include <vector>

#include "sim/log_cluster.h"
#include "sim/world.h"

namespace quorate::scenarios {

// With somebody leading, by itself.
sim::LogClusterOptions Electing(int replicas);

// The one that leads a log whose members all hear each other; -1: none, or
// several.
int Leader(sim::LogCluster& log);

bool Has(const std::vector<int>& list, int i);

// Appends at whoever leads until one more is acknowledged.
bool Acknowledges(sim::World& world, sim::LogCluster& log, io::Duration time);

// So many appends at whoever leads, 5 ms apart, whatever becomes of them.
void Load(sim::World& world, sim::LogCluster& log, int appends);

// Whether the latest change of the members was answered.
bool Changed(sim::LogCluster& log);

// Asks the leader for the change, and again if it had to give up.
bool ChangeMembers(sim::World& world, sim::LogCluster& log,
                   const std::vector<int>& add, const std::vector<int>& remove);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_LOG_STORY_H_
