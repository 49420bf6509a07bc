#include "scenarios/job.h"

#include <glog/logging.h>

#include <cstdlib>
#include <optional>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "scenarios/show.h"
#include "scenarios/variation.h"
#include "sim/report/audience.h"
#include "sim/report/event_log.h"
#include "sim/report/marks.h"

namespace quorate::scenarios {
namespace {

Ending EndingOf(const Outcome& outcome) {
  if (!outcome.failure) return Ending::kPassed;
  switch (outcome.failure_kind) {
    case sim::FailureKind::kViolation:
      return Ending::kViolation;
    case sim::FailureKind::kExpectation:
      return Ending::kExpectation;
    case sim::FailureKind::kStuck:
      return Ending::kStuck;
  }
  return Ending::kViolation;
}

// --- Twice -------------------------------------------------------------------

std::string EventsOf(const Scenario& scenario, uint64_t seed,
                     const Options& options) {
  std::string events;
  sim::EventLog log(
      [&](absl::string_view lines) { absl::StrAppend(&events, lines); });
  RunVaried(scenario, seed, options, &log);
  log.Flush();
  return events;
}

// A run that differs does so again, as a rule.
std::string Explain(const Scenario& scenario, uint64_t seed,
                    const Options& options) {
  const std::string events = EventsOf(scenario, seed, options);
  for (int i = 0; i < 5; ++i) {
    const auto difference =
        sim::FirstDifference(events, EventsOf(scenario, seed, options));
    if (difference) return *difference;
  }
  return "Five more runs were all the same.";
}

void CheckAgain(const Scenario& scenario, const Options& options,
                Result& result) {
  const uint64_t seed = result.job.seed;
  const Outcome again = RunVaried(scenario, seed, options, nullptr);
  if (again.trace_hash == result.trace_hash && again.cause == result.cause) {
    return;
  }
  const auto ended = [](const std::string& cause) {
    return cause.empty() ? "" : absl::StrCat(" and fails: ", cause);
  };
  result.ending = Ending::kNotDeterministic;
  result.cause = absl::StrFormat(
      "not deterministic: the trace is %016x with %d events%s, then %016x with "
      "%d events%s\n%s",
      result.trace_hash, result.events, ended(result.cause), again.trace_hash,
      again.events, ended(again.cause), Explain(scenario, seed, options));
  result.report =
      Report(scenario.name, seed, result.cause, {}, FlagsOf(options));
}

// --- Crashes -----------------------------------------------------------------

struct Running {
  Job job;
  const Options* options = nullptr;
  Show* show = nullptr;
};
std::optional<Running> running;
void (*tell_of_crash)(const Result&) = nullptr;
std::string& LastWords() {
  static auto& words = *new std::string;
  return words;
}

// Keeps what a failed check says.
class FatalSink final : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char*, const char* file,
            int line, const google::LogMessageTime&, const char* message,
            size_t size) override {
    if (severity != google::FATAL) return;
    LastWords() =
        absl::StrCat(file, ":", line, ": ", absl::string_view(message, size));
  }
};

ABSL_ATTRIBUTE_NORETURN void OnFatal() {
  if (running && tell_of_crash != nullptr) {
    const Running died = *running;
    running.reset();  // What follows may fail as well.
    std::vector<std::string> last;
    if (const sim::World* world = RunningWorld()) {
      last = world->LastNotes();
      if (died.show != nullptr) {
        died.show->Write(*world, All()[died.job.scenario], Ending::kCrash,
                         LastWords());
      }
    }
    tell_of_crash(
        Failed(died.job, *died.options, Ending::kCrash, LastWords(), last));
  }
  std::abort();
}

}  // namespace

const char* NameOf(Ending ending) {
  switch (ending) {
    case Ending::kPassed:
      return "passed";
    case Ending::kExpectation:
      return "expectation";
    case Ending::kStuck:
      return "stuck";
    case Ending::kNotDeterministic:
      return "not deterministic";
    case Ending::kCrash:
      return "crash";
    case Ending::kViolation:
      return "violation";
  }
  return "";
}

int ExitCodeOf(Ending ending) {
  switch (ending) {
    case Ending::kPassed:
      return 0;
    case Ending::kViolation:
      return 1;
    case Ending::kStuck:
      return 3;
    case Ending::kExpectation:
      return 4;
    case Ending::kCrash:
      return 5;
    case Ending::kNotDeterministic:
      return 6;
  }
  return 1;
}

void OnCrash(void (*tell)(const Result& result)) {
  tell_of_crash = tell;
  google::AddLogSink(new FatalSink);  // for ever
  google::InstallFailureFunction(&OnFatal);
}

