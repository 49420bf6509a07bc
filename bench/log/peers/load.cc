#include "bench/log/peers/load.h"

#include <iostream>
#include <limits>

#include "absl/strings/str_format.h"

namespace quorate::bench {

LoadOptions::LoadOptions(const Arguments& arguments)
    : servers(arguments.Text("servers")),
      value(arguments.Number("size", 128), 'x'),
      outstanding(arguments.Number("outstanding", 1)),
      count(arguments.Number("count", std::numeric_limits<uint64_t>::max())),
      seconds(arguments.Seconds("seconds", arguments.Has("count") ? 1e6 : 3)),
      patience(arguments.Seconds("patience", 10)),
      acks(arguments.Has("acks")) {
  if (outstanding == 0) Die("--outstanding must be at least 1");
}

Load::Load(const LoadOptions& options) : options_(options) {}

bool Load::Over() const {
  return begun_ >= options_.count ||
         (begun_ > 0 && Clock::now() - start_ >= options_.seconds);
}

bool Load::Next(uint64_t* number) {
  if (begun_ - samples_.count() >= options_.outstanding || Over()) return false;
  if (begun_ == 0) start_ = Clock::now();
  *number = begun_++;
  return true;
}

void Load::Acknowledged(Clock::time_point started) {
  last_ = Clock::now();
  samples_.Add(last_ - started);
  if (!options_.acks) return;
  const std::chrono::duration<double> time = last_.time_since_epoch();
  std::cout << absl::StrFormat("%.6f", time.count()) << std::endl;
}

bool Load::finished() const { return begun_ == samples_.count() && Over(); }

std::string Load::Result() { return samples_.Json(last_ - start_); }

}  // namespace quorate::bench
