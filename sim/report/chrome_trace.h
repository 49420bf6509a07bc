// A run as a trace in Chrome's format, for ui.perfetto.dev or
// chrome://tracing: a process for each host, a thread for each process on it,
// packets as arrows, and what lasts (leadership, cuts, pauses) as spans.
//
//   std::string json = ChromeTrace(recording);

#ifndef QUORATE_SIM_REPORT_CHROME_TRACE_H_
#define QUORATE_SIM_REPORT_CHROME_TRACE_H_

#include <string>

#include "sim/report/recording.h"

namespace quorate::sim {

// One JSON object with "traceEvents"; times are virtual.
std::string ChromeTrace(const Recording& recording);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_CHROME_TRACE_H_
