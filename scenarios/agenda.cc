#include "scenarios/agenda.h"

#include <algorithm>
#include <utility>

namespace quorate::scenarios {

Agenda::Agenda(std::vector<size_t> scenarios, const Options& options,
               uint64_t first_seed)
    : scenarios_(std::move(scenarios)),
      endless_(options.minutes.has_value() && !options.seed),
      first_(options.seed.value_or(first_seed)),
      count_(options.seed ? 1 : options.seeds) {}

std::optional<Job> Agenda::Next() {
  if (dropped_.size() == scenarios_.size()) Stop();
  while (at_ < scenarios_.size()) {
    const size_t scenario = scenarios_[at_];
    const bool dropped = dropped_.count(scenario) != 0;
    const Job job{scenario, first_ + seeds_};
    if (endless_) {
      if (++at_ == scenarios_.size()) {
        at_ = 0;
        ++seeds_;
      }
      if (!dropped) return job;
    } else if (dropped || seeds_ == count_) {
      ++at_;
      seeds_ = 0;
    } else {
      ++seeds_;
      return job;
    }
  }
  return std::nullopt;
}

bool Agenda::Past(size_t scenario) const {
  if (at_ >= scenarios_.size()) return true;
  const auto place = std::find(scenarios_.begin(), scenarios_.end(), scenario);
  const size_t index = static_cast<size_t>(place - scenarios_.begin());
  return !endless_ && (index < at_ || (index == at_ && seeds_ == count_));
}

}  // namespace quorate::scenarios
