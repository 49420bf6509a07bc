// A small program over the replicated log, as a library: a set of words that
// several processes share.
//
//   replicated_set --path=/tmp/a --listen=127.0.0.1:7001
//                  --peers=127.0.0.1:7002,127.0.0.1:7003 --quorum=2
//
// Start three of them, each with its own path and port. Each line on standard
// input is a word: the process that leads adds it. Every process follows, and
// prints a word when it is in the set for good. When the log has grown, the
// leader writes the whole set into it and gives up what is below.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/log/log_node.h"
#include "core/wire/port.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/common.h"
#include "prod/program.h"

namespace quorate {
namespace {

// Entries after which the leader writes a snapshot.
constexpr uint64_t kSnapshotEvery = 1000;

class ReplicatedSet final : public log::LogNode::Listener {
 public:
  ReplicatedSet(io::Environment& environment, const log::LogOptions& options)
      : node_(environment, options, this) {}

  log::LogNode& node() { return node_; }

  // Entries are "+word", or "=word,word,..." for the whole set.
  void OnCommitted(uint64_t position, absl::string_view payload) override {
    if (payload[0] == '=') {
      words_ = absl::StrSplit(payload.substr(1), ',', absl::SkipEmpty());
      if (leading_) GiveUpBelow(position);
      return;
    }
    if (words_.insert(std::string(payload.substr(1))).second) {
      std::printf("%s\n", std::string(payload.substr(1)).c_str());
      std::fflush(stdout);
    }
    if (leading_ && position >= snapshot_ + kSnapshotEvery) {
      snapshot_ = position;
      node_.Append("=" + absl::StrJoin(words_, ","), [](auto) {});
    }
  }

  // Entries were given up before this process had them: a snapshot follows.
  void OnBase(uint64_t base) override {
    words_.clear();
    snapshot_ = base;
  }

  void OnLeading(uint64_t epoch) override {
    std::fprintf(stderr, "leading in epoch %llu\n",
                 static_cast<unsigned long long>(epoch));
    leading_ = true;
  }

  void OnLostLeadership(const absl::Status& reason) override {
    std::fprintf(stderr, "following: %s\n",
                 std::string(reason.message()).c_str());
    leading_ = false;
  }

  void Add(const std::string& word) {
    node_.Append("+" + word, [word](absl::StatusOr<uint64_t> position) {
      if (position.ok()) return;
      std::fprintf(
          stderr, "'%s' was not added, or it is not known whether: %s\n",
          word.c_str(), std::string(position.status().message()).c_str());
    });
  }

 private:
  void GiveUpBelow(uint64_t position) {
    node_.Truncate(position, [](auto) {});
  }

  std::set<std::string> words_;
  uint64_t snapshot_ = 0;
  bool leading_ = false;
  log::LogNode node_;
};

struct Flags {
  std::string path;
  std::string listen;
  std::string peers;
  int32_t quorum = 1;
};

std::vector<io::Endpoint> Endpoints(const std::string& list) {
  std::vector<io::Endpoint> endpoints;
  for (absl::string_view text : absl::StrSplit(list, ',', absl::SkipEmpty())) {
    auto endpoint = io::ParseEndpoint(text);
    if (!endpoint.ok()) {
      prod::FailUsage("replicated_set", endpoint.status().message());
    }
    endpoints.push_back(*endpoint);
  }
  return endpoints;
}

int Main(int argc, char** argv) {
  Flags flags;
  flags::FlagSet set({.name = "replicated_set",
                      .summary = "A set of words in a replicated log",
                      .synopsis = "replicated_set --path=... --listen=..."});
  set.Add(&flags.path, "path", "Where this replica keeps its log.").Required();
  set.Add(&flags.listen, "listen", "ip:port of this replica.").Required();
  set.Add(&flags.peers, "peers", "ip:port,... of the others.");
  set.Add(&flags.quorum, "quorum", "There are 2*quorum-1 replicas.");
  prod::LoadFlags(argc, argv, &set);
  prod::InitLogging("replicated_set", {.logging_level = "ERROR"});

  prod::EventLoop loop;
  prod::Environment environment(&loop, {});
  log::LogOptions options;
  options.directory = flags.path;
  options.quorum = flags.quorum;
  options.builtin_election = true;
  auto listen = io::ParseEndpoint(flags.listen);
  if (!listen.ok()) {
    prod::FailUsage("replicated_set", listen.status().message());
  }
  options.address = *listen;
  const std::vector<io::Endpoint> peers = Endpoints(flags.peers);
  ReplicatedSet words(environment, options);
  auto port = wire::OpenPort(
      environment.clock(), environment.network(), *listen,
      {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
       .on_link =
           [&](std::unique_ptr<wire::Link> link) {
             words.node().Accept(std::move(link));
           },
       .handshake =
           [&](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
         return words.node().MyHandshake();
       }});
  if (!port.ok()) prod::FailUsage("replicated_set", port.status().message());
  words.node().Start();
  words.node().SetPeers(peers);

  std::string typed;
  prod::FdWatch input(&loop, STDIN_FILENO, EPOLLIN, [&](uint32_t) {
    char buffer[4096];
    const ssize_t size = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (size <= 0) return environment.Exit(io::kExitOk, "end of input");
    typed.append(buffer, size);
    for (size_t end; (end = typed.find('\n')) != std::string::npos;) {
      if (end > 0) words.Add(typed.substr(0, end));
      typed.erase(0, end + 1);
    }
  });
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) {
    environment.Exit(io::kExitOk, "told to stop");
  });
  environment.Run();
}

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) { return quorate::Main(argc, argv); }
