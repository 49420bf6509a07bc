#include <gtest/gtest.h>

#include "core/registry/registrar.h"

namespace quorate::registry {
namespace {

mesos::v1::AgentInfo Info(const std::string& id) {
  mesos::v1::AgentInfo info;
  info.set_hostname("host-" + id);
  info.mutable_id()->set_value(id);
  return info;
}

Operation Admit(const std::string& id) {
  Operation operation;
  *operation.mutable_admit_agent()->mutable_info() = Info(id);
  return operation;
}

Operation MarkReachable(const std::string& id) {
  Operation operation;
  *operation.mutable_mark_agent_reachable()->mutable_info() = Info(id);
  return operation;
}

Operation MarkUnreachable(const std::string& id) {
  Operation operation;
  auto& mark = *operation.mutable_mark_agent_unreachable();
  mark.mutable_id()->set_value(id);
  mark.mutable_timestamp()->set_nanoseconds(7);
  return operation;
}

TEST(RegistryState, AdmitsOnce) {
  RegistryState state;
  EXPECT_TRUE(state.Apply(Admit("a")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(Admit("a"))));
  EXPECT_EQ(state.admitted().count("a"), 1u);
}

TEST(RegistryState, AnUnreachableAgentComesBack) {
  RegistryState state;
  ASSERT_TRUE(state.Apply(Admit("a")).ok());
  ASSERT_TRUE(state.Apply(MarkUnreachable("a")).ok());
  EXPECT_EQ(state.admitted().count("a"), 0u);
  EXPECT_EQ(state.unreachable().at("a").nanoseconds(), 7);
  // It may not register as if it were new: its tasks may still run.
  EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(Admit("a"))));
  EXPECT_TRUE(state.Apply(MarkReachable("a")).ok());
  EXPECT_EQ(state.unreachable().count("a"), 0u);
  EXPECT_EQ(state.admitted().count("a"), 1u);
}

TEST(RegistryState, AForgottenAgentComesBack) {
  RegistryState state;
  EXPECT_TRUE(state.Apply(MarkReachable("a")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(MarkReachable("a"))));
}

TEST(RegistryState, OnlyKnownAgentsAreRemovedOrLost) {
  RegistryState state;
  EXPECT_TRUE(absl::IsNotFound(state.Apply(MarkUnreachable("a"))));
  Operation remove;
  remove.mutable_remove_agent()->mutable_id()->set_value("a");
  EXPECT_TRUE(absl::IsNotFound(state.Apply(remove)));
  ASSERT_TRUE(state.Apply(Admit("a")).ok());
  EXPECT_TRUE(state.Apply(remove).ok());
  EXPECT_TRUE(state.admitted().empty());
}

TEST(RegistryState, UnknownOperationsAreTold) {
  RegistryState state;
  EXPECT_TRUE(absl::IsUnimplemented(state.Apply(Operation())));
}

TEST(RegistryState, ToProtoHoldsEverything) {
  RegistryState state;
  ASSERT_TRUE(state.Apply(Admit("a")).ok());
  ASSERT_TRUE(state.Apply(Admit("b")).ok());
  ASSERT_TRUE(state.Apply(MarkUnreachable("b")).ok());
  const Registry registry = state.ToProto();
  ASSERT_EQ(registry.admitted_size(), 1);
  EXPECT_EQ(registry.admitted(0).info().hostname(), "host-a");
  ASSERT_EQ(registry.unreachable_size(), 1);
  EXPECT_EQ(registry.unreachable(0).id().value(), "b");
}

}  // namespace
}  // namespace quorate::registry
