// One direction of the way between two hosts: whether it is cut, and what else
// is wrong with it.

#ifndef QUORATE_SIM_LINK_H_
#define QUORATE_SIM_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "io/clock.h"
#include "io/random.h"
#include "sim/world.h"

namespace quorate::sim {

// What a link adds to the options of the whole network.
struct LinkOptions {
  // To the latency of each segment: this, and an exponentially distributed
  // part with that mean.
  io::Duration latency{};
  io::Duration jitter{};
  // How likely one sending of a segment is to be lost, up to 0.5. TCP repeats
  // it after a time that doubles, and everything behind it waits.
  double loss = 0;
  // Shared by all connections; segments queue for it. 0: no limit.
  uint64_t bytes_per_second = 0;

  friend bool operator==(const LinkOptions&, const LinkOptions&) = default;
};

class Link {
 public:
  // How soon TCP repeats what is lost, at first.
  static constexpr io::Duration kRepeatSegment = std::chrono::milliseconds(200);
  static constexpr io::Duration kRepeatSyn = std::chrono::seconds(1);

  // Of addresses. `world` outlives the link.
  Link(World& world, std::string from, std::string to);

  const std::string& from() const { return from_; }
  const std::string& to() const { return to_; }
  // Within one host; nothing ever goes wrong there.
  bool loopback() const { return loopback_; }
  bool cut() const { return cut_; }

  // Each ends flapping.
  void Cut();
  void Mend();
  // As Mend, without a note; whether it was cut.
  bool Heal();
  // Is cut and mended again and again, each for 50 ms to 10 s.
  void Flap();

  void SetOptions(const LinkOptions& options);
  // What is sent from now on does not arrive before that time is over.
  void Clog(io::Duration time);
  // No options, no clog. Whether there were any.
  bool Clear();

  // The next connection over it loses what is first sent on it.
  void LoseFirstBytes() { loses_first_bytes_ = !loopback_; }
  bool TakeLosesFirstBytes();

  // How much later than over a link without options what is sent now arrives.
  io::Duration Delay(size_t bytes, io::Duration repeat) {
    return plain_ ? io::Duration::zero() : DrawDelay(bytes, repeat);
  }

 private:
  void SetCut(bool cut);
  void ShowCut(bool cut);
  std::string NameOf(const std::string& ip) const;
  void Toggle(uint64_t flapping);
  io::Duration DrawDelay(size_t bytes, io::Duration repeat);
  io::Duration Repeats(io::Duration first);
  io::Duration QueueFor(size_t bytes);
  io::Random& fate();

  World& world_;
  const std::string from_;
  const std::string to_;
  const bool loopback_;
  bool cut_ = false;
  bool plain_ = true;
  bool loses_first_bytes_ = false;
  bool slowness_counted_ = false;
  bool clog_counted_ = false;
  uint64_t flapping_ = 0;  // Counts what began or ended it.
  LinkOptions options_;
  io::Instant busy_until_;
  io::Instant clogged_until_;
  std::unique_ptr<io::Random> random_;  // Null before it is needed.
};

// An exponentially distributed time.
io::Duration Exponential(io::Duration mean, io::Random& random);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_LINK_H_
