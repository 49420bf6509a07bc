#include "sim/link.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/machine.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

// With its headers.
constexpr size_t kHeaderBytes = 40;
constexpr io::Duration kMaxRepeat = std::chrono::minutes(2);
constexpr io::Duration kShortestFlap = std::chrono::milliseconds(50);
constexpr io::Duration kLongestFlap = std::chrono::seconds(10);

}  // namespace

io::Duration Exponential(io::Duration mean, io::Random& random) {
  const double factor = -std::log(1.0 - random.Fraction());
  return io::Duration(static_cast<io::Duration::rep>(
      static_cast<double>(mean.count()) * factor));
}

Link::Link(World& world, std::string from, std::string to)
    : world_(world),
      from_(std::move(from)),
      to_(std::move(to)),
      loopback_(from_ == to_) {}

void Link::SetCut(bool cut) {
  if (loopback_) return;
  if (cut) {
    world_.Note(NameOf(from_), "is cut off from", "", NameOf(to_));
  } else if (cut_) {
    world_.Note(NameOf(from_), "reaches again", "", NameOf(to_));
  }
  ShowCut(cut);
  cut_ = cut;
}

void Link::ShowCut(bool cut) {
  if (cut == cut_ || world_.spectator == nullptr) return;
  world_.Span(NameOf(from_), absl::StrCat("cut off from ", NameOf(to_)), cut);
}

// Of the host with that address, or the address.
std::string Link::NameOf(const std::string& ip) const {
  const Host* host =
      world_.network == nullptr ? nullptr : world_.network->Find(ip);
  return host == nullptr ? ip : host->name();
}

void Link::Cut() {
  ++flapping_;
  SetCut(true);
}

void Link::Mend() {
  ++flapping_;
  SetCut(false);
}

bool Link::Heal() {
  ++flapping_;
  ShowCut(false);
  return std::exchange(cut_, false);
}

void Link::Flap() { Toggle(++flapping_); }

void Link::Toggle(uint64_t flapping) {
  if (flapping != flapping_) return;
  SetCut(!cut_);
  // Short and long times alike.
  const io::Duration shortest = kShortestFlap * (1 << fate().Below(8));
  const io::Duration time =
      fate().Between(shortest, std::min(2 * shortest, kLongestFlap));
  world_.After(time, "flap", [this, flapping] { Toggle(flapping); });
}

void Link::SetOptions(const LinkOptions& options) {
  CHECK_LE(options.loss, 0.5) << "nothing would ever get through";
  if (loopback_) return;
  options_ = options;
  slowness_counted_ = false;
  plain_ = options_ == LinkOptions{} && clogged_until_ <= world_.now();
}

void Link::Clog(io::Duration time) {
  if (loopback_) return;
  clogged_until_ = std::max(clogged_until_, world_.now() + time);
  clog_counted_ = false;
  plain_ = false;
}

bool Link::Clear() {
  options_ = {};
  busy_until_ = clogged_until_ = io::Instant();
  loses_first_bytes_ = false;
  return !std::exchange(plain_, true);
}

bool Link::TakeLosesFirstBytes() {
  return std::exchange(loses_first_bytes_, false);
}

io::Random& Link::fate() {
  if (random_ == nullptr) {
    random_ = world_.NewRandom(absl::StrCat("link ", from_, " ", to_));
  }
  return *random_;
}

io::Duration Link::DrawDelay(size_t bytes, io::Duration repeat) {
  io::Duration delay = options_.latency;
  if (options_.jitter > io::Duration::zero()) {
    delay += Exponential(options_.jitter, fate());
  }
  if (options_.loss > 0) delay += Repeats(repeat);
  if (options_.bytes_per_second > 0) delay += QueueFor(bytes + kHeaderBytes);
  const io::Instant now = world_.now();
  if (clogged_until_ > now) {
    if (!std::exchange(clog_counted_, true)) {
      world_.Took(Fault::kClog, from_);
    }
    delay += clogged_until_ - now;
  }
  return delay;
}

// How long it takes until a sending is not lost.
io::Duration Link::Repeats(io::Duration first) {
  io::Duration waited{};
  io::Duration repeat = first;
  while (fate().Fraction() < options_.loss) {
    world_.Took(Fault::kSegmentStalled, from_);
    waited += repeat;
    repeat = std::min(2 * repeat, kMaxRepeat);
  }
  return waited;
}

// How long it takes until all of it, and what came before, is sent.
io::Duration Link::QueueFor(size_t bytes) {
  if (!std::exchange(slowness_counted_, true)) {
    world_.Took(Fault::kSlowLink, from_);
  }
  const uint64_t ns = bytes * 1'000'000'000 / options_.bytes_per_second;
  busy_until_ = std::max(busy_until_, world_.now()) +
                io::Duration(static_cast<io::Duration::rep>(ns));
  return busy_until_ - world_.now();
}

}  // namespace quorate::sim
