#include "scenarios/runner.h"

#include <glog/logging.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "scenarios/agenda.h"
#include "scenarios/job.h"
#include "scenarios/kept_seeds.h"
#include "scenarios/options.h"
#include "scenarios/progress.h"
#include "scenarios/scenario.h"
#include "scenarios/shrinking.h"
#include "scenarios/totals.h"
#include "scenarios/variation.h"
#include "scenarios/workers.h"
#include "sim/machine.h"
#include "sim/report/event_log.h"

namespace quorate::scenarios {
namespace {

using RealClock = std::chrono::steady_clock;

constexpr uint32_t kShrinkSeconds = 60;

// Log lines with virtual time and the name of the simulated process.
class VirtualLog final : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char*, const char* file,
            int line, const google::LogMessageTime&, const char* message,
            size_t size) override {
    std::string who = "sim";
    if (const sim::Process* process = sim::RunningProcess()) {
      who = absl::StrFormat(
          "%.6f %s",
          std::chrono::duration<double>(process->world().elapsed()).count(),
          process->name());
    }
    std::fprintf(stderr, "%c %s %s:%d] %.*s\n",
                 google::GetLogSeverityName(severity)[0], who.c_str(), file,
                 line, static_cast<int>(size), message);
  }
};

// Simulated processes log by the hundred: to nowhere, unless asked for.
void InitLogging(bool verbose) {
  // Otherwise each line, also one that nobody sees, asks what zone this is.
  setenv("TZ", "UTC0", 1);
  google::InitGoogleLogging("sim");
  for (auto severity : {google::INFO, google::WARNING, google::ERROR}) {
    google::SetLogDestination(severity, "");
  }
  FLAGS_stderrthreshold = google::FATAL;
  FLAGS_minloglevel = verbose ? google::INFO : google::FATAL;
  static VirtualLog& log = *new VirtualLog;
  if (verbose) google::AddLogSink(&log);
}

// Ctrl-C: what runs is finished, then the result is told. A second one ends
// the program.
volatile std::sig_atomic_t interrupted = 0;
void OnInterrupt(int) {
  interrupted = 1;
  std::signal(SIGINT, SIG_DFL);
}

class Runner {
 public:
  Runner(const Options& options, std::vector<size_t> scenarios,
         uint64_t first_seed)
      : options_(options),
        first_seed_(first_seed),
        agenda_(scenarios, options, first_seed),
        scenarios_(std::move(scenarios)),
        progress_(stderr, [this] { return totals_.Line(Elapsed()); }) {}

  int Run() {
    std::signal(SIGINT, &OnInterrupt);
    if (options_.jobs == 0u) {
      while (const std::optional<Job> job = Next()) {
        Done(RunJob(*job, options_, options_.seed && options_.shows()));
        progress_.Tick();
      }
    } else {
      Workers workers(static_cast<int>(Jobs()), options_);
      workers.Run([this] { return Next(); },
                  [this](const Result& result) { Done(result); },
                  [this] { progress_.Tick(); });
    }
    progress_.Clear();
    if (options_.shows() && !options_.seed) ShowFirstFailure();
    const bool written = !options_.hashes || WriteHashes();
    ShrinkFirstFailure();
    PrintResult();
    const int code = ExitCodeOf(totals_.worst());
    return code == 0 && !written ? kExitUsage : code;
  }

 private:
  double Elapsed() const {
    return std::chrono::duration<double>(RealClock::now() - began_).count();
  }

  size_t Jobs() const {
    if (options_.seed) return std::min<size_t>(scenarios_.size(), Cores());
    return options_.jobs.value_or(static_cast<uint32_t>(Cores()));
  }

  static size_t Cores() {
    return std::max(1u, std::thread::hardware_concurrency());
  }

  std::optional<Job> Next() {
    const bool over = options_.minutes && Elapsed() >= *options_.minutes * 60.0;
    if (interrupted != 0 || over) agenda_.Stop();
    const std::optional<Job> job = agenda_.Next();
    if (job) ++under_way_[job->scenario];
    PrintFinished();
    return job;
  }

