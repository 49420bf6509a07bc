#include "sim/network.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/machine.h"
#include "sim/stream.h"

namespace quorate::sim {
namespace {

constexpr char kAnyIp[] = "0.0.0.0";
constexpr io::Duration kLoopbackLatency = std::chrono::microseconds(20);
constexpr uint16_t kFirstFreePort = 40000;

}  // namespace

// The network of one process.
class ProcessNetwork final : public io::Network {
 public:
  ProcessNetwork(sim::Network& network, Process& process)
      : network_(network), process_(process) {}

  absl::StatusOr<std::unique_ptr<io::Acceptor>> Listen(
      const io::Endpoint& at, OnAccepted on_accepted) override;
  std::unique_ptr<io::Connector> Connect(const io::Endpoint& to,
                                         io::Duration timeout,
                                         OnConnected on_connected) override;

 private:
  class Bound;
  class Attempt;

  sim::Network& network_;
  Process& process_;
};

class ProcessNetwork::Bound final : public io::Acceptor {
 public:
  Bound(sim::Network& network, io::Endpoint at)
      : network_(network), at_(std::move(at)) {}
  ~Bound() override { network_.listening_.erase(at_); }
  io::Endpoint local() const override { return at_; }

 private:
  sim::Network& network_;
  const io::Endpoint at_;
};

absl::StatusOr<std::unique_ptr<io::Acceptor>> ProcessNetwork::Listen(
    const io::Endpoint& at, OnAccepted on_accepted) {
  auto address = io::ParseEndpoint(at.ToString());
  if (!address.ok()) return address.status();
  const std::string& ip = process_.host().ip();
  if (at.ip != ip && at.ip != kAnyIp) {
    return absl::InvalidArgumentError(
        absl::StrCat(at.ip, " is not an address of ", process_.host().name()));
  }
  // A host has one address: any of it is that one.
  io::Endpoint bound{ip, at.port};
  while (bound.port == 0 || (at.port == 0 && network_.FindListening(bound))) {
    bound.port = network_.NextPort();
  }
  if (network_.FindListening(bound) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrCat(bound.ToString(), " is in use"));
  }
  network_.listening_[bound] = {&process_, std::move(on_accepted)};
  if (at.port != 0) network_.owners_.emplace(bound, process_.name());
  return std::make_unique<Bound>(network_, bound);
}

// SYN there, the connection is made, the answer back.
class ProcessNetwork::Attempt final : public io::Connector {
 public:
  Attempt(sim::Network& network, Process& process, const io::Endpoint& to,
          io::Duration timeout, OnConnected on_connected)
      : network_(network),
        process_(process),
        to_(to),
        on_connected_(std::move(on_connected)) {
    auto address = io::ParseEndpoint(to.ToString());
    if (!address.ok()) {
      timeout_ = process_.clock().RunAfter(
          io::Duration::zero(),
          [this, status = address.status()] { Finish(status); });
      return;
    }
    timeout_ = process_.clock().RunAfter(timeout, [this] {
      Finish(absl::DeadlineExceededError(
          absl::StrCat("connecting to ", to_.ToString(), ": timed out")));
    });
    network_.world().After(SynLatency(process_.host().ip(), to.ip), "syn",
                           [this, life = life_] {
                             if (*life) OnSyn();
                           });
  }
  ~Attempt() override { *life_ = false; }

 private:
  io::Duration SynLatency(const std::string& from, const std::string& to) {
    return network_.DrawLatency(network_.link(from, to), 0, Link::kRepeatSyn);
  }

  bool Connected() const {
    const Host* target = network_.Find(to_.ip);
    const std::string& ip = process_.host().ip();
    return target != nullptr && target->up() && network_.Reaches(ip, to_.ip) &&
           network_.Reaches(to_.ip, ip);
  }

  void OnSyn() {
    if (!Connected()) return;  // Until the timeout.
    sim::Network::Listening* listening = network_.FindListening(to_);
    if (listening == nullptr) {
      return Answer([this] {
        Finish(absl::UnavailableError(
            absl::StrCat("connecting to ", to_.ToString(), ": refused")));
      });
    }
    auto stream = std::make_shared<Stream>(
        network_, &process_, listening->process,
        io::Endpoint{process_.host().ip(), network_.NextPort()}, to_);
    network_.Remember(stream);
    const auto owner = network_.owners_.find(to_);
    if (owner != network_.owners_.end() &&
        owner->second != listening->process->name()) {
      network_.world().Took(Fault::kAddressReused, process_.name());
    }
    // The kernel accepts, also for a process that is paused.
    listening->process->Later(
        io::Duration::zero(), "accept",
        [&network = network_, to = to_, stream] {
          std::unique_ptr<io::Connection> accepted = stream->MakeEnd(1);
          sim::Network::Listening* listening = network.FindListening(to);
          if (listening == nullptr) return;
          // A copy: the callback may close the port, and itself with it.
          const io::Network::OnAccepted on_accepted = listening->on_accepted;
          on_accepted(std::move(accepted));
        });
    Answer([this, stream] { Finish(stream->MakeEnd(0)); });
  }

  void Answer(std::function<void()> answer) {
    process_.Later(SynLatency(to_.ip, process_.host().ip()), "syn ack",
                   [life = life_, answer = std::move(answer)] {
                     if (*life) answer();
                   });
  }

  // The callback may destroy this.
  void Finish(absl::StatusOr<std::unique_ptr<io::Connection>> result) {
    *life_ = false;
    timeout_.Cancel();
    OnConnected done = std::move(on_connected_);
    done(std::move(result));
  }

