// One run of one scenario, and what came of it.

#ifndef QUORATE_SCENARIOS_JOB_H_
#define QUORATE_SCENARIOS_JOB_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "scenarios/options.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {

struct Job {
  size_t scenario = 0;  // of All()
  uint64_t seed = 0;
};

// In order of how serious it is.
enum class Ending {
  kPassed,
  kExpectation,
  kStuck,
  kNotDeterministic,
  kCrash,
  kViolation,
};
inline constexpr Ending kWorstEnding = Ending::kViolation;
// "violation".
const char* NameOf(Ending ending);
// Of the whole program.
int ExitCodeOf(Ending ending);
inline constexpr int kExitUsage = 2;

struct Result {
  Job job;
  Ending ending = Ending::kPassed;
  std::string cause;   // of a failure
  std::string report;  // with the last events and the replay command
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  io::Duration simulated{};
  sim::FaultCounts faults;
  std::set<std::string> marks;  // not yet seen by the process that ran it
};

// A line, and back.
std::string ToLine(const Result& result);
absl::StatusOr<Result> FromLine(absl::string_view line);

// A failure that is not the simulator's word: the program died, or was too
// slow.
Result Failed(const Job& job, const Options& options, Ending ending,
              const std::string& cause,
              const std::vector<std::string>& last_events = {});

// Runs it in this process. With `shown`, the files that the options name are
// written, also when the program dies of a bug. `witness`, if there is one,
// looks on.
Result RunJob(const Job& job, const Options& options, bool shown,
              sim::Spectator* witness = nullptr);

// Should the program die of a failed check while it runs a job, `tell` gets
// the result; call it once.
void OnCrash(void (*tell)(const Result& result));

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_JOB_H_
