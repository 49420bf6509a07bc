// How fast histories are checked: of the sizes of those that Porcupine is
// measured with (a register in etcd under Jepsen, a key/value store of 10 and
// 50 clients).

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "io/random.h"
#include "sim/checkers/linearizability.h"
#include "sim/checkers/testing/histories.h"

namespace quorate::sim {
namespace {

void Check(benchmark::State& state, const HistoryShape& shape, bool stale) {
  io::SeededRandom random(1);
  std::vector<std::vector<Call>> histories;
  while (histories.size() < 20) {
    std::vector<Call> calls = DrawHistory(random, shape);
    if (stale && !PlantStaleRead(random, calls)) continue;
    histories.push_back(std::move(calls));
  }
  const SequentialModel model =
      shape.key_value ? KeyValueModel() : RegisterModel();
  const auto expected = stale ? LinearizabilityVerdict::Kind::kViolation
                              : LinearizabilityVerdict::Kind::kLinearizable;
  size_t next = 0;
  for (auto _ : state) {
    const auto verdict =
        CheckLinearizable(model, histories[next++ % histories.size()], {});
    if (verdict.kind != expected) state.SkipWithError("the wrong verdict");
  }
  const auto checked = static_cast<double>(state.iterations());
  state.counters["histories/s"] =
      benchmark::Counter(checked, benchmark::Counter::kIsRate);
  state.counters["calls/s"] = benchmark::Counter(
      checked * static_cast<double>(shape.calls), benchmark::Counter::kIsRate);
}

void EtcdLike(benchmark::State& state) {
  Check(state, {.calls = 170, .clients = 5, .unknown = 20}, false);
}
void EtcdLikeStale(benchmark::State& state) {
  Check(state, {.calls = 170, .clients = 5, .unknown = 20}, true);
}
void KeyValueTenClients(benchmark::State& state) {
  Check(state, {.calls = 1000, .clients = 10, .keys = 10, .key_value = true},
        false);
}
void KeyValueFiftyClients(benchmark::State& state) {
  Check(state, {.calls = 5000, .clients = 50, .keys = 50, .key_value = true},
        false);
}

BENCHMARK(EtcdLike)->Unit(benchmark::kMicrosecond);
BENCHMARK(EtcdLikeStale)->Unit(benchmark::kMicrosecond);
BENCHMARK(KeyValueTenClients)->Unit(benchmark::kMicrosecond);
BENCHMARK(KeyValueFiftyClients)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace quorate::sim

BENCHMARK_MAIN();
