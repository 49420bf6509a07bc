// One simulated TCP connection: two ends, and what is on its way between them.

#ifndef QUORATE_SIM_STREAM_H_
#define QUORATE_SIM_STREAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "io/network.h"
#include "sim/machine.h"
#include "sim/network.h"

namespace quorate::sim {

class SimConnection;

// Shared by its two ends and by the events that are under way.
//
// What arrives is acknowledged, as TCP does. Where only the way back is cut,
// data goes on to arrive until the window is full, and the sender, which hears
// of none of it, gives up after the same time as if nothing had.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  // Bytes on the way and in the receiver's buffer, in one direction.
  static constexpr size_t kWindowBytes = 256 << 10;

  // Ends 0 (who connected) and 1 (who accepted).
  Stream(Network& network, Process* client, Process* server,
         io::Endpoint client_address, io::Endpoint server_address);

  std::unique_ptr<io::Connection> MakeEnd(int end);
  // Of what its ends have written and not sent.
  size_t LongestQueue() const {
    return std::max(ends_[0].queue.size(), ends_[1].queue.size());
  }

  // The end on host `a`, if the other is on `b`; otherwise -1.
  int EndAt(const std::string& a, const std::string& b) const;

  // Faults. The first two say whether the stream was alive.
  bool Reset();
  bool Forget(int end);
  // What is on its way comes as soon as a segment that is sent now.
  void Hurry();

 private:
  friend class SimConnection;

  enum class Packet { kData, kFin, kReset };
  struct InFlight {
    Packet packet;
    std::string bytes;
    io::Instant sent;
    io::Instant arrives;
  };

  // Taking from its front costs no more than what is taken.
  class Queue {
   public:
    size_t size() const { return bytes_.size() - begin_; }
    bool empty() const { return size() == 0; }
    void Append(absl::string_view bytes) {
      bytes_.append(bytes.data(), bytes.size());
    }
    std::string Take(size_t size) {
      std::string taken = bytes_.substr(begin_, size);
      begin_ += taken.size();
      if (begin_ * 2 >= bytes_.size()) {
        bytes_.erase(0, begin_);
        begin_ = 0;
      }
      return taken;
    }
    void Clear() {
      bytes_.clear();
      begin_ = 0;
    }

   private:
    std::string bytes_;
    size_t begin_ = 0;
  };

  struct End {
    Process* process = nullptr;
    io::Endpoint address;
    SimConnection* connection = nullptr;  // Null once destroyed.
    io::Connection::Listener* listener = nullptr;
    Queue queue;  // Written, not sent.
    bool write_closed = false;
    bool fin_sent = false;
    size_t on_the_way = 0;  // Bytes sent that the other end has not taken.
    std::deque<std::string> received;  // Arrived, not delivered.
    bool fin_received = false;
    bool end_told = false;
    bool paused = false;
    bool blocked = false;  // Its Write said false.
    bool broken = false;
    absl::Status reason;  // why, for its listener
    bool close_told = false;
    bool gone = false;     // Its connection was destroyed.
    bool stalled = false;  // What it sent waits for a cut link.
    bool delivering = false;
    // Bytes of `on_the_way` that the other end has taken, of which it has not
    // heard.
    size_t unheard = 0;
    // When the first was sent that has arrived, and whose acknowledgement has
    // not.
    std::optional<io::Instant> unacknowledged;
    bool answer_pending = false;
    // What it has sent and the other end has not got, in order.
    std::deque<InFlight> in_flight;
    bool resend_pending = false;
  };

  static const char* NameOf(Packet packet);
  End& other(int end) { return ends_[1 - end]; }
  const End& other(int end) const { return ends_[1 - end]; }
  bool Alive() const;
  void Pump(int from);
  void Send(int from, Packet packet, std::string bytes);
  void Land(int from);
  const Link& LinkFrom(int from) const { return from == 0 ? forth_ : back_; }
  bool Reaches(int from) const;
  bool Answered(int from) const;
  void Stall(int from);
  void Acknowledge(int from, io::Instant sent);
  void OnAnswer(int from);
  void AwaitAnswer(int from);
  void GiveUp(int from);
  void TearDown();
  // `first` of those that arrive with one event.
  void Arrive(int to, InFlight packet, bool first);
  bool HasNews(int to) const;
  void Deliver(int to);
  void DeliverNow(int to);
  void Break(int end, const absl::Status& reason);
  void TellClosed(int end);
  void BreakWhenNoticed(int end);
  void OnDestroyed(int end);

  Network& network_;
  const uint64_t id_;
  const io::Duration patience_;  // With a cut link.
  Link& forth_;                  // From end 0 to end 1.
  Link& back_;
  bool loses_first_bytes_;
  End ends_[2];
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_STREAM_H_
