#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

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

Operation MarkGone(const std::string& id) {
  Operation operation;
  auto& mark = *operation.mutable_mark_agent_gone();
  mark.mutable_id()->set_value(id);
  mark.mutable_timestamp()->set_nanoseconds(8);
  return operation;
}

mesos::v1::FrameworkInfo Framework(const std::string& id) {
  mesos::v1::FrameworkInfo info;
  info.set_user("root");
  info.set_name("name");
  info.mutable_id()->set_value(id);
  return info;
}

Operation Subscribed(const std::string& id, int64_t time = 1) {
  Operation operation;
  auto& update = *operation.mutable_update_framework();
  *update.mutable_info() = Framework(id);
  update.mutable_timestamp()->set_nanoseconds(time);
  return operation;
}

Operation End(const std::string& id, int remembered = 100) {
  Operation operation;
  auto& end = *operation.mutable_end_framework();
  *end.mutable_framework()->mutable_info() = Framework(id);
  end.mutable_framework()->mutable_ended()->set_nanoseconds(9);
  end.set_remembered(remembered);
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

TEST(RegistryState, KnowsWhereAgentsWere) {
  RegistryState state;
  Operation admit = Admit("a");
  admit.mutable_admit_agent()->set_address("10.0.0.1:5051");
  ASSERT_TRUE(state.Apply(admit).ok());
  EXPECT_EQ(state.admitted().at("a").address(), "10.0.0.1:5051");
  Operation update;
  *update.mutable_update_agent()->mutable_info() = Info("a");
  update.mutable_update_agent()->set_address("10.0.0.1:5052");
  ASSERT_TRUE(state.Apply(update).ok());
  RegistryState other;
  for (const Snapshot& part : state.ToParts(1)) {
    other.Add(part);
  }
  EXPECT_EQ(other.admitted().at("a").address(), "10.0.0.1:5052");
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

TEST(RegistryState, WhoIsGoneNeverComesBack) {
  RegistryState state;
  EXPECT_TRUE(absl::IsNotFound(state.Apply(MarkGone("a"))));
  for (const char* id : {"a", "b"}) ASSERT_TRUE(state.Apply(Admit(id)).ok());
  ASSERT_TRUE(state.Apply(MarkUnreachable("b")).ok());
  for (const char* id : {"a", "b"}) {
    EXPECT_TRUE(state.Apply(MarkGone(id)).ok());
    EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(MarkGone(id))));
    EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(Admit(id))));
    EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(MarkReachable(id))));
    EXPECT_EQ(state.gone().at(id).nanoseconds(), 8);
  }
  EXPECT_TRUE(state.admitted().empty());
  EXPECT_TRUE(state.unreachable().empty());
}

TEST(RegistryState, ForgetsWhoIsStillUnreachableOrGone) {
  RegistryState state;
  for (const char* id : {"back", "away", "gone"}) {
    ASSERT_TRUE(state.Apply(Admit(id)).ok());
    ASSERT_TRUE(state.Apply(MarkUnreachable(id)).ok());
  }
  ASSERT_TRUE(state.Apply(MarkReachable("back")).ok());
  ASSERT_TRUE(state.Apply(MarkGone("gone")).ok());
  Operation prune;
  for (const char* id : {"back", "away", "gone"}) {
    prune.mutable_prune()->add_unreachable()->set_value(id);
  }
  EXPECT_TRUE(state.Apply(prune).ok());
  EXPECT_EQ(state.admitted().count("back"), 1u);
  EXPECT_TRUE(state.unreachable().empty());
  EXPECT_EQ(state.gone().count("gone"), 1u);
  EXPECT_TRUE(absl::IsNotFound(state.Apply(prune)));
  prune.mutable_prune()->add_gone()->set_value("gone");
  EXPECT_TRUE(state.Apply(prune).ok());
  EXPECT_TRUE(state.gone().empty());
}

