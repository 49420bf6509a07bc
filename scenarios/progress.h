// The progress of long work: a line that changes on a terminal, and a new line
// now and then elsewhere.

#ifndef QUORATE_SCENARIOS_PROGRESS_H_
#define QUORATE_SCENARIOS_PROGRESS_H_

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

namespace quorate::scenarios {

class Progress {
 public:
  // To `out`; `line` is asked for the text when it is shown.
  Progress(std::FILE* out, std::function<std::string()> line);
  ~Progress() { Clear(); }

  // Often; shows what is due.
  void Tick();
  // Before anything else is printed.
  void Clear();

 private:
  using RealTime = std::chrono::steady_clock::time_point;

  std::FILE* const out_;
  const bool terminal_;
  const std::function<std::string()> line_;
  RealTime shown_;
  bool visible_ = false;
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_PROGRESS_H_
