// Sends requests that only the leading master can answer on to it, and its
// answers back, for clients that cannot reach the leader themselves (master
// flag --proxy_to_leader).
//
//   LeaderProxy proxy(clock, network, my_address);
//   proxy.Forward(leader, std::move(request), std::move(responder));
//
// An answer that is not short is passed on as it comes, with its length if it
// has one, and with back-pressure: a client that does not read stops the
// leader's sending, and nothing piles up here. When the connection to the
// leader breaks, or the leader changes, the client's stream is cut, as if it
// had spoken with the leader itself.
//
// A request is forwarded once: the header field Via tells. A master that gets
// one, and does not lead, refuses it, so that two masters which think that the
// other leads do not send it to and fro.

#ifndef QUORATE_CORE_MASTER_PROXY_H_
#define QUORATE_CORE_MASTER_PROXY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "core/api/mesos.pb.h"
#include "core/http/server.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::master {

// Where that master listens. InvalidArgument for one of another make that does
// not say so.
absl::StatusOr<io::Endpoint> AddressOf(const mesos::v1::MasterInfo& master);

class LeaderProxy {
 public:
  // Of requests that are forwarded at a time: each has two connections.
  static constexpr size_t kMaxRequests = 5000;
  // Of the bodies of requests that have not been answered.
  static constexpr size_t kMaxBodyBytes = 256 << 20;
  // Longer answers are not collected here first.
  static constexpr size_t kMaxCollectedBytes = 1 << 20;
  // For the beginning of an answer, the whole of a short one, and each further
  // piece of one that has a length.
  static constexpr io::Duration kTimeout = std::chrono::seconds(30);

  // `clock` and `network` outlive it.
  LeaderProxy(io::Clock& clock, io::Network& network, io::Endpoint me);
  // Cuts everything.
  ~LeaderProxy();

  // Answers 502, in words, when the leader does not; 503 when there is too much
  // to do, or when the request was forwarded before.
  void Forward(const io::Endpoint& leader, http::Request request,
               http::Responder responder);

  // Cuts what was sent to any other.
  void OnLeader(const io::Endpoint& leader);

  size_t requests() const { return forwards_.size(); }

 private:
  class OneRequest;

  void Remove(uint64_t id);

  io::Clock& clock_;
  io::Network& network_;
  const io::Endpoint me_;
  uint64_t next_id_ = 0;
  size_t body_bytes_ = 0;
  std::map<uint64_t, std::unique_ptr<OneRequest>> forwards_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_PROXY_H_
