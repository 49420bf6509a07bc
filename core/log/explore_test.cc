// Explores every state that a few replicas can come to. Without flags within
// bounds that take seconds; --deep takes minutes and gigabytes.

#include "core/log/testing/explore.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "core/base/planted_bugs.h"

namespace quorate::log {
namespace {

using testing::Bounds;
using testing::Exploration;

bool deep = false;

std::string Trace(const Exploration& exploration) {
  std::string text = exploration.violation;
  for (const std::string& step : exploration.trace) text += "\n  " + step;
  return text;
}

struct Space {
  const char* name;
  Bounds bounds;
};

void PrintTo(const Space& space, std::ostream* out) { *out << space.name; }

const Bounds kElections{.last_position = 1, .rounds = 2};
const Bounds kConfiguration{.learners = "D",
                            .led_round = 2,
                            .last_position = 3,
                            .rounds = 2,
                            .configuration = "ABD"};

Bounds With(Bounds bounds, void (*change)(Bounds*)) {
  change(&bounds);
  return bounds;
}

class Spaces : public ::testing::TestWithParam<Space> {};

TEST_P(Spaces, AreSafe) {
  Bounds bounds = GetParam().bounds;
  bounds.max_states = deep ? 20000000 : 150000;
  const Exploration found = Explore(bounds);
  std::printf("%-24s %9lu states, %10lu steps, %7lu of machines%s\n",
              GetParam().name, found.states, found.steps, found.machine_steps,
              found.complete ? ", complete" : "");
  EXPECT_EQ(found.violation, "") << Trace(found);
}

INSTANTIATE_TEST_SUITE_P(
    Explore, Spaces,
    ::testing::Values(
        Space{"two_ballots", kElections},
        Space{"a_crash", With(kElections, [](Bounds* b) { b->crashes = 1; })},
        Space{"a_wipe", With(kElections, [](Bounds* b) { b->wipes = 1; })},
        Space{"a_damaged_record",
              With(kElections, [](Bounds* b) { b->damages = 1; })},
        Space{"two_positions",
              With(kElections, [](Bounds* b) { b->last_position = 2; })},
        Space{"three_ballots",
              With(kElections, [](Bounds* b) { b->rounds = 3; })},
        Space{"a_configuration", kConfiguration},
        Space{"everything", With(kConfiguration,
                                 [](Bounds* b) {
                                   b->rounds = 3;
                                   b->appends = b->crashes = b->wipes = 1;
                                   b->handshake = true;
                                 })}),
    [](const auto& info) { return std::string(info.param.name); });

struct Mistake {
  const char* name;
  Bug bug;
  Bounds bounds;
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

class Mistakes : public ::testing::TestWithParam<Mistake> {
 protected:
  ~Mistakes() override { Plant(Bug::kNone); }
};

TEST_P(Mistakes, AreFound) {
  Plant(GetParam().bug);
  Bounds bounds = GetParam().bounds;
  bounds.max_states = 1500000;
  const Exploration found = Explore(bounds);
  std::printf("%-24s %9lu states: %s after %zu steps\n", GetParam().name,
              found.states,
              found.violation.empty() ? "NOTHING" : found.violation.c_str(),
              found.trace.size());
  EXPECT_NE(found.violation, "");
}

INSTANTIATE_TEST_SUITE_P(
    Explore, Mistakes,
    ::testing::Values(
        Mistake{"duplicate_votes", Bug::kDuplicateVotes, kElections},
        Mistake{"ballot_reused", Bug::kBallotReused,
                With(kElections,
                     [](Bounds* b) {
                       b->led_round = 1;
                       b->last_position = 2;
                       b->rounds = 1;
                       b->appends = b->crashes = 1;
                     })},
        Mistake{"not_ready_counts", Bug::kNotReadyCounts,
                With(kElections,
                     [](Bounds* b) {
                       b->rounds = 1;
                       b->crashes = 1;
                       b->handshake = true;
                     })},
        Mistake{"truncated_is_none", Bug::kTruncatedIsNone,
                With(kElections, [](Bounds* b) { b->truncations = 1; })},
        Mistake{"damaged_is_none", Bug::kDamagedIsNone,
                With(kElections, [](Bounds* b) { b->damages = 1; })},
        Mistake{"nack_test_skipped", Bug::kNackTestSkipped,
                With(kElections, [](Bounds* b) { b->damages = 1; })},
        Mistake{"wiped_keeps_id", Bug::kWipedKeepsId,
                With(kElections, [](Bounds* b) { b->wipes = 1; })},
        Mistake{"foreign_votes", Bug::kForeignVotes,
                With(kConfiguration, [](Bounds* b) { b->appends = 1; })},
        Mistake{"config_on_accept", Bug::kConfigOnAccept,
                With(kConfiguration, [](Bounds* b) { b->rounds = 3; })},
        Mistake{"accept_keeps_promise", Bug::kAcceptKeepsPromise,
                With(kElections, [](Bounds* b) { b->rounds = 3; })}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace quorate::log

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--deep") quorate::log::deep = true;
  }
  return RUN_ALL_TESTS();
}
