// mesos: shows people and scripts how a cluster is.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/media.h"
#include "core/base/version.h"
#include "core/cli/disagreements.h"
#include "core/cli/survey.h"
#include "core/cli/views.h"
#include "core/cli/zookeeper_masters.h"
#include "core/flags/flags.h"
#include "core/http/client.h"
#include "core/json/writer.h"
#include "core/log_tool/status.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/common.h"
#include "prod/program.h"

namespace quorate {
namespace {

constexpr char kUsage[] = R"(usage: mesos COMMAND [flags]

  quorum      whether the cluster is healthy, how each master is, what to do
  masters     who answers, and who leads
  agents      the agents of the cluster
  tasks       the tasks that run (--all: those that have ended as well)
  frameworks  the frameworks (--all: those that have ended as well)
  log         the masters' replicated log
  version     of this program and of the masters

flags
  --master=WHERE    host:port,... of masters, not necessarily all, or
                    zk://host:port,.../path; or MESOS_MASTER in the environment
                    (127.0.0.1:5050)
  --json            for scripts: one JSON object on standard output
  --timeout=TIME    for each master to answer (5secs)
  --all             what has ended as well

exit status
  0  done; of quorum: healthy, of masters: all answer
  1  an error: nobody answers, nobody leads, the output cannot be written
  2  a wrong command line
  3  quorum: degraded (it serves, and something needs attention);
     masters: one that is known does not answer, or has yet to find out that it
     leads no more
  4  quorum: unavailable (masters answer, and nobody leads);
     quorum, masters: those that answer are not one cluster under one leader
)";

enum ExitCode {
  kOk = 0,
  kError = 1,
  kUsageError = 2,
  kDegraded = 3,
  kDown = 4
};

struct Flags {
  std::string master = "127.0.0.1:5050";
  flags::Duration timeout = std::chrono::seconds(5);
  bool json = false;
  bool all = false;
};

// What could not be written was not shown, however well all went.
[[noreturn]] void End(int code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fprintf(stderr, "mesos: cannot write to standard output\n");
    code = kError;
  }
  std::_Exit(code);
}

[[noreturn]] void Fail(const Flags& flags, absl::string_view message) {
  if (flags.json) {
    std::string text;
    json::JsonWriter writer(&text);
    writer.StartObject();
    writer.Key("error").String(message);
    writer.EndObject();
    std::printf("%s\n", text.c_str());
  }
  std::fprintf(stderr, "mesos: %s\n", std::string(message).c_str());
  End(kError);
}

[[noreturn]] void FailUsage(absl::string_view message) {
  std::fprintf(stderr, "mesos: %s\nTry 'mesos --help'.\n",
               std::string(message).c_str());
  End(kUsageError);
}

void Print(const cli::Lines& lines) {
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
}

// One command, from its question to its answer.
class Command {
 public:
  Command(std::string name, Flags flags, election::MasterLocation location)
      : name_(std::move(name)),
        flags_(std::move(flags)),
        location_(std::move(location)),
        environment_(&loop_, {}) {}

  [[noreturn]] void Run() {
    if (!location_.zookeeper) {
      AskMasters(location_.masters);
    } else {
      zookeeper_ = std::make_unique<cli::ZooKeeperMasters>(
          environment_, *location_.zookeeper, flags_.timeout,
          [this](const auto& masters) {
            if (!masters.ok()) Failed(masters.status());
            AskMasters(*masters);
          });
    }
    environment_.Run();
  }

 private:
  using Testimonies = std::vector<cli::Testimony>;

  // A program's own version needs nobody.
  void Failed(const absl::Status& status) {
    if (name_ == "version") ShowVersions({});
    Fail(flags_, status.message());
  }

  void AskMasters(const std::vector<io::Endpoint>& masters) {
    if (name_ == "log") return AskLog(masters);
    const bool all =
        name_ == "quorum" || name_ == "masters" || name_ == "version";
    survey_ = std::make_unique<cli::Survey>(
        environment_.clock(), environment_.network(),
        cli::Survey::Options{.masters = masters,
                             .timeout = flags_.timeout,
                             .until_leader = !all},
        [this, all](const Testimonies& testimonies) {
          if (all) ShowSurvey(testimonies);
          AskLeader(testimonies);
        });
  }

