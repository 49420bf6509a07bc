// The clocks of a simulated host. They follow the world's time, unless they are
// told to be wrong:
//
//   host.clock().SetDrift(50'000);   // both run 5 % fast from now on
//   host.clock().SetWallOffset(24h);
//   host.clock().JumpWall(-1s);      // a leap second
//   host.clock().Correct();          // as by NTP
//
// The monotonic clock never goes back and stands still while the host sleeps;
// the wall clock may do anything. Programs read both through io::Clock alone.

#ifndef QUORATE_SIM_HOST_CLOCK_H_
#define QUORATE_SIM_HOST_CLOCK_H_

#include <cstdint>
#include <string>

#include "io/clock.h"
#include "sim/world.h"

namespace quorate::sim {

class HostClock {
 public:
  static constexpr int kMaxDriftPpm = 200'000;

  // `world` outlives the clock; `host` is its name in traces.
  HostClock(World& world, std::string host);

  io::Instant Now() const {
    return plain_ ? world_.now() : asleep_ ? fell_asleep_ : Running() - slept_;
  }
  io::WallTime WallNow() const;

  // When Now will be `local` if nothing changes; while the host sleeps: if it
  // woke at once. The same `local` gives the same time, whenever it is asked.
  io::Instant WhenItIs(io::Instant local) const;

  // How far the wall clock is off, now; replaces every earlier error of it.
  void SetWallOffset(io::Duration offset);
  void JumpWall(io::Duration by);
  // It stands still, or is as wrong again as it would have become.
  void FreezeWall(bool frozen);
  // How much faster both clocks run than the world, in millionths.
  void SetDrift(int ppm);
  // The wall clock is right and nothing drifts. What the monotonic clock has
  // gained or lost stays.
  void Correct();

  void Sleep();
  void Wake();

  // A program has read the wall clock, or a timer of it has run: what is wrong
  // with the clock has taken effect.
  void OnWallRead() {
    if (wall_error_unseen_) CountWallErrors();
  }
  void OnTimer() {
    if (drift_unseen_) CountDrift();
  }

 private:
  // Since the last change of the rate, in drifted time.
  io::Instant Running() const;
  void Rebase();
  void CountWallErrors();
  void CountDrift();

  World& world_;
  const std::string host_;
  bool plain_ = true;  // The monotonic clock is the world's.
  // At the world's time `since_` the drifting time was `base_`.
  io::Instant since_;
  io::Instant base_;
  int ppm_ = 0;
  bool asleep_ = false;
  io::Instant fell_asleep_;  // by the monotonic clock
  io::Duration slept_{};
  io::Duration wall_offset_{};  // beyond what drift did to it
  bool wall_frozen_ = false;
  io::WallTime frozen_at_;
  bool wall_error_unseen_ = false;  // one of the next three
  bool offset_unseen_ = false;
  bool jump_unseen_ = false;
  bool freeze_unseen_ = false;
  bool drift_unseen_ = false;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_HOST_CLOCK_H_
