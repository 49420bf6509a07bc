// The simulated network: byte streams between hosts, with latency, segments,
// partitions and resets.
//
//   network.Cut(a, b);                        // what a sends to b is held up
//   network.Flap(a, b);                       // again and again
//   network.SetLink(a, b, {.loss = 0.1, .bytes_per_second = 10'000});
//   network.Clog(a, b, 20s);
//   network.ResetConnections(a, b);
//   network.MendAll();
//   network.ClearLinks();
//
// Addresses are ips, and all but connections have a direction. While a link is
// cut in either direction, what is sent over it waits, as TCP would repeat it;
// when the cut lasts longer than a time drawn for each connection, the
// connection breaks on both sides, each when it notices. A link that heals
// earlier delivers what waited. A clog breaks nothing, however long it is.

#ifndef QUORATE_SIM_NETWORK_H_
#define QUORATE_SIM_NETWORK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "io/network.h"
#include "sim/link.h"
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

  // Nothing goes from `from` to `to`.
  void Cut(const std::string& from, const std::string& to);
  // The same again and again, each for 50 ms to 10 s.
  void Flap(const std::string& from, const std::string& to);
  // Both end so.
  void Mend(const std::string& from, const std::string& to);
  void MendAll();
  bool Reaches(const std::string& from, const std::string& to) const;

  // Replaces what was set for that link.
  void SetLink(const std::string& from, const std::string& to,
               const LinkOptions& options);
  // What is sent within that time arrives after it.
  void Clog(const std::string& from, const std::string& to, io::Duration time);
  // The next connection that `from` makes to `to` loses what is first sent on
  // it, and is reset then.
  void LoseFirstBytes(const std::string& from, const std::string& to);
  // All links are as the network's options say, and what is late because one
  // was not comes soon.
  void ClearLinks();

  // Every connection between the two is reset at both ends, and what is on its
  // way is lost. How many there were.
  int ResetConnections(const std::string& a, const std::string& b);
  // The host `forgets` closes its ends of them. The other ends are told when
  // they send something, or by TCP's keep-alive.
  int HalfOpenConnections(const std::string& forgets, const std::string& other);

  // Of the connection end that has the most written and not sent.
  size_t LongestQueue() const;

  // When something last waited, to or from that host, for a cut link or for a
  // host without power; nothing before.
  std::optional<io::Instant> LastStall(const std::string& ip) const;

  // Of one segment, one way, drawn anew.
  io::Duration DrawLatency(const std::string& from, const std::string& to) {
    return DrawLatency(link(from, to), 0, Link::kRepeatSegment);
  }

  // The network as a process sees it.
  std::unique_ptr<io::Network> For(Process* process);

  // What an address is bound to; the simulated sockets use it.
  struct Listening {
    Process* process = nullptr;
    io::Network::OnAccepted on_accepted;
  };
  Listening* FindListening(const io::Endpoint& at);

 private:
  friend class ProcessNetwork;
  friend class Stream;
  friend class SimConnection;

  using Ends = std::pair<absl::string_view, absl::string_view>;
  // So that a look copies no strings.
  struct EndsInOrder {
    using is_transparent = void;
    bool operator()(const Ends& a, const Ends& b) const { return a < b; }
  };

  // Stays where it is.
  Link& link(const std::string& from, const std::string& to);
  io::Duration DrawLatency(Link& link, size_t bytes, io::Duration repeat);
  uint16_t NextPort();
  void NoteStall(const std::string& one, const std::string& other);
  void Remember(const std::shared_ptr<Stream>& stream);
  // In the order in which they were made.
  std::vector<std::shared_ptr<Stream>> LiveStreams();

  World& world_;
  NetworkOptions options_;
  std::unique_ptr<io::Random> random_;
  std::map<std::string, Host*> hosts_;
  // By where they lead from and to.
  std::map<std::pair<std::string, std::string>, Link, EndsInOrder> links_;
  std::map<io::Endpoint, Listening> listening_;
  // By whom a chosen port was first bound.
  std::map<io::Endpoint, std::string> owners_;
  std::vector<std::weak_ptr<Stream>> streams_;
  size_t streams_to_sweep_ = 100;
  uint16_t next_port_;
  uint64_t next_stream_ = 1;
  std::map<std::string, io::Instant> last_stalls_;  // by ip
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_NETWORK_H_
