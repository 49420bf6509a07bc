// Lets so many of a kind through in a time, at even distances, in the order in
// which they ask.
//
//   RateLimiter limiter(clock, RateLimit{1, minutes(10)});
//   limiter.Acquire(agent_id, [&] { Remove(agent_id); });
//   limiter.Cancel(agent_id);   // it is back

#ifndef QUORATE_CORE_MASTER_RATE_LIMITER_H_
#define QUORATE_CORE_MASTER_RATE_LIMITER_H_

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "io/clock.h"

namespace quorate::master {

struct RateLimit {
  int permits = 1;
  io::Duration period = std::chrono::seconds(1);
};

class RateLimiter {
 public:
  // Without a limit everybody passes at once. `clock` outlives the limiter.
  RateLimiter(io::Clock& clock, std::optional<RateLimit> limit);

  // Calls `granted` when it is the turn of `id`, which does not wait yet: now,
  // or from the event loop.
  void Acquire(const std::string& id, std::function<void()> granted);
  // It does not want to pass any more. False when it does not wait.
  bool Cancel(const std::string& id);

  size_t waiting() const { return queue_.size(); }

 private:
  void Arm();

  io::Clock& clock_;
  const io::Duration distance_;
  io::Instant next_;  // Nobody passes before.
  std::deque<std::pair<std::string, std::function<void()>>> queue_;
  io::Timer timer_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_RATE_LIMITER_H_
