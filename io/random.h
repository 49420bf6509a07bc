// Randomness: seeded from the system in production, from the run's seed in
// the simulator, where each process and subsystem has a stream of its own.

#ifndef QUORATE_IO_RANDOM_H_
#define QUORATE_IO_RANDOM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "io/clock.h"

namespace quorate::io {

class Random {
 public:
  virtual ~Random() = default;

  virtual uint64_t Next() = 0;

  // An independent stream: drawing from it does not shift this one, and the
  // same name gives the same stream again.
  virtual std::unique_ptr<Random> Split(absl::string_view name) const = 0;

  // Uniform in [0, bound); bound must be positive.
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high); low when the interval is empty.
  Duration Between(Duration low, Duration high);
  // Uniform in [0, 1).
  double Fraction();
  // Random (version 4) UUID, 16 raw bytes, and its 36-character text form.
  std::string UuidBytes();
  std::string Uuid();
};

// SplitMix64-seeded xoshiro256**: fast, and the same on every compiler.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed);
  uint64_t Next() override;
  std::unique_ptr<Random> Split(absl::string_view name) const override;

 private:
  uint64_t seed_;
  uint64_t state_[4];
};

// 16 raw bytes -> "93e49cb6-0d38-4a2f-8e28-d3b35e17d7b0".
std::string UuidText(absl::string_view bytes);

}  // namespace quorate::io

#endif  // QUORATE_IO_RANDOM_H_
