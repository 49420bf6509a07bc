// mesos-log: looks at, runs and repairs replicas of the replicated log.

#include "prod/mesos_log.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/version.h"
#include "core/json/writer.h"
#include "core/log/log_node.h"
#include "core/log_tool/client.h"
#include "core/wire/port.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/common.h"
#include "prod/program.h"

namespace quorate::mesos_log {
namespace {

using json::JsonWriter;

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

// --- Running logs ---

absl::StatusOr<std::vector<io::Endpoint>> Endpoints(const std::string& text) {
  std::vector<io::Endpoint> endpoints;
  for (absl::string_view one : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    auto endpoint = io::ParseEndpoint(one);
    if (!endpoint.ok()) return endpoint.status();
    endpoints.push_back(*endpoint);
  }
  return endpoints;
}

class Asker {
 public:
  Asker(const Flags& flags, std::vector<io::Endpoint> servers)
      : flags_(flags),
        environment_(&loop_, {}),
        client_(environment_, {.servers = std::move(servers)}) {}

  [[noreturn]] void Status() {
    log::AdminRequest request;
    request.mutable_status();
    client_.Ask(std::move(request), [this](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      ShowStatus(reply->status());
      Finish(absl::OkStatus());
    });
    environment_.Run();
  }

  [[noreturn]] void Change(std::vector<std::string> add,
                           std::vector<std::string> remove) {
    log::AdminRequest request;
    request.mutable_status();
    client_.Ask(std::move(request), [this, add, remove](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      log::AdminRequest change;
      log::ChangeMembers& wanted = *change.mutable_change_members();
      wanted.set_bulk(flags_.bulk);
      wanted.set_reason("mesos-log members");
      for (const std::string& id : add) {
        wanted.add_add(Resolve(reply->status(), id));
      }
      for (const std::string& id : remove) {
        wanted.add_remove(Resolve(reply->status(), id));
      }
      // Not from inside the client's own callback.
      later_ = environment_.clock().RunAfter(
          io::Duration::zero(),
          [this, change = std::move(change)] { Send(change); });
    });
    environment_.Run();
  }

  [[noreturn]] void AppendLoop() {
    AppendNext();
    environment_.Run();
  }

 private:
  void Send(const log::AdminRequest& change) {
    client_.Ask(change, [this](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      if (reply->code() != 0) {
        return Finish(absl::Status(static_cast<absl::StatusCode>(reply->code()),
                                   reply->message()));
      }
      Show(flags_, [](JsonWriter& w) { w.Key("done").Bool(true); },
           {"Done. Members that were removed may be stopped now."});
      Finish(absl::OkStatus());
    });
  }

  void AppendNext() {
    log::AdminRequest request;
    request.set_append(std::string(flags_.size, 'x'));
    client_.Ask(std::move(request), [this](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      if (reply->has_position()) {
        // Seconds of the machine's monotonic clock.
        const double now = std::chrono::duration<double>(
                               environment_.clock().Now().time_since_epoch())
                               .count();
        Print(absl::StrFormat("%.6f position %d", now, reply->position()));
        std::fflush(stdout);
      }
      later_ = environment_.clock().RunAfter(io::Duration::zero(),
                                             [this] { AppendNext(); });
    });
  }

  // An id, or an unambiguous beginning of one that the replica knows.
  std::string Resolve(const log::LogStatusProto& status,
                      const std::string& prefix) {
    std::vector<std::string> found;
    if (absl::StartsWith(Hex(status.member_id()), prefix)) {
      found.push_back(status.member_id());
    }
    for (const auto& peer : status.peers()) {
      if (absl::StartsWith(Hex(peer.id()), prefix)) found.push_back(peer.id());
    }
    if (found.size() == 1) return found[0];
    const std::string bytes = absl::HexStringToBytes(prefix);
    if (found.empty() && bytes.size() == 16) return bytes;
    Finish(absl::InvalidArgumentError(absl::StrCat(
        found.empty() ? "no replica is known whose id begins with "
                      : "more than one replica has an id that begins with ",
        prefix, "; 'mesos-log members list' shows them")));
  }

