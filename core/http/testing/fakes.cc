#include "core/http/testing/fakes.h"

#include <algorithm>
#include <chrono>

#include "absl/status/status.h"

namespace quorate::http::testing {
namespace {

constexpr std::chrono::seconds kStart(1795232281);

// One end. Both ends know each other until one is destroyed.
class FakeConnection final : public io::Connection {
 public:
  FakeConnection(io::Clock& clock, io::Endpoint local, io::Endpoint peer)
      : clock_(clock), local_(std::move(local)), peer_(std::move(peer)) {}

  ~FakeConnection() override {
    if (other_ == nullptr) return;
    other_->other_ = nullptr;
    other_->Schedule();
  }

  static void Join(FakeConnection& a, FakeConnection& b) {
    a.other_ = &b;
    b.other_ = &a;
  }

  void Start(Listener* listener) override {
    listener_ = listener;
    Schedule();
  }

  bool Write(absl::string_view bytes) override {
    if (end_queued_ || other_ == nullptr) return true;
    out_.append(bytes.data(), bytes.size());
    above_high_water_ = above_high_water_ || out_.size() > kHighWaterBytes;
    other_->Schedule();
    return out_.size() <= kHighWaterBytes;
  }

  size_t queued_bytes() const override { return out_.size(); }

  void CloseWrite() override {
    end_queued_ = true;
    if (other_ != nullptr) other_->Schedule();
    Schedule();
  }

  void PauseReading() override { paused_ = true; }
  void ResumeReading() override {
    paused_ = false;
    Schedule();
  }

  io::Endpoint local() const override { return local_; }
  io::Endpoint peer() const override { return peer_; }

 private:
  void Schedule() {
    timer_ = clock_.RunAfter(io::Duration::zero(), [this] { Deliver(); });
  }

  // Makes one callback, any of which may destroy this.
  void Deliver() {
    if (listener_ == nullptr || closed_) return;
    if (other_ == nullptr) {
      closed_ = true;
      return listener_->OnClosed(absl::UnavailableError("reset by peer"));
    }
    if (writable_due_) {
      writable_due_ = false;
      Schedule();
      return listener_->OnWritable();
    }
    if (!paused_ && !other_->out_.empty()) {
      Schedule();
      const std::string bytes = std::exchange(other_->out_, std::string());
      if (std::exchange(other_->above_high_water_, false)) {
        other_->writable_due_ = true;
      }
      other_->Schedule();
      return listener_->OnData(bytes);
    }
    if (other_->out_.empty() && other_->end_queued_ && !end_seen_) {
      end_seen_ = true;
      Schedule();
      other_->Schedule();
      return listener_->OnEnd();
    }
    if (end_seen_ && other_->end_seen_) {
      closed_ = true;
      listener_->OnClosed(absl::OkStatus());
    }
  }

  io::Clock& clock_;
  const io::Endpoint local_;
  const io::Endpoint peer_;
  FakeConnection* other_ = nullptr;
  Listener* listener_ = nullptr;
  std::string out_;
  bool above_high_water_ = false;
  bool writable_due_ = false;
  bool paused_ = false;
  bool end_queued_ = false;
  bool end_seen_ = false;
  bool closed_ = false;
  io::Timer timer_;
};

class FakeConnector final : public io::Connector {
 public:
  explicit FakeConnector(io::Timer timer) : timer_(std::move(timer)) {}

 private:
  io::Timer timer_;
};

}  // namespace

io::WallTime FakeClock::WallNow() const {
  return io::WallTime(kStart + now_.time_since_epoch());
}

void FakeClock::Advance(io::Duration time) {
  const io::Instant until = now_ + time;
  while (!events_.empty() && events_.begin()->first.first <= until) {
    auto event = events_.extract(events_.begin());
    now_ = event.key().first;
    due_.erase(event.key().second);
    event.mapped()();
  }
  now_ = until;
}

uint64_t FakeClock::Schedule(io::Duration delay,
                             std::function<void()> callback) {
  const uint64_t id = next_id_++;
  const io::Instant due = now_ + std::max(delay, io::Duration::zero());
  events_[{due, id}] = std::move(callback);
  due_[id] = due;
  return id;
}

void FakeClock::Cancel(uint64_t id) {
  auto it = due_.find(id);
  if (it == due_.end()) return;
  events_.erase({it->second, id});
  due_.erase(it);
}

class FakeNetwork::FakeAcceptor final : public io::Acceptor {
 public:
  FakeAcceptor(FakeNetwork* network, io::Endpoint at)
      : network_(*network), at_(std::move(at)) {}
  ~FakeAcceptor() override { network_.listening_.erase(at_); }
  io::Endpoint local() const override { return at_; }

 private:
  FakeNetwork& network_;
  const io::Endpoint at_;
};

absl::StatusOr<std::unique_ptr<io::Acceptor>> FakeNetwork::Listen(
    const io::Endpoint& at, OnAccepted on_accepted) {
  if (!listening_.emplace(at, std::move(on_accepted)).second) {
    return absl::AlreadyExistsError(at.ToString());
  }
  return std::make_unique<FakeAcceptor>(this, at);
}

std::unique_ptr<io::Connector> FakeNetwork::Connect(const io::Endpoint& to,
                                                    io::Duration,
                                                    OnConnected on_connected) {
  ++connects_;
  return std::make_unique<FakeConnector>(
      clock_.RunAfter(io::Duration::zero(), [this, to, on_connected] {
        auto it = listening_.find(to);
        if (it == listening_.end()) {
          return on_connected(absl::UnavailableError("connection refused"));
        }
        auto [client, server] = MakePair();
        it->second(std::move(server));
        on_connected(std::move(client));
      }));
}

std::pair<std::unique_ptr<io::Connection>, std::unique_ptr<io::Connection>>
FakeNetwork::MakePair() {
  const io::Endpoint client{"10.0.0.9", 40000};
  const io::Endpoint server{"10.0.0.1", 80};
  auto a = std::make_unique<FakeConnection>(clock_, client, server);
  auto b = std::make_unique<FakeConnection>(clock_, server, client);
  FakeConnection::Join(*a, *b);
  return {std::move(a), std::move(b)};
}

void RawPeer::OnData(absl::string_view bytes) {
  received_.append(bytes.data(), bytes.size());
}

}  // namespace quorate::http::testing
