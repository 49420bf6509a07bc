// The simulated network: byte streams between hosts, with latency, segments,
// partitions and resets.
//
// While a link is cut in either direction, what is sent over it waits, as TCP
// would repeat it; when the cut lasts longer than a time drawn for each
// connection, the connection breaks on both sides, each when it notices. A
// link that heals earlier delivers what waited.

#ifndef QUORATE_SIM_NETWORK_H_
#define QUORATE_SIM_NETWORK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/network.h"
#include "sim/world.h"

namespace quorate::sim {

class Host;
class Process;
class Stream;

struct NetworkOptions {
  // Of one segment, one way, between hosts: the base plus an exponentially
  // distributed part.
  io::Duration latency = std::chrono::microseconds(100);
  io::Duration jitter = std::chrono::microseconds(100);
  // How likely a segment is to be late by up to `spike`.
  double spike_probability = 0;
  io::Duration spike = std::chrono::milliseconds(500);
  // How likely a segment is to arrive in two pieces.
  double split_probability = 0.05;
  // How long a connection bears a cut before it breaks: between these.
  io::Duration min_stall = std::chrono::seconds(5);
  io::Duration max_stall = std::chrono::seconds(30);
};

class Network {
 public:
  Network(World& world, NetworkOptions options);
  ~Network();

  World& world() { return world_; }
  void SetOptions(const NetworkOptions& options) { options_ = options; }
  const NetworkOptions& options() const { return options_; }

  void Register(Host* host);
  Host* Find(const std::string& ip) const;
  // By ip.
  const std::map<std::string, Host*>& hosts() const { return hosts_; }

  // Nothing goes from `from` to `to`. Addresses are ips.
  void Cut(const std::string& from, const std::string& to);
  void Mend(const std::string& from, const std::string& to);
  void MendAll();
  bool Reaches(const std::string& from, const std::string& to) const {
    return from == to || cut_.count({from, to}) == 0;
  }
  // Of the connection end that has the most written and not sent.
  size_t LongestQueue() const;

  // Counters that prove that faults took effect.
  uint64_t stalled_segments() const { return stalled_segments_; }
  uint64_t broken_connections() const { return broken_connections_; }

  // Of one segment, one way, drawn anew.
  io::Duration DrawLatency(const std::string& from, const std::string& to);

  // The network as a process sees it.
  std::unique_ptr<io::Network> For(Process* process);

  // What an address is bound to; the simulated sockets use it.
  struct Listening {
    Process* process = nullptr;
    io::Network::OnAccepted on_accepted;
  };
  Listening* FindListening(const io::Endpoint& at);

 private:
  void Add(const std::shared_ptr<Stream>& stream);

  friend class ProcessNetwork;
  friend class Stream;
  friend class SimConnection;

  World& world_;
  NetworkOptions options_;
  std::unique_ptr<io::Random> random_;
  std::map<std::string, Host*> hosts_;
  std::set<std::pair<std::string, std::string>> cut_;
  std::map<io::Endpoint, Listening> listening_;
  uint16_t next_port_ = 40000;
  uint64_t next_stream_ = 1;
  // Those that live, and some that did.
  std::vector<std::weak_ptr<Stream>> streams_;
  size_t most_streams_ = 64;
  uint64_t stalled_segments_ = 0;
  uint64_t broken_connections_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_NETWORK_H_
