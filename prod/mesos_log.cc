// mesos-log: looks at, runs and repairs replicas of the replicated log.

#include "prod/mesos_log.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/version.h"
#include "core/flags/flags.h"
#include "core/log/log_node.h"
#include "io/environment.h"
#include "prod/program.h"

namespace quorate::mesos_log {
namespace {

constexpr char kUsage[] =
    R"(usage: mesos-log COMMAND [flags]; mesos-log COMMAND --help tells more

of a stopped replica, by --path
  format     make an empty one; make and apply a genesis token
  status     who it is, and what it holds (or with --server, a running log)
  read       its committed entries
  dump       everything that it holds, for debugging
  verify     read everything and report damage (also --from, a backup)
  backup     copy its committed entries to a file
  restore    begin a new generation from a backup
  force      begin a new generation from the only survivor

of a running log, by --server
  members    list | add ID | remove ID | replace OLD NEW
  append-loop  append through whoever leads, and print each success

processes
  replica    run a replica
  benchmark  run a replica that leads and measures appends
)";

void AddPath(Flags& flags, flags::FlagSet& set, bool required) {
  auto added = set.Add(&flags.path, "path", "The replica's directory.");
  if (!required) return;
  added.Required().Check([](const std::string& path) {
    return path.empty() ? absl::InvalidArgumentError("is empty")
                        : absl::OkStatus();
  });
}

// A flag's check.
template <typename Number>
absl::Status AtLeastOne(const Number& value) {
  return value >= 1 ? absl::OkStatus()
                    : absl::InvalidArgumentError("must be at least 1");
}

void AddSize(Flags& flags, flags::FlagSet& set) {
  set.Add(&flags.size, "size", "Bytes of an append.").Check([](uint64_t size) {
    return size <= log::kMaxEntryBytes
               ? AtLeastOne(size)
               : absl::InvalidArgumentError(
                     absl::StrCat("must be at most ", log::kMaxEntryBytes));
  });
}

void AddProcessFlags(Flags& flags, flags::FlagSet& set) {
  AddPath(flags, set, true);
  set.Add(&flags.quorum, "quorum", "The log should have 2*quorum-1 members.")
      .Check(AtLeastOne<int32_t>);
  set.Add(&flags.listen, "listen", "ip:port for other replicas.").Required();
  set.Add(&flags.advertise, "advertise",
          "ip:port at which others reach this one, if it is another.");
  set.Add(&flags.peers, "peers", "ip:port,... where others may be.");
  set.Add(&flags.initialize, "initialize",
          "Help to form a log when there is none.");
  set.Add(&flags.join_token, "join_token",
          "What newcomers have to show, if it is not empty.");
  set.Add(&flags.logging_level, "logging_level", "INFO, WARNING or ERROR.");
}

void AddRange(Flags& flags, flags::FlagSet& set) {
  AddPath(flags, set, true);
  set.Add(&flags.first, "from", "First position.");
  set.Add(&flags.last, "to", "Position to stop before.");
}

// Without a slash at its end; an empty path stays empty.
std::string AbsolutePath(const std::string& path) {
  if (path.empty()) return path;
  std::string absolute =
      std::filesystem::absolute(path).lexically_normal().string();
  if (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

struct Command {
  const char* name;
  const char* summary;
  std::function<void(Flags&, flags::FlagSet&)> add_flags;
  std::function<absl::Status(const Flags&)> run;
};

absl::Status RunStatus(const Flags& flags) {
  if (flags.path.empty() == flags.server.empty()) {
    return absl::InvalidArgumentError(
        "--path=DIR, of a stopped replica, or --server=IP:PORT,..., of running "
        "ones, is required");
  }
  return flags.path.empty() ? RunOnlineStatus(flags) : RunOfflineStatus(flags);
}

std::vector<Command> DirectoryCommands() {
  const auto path = [](Flags& f, flags::FlagSet& s) { AddPath(f, s, true); };
  return {
      {"format", "Makes an empty replica, or begins a log",
       [](Flags& f, flags::FlagSet& s) {
         AddPath(f, s, false);
         s.Add(&f.members, "members",
               "Member ids, separated by commas: print a genesis token.");
         s.Add(&f.genesis, "genesis",
               "A genesis token, to be applied to the replica.");
       },
       RunFormat},
      {"status", "Shows a stopped replica, or a running log",
       [](Flags& f, flags::FlagSet& s) {
         AddPath(f, s, false);
         s.Add(&f.server, "server", "ip:port of running replicas.");
       },
       RunStatus},
      {"read", "Prints the committed entries of a stopped replica", AddRange,
       RunRead},
      {"dump", "Prints everything that a stopped replica holds", AddRange,
       RunDump},
      {"verify", "Reads everything and reports damage",
       [](Flags& f, flags::FlagSet& s) {
         AddPath(f, s, false);
         s.Add(&f.from, "from", "A backup to be verified instead.");
       },
       RunVerify},
      {"backup", "Copies the committed entries of a stopped replica",
       [](Flags& f, flags::FlagSet& s) {
         AddPath(f, s, true);
         s.Add(&f.to, "to", "The file to be written.").Required();
       },
       RunBackup},
      {"restore", "Begins a new generation from a backup",
       [](Flags& f, flags::FlagSet& s) {
         AddPath(f, s, true);
         s.Add(&f.from, "from", "The backup.").Required();
         s.Add(&f.confirm, "confirm", "What the refusal without it says.");
       },
       RunRestore},
      {"force", "Begins a new generation from the only survivor",
       [path](Flags& f, flags::FlagSet& s) {
         path(f, s);
         s.Add(&f.confirm, "confirm", "What the refusal without it says.");
       },
       RunForce},
  };
}

void AddBenchmarkFlags(Flags& flags, flags::FlagSet& set) {
  AddProcessFlags(flags, set);
  AddSize(flags, set);
  set.Add(&flags.outstanding, "outstanding", "Appends in flight.")
      .Check(AtLeastOne<uint64_t>);
  set.Add(&flags.seconds, "seconds", "How long to measure.")
      .Check([](double seconds) {
        constexpr double kDay = 86400;
        return seconds > 0 && seconds <= kDay
                   ? absl::OkStatus()
                   : absl::InvalidArgumentError(
                         "must be more than 0, and at most a day");
      });
}

void AddServer(Flags& flags, flags::FlagSet& set) {
  set.Add(&flags.server, "server", "ip:port,... of running replicas.")
      .Required();
}

std::vector<Command> ProcessCommands() {
  return {{"replica", "Runs a replica",
           [](Flags& f, flags::FlagSet& s) {
             AddProcessFlags(f, s);
             s.Add(&f.election, "election",
                   "Stand for leadership by itself, without being asked.");
           },
           RunReplica},
          {"benchmark", "Measures appends", AddBenchmarkFlags, RunBenchmark}};
}

std::vector<Command> ServerCommands(const std::vector<std::string>& words) {
  return {{"members", "Shows and changes the members of a log",
           [](Flags& f, flags::FlagSet& s) {
             AddServer(f, s);
             s.Add(&f.bulk, "bulk", "Allow several changes in one step.");
           },
           [words](const Flags& f) { return RunMembers(f, words); }},
          {"append-loop", "Appends through whoever leads",
           [](Flags& f, flags::FlagSet& s) {
             AddServer(f, s);
             AddSize(f, s);
           },
           RunAppendLoop}};
}

// What is no flag, of the command that has words of its own.
std::vector<std::string> TakeWords(std::vector<std::string>* arguments) {
  const auto words = std::stable_partition(
      arguments->begin(), arguments->end(),
      [](const std::string& one) { return absl::StartsWith(one, "-"); });
  std::vector<std::string> taken(words, arguments->end());
  arguments->erase(words, arguments->end());
  return taken;
}

[[noreturn]] void Run(const Command& command,
                      std::vector<std::string> arguments) {
  Flags flags;
  const std::string name = absl::StrCat("mesos-log ", command.name);
  const bool members = command.name == absl::string_view("members");
  flags::FlagSet set(
      {.name = name,
       .summary = command.summary,
       .synopsis = absl::StrCat(
           name, members ? " list|add ID|remove ID|replace OLD NEW" : "",
           " [flags]"),
       .version = kVersion});
  command.add_flags(flags, set);
  set.Add(&flags.json, "json", "Print JSON.");
  ReportErrorsAsJson(std::count(arguments.begin(), arguments.end(), "--json") >
                     0);
  absl::Status loaded = set.Load({.arguments = std::move(arguments)});
  if (set.help_requested() || set.version_requested()) {
    std::fputs(
        (set.help_requested() ? set.HelpText() : set.VersionText()).c_str(),
        stdout);
    std::exit(io::kExitOk);
  }
  if (!loaded.ok()) Finish(loaded);
  ReportErrorsAsJson(flags.json);
  for (std::string* path : {&flags.path, &flags.from, &flags.to}) {
    *path = AbsolutePath(*path);
  }
  prod::InitLogging("mesos-log", {.logging_level = flags.logging_level});
  Finish(command.run(flags));
}

int Main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  std::vector<std::string> arguments(argv + std::min(argc, 2), argv + argc);
  std::vector<std::string> words;
  if (name == "members") words = TakeWords(&arguments);
  for (const std::vector<Command>& commands :
       {DirectoryCommands(), ServerCommands(words), ProcessCommands()}) {
    for (const Command& command : commands) {
      if (name == command.name) Run(command, std::move(arguments));
    }
  }
  const bool asked = name == "--help" || name == "help";
  std::fputs(kUsage, asked ? stdout : stderr);
  return asked ? io::kExitOk : io::kExitFailure;
}

}  // namespace
}  // namespace quorate::mesos_log

int main(int argc, char** argv) { return quorate::mesos_log::Main(argc, argv); }
