// Time, as the logic sees it.
//
// All of Quorate's logic reads time and sets timers through a Clock, so that
// the same code runs against the machine's clocks or in virtual time:
//
//   class Pinger {
//     void Arm() { timer_ = clock_.RunAfter(15s, [this] { OnTick(); }); }
//     io::Timer timer_;  // cancels when the Pinger goes away
//   };
//
// Timers run on the event loop that owns the clock, one at a time, never from
// inside RunAfter. Timers due at the same instant run in order of creation.

#ifndef QUORATE_IO_CLOCK_H_
#define QUORATE_IO_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

namespace quorate::io {

using Duration = std::chrono::nanoseconds;

// Tags for std::chrono::time_point; they are never asked for the time
// themselves, a Clock is.
struct MonotonicTag {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicTag, Duration>;
  static constexpr bool is_steady = true;
};
struct WallTag {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<WallTag, Duration>;
  static constexpr bool is_steady = false;
};

// A point on this process' monotonic clock. Meaningless in another process.
using Instant = MonotonicTag::time_point;

// Nanoseconds since 1970-01-01 UTC. May jump; never used for safety.
using WallTime = WallTag::time_point;

// Seconds since the Unix epoch with fraction, as the Mesos APIs print time.
inline double ToUnixSeconds(WallTime t) {
  return std::chrono::duration<double>(t.time_since_epoch()).count();
}

class Clock;

// Owns one pending timer. Destroying, resetting or moving over it cancels.
// A default-constructed Timer owns nothing.
class Timer {
 public:
  Timer() = default;
  Timer(Clock* clock, uint64_t id) : clock_(clock), id_(id) {}
  Timer(Timer&& other) noexcept
      : clock_(std::exchange(other.clock_, nullptr)), id_(other.id_) {}
  Timer& operator=(Timer&& other) noexcept;
  ~Timer() { Cancel(); }

  // Nothing happens if the timer has run or was cancelled.
  void Cancel();

 private:
  Clock* clock_ = nullptr;
  uint64_t id_ = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;

  virtual Instant Now() const = 0;
  virtual WallTime WallNow() const = 0;

  // Runs `callback` once, at least `delay` from now; a delay of zero or less
  // means at the next turn of the loop. The clock must outlive the timer.
  [[nodiscard]] Timer RunAfter(Duration delay, std::function<void()> callback) {
    return Timer(this, Schedule(delay, std::move(callback)));
  }

 protected:
  friend class Timer;
  // Returns an id that is never reused. Cancel of a finished id does nothing.
  virtual uint64_t Schedule(Duration delay, std::function<void()> callback) = 0;
  virtual void Cancel(uint64_t id) = 0;
};

inline void Timer::Cancel() {
  if (Clock* clock = std::exchange(clock_, nullptr)) clock->Cancel(id_);
}

inline Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    Cancel();
    clock_ = std::exchange(other.clock_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

}  // namespace quorate::io

#endif  // QUORATE_IO_CLOCK_H_
