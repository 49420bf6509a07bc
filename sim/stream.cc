#include "sim/stream.h"

#include <algorithm>
#include <utility>

namespace quorate::sim {
namespace {

// How often what waits for a cut link is sent again.
constexpr io::Duration kResend = std::chrono::milliseconds(200);

}  // namespace

// What a process holds of a stream.
class SimConnection final : public io::Connection {
 public:
  SimConnection(std::shared_ptr<Stream> stream, int end)
      : stream_(std::move(stream)), end_(end) {
    self().connection = this;
  }
  ~SimConnection() override { stream_->OnDestroyed(end_); }

  void Start(Listener* listener) override {
    self().listener = listener;
    stream_->TellClosed(end_);
    stream_->Deliver(end_);
  }

  bool Write(absl::string_view bytes) override {
    Stream::End& end = self();
    if (end.write_closed || end.broken || !end.process->alive()) return true;
    end.queue.Append(bytes);
    stream_->Pump(end_);
    if (queued_bytes() <= kHighWaterBytes) return true;
    end.blocked = true;
    return false;
  }

  size_t queued_bytes() const override {
    return stream_->ends_[end_].queue.size();
  }

  void CloseWrite() override {
    Stream::End& end = self();
    if (end.write_closed || end.broken || !end.process->alive()) return;
    end.write_closed = true;
    stream_->Pump(end_);
  }

  void PauseReading() override { self().paused = true; }
  void ResumeReading() override {
    self().paused = false;
    stream_->Deliver(end_);
  }

  io::Endpoint local() const override { return stream_->ends_[end_].address; }
  io::Endpoint peer() const override {
    return stream_->ends_[1 - end_].address;
  }

 private:
  Stream::End& self() { return stream_->ends_[end_]; }