  void ShowStatus(const log::LogStatusProto& status) {
    std::vector<std::string> lines = {
        absl::StrCat("cluster  ", Hex(status.cluster_id()), ", generation ",
                     status.generation()),
        absl::StrCat("leader   ",
                     status.leader().empty()
                         ? "none known"
                         : absl::StrCat(Hex(status.leader()), " ",
                                        status.leader_address()),
                     ", epoch ", status.epoch()),
        absl::StrCat("asked    ", Hex(status.member_id()), ", ", status.role(),
                     ", positions ", status.base(), " to ",
                     status.learned_upto())};
    if (!status.explanation().empty()) {
      lines.push_back(absl::StrCat("why      ", status.explanation()));
    }
    lines.push_back("");
    lines.push_back(absl::StrFormat("%-32s  %-8s %-12s %10s  %s", "ID", "VOTES",
                                    "STATE", "LEARNED", "ADDRESS"));
    const auto& members = status.config().members();
    const bool votes = std::any_of(
        members.begin(), members.end(),
        [&](const auto& member) { return member.id() == status.member_id(); });
    lines.push_back(absl::StrFormat(
        "%-32s  %-8s %-12s %10d  %s", Hex(status.member_id()),
        votes ? "yes" : "no", status.role(), status.learned_upto(), "(asked)"));
    for (const auto& peer : status.peers()) {
      lines.push_back(
          absl::StrFormat("%-32s  %-8s %-12s %10d  %s", Hex(peer.id()),
                          peer.member() ? "yes" : "no", peer.state(),
                          peer.learned_upto(), peer.address()));
    }
    Show(flags_, [&](JsonWriter& w) { StatusFields(status, w); }, lines);
  }

  static void StatusFields(const log::LogStatusProto& status, JsonWriter& w) {
    w.Key("cluster_id").String(Hex(status.cluster_id()));
    w.Key("generation").Uint(status.generation());
    w.Key("member_id").String(Hex(status.member_id()));
    w.Key("role").String(status.role());
    w.Key("explanation").String(status.explanation());
    w.Key("leader").String(Hex(status.leader()));
    w.Key("leader_address").String(status.leader_address());
    w.Key("epoch").Uint(status.epoch());
    w.Key("base").Uint(status.base());
    w.Key("learned_upto").Uint(status.learned_upto());
    w.Key("config_position").Uint(status.config_position());
    w.Key("members").StartArray();
    for (const auto& member : status.config().members()) {
      w.String(Hex(member.id()));
    }
    w.EndArray();
    w.Key("peers").StartArray();
    for (const auto& peer : status.peers()) {
      w.StartObject();
      w.Key("id").String(Hex(peer.id()));
      w.Key("address").String(peer.address());
      w.Key("member").Bool(peer.member());
      w.Key("state").String(peer.state());
      w.Key("learned_upto").Uint(peer.learned_upto());
      w.Key("declared_quorum").Int(peer.declared_quorum());
      w.EndObject();
    }
    w.EndArray();
    w.Key("metrics").StartObject();
    const std::map<std::string, double> metrics(status.metrics().begin(),
                                                status.metrics().end());
    for (const auto& [name, value] : metrics) w.Key(name).Double(value);
    w.EndObject();
  }

  const Flags flags_;
  prod::EventLoop loop_;
  prod::Environment environment_;
  log_tool::Client client_;
  io::Timer later_;
};

// --- Processes ---

class Replica : public log::LogNode::Listener {
 public:
  Replica(io::Environment& environment, const Flags& flags,
          const io::Endpoint& listen, const io::Endpoint& advertise,
          std::vector<io::Endpoint> peers)
      : environment_(environment),
        node_(environment, OptionsOf(flags, advertise), this) {
    auto port = wire::OpenPort(
        environment.clock(), environment.network(), listen,
        {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
         .on_link =
             [this](std::unique_ptr<wire::Link> link) {
               node_.Accept(std::move(link));
             },
         .handshake =
             [this](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
           return node_.MyHandshake();
         }});
    if (!port.ok()) Finish(port.status());
    port_ = *std::move(port);
    node_.Start();
    node_.SetPeers(peers);
    Say(absl::StrCat("listening on ", port_->local().ToString()));
  }

  static void Say(const std::string& line) {
    Print(line);
    std::fflush(stdout);
  }

  void OnCommitted(uint64_t, absl::string_view) override {}
  void OnLeading(uint64_t epoch) override {
    Say(absl::StrCat("leading in epoch ", epoch));
  }
  void OnLostLeadership(const absl::Status& reason) override {
    Say(absl::StrCat("following: ", reason.message()));
  }

  log::LogNode& node() { return node_; }

 protected:
  io::Environment& environment_;

 private:
  static log::LogOptions OptionsOf(const Flags& flags,
                                   const io::Endpoint& advertise) {
    log::LogOptions options;
    options.directory = flags.path;
    options.quorum = flags.quorum;
    options.auto_initialize = flags.initialize;
    options.builtin_election = flags.election;
    options.join_token = flags.join_token;
    options.address = advertise;
    return options;
  }

