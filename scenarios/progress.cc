#include "scenarios/progress.h"

#include <unistd.h>

#include <utility>

namespace quorate::scenarios {
namespace {

constexpr std::chrono::milliseconds kOnTerminal(200);
constexpr std::chrono::seconds kElsewhere(10);

}  // namespace

Progress::Progress(std::FILE* out, std::function<std::string()> line)
    : out_(out),
      terminal_(isatty(fileno(out)) != 0),
      line_(std::move(line)),
      shown_(std::chrono::steady_clock::now()) {}

void Progress::Tick() {
  const RealTime now = std::chrono::steady_clock::now();
  if (now - shown_ < (terminal_ ? kOnTerminal : kElsewhere)) return;
  shown_ = now;
  visible_ = terminal_;
  // Back to the beginning of the line, and erase what is left of the old one.
  std::fprintf(out_, terminal_ ? "\r%s\x1b[K" : "%s\n", line_().c_str());
  std::fflush(out_);
}

void Progress::Clear() {
  if (!std::exchange(visible_, false)) return;
  std::fprintf(out_, "\r\x1b[K");
  std::fflush(out_);
}

}  // namespace quorate::scenarios
