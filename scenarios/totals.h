// What all runs together have come to: for the progress line, and at the end.

#ifndef QUORATE_SCENARIOS_TOTALS_H_
#define QUORATE_SCENARIOS_TOTALS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "scenarios/job.h"

namespace quorate::scenarios {

class Totals {
 public:
  // Of one scenario.
  struct Story {
    uint64_t runs = 0;
    uint64_t failed = 0;
    uint64_t events = 0;
    io::Duration simulated{};
    uint64_t trace_hash = 0;  // of all its runs, in any order
  };

  void Add(const Result& result);

  const std::map<size_t, Story>& stories() const { return stories_; }
  const std::vector<Result>& failures() const { return failures_; }
  // However the runs were shared out, it is the same. Of one at least.
  Job LowestFailure() const;
  Ending worst() const { return worst_; }

  // "1234 runs, 56.1/s, 7.8 simulated hours, 90 faults, 45 marks".
  std::string Line(double real_seconds) const;
  // Of one scenario, as a line of a table.
  std::string StoryLine(size_t scenario) const;
  // "12 passed, 0 failed": stories.
  std::string Verdict() const;
  // One object with everything, for scripts. `flags` are what a replay needs
  // beside the seed.
  std::string Json(double real_seconds, uint64_t first_seed,
                   const std::string& flags) const;

 private:
  std::map<size_t, Story> stories_;
  std::vector<Result> failures_;
  std::set<std::string> marks_;
  sim::FaultCounts faults_;
  uint64_t runs_ = 0;
  io::Duration simulated_{};
  Ending worst_ = Ending::kPassed;
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_TOTALS_H_
