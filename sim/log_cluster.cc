#include "sim/log_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/wire/port.h"

namespace quorate::sim {
namespace {

constexpr uint16_t kPort = 5050;

}  // namespace

class LogReplica final : public Program, public log::LogNode::Listener {
 public:
  LogReplica(io::Environment& environment, log::LogOptions options,
             const std::vector<io::Endpoint>& peers)
      : node_(environment, options, this) {
    auto port = wire::OpenPort(
        environment.clock(), environment.network(), options.address,
        {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
         .on_link =
             [this](std::unique_ptr<wire::Link> link) {
               node_.Accept(std::move(link));
             },
         .handshake =
             [this](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
           return node_.MyHandshake();
         }});
    if (!port.ok()) {
      environment.Exit(io::kExitFailure, port.status().message());
      return;
    }
    port_ = *std::move(port);
    node_.Start();
    node_.SetPeers(peers);
  }

  void OnCommitted(uint64_t position, absl::string_view) override {
    committed = position;
  }
  void OnLostLeadership(const absl::Status&) override { electing = false; }

  log::LogNode& node() { return node_; }
  bool electing = false;
  uint64_t committed = 0;

 private:
  log::LogNode node_;
  std::unique_ptr<wire::Port> port_;
};

LogCluster::LogCluster(World& world, int replicas)
    : world_(world), network_(world, {}), agreement_(world) {
  for (int i = 0; i < replicas; ++i) {
    hosts_.push_back(std::make_unique<Host>(world, network_,
                                            absl::StrCat("replica", i),
                                            absl::StrCat("10.0.0.", i + 1)));
    processes_.push_back(nullptr);
  }
  for (int i = 0; i < replicas; ++i) Start(i);
}

LogCluster::~LogCluster() = default;

bool LogCluster::up(int i) const {
  return processes_[i] != nullptr && processes_[i]->alive();
}

void LogCluster::Start(int i) {
  Host& host = *hosts_[i];
  host.Boot();
  log::LogOptions options;
  options.directory = "/var/lib/log";
  options.quorum = size() / 2 + 1;
  options.address = {host.ip(), kPort};
  options.observer = agreement_.Observe(host.name());
  std::vector<io::Endpoint> peers;
  for (const auto& peer : hosts_) peers.push_back({peer->ip(), kPort});
  processes_[i] =
      &host.Start(host.name(), [options, peers](io::Environment& environment) {
        return std::make_unique<LogReplica>(environment, options, peers);
      });
}

void LogCluster::Cut(int i, int j) {
  network_.Cut(hosts_[i]->ip(), hosts_[j]->ip());
  network_.Cut(hosts_[j]->ip(), hosts_[i]->ip());
}

void LogCluster::HealAll() {
  network_.MendAll();
  for (int i = 0; i < size(); ++i) {
    processes_[i]->DieAtDiskCall(0, false);
    processes_[i]->Resume();
    if (!up(i)) Start(i);
  }
}

log::LogNode* LogCluster::node(int i) {
  return up(i) ? &static_cast<LogReplica*>(processes_[i]->program())->node()
               : nullptr;
}

void LogCluster::Elect(int i) {
  if (!up(i) || processes_[i]->paused()) return;
  processes_[i]->Run([process = processes_[i]] {
    auto& replica = *static_cast<LogReplica*>(process->program());
    if (std::exchange(replica.electing, true)) return;
    replica.node().Elect([](absl::StatusOr<uint64_t>) {});
  });
}

std::vector<int> LogCluster::Leaders() {
  std::vector<int> leaders;
  for (int i = 0; i < size(); ++i) {
    log::LogNode* replica = node(i);
    if (replica != nullptr &&
        replica->status().state == log::LogStatus::State::kLeading) {
      leaders.push_back(i);
    }
  }
  return leaders;
}

void LogCluster::Append(int i) {
  if (!up(i) || processes_[i]->paused()) return;
  const std::string payload = absl::StrCat("payload-", next_payload_++, ".");
  processes_[i]->Run([this, i, payload] {
    node(i)->Append(payload, [this, payload](absl::StatusOr<uint64_t> at) {
      if (at.ok()) agreement_.Acknowledged(*at, payload);
    });
  });
}

bool LogCluster::Converged() {
  uint64_t highest = 0;
  for (int i = 0; i < size(); ++i) {
    if (node(i)) highest = std::max(highest, node(i)->status().learned_upto);
  }
  for (int i = 0; i < size(); ++i) {
    if (node(i) && node(i)->status().learned_upto != highest) return false;
  }
  return highest > 0;
}

}  // namespace quorate::sim
