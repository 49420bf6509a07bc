#include "sim/report/event_log.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

constexpr size_t kManyBytes = 1 << 20;

}  // namespace

EventLog::EventLog(Write write) : write_(std::move(write)) {}

EventLog::~EventLog() { Flush(); }

void EventLog::OnEvent(io::Instant when, const char* kind, uint64_t hash) {
  absl::StrAppend(&lines_, "E\t", when.time_since_epoch().count(), "\t",
                  absl::Hex(hash, absl::kZeroPad16), "\t", kind, "\n");
  if (lines_.size() >= kManyBytes) Flush();
}

void EventLog::OnNote(const Note& note) {
  absl::StrAppend(&lines_, "N\t", note.when.time_since_epoch().count(), "\t",
                  note.who, "\t", note.what, "\t", note.whom);
  absl::StrAppend(&lines_, "\t", note.number, "\n");
}

void EventLog::Flush() {
  if (!lines_.empty()) write_(lines_);
  lines_.clear();
}

namespace {

constexpr int kContext = 5;

// The beginnings of the lines of `text` around `at`, which is one as well:
// kContext before it, and it and as many after it.
struct Around {
  size_t begin;
  size_t end;
};

Around LinesAround(absl::string_view text, size_t at) {
  Around around{at, at};
  for (int i = 0; i < kContext && around.begin > 0; ++i) {
    const size_t newline =
        around.begin < 2 ? text.npos : text.rfind('\n', around.begin - 2);
    around.begin = newline == text.npos ? 0 : newline + 1;
  }
  for (int i = 0; i <= kContext && around.end < text.size(); ++i) {
    const size_t newline = text.find('\n', around.end);
    around.end = newline == text.npos ? text.size() : newline + 1;
  }
  return around;
}

}  // namespace

std::optional<std::string> FirstDifference(absl::string_view one,
                                           absl::string_view other) {
  if (one == other) return std::nullopt;
  const size_t both = std::min(one.size(), other.size());
  size_t at = static_cast<size_t>(
      std::mismatch(one.begin(), one.begin() + both, other.begin()).first -
      one.begin());
  while (at > 0 && one[at - 1] != '\n') --at;
  const auto line = std::count(one.begin(), one.begin() + at, '\n') + 1;
  const Around first = LinesAround(one, at);
  const Around second = LinesAround(other, at);
  std::string text =
      absl::StrCat("The runs part at line ", line, ". Both:\n",
                   one.substr(first.begin, at - first.begin), "One:\n");
  absl::StrAppend(&text, one.substr(at, first.end - at), "The other:\n",
                  other.substr(at, second.end - at));
  return text;
}

}  // namespace quorate::sim
