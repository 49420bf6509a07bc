#include "sim/checkers/durability.h"

#include "gtest/gtest.h"
#include "sim/checkers/testing/chosen_log.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

// What is said of `story` about a log that holds "x" at 1 and "y" at 2.
std::string Keeps(const std::function<void(Durability&)>& story) {
  World world(1);
  LogAgreement agreement(world);
  Choose(agreement, 1, AppendOf("x"));
  Choose(agreement, 2, AppendOf("y"));
  Durability checker(world, agreement);
  story(checker);
  return world.failure().value_or("");
}

TEST(DurabilityTest, WhatIsRight) {
  EXPECT_EQ(Keeps([](Durability& c) {
              c.Acknowledged(1, "x");
              c.BeginsAt("a", 0);
              c.Read("a", 0, 3, {{1, "x"}, {2, "y"}});
              c.Read("a", 2, 3, {{2, "y"}});
              c.EndsAt("a", 2);
              c.MayTruncate(2);
              c.BeginsAt("a", 2);
            }),
            "");
}

TEST(DurabilityTest, AcknowledgedOnceAndWhereItIs) {
  EXPECT_NE(Keeps([](Durability& c) { c.Acknowledged(1, "y"); }), "");
  EXPECT_NE(Keeps([](Durability& c) { c.Acknowledged(3, "z"); }), "");
  EXPECT_NE(Keeps([](Durability& c) {
              c.Acknowledged(1, "x");
              c.Acknowledged(1, "x");
            }),
            "");
}

TEST(DurabilityTest, WhatIsReadIsWhatWasAcknowledged) {
  const auto reads = [](uint64_t from, uint64_t to,
                        std::vector<log::LogNode::Committed> entries) {
    return Keeps([&](Durability& c) {
      c.Acknowledged(1, "x");
      c.Read("a", from, to, entries);
    });
  };
  EXPECT_NE(reads(0, 3, {{2, "y"}}), "");
  EXPECT_NE(reads(0, 3, {{1, "w"}, {2, "y"}}), "");
  EXPECT_NE(reads(0, 3, {{1, "y"}, {2, "x"}}), "");
  // Not acknowledged, but nobody has appended it.
  EXPECT_NE(reads(2, 3, {{2, "z"}}), "");
}

TEST(DurabilityTest, NothingIsGivenUpUnasked) {
  EXPECT_NE(Keeps([](Durability& c) { c.BeginsAt("a", 1); }), "");
  EXPECT_NE(Keeps([](Durability& c) {
              c.Acknowledged(2, "y");
              c.EndsAt("a", 2);
            }),
            "");
}

}  // namespace
}  // namespace quorate::sim