  const std::shared_ptr<Stream> stream_;
  const int end_;
};

Stream::Stream(Network& network, Process* client, Process* server,
               io::Endpoint client_address, io::Endpoint server_address)
    : network_(network),
      id_(network.next_stream_++),
      patience_(network.random_->Between(network.options_.min_stall,
                                         network.options_.max_stall)),
      forth_(network.link(client_address.ip, server_address.ip)),
      back_(network.link(server_address.ip, client_address.ip)),
      loses_first_bytes_(forth_.TakeLosesFirstBytes()) {
  ends_[0].process = client;
  ends_[0].address = std::move(client_address);
  ends_[1].process = server;
  ends_[1].address = std::move(server_address);
}

std::unique_ptr<io::Connection> Stream::MakeEnd(int end) {
  return std::make_unique<SimConnection>(shared_from_this(), end);
}

int Stream::EndAt(const std::string& a, const std::string& b) const {
  if (ends_[0].address.ip == a && ends_[1].address.ip == b) return 0;
  if (ends_[1].address.ip == a && ends_[0].address.ip == b) return 1;
  return -1;
}

bool Stream::Alive() const {
  return !ends_[0].broken && !ends_[1].broken && !ends_[0].gone &&
         !ends_[1].gone;
}

bool Stream::Reset() {
  if (!Alive()) return false;
  network_.world_.Took(Fault::kConnectionReset, ends_[0].process->name());
  TearDown();
  return true;
}

bool Stream::Forget(int end) {
  if (!Alive()) return false;
  network_.world_.Took(Fault::kConnectionHalfOpen, other(end).process->name());
  for (End& each : ends_) each.in_flight.clear();
  Break(end, absl::UnavailableError("connection timed out"));
  BreakWhenNoticed(1 - end);
  return true;
}

void Stream::Hurry() {
  World& world = network_.world_;
  for (int from : {0, 1}) {
    End& end = ends_[from];
    if (end.in_flight.empty()) continue;
    const io::Duration latency = network_.DrawLatency(
        from == 0 ? forth_ : back_, 0, Link::kRepeatSegment);
    for (InFlight& packet : end.in_flight) {
      packet.arrives = std::min(packet.arrives, world.now() + latency);
    }
    world.After(latency, "packet",
                [self = shared_from_this(), from] { self->Land(from); });
  }
}

// Sends what the window allows.
void Stream::Pump(int from) {
  End& end = ends_[from];
  if (end.broken) return;
  while (!end.queue.empty() && end.on_the_way < kWindowBytes) {
    size_t size = std::min(end.queue.size(), kWindowBytes - end.on_the_way);
    io::Random& random = *network_.random_;
    if (size > 1 && random.Fraction() < network_.options_.split_probability) {
      size = 1 + random.Below(size - 1);
    }
    end.on_the_way += size;
    Send(from, Packet::kData, end.queue.Take(size));
  }
  if (end.queue.empty() && end.write_closed && !end.fin_sent) {
    end.fin_sent = true;
    Send(from, Packet::kFin, "");
    if (end.end_told) return Break(from, absl::OkStatus());
  }
  if (end.blocked && end.queue.size() < io::Connection::kLowWaterBytes) {
    end.blocked = false;
    end.process->Later(
        io::Duration::zero(), "writable", [self = shared_from_this(), from] {
          End& end = self->ends_[from];
          if (end.connection != nullptr && end.listener && !end.broken) {
            end.listener->OnWritable();
          }
        });
  }
}

void Stream::Send(int from, Packet packet, std::string bytes) {
  World& world = network_.world_;
  End& end = ends_[from];
  const io::Instant before =
      end.in_flight.empty() ? world.now() : end.in_flight.back().arrives;
  Link& way = from == 0 ? forth_ : back_;
  const io::Duration latency =
      network_.DrawLatency(way, bytes.size(), Link::kRepeatSegment);
  const io::Instant arrives = std::max(before, world.now() + latency);
  end.in_flight.push_back({packet, std::move(bytes), world.now(), arrives});
  world.After(arrives - world.now(), "packet",
              [self = shared_from_this(), from] { self->Land(from); });
}

bool Stream::Reaches(int from) const {
  return other(from).process->host().up() && !LinkFrom(from).cut();
}

// Whether that end hears of what arrives.
bool Stream::Answered(int from) const {
  return Reaches(from) && !LinkFrom(1 - from).cut();
}

// Lets arrive, in order, what is due. Over a cut link everything waits.
void Stream::Land(int from) {
  World& world = network_.world_;
  End& end = ends_[from];
  bool first = true;
  while (!end.in_flight.empty() &&
         end.in_flight.front().arrives <= world.now()) {
    if (!Reaches(from)) return Stall(from);
    if (std::exchange(end.stalled, false)) {
      world.Took(Fault::kLinkFlapped, end.process->name());
    }
    InFlight packet = std::move(end.in_flight.front());
    end.in_flight.pop_front();
    if (loses_first_bytes_ && packet.packet == Packet::kData) {
      loses_first_bytes_ = false;
      world.Took(Fault::kFirstBytesLost, end.process->name());
      return TearDown();
    }
    const bool last = packet.packet == Packet::kReset;
    const io::Instant sent = packet.sent;
    Arrive(1 - from, std::move(packet), std::exchange(first, false));
    if (!last) Acknowledge(from, sent);
  }
}

// What is due is sent again until it gets through, or for too long.
void Stream::Stall(int from) {
  World& world = network_.world_;
  End& end = ends_[from];
  network_.NoteStall(forth_.from(), forth_.to());
  if (LinkFrom(from).cut() && !std::exchange(end.stalled, true)) {
    world.Took(Fault::kSegmentStalled, end.process->name());
    if (!LinkFrom(1 - from).cut()) {
      world.Took(Fault::kOneWayCut, end.process->name());
    }
  }
  if (world.now() - end.in_flight.front().sent > patience_) {
    return GiveUp(from);
  }
  if (!std::exchange(end.resend_pending, true)) {
    world.After(kResend, "resend", [self = shared_from_this(), from] {
      self->ends_[from].resend_pending = false;
      self->Land(from);
    });
  }
}

// Something sent then has arrived.
void Stream::Acknowledge(int from, io::Instant sent) {
  End& end = ends_[from];
  if (end.broken) return;
  if (Answered(from)) return OnAnswer(from);
  if (end.unacknowledged) return;
  end.unacknowledged = sent;
  network_.world_.Took(Fault::kOneWayCut, end.process->name());
  AwaitAnswer(from);
}

// It tells all that has arrived and was taken by then.
void Stream::OnAnswer(int from) {
  End& end = ends_[from];
  end.unacknowledged.reset();
  if (end.unheard == 0) return;
  end.on_the_way -= std::exchange(end.unheard, 0);
  Pump(from);
}

// The sender repeats what it has sent, or probes the window, for as long.
void Stream::AwaitAnswer(int from) {
  if (std::exchange(ends_[from].answer_pending, true)) return;
  World& world = network_.world_;
  world.After(kResend, "resend", [self = shared_from_this(), from, &world] {
    End& end = self->ends_[from];
    end.answer_pending = false;
    if (!self->Alive()) return;
    if (self->Answered(from)) return self->OnAnswer(from);
    self->network_.NoteStall(self->forth_.from(), self->forth_.to());
    if (end.unacknowledged &&
        world.now() - *end.unacknowledged > self->patience_) {
      return self->GiveUp(from);
    }
    self->AwaitAnswer(from);
  });
}

// Whoever is still there is told at once.
void Stream::TearDown() {
  for (int end : {0, 1}) {
    ends_[end].in_flight.clear();
    Break(end, absl::UnavailableError("connection reset by peer"));
  }
}

void Stream::GiveUp(int from) {
  ends_[from].in_flight.clear();
  network_.world_.Took(Fault::kConnectionBroken, ends_[from].process->name());
  Break(from, absl::UnavailableError("the peer is unreachable"));
  BreakWhenNoticed(1 - from);
}

// The other end is no more and could not say so: TCP's keep-alive finds out.
void Stream::BreakWhenNoticed(int which) {
  network_.world_.After(
      patience_, "keep-alive", [self = shared_from_this(), which] {
        self->Break(which, absl::UnavailableError("the peer is unreachable"));
      });
}

const char* Stream::NameOf(Packet packet) {
  switch (packet) {
    case Packet::kData:
      return "receives data from";
    case Packet::kFin:
      return "receives the end from";
    case Packet::kReset:
      return "receives a reset from";
  }
  return "";
}

void Stream::Arrive(int to, InFlight packet, bool first) {
  End& end = ends_[to];
  World& world = network_.world_;
  const std::string& sender = other(to).process->name();
  if (world.spectator != nullptr) {
    world.spectator->OnPacket(sender, end.process->name(), packet.sent,
                              world.now(), packet.bytes.size());
  }
  world.Note(end.process->name(), NameOf(packet.packet), packet.bytes, sender);
  if (packet.packet == Packet::kReset) {
    return Break(to, absl::UnavailableError("connection reset by peer"));
  }
  // Nobody is there any more: the sender is told.
  if (end.connection == nullptr || end.broken)
    return Send(to, Packet::kReset, "");
  if (packet.packet == Packet::kFin) {
    end.fin_received = true;
  } else {
    end.received.push_back(std::move(packet.bytes));
  }
  // One callback an event, so that checkers see what each does.
  if (!first) return Deliver(to);
  if (!HasNews(to)) return;
  end.delivering = true;
  end.process->Run([self = shared_from_this(), to] { self->DeliverNow(to); });
}

// For its listener, who is not to be told of it already.
bool Stream::HasNews(int to) const {
  const End& end = ends_[to];
  return !end.delivering && end.listener != nullptr && !end.paused &&
         (!end.received.empty() || end.fin_received);
}

void Stream::Deliver(int to) {
  End& end = ends_[to];
  if (!HasNews(to)) return;
  end.delivering = true;
  end.process->Later(io::Duration::zero(), "data",
                     [self = shared_from_this(), to] { self->DeliverNow(to); });
}

// One callback an event, so that each may destroy the connection.
void Stream::DeliverNow(int to) {
  End& end = ends_[to];
  end.delivering = false;
  if (end.connection == nullptr || end.broken || end.paused ||
      end.listener == nullptr) {
    return;
  }
  if (!end.received.empty()) {
    const std::string bytes = std::move(end.received.front());
    end.received.pop_front();
    const int from = 1 - to;
    ends_[from].unheard += bytes.size();
    if (Answered(from)) {
      OnAnswer(from);
    } else {
      AwaitAnswer(from);
    }
    end.listener->OnData(bytes);
  } else if (end.fin_received && !end.end_told) {
    end.end_told = true;
    end.listener->OnEnd();
    if (end.connection != nullptr && end.fin_sent) {
      Break(to, absl::OkStatus());
    }
    return;
  }
  Deliver(to);
}

void Stream::Break(int which, const absl::Status& reason) {
  End& end = ends_[which];
  if (end.broken) return;
  end.broken = true;
  end.reason = reason;
  end.queue.Clear();
  TellClosed(which);
}

// Once it is broken and has somebody to tell.
void Stream::TellClosed(int which) {
  End& end = ends_[which];
  if (!end.broken || end.close_told || end.connection == nullptr) return;
  end.close_told = true;
  end.process->Later(io::Duration::zero(), "closed",
                     [self = shared_from_this(), which] {
                       End& end = self->ends_[which];
                       if (end.connection == nullptr) return;
                       if (end.listener != nullptr)
                         return end.listener->OnClosed(end.reason);
                       end.close_told = false;  // When it has a listener.
                     });
}

// What is on the way still arrives; what is queued does not. A process that
// vanished with its host says nothing: the peer finds out when it has waited
// long enough.
void Stream::OnDestroyed(int which) {
  End& end = ends_[which];
  end.connection = nullptr;
  end.gone = true;
  end.listener = nullptr;
  end.queue.Clear();
  const bool over = end.fin_sent && end.fin_received;
  if (end.broken || over) return;
  if (end.process->can_speak()) return Send(which, Packet::kReset, "");
  BreakWhenNoticed(1 - which);
}

}  // namespace quorate::sim
