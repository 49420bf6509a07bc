// A storm over the replicated log: each step something breaks, or heals, and
// something is asked of whoever leads.
//
//   const LogWeather weather = DrawWeather(*world.NewRandom("faults"));
//   LogStorm(world, log, weather).Blow(60);

#ifndef QUORATE_SCENARIOS_LOG_STORM_H_
#define QUORATE_SCENARIOS_LOG_STORM_H_

#include <memory>

#include "io/random.h"
#include "sim/log_cluster.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::scenarios {

// Which faults there are, and what is asked for.
struct LogWeather {
  bool kills = false;
  bool power = false;
  bool disk_calls = false;  // dying in the middle of writing
  bool cuts = false;
  bool one_way = false;
  bool pauses = false;
  bool elections = false;  // several that try at once
  bool truncation = false;
  bool members = false;
  bool large = false;
};

// Of the faults; truncation and changes of the members are up to the story.
LogWeather DrawWeather(io::Random& random);
sim::NetworkOptions DrawNetwork(io::Random& random);

class LogStorm {
 public:
  LogStorm(sim::World& world, sim::LogCluster& log, LogWeather weather)
      : world_(world),
        log_(log),
        weather_(weather),
        random_(world.NewRandom("storm")) {}

  void Blow(int steps);

 private:
  int Any() { return static_cast<int>(random_->Below(log_.size())); }
  void Break();
  void Work();

  sim::World& world_;
  sim::LogCluster& log_;
  const LogWeather weather_;
  std::unique_ptr<io::Random> random_;
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_LOG_STORM_H_
