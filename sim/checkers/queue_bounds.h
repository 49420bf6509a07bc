// No queue grows without a limit.
//
// * Each queue and buffer stays within the limit that it names, whenever it is
//   looked at.
// * Under a constant load none only grows: its lowest size in a minute is not
//   above that of the minute before for ten minutes in a row. Those that fill
//   up by design, as histories do, are exempt.
//
//   bounds.Sample("master0", master.queues());      // each simulated second

#ifndef QUORATE_SIM_CHECKERS_QUEUE_BOUNDS_H_
#define QUORATE_SIM_CHECKERS_QUEUE_BOUNDS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/queue_size.h"
#include "sim/world.h"

namespace quorate::sim {

class QueueBounds {
 public:
  static constexpr io::Duration kWindow = std::chrono::minutes(1);
  static constexpr int kRisingWindows = 10;

  // `world` outlives the checker; a violation fails its run.
  explicit QueueBounds(World& world) : world_(world) {}

  void Sample(const std::string& who, const std::vector<QueueSize>& queues);

  // The largest that a queue of that name has been, of anybody.
  size_t Peak(const std::string& name) const;
  // The name of each queue with its peak and the least of its limits.
  std::string Peaks() const;

 private:
  struct History {
    io::Instant window_ends;
    size_t lowest = 0;  // In this window.
    size_t former = 0;  // The lowest in the one before.
    int rising = 0;     // Windows in a row.
  };
  struct Extent {
    size_t peak = 0;
    size_t limit = SIZE_MAX;
  };

  void CheckGrowth(const std::string& who, const QueueSize& queue,
                   History* history);

  World& world_;
  // By whose they are and name; names are literals.
  std::map<std::string, std::map<absl::string_view, History>> histories_;
  std::map<absl::string_view, Extent> extents_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_QUEUE_BOUNDS_H_
