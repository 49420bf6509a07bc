// The log under everything at once: each seed draws which faults there are, how
// strong, and what is asked of the log meanwhile.

#include <algorithm>
#include <vector>

#include "scenarios/scenario.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

struct Weather {
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

Weather Draw(io::Random& random) {
  Weather weather;
  weather.kills = random.Below(2) == 0;
  weather.power = random.Below(2) == 0;
  weather.disk_calls = random.Below(2) == 0;
  weather.cuts = random.Below(4) != 0;
  weather.one_way = random.Below(2) == 0;
  weather.pauses = random.Below(3) == 0;
  weather.elections = random.Below(2) == 0;
  weather.large = random.Below(4) == 0;
  return weather;
}

sim::NetworkOptions DrawNetwork(io::Random& random) {
  sim::NetworkOptions options;
  options.jitter = random.Between(10us, 5ms);
  if (random.Below(3) == 0) {
    options.spike_probability = 0.01;
    options.spike = random.Between(1ms, 1s);
  }
  // Connections that break soon lose what was under way.
  options.min_stall = random.Between(1ms, 200ms);
  options.max_stall = options.min_stall + random.Between(1ms, 2s);
  return options;
}

class Storm {
 public:
  Storm(sim::World& world, sim::LogCluster& log, Weather weather)
      : world_(world),
        log_(log),
        weather_(weather),
        random_(world.NewRandom("storm")) {}

  void Blow(int steps) {
    for (int step = 0; step < steps && !world_.failure(); ++step) {
      Break();
      Work();
      world_.RunFor(random_->Between(1ms, 300ms));
    }
  }

 private:
  int Any() { return static_cast<int>(random_->Below(log_.size())); }

  void Break() {
    const int i = Any();
    const int j = Any();
    switch (random_->Below(10)) {
      case 0:
        if (weather_.kills && log_.up(i)) log_.Kill(i);
        break;
      case 1:
        if (weather_.power && log_.up(i)) log_.LosePower(i);
        break;
      case 2:
        if (weather_.disk_calls && log_.up(i)) {
          const bool power = random_->Below(2) != 0;
          log_.process(i).DieAtDiskCall(1 + random_->Below(20), power);
        }
        break;
      case 3:
        if (weather_.cuts && i != j) log_.Cut(i, j);
        break;
      case 4:
        if (weather_.one_way && i != j) log_.CutOneWay(i, j);
        break;
      case 5:
      case 6:
        log_.network().MendAll();
        break;
      case 7:
        if (weather_.pauses && log_.up(i)) log_.process(i).Pause();
        break;
      default:
        if (log_.up(i)) {
          log_.process(i).Resume();
        } else {
          log_.Start(i);
        }
    }
  }

  void Work() {
    if (weather_.elections && random_->Below(2) == 0) log_.Elect(Any());
    for (int leader : log_.Leaders()) {
      log_.Append(leader, weather_.large ? random_->Below(40 << 10) : 0);
      if (random_->Below(2) == 0) log_.Append(leader);
      log_.Read(leader);
      if (weather_.truncation && random_->Below(4) == 0) {
        const uint64_t end = log_.status(leader).learned_upto;
        log_.Truncate(leader, end - std::min<uint64_t>(end, random_->Below(4)));
      }
      if (weather_.members && random_->Below(4) == 0) ChangeMembers(leader);
    }
  }

  // Any change that leaves somebody.
  void ChangeMembers(int leader) {
    const std::vector<int> members = log_.Members(leader);
    std::vector<int> others;
    for (int i = 0; i < log_.size(); ++i) {
      const bool is_member = std::count(members.begin(), members.end(), i) != 0;
      if (!is_member && !log_.id(i).empty()) others.push_back(i);
    }
    std::vector<int> add;
    std::vector<int> remove;
    if (!others.empty() && random_->Below(2) == 0) {
      add.push_back(others[random_->Below(others.size())]);
    }
    if (members.size() > 1 && (add.empty() || random_->Below(2) == 0)) {
      remove.push_back(members[random_->Below(members.size())]);
    }
    if (!add.empty() || !remove.empty()) {
      log_.ChangeMembers(leader, add, remove);
    }
  }

  sim::World& world_;
  sim::LogCluster& log_;
  const Weather weather_;
  std::unique_ptr<io::Random> random_;
};

// All faults end: a leader comes by itself, acknowledges, and everybody has
// everything.
void AwaitRecovery(sim::World& world, sim::LogCluster& log) {
  log.HealAll();
  const auto leads = [&] {
    // Where nobody stands by himself, a member is asked to.
    for (int i = 0; i < log.size() && log.Leaders().empty(); ++i) {
      if (log.status(i).state == log::LogStatus::State::kFollowing) {
        log.Elect(i);
      }
    }
    return log.Leaders().size() == 1;
  };
  EXPECT_SOON(leads(), 30s);
  const uint64_t before = log.acknowledged();
  EXPECT_SOON(
      (leads() && (log.Append(log.Leaders()[0]), log.acknowledged() > before)),
      15s);
  EXPECT_SOON(log.Converged(), 20s);
}

void Run(sim::World& world, int replicas, const Weather& weather, int extra,
         bool builtin_election = true) {
  auto random = world.NewRandom("weather");
  sim::LogClusterOptions options;
  options.replicas = replicas;
  options.builtin_election = builtin_election;
  sim::LogCluster log(world, options);
  EXPECT_SOON(log.Converged(), 30s);
  for (int i = 0; i < extra; ++i) log.Add(replicas / 2 + 1);
  world.RunFor(1s);
  log.network().SetOptions(DrawNetwork(*random));
  Storm(world, log, weather).Blow(60);
  log.network().SetOptions({});
  AwaitRecovery(world, log);
}

}  // namespace

SCENARIO(Storm, OfThree) { Run(world, 3, Draw(*world.NewRandom("faults")), 0); }

SCENARIO(Storm, OfFive) { Run(world, 5, Draw(*world.NewRandom("faults")), 0); }

// Several are asked to lead at once, again and again, whoever leads already.
SCENARIO(Storm, OfRivals) {
  auto random = world.NewRandom("faults");
  Weather weather = Draw(*random);
  weather.elections = true;
  weather.truncation = random->Below(3) == 0;
  weather.members = random->Below(2) == 0;
  Run(world, random->Below(3) == 0 ? 5 : 3, weather, weather.members ? 2 : 0,
      false);
}

// Entries are given up while others have yet to get them.
SCENARIO(Storm, WithTruncation) {
  Weather weather = Draw(*world.NewRandom("faults"));
  weather.truncation = true;
  Run(world, 3, weather, 0);
}

// Members come and go, one or a swap at a time, by the wish of whoever leads.
SCENARIO(Storm, WithChangingMembers) {
  Weather weather = Draw(*world.NewRandom("faults"));
  weather.members = true;
  weather.truncation = world.NewRandom("truncation")->Below(2) == 0;
  Run(world, 3, weather, 2);
}

}  // namespace quorate::scenarios