  log::LogNode node_;
  std::unique_ptr<wire::Port> port_;
};

// Keeps appends in flight while it leads, and measures them.
class Benchmark final : public Replica {
 public:
  Benchmark(io::Environment& environment, const Flags& flags,
            const io::Endpoint& listen, const io::Endpoint& advertise,
            std::vector<io::Endpoint> peers)
      : Replica(environment, flags, listen, advertise, std::move(peers)),
        flags_(flags),
        payload_(flags.size, 'x') {
    Elect();
  }

  void OnLostLeadership(const absl::Status& reason) override {
    Finish(absl::UnavailableError(
        absl::StrCat("leadership was lost: ", reason.message())));
  }

 private:
  // Until the others are there and the log is formed, this takes a while.
  void Elect() {
    node().Elect([this](absl::StatusOr<uint64_t> epoch) {
      if (!epoch.ok()) return Finish(epoch.status());
      // The first appends fill caches and files; they do not count.
      begin_ = environment_.clock().RunAfter(std::chrono::milliseconds(500),
                                             [this] { Begin(); });
      for (uint64_t i = 0; i < flags_.outstanding; ++i) Append();
    });
  }

  void Begin() {
    latencies_.clear();
    started_ = environment_.clock().Now();
    const auto time = std::chrono::duration_cast<io::Duration>(
        std::chrono::duration<double>(flags_.seconds));
    end_ = environment_.clock().RunAfter(time, [this] { End(); });
  }

  void Append() {
    const io::Instant sent = environment_.clock().Now();
    node().Append(payload_, [this, sent](absl::StatusOr<uint64_t> position) {
      if (!position.ok()) return Finish(position.status());
      const auto taken = environment_.clock().Now() - sent;
      latencies_.push_back(static_cast<uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(taken)
              .count()));
      Append();
    });
  }

  void End() {
    const double seconds =
        std::chrono::duration<double>(environment_.clock().Now() - started_)
            .count();
    if (latencies_.empty()) {
      Finish(absl::UnavailableError("no append was acknowledged"));
    }
    std::sort(latencies_.begin(), latencies_.end());
    const auto at = [this](double quantile) -> uint64_t {
      return latencies_[static_cast<size_t>(
          quantile * static_cast<double>(latencies_.size() - 1))];
    };
    const double rate = static_cast<double>(latencies_.size()) / seconds;
    Show(flags_,
         [&](JsonWriter& w) {
           w.Key("appends_per_s").Double(rate);
           w.Key("p50_us").Uint(at(0.5));
           w.Key("p99_us").Uint(at(0.99));
           w.Key("p999_us").Uint(at(0.999));
           w.Key("count").Uint(latencies_.size());
         },
         {absl::StrFormat("%.0f appends/s; p50 %d us, p99 %d us, p99.9 %d us",
                          rate, at(0.5), at(0.99), at(0.999))});
    Finish(absl::OkStatus());
  }

  const Flags flags_;
  const std::string payload_;
  std::vector<uint32_t> latencies_;
  io::Instant started_;
  io::Timer begin_;
  io::Timer end_;
};

template <typename Program>
[[noreturn]] void RunProcess(const Flags& flags) {
  auto listen = io::ParseEndpoint(flags.listen);
  if (!listen.ok()) Finish(listen.status());
  auto advertise =
      flags.advertise.empty() ? listen : io::ParseEndpoint(flags.advertise);
  if (!advertise.ok()) Finish(advertise.status());
  auto peers = Endpoints(flags.peers);
  if (!peers.ok()) Finish(peers.status());
  prod::InitLogging("mesos-log", {.logging_level = flags.logging_level});
  prod::EventLoop loop;
  prod::Environment environment(&loop, {});
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) {
    environment.Exit(io::kExitOk, "told to stop");
  });
  Program program(environment, flags, *listen, *advertise, *std::move(peers));
  environment.Run();
}

// --- Commands ---

void AddPath(Flags& flags, flags::FlagSet& set, bool required) {
  auto added = set.Add(&flags.path, "path", "The replica's directory.");
  if (required) added.Required();
}