  sim::Network& network_;
  Process& process_;
  const io::Endpoint to_;
  OnConnected on_connected_;
  io::Timer timeout_;
  std::shared_ptr<bool> life_ = std::make_shared<bool>(true);
};

std::unique_ptr<io::Connector> ProcessNetwork::Connect(
    const io::Endpoint& to, io::Duration timeout, OnConnected on_connected) {
  return std::make_unique<Attempt>(network_, process_, to, timeout,
                                   std::move(on_connected));
}

Network::Network(World& world, NetworkOptions options)
    : world_(world),
      options_(options),
      random_(world.NewRandom("network")),
      next_port_(kFirstFreePort) {
  world.network = this;
}

Network::~Network() { world_.network = nullptr; }

void Network::Register(Host* host) {
  CHECK(hosts_.emplace(host->ip(), host).second)
      << host->name() << " has an address that is another's: " << host->ip();
}

size_t Network::LongestQueue() const {
  size_t longest = 0;
  for (const std::weak_ptr<Stream>& one : streams_) {
    const std::shared_ptr<Stream> stream = one.lock();
    if (stream != nullptr) longest = std::max(longest, stream->LongestQueue());
  }
  return longest;
}

Host* Network::Find(const std::string& ip) const {
  auto host = hosts_.find(ip);
  return host == hosts_.end() ? nullptr : host->second;
}

Link& Network::link(const std::string& from, const std::string& to) {
  const auto found = links_.find(Ends(from, to));
  if (found != links_.end()) return found->second;
  return links_
      .emplace(std::piecewise_construct, std::forward_as_tuple(from, to),
               std::forward_as_tuple(world_, from, to))
      .first->second;
}

void Network::Cut(const std::string& from, const std::string& to) {
  link(from, to).Cut();
}

void Network::Flap(const std::string& from, const std::string& to) {
  link(from, to).Flap();
}

void Network::Mend(const std::string& from, const std::string& to) {
  link(from, to).Mend();
}

void Network::MendAll() {
  bool any = false;
  for (auto& [ends, link] : links_) any = link.Heal() || any;
  if (any) world_.Note("network", "is whole again", uint64_t{0});
}

bool Network::Reaches(const std::string& from, const std::string& to) const {
  const auto found = links_.find(Ends(from, to));
  return found == links_.end() || !found->second.cut();
}

void Network::SetLink(const std::string& from, const std::string& to,
                      const LinkOptions& options) {
  link(from, to).SetOptions(options);
}

void Network::Clog(const std::string& from, const std::string& to,
                   io::Duration time) {
  link(from, to).Clog(time);
}

void Network::LoseFirstBytes(const std::string& from, const std::string& to) {
  link(from, to).LoseFirstBytes();
}

void Network::ClearLinks() {
  bool late = false;
  for (auto& [ends, link] : links_) late = link.Clear() || late;
  if (!late) return;
  for (const auto& stream : LiveStreams()) stream->Hurry();
}

int Network::ResetConnections(const std::string& a, const std::string& b) {
  int reset = 0;
  for (const auto& stream : LiveStreams()) {
    if (stream->EndAt(a, b) >= 0 && stream->Reset()) ++reset;
  }
  return reset;
}

int Network::HalfOpenConnections(const std::string& forgets,
                                 const std::string& other) {
  int forgotten = 0;
  for (const auto& stream : LiveStreams()) {
    const int end = stream->EndAt(forgets, other);
    if (end >= 0 && stream->Forget(end)) ++forgotten;
  }
  return forgotten;
}

io::Duration Network::DrawLatency(Link& link, size_t bytes,
                                  io::Duration repeat) {
  if (link.loopback()) return kLoopbackLatency;
  io::Duration latency =
      options_.latency + Exponential(options_.jitter, *random_);
  if (options_.spike_probability > 0 &&
      random_->Fraction() < options_.spike_probability) {
    latency += random_->Between(io::Duration::zero(), options_.spike);
    world_.Took(Fault::kLatencySpike, link.from());
  }
  return latency + link.Delay(bytes, repeat);
}

std::optional<io::Instant> Network::LastStall(const std::string& ip) const {
  const auto last = last_stalls_.find(ip);
  if (last == last_stalls_.end()) return std::nullopt;
  return last->second;
}

void Network::NoteStall(const std::string& one, const std::string& other) {
  last_stalls_[one] = last_stalls_[other] = world_.now();
}

uint16_t Network::NextPort() {
  const uint16_t port = next_port_++;
  if (next_port_ == 0) next_port_ = kFirstFreePort;
  return port;
}

void Network::Remember(const std::shared_ptr<Stream>& stream) {
  streams_.push_back(stream);
  if (streams_.size() < streams_to_sweep_) return;
  streams_.erase(
      std::remove_if(streams_.begin(), streams_.end(),
                     [](const auto& known) { return known.expired(); }),
      streams_.end());
  streams_to_sweep_ = 2 * streams_.size() + 100;
}

std::vector<std::shared_ptr<Stream>> Network::LiveStreams() {
  std::vector<std::shared_ptr<Stream>> live;
  for (const auto& known : streams_) {
    if (auto stream = known.lock()) live.push_back(std::move(stream));
  }
  return live;
}

std::unique_ptr<io::Network> Network::For(Process* process) {
  return std::make_unique<ProcessNetwork>(*this, *process);
}

Network::Listening* Network::FindListening(const io::Endpoint& at) {
  auto found = listening_.find(at);
  return found == listening_.end() ? nullptr : &found->second;
}

}  // namespace quorate::sim
