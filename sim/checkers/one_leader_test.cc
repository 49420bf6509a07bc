#include "sim/checkers/one_leader.h"

#include "gtest/gtest.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

TEST(OneLeaderTest, Epochs) {
  EXPECT_EQ(Verdict<OneLeader>([](OneLeader& c) {
              c.Acts("a", 3);
              c.Acts("a", 3);
              c.Acts("b", 7);
              // A former leader that has yet to find out.
              c.Acts("a", 3);
            }),
            "");
  EXPECT_NE(Verdict<OneLeader>([](OneLeader& c) {
              c.Acts("a", 3);
              c.Acts("b", 3);
            }),
            "");
  EXPECT_NE(Verdict<OneLeader>([](OneLeader& c) {
              c.Acts("a", 7);
              c.Acts("b", 3);
            }),
            "");
}

}  // namespace
}  // namespace quorate::sim
