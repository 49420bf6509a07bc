#include "scenarios/log_storm.h"

#include <algorithm>
#include <vector>

#include "scenarios/scenario.h"

namespace quorate::scenarios {

LogWeather DrawWeather(io::Random& random) {
  LogWeather weather;
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

void LogStorm::Blow(int steps) {
  for (int step = 0; step < steps && !world_.failure(); ++step) {
    Break();
    Work();
    world_.RunFor(random_->Between(1ms, 300ms));
  }
}

void LogStorm::Break() {
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

void LogStorm::Work() {
  if (weather_.elections && random_->Below(2) == 0) log_.Elect(Any());
  for (int leader : log_.Leaders()) {
    log_.Append(leader, weather_.large ? random_->Below(40 << 10) : 0);
    if (random_->Below(2) == 0) log_.Append(leader);
    log_.Read(leader);
    if (weather_.truncation && random_->Below(4) == 0) {
      const uint64_t end = log_.status(leader).learned_upto;
      log_.Truncate(leader, end - std::min<uint64_t>(end, random_->Below(4)));
    }
    if (weather_.members && random_->Below(4) == 0)
      log_.ChangeAnyMembers(leader, *random_);
  }
}

}  // namespace quorate::scenarios
