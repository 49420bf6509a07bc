// Each checker sees what it is there for, and nothing in what is right.

#include <functional>
#include <string>

#include "core/log/log.pb.h"
#include "core/log/types.h"
#include "gtest/gtest.h"
#include "sim/checkers/log_agreement.h"
#include "sim/checkers/obedience.h"
#include "sim/checkers/one_leader.h"
#include "sim/checkers/task_truth.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

// What the checker says of `story`, "" for nothing.
template <typename Checker>
std::string Verdict(const std::function<void(Checker&)>& story) {
  World world(1);
  Checker checker(world);
  story(checker);
  return world.failure().value_or("");
}

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

TEST(LogAgreementTest, EntriesAndPromises) {
  const auto entry_of = [](const char* payload) {
    log::EntryProto entry;
    entry.set_type(log::APPEND);
    entry.add_payload(payload);
    return entry;
  };
  const auto choose = [&](LogAgreement& c, uint64_t position,
                          const char* payload) {
    const std::string hash = log::EntryHash(entry_of(payload));
    c.Observe("a")->OnOpened("a");
    c.Observe("a")->OnProposed(position, 1, "a", hash, {"a"});
    c.Observe("a")->OnVoted(position, 1, "a", hash);
  };
  const auto learn = [&](LogAgreement& c, const char* replica,
                         uint64_t position, const char* payload) {
    c.Observe(replica)->OnLearned(position,
                                  entry_of(payload).SerializeAsString());
  };
  EXPECT_EQ(Verdict<LogAgreement>([&](LogAgreement& c) {
              choose(c, 1, "[x]");
              learn(c, "a", 1, "[x]");
              c.Acknowledged(1, "x");
              learn(c, "b", 1, "[x]");
              choose(c, 2, "[y]");
              learn(c, "a", 2, "[y]");
              c.Observe("a")->OnPromised(3, "m");
              c.Observe("b")->OnPromised(2, "m");
              c.Observe("a")->OnPromised(3, "n");
            }),
            "");
  EXPECT_NE(Verdict<LogAgreement>([&](LogAgreement& c) {
              choose(c, 1, "[x]");
              learn(c, "a", 1, "[x]");
              learn(c, "b", 1, "[y]");
            }),
            "");
  EXPECT_NE(
      Verdict<LogAgreement>([&](LogAgreement& c) { learn(c, "a", 1, "[x]"); }),
      "");
  EXPECT_NE(Verdict<LogAgreement>([&](LogAgreement& c) {
              choose(c, 1, "[x]");
              learn(c, "a", 1, "[y]");
            }),
            "");
  EXPECT_NE(Verdict<LogAgreement>([&](LogAgreement& c) {
              choose(c, 1, "[x]");
              learn(c, "a", 1, "[x]");
              c.Acknowledged(1, "y");
            }),
            "");
  EXPECT_NE(
      Verdict<LogAgreement>([&](LogAgreement& c) { c.Acknowledged(1, "y"); }),
      "");
  EXPECT_NE(Verdict<LogAgreement>([&](LogAgreement& c) {
              c.Observe("a")->OnPromised(3, "n");
              c.Observe("a")->OnPromised(3, "m");
            }),
            "");
}

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
