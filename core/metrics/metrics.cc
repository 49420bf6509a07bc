#include "core/metrics/metrics.h"

#include <glog/logging.h>

#include <utility>

#include "core/json/writer.h"

namespace quorate::metrics {

Counter& Metrics::AddCounter(absl::string_view name) {
  CHECK(gauges_.find(std::string(name)) == gauges_.end()) << name;
  return counters_[std::string(name)];
}

void Metrics::AddGauge(absl::string_view name, Gauge gauge) {
  CHECK(counters_.find(std::string(name)) == counters_.end()) << name;
  const bool added =
      gauges_.emplace(std::string(name), std::move(gauge)).second;
  CHECK(added) << "two metrics are called " << name;
}

std::map<std::string, double> Metrics::Snapshot() const {
  std::map<std::string, double> values;
  for (const auto& [name, counter] : counters_) {
    values[name] = static_cast<double>(counter.value());
  }
  for (const auto& [name, gauge] : gauges_) values[name] = gauge();
  return values;
}

std::string Metrics::ToJson() const {
  std::string text;
  json::JsonWriter writer(&text);
  writer.StartObject();
  for (const auto& [name, value] : Snapshot()) writer.Key(name).Double(value);
  writer.EndObject();
  return text;
}

}  // namespace quorate::metrics
