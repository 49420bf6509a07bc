// Runs scenarios: all of them under many seeds, or one seed of one again.

#include <glog/logging.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/flags/flags.h"
#include "scenarios/extra_fault.h"
#include "scenarios/kept_seeds.h"
#include "scenarios/scenario.h"
#include "sim/machine.h"

namespace quorate::scenarios {
namespace {

enum ExitCode { kPassed = 0, kFailed = 1, kUsage = 2 };

struct Options {
  std::string scenario;
  std::optional<uint64_t> seed;
  uint64_t first_seed = 1;
  uint64_t seeds = 200;
  std::string set;
  std::string extra_fault;
  uint64_t extra_fault_steps = 0;
  std::string seeds_file;
  bool list = false;
  bool verbose = false;
  bool check_determinism = false;
};

flags::Program SimProgram() {
  return {
      .name = "sim",
      .summary = "scenarios of a cluster in virtual time",
      .synopsis = "./dev sim [--scenario=NAME] [--seeds=N | --seed=N] [flags]",
      .description =
          "Runs each scenario under many seeds, or one seed of one scenario "
          "again. A failure prints its cause, the last events and the command "
          "that replays it. Exits with 1 when a scenario failed.",
      .version = "1.12.0",
      .environment_prefix = "SIM_",
  };
}

void AddFlags(Options& options, flags::FlagSet& flags) {
  flags.Add(&options.scenario, "scenario",
            "Name, or first part of the names, of the scenarios to run; "
            "several are separated by commas. Without it, all.");
  flags.Add(&options.seed, "seed", "Runs this seed only.");
  flags.Add(&options.first_seed, "first_seed", "Seeds are counted from here.");
  flags.Add(&options.seeds, "seeds", "Seeds for each scenario.");
  flags.Add(
      &options.set, "set",
      "Changes the drawn plan of a swarm's run: \"kill=0,storm-ms=500\".");
  flags.Add(&options.extra_fault, "extra_fault",
            "One fault more than the story tells of: STEP:KIND:TARGET, as "
            "replay commands have it; or 'each', for a run with a short and "
            "one with a heavy fault at each step of each story.");
  flags.Add(&options.extra_fault_steps, "extra_fault_steps",
            "At most so many steps of each story and seed, spread over it; 0 "
            "for all.");
  flags.Add(&options.seeds_file, "seeds_file",
            "Runs what this file lists and nothing else; scenarios/seeds.txt "
            "explains itself.");
  flags.Add(&options.list, "list", "Whether to list the scenarios only.");
  flags.Add(&options.verbose, "verbose",
            "Whether to show what the simulated processes log.");
  flags.Add(&options.check_determinism, "check_determinism",
            "Whether to run each seed twice and compare the runs.");
}

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
  google::InitGoogleLogging("sim");
  for (auto severity : {google::INFO, google::WARNING, google::ERROR}) {
    google::SetLogDestination(severity, "");
  }
  FLAGS_stderrthreshold = google::FATAL;
  FLAGS_minloglevel = verbose ? google::INFO : google::FATAL;
  static VirtualLog& log = *new VirtualLog;
  if (verbose) google::AddLogSink(&log);
}

// What the seed draws, changed as the flags say.
absl::StatusOr<sim::Plan> PlanOf(const Scenario& scenario, uint64_t seed,
                                 const Options& options) {
  if (!scenario.draw) return sim::Plan();
  sim::Plan plan = scenario.draw(seed);
  auto settings = sim::ParseSettings(options.set);
  if (!settings.ok()) return settings.status();
  for (const sim::Setting& setting : *settings) {
    absl::Status set = plan.Set(setting.name, setting.value);
    if (!set.ok()) return set;
  }
  return plan;
}

// The failure of one seed, if any.
std::optional<std::string> RunSeed(const Scenario& scenario, uint64_t seed,
                                   const Options& options, Outcome* outcome) {
  if (!options.extra_fault.empty()) {
    auto fault = ParseExtraFault(options.extra_fault);
    if (!fault.ok()) return absl::StrCat(fault.status().message(), "\n");
    *outcome = RunWithExtraFault(scenario, seed, *fault).outcome;
    return outcome->failure;
  }
  auto plan = PlanOf(scenario, seed, options);
  if (!plan.ok()) return std::string(plan.status().message());
  const RunOptions run{.plan = scenario.draw ? &*plan : nullptr};
  *outcome = Run(scenario, seed, run);
  if (outcome->failure) return outcome->failure;
  if (!options.check_determinism) return std::nullopt;
  const Outcome again = Run(scenario, seed, run);
  if (again.trace_hash == outcome->trace_hash) return std::nullopt;
  return absl::StrFormat(
      "%s is not deterministic: seed %d gave the trace %016x with %d events, "
      "then %016x with %d events\n",
      scenario.name, seed, outcome->trace_hash, outcome->events,
      again.trace_hash, again.events);
}

constexpr char kEachStep[] = "each";

bool RunExtraFaults(const Scenario& scenario, const Options& options) {
  const uint64_t first = options.seed.value_or(options.first_seed);
  const uint64_t count = options.seed ? 1 : options.seeds;
  Sweep all;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const Sweep sweep =
        SweepExtraFaults(scenario, seed, options.extra_fault_steps);
    all.steps += sweep.steps;
    all.runs += sweep.runs;
    all.took_effect += sweep.took_effect;
    if (sweep.failure) {
      std::fprintf(stderr, "%s", sweep.failure->c_str());
      return false;
    }
  }
  std::printf(
      "%s", absl::StrFormat("%-56s %6d steps  %6d extra faults, of "
                            "which %d took effect\n",
                            scenario.name, all.steps, all.runs, all.took_effect)
                .c_str());
  std::fflush(stdout);
  return true;
}

