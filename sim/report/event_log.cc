#include "sim/report/event_log.h"

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

}  // namespace quorate::sim
