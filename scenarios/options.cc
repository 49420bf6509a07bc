#include "scenarios/options.h"

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace quorate::scenarios {

flags::Program SimProgram() {
  return {
      .name = "sim",
      .summary = "scenarios of a cluster in virtual time",
      .synopsis =
          "./dev sim [--scenario=NAME] [--seeds=N | --minutes=M]\n"
          "./dev sim --scenario=NAME --seed=N [--html=FILE]",
      .description =
          "Runs the swarm, or stories, under many seeds, or one seed of one "
          "scenario again. A failure prints its cause, the last events and the "
          "command "
          "that replays it.\n\n"
          "Exits with 0 when all passed; 1 when a checker saw a property "
          "violated; 2 for a wrong command line; 3 when a run was stuck: what "
          "should happen did not, or it took too long; 4 when what a story "
          "expects did not hold; 5 when the program crashed; 6 when a seed "
          "gave two different runs. Of several failures the first in the order "
          "1, 5, 6, 3, 4 counts.\n\n"
          "The progress counts faults that have taken effect, and marks: what "
          "kinds of events, notes and spans were seen at all, by kind of node "
          "(\"replica is killed\"). Marks that stop growing mean that more "
          "seeds of the same kind reach little that is new; --json names them.",
      .version = "1.12.0",
      .environment_prefix = "SIM_",
  };
}

namespace {

void AddFilesFlags(Options& options, flags::FlagSet& flags) {
  flags
      .Add(&options.trace, "trace",
           "Writes the run of --seed, or the first that fails, as a trace for "
           "ui.perfetto.dev.")
      .ValueName("FILE");
  flags
      .Add(&options.html, "html",
           "The same as a page with a timeline, for a browser.")
      .ValueName("FILE");
  flags.Add(&options.events, "events", "The same as a line for each event.")
      .ValueName("FILE");
  flags
      .Add(&options.hashes, "hashes",
           "Writes a line for each run: scenario, seed, trace hash, events.")
      .ValueName("FILE");
  flags
      .Add(&options.diff, "diff",
           "Runs nothing, and prints the first difference of two files that "
           "--events has written.")
      .ValueName("FILE,FILE");
}

}  // namespace

void AddFlags(Options& options, flags::FlagSet& flags) {
  flags.Add(&options.scenario, "scenario",
            "Name, or first part of the names, of the scenarios to run; "
            "several are separated by commas; 'all' for all. Without it, the "
            "swarm.");
  flags.Add(&options.seed, "seed", "Runs this seed only.");
  flags.Add(&options.first_seed, "first_seed",
            "Seeds are counted from here: 1 by default; with --minutes, from "
            "a new one each time, which is printed.");
  flags.Add(&options.seeds, "seeds", "Seeds for each scenario.");
  flags.Add(&options.set, "set",
            "Changes the drawn plan of a swarm's run: kill=0,storm-ms=500.");
  flags.Add(&options.shrink_seconds, "shrink_seconds",
            "How long to make the first failure of the swarm smaller; 60 by "
            "default, and 0 with --seed.");
  flags.Add(&options.extra_fault, "extra_fault",
            "One fault more than the story tells of: STEP:KIND:TARGET, as "
            "replay commands have it; or 'each', for a run with a short and "
            "one with a heavy fault at each step of each story.");
  flags.Add(&options.extra_fault_steps, "extra_fault_steps",
            "At most so many steps of each story and seed, spread over it; 0 "
            "for all.");
  flags
      .Add(&options.seeds_file, "seeds_file",
           "Runs what this file lists and nothing else; scenarios/seeds.txt "
           "explains itself.")
      .ValueName("FILE");
  flags.Add(&options.minutes, "minutes",
            "Runs one seed after the other for so long.");
  flags.Add(&options.jobs, "jobs",
            "Processes that run scenarios, as many as there are cores by "
            "default. With 0 this one does, for a debugger.");
  flags.Add(&options.run_timeout, "run_timeout",
            "A run that takes longer, in real time, is stuck.");
  flags.Add(&options.keep_going, "keep_going",
            "Whether a scenario that has failed goes on with its next seeds.");
  flags.Add(&options.list, "list", "Whether to list the scenarios only.");
  flags.Add(&options.verbose, "verbose",
            "Whether to show what the simulated processes log.");
  flags.Add(&options.json, "json",
            "Whether to print the result as one JSON object.");
  flags.Add(&options.check_determinism, "check_determinism",
            "Whether to run each seed twice and compare the runs.");
  AddFilesFlags(options, flags);
}

bool Chosen(const std::string& name, const std::string& wanted) {
  if (wanted == "all") return true;
  for (absl::string_view prefix : absl::StrSplit(wanted, ',')) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  return false;
}

}  // namespace quorate::scenarios
