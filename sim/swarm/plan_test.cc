#include "sim/swarm/plan.h"

#include <gtest/gtest.h>

namespace quorate::sim {
namespace {

Plan Sample() {
  Plan plan;
  plan.Add({"replicas", Plan::Kind::kSize, 5, 1, 7});
  plan.Add({"storm", Plan::Kind::kTime, 60000, 0, 600000});
  plan.Add({"kill", Plan::Kind::kFault, 40, 0, 1000});
  plan.Add({"pause", Plan::Kind::kFault, 10, 0, 1000});
  plan.Add({"window", Plan::Kind::kOption, 1, 16, 64});
  return plan;
}

TEST(PlanTest, SaysWhatIsNotTame) {
  Plan plan = Sample();
  ASSERT_TRUE(plan.Set("pause", 0).ok());
  EXPECT_EQ(plan.ToString(), "replicas=5 storm=60000 kill=40 window=1");
  EXPECT_EQ(plan.Difference(Sample()), "pause=0");
}

TEST(PlanTest, RefusesWhatItDoesNotKnow) {
  Plan plan = Sample();
  EXPECT_EQ(plan.Set("kil", 0).message(),
            "this plan has no 'kil'; it has: replicas, storm, kill, pause, "
            "window");
  EXPECT_EQ(plan.Set("replicas", 0).message(),
            "'replicas' has to be between 1 and 7");
  EXPECT_EQ(plan.Set("kill", 1001).message(),
            "'kill' has to be between 0 and 1000");
}

TEST(PlanTest, ReadsSettings) {
  auto settings = ParseSettings("kill=0,storm=500");
  ASSERT_TRUE(settings.ok());
  ASSERT_EQ(settings->size(), 2u);
  EXPECT_EQ((*settings)[1].name, "storm");
  EXPECT_EQ((*settings)[1].value, 500u);
  EXPECT_TRUE(ParseSettings("")->empty());
  EXPECT_FALSE(ParseSettings("kill").ok());
  EXPECT_FALSE(ParseSettings("kill=-1").ok());
}

// A bug that needs kills, three replicas and a storm of nine seconds.
TEST(ShrinkTest, FindsWhatMatters) {
  const auto fails = [](const Plan& plan) {
    return plan.at("kill") >= 5 && plan.at("replicas") >= 3 &&
           plan.at("storm") >= 9000;
  };
  const Plan shrunk = Shrink(Sample(), fails, [] { return true; });
  EXPECT_EQ(shrunk.at("replicas"), 3u);
  EXPECT_EQ(shrunk.at("kill"), 5u);
  EXPECT_EQ(shrunk.at("pause"), 0u);
  EXPECT_EQ(shrunk.at("window"), 16u);
  EXPECT_LT(shrunk.at("storm"), 10500u);
  EXPECT_TRUE(fails(shrunk));
}

TEST(ShrinkTest, StopsWhenItMayNotGoOn) {
  int runs = 0;
  const Plan shrunk = Shrink(
      Sample(),
      [&](const Plan&) {
        ++runs;
        return false;
      },
      [&] { return runs < 3; });
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(shrunk.ToString(), Sample().ToString());
}

}  // namespace
}  // namespace quorate::sim
