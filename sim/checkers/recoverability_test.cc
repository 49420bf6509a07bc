#include "sim/checkers/recoverability.h"

#include "gtest/gtest.h"
#include "sim/checkers/testing/chosen_log.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

using Replicas = std::vector<KnownReplica>;

KnownReplica Whole(const std::string& member) { return {member, member}; }
KnownReplica In(DiskState state, const std::string& member) {
  return {member, member, state};
}
KnownReplica Dead(const std::string& member) {
  return {member, member, DiskState::kWhole, false};
}
// With an empty disk, and an id that it has not got yet.
KnownReplica Wiped() { return {"", "another disk"}; }

// Of the members a, b and c the first two have chosen position 1; c has missed
// it.
class RecoverabilityTest : public testing::Test {
 protected:
  RecoverabilityTest() : world_(1), agreement_(world_) {
    for (const char* disk : {"a", "b", "c"}) {
      agreement_.Observe(disk)->OnOpened(disk);
      agreement_.Observe(disk)->OnConfig(1, {"a", "b", "c"});
    }
    Vote(agreement_, 1, AppendOf("x"), {"a", "b"}, {"a", "b", "c"});
  }

  Prognosis Of(const Replicas& replicas, uint64_t truncated = 0,
               bool settled = true) {
    return Foresee(agreement_, replicas, truncated, settled);
  }

  World world_;
  LogAgreement agreement_;
};

TEST_F(RecoverabilityTest, AMajorityOfWholeDisksMustGoOn) {
  EXPECT_EQ(Of({Whole("a"), Whole("b"), Whole("c")}).recovery, Recovery::kMust);
  EXPECT_EQ(Of({Whole("a"), Dead("b"), Whole("c")}).recovery, Recovery::kMust);
  EXPECT_EQ(Of({Whole("a"), Wiped(), Whole("c")}).recovery, Recovery::kMust);
  EXPECT_EQ(Of({Whole("a"), In(DiskState::kLost, "b"), Whole("c")}).recovery,
            Recovery::kMust);
}

TEST_F(RecoverabilityTest, LessThanAMajorityMustHalt) {
  const Prognosis two_gone = Of({Whole("a"), Dead("b"), Wiped()});
  EXPECT_EQ(two_gone.recovery, Recovery::kMustNot);
  EXPECT_EQ(two_gone.missing_members, (std::vector<std::string>{"b", "c"}));
  EXPECT_FALSE(two_gone.missing_position);
  // Newcomers have no votes.
  EXPECT_EQ(Of({Whole("a"), Wiped(), Wiped(), Wiped()}).recovery,
            Recovery::kMustNot);
}

TEST_F(RecoverabilityTest, WithoutACopyItMustHalt) {
  const Prognosis lost = Of({Dead("a"), In(DiskState::kLost, "b"), Whole("c")});
  EXPECT_EQ(lost.recovery, Recovery::kMustNot);
  EXPECT_EQ(lost.missing_position, 1u);
  // A learner's copy is one, and what was given up needs none.
  Learn(agreement_, 1, AppendOf("x"), "d");
  EXPECT_EQ(Of({Dead("a"), In(DiskState::kLost, "b"), Whole("c"), Whole("d")})
                .recovery,
            Recovery::kMay);
  EXPECT_EQ(Of({Dead("a"), In(DiskState::kLost, "b"), Whole("c")}, 2).recovery,
            Recovery::kMay);
}

TEST_F(RecoverabilityTest, BetweenTheTwoItMay) {
  EXPECT_EQ(Of({Whole("a"), In(DiskState::kDamaged, "b"), Dead("c")}).recovery,
            Recovery::kMay);
  EXPECT_EQ(Of({Whole("a"), In(DiskState::kDoubtful, "b"), Dead("c")}).recovery,
            Recovery::kMay);
  EXPECT_EQ(Of({Whole("a"), Whole("b"), Dead("c")}, 0, false).recovery,
            Recovery::kMay);
  KnownReplica disturbed = Whole("b");
  disturbed.disturbed = true;
  EXPECT_EQ(Of({Whole("a"), disturbed, Dead("c")}).recovery, Recovery::kMay);
  // Before there is a log nobody owes anything.
  LogAgreement none(world_);
  EXPECT_EQ(Foresee(none, {Wiped()}, 0, true).recovery, Recovery::kMay);
}

// One disk that stands twice is one member.
TEST_F(RecoverabilityTest, AMemberCountsOnce) {
  EXPECT_EQ(Of({In(DiskState::kDoubtful, "a"), In(DiskState::kDoubtful, "a"),
                Dead("c")})
                .recovery,
            Recovery::kMustNot);
}

// What a copy has learned since is its own.
TEST_F(RecoverabilityTest, ACopyHoldsWhatItsOriginalHeld) {
  KnownReplica copy = In(DiskState::kDoubtful, "b");
  copy.disk = "copy";
  EXPECT_EQ(Of({Dead("a"), copy, Whole("c")}).recovery, Recovery::kMustNot);
  copy.copy_of = "b";
  EXPECT_EQ(Of({Dead("a"), copy, Whole("c")}).recovery, Recovery::kMay);
  copy.copy_of.clear();
  Learn(agreement_, 1, AppendOf("x"), "copy");
  EXPECT_EQ(Of({Dead("a"), copy, Whole("c")}).recovery, Recovery::kMay);
}

TEST_F(RecoverabilityTest, WhoMayForget) {
  const Replicas all = {Whole("a"), Whole("b"), Whole("c")};
  // Then a and c, of whom neither has the vote, would be a majority.
  EXPECT_FALSE(MayForget(agreement_, all, 0, 0));
  EXPECT_TRUE(MayForget(agreement_, all, 2, 0));
  EXPECT_TRUE(MayForget(agreement_, all, 0, 2));
  Learn(agreement_, 1, AppendOf("x"), "c");
  EXPECT_TRUE(MayForget(agreement_, all, 0, 0));
  EXPECT_FALSE(
      MayForget(agreement_,
                {Whole("a"), In(DiskState::kDoubtful, "b"), Whole("c")}, 0, 0));
}

}  // namespace
}  // namespace quorate::sim
