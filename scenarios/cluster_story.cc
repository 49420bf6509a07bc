#include "scenarios/cluster_story.h"

#include <algorithm>

#include "scenarios/scenario.h"

namespace quorate::scenarios {

sim::NetworkOptions DrawNetwork(sim::World& world) {
  auto random = world.NewRandom("weather");
  sim::NetworkOptions options;
  options.latency = random->Between(50us, 5ms);
  options.jitter = random->Between(50us, 20ms);
  options.spike_probability = random->Fraction() * 0.01;
  options.spike = random->Between(100ms, 1s);
  return options;
}

sim::ClusterOptions AnyElection(sim::World& world) {
  sim::ClusterOptions options{
      .masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)};
  auto random = world.NewRandom("election");
  if (random->Below(2) == 0) {
    options.zookeepers = 0;
    options.builtin_election = true;
  }
  return options;
}

bool Undisturbed(const std::vector<std::string>& states) {
  return std::all_of(states.begin(), states.end(), [](const auto& state) {
    return state == "TASK_STAGING" || state == "TASK_STARTING" ||
           state == "TASK_RUNNING" || state == "TASK_FINISHED";
  });
}

sim::Cluster::Side ZooKeepers(sim::Cluster& c) {
  sim::Cluster::Side servers;
  for (const sim::Host* server : c.zookeepers()) servers.push_back(*server);
  return servers;
}

sim::Cluster::Side OtherMasters(sim::Cluster& c, const sim::MasterNode& one) {
  sim::Cluster::Side others;
  for (const sim::MasterNode* master : c.masters()) {
    if (master != &one) others.push_back(*master);
  }
  return others;
}

}  // namespace quorate::scenarios
