// A run as one self-contained page with a timeline: a lane for each host, with
// reigns, cuts, pauses, crashes, faults, acknowledged entries and packets, and
// details on a click.
//
//   std::string html = TimelinePage(recording, {.title = "Log.Storm", ...});

#ifndef QUORATE_SIM_REPORT_TIMELINE_PAGE_H_
#define QUORATE_SIM_REPORT_TIMELINE_PAGE_H_

#include <cstdint>
#include <string>

#include "sim/report/recording.h"

namespace quorate::sim {

// What the page says about the run as a whole.
struct PageHead {
  std::string title;
  uint64_t seed = 0;
  bool failed = false;
  std::string verdict;  // "passed", "violation"
  std::string cause;    // of a run that failed
  std::string replay;   // a command
};

// Nothing of it is fetched from elsewhere, and no text of the run can be taken
// for markup.
std::string TimelinePage(const Recording& recording, const PageHead& head);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_TIMELINE_PAGE_H_
