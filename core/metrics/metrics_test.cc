#include "core/metrics/metrics.h"

#include <gtest/gtest.h>

namespace quorate::metrics {
namespace {

TEST(MetricsTest, OneFlatObjectSortedByName) {
  Metrics metrics;
  double level = 0.5;
  Counter& launched = metrics.AddCounter("slave/tasks_launched");
  metrics.AddGauge("master/elected", [&] { return level; });
  ++launched;
  ++launched;
  EXPECT_EQ(metrics.ToJson(),
            R"({"master/elected":0.5,"slave/tasks_launched":2.0})");

  level = 1;
  EXPECT_EQ(metrics.Snapshot().at("master/elected"), 1);
}

TEST(MetricsTest, ACounterIsSharedByItsName) {
  Metrics metrics;
  ++metrics.AddCounter("a");
  ++metrics.AddCounter("a");
  EXPECT_EQ(metrics.ToJson(), R"({"a":2.0})");
}

TEST(MetricsDeathTest, NamesAreUsedOnce) {
  Metrics metrics;
  metrics.AddGauge("a", [] { return 1.0; });
  EXPECT_DEATH(metrics.AddGauge("a", [] { return 2.0; }), "two metrics");
}

}  // namespace
}  // namespace quorate::metrics
