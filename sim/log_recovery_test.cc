#include "sim/log_recovery.h"

#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""s;

// What becomes of a log of three, with some entries, that `strike` hits while
// nobody runs; what the oracle is told of it is up to that.
std::string After(const std::function<void(LogCluster&)>& strike,
                  Recovery expected) {
  World world(1);
  LogCluster log(world, {.replicas = 3, .builtin_election = true});
  world.RunUntil([&] { return log.Leaders().size() == 1; }, 30s);
  for (int i = 0; i < 5; ++i) {
    log.Append(log.Leaders().at(0));
    world.RunFor(1s);
  }
  EXPECT_EQ(log.acknowledged(), 5u);
  for (int i = 0; i < 3; ++i) log.Kill(i);
  strike(log);
  EXPECT_EQ(AwaitRecovery(world, log), expected);
  return world.failure().value_or("");
}

TEST(LogRecoveryTest, WhatIsRight) {
  EXPECT_EQ(After([](LogCluster&) {}, Recovery::kMust), "");
  EXPECT_EQ(After([](LogCluster& log) { log.LoseContents(1, false); },
                  Recovery::kMust),
            "");
  EXPECT_EQ(After(
                [](LogCluster& log) {
                  log.Retire(0);
                  log.Retire(1);
                },
                Recovery::kMustNot),
            "");
  EXPECT_EQ(After(
                [](LogCluster& log) {
                  for (int i = 0; i < 3; ++i) log.LoseContents(i, true);
                },
                Recovery::kMustNot),
            "");
}

TEST(LogRecoveryTest, ALogThatHaltsAndMustGoOn) {
  const std::string said = After(
      [](LogCluster& log) {
        for (int i = 0; i < 3; ++i) {
          log.LoseContents(i, false);
          log.SetDiskState(i, DiskState::kWhole);
        }
      },
      Recovery::kMust);
  EXPECT_TRUE(absl::StrContains(said, "the log must go on")) << said;
}

TEST(LogRecoveryTest, ALogThatGoesOnAndMustHalt) {
  const std::string said = After(
      [](LogCluster& log) {
        for (int i = 0; i < 3; ++i) log.SetDiskState(i, DiskState::kLost);
      },
      Recovery::kMustNot);
  EXPECT_TRUE(absl::StrContains(said, "the log goes on although")) << said;
}

}  // namespace
}  // namespace quorate::sim
