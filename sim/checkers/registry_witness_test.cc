#include "sim/checkers/registry_witness.h"

#include <functional>
#include <string>
#include <vector>

#include "core/registry/registry.pb.h"
#include "gtest/gtest.h"
#include "sim/checkers/testing/chosen_log.h"
#include "sim/checkers/testing/verdict.h"

namespace quorate::sim {
namespace {

using registry::Operation;

Operation Admit(const std::string& id) {
  Operation operation;
  mesos::v1::AgentInfo& info = *operation.mutable_admit_agent()->mutable_info();
  info.set_hostname("host");
  info.mutable_id()->set_value(id);
  return operation;
}

Operation Remove(const std::string& id) {
  Operation operation;
  operation.mutable_remove_agent()->mutable_id()->set_value(id);
  return operation;
}

const absl::Status& Known() {
  static const auto& known = *new absl::Status(absl::AlreadyExistsError(""));
  return known;
}

class RegistryWitnessTest : public testing::Test {
 protected:
  RegistryWitnessTest()
      : world_(1), witness_(world_), master_(*witness_.Observe("master")) {}

  void Write(uint64_t position, const std::vector<Operation>& operations) {
    registry::Batch batch;
    for (const Operation& operation : operations) {
      *batch.add_operations() = operation;
    }
    witness_.Entry(position, AppendOf(batch.SerializeAsString()));
  }
  std::string Said() const { return world_.failure().value_or(""); }

  World world_;
  RegistryWitness witness_;
  registry::RegistryObserver& master_;
};

TEST_F(RegistryWitnessTest, WhatIsRight) {
  const uint64_t a = master_.OnAsked(Admit("a"));
  const uint64_t again = master_.OnAsked(Admit("a"));
  const uint64_t gone = master_.OnAsked(Remove("b"));
  Write(5, {Admit("a"), Admit("a"), Remove("b")});
  master_.OnApplied(5, {absl::OkStatus(), Known(), absl::NotFoundError("")});
  master_.OnAnswered(a, absl::OkStatus(), 5, 0);
  master_.OnAnswered(again, Known(), 5, 1);
  master_.OnAnswered(gone, absl::NotFoundError(""), 5, 2);
  // One whose outcome is unknown is in the log, the other is not.
  const uint64_t b = master_.OnAsked(Admit("b"));
  const uint64_t c = master_.OnAsked(Admit("c"));
  master_.OnAnswered(b, absl::AbortedError(""), 0, 0);
  master_.OnAnswered(c, absl::DeadlineExceededError(""), 0, 0);
  Write(7, {Admit("b")});
  registry::RegistryState state;
  for (const char* id : {"a", "b"}) ASSERT_TRUE(state.Apply(Admit(id)).ok());
  master_.OnState(9, state);
  EXPECT_EQ(witness_.answered(), 3u);
  EXPECT_EQ(Said(), "");
}

TEST_F(RegistryWitnessTest, AnAnswerOfAStaleState) {
  const uint64_t a = master_.OnAsked(Admit("a"));
  const uint64_t again = master_.OnAsked(Admit("a"));
  Write(5, {Admit("a"), Admit("a")});
  master_.OnAnswered(a, absl::OkStatus(), 5, 0);
  EXPECT_EQ(Said(), "");
  master_.OnAnswered(again, absl::OkStatus(), 5, 1);
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, AnAnswerWithoutAnEntry) {
  master_.OnAnswered(master_.OnAsked(Admit("a")), absl::OkStatus(), 5, 0);
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, AnAnswerForAnotherOperation) {
  const uint64_t a = master_.OnAsked(Admit("a"));
  master_.OnAsked(Admit("b"));
  Write(5, {Admit("b")});
  master_.OnAnswered(a, absl::OkStatus(), 5, 0);
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, TwoAnswersForOneEntry) {
  const uint64_t first = master_.OnAsked(Remove("a"));
  const uint64_t second = master_.OnAsked(Remove("a"));
  Write(5, {Remove("a")});
  master_.OnAnswered(first, absl::NotFoundError(""), 5, 0);
  master_.OnAnswered(second, absl::NotFoundError(""), 5, 0);
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, TwoAnswersToOneAsked) {
  const uint64_t a = master_.OnAsked(Admit("a"));
  Write(5, {Admit("a")});
  master_.OnAnswered(a, absl::OkStatus(), 5, 0);
  master_.OnAnswered(a, absl::OkStatus(), 5, 0);
  EXPECT_NE(Said(), "");
}

// Equal operations: the one that was asked for later claims the earlier entry.
TEST_F(RegistryWitnessTest, AnswersAgainstRealTime) {
  master_.OnAsked(Remove("a"));
  const uint64_t b = master_.OnAsked(Remove("b"));
  Write(5, {Remove("a"), Remove("b")});
  master_.OnAnswered(b, absl::NotFoundError(""), 5, 1);
  const uint64_t later = master_.OnAsked(Remove("a"));
  master_.OnAnswered(later, absl::NotFoundError(""), 5, 0);
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, AnUnknownOutcomeThatIsThereTwice) {
  master_.OnAsked(Admit("a"));
  Write(5, {Admit("a")});
  EXPECT_EQ(Said(), "");
  Write(6, {Admit("a")});
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, ARefusedOneThatIsThere) {
  const uint64_t a = master_.OnAsked(Admit("a"));
  Write(5, {Admit("a")});
  master_.OnAnswered(a, absl::FailedPreconditionError(""), 0, 0);
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, AReplicaThatFindsSomethingElse) {
  master_.OnAsked(Admit("a"));
  Write(5, {Admit("a")});
  witness_.Observe("standby")->OnApplied(5, {Known()});
  EXPECT_NE(Said(), "");
}

TEST_F(RegistryWitnessTest, ANewLeaderThatHasMissedSomething) {
  master_.OnAsked(Admit("a"));
  Write(5, {Admit("a")});
  witness_.Observe("next")->OnState(4, registry::RegistryState());
  EXPECT_EQ(Said(), "");
  witness_.Observe("next")->OnState(5, registry::RegistryState());
  EXPECT_NE(Said(), "");
}

}  // namespace
}  // namespace quorate::sim