bool RunSeeds(const Scenario& scenario, const Options& options) {
  if (options.extra_fault == kEachStep) {
    return !scenario.story || RunExtraFaults(scenario, options);
  }
  const uint64_t first = options.seed.value_or(options.first_seed);
  const uint64_t count = options.seed ? 1 : options.seeds;
  uint64_t events = 0;
  uint64_t hash = 0;
  io::Duration simulated{};
  for (uint64_t seed = first; seed < first + count; ++seed) {
    Outcome outcome;
    auto failure = RunSeed(scenario, seed, options, &outcome);
    events += outcome.events;
    simulated += outcome.simulated;
    hash ^= outcome.trace_hash;
    if (failure) {
      std::fprintf(stderr, "%s", failure->c_str());
      return false;
    }
  }
  std::printf("%s", absl::StrFormat(
                        "%-44s %6d seeds  %10d events  %8.0f simulated s  "
                        "trace %016x\n",
                        scenario.name, count, events,
                        std::chrono::duration<double>(simulated).count(), hash)
                        .c_str());
  std::fflush(stdout);
  return true;
}

// One of the names, or of their beginnings.
bool Chosen(const std::string& name, const std::string& wanted) {
  for (absl::string_view prefix : absl::StrSplit(wanted, ',')) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  return false;
}

int RunKeptSeeds(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file.good()) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return kUsage;
  }
  const auto kept = ParseKeptSeeds(text.str());
  if (!kept.ok()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(),
                 std::string(kept.status().message()).c_str());
    return kUsage;
  }
  int failed = 0;
  for (const KeptSeed& one : *kept) {
    const std::optional<std::string> failure = RunKeptSeed(one);
    if (!failure) continue;
    ++failed;
    std::fprintf(stderr, "%sIt was kept because: %s\n", failure->c_str(),
                 one.why.c_str());
  }
  std::printf("%d of %d kept seeds passed\n",
              static_cast<int>(kept->size()) - failed,
              static_cast<int>(kept->size()));
  return failed == 0 ? kPassed : kFailed;
}

int Main(const Options& options) {
  if (!options.seeds_file.empty()) return RunKeptSeeds(options.seeds_file);
  int run = 0;
  int failed = 0;
  for (const Scenario& scenario : All()) {
    if (!Chosen(scenario.name, options.scenario)) continue;
    ++run;
    if (options.list) {
      std::printf("%s\n", scenario.name.c_str());
    } else if (!RunSeeds(scenario, options)) {
      ++failed;
    }
  }
  if (run == 0) {
    std::fprintf(stderr, "no scenario is called '%s'; --list shows them all\n",
                 options.scenario.c_str());
    return kUsage;
  }
  if (!options.list)
    std::printf("%d passed, %d failed\n", run - failed, failed);
  return failed == 0 ? kPassed : kFailed;
}

}  // namespace
}  // namespace quorate::scenarios

int main(int argc, char** argv) {
  using namespace quorate::scenarios;
  Options options;
  quorate::flags::FlagSet flags(SimProgram());
  AddFlags(options, flags);
  absl::Status loaded = flags.Load(
      {.arguments = std::vector<std::string>(argv + 1, argv + argc)});
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\nTry --help.\n",
                 std::string(loaded.message()).c_str());
    return kUsage;
  }
  if (flags.help_requested()) {
    std::printf("%s", flags.HelpText().c_str());
    return kPassed;
  }
  InitLogging(options.verbose);
  return Main(options);
}
