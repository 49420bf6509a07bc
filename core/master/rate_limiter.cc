#include "core/master/rate_limiter.h"

#include <algorithm>

namespace quorate::master {

RateLimiter::RateLimiter(io::Clock& clock, std::optional<RateLimit> limit)
    : clock_(clock),
      distance_(limit ? limit->period / limit->permits : io::Duration::zero()),
      next_(clock.Now()) {}

void RateLimiter::Acquire(const std::string& id,
                          std::function<void()> granted) {
  if (queue_.empty() && clock_.Now() >= next_) {
    next_ = clock_.Now() + distance_;
    return granted();
  }
  queue_.emplace_back(id, std::move(granted));
  if (queue_.size() == 1) Arm();
}

bool RateLimiter::Cancel(const std::string& id) {
  const auto waiting =
      std::find_if(queue_.begin(), queue_.end(),
                   [&](const auto& entry) { return entry.first == id; });
  if (waiting == queue_.end()) return false;
  queue_.erase(waiting);
  if (queue_.empty()) timer_.Cancel();
  return true;
}

void RateLimiter::Arm() {
  timer_ = clock_.RunAfter(next_ - clock_.Now(), [this] {
    const std::function<void()> granted = std::move(queue_.front().second);
    queue_.pop_front();
    next_ = clock_.Now() + distance_;
    if (!queue_.empty()) Arm();
    granted();
  });
}

}  // namespace quorate::master
