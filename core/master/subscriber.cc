#include "core/master/subscriber.h"

#include <glog/logging.h>

#include <utility>

#include "core/api/scheduler.pb.h"
#include "core/base/planted.h"
#include "core/http/recordio.h"
#include "core/master/limits.h"

namespace quorate::master {

using mesos::v1::scheduler::Event;

Subscriber::Subscriber(io::Clock& clock, api::MediaType type,
                       std::string stream_id,
                       std::unique_ptr<http::Stream> stream,
                       std::function<void()> on_lost)
    : clock_(clock),
      type_(type),
      stream_id_(std::move(stream_id)),
      on_lost_(std::move(on_lost)),
      stream_(std::move(stream)) {
  stream_->OnClosed([this] { Lose(); });
}

void Subscriber::Send(const Event& event) {
  if (lost_) return;
  stream_->Write(http::EncodeRecord(api::SerializeBody(type_, event)));
  if (stream_->queued_bytes() <= kMaxSubscriberQueueBytes ||
      Planted(Bug::kSlowReaderKept)) {
    return;
  }
  LOG(WARNING) << "disconnecting the subscriber with stream " << stream_id_
               << ": it has left " << stream_->queued_bytes()
               << " bytes unread";
  Lose();
}

void Subscriber::StartHeartbeats() {
  Event event;
  event.set_type(Event::HEARTBEAT);
  Send(event);
  heartbeat_timer_ =
      clock_.RunAfter(kHeartbeatInterval, [this] { StartHeartbeats(); });
}

void Subscriber::Close(const std::string& error) {
  if (!error.empty()) {
    Event event;
    event.set_type(Event::ERROR);
    event.mutable_error()->set_message(error);
    Send(event);
  }
  lost_ = true;
  heartbeat_timer_.Cancel();
  loss_timer_.Cancel();
  stream_->Close();
}

// The caller may be in the middle of something that a disconnection changes,
// or inside a callback of the stream: told at the next turn of the loop.
void Subscriber::Lose() {
  if (std::exchange(lost_, true)) return;
  heartbeat_timer_.Cancel();
  loss_timer_ = clock_.RunAfter(io::Duration::zero(), on_lost_);
}

}  // namespace quorate::master