TEST(RegistryState, AFrameworkEndsOnce) {
  RegistryState state;
  ASSERT_TRUE(state.Apply(Subscribed("f", 1)).ok());
  Operation renamed = Subscribed("f", 2);
  renamed.mutable_update_framework()->mutable_info()->set_name("renamed");
  ASSERT_TRUE(state.Apply(renamed).ok());
  EXPECT_EQ(state.frameworks().at("f").info().name(), "renamed");
  EXPECT_EQ(state.frameworks().at("f").registered().nanoseconds(), 1);
  ASSERT_TRUE(state.Apply(End("f")).ok());
  EXPECT_TRUE(state.frameworks().empty());
  EXPECT_TRUE(state.HasEnded("f"));
  EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(End("f"))));
  EXPECT_TRUE(absl::IsAlreadyExists(state.Apply(Subscribed("f"))));
  // Known from agents only.
  EXPECT_TRUE(state.Apply(End("g")).ok());
  EXPECT_TRUE(state.HasEnded("g"));
}

TEST(RegistryState, RemembersTheLatestThatEnded) {
  RegistryState state;
  for (const char* id : {"c", "a", "b"}) {
    ASSERT_TRUE(state.Apply(End(id, 2)).ok());
  }
  ASSERT_EQ(state.ended_frameworks().size(), 2u);
  EXPECT_EQ(state.ended_frameworks()[0].info().id().value(), "a");
  EXPECT_FALSE(state.HasEnded("c"));
  EXPECT_TRUE(state.HasEnded("a"));
  // A snapshot keeps who goes first.
  RegistryState other;
  for (const Snapshot& part : state.ToParts(1)) {
    other.Add(part);
  }
  ASSERT_TRUE(other.Apply(End("d", 2)).ok());
  EXPECT_FALSE(other.HasEnded("a"));
  EXPECT_TRUE(other.HasEnded("b"));
}

TEST(RegistryState, AFrameworkThatNobodyWasToldOfLeavesNoTrace) {
  RegistryState state;
  ASSERT_TRUE(state.Apply(End("ended", 1)).ok());
  ASSERT_TRUE(state.Apply(Subscribed("f", 1)).ok());
  Operation forget;
  forget.mutable_forget_framework()->mutable_id()->set_value("f");
  EXPECT_TRUE(state.Apply(forget).ok());
  EXPECT_TRUE(absl::IsNotFound(state.Apply(forget)));
  EXPECT_TRUE(state.frameworks().empty());
  EXPECT_FALSE(state.HasEnded("f"));
  EXPECT_TRUE(state.HasEnded("ended"));
  // Not of those that have ended.
  forget.mutable_forget_framework()->mutable_id()->set_value("ended");
  EXPECT_TRUE(absl::IsNotFound(state.Apply(forget)));
  EXPECT_TRUE(state.HasEnded("ended"));
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

// Of every kind so many; an id says its kind, too.
Registry Everything(int agents) {
  Registry registry;
  registry.mutable_master()->set_id("master");
  registry.mutable_master()->set_ip(1);
  registry.mutable_master()->set_port(5050);
  for (int i = 0; i < agents; ++i) {
    const std::string id = std::to_string(100 + i);
    *registry.add_admitted()->mutable_info() = Info("a" + id);
    Registry::Unreachable& unreachable = *registry.add_unreachable();
    unreachable.mutable_id()->set_value("u" + id);
    unreachable.mutable_timestamp()->set_nanoseconds(i);
    Registry::Gone& gone = *registry.add_gone();
    gone.mutable_id()->set_value("g" + id);
    gone.mutable_timestamp()->set_nanoseconds(1000 + i);
    Registry::Framework& framework = *registry.add_frameworks();
    *framework.mutable_info() = Framework("f" + id);
    framework.mutable_registered()->set_nanoseconds(i);
    Registry::EndedFramework& ended = *registry.add_ended_frameworks();
    *ended.mutable_info() = Framework("e" + id);
    ended.mutable_ended()->set_nanoseconds(i);
  }
  return registry;
}

RegistryState StateOf(const Registry& registry) {
  Snapshot whole;
  *whole.mutable_registry() = registry;
  RegistryState state;
  state.Add(whole);
  return state;
}

size_t EntryBytes(const Snapshot& part) {
  Batch batch;
  *batch.mutable_snapshot() = part;
  return batch.ByteSizeLong();
}

// Null: it is not complete.
std::optional<RegistryState> Assemble(SnapshotAssembly* assembly,
                                      const std::vector<Snapshot>& parts) {
  std::optional<RegistryState> state;
  for (const Snapshot& part : parts) {
    EXPECT_FALSE(state.has_value());
    state = assembly->Add(part);
  }
  return state;
}

TEST(RegistryState, ASnapshotOfAnySizeOfPartsHoldsEverything) {
  for (int agents : {0, 1, 100}) {
    const Registry registry = Everything(agents);
    for (size_t bytes : {1, 100, 300, 5000, 1 << 20}) {
      const auto parts = StateOf(registry).ToParts(bytes);
      SnapshotAssembly assembly;
      const auto state = Assemble(&assembly, parts);
      ASSERT_TRUE(state.has_value());
      EXPECT_EQ(state->ToProto().SerializeAsString(),
                registry.SerializeAsString());
    }
  }
}

TEST(RegistryState, PartsAreFullAndNotLargerThanAsked) {
  const RegistryState state = StateOf(Everything(1000));
  for (size_t bytes : {200, 1000, 10000}) {
    const auto parts = state.ToParts(bytes);
    ASSERT_GT(parts.size(), 3u);
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LE(EntryBytes(parts[i]), bytes);
      EXPECT_TRUE(EntryBytes(parts[i]) > bytes / 3 || parts[i].last());
      EXPECT_EQ(parts[i].first(), i == 0);
      EXPECT_EQ(parts[i].last(), i + 1 == parts.size());
    }
  }
  EXPECT_EQ(state.ToParts(1 << 20).size(), 1u);
}

