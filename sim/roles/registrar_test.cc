#include "core/registry/registrar.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/planted_bugs.h"
#include "sim/roles/registrars.h"

namespace quorate::registry {
namespace {

using std::chrono::seconds;

class RegistrarTest : public testing::Test, public Registrars {
 protected:
  RegistrarTest() : Registrars(1) {}
};

TEST_F(RegistrarTest, AppliesInOrderAndTogether) {
  ASSERT_TRUE(Recover(0).ok());
  const uint64_t before = member(0).registrar().log().status().learned_upto;
  EXPECT_EQ(Apply(0, {"a", "b", "a", "c"}),
            "a OK; b OK; a ALREADY_EXISTS; c OK; ");
  EXPECT_EQ(member(0).registrar().state().admitted().size(), 3u);
  // The first alone, and what came meanwhile in one entry.
  EXPECT_EQ(member(0).registrar().log().status().learned_upto, before + 2);
}

TEST_F(RegistrarTest, WhatWasAppliedSurvivesItsMaster) {
  ASSERT_TRUE(Recover(0).ok());
  ASSERT_EQ(Apply(0, {"a", "b"}), "a OK; b OK; ");
  processes_[0]->Kill();
  ASSERT_TRUE(Recover(1).ok());
  EXPECT_EQ(member(1).registrar().state().admitted().size(), 2u);
  EXPECT_EQ(Apply(1, {"b", "c"}), "b ALREADY_EXISTS; c OK; ");
  EXPECT_EQ(member(1).registrar().state().ToProto().master().id(), "master1");
  // And it is what a standby and a restarted master hold.
  Start(0);
  world_.RunFor(seconds(5));
  for (int i : {0, 2}) {
    EXPECT_EQ(member(i).registrar().state().ToProto().SerializeAsString(),
              member(1).registrar().state().ToProto().SerializeAsString());
  }
}

TEST_F(RegistrarTest, OnlyTheLeaderApplies) {
  EXPECT_EQ(Apply(0, {"a"}), "a FAILED_PRECONDITION; ");
  ASSERT_TRUE(Recover(0).ok());
  ASSERT_TRUE(Recover(1).ok());
  world_.RunUntil([&] { return !member(0).lost.ok(); }, seconds(10));
  EXPECT_TRUE(absl::IsAborted(member(0).lost)) << member(0).lost;
  EXPECT_EQ(Apply(0, {"a"}), "a FAILED_PRECONDITION; ");
  EXPECT_EQ(Apply(1, {"a"}), "a OK; ");
}

TEST_F(RegistrarTest, WithoutAQuorumItTimesOutAndMayTryAgain) {
  ASSERT_TRUE(Recover(0).ok());
  processes_[1]->Kill();
  processes_[2]->Kill();
  EXPECT_EQ(Apply(0, {"a", "b"}), "a DEADLINE_EXCEEDED; b DEADLINE_EXCEEDED; ");
  EXPECT_TRUE(absl::IsDeadlineExceeded(member(0).lost));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Recover(0)));
  Start(1);
  ASSERT_TRUE(Recover(0).ok());
  // "a" was under way when it timed out: it may be there or not.
  EXPECT_EQ(Apply(0, {"b"}), "b OK; ");
}

// Two that are asked for together, each of which would be the first.
TEST_F(RegistrarTest, TheWitnessSeesAnswersOfAStaleState) {
  ASSERT_TRUE(Recover(0).ok());
  Plant(Bug::kRegistryStale);
  Submit(0, {"a", "b", "b"});
  world_.RunFor(seconds(1));
  Plant(Bug::kNone);
  ASSERT_TRUE(world_.failure());
  EXPECT_NE(world_.failure()->find("in order it is ALREADY_EXISTS"),
            std::string::npos)
      << *world_.failure();
  expects_failure_ = true;
}

TEST_F(RegistrarTest, AnOversizedOperationHarmsNobodyElse) {
  ASSERT_TRUE(Recover(0).ok());
  EXPECT_EQ(Apply(0, {std::string(9 << 20, 'x')}).substr(9 << 20),
            " INVALID_ARGUMENT; ");
  EXPECT_EQ(Apply(0, {"a"}), "a OK; ");
}

TEST_F(RegistrarTest, WhatWaitsIsBoundedInBytesToo) {
  ASSERT_TRUE(Recover(0).ok());
  processes_[1]->Kill();
  processes_[2]->Kill();
  const std::string id(3 << 20, 'x');
  const size_t bytes = AdmitAgent(id).ByteSizeLong();
  // One is being written.
  const auto outcomes = Submit(
      0, std::vector<std::string>(Registrar::kMaxQueuedBytes / bytes + 2, id));
  EXPECT_EQ(outcomes->text.substr(id.size()), " RESOURCE_EXHAUSTED; ");
  EXPECT_TRUE(member(0).lost.ok());
}

}  // namespace
}  // namespace quorate::registry