  [[noreturn]] void ShowSurvey(const Testimonies& testimonies) {
    if (name_ == "version") ShowVersions(testimonies);
    const bool any =
        std::any_of(testimonies.begin(), testimonies.end(),
                    [](const auto& one) { return one.status.ok(); });
    if (!any) Fail(flags_, cli::NoLeader(testimonies).message());
    if (flags_.json) {
      std::printf("%s\n", cli::SurveyJson(testimonies).c_str());
    } else {
      Print(name_ == "quorum" ? cli::QuorumLines(testimonies)
                              : cli::MastersLines(testimonies));
    }
    if (name_ == "masters") End(MastersCode(testimonies));
    switch (cli::HealthOf(testimonies)) {
      case cli::Health::kHealthy:
        End(kOk);
      case cli::Health::kDegraded:
        End(kDegraded);
      case cli::Health::kUnavailable:
        End(kDown);
    }
    End(kError);
  }

  static ExitCode MastersCode(const Testimonies& testimonies) {
    const auto disagreements = cli::DisagreementsOf(testimonies);
    if (cli::IsCritical(disagreements)) return kDown;
    const bool whole =
        std::all_of(testimonies.begin(), testimonies.end(),
                    [](const auto& one) { return one.status.ok(); });
    return whole && disagreements.empty() ? kOk : kDegraded;
  }

  [[noreturn]] void ShowVersions(const Testimonies& testimonies) {
    std::string text;
    json::JsonWriter writer(&text);
    cli::Lines lines = {absl::StrCat("mesos ", kVersion)};
    writer.StartObject();
    writer.Key("version").String(kVersion);
    writer.Key("masters").StartObject();
    for (const cli::Testimony& testimony : testimonies) {
      const std::string address = testimony.master.ToString();
      const auto version = testimony.quorum["master"]["version"].AsString();
      if (testimony.status.ok()) writer.Key(address).String(version);
      lines.push_back(absl::StrCat(
          "master ",
          testimony.status.ok() ? version : testimony.status.message(), ", ",
          address));
    }
    writer.EndObject().EndObject();
    Print(flags_.json ? cli::Lines{text} : lines);
    End(kOk);
  }

  void AskLeader(const Testimonies& testimonies) {
    const cli::Testimony* leader = cli::LeaderOf(testimonies);
    if (leader == nullptr) {
      Fail(flags_, cli::NoLeader(testimonies).message());
    }
    Warn(testimonies, *leader);
    connection_ = std::make_unique<http::ClientConnection>(
        environment_.clock(), environment_.network(), leader->master,
        http::ClientOptions{.connect_timeout = flags_.timeout,
                            .response_timeout = flags_.timeout,
                            .max_body_bytes = 1 << 30});
    http::Request request;
    request.method = "POST";
    request.target = "/api/v1";
    request.headers = {{"Content-Type", "application/json"},
                       {"Accept", "application/x-protobuf"}};
    request.body = R"({"type":"GET_STATE"})";
    connection_->Send(std::move(request),
                      [this](const auto& response) { ShowState(response); });
  }

  // Of what is shown may be another's.
  static void Warn(const Testimonies& testimonies,
                   const cli::Testimony& leader) {
    const auto disagreements = cli::DisagreementsOf(testimonies);
    if (disagreements.empty()) return;
    for (const cli::Problem& problem : disagreements) {
      for (const std::string& line : cli::LinesOf(problem)) {
        std::fprintf(stderr, "mesos: %s\n", line.c_str());
      }
    }
    std::fprintf(stderr,
                 "mesos: this is what %s says, which leads cluster %s\n",
                 leader.master.ToString().c_str(),
                 std::string(leader.quorum["cluster_id"].AsString()).c_str());
  }

  [[noreturn]] void ShowState(const absl::StatusOr<http::Response>& response) {
    const std::string leader = connection_->server().ToString();
    if (!response.ok()) {
      Fail(flags_, absl::StrCat("the leading master at ", leader, ": ",
                                response.status().message()));
    }
    if (response->status != 200) {
      Fail(flags_,
           absl::StrCat("the master at ", leader, " leads no more; try again (",
                        response->status, " ", response->body, ")"));
    }
    mesos::v1::master::Response reply;
    if (auto parsed =
            api::ParseBody(api::MediaType::kProtobuf, response->body, &reply);
        !parsed.ok()) {
      Fail(flags_, absl::StrCat("the leading master at ", leader,
                                " answers something else: ", parsed.message()));
    }
    Show(reply.get_state());
    End(kOk);
  }

