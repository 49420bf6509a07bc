// Which runs there are to do, one after the other.

#ifndef QUORATE_SCENARIOS_AGENDA_H_
#define QUORATE_SCENARIOS_AGENDA_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "scenarios/job.h"
#include "scenarios/options.h"

namespace quorate::scenarios {

class Agenda {
 public:
  // `first_seed` counts unless the options name one seed.
  Agenda(std::vector<size_t> scenarios, const Options& options,
         uint64_t first_seed);

  // All seeds of one scenario and then of the next; without an end, a seed of
  // each and then the next seed. Nothing when there is no more to do.
  std::optional<Job> Next();
  // No more of that one, or of any.
  void Drop(size_t scenario) { dropped_.insert(scenario); }
  void Stop() { at_ = scenarios_.size(); }
  // Whether Next has come past that one for good.
  bool Past(size_t scenario) const;

 private:
  const std::vector<size_t> scenarios_;
  const bool endless_;
  const uint64_t first_;
  const uint64_t count_;
  std::set<size_t> dropped_;
  size_t at_ = 0;       // of scenarios_
  uint64_t seeds_ = 0;  // done with, of that scenario or of all
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_AGENDA_H_
