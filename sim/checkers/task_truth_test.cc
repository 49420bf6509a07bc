#include "sim/checkers/task_truth.h"

#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "sim/checkers/verdict.h"

namespace quorate::sim {
namespace {

constexpr int kFailed = 1 << 8;  // exit 1, as wait(2) has it
constexpr int kKilled = 9;

TEST(TaskTruthTest, ATaskThatIsLeftAlone) {
  EXPECT_EQ(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Told("f", "t", "TASK_STARTING");
              c.Started("c1", "f", "t");
              c.Told("f", "t", "TASK_RUNNING");
              c.Told("f", "t", "TASK_UNREACHABLE");
              c.Told("f", "t", "TASK_RUNNING");
              c.Ended("c1", 0);
              c.Told("f", "t", "TASK_FINISHED");
              // Another framework's task of the same name.
              c.Started("c2", "g", "t");
              c.Ended("c2", kFailed);
              c.Told("g", "t", "TASK_FAILED");
            }),
            "");
}

TEST(TaskTruthTest, StartedTwice) {
  EXPECT_NE(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Started("c1", "f", "t");
              c.Ended("c1", 0);
              c.Started("c2", "f", "t");
            }),
            "");
}

TEST(TaskTruthTest, KilledByNobodysWish) {
  const auto killed = [](bool wanted) {
    return Verdict<TaskTruth>([wanted](TaskTruth& c) {
      c.Started("c1", "f", "t");
      if (wanted) c.KillWanted("f", "t");
      c.Ended("c1", kKilled);
    });
  };
  EXPECT_NE(killed(false), "");
  EXPECT_EQ(killed(true), "");
  // With the power of its machine.
  EXPECT_EQ(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Started("c1", "f", "t");
              c.Ended("c1", std::nullopt);
              c.Told("f", "t", "TASK_LOST");
            }),
            "");
}

TEST(TaskTruthTest, ToldWhatIsNotSo) {
  const auto told = [](const std::string& state) {
    return Verdict<TaskTruth>([&state](TaskTruth& c) {
      c.Started("c1", "f", "t");
      c.Told("f", "t", state);
    });
  };
  EXPECT_EQ(told("TASK_RUNNING"), "");
  for (const char* state : {"TASK_FINISHED", "TASK_FAILED", "TASK_LOST",
                            "TASK_UNKNOWN", "TASK_GONE"}) {
    EXPECT_NE(told(state), "") << state;
  }
  EXPECT_NE(Verdict<TaskTruth>(
                [](TaskTruth& c) { c.Told("f", "t", "TASK_RUNNING"); }),
            "");
  EXPECT_NE(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Started("c1", "f", "t");
              c.Ended("c1", kFailed);
              c.Told("f", "t", "TASK_FINISHED");
            }),
            "");
}

}  // namespace
}  // namespace quorate::sim
