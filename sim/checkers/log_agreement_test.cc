#include "sim/checkers/log_agreement.h"

#include "gtest/gtest.h"
#include "sim/checkers/testing/chosen_log.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

std::string Agrees(const std::function<void(LogAgreement&)>& story) {
  return Verdict<LogAgreement>(story);
}

TEST(LogAgreementTest, WhatIsRight) {
  EXPECT_EQ(Agrees([](LogAgreement& c) {
              Choose(c, 1, AppendOf("x"));
              Learn(c, 1, AppendOf("x"), "b");
              Choose(c, 2, AppendOf("y"));
              c.Observe("a")->OnPromised(3, "m");
              c.Observe("b")->OnPromised(2, "m");
              c.Observe("a")->OnPromised(3, "n");
            }),
            "");
}

TEST(LogAgreementTest, OneEntryAtAPosition) {
  EXPECT_NE(Agrees([](LogAgreement& c) {
              Choose(c, 1, AppendOf("x"));
              Learn(c, 1, AppendOf("y"), "b");
            }),
            "");
  EXPECT_NE(Agrees([](LogAgreement& c) { Learn(c, 1, AppendOf("x"), "a"); }),
            "");
  EXPECT_NE(Agrees([](LogAgreement& c) {
              Vote(c, 1, AppendOf("x"), {"a"}, {"a"});
              Learn(c, 1, AppendOf("y"), "a");
            }),
            "");
  // Less than a majority has voted.
  EXPECT_NE(Agrees([](LogAgreement& c) {
              Vote(c, 1, AppendOf("x"), {"a"}, {"a", "b", "c"});
              Learn(c, 1, AppendOf("x"), "a");
            }),
            "");
  EXPECT_NE(Agrees([](LogAgreement& c) {
              Choose(c, 1, AppendOf("x"));
              Choose(c, 2, AppendOf("x"));
            }),
            "");
}

TEST(LogAgreementTest, PromisesAndVotesNeverDecrease) {
  EXPECT_NE(Agrees([](LogAgreement& c) {
              c.Observe("a")->OnPromised(3, "n");
              c.Observe("a")->OnPromised(3, "m");
            }),
            "");
  EXPECT_EQ(Agrees([](LogAgreement& c) {
              c.Observe("a")->OnPromised(3, "n");
              c.DiskRolledBack("a");
              c.Observe("a")->OnPromised(3, "m");
            }),
            "");
  // Once, and not for ever.
  EXPECT_NE(Agrees([](LogAgreement& c) {
              c.Observe("a")->OnPromised(3, "n");
              c.DiskRolledBack("a");
              c.Observe("a")->OnPromised(3, "m");
              c.Observe("a")->OnPromised(2, "m");
            }),
            "");
}

TEST(LogAgreementTest, ALostDiskVotesNoMore) {
  EXPECT_NE(Agrees([](LogAgreement& c) {
              Choose(c, 1, AppendOf("x"));
              c.DiskLost("a");
              c.Observe("a2")->OnOpened("a");
              c.Observe("a2")->OnPromised(3, "m");
            }),
            "");
}

}  // namespace
}  // namespace quorate::sim
