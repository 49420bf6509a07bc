// Files that show one run: --trace, --html, --events.

#ifndef QUORATE_SCENARIOS_SHOW_H_
#define QUORATE_SCENARIOS_SHOW_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "scenarios/job.h"
#include "scenarios/options.h"
#include "scenarios/scenario.h"
#include "sim/report/audience.h"
#include "sim/report/event_log.h"
#include "sim/report/recording.h"

namespace quorate::scenarios {

// A file that cannot be written ends the program, with the reason.
class Show {
 public:
  // Both outlive the show, which joins the audience.
  Show(const Options& options, sim::Audience& audience);

  // The run is over: writes the files.
  void Write(const Outcome& outcome, const Scenario& scenario, uint64_t seed,
             Ending ending);
  // The same in the middle of a run, as the program is about to die.
  void Write(const sim::World& world, const Scenario& scenario, Ending ending,
             const std::string& cause);

 private:
  struct Closed {
    void operator()(std::FILE* file) const;
  };

  void WriteFiles(io::Instant end, const Scenario& scenario, uint64_t seed,
                  Ending ending, const std::string& cause);

  const Options& options_;
  sim::Recording recording_;
  std::unique_ptr<std::FILE, Closed> events_file_;
  std::unique_ptr<sim::EventLog> events_;
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_SHOW_H_
