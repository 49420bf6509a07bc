// The event stream of one subscribed framework.

#ifndef QUORATE_CORE_MASTER_SUBSCRIBER_H_
#define QUORATE_CORE_MASTER_SUBSCRIBER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "core/api/media.h"
#include "core/http/server.h"
#include "io/clock.h"

namespace mesos::v1::scheduler {
class Event;
}

namespace quorate::master {

class Subscriber {
 public:
  // `on_lost` is called once, from the event loop, when the framework has left
  // or does not read what it is sent; it may destroy the subscriber.
  Subscriber(io::Clock& clock, api::MediaType type, std::string stream_id,
             std::unique_ptr<http::Stream> stream,
             std::function<void()> on_lost);

  // What is sent after the loss is dropped.
  void Send(const mesos::v1::scheduler::Event& event);
  // Sends a heartbeat now and then one each kHeartbeatInterval.
  void StartHeartbeats();
  // Ends the stream properly, after an ERROR event with `error` unless that
  // is empty.
  void Close(const std::string& error);

  const std::string& stream_id() const { return stream_id_; }
  // What it has yet to read; nothing after the loss.
  size_t queued_bytes() const { return lost_ ? 0 : stream_->queued_bytes(); }

 private:
  void Lose();

  io::Clock& clock_;
  const api::MediaType type_;
  const std::string stream_id_;
  std::function<void()> on_lost_;
  const std::unique_ptr<http::Stream> stream_;
  bool lost_ = false;
  io::Timer loss_timer_;
  io::Timer heartbeat_timer_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_SUBSCRIBER_H_
