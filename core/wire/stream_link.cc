#include "core/wire/stream_link.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quorate::wire {
namespace {

// A handshake is small; nothing larger is buffered for a stranger.
constexpr size_t kMaxHandshakeBytes = 4 << 10;

}  // namespace

StreamLink::StreamLink(std::unique_ptr<io::Connection> connection)
    : connection_(std::move(connection)), decoder_(kMaxHandshakeBytes) {}

StreamLink::~StreamLink() { *alive_ = false; }

void StreamLink::Dial(const Handshake& mine, OnReady ready) {
  mine_ = mine;
  ready_ = std::move(ready);
  connection_->Write(kGreeting);
  connection_->Write(EncodeFrame(EncodeHandshake(mine)));
  connection_->Start(this);
}

void StreamLink::Accept(absl::string_view after_greeting, Answer answer,
                        OnReady ready) {
  answer_ = std::move(answer);
  ready_ = std::move(ready);
  greeted_ = true;
  decoder_.Add(after_greeting);
  connection_->Start(this);
  Drain();
}

void StreamLink::Start(Link::Listener* listener) {
  listener_ = listener;
  if (shaken_ && !closed_) {
    connection_->ResumeReading();
    Drain();
  }
}

bool StreamLink::Send(absl::string_view payload) {
  CHECK_LE(payload.size(), kMaxFrameBytes);
  if (closed_ || connection_->queued_bytes() > kMaxQueuedBytes) return false;
  connection_->Write(EncodeFrame(payload));
  return true;
}

void StreamLink::OnData(absl::string_view bytes) {
  if (closed_) return;
  if (!greeted_) {
    absl::Status greeted = Greet(&bytes);
    if (!greeted.ok()) return Close(greeted);
    if (!greeted_) return;
  }
  decoder_.Add(bytes);
  Drain();
}

// Takes the peer's greeting off the front, as far as it has come.
absl::Status StreamLink::Greet(absl::string_view* bytes) {
  const size_t take =
      std::min(bytes->size(), kGreeting.size() - greeting_.size());
  greeting_.append(bytes->data(), take);
  bytes->remove_prefix(take);
  if (!absl::StartsWith(kGreeting, greeting_)) {
    return absl::InvalidArgumentError("the peer is not one of ours");
  }
  greeted_ = greeting_.size() == kGreeting.size();
  return absl::OkStatus();
}

void StreamLink::Drain() {
  std::shared_ptr<bool> alive = alive_;
  std::string payload;
  // Without a listener frames wait in the decoder, and reading is paused.
  while (!closed_ && (!shaken_ || listener_ != nullptr)) {
    absl::StatusOr<bool> next = decoder_.Next(&payload);
    if (!next.ok() && !shaken_) {
      return Close(absl::InvalidArgumentError(absl::StrCat(
          "the peer is not one of ours: ", next.status().message())));
    }
    if (!next.ok()) return Close(next.status());
    if (!*next) return;
    if (shaken_) {
      listener_->OnMessage(payload);
    } else {
      absl::Status shaken = OnHandshake(payload);
      if (!*alive) return;
      if (!shaken.ok()) return Close(shaken);
      BecomeReady(absl::OkStatus());
    }
    if (!*alive) return;
  }
}

absl::Status StreamLink::OnHandshake(absl::string_view payload) {
  auto peer = DecodeHandshake(payload);
  if (!peer.ok()) return peer.status();
  peer_ = *std::move(peer);
  if (answer_) {
    auto mine = answer_(peer_);
    if (!mine.ok()) return mine.status();
    mine_ = *std::move(mine);
    // Also to a peer that is refused now: it tells its operator why.
    connection_->Write(kGreeting);
    connection_->Write(EncodeFrame(EncodeHandshake(mine_)));
  }
  auto version = CommonVersion(mine_.versions, peer_.versions);
  if (!version.ok()) return version.status();
  version_ = *version;
  if (!mine_.cluster_id.empty() && !peer_.cluster_id.empty() &&
      mine_.cluster_id != peer_.cluster_id) {
    return absl::FailedPreconditionError(
        absl::StrCat("the peer at ", connection_->peer().ToString(),
                     " belongs to another cluster"));
  }
  return absl::OkStatus();
}

void StreamLink::BecomeReady(const absl::Status& status) {
  if (status.ok()) {
    shaken_ = true;
    decoder_.set_max_frame_bytes(kMaxFrameBytes);
    // Of the log, whose leader must hear in time that it still leads.
    if (peer_.purpose == Purpose::kLog) connection_->Prioritize();
    if (listener_ == nullptr) connection_->PauseReading();
  }
  // The callback may destroy this.
  OnReady ready = std::move(ready_);
  ready_ = nullptr;
  if (ready) ready(status);
}

void StreamLink::OnEnd() {
  Close(absl::UnavailableError("the peer closed the link"));
}

void StreamLink::OnClosed(const absl::Status& reason) {
  Close(reason.ok() ? absl::UnavailableError("the link was closed") : reason);
}

void StreamLink::Close(const absl::Status& reason) {
  if (std::exchange(closed_, true)) return;
  connection_->PauseReading();
  connection_->CloseWrite();
  if (!shaken_) return BecomeReady(reason);
  if (listener_ != nullptr) listener_->OnClosed(reason);
}

}  // namespace quorate::wire
