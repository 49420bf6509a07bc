#include "scenarios/totals.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/json/writer.h"

namespace quorate::scenarios {
namespace {

double Seconds(io::Duration time) {
  return std::chrono::duration<double>(time).count();
}

std::string Hex(uint64_t hash) { return absl::StrFormat("%016x", hash); }

}  // namespace

void Totals::Add(const Result& result) {
  Story& story = stories_[result.job.scenario];
  ++story.runs;
  story.events += result.events;
  story.simulated += result.simulated;
  story.trace_hash ^= result.trace_hash;
  ++runs_;
  simulated_ += result.simulated;
  faults_.Add(result.faults);
  marks_.insert(result.marks.begin(), result.marks.end());
  worst_ = std::max(worst_, result.ending);
  if (result.ending == Ending::kPassed) return;
  ++story.failed;
  failures_.push_back(result);
}

Job Totals::LowestFailure() const {
  return std::min_element(failures_.begin(), failures_.end(),
                          [](const Result& a, const Result& b) {
                            return std::pair(a.job.scenario, a.job.seed) <
                                   std::pair(b.job.scenario, b.job.seed);
                          })
      ->job;
}

std::string Totals::Line(double real_seconds) const {
  return absl::StrFormat(
      "%d runs, %.1f/s, %.1f simulated hours, %d faults, %d marks%s", runs_,
      static_cast<double>(runs_) / std::max(real_seconds, 0.001),
      Seconds(simulated_) / 3600, faults_.total(), marks_.size(),
      failures_.empty() ? "" : absl::StrCat(", ", failures_.size(), " FAILED"));
}

std::string Totals::StoryLine(size_t scenario) const {
  const Story& story = stories_.at(scenario);
  return absl::StrFormat(
      "%-44s %6d seeds  %10d events  %8.0f simulated s  trace %s%s",
      All()[scenario].name, story.runs, story.events, Seconds(story.simulated),
      Hex(story.trace_hash), story.failed == 0 ? "" : "  FAILED");
}

std::string Totals::Verdict() const {
  size_t failed = 0;
  for (const auto& [scenario, story] : stories_) {
    if (story.failed > 0) ++failed;
  }
  return absl::StrCat(stories_.size() - failed, " passed, ", failed, " failed");
}

std::string Totals::Json(double real_seconds, uint64_t first_seed,
                         const std::string& flags) const {
  std::string text;
  json::JsonWriter json(&text);
  json.StartObject().Key("result").String(NameOf(worst_));
  json.Key("exit_code").Int(ExitCodeOf(worst_));
  json.Key("first_seed").Uint(first_seed).Key("runs").Uint(runs_);
  json.Key("seconds").Double(real_seconds);
  json.Key("simulated_seconds").Double(Seconds(simulated_));
  json.Key("scenarios").StartObject();
  for (const auto& [scenario, story] : stories_) {
    json.Key(All()[scenario].name).StartObject();
    json.Key("runs").Uint(story.runs).Key("failed").Uint(story.failed);
    json.Key("events").Uint(story.events);
    json.Key("simulated_seconds").Double(Seconds(story.simulated));
    json.Key("trace_hash").String(Hex(story.trace_hash)).EndObject();
  }
  json.EndObject().Key("failures").StartArray();
  for (const Result& failure : failures_) {
    const std::string& name = All()[failure.job.scenario].name;
    json.StartObject().Key("scenario").String(name);
    json.Key("seed").Uint(failure.job.seed);
    json.Key("kind").String(NameOf(failure.ending));
    json.Key("cause").String(failure.cause);
    json.Key("replay").String(
        absl::StrCat(ReplayCommand(name, failure.job.seed), flags));
    json.EndObject();
  }
  json.EndArray().Key("faults").StartObject();
  for (size_t i = 0; i < sim::kFaults; ++i) {
    const sim::Fault fault = static_cast<sim::Fault>(i);
    if (faults_.of(fault) == 0) continue;
    json.Key(sim::NameOf(fault)).Uint(faults_.of(fault));
  }
  json.EndObject().Key("marks").StartArray();
  for (const std::string& mark : marks_) json.String(mark);
  json.EndArray().EndObject();
  return text + "\n";
}

}  // namespace quorate::scenarios