  void Done(const Result& result) {
    --under_way_[result.job.scenario];
    totals_.Add(result);
    if (options_.hashes) {
      hashes_[{result.job.scenario, result.job.seed}] = {result.trace_hash,
                                                         result.events};
    }
    if (result.ending != Ending::kPassed) {
      progress_.Clear();
      std::fprintf(stderr, "%s\n", result.report.c_str());
      if (!to_shrink_ && All()[result.job.scenario].draw) to_shrink_ = result;
      if (!options_.keep_going) agenda_.Drop(result.job.scenario);
    }
    PrintFinished();
  }

  // A line for each story, in order, once it is over.
  void PrintFinished() {
    while (printed_ < scenarios_.size()) {
      const size_t scenario = scenarios_[printed_];
      if (!agenda_.Past(scenario) || under_way_[scenario] > 0) return;
      ++printed_;
      if (options_.json || totals_.stories().count(scenario) == 0) continue;
      progress_.Clear();
      std::printf("%s\n", totals_.StoryLine(scenario).c_str());
      std::fflush(stdout);
    }
  }

  void ShrinkFirstFailure() {
    const uint32_t seconds =
        options_.shrink_seconds.value_or(options_.seed ? 0 : kShrinkSeconds);
    if (!to_shrink_ || seconds == 0) return;
    std::fprintf(stderr, "Making it smaller, for %u s at most\n", seconds);
    std::fprintf(
        stderr, "%s\n",
        ShrinkFailure(
            *to_shrink_, options_, std::chrono::seconds(seconds),
            [this] { progress_.Tick(); }, [] { return interrupted == 0; })
            .c_str());
  }

  // Runs it again, looked at.
  void ShowFirstFailure() {
    if (totals_.failures().empty()) {
      std::fprintf(stderr, "nothing has failed: there is nothing to show\n");
      return;
    }
    const Job job = totals_.LowestFailure();
    Options again = options_;
    again.seed = job.seed;
    std::optional<Job> next = job;
    Workers worker(1, again);
    worker.Run([&] { return std::exchange(next, std::nullopt); },
               [](const Result&) {}, [] {});
  }

  bool WriteHashes() const {
    std::ofstream out(*options_.hashes);
    for (const auto& [run, hash] : hashes_) {
      out << All()[run.first].name << "\t" << run.second << "\t"
          << absl::StrCat(absl::Hex(hash.first, absl::kZeroPad16)) << "\t"
          << hash.second << "\n";
    }
    out.close();
    if (!out) std::perror(options_.hashes->c_str());
    return !out.fail();
  }

  void PrintResult() const {
    if (options_.json) {
      std::printf(
          "%s",
          totals_.Json(Elapsed(), first_seed_, FlagsOf(options_)).c_str());
      return;
    }
    if (!options_.seed) std::printf("%s\n", totals_.Line(Elapsed()).c_str());
    std::printf("%s\n", totals_.Verdict().c_str());
  }

  const Options& options_;
  const uint64_t first_seed_;
  const RealClock::time_point began_ = RealClock::now();
  Agenda agenda_;
  const std::vector<size_t> scenarios_;
  Totals totals_;
  std::optional<Result> to_shrink_;
  Progress progress_;
  std::map<size_t, int> under_way_;
  size_t printed_ = 0;
  std::map<std::pair<size_t, uint64_t>, std::pair<uint64_t, uint64_t>> hashes_;
};

std::optional<std::string> Read(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  if (in) return text.str();
  std::fprintf(stderr, "cannot read %s\n", path.c_str());
  return std::nullopt;
}

int Diff(const std::string& files) {
  const std::pair<std::string, std::string> both = absl::StrSplit(files, ',');
  const auto first = Read(both.first);
  const auto second = Read(both.second);
  if (!first || !second) return kExitUsage;
  const auto difference = sim::FirstDifference(*first, *second);
  std::printf("%s", difference.value_or("no difference\n").c_str());
  return ExitCodeOf(difference ? Ending::kNotDeterministic : Ending::kPassed);
}

