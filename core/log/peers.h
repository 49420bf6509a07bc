// The links to other replicas: a dialer for each known address, and the links
// that others have opened to us.

#ifndef QUORATE_CORE_LOG_PEERS_H_
#define QUORATE_CORE_LOG_PEERS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/log/types.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate::log {

class Peers {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnPeerUp() = 0;
    // The link that was dialed to that member broke.
    virtual void OnPeerDown(const MemberId& member) = 0;
    // Sets `*from` to who sent it, before anything else: the link then leads
    // to that member, whatever its handshake said. Leaves it alone when that
    // cannot be told.
    virtual void OnMessage(absl::string_view payload, MemberId* from) = 0;
  };

  static constexpr size_t kMaxAccepted = 200;

  // `mine` is asked at each dial. All arguments outlive the object.
  Peers(io::Environment& environment, std::function<wire::Handshake()> mine,
        Listener* listener);
  ~Peers();

  void SetAddresses(const std::vector<io::Endpoint>& addresses);
  void Accept(std::unique_ptr<wire::Link> link);

  // Over whichever link leads to that member; false when none does.
  bool Send(const MemberId& to, absl::string_view payload);
  // Over every link that does: several processes may use that id.
  void SendToEach(const MemberId& to, absl::string_view payload);
  // Over every link, once for each member; a member whose id is not known yet
  // is reached, too.
  void SendToAll(absl::string_view payload);

  // Of a link to that member; 0 when there is none.
  uint32_t VersionOf(const MemberId& member) const;
  // Who answers at a known address and is refused, and why.
  std::map<io::Endpoint, std::string> Refusals() const;

 private:
  class Dialed;
  class Accepted;

  io::Environment& environment_;
  const std::function<wire::Handshake()> mine_;
  Listener* const listener_;
  std::unique_ptr<io::Random> random_;
  std::map<io::Endpoint, std::unique_ptr<Dialed>> dialed_;
  uint64_t next_accepted_ = 0;
  std::map<uint64_t, std::unique_ptr<Accepted>> accepted_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_PEERS_H_
