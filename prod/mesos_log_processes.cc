// mesos-log's processes: a replica, and one that measures.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/log/log_node.h"
#include "core/wire/port.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/mesos_log.h"

namespace quorate::mesos_log {
namespace {

using json::JsonWriter;

class Replica : public log::LogNode::Listener {
 public:
  Replica(io::Environment& environment, const Flags& flags,
          const io::Endpoint& listen, const io::Endpoint& advertise,
          std::vector<io::Endpoint> peers, std::FILE* out = stdout)
      : environment_(environment),
        out_(out),
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

  void Say(const std::string& line) {
    std::fprintf(out_, "%s\n", line.c_str());
    std::fflush(out_);
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

  std::FILE* const out_;
  log::LogNode node_;
  std::unique_ptr<wire::Port> port_;
};

// Keeps appends in flight while it leads, and measures them. Standard output is
// for the result.
class Benchmark final : public Replica {
 public:
  Benchmark(io::Environment& environment, const Flags& flags,
            const io::Endpoint& listen, const io::Endpoint& advertise,
            std::vector<io::Endpoint> peers)
      : Replica(environment, flags, listen, advertise, std::move(peers),
                stderr),
        flags_(flags),
        payload_(flags.size, 'x') {
    SayWhy();
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
      why_.Cancel();
      // The first appends fill caches and files; they do not count.
      begin_ = environment_.clock().RunAfter(std::chrono::milliseconds(500),
                                             [this] { Begin(); });
      for (uint64_t i = 0; i < flags_.outstanding; ++i) Append();
    });
  }

  // Each second, what it waits for.
  void SayWhy() {
    why_ = environment_.clock().RunAfter(std::chrono::seconds(1), [this] {
      Say(absl::StrCat("waiting: ", node().status().explanation));
      SayWhy();
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
  io::Timer why_;
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
  // What others would be told.
  if (advertise->ip == "0.0.0.0") {
    Finish(absl::InvalidArgumentError(absl::StrCat(
        "nobody can reach a replica at ", advertise->ToString(),
        ": say with --advertise=IP:PORT where the others find it")));
  }
  auto peers = Endpoints(flags.peers);
  if (!peers.ok()) Finish(peers.status());
  prod::EventLoop loop;
  prod::Environment environment(&loop, {});
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) {
    environment.Exit(io::kExitOk, "told to stop");
  });
  Program program(environment, flags, *listen, *advertise, *std::move(peers));
  environment.Run();
}

}  // namespace

absl::Status RunReplica(const Flags& flags) { RunProcess<Replica>(flags); }
absl::Status RunBenchmark(const Flags& flags) { RunProcess<Benchmark>(flags); }

}  // namespace quorate::mesos_log
