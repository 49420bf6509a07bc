// Every event of a run as a line, so that two runs that should be the same can
// be compared: the first line that differs is where they part.
//
//   EventLog log([&](absl::string_view lines) { file << lines; });
//   world.spectator = &log;
//
// An event is "E", its time in nanoseconds, the trace's hash, and its kind;
// what was noted follows as "N", the time, who, what, whom and the number.
// Columns are separated by tabs.

#ifndef QUORATE_SIM_REPORT_EVENT_LOG_H_
#define QUORATE_SIM_REPORT_EVENT_LOG_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "sim/world.h"

namespace quorate::sim {

class EventLog final : public Spectator {
 public:
  using Write = std::function<void(absl::string_view lines)>;

  // `write` gets whole lines, many at a time; the last ones by Flush.
  explicit EventLog(Write write);
  ~EventLog() override;

  void OnEvent(io::Instant when, const char* kind, uint64_t hash) override;
  void OnNote(const Note& note) override;
  void Flush();

 private:
  const Write write_;
  std::string lines_;
};

// Where two runs part, with the lines before and after in both; nullopt: they
// do not. Each is what an EventLog wrote.
std::optional<std::string> FirstDifference(absl::string_view one,
                                           absl::string_view other);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_EVENT_LOG_H_
