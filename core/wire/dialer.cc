#include <glog/logging.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/wire/link.h"
#include "core/wire/stream_link.h"
#include "io/random.h"

namespace quorate::wire {
namespace {

class StandingDialer final : public Dialer, public Link::Listener {
 public:
  StandingDialer(io::Clock& clock, io::Network& network, io::Endpoint to,
                 std::function<Handshake()> mine, Options options,
                 uint64_t jitter_seed, Dialer::Listener* listener)
      : clock_(clock),
        network_(network),
        to_(std::move(to)),
        mine_(std::move(mine)),
        options_(options),
        jitter_(jitter_seed),
        backoff_(options.min_backoff),
        listener_(listener) {
    timer_ = clock_.RunAfter(io::Duration::zero(), [this] { Dial(); });
  }

  bool Send(absl::string_view payload) override {
    return up_ && link_->Send(payload);
  }
  bool up() const override { return up_; }
  uint32_t version() const override { return up_ ? link_->version() : 0; }

  void OnMessage(absl::string_view payload) override {
    listener_->OnMessage(payload);
  }
  void OnClosed(const absl::Status& reason) override { Lose(reason); }

 private:
  void Dial() {
    connector_ = network_.Connect(
        to_, options_.connect_timeout,
        [this](absl::StatusOr<std::unique_ptr<io::Connection>> connection) {
          if (!connection.ok()) return Lose(connection.status());
          Shake(*std::move(connection));
        });
  }

  void Shake(std::unique_ptr<io::Connection> connection) {
    timer_ = clock_.RunAfter(options_.handshake_timeout, [this] {
      Lose(absl::DeadlineExceededError("the peer does not shake hands"));
    });
    link_ = std::make_unique<StreamLink>(std::move(connection));
    link_->Dial(mine_(), [this](const absl::Status& status) {
      if (!status.ok()) return Lose(status);
      timer_.Cancel();
      up_ = true;
      backoff_ = options_.min_backoff;
      NoteRefusal(absl::OkStatus());
      link_->Start(this);
      listener_->OnUp(link_->peer());
    });
  }

  // Dials again after a pause. What is lost is destroyed then, too: this may
  // run inside one of its callbacks.
  void Lose(const absl::Status& reason) {
    const io::Duration pause = jitter_.Between(backoff_ / 2, backoff_);
    backoff_ = std::min(backoff_ * 2, options_.max_backoff);
    timer_ = clock_.RunAfter(pause, [this] {
      link_.reset();
      Dial();
    });
    const bool refused =
        absl::IsFailedPrecondition(reason) || absl::IsInvalidArgument(reason);
    if (!up_) NoteRefusal(refused ? reason : absl::OkStatus());
    if (std::exchange(up_, false)) {
      listener_->OnDown(reason);
    } else {
      listener_->OnUnreachable(reason);
    }
  }

  // Once, though every further attempt ends the same.
  void NoteRefusal(const absl::Status& reason) {
    if (reason == refusal_) return;
    refusal_ = reason;
    LOG_IF(WARNING, !reason.ok())
        << "no link to " << to_.ToString() << ": " << reason.message();
    listener_->OnRefused(reason);
  }

  io::Clock& clock_;
  io::Network& network_;
  const io::Endpoint to_;
  const std::function<Handshake()> mine_;
  const Options options_;
  io::SeededRandom jitter_;
  io::Duration backoff_;
  Dialer::Listener* const listener_;
  bool up_ = false;
  absl::Status refusal_;
  std::unique_ptr<io::Connector> connector_;
  std::unique_ptr<StreamLink> link_;
  io::Timer timer_;
};

}  // namespace

std::unique_ptr<Dialer> NewDialer(io::Clock& clock, io::Network& network,
                                  io::Endpoint to,
                                  std::function<Handshake()> mine,
                                  Dialer::Options options, uint64_t jitter_seed,
                                  Dialer::Listener* listener) {
  return std::make_unique<StandingDialer>(clock, network, std::move(to),
                                          std::move(mine), options, jitter_seed,
                                          listener);
}

}  // namespace quorate::wire
