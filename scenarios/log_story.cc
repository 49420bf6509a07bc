#include "scenarios/log_story.h"

#include <algorithm>

#include "scenarios/scenario.h"

namespace quorate::scenarios {

sim::LogClusterOptions Electing(int replicas) {
  sim::LogClusterOptions options;
  options.replicas = replicas;
  options.builtin_election = true;
  return options;
}

int Leader(sim::LogCluster& log) {
  const std::vector<int> leaders = log.Leaders();
  return leaders.size() == 1 ? leaders[0] : -1;
}

bool Has(const std::vector<int>& list, int i) {
  return std::count(list.begin(), list.end(), i) != 0;
}

bool Acknowledges(sim::World& world, sim::LogCluster& log, io::Duration time) {
  const uint64_t before = log.acknowledged();
  return world.RunUntil(
      [&] {
        for (int leader : log.Leaders()) log.Append(leader);
        return log.acknowledged() > before;
      },
      time);
}

void Load(sim::World& world, sim::LogCluster& log, int appends) {
  for (int i = 0; i < appends && !world.failure(); ++i) {
    for (int leader : log.Leaders()) log.Append(leader);
    world.RunFor(5ms);
  }
}

bool Changed(sim::LogCluster& log) { return log.change_outcome.has_value(); }

bool ChangeMembers(sim::World& world, sim::LogCluster& log,
                   const std::vector<int>& add,
                   const std::vector<int>& remove) {
  for (int i : add) {
    const auto joined = [&] {
      return log.status(i).state == log::LogStatus::State::kJoining;
    };
    if (!world.RunUntil(joined, 30s)) return false;
  }
  for (int attempt = 0; attempt < 5 && !world.failure(); ++attempt) {
    if (!world.RunUntil([&] { return Leader(log) >= 0; }, 30s)) return false;
    log.ChangeMembers(Leader(log), add, remove);
    world.RunUntil([&] { return Changed(log); }, 90s);
    if (Changed(log) && log.change_outcome->ok()) return true;
    // A leader that was deposed meanwhile may have had it decided.
    world.RunFor(3s);
    const int leader = Leader(log);
    if (leader < 0) continue;
    const std::vector<int> members = log.Members(leader);
    const bool done = std::all_of(add.begin(), add.end(),
                                  [&](int i) { return Has(members, i); }) &&
                      std::none_of(remove.begin(), remove.end(),
                                   [&](int i) { return Has(members, i); });
    if (done) return true;
  }
  return false;
}

}  // namespace quorate::scenarios
