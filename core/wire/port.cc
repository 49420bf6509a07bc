#include "core/wire/port.h"

#include <glog/logging.h>

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "core/wire/stream_link.h"

namespace quorate::wire {
namespace {

constexpr io::Duration kSilenceTimeout = std::chrono::seconds(10);
constexpr size_t kMaxWaiting = 10000;

class SharedPort final : public Port {
 public:
  SharedPort(io::Clock& clock, Callbacks callbacks)
      : clock_(clock), callbacks_(std::move(callbacks)) {}

  absl::Status Open(io::Network& network, const io::Endpoint& at) {
    auto acceptor =
        network.Listen(at, [this](std::unique_ptr<io::Connection> connection) {
          OnAccepted(std::move(connection));
        });
    if (!acceptor.ok()) return acceptor.status();
    acceptor_ = *std::move(acceptor);
    return absl::OkStatus();
  }

  io::Endpoint local() const override { return acceptor_->local(); }

 private:
  // A connection whose protocol is not known yet, or a link that has not
  // finished its handshake.
  struct Waiting final : public io::Connection::Listener {
    Waiting(SharedPort* port, uint64_t id) : port(port), id(id) {}
    void OnData(absl::string_view bytes) override {
      first.append(bytes.data(), bytes.size());
      port->Decide(id);
    }
    // An end that comes before the protocol is known is nobody's request.
    void OnEnd() override { port->Drop(id); }
    void OnClosed(const absl::Status&) override { port->Drop(id); }

    SharedPort* const port;
    const uint64_t id;
    std::string first;
    std::unique_ptr<io::Connection> connection;
    std::unique_ptr<StreamLink> link;
    io::Timer timeout;
  };

  void OnAccepted(std::unique_ptr<io::Connection> connection) {
    if (waiting_.size() >= kMaxWaiting) return;  // Closes it.
    const uint64_t id = next_id_++;
    auto waiting = std::make_unique<Waiting>(this, id);
    waiting->connection = std::move(connection);
    waiting->timeout =
        clock_.RunAfter(kSilenceTimeout, [this, id] { waiting_.erase(id); });
    waiting->connection->Start(waiting.get());
    waiting_[id] = std::move(waiting);
  }

  // Reaped at the next turn: this runs inside a callback of what it drops.
  void Drop(uint64_t id) {
    auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    found->second->timeout = clock_.RunAfter(
        io::Duration::zero(), [this, id] { waiting_.erase(id); });
  }

  void Decide(uint64_t id) {
    Waiting& waiting = *waiting_.at(id);
    if (absl::StartsWith(waiting.first, kGreeting)) return BecomeLink(waiting);
    if (absl::StartsWith(kGreeting, waiting.first)) return;  // More to come.
    auto connection = std::move(waiting.connection);
    std::string first = std::move(waiting.first);
    Drop(id);
    callbacks_.on_http(std::move(connection), std::move(first));
  }

  void BecomeLink(Waiting& waiting) {
    const uint64_t id = waiting.id;
    waiting.link = std::make_unique<StreamLink>(std::move(waiting.connection));
    waiting.link->Accept(
        absl::string_view(waiting.first).substr(kGreeting.size()),
        callbacks_.handshake,
        [this, id](const absl::Status& status) { OnShaken(id, status); });
  }

  void OnShaken(uint64_t id, const absl::Status& status) {
    auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    if (!status.ok()) {
      LOG(INFO) << "refused a link: " << status;
      return Drop(id);
    }
    std::unique_ptr<StreamLink> link = std::move(found->second->link);
    Drop(id);
    callbacks_.on_link(std::move(link));
  }

  io::Clock& clock_;
  const Callbacks callbacks_;
  uint64_t next_id_ = 0;
  std::map<uint64_t, std::unique_ptr<Waiting>> waiting_;
  std::unique_ptr<io::Acceptor> acceptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Port>> OpenPort(io::Clock& clock,
                                               io::Network& network,
                                               const io::Endpoint& at,
                                               Port::Callbacks callbacks) {
  auto port = std::make_unique<SharedPort>(clock, std::move(callbacks));
  if (absl::Status status = port->Open(network, at); !status.ok()) {
    return status;
  }
  return port;
}

}  // namespace quorate::wire
