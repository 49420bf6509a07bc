#include "sim/checkers/queue_bounds.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace quorate::sim {

void QueueBounds::Sample(const std::string& who,
                         const std::vector<QueueSize>& queues) {
  std::map<absl::string_view, History>& histories = histories_[who];
  for (const QueueSize& queue : queues) {
    Extent& extent = extents_[queue.name];
    extent.peak = std::max(extent.peak, queue.size);
    extent.limit = std::min(extent.limit, queue.limit);
    if (queue.size > queue.limit) {
      return world_.Fail(absl::StrCat(who, " has ", queue.size, " ", queue.name,
                                      "; the limit is ", queue.limit));
    }
    if (!queue.fills) CheckGrowth(who, queue, &histories[queue.name]);
  }
}

void QueueBounds::CheckGrowth(const std::string& who, const QueueSize& queue,
                              History* known) {
  History& history = *known;
  if (world_.now() < history.window_ends) {
    history.lowest = std::min(history.lowest, queue.size);
    return;
  }
  history.rising = history.lowest > history.former ? history.rising + 1 : 0;
  if (history.rising >= kRisingWindows) {
    world_.Fail(absl::StrCat(who, " has ever more ", queue.name, ", ",
                             history.lowest, " by now"));
  }
  history.former = history.lowest;
  history.lowest = queue.size;
  history.window_ends = world_.now() + kWindow;
}

size_t QueueBounds::Peak(const std::string& name) const {
  auto extent = extents_.find(name);
  return extent == extents_.end() ? 0 : extent->second.peak;
}

std::string QueueBounds::Peaks() const {
  std::string peaks;
  for (const auto& [name, extent] : extents_) {
    absl::StrAppend(&peaks, peaks.empty() ? "" : ", ", name, " ", extent.peak,
                    " of ", extent.limit);
  }
  return peaks;
}

}  // namespace quorate::sim
