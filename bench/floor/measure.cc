#include "bench/floor/measure.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quorate::bench {
namespace {

double InSeconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

void Die(absl::string_view message) {
  std::cerr << message << std::endl;
  std::exit(1);
}

Arguments::Arguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (!absl::ConsumePrefix(&argument, "--")) {
      Die(absl::StrCat("not an option: ", argv[i]));
    }
    const size_t equals = argument.find('=');
    const bool alone = equals == absl::string_view::npos;
    values_[std::string(argument.substr(0, equals))] =
        alone ? "true" : std::string(argument.substr(equals + 1));
  }
}

bool Arguments::Has(absl::string_view name) const {
  return values_.count(std::string(name)) != 0;
}

std::string Arguments::Text(absl::string_view name) const {
  const auto found = values_.find(std::string(name));
  if (found == values_.end()) Die(absl::StrCat("--", name, " is missing"));
  return found->second;
}

uint64_t Arguments::Number(absl::string_view name, uint64_t otherwise) const {
  if (!Has(name)) return otherwise;
  uint64_t value = 0;
  if (!absl::SimpleAtoi(Text(name), &value)) {
    Die(absl::StrCat("--", name, " needs a number"));
  }
  return value;
}

Clock::duration Arguments::Seconds(absl::string_view name,
                                   double otherwise) const {
  double value = otherwise;
  if (Has(name) && !absl::SimpleAtod(Text(name), &value)) {
    Die(absl::StrCat("--", name, " needs a number of seconds"));
  }
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(value));
}

void Samples::Add(Clock::duration latency, uint64_t count) {
  const float micros =
      std::chrono::duration<float, std::micro>(latency).count();
  micros_.insert(micros_.end(), count, micros);
}

float Samples::Percentile(double fraction) const {
  if (micros_.empty()) return 0;
  const auto index = static_cast<size_t>(fraction * (micros_.size() - 1) + 0.5);
  return micros_[index];
}

std::string Samples::Json(Clock::duration elapsed) {
  std::sort(micros_.begin(), micros_.end());
  const double seconds = InSeconds(elapsed);
  return absl::StrFormat(
      "{\"appends_per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
      "\"p999_us\":%.1f,\"count\":%d}",
      seconds > 0 ? count() / seconds : 0, Percentile(0.5), Percentile(0.99),
      Percentile(0.999), count());
}

}  // namespace quorate::bench