// Not by a byte: the lengths of what is around them count, too.
TEST(RegistryState, PartsAreNotLargerThanAskedWhateverTheirAgents) {
  for (size_t hostname : {10, 100, 200, 20000}) {
    Registry registry = Everything(3);
    for (Registry::Agent& agent : *registry.mutable_admitted()) {
      agent.mutable_info()->set_hostname(std::string(hostname, 'x'));
    }
    const RegistryState state = StateOf(registry);
    for (size_t bytes = 2 * hostname; bytes < 2 * hostname + 200; ++bytes) {
      for (const Snapshot& part : state.ToParts(bytes)) {
        if (part.registry().admitted_size() < 2) continue;
        ASSERT_LE(EntryBytes(part), bytes);
      }
    }
  }
}

TEST(RegistryState, AnAgentLargerThanAPartHasOneOfItsOwn) {
  RegistryState state;
  for (const char* id : {"a", "b", "c"}) {
    Operation admit = Admit(id);
    if (*id == 'b') {
      admit.mutable_admit_agent()->mutable_info()->set_hostname(
          std::string(1000, 'x'));
    }
    ASSERT_TRUE(state.Apply(admit).ok());
  }
  const auto parts = state.ToParts(300);
  ASSERT_EQ(parts.size(), 3u);
  SnapshotAssembly assembly;
  EXPECT_EQ(Assemble(&assembly, parts)->admitted().size(), 3u);
}

TEST(RegistryState, AnEmptyStateIsASnapshotToo) {
  const auto parts = RegistryState().ToParts(100);
  ASSERT_EQ(parts.size(), 1u);
  SnapshotAssembly assembly;
  EXPECT_TRUE(Assemble(&assembly, parts).has_value());
}

TEST(SnapshotAssembly, WhatIsIncompleteIsNothing) {
  const auto parts = StateOf(Everything(3)).ToParts(1);
  const std::vector<Snapshot> rest(parts.begin() + 4, parts.end());
  SnapshotAssembly assembly;
  EXPECT_FALSE(Assemble(&assembly, rest).has_value());
  EXPECT_FALSE(
      Assemble(&assembly, {parts.begin(), parts.begin() + 4}).has_value());
  assembly.Drop();
  EXPECT_FALSE(Assemble(&assembly, rest).has_value());
}

