#include "sim/checkers/chosen_epochs.h"

#include "gtest/gtest.h"
#include "sim/checkers/testing/chosen_log.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

TEST(ChosenEpochsTest, NoCommandOfAnEpochThatWasNotChosen) {
  const auto obeys = [](uint64_t epoch) {
    World world(1);
    LogAgreement agreement(world);
    Choose(agreement, 1, LeaderOf(1, "a"));
    Choose(agreement, 2, AppendOf("x"));
    Vote(agreement, 3, LeaderOf(2, "b"), {"a"}, {"a", "b", "c"});
    ChosenEpochs checker(world, agreement);
    checker.Obeys("agent", 1);
    checker.Obeys("agent", epoch);
    return world.failure().value_or("");
  };
  EXPECT_EQ(obeys(1), "");
  EXPECT_NE(obeys(2), "");  // an append
  EXPECT_NE(obeys(3), "");  // proposed, and not chosen
  EXPECT_NE(obeys(7), "");
}

}  // namespace
}  // namespace quorate::sim
