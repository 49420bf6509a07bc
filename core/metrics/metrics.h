// What a process counts, as monitoring tools read it from /metrics/snapshot.
//
//   metrics::Metrics metrics;
//   metrics::Counter& launched = metrics.AddCounter("master/tasks_launched");
//   metrics.AddGauge("master/elected", [&] { return leads ? 1.0 : 0.0; });
//   ++launched;
//   metrics.ToJson();   // {"master/elected":1.0,"master/tasks_launched":1.0}

#ifndef QUORATE_CORE_METRICS_METRICS_H_
#define QUORATE_CORE_METRICS_METRICS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace quorate::metrics {

// Only grows.
class Counter {
 public:
  void operator++() { ++value_; }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

class Metrics {
 public:
  using Gauge = std::function<double()>;

  // The counter of that name, which begins at 0; lives as long as this object.
  Counter& AddCounter(absl::string_view name);

  // Asked at each snapshot. Names are used once.
  void AddGauge(absl::string_view name, Gauge gauge);

  std::map<std::string, double> Snapshot() const;

  // One flat object, sorted by name.
  std::string ToJson() const;

 private:
  std::map<std::string, Counter> counters_;
  std::map<std::string, Gauge> gauges_;
};

}  // namespace quorate::metrics

#endif  // QUORATE_CORE_METRICS_METRICS_H_