TEST(SnapshotAssembly, AFirstPartStartsOver) {
  const auto old = StateOf(Everything(3)).ToParts(1);
  RegistryState state;
  ASSERT_TRUE(state.Apply(Admit("new")).ok());
  SnapshotAssembly assembly;
  EXPECT_FALSE(Assemble(&assembly, {old.begin(), old.end() - 1}).has_value());
  const auto assembled = Assemble(&assembly, state.ToParts(1));
  ASSERT_TRUE(assembled.has_value());
  EXPECT_EQ(assembled->ToProto().SerializeAsString(),
            state.ToProto().SerializeAsString());
  // And is over with the last.
  EXPECT_FALSE(Assemble(&assembly, {old.end() - 1, old.end()}).has_value());
}

// Whether ParseBatch takes an entry for one of a newer release.
bool IsNewer(const Batch& batch) {
  const absl::StatusOr<Batch> parsed = ParseBatch(batch.SerializeAsString());
  EXPECT_TRUE(parsed.ok() || absl::IsUnimplemented(parsed.status()));
  return !parsed.ok();
}

// With a field that this release does not know in `message`, which is a part of
// `batch`, it does.
void ExpectNewerWith(google::protobuf::Message* message, const Batch& batch) {
  EXPECT_FALSE(IsNewer(batch));
  auto& unknown = *message->GetReflection()->MutableUnknownFields(message);
  unknown.AddVarint(1000, 1);
  EXPECT_TRUE(IsNewer(batch)) << batch.ShortDebugString();
  unknown.Clear();
}

TEST(ParseBatch, ASnapshotOfANewerRelease) {
  Batch batch;
  Snapshot& part = *batch.mutable_snapshot();
  Registry& registry = *part.mutable_registry() = Everything(1);
  auto& filters =
      *registry.mutable_frameworks(0)->mutable_info()->mutable_offer_filters();
  auto& quantities =
      *filters["role"].mutable_min_allocatable_resources()->add_quantities();
  (*quantities.mutable_quantities())["cpus"].set_value(1);
  for (google::protobuf::Message* message :
       std::initializer_list<google::protobuf::Message*>{
           &batch, &part, &registry, registry.mutable_master(),
           registry.mutable_admitted(0),
           registry.mutable_admitted(0)->mutable_info(),
           registry.mutable_unreachable(0), registry.mutable_gone(0),
           registry.mutable_gone(0)->mutable_timestamp(),
           registry.mutable_frameworks(0),
           registry.mutable_frameworks(0)->mutable_info(), &filters["role"],
           &(*quantities.mutable_quantities())["cpus"],
           registry.mutable_ended_frameworks(0)}) {
    ExpectNewerWith(message, batch);
  }
}

TEST(ParseBatch, OperationsOfANewerRelease) {
  for (const Operation& operation :
       {Admit("a"), MarkReachable("a"), MarkUnreachable("a"), MarkGone("a"),
        Subscribed("f"), End("f")}) {
    Batch batch;
    *batch.add_operations() = Admit("known");
    Operation& last = *batch.add_operations() = operation;
    ExpectNewerWith(&last, batch);
    const auto* kind = Operation::descriptor()->FindFieldByNumber(
        static_cast<int>(last.kind_case()));
    ExpectNewerWith(last.GetReflection()->MutableMessage(&last, kind), batch);
    last.Clear();
    EXPECT_TRUE(IsNewer(batch));
  }
}

TEST(ParseBatch, AValueOfANewerRelease) {
  Batch batch;
  Operation& operation = *batch.add_operations() = Subscribed("f");
  auto& capability =
      *operation.mutable_update_framework()->mutable_info()->add_capabilities();
  capability.set_type(mesos::v1::FrameworkInfo::Capability::PARTITION_AWARE);
  EXPECT_FALSE(IsNewer(batch));
  capability.clear_type();
  capability.mutable_unknown_fields()->AddVarint(1, 1000);
  EXPECT_TRUE(IsNewer(batch));
}

TEST(ParseBatch, WhatNoRegistryWrote) {
  EXPECT_TRUE(absl::IsDataLoss(ParseBatch("garbage").status()));
}

}  // namespace
}  // namespace quorate::registry
