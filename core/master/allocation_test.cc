#include "core/master/allocation.h"

#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"

namespace quorate::master {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

Resources Parse(absl::string_view text) { return *Resources::ParseText(text); }

// "f1/*@a1=cpus:2;mem:64 f2/..."
std::string ToText(const std::vector<Grant>& grants) {
  std::string text;
  for (const Grant& grant : grants) {
    absl::StrAppend(&text, text.empty() ? "" : " ", grant.framework_id, "/",
                    grant.role, "@", grant.agent_id, "=",
                    grant.resources.ToText());
  }
  return text;
}

class AllocationTest : public testing::Test {
 protected:
  std::string Run(const std::vector<Supply>& supplies,
                  const std::vector<Demand>& demands) {
    for (const char* id : {"a1", "a2", "a3"}) allocation_.RemoveSupply(id);
    for (const Supply& supply : supplies) allocation_.SetSupply(supply);
    return ToText(allocation_.Run(demands, now_));
  }
  std::string RunOne() { return Run({{"a1", Parse("cpus:2")}}, {{"f1", "*"}}); }
  void Refuse(const std::string& resources, double seconds) {
    allocation_.Refuse("f1", "*", "a1", Parse(resources), seconds, now_);
  }

  Allocation allocation_{{}};
  io::Instant now_;
};

constexpr char kGranted[] = "f1/*@a1=cpus:2";

TEST_F(AllocationTest, OneTakesAllOfAnAgent) {
  EXPECT_EQ(Run({{"a1", Parse("cpus:2;mem:64;ports:[1-9]")}},
                {{"f1", "*"}, {"f2", "*"}}),
            "f1/*@a1=cpus:2;mem:64;ports:[1-9]");
}

TEST_F(AllocationTest, FrameworksComeInTurn) {
  const std::vector<Demand> both = {{"f1", "*"}, {"f2", "*"}};
  EXPECT_EQ(Run({{"a1", Parse("cpus:1")},
                 {"a2", Parse("cpus:1")},
                 {"a3", Parse("cpus:1")}},
                both),
            "f1/*@a1=cpus:1 f2/*@a2=cpus:1 f1/*@a3=cpus:1");
  EXPECT_EQ(Run({{"a1", Parse("cpus:1")}}, both), "f2/*@a1=cpus:1");
  EXPECT_EQ(Run({{"a1", Parse("cpus:1")}}, both), "f1/*@a1=cpus:1");
}

TEST_F(AllocationTest, TooLittleIsNotOffered) {
  for (const char* little : {"cpus:0.009", "mem:31", "disk:5000", ""}) {
    EXPECT_EQ(Run({{"a1", Parse(little)}}, {{"f1", "*"}}), "") << little;
  }
  EXPECT_EQ(Run({{"a1", Parse("mem:32")}}, {{"f1", "*"}}), "f1/*@a1=mem:32");
  EXPECT_EQ(Run({{"a1", Parse("cpus:0.01")}}, {{"f1", "*"}}),
            "f1/*@a1=cpus:0.01");
}

TEST_F(AllocationTest, ReservationsShowToTheirRoleAndBelow) {
  const Supply supply{"a1", Parse("cpus(eng):2;cpus:1")};
  EXPECT_EQ(Run({supply}, {{"f1", "ops"}}), "f1/ops@a1=cpus:1");
  EXPECT_EQ(Run({supply}, {{"f2", "eng"}}), "f2/eng@a1=cpus:1;cpus(eng):2");
  EXPECT_EQ(Run({supply}, {{"f3", "eng/ci"}}),
            "f3/eng/ci@a1=cpus:1;cpus(eng):2");
  // Not by the beginning of a name.
  EXPECT_EQ(Run({supply}, {{"f4", "engine"}}), "f4/engine@a1=cpus:1");
}

TEST_F(AllocationTest, WhatOneMayNotHaveGoesToTheNext) {
  EXPECT_EQ(
      Run({{"a1", Parse("cpus(eng):2;cpus:1")}}, {{"f1", "*"}, {"f2", "eng"}}),
      "f1/*@a1=cpus:1 f2/eng@a1=cpus(eng):2");
}

TEST_F(AllocationTest, GpusGoToThoseWhoKnowThem) {
  const Supply supply{"a1", Parse("cpus:2;gpus:1"), true};
  EXPECT_EQ(Run({supply}, {{"f1", "*"}}), "");
  EXPECT_EQ(Run({supply}, {{"f1", "*", true}}), "f1/*@a1=cpus:2;gpus:1");
}

TEST_F(AllocationTest, RefusedResourcesAreNotOfferedForAWhile) {
  Refuse("cpus:2", 3);
  EXPECT_EQ(RunOne(), "");
  // Others may have them.
  EXPECT_EQ(Run({{"a1", Parse("cpus:2")}}, {{"f1", "*"}, {"f2", "*"}}),
            "f2/*@a1=cpus:2");
  now_ += seconds(3) - milliseconds(1);
  EXPECT_EQ(RunOne(), "");
  now_ += milliseconds(1);
  EXPECT_EQ(RunOne(), kGranted);
  EXPECT_EQ(allocation_.refusals(), 0);
}

TEST_F(AllocationTest, MoreThanWasRefusedIsOffered) {
  Refuse("cpus:1", 3);
  EXPECT_EQ(RunOne(), kGranted);
  Refuse("cpus:4", 3);
  EXPECT_EQ(RunOne(), "");
}

struct RefusalCase {
  double seconds;
  io::Duration lasts;
};

TEST_F(AllocationTest, DurationsOfRefusals) {
  const RefusalCase cases[] = {
      {5, seconds(5)},
      {0.1, seconds(1)},  // At least until the next run.
      {-1, seconds(5)},
      {std::numeric_limits<double>::quiet_NaN(), seconds(5)},
      {1e300, hours(24 * 365)},
      {std::numeric_limits<double>::infinity(), hours(24 * 365)},
  };
  for (const RefusalCase& c : cases) {
    Refuse("cpus:2", c.seconds);
    now_ += c.lasts - milliseconds(1);
    EXPECT_EQ(RunOne(), "") << c.seconds;
    now_ += milliseconds(1);
    EXPECT_EQ(RunOne(), kGranted) << c.seconds;
  }
  Refuse("cpus:2", 0);
  EXPECT_EQ(RunOne(), kGranted);
}

TEST_F(AllocationTest, ForgottenRefusals) {
  Refuse("cpus:2", 1000);
  allocation_.Revive("f1", "other");
  allocation_.Revive("f2", "*");
  EXPECT_EQ(RunOne(), "");
  allocation_.Revive("f1", "*");
  EXPECT_EQ(RunOne(), kGranted);
  Refuse("cpus:2", 1000);
  allocation_.ForgetAgent("a1");
  EXPECT_EQ(RunOne(), kGranted);
  Refuse("cpus:2", 1000);
  allocation_.ForgetFramework("f1");
  EXPECT_EQ(RunOne(), kGranted);
}

TEST_F(AllocationTest, WhatIsGrantedIsTakenFromTheSupply) {
  allocation_.SetSupply({"a1", Parse("cpus:2;cpus(eng):1")});
  EXPECT_EQ(ToText(allocation_.Run({{"f1", "*"}}, now_)), "f1/*@a1=cpus:2");
  EXPECT_EQ(ToText(allocation_.Run({{"f1", "*"}}, now_)), "");
  // Somebody new finds what is left.
  EXPECT_EQ(ToText(allocation_.Run({{"f1", "*"}, {"f2", "eng"}}, now_)),
            "f2/eng@a1=cpus(eng):1");
}

TEST_F(AllocationTest, WhoComesBackOrLearnsOfGpusIsNew) {
  allocation_.SetSupply({"a1", Parse("cpus:2"), true});
  EXPECT_EQ(ToText(allocation_.Run({{"f1", "*"}}, now_)), "");
  EXPECT_EQ(ToText(allocation_.Run({{"f1", "*", true}}, now_)), kGranted);
  allocation_.SetSupply({"a1", Parse("cpus:2")});
  EXPECT_EQ(ToText(allocation_.Run({}, now_)), "");
  EXPECT_EQ(ToText(allocation_.Run({{"f1", "*"}}, now_)), kGranted);
}

TEST_F(AllocationTest, RefusalsAreBounded) {
  for (int i = 0; i < 1000; ++i) Refuse(absl::StrCat("cpus:", i + 1), 1000);
  EXPECT_LT(allocation_.refusals(), 100);
  EXPECT_EQ(RunOne(), "");
}

}  // namespace
}  // namespace quorate::master
