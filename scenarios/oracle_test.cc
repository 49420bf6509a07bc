// The oracle has both to say, and often: a story in which a log always must go
// on, or never can, would prove little.

#include <glog/logging.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "core/base/planted_bugs.h"
#include "gtest/gtest.h"
#include "scenarios/scenario.h"
#include "sim/checkers/recoverability.h"

namespace quorate::scenarios {
namespace {

class Listener final : public sim::Spectator {
 public:
  void OnNote(const Note& note) override {
    if (note.who == "oracle") ++said[note.what];
  }
  std::map<std::string, int> said;
};

const Scenario& Story() {
  const auto story =
      std::find_if(All().begin(), All().end(), [](const Scenario& scenario) {
        return scenario.name == "Storm.OfEverything";
      });
  CHECK(story != All().end());
  return *story;
}

TEST(OracleTest, SaysMustAndMustNot) {
  FLAGS_minloglevel = google::FATAL;
  Listener listener;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Outcome outcome =
        scenarios::Run(Story(), seed, {.spectator = &listener});
    ASSERT_FALSE(outcome.failure) << *outcome.failure;
  }
  const auto times = [&](sim::Recovery recovery) {
    return listener.said[ToString(recovery)];
  };
  // Each run begins with one that must go on.
  EXPECT_GT(times(sim::Recovery::kMust), 200 + 50);
  EXPECT_GT(times(sim::Recovery::kMay), 10);
  EXPECT_GT(times(sim::Recovery::kMustNot), 20);
  for (const auto& [said, count] : listener.said) {
    std::printf("%s: %d\n", said.c_str(), count);
  }
}

// Damaged records that count as empty are decided anew.
TEST(OracleTest, TheStoryFindsALogThatForgetsWhatItHasLost) {
  FLAGS_minloglevel = google::FATAL;
  std::string finding;
  Plant(Bug::kDamagedIsNone);
  for (uint64_t seed = 1; seed <= 200 && finding.empty(); ++seed) {
    const Outcome outcome = scenarios::Run(Story(), seed);
    if (outcome.failure) finding = *outcome.failure;
  }
  Plant(Bug::kNone);
  EXPECT_NE(finding, "");
}

}  // namespace
}  // namespace quorate::scenarios