// Better before hours of work than after.
bool CanWrite(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file != nullptr) return std::fclose(file) == 0;
  std::fprintf(stderr, "cannot write %s: %s\n", path.c_str(),
               std::strerror(errno));
  return false;
}

int RunKeptSeeds(const std::string& path) {
  const auto text = Read(path);
  if (!text) return kExitUsage;
  const auto kept = ParseKeptSeeds(*text);
  if (!kept.ok()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(),
                 std::string(kept.status().message()).c_str());
    return kExitUsage;
  }
  int failed = 0;
  for (const KeptSeed& one : *kept) {
    const std::optional<std::string> failure = RunKeptSeed(one);
    if (!failure) continue;
    ++failed;
    std::fprintf(stderr, "%sIt was kept because: %s\n", failure->c_str(),
                 one.why.c_str());
  }
  std::printf("%d passed, %d failed\n", static_cast<int>(kept->size()) - failed,
              failed);
  return failed == 0 ? 0 : ExitCodeOf(Ending::kViolation);
}

// A new one each time, and with room before the next second's.
uint64_t FreshSeed() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::vector<size_t> ScenariosOf(const Options& options) {
  std::string wanted = options.scenario;
  if (wanted.empty()) {
    const bool stories = options.list || !options.extra_fault.empty();
    wanted = stories ? "all" : "Swarm.";
  }
  std::vector<size_t> scenarios;
  for (size_t i = 0; i < All().size(); ++i) {
    const bool fits = options.extra_fault.empty() || All()[i].story;
    if (fits && Chosen(All()[i].name, wanted)) scenarios.push_back(i);
  }
  return scenarios;
}

int Main(const Options& options) {
  if (options.diff) return Diff(*options.diff);
  if (!options.seeds_file.empty()) {
    InitLogging(options.verbose);
    return RunKeptSeeds(options.seeds_file);
  }
  const std::vector<size_t> scenarios = ScenariosOf(options);
  if (scenarios.empty()) {
    std::fprintf(stderr, "no scenario is called '%s'; --list shows them all\n",
                 options.scenario.c_str());
    return kExitUsage;
  }
  if (options.seeds == 0) {
    std::fprintf(stderr, "--seeds=0 would run nothing\n");
    return kExitUsage;
  }
  if (options.seed && options.shows() && scenarios.size() > 1) {
    std::fprintf(stderr, "a file shows one run: name one scenario\n");
    return kExitUsage;
  }
  if (const absl::Status fits = CheckVariation(options, scenarios);
      !fits.ok()) {
    std::fprintf(stderr, "%s\n", std::string(fits.message()).c_str());
    return kExitUsage;
  }
  if (options.list) {
    for (size_t i : scenarios) std::printf("%s\n", All()[i].name.c_str());
    return 0;
  }
  for (const auto& path :
       {options.trace, options.html, options.events, options.hashes}) {
    if (path && !CanWrite(*path)) return kExitUsage;
  }
  const uint64_t first_seed =
      options.first_seed.value_or(options.minutes ? FreshSeed() : 1);
  if (options.minutes && !options.seed) {
    std::fprintf(stderr, "the first seed is %llu\n",
                 static_cast<unsigned long long>(first_seed));
  }
  InitLogging(options.verbose);
  return Runner(options, scenarios, first_seed).Run();
}

}  // namespace

int RunnerMain(const std::vector<std::string>& arguments) {
  Options options;
  flags::FlagSet flags(SimProgram());
  AddFlags(options, flags);
  const absl::Status loaded = flags.Load({.arguments = arguments});
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\nTry --help.\n",
                 std::string(loaded.message()).c_str());
    return kExitUsage;
  }
  if (flags.help_requested()) {
    std::printf("%s", flags.HelpText().c_str());
    return 0;
  }
  return Main(options);
}

}  // namespace quorate::scenarios
