// The oracle has both to say, and often: a story in which a log always must go
// on, or never can, would prove little.

#include <glog/logging.h>

#include <cstdio>
#include <map>
#include <string>

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

TEST(OracleTest, SaysMustAndMustNot) {
  FLAGS_minloglevel = google::FATAL;
  Listener listener;
  for (const Scenario& scenario : All()) {
    if (scenario.name != "Storm.OfEverything") continue;
    for (uint64_t seed = 1; seed <= 200; ++seed) {
      const Outcome outcome =
          scenarios::Run(scenario, seed, {.spectator = &listener});
      ASSERT_FALSE(outcome.failure) << *outcome.failure;
    }
  }
  const auto times = [&](sim::Recovery recovery) {
    return listener.said[ToString(recovery)];
  };
  // Each run begins with one that must go on.
  EXPECT_GT(times(sim::Recovery::kMust), 200 + 50);
  EXPECT_GT(times(sim::Recovery::kMay), 10);
  EXPECT_GT(times(sim::Recovery::kMustNot), 20);
  for (const auto& [said, count] : listener.said) {
    RecordProperty(said, count);
    std::printf("%s: %d\n", said.c_str(), count);
  }
}

}  // namespace
}  // namespace quorate::scenarios