Result Failed(const Job& job, const Options& options, Ending ending,
              const std::string& cause,
              const std::vector<std::string>& last_events) {
  Result result;
  result.job = job;
  result.ending = ending;
  result.cause = cause;
  result.report = Report(All()[job.scenario].name, job.seed, cause, last_events,
                         FlagsOf(options));
  return result;
}

Result RunJob(const Job& job, const Options& options, bool shown,
              sim::Spectator* witness) {
  // Over all runs of this process, so that each is told once.
  static auto& marks = *new sim::Marks;
  const Scenario& scenario = All()[job.scenario];
  sim::Audience audience;
  audience.Add(&marks);
  if (witness != nullptr) audience.Add(witness);
  std::optional<Show> show;
  if (shown) show.emplace(options, audience);
  running = Running{job, &options, show ? &*show : nullptr};
  const Outcome outcome = RunVaried(scenario, job.seed, options, &audience);
  running.reset();

  Result result;
  result.job = job;
  result.ending = EndingOf(outcome);
  result.cause = outcome.cause;
  result.report = outcome.failure.value_or("");
  result.trace_hash = outcome.trace_hash;
  result.events = outcome.events;
  result.simulated = outcome.simulated;
  result.faults = outcome.faults;
  result.marks = marks.TakeNew();
  if (show) show->Write(outcome, scenario, job.seed, result.ending);
  if (options.check_determinism) CheckAgain(scenario, options, result);
  return result;
}

// --- Lines -------------------------------------------------------------------

namespace {

std::string FaultsText(const sim::FaultCounts& faults) {
  std::vector<uint64_t> counts;
  for (size_t i = 0; i < sim::kFaults; ++i) {
    counts.push_back(faults.of(static_cast<sim::Fault>(i)));
  }
  return absl::StrJoin(counts, " ");
}

constexpr size_t kFields = 9;  // and the marks

}  // namespace

std::string ToLine(const Result& result) {
  std::string line = absl::StrCat(result.job.scenario, "\t", result.job.seed,
                                  "\t", static_cast<int>(result.ending), "\t",
                                  absl::CEscape(result.cause), "\t",
                                  absl::CEscape(result.report), "\t");
  absl::StrAppend(&line, result.trace_hash, "\t", result.events, "\t",
                  result.simulated.count(), "\t", FaultsText(result.faults));
  for (const std::string& mark : result.marks) {
    absl::StrAppend(&line, "\t", absl::CEscape(mark));
  }
  return line;
}

absl::StatusOr<Result> FromLine(absl::string_view line) {
  const std::vector<std::string> fields = absl::StrSplit(line, '\t');
  Result result;
  int ending = 0;
  int64_t simulated = 0;
  const bool read = fields.size() >= kFields &&
                    absl::SimpleAtoi(fields[0], &result.job.scenario) &&
                    absl::SimpleAtoi(fields[1], &result.job.seed) &&
                    absl::SimpleAtoi(fields[2], &ending) &&
                    absl::CUnescape(fields[3], &result.cause) &&
                    absl::CUnescape(fields[4], &result.report) &&
                    absl::SimpleAtoi(fields[5], &result.trace_hash) &&
                    absl::SimpleAtoi(fields[6], &result.events) &&
                    absl::SimpleAtoi(fields[7], &simulated);
  if (!read) {
    return absl::InvalidArgumentError(absl::StrCat("not a result: ", line));
  }
  if (result.job.scenario >= All().size() || ending < 0 ||
      ending > static_cast<int>(kWorstEnding) || simulated < 0) {
    return absl::InvalidArgumentError(absl::StrCat("out of range: ", line));
  }
  result.ending = static_cast<Ending>(ending);
  result.simulated = io::Duration(simulated);
  const std::vector<absl::string_view> counts = absl::StrSplit(fields[8], ' ');
  for (size_t fault = 0; fault < counts.size(); ++fault) {
    uint64_t count = 0;
    if (counts.size() != sim::kFaults ||
        !absl::SimpleAtoi(counts[fault], &count)) {
      return absl::InvalidArgumentError(absl::StrCat("not faults: ", line));
    }
    result.faults.Add(static_cast<sim::Fault>(fault), count);
  }
  for (size_t i = kFields; i < fields.size(); ++i) {
    std::string mark;
    if (!absl::CUnescape(fields[i], &mark)) {
      return absl::InvalidArgumentError(absl::StrCat("not a mark: ", line));
    }
    result.marks.insert(mark);
  }
  return result;
}

}  // namespace quorate::scenarios
