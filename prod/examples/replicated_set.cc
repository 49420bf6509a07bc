// A small program over the replicated log, as a library: a set of words that
// several processes share.
//
//   replicated_set --path=/tmp/a --listen=127.0.0.1:7001
//                  --peers=127.0.0.1:7002,127.0.0.1:7003 --quorum=2
//
// Start three of them, each with its own path and port. Each line on standard
// input is a word; it is added when this process leads, and waits until it
// does. Every process follows, and prints a word when it is in the set for
// good. At the end of its input a process goes on following. When the log has
// grown, the leader writes the whole set into it and gives up what is below.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/log/log_node.h"
#include "core/wire/port.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/common.h"
#include "prod/program.h"

namespace quorate {
namespace {

// Words under way at a time.
constexpr size_t kInFlight = 100;
constexpr io::Duration kRetry = std::chrono::milliseconds(100);

class ReplicatedSet final : public log::LogNode::Listener {
 public:
  // After so many entries the leader writes a snapshot.
  ReplicatedSet(io::Environment& environment, const log::LogOptions& options,
                uint64_t snapshot_every)
      : clock_(environment.clock()),
        snapshot_every_(snapshot_every),
        node_(environment, options, this) {}

  log::LogNode& node() { return node_; }

  // When all words that it was given have been added.
  void set_on_idle(std::function<void()> on_idle) {
    on_idle_ = std::move(on_idle);
  }

  // Entries are "+word", or "=" and words with '\n' between them, of which no
  // word has one: the set as it was when the leader wrote that. Words that were
  // under way meanwhile have come first, so that it only adds, too.
  void OnCommitted(uint64_t position, absl::string_view payload) override {
    const bool snapshot = absl::ConsumePrefix(&payload, "=");
    if (!snapshot && !absl::ConsumePrefix(&payload, "+")) return;
    for (absl::string_view word : absl::StrSplit(payload, '\n')) {
      if (word.empty() || !words_.emplace(word).second) continue;
      std::printf("%s\n", std::string(word).c_str());
    }
    std::fflush(stdout);
    if (snapshot) snapshot_ = position;
    if (leading_ && position >= snapshot_ + snapshot_every_) {
      WriteSnapshot(position);
    }
  }

  void OnLeading(uint64_t epoch) override {
    std::fprintf(stderr, "leading in epoch %llu\n",
                 static_cast<unsigned long long>(epoch));
    leading_ = true;
    AddNext();
  }

  void OnLostLeadership(const absl::Status& reason) override {
    std::fprintf(stderr, "following: %s\n",
                 std::string(reason.message()).c_str());
    leading_ = false;
  }

  void Add(const std::string& word) { waiting_.push_back(word); }

  // Goes on with the words that wait.
  void AddNext() {
    while (leading_ && !paused_ && !waiting_.empty() &&
           in_flight_ < kInFlight) {
      std::string word = std::move(waiting_.front());
      waiting_.pop_front();
      ++in_flight_;
      node_.Append("+" + word, [this, word](absl::StatusOr<uint64_t> added) {
        OnAnswer(word, added.status());
      });
    }
    if (waiting_.empty() && in_flight_ == 0 && on_idle_) on_idle_();
  }

 private:
  // Of what was delivered so far; of this position there may be more.
  void WriteSnapshot(uint64_t position) {
    snapshot_ = position;
    node_.Append("=" + absl::StrJoin(words_, "\n"),
                 [this, position](absl::StatusOr<uint64_t> written) {
                   // What came between the two is not in it: it stays.
                   if (written.ok()) node_.Truncate(position, [](auto) {});
                 });
  }

  void OnAnswer(const std::string& word, const absl::Status& status) {
    --in_flight_;
    if (absl::IsInvalidArgument(status)) {
      std::fprintf(stderr, "a word of %zu bytes was not added: %s\n",
                   word.size(), std::string(status.message()).c_str());
    } else if (!status.ok()) {
      // Maybe it was added: twice is as good as once.
      waiting_.push_back(word);
      paused_ = true;
      retry_ = clock_.RunAfter(kRetry, [this] {
        paused_ = false;
        AddNext();
      });
      return;
    }
    AddNext();
  }

  io::Clock& clock_;
  const uint64_t snapshot_every_;
  std::set<std::string> words_;
  uint64_t snapshot_ = 0;
  bool leading_ = false;
  std::deque<std::string> waiting_;
  size_t in_flight_ = 0;
  bool paused_ = false;
  std::function<void()> on_idle_;
  io::Timer retry_;
  log::LogNode node_;
};

// Gives the lines of standard input, a piece at a time, to the set. A lane,
// because epoll knows no regular files.
class Input {
 public:
  Input(io::Environment& environment, ReplicatedSet& words)
      : words_(words), lane_(environment.NewLane("input")) {
    words_.set_on_idle([this] { Read(); });
    Read();
  }

 private:
  void Read() {
    if (reading_ || ended_) return;
    reading_ = true;
    lane_->Run(
        [this] {
          char buffer[4096];
          const ssize_t size = read(STDIN_FILENO, buffer, sizeof(buffer));
          piece_.assign(buffer, size > 0 ? static_cast<size_t>(size) : 0);
        },
        [this] { OnPiece(); });
  }

  void OnPiece() {
    ended_ = piece_.empty();
    // The last line may lack its end.
    typed_ += ended_ ? "\n" : piece_;
    for (size_t end; (end = typed_.find('\n')) != std::string::npos;) {
      if (end > 0) words_.Add(typed_.substr(0, end));
      typed_.erase(0, end + 1);
    }
    reading_ = false;
    // Not at once: what waits for a leader must not fill the memory.
    words_.AddNext();
  }

  ReplicatedSet& words_;
  bool reading_ = false;
  bool ended_ = false;
  std::string piece_;  // of the lane, while reading
  std::string typed_;
  std::unique_ptr<io::Lane> lane_;
};

struct Flags {
  std::string path;
  std::string listen;
  std::string peers;
  int32_t quorum = 1;
  uint64_t snapshot_every = 1000;
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
  set.Add(&flags.snapshot_every, "snapshot_every",
          "Entries after which the leader writes the whole set.");
  prod::LoadFlags(argc, argv, &set);
  prod::InitLogging("replicated_set", {.logging_level = "ERROR"});

  prod::EventLoop loop;
  prod::Environment environment(&loop, {});
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) {
    environment.Exit(io::kExitOk, "told to stop");
  });
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
  ReplicatedSet words(environment, options, flags.snapshot_every);
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

  Input input(environment, words);
  environment.Run();
}

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) { return quorate::Main(argc, argv); }
