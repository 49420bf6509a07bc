#include "sim/checkers/registry_witness.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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

mesos::v1::FrameworkInfo Framework(const std::string& id) {
  mesos::v1::FrameworkInfo info;
  info.set_user("root");
  info.set_name("name");
  info.mutable_id()->set_value(id);
  return info;
}

Operation AnyOperation(io::Random& random) {
  const uint64_t kind = random.Below(10);
  const std::string id(1, static_cast<char>('a' + random.Below(6)));
  const auto time = static_cast<int64_t>(random.Below(1000));
  Operation operation;
  switch (kind) {
    case 0:
      return Admit(id);
    case 1:
      return Remove(id);
    case 2:
      *operation.mutable_mark_agent_reachable()->mutable_info() =
          Admit(id).admit_agent().info();
      break;
    case 3:
      operation.mutable_mark_agent_unreachable()->mutable_id()->set_value(id);
      operation.mutable_mark_agent_unreachable()
          ->mutable_timestamp()
          ->set_nanoseconds(time);
      break;
    case 4:
      operation.mutable_mark_agent_gone()->mutable_id()->set_value(id);
      operation.mutable_mark_agent_gone()->mutable_timestamp()->set_nanoseconds(
          time);
      break;
    case 5:
      operation.mutable_prune()->add_unreachable()->set_value(id);
      operation.mutable_prune()->add_gone()->set_value(id);
      break;
    case 6:
      *operation.mutable_update_agent()->mutable_info() =
          Admit(id).admit_agent().info();
      operation.mutable_update_agent()->set_address(absl::StrCat(time));
      break;
    case 7:
      *operation.mutable_update_framework()->mutable_info() = Framework(id);
      operation.mutable_update_framework()
          ->mutable_timestamp()
          ->set_nanoseconds(time);
      break;
    case 8:
      *operation.mutable_forget_framework()->mutable_id() = Framework(id).id();
      break;
    default: {
      registry::EndFramework& end = *operation.mutable_end_framework();
      *end.mutable_framework()->mutable_info() = Framework(id);
      end.mutable_framework()->mutable_ended()->set_nanoseconds(time);
      end.set_remembered(3);
    }
  }
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

// Each kind of operation, with outcomes of all kinds: the model and the
// registry agree, also on which ended framework is forgotten first.
TEST_F(RegistryWitnessTest, AgreesWithTheRegistryOnEveryOperation) {
  auto random = world_.NewRandom("operations");
  registry::RegistryState state;
  for (uint64_t position = 1; position <= 2000; ++position) {
    const Operation operation = AnyOperation(*random);
    master_.OnAsked(operation);
    Write(position, {operation});
    master_.OnApplied(position, {state.Apply(operation)});
    master_.OnState(position, state);
    ASSERT_EQ(Said(), "") << operation.ShortDebugString();
  }
}

}  // namespace
}  // namespace quorate::sim
