// The seeds that once failed, which are run again for ever:
// scenarios/seeds.txt.

#ifndef QUORATE_SCENARIOS_KEPT_SEEDS_H_
#define QUORATE_SCENARIOS_KEPT_SEEDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "scenarios/extra_fault.h"

namespace quorate::scenarios {

struct KeptSeed {
  std::string story;
  uint64_t seed = 0;
  std::optional<ExtraFault> extra_fault;
  std::string why;
};

// Lines "STORY SEED WHY", or "STORY SEED/STEP:KIND:TARGET WHY"; '#' begins a
// comment line. The error names the line: what it lacks, or that there is no
// such story.
absl::StatusOr<std::vector<KeptSeed>> ParseKeptSeeds(absl::string_view text);

// Runs it; what it fails with, if it does.
std::optional<std::string> RunKeptSeed(const KeptSeed& kept);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_KEPT_SEEDS_H_
