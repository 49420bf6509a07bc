// Each checker sees what it is there for, and nothing in what is right.

#include <functional>
#include <string>

#include "core/log/log.pb.h"
#include "core/log/types.h"
#include "gtest/gtest.h"
#include "sim/checkers/log_agreement.h"
#include "sim/checkers/obedience.h"
#include "sim/checkers/one_leader.h"
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

}  // namespace
}  // namespace quorate::sim