void AddProcessFlags(Flags& flags, flags::FlagSet& set) {
  AddPath(flags, set, true);
  set.Add(&flags.quorum, "quorum", "The log should have 2*quorum-1 members.");
  set.Add(&flags.listen, "listen", "ip:port for other replicas.").Required();
  set.Add(&flags.advertise, "advertise",
          "ip:port at which others reach this one, if it is another.");
  set.Add(&flags.peers, "peers", "ip:port,... where others may be.");
  set.Add(&flags.election, "election",
          "Stand for leadership by itself, without being asked.");
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
  if (flags.server.empty()) return RunOfflineStatus(flags);
  auto servers = Endpoints(flags.server);
  if (!servers.ok()) return servers.status();
  Asker(flags, *std::move(servers)).Status();
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

std::vector<Command> ProcessCommands() {
  return {
      {"replica", "Runs a replica", AddProcessFlags,
       [](const Flags& f) -> absl::Status { RunProcess<Replica>(f); }},
      {"benchmark", "Measures appends",
       [](Flags& f, flags::FlagSet& s) {
         AddProcessFlags(f, s);
         s.Add(&f.size, "size", "Bytes of an append.");
         s.Add(&f.outstanding, "outstanding", "Appends in flight.");
         s.Add(&f.seconds, "seconds", "How long to measure.");
       },
       [](const Flags& f) -> absl::Status { RunProcess<Benchmark>(f); }},
      {"append-loop", "Appends through whoever leads",
       [](Flags& f, flags::FlagSet& s) {
         s.Add(&f.server, "servers", "ip:port,... of running replicas.")
             .Required();
         s.Add(&f.size, "size", "Bytes of an append.");
       },
       [](const Flags& f) -> absl::Status {
         auto servers = Endpoints(f.server);
         if (!servers.ok()) return servers.status();
         Asker(f, *std::move(servers)).AppendLoop();
       }},
  };
}

// members list | add ID | remove ID | replace OLD NEW: words before flags.
[[noreturn]] void RunMembers(std::vector<std::string> arguments) {
  std::vector<std::string> words;
  while (!arguments.empty() && !absl::StartsWith(arguments[0], "-")) {
    words.push_back(arguments[0]);
    arguments.erase(arguments.begin());
  }
  Flags flags;
  flags::FlagSet set({.name = "mesos-log members",
                      .summary = "Shows and changes the members of a log",
                      .synopsis = "mesos-log members list|add ID|remove ID|"
                                  "replace OLD NEW --server=IP:PORT",
                      .version = kVersion});
  set.Add(&flags.server, "server", "ip:port,... of running replicas.")
      .Required();
  set.Add(&flags.bulk, "bulk", "Allow several changes in one step.");
  set.Add(&flags.json, "json", "Print JSON.");
  absl::Status loaded = set.Load({.arguments = arguments});
  if (set.help_requested()) {
    std::fputs(set.HelpText().c_str(), stdout);
    std::exit(io::kExitOk);
  }
  if (!loaded.ok()) Finish(loaded);
  auto servers = Endpoints(flags.server);
  if (!servers.ok()) Finish(servers.status());
  const std::string verb = words.empty() ? "list" : words[0];
  const std::vector<std::string> ids(words.begin() + !words.empty(),
                                     words.end());
  Asker asker(flags, *std::move(servers));
  if (verb == "list" && ids.empty()) asker.Status();
  if (verb == "add" && !ids.empty()) asker.Change(ids, {});
  if (verb == "remove" && !ids.empty()) asker.Change({}, ids);
  if (verb == "replace" && ids.size() == 2) asker.Change({ids[1]}, {ids[0]});
  Finish(absl::InvalidArgumentError(
      "say: members list, add ID, remove ID, or replace OLD NEW"));
}

int Main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  std::vector<std::string> arguments(argv + std::min(argc, 2), argv + argc);
  if (name == "members") RunMembers(std::move(arguments));
  std::vector<Command> commands = DirectoryCommands();
  for (Command& command : ProcessCommands()) {
    commands.push_back(std::move(command));
  }
  for (const Command& command : commands) {
    if (name != command.name) continue;
    Flags flags;
    flags::FlagSet set(
        {.name = absl::StrCat("mesos-log ", name),
         .summary = command.summary,
         .synopsis = absl::StrCat("mesos-log ", name, " [flags]"),
         .version = kVersion});
    command.add_flags(flags, set);
    set.Add(&flags.json, "json", "Print JSON.");
    absl::Status loaded = set.Load({.arguments = std::move(arguments)});
    if (set.help_requested()) {
      std::fputs(set.HelpText().c_str(), stdout);
      return io::kExitOk;
    }
    if (!loaded.ok()) Finish(loaded);
    for (std::string* path : {&flags.path, &flags.from, &flags.to}) {
      *path = AbsolutePath(*path);
    }
    Finish(command.run(flags));
  }
  const bool asked = name == "--help" || name == "help";
  std::fputs(kUsage, asked ? stdout : stderr);
  return asked ? io::kExitOk : io::kExitFailure;
}

}  // namespace
}  // namespace quorate::mesos_log

int main(int argc, char** argv) { return quorate::mesos_log::Main(argc, argv); }
