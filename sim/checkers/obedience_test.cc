#include "sim/checkers/obedience.h"

#include "gtest/gtest.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

TEST(ObedienceTest, AnAgentObeysNoOlderEpoch) {
  EXPECT_EQ(Verdict<Obedience>([](Obedience& c) {
              c.Obeys("x", 5);
              c.Obeys("y", 3);
              c.Obeys("x", 5);
              c.Obeys("x", 6);
            }),
            "");
  EXPECT_NE(Verdict<Obedience>([](Obedience& c) {
              c.Obeys("x", 5);
              c.Obeys("x", 4);
            }),
            "");
}

}  // namespace
}  // namespace quorate::sim
