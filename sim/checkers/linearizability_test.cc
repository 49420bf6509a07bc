#include "sim/checkers/linearizability.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sim/checkers/testing/histories.h"

namespace quorate::sim {
namespace {

using Kind = LinearizabilityVerdict::Kind;

std::string Of(const SequentialModel& model, const std::string& text) {
  const auto calls = ParseHistory(text);
  if (!calls.ok()) return std::string(calls.status().message());
  const LinearizabilityVerdict verdict = CheckLinearizable(model, *calls, {});
  return verdict.kind == Kind::kLinearizable ? "yes"
         : verdict.kind == Kind::kUnknown    ? "unknown"
                                             : "no";
}
std::string Register(const std::string& text) {
  return Of(RegisterModel(), text);
}

// Another way to the same: every order, one after the other.
bool SomeOrder(const SequentialModel& model, const std::vector<Call>& calls,
               std::vector<bool>& taken, const std::string& state) {
  const auto answered = [&](size_t i) {
    return calls[i].result && calls[i].end;
  };
  bool missing = false;
  for (size_t i = 0; i < calls.size(); ++i) {
    missing = missing || (!taken[i] && answered(i));
  }
  if (!missing) return true;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (taken[i]) continue;
    bool first = true;
    for (size_t j = 0; j < calls.size(); ++j) {
      const bool before =
          !taken[j] && answered(j) && *calls[j].end < calls[i].begin;
      first = first && !before;
    }
    std::string next;
    if (!first || !model.step(state, calls[i], &next)) continue;
    taken[i] = true;
    if (SomeOrder(model, calls, taken, next)) return true;
    taken[i] = false;
  }
  return false;
}

TEST(LinearizabilityTest, ByHand) {
  EXPECT_EQ(Register(""), "yes");
  EXPECT_EQ(Register("1 x write 1 ok 0 10\n2 x read - 1 20 30"), "yes");
  EXPECT_EQ(Register("1 x write 1 ok 0 10\n2 x read - \"\" 20 30"), "no");
  // They overlap: both orders are possible, but not both ways.
  EXPECT_EQ(Register("1 x write 1 ok 0 10\n2 x read - \"\" 5 30"), "yes");
  EXPECT_EQ(Register("1 x write 1 ok 0 100\n2 x read - 1 10 20\n"
                     "3 x read - \"\" 30 40"),
            "no");
  EXPECT_EQ(Register("1 x write 1 ok 0 100\n2 x read - \"\" 10 20\n"
                     "3 x read - 1 30 40"),
            "yes");
  // At the same instant counts as overlapping.
  EXPECT_EQ(Register("1 x write 1 ok 0 10\n2 x read - \"\" 10 30"), "yes");
}

TEST(LinearizabilityTest, UnknownOutcomes) {
  const std::string write = "1 x write 1 - 0 -\n";
  EXPECT_EQ(Register(write + "2 x read - \"\" 10 20"), "yes");
  EXPECT_EQ(Register(write + "2 x read - 1 10 20"), "yes");
  EXPECT_EQ(Register(write + "2 x read - \"\" 10 20\n2 x read - 1 30 40"),
            "yes");
  EXPECT_EQ(Register(write + "2 x read - 1 10 20\n2 x read - \"\" 30 40"),
            "no");
  // Not before it began.
  EXPECT_EQ(Register("2 x read - 1 10 20\n1 x write 1 - 30 -"), "no");
  // A result without an end, and an end without a result.
  EXPECT_EQ(Register("1 x write 1 - 0 5\n2 x read - 1 10 20"), "yes");
}

TEST(LinearizabilityTest, Models) {
  EXPECT_EQ(Register("1 x write 1 ok 0 1\n1 x cas 1,2 ok 2 3\n"
                     "1 x cas 1,3 fail 4 5\n1 x read - 2 6 7"),
            "yes");
  EXPECT_EQ(Register("1 x write 1 ok 0 1\n1 x cas 2,3 ok 2 3"), "no");
  EXPECT_EQ(Of(KeyValueModel(),
               "1 x put a ok 0 1\n1 x append b ok 2 3\n"
               "1 x get - ab 4 5\n1 y get - \"\" 4 5"),
            "yes");
  EXPECT_EQ(Of(KeyValueModel(),
               "1 x append b ok 0 3\n2 x append a ok 0 3\n"
               "1 x get - ab 4 5\n2 x get - ba 4 5"),
            "no");
  EXPECT_EQ(Of(AgentModel(),
               "1 a admit - ok 0 1\n1 a admit - known 2 3\n"
               "1 a unreachable - ok 4 5\n"
               "1 a admit - known 6 7\n"
               "1 a read - unreachable 8 9\n"
               "1 a reachable - ok 10 11\n1 a remove - ok 12 13\n"
               "1 a remove - unknown 14 15"),
            "yes");
  EXPECT_EQ(Of(AgentModel(), "1 a admit - ok 0 9\n2 a admit - ok 0 9"), "no");
  EXPECT_EQ(Of(SequenceModel(),
               "1 l append - 3 0 9\n2 l append - 3 0 9\n"
               "2 l append - - 10 -\n1 l append - 7 20 30\n"
               "1 l end - 7 40 50"),
            "yes");
  EXPECT_EQ(Of(SequenceModel(), "1 l append - 3 0 9\n2 l append - 2 10 19"),
            "no");
  EXPECT_EQ(Of(SequenceModel(), "1 l append - 3 0 9\n2 l end - 2 10 19"), "no");
}

TEST(LinearizabilityTest, Lines) {
  EXPECT_EQ(Register("# a comment\n\n{\"client\":1,\"key\":\"x\",\"op\":"
                     "\"write\",\"value\":\"a b\",\"result\":\"ok\",\"begin\""
                     ":0,\"end\":1}\n{\"client\":2,\"key\":\"x\",\"op\":\"read"
                     "\",\"result\":\"a b\",\"begin\":2,\"end\":3}"),
            "yes");
  EXPECT_EQ(Register("1 x read - 1 0"),
            "line 1: not 7 words: client key op value result begin end");
  EXPECT_EQ(Register("\n1 x read - 1 0 y"),
            "line 2: client, begin and end are numbers");
  EXPECT_EQ(Register("1 x read - 1 5 4"), "line 1: it ends before it begins");
  EXPECT_NE(Register("{\"client\":1"), "yes");
  const auto calls = ParseHistory("7 x cas 1,2 ok 3 4\n8 y read - \"\" 5 -");
  ASSERT_TRUE(calls.ok());
  EXPECT_EQ(ToString((*calls)[0]), "7 x cas 1,2 ok 3 4");
  EXPECT_EQ(ToString((*calls)[1]), "8 y read - \"\" 5 -");
  EXPECT_NE(RegisterModel().refuse((*ParseHistory("1 x get - 1 0 1"))[0]), "");
  EXPECT_EQ(RegisterModel().refuse((*calls)[0]), "");
}

// Where no read tells the order of many appends the search may be too long.
TEST(LinearizabilityTest, WhatACorrectStoreCouldSayIsAccepted) {
  io::SeededRandom random(1);
  int unknown = 0;
  for (int i = 0; i < 2000; ++i) {
    HistoryShape shape;
    shape.calls = 1 + random.Below(60);
    shape.keys = 1 + random.Below(3);
    shape.key_value = random.Below(2) == 0;
    // Every order of appends that may have happened is another state.
    shape.clients = 1 + random.Below(shape.key_value ? 4 : 8);
    shape.unknown = shape.key_value ? 10 + random.Below(20) : random.Below(10);
    const std::vector<Call> calls = DrawHistory(random, shape);
    int asked = 0;
    const auto verdict =
        CheckLinearizable(shape.key_value ? KeyValueModel() : RegisterModel(),
                          calls, {.give_up = [&] { return ++asked > 20; }});
    ASSERT_NE(verdict.kind, Kind::kViolation) << verdict.finding;
    unknown += verdict.kind == Kind::kUnknown;
  }
  EXPECT_LT(unknown, 20);
}

TEST(LinearizabilityTest, AStaleReadIsFound) {
  io::SeededRandom random(2);
  int found = 0;
  for (int i = 0; i < 2000; ++i) {
    HistoryShape shape;
    shape.calls = 10 + random.Below(50);
    shape.clients = 1 + random.Below(6);
    shape.keys = 1 + random.Below(2);
    shape.unknown = 10 + random.Below(20);
    std::vector<Call> calls = DrawHistory(random, shape);
    if (!PlantStaleRead(random, calls)) continue;
    int asked = 0;
    const auto verdict = CheckLinearizable(
        RegisterModel(), calls, {.give_up = [&] { return ++asked > 20; }});
    ASSERT_NE(verdict.kind, Kind::kLinearizable);
    if (verdict.kind == Kind::kUnknown) continue;
    ++found;
    EXPECT_NE(verdict.finding.find("has no place: "), std::string::npos);
  }
  EXPECT_GT(found, 1000);
}

// Of few calls with few values, so that each verdict is as likely.
TEST(LinearizabilityTest, AgreesWithTryingEveryOrder) {
  io::SeededRandom random(3);
  int linearizable = 0;
  constexpr int kHistories = 20000;
  const SequentialModel model = RegisterModel();
  for (int i = 0; i < kHistories; ++i) {
    std::vector<Call> calls(1 + random.Below(7));
    for (Call& call : calls) {
      const char* const kinds[] = {"read", "write", "cas"};
      call.kind = kinds[random.Below(3)];
      call.argument = absl::StrCat(random.Below(2));
      if (call.kind == "cas") {
        absl::StrAppend(&call.argument, ",", random.Below(2));
      }
      call.begin = static_cast<int64_t>(random.Below(12));
      call.end = call.begin + static_cast<int64_t>(random.Below(8));
      const bool failed = random.Below(2) == 0;
      call.result = call.kind == "read" ? absl::StrCat(random.Below(2))
                    : call.kind == "cas" && failed ? "fail"
                                                   : "ok";
      if (random.Below(6) == 0) call.result.reset();
      if (random.Below(6) == 0) call.end.reset();
    }
    std::vector<bool> taken(calls.size());
    const bool expected = SomeOrder(model, calls, taken, model.initial);
    linearizable += expected;
    const auto verdict = CheckLinearizable(model, calls, {});
    ASSERT_EQ(verdict.kind, expected ? Kind::kLinearizable : Kind::kViolation)
        << verdict.finding;
  }
  EXPECT_GT(linearizable, kHistories / 10);
  EXPECT_LT(linearizable, kHistories * 9 / 10);
}

// Appends that all overlap, and a value that none of their orders gives.
TEST(LinearizabilityTest, GivesUpWhenItIsTold) {
  std::vector<Call> calls;
  for (int i = 0; i < 24; ++i) {
    calls.push_back({static_cast<uint64_t>(i), "x", "append",
                     absl::StrCat(i, "."), "ok", 0, 100});
  }
  calls.push_back({99, "x", "get", "", "never", 200, 300});
  int asked = 0;
  const auto verdict = CheckLinearizable(
      KeyValueModel(), calls, {.give_up = [&] { return ++asked > 3; }});
  EXPECT_EQ(verdict.kind, Kind::kUnknown);
  EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace quorate::sim
