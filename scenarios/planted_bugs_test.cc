// Deliberate mistakes in the replicated log make its scenarios fail: proof
// that they could.

#include "core/base/planted_bugs.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {
namespace {

constexpr uint64_t kSeeds = 200;

// And the story that finds it soonest.
struct Case {
  Bug bug;
  const char* story;
};

const Scenario& Story(const std::string& name) {
  for (const Scenario& scenario : All()) {
    if (scenario.name == name) return scenario;
  }
  ADD_FAILURE() << name << " is not linked";
  return All().front();
}

class PlantedBugs : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { Plant(Bug::kNone); }
};

TEST_P(PlantedBugs, IsFound) {
  const Scenario& story = Story(GetParam().story);
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Plant(GetParam().bug);
    const Outcome outcome = scenarios::Run(story, seed);
    if (!outcome.failure) continue;
    EXPECT_TRUE(absl::StrContains(
        *outcome.failure,
        absl::StrCat("./dev sim --scenario=", story.name, " --seed=", seed)))
        << *outcome.failure;
    // It is the bug's fault.
    Plant(Bug::kNone);
    EXPECT_FALSE(scenarios::Run(story, seed).failure);
    return;
  }
  FAIL() << "not found with " << kSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Log, PlantedBugs,
    testing::Values(
        Case{Bug::kPromiseBeforeDurable, "Log.TheOnlyWitnessLosesItsPower"},
        Case{Bug::kWriteAckBeforeDurable, "Log.TheOnlyWitnessLosesItsPower"},
        Case{Bug::kAcceptKeepsPromise, "Log.ThreeReplicasInAStorm"}));

}  // namespace
}  // namespace quorate::scenarios
