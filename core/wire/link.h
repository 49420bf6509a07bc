// Messages between our own processes: length- and CRC-framed payloads over a
// byte stream, after a handshake.
//
// On the wire: the greeting "QRT/1\n" and a handshake frame from each side,
// then frames. A frame is a little-endian u32 length, a u32 CRC-32C over the
// payload, and the payload. A bad length, checksum or handshake closes the
// link: TCP lost its mind or the peer is not one of ours.
//
// No HTTP method begins like the greeting, so both protocols share a port
// (port.h).

#ifndef QUORATE_CORE_WIRE_LINK_H_
#define QUORATE_CORE_WIRE_LINK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::wire {

inline constexpr absl::string_view kGreeting = "QRT/1\n";
inline constexpr size_t kMaxFrameBytes = 64 << 20;
// A link that has more than this queued refuses further messages.
inline constexpr size_t kMaxQueuedBytes = 128 << 20;
inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kOldestProtocolVersion = 1;

enum class Purpose : uint32_t {
  kLog = 1,
  kAgent = 2,
  kDetector = 3,  // Wants to be told who leads.
};

// The versions of the protocol that a program speaks: from one to the other.
// A release that changes the protocol speaks the version before, too, so that
// nodes can be upgraded one by one, and back.
struct Versions {
  uint32_t oldest = kOldestProtocolVersion;
  uint32_t newest = kProtocolVersion;

  friend bool operator==(const Versions&, const Versions&) = default;
};

// The highest that both speak. FailedPrecondition when there is none, in words
// for the operator of the program that speaks `mine`.
absl::StatusOr<uint32_t> CommonVersion(const Versions& mine,
                                       const Versions& peers);

struct Handshake {
  Purpose purpose = Purpose::kLog;
  Versions versions;
  // 16 bytes, or empty when the sender does not know its cluster yet. Links
  // between different non-empty clusters are refused, as are those between
  // programs without a version in common.
  std::string cluster_id;
  std::string node_id;   // Log member id or agent id; may be empty.
  io::Endpoint address;  // Where the sender itself can be reached.
};

// One established link: both handshakes are done. Destroying it closes.
class Link {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // `payload` is valid only during the call.
    virtual void OnMessage(absl::string_view payload) = 0;
    // The last callback.
    virtual void OnClosed(const absl::Status& reason) = 0;
  };

  virtual ~Link() = default;
  // Delivery begins; `listener` outlives the link.
  virtual void Start(Listener* listener) = 0;
  // False when the link is closed or its queue full: the message is dropped,
  // as the network might have done. Protocols repeat.
  virtual bool Send(absl::string_view payload) = 0;
  virtual const Handshake& peer() const = 0;
  // The highest that both sides speak.
  virtual uint32_t version() const = 0;
  virtual io::Endpoint peer_address() const = 0;
};

// A standing wish for a link to one endpoint: dials, and after a loss dials
// again with jittered exponential back-off. Destroying it closes.
class Dialer {
 public:
  struct Options {
    io::Duration connect_timeout = std::chrono::seconds(5);
    io::Duration handshake_timeout = std::chrono::seconds(5);
    io::Duration min_backoff = std::chrono::milliseconds(50);
    io::Duration max_backoff = std::chrono::seconds(2);
  };
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnUp(const Handshake& peer) = 0;
    virtual void OnMessage(absl::string_view payload) = 0;
    virtual void OnDown(const absl::Status& reason) = 0;
    // There is no link because who answers at the endpoint is another program,
    // or of another cluster or an incompatible version. Told once for each
    // reason; OK when it holds no more.
    virtual void OnRefused(const absl::Status& /*reason*/) {}
  };

  virtual ~Dialer() = default;
  // False when there is no link now.
  virtual bool Send(absl::string_view payload) = 0;
  virtual bool up() const = 0;
  // Of the link; 0 when there is none.
  virtual uint32_t version() const = 0;
};

// `mine` is asked at each attempt, so that it may change between them.
std::unique_ptr<Dialer> NewDialer(io::Clock& clock, io::Network& network,
                                  io::Endpoint to,
                                  std::function<Handshake()> mine,
                                  Dialer::Options options, uint64_t jitter_seed,
                                  Dialer::Listener* listener);

}  // namespace quorate::wire

#endif  // QUORATE_CORE_WIRE_LINK_H_
