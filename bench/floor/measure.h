// What the load generators share: command line, clock, latencies, their result.

#ifndef QUORATE_BENCH_FLOOR_MEASURE_H_
#define QUORATE_BENCH_FLOOR_MEASURE_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quorate::bench {

// CLOCK_MONOTONIC, whose zero all processes of this machine share.
using Clock = std::chrono::steady_clock;

// Ends the program with 1 and a message on standard error.
[[noreturn]] void Die(absl::string_view message);

// --name=value, and --name alone for "true". Ends the program for anything
// else, and for a number that is none.
class Arguments {
 public:
  Arguments(int argc, char** argv);

  bool Has(absl::string_view name) const;
  // Ends the program if it was not given.
  std::string Text(absl::string_view name) const;
  uint64_t Number(absl::string_view name, uint64_t otherwise) const;
  Clock::duration Seconds(absl::string_view name, double otherwise) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// Latencies of acknowledged appends.
class Samples {
 public:
  // That many appends, acknowledged together.
  void Add(Clock::duration latency, uint64_t count = 1);

  uint64_t count() const { return micros_.size(); }

  // {"appends_per_s":..,"p50_us":..,"p99_us":..,"p999_us":..,"count":..}
  std::string Json(Clock::duration elapsed);

 private:
  float Percentile(double fraction) const;

  std::vector<float> micros_;
};

}  // namespace quorate::bench

#endif  // QUORATE_BENCH_FLOOR_MEASURE_H_
