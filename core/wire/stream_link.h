// A wire::Link over one connection: the handshake, then frames.

#ifndef QUORATE_CORE_WIRE_STREAM_LINK_H_
#define QUORATE_CORE_WIRE_STREAM_LINK_H_

#include <functional>
#include <memory>
#include <string>

#include "core/wire/frame.h"
#include "core/wire/link.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::wire {

class StreamLink final : public Link, public io::Connection::Listener {
 public:
  // What to answer the peer's handshake with; an error refuses the link.
  using Answer = std::function<absl::StatusOr<Handshake>(const Handshake&)>;
  // The handshake is over; with an error the link is dead. May destroy it.
  using OnReady = std::function<void(const absl::Status&)>;

  explicit StreamLink(std::unique_ptr<io::Connection> connection);
  ~StreamLink() override;

  // One of the two, once. The dialing side greets first; the accepting side
  // has seen the greeting already and is given what came after it.
  void Dial(const Handshake& mine, OnReady ready);
  void Accept(absl::string_view after_greeting, Answer answer, OnReady ready);

  void Start(Link::Listener* listener) override;
  bool Send(absl::string_view payload) override;
  const Handshake& peer() const override { return peer_; }
  uint32_t version() const override { return version_; }
  io::Endpoint peer_address() const override { return connection_->peer(); }

  void OnData(absl::string_view bytes) override;
  void OnEnd() override;
  void OnClosed(const absl::Status& reason) override;

 private:
  void Drain();
  absl::Status Greet(absl::string_view* bytes);
  absl::Status OnHandshake(absl::string_view payload);
  void BecomeReady(const absl::Status& status);
  void Close(const absl::Status& reason);

  std::unique_ptr<io::Connection> connection_;
  Link::Listener* listener_ = nullptr;
  Answer answer_;  // Set on the accepting side.
  OnReady ready_;
  Handshake mine_;
  Handshake peer_;
  uint32_t version_ = 0;
  std::string greeting_;  // Of the peer, as far as it has come.
  bool greeted_ = false;
  bool shaken_ = false;
  bool closed_ = false;
  FrameDecoder decoder_;
  // Tells a running loop that a callback destroyed the link.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace quorate::wire

#endif  // QUORATE_CORE_WIRE_STREAM_LINK_H_