  void Show(const cli::State& state) {
    const io::WallTime now = environment_.clock().WallNow();
    if (name_ == "agents") {
      return flags_.json ? Print({cli::AgentsJson(state)})
                         : Print(cli::AgentsLines(state, now));
    }
    if (name_ == "tasks") {
      return flags_.json ? Print({cli::TasksJson(state)})
                         : Print(cli::TasksLines(state, flags_.all, now));
    }
    return flags_.json ? Print({cli::FrameworksJson(state)})
                       : Print(cli::FrameworksLines(state, flags_.all, now));
  }

  void AskLog(const std::vector<io::Endpoint>& masters) {
    log_ = std::make_unique<log_tool::StatusQuestion>(
        environment_, masters,
        [this](const absl::StatusOr<log::LogStatusProto>& status) {
          if (!status.ok()) Fail(flags_, status.status().message());
          std::string text;
          json::JsonWriter writer(&text);
          writer.StartObject();
          log_tool::WriteStatus(*status, writer);
          writer.EndObject();
          Print(flags_.json ? cli::Lines{text}
                            : log_tool::StatusLines(*status));
          End(kOk);
        });
  }

  const std::string name_;
  const Flags flags_;
  const election::MasterLocation location_;
  prod::EventLoop loop_;
  prod::Environment environment_;
  std::unique_ptr<cli::ZooKeeperMasters> zookeeper_;
  std::unique_ptr<cli::Survey> survey_;
  std::unique_ptr<http::ClientConnection> connection_;
  std::unique_ptr<log_tool::StatusQuestion> log_;
};

// The first word, and what is left.
std::string TakeCommand(std::vector<std::string>* arguments) {
  const auto word = std::find_if(
      arguments->begin(), arguments->end(),
      [](const std::string& one) { return !absl::StartsWith(one, "-"); });
  if (word == arguments->end()) return "";
  std::string command = *word;
  arguments->erase(word);
  return command;
}

void LoadFlags(std::vector<std::string> arguments, Flags* values) {
  flags::FlagSet flags({.name = "mesos", .version = kVersion});
  flags.Add(&values->master, "master", "");
  flags.Add(&values->timeout, "timeout", "");
  flags.Add(&values->json, "json", "");
  flags.Add(&values->all, "all", "");
  // Only where the masters are: agents and masters have more there.
  std::map<std::string, std::string> environment = prod::EnvironmentVariables();
  std::map<std::string, std::string> relevant;
  if (auto master = environment.find("MESOS_MASTER");
      master != environment.end()) {
    relevant.insert(*master);
  }
  const absl::Status loaded = flags.Load(
      {.arguments = std::move(arguments), .environment = std::move(relevant)});
  if (!loaded.ok()) FailUsage(loaded.message());
  if (flags.help_requested()) {
    std::fputs(kUsage, stdout);
    End(kOk);
  }
  if (flags.version_requested()) {
    std::fputs(flags.VersionText().c_str(), stdout);
    End(kOk);
  }
  if (values->timeout <= io::Duration::zero()) {
    FailUsage("--timeout must be more than 0");
  }
}

[[noreturn]] void Main(std::vector<std::string> arguments) {
  const std::string command = TakeCommand(&arguments);
  Flags flags;
  LoadFlags(std::move(arguments), &flags);
  const std::vector<std::string> commands = {"quorum",     "masters", "agents",
                                             "frameworks", "tasks",   "log",
                                             "version",    "help"};
  if (command.empty()) {
    std::fputs(kUsage, stderr);
    End(kUsageError);
  }
  if (std::count(commands.begin(), commands.end(), command) == 0) {
    FailUsage(absl::StrCat("there is no command '", command, "'"));
  }
  if (command == "help") {
    std::fputs(kUsage, stdout);
    End(kOk);
  }
  auto location = options::ResolveMasters(flags.master, flags.timeout);
  if (absl::IsNotFound(location.status())) {
    Fail(flags, absl::StrCat("--master: ", location.status().message()));
  }
  if (!location.ok()) {
    FailUsage(absl::StrCat("--master: ", location.status().message()));
  }
  prod::InitLogging("mesos", {.logging_level = "ERROR"});
  Command(command, flags, *std::move(location)).Run();
}

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) { quorate::Main({argv + 1, argv + argc}); }
