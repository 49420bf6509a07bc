#include "absl/strings/str_cat.h"
#include "core/registry/registrar.h"

namespace quorate::registry {

absl::Status RegistryState::Apply(const Operation& operation) {
  switch (operation.kind_case()) {
    case Operation::kUpdateMaster:
      master_ = operation.update_master().info();
      return absl::OkStatus();
    case Operation::kAdmitAgent:
      return Admit(operation.admit_agent().info());
    case Operation::kMarkAgentReachable:
      return MarkReachable(operation.mark_agent_reachable().info());
    case Operation::kMarkAgentUnreachable: {
      const MarkAgentUnreachable& mark = operation.mark_agent_unreachable();
      if (admitted_.erase(mark.id().value()) == 0) {
        return Unknown(mark.id().value());
      }
      unreachable_[mark.id().value()] = mark.timestamp();
      return absl::OkStatus();
    }
    case Operation::kRemoveAgent: {
      const std::string& id = operation.remove_agent().id().value();
      return admitted_.erase(id) != 0 ? absl::OkStatus() : Unknown(id);
    }
    case Operation::kUpdateAgent: {
      const mesos::v1::AgentInfo& info = operation.update_agent().info();
      auto found = admitted_.find(info.id().value());
      if (found == admitted_.end()) return Unknown(info.id().value());
      found->second = info;
      return absl::OkStatus();
    }
    case Operation::KIND_NOT_SET:
      break;
  }
  // Written by a newer version: refusing it here would make this replica's
  // state differ from the writer's.
  return absl::UnimplementedError(
      "the registry holds an operation that this version does not know; "
      "upgrade this master");
}

absl::Status RegistryState::Unknown(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("agent ", id, " is not admitted"));
}

absl::Status RegistryState::Admit(const mesos::v1::AgentInfo& info) {
  const std::string& id = info.id().value();
  if (admitted_.count(id) != 0 || unreachable_.count(id) != 0 ||
      gone_.count(id) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("agent ", id, " is known"));
  }
  admitted_[id] = info;
  return absl::OkStatus();
}

// Also an agent that is not known any more comes back this way: its tasks may
// still run.
absl::Status RegistryState::MarkReachable(const mesos::v1::AgentInfo& info) {
  const std::string& id = info.id().value();
  if (gone_.count(id) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("agent ", id, " is gone"));
  }
  if (admitted_.count(id) != 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("agent ", id, " is reachable"));
  }
  unreachable_.erase(id);
  admitted_[id] = info;
  return absl::OkStatus();
}

Registry RegistryState::ToProto() const {
  Registry registry;
  if (master_.IsInitialized()) *registry.mutable_master() = master_;
  for (const auto& [id, info] : admitted_) {
    *registry.add_admitted()->mutable_info() = info;
  }
  for (const auto& [id, time] : unreachable_) {
    Registry::Unreachable& agent = *registry.add_unreachable();
    agent.mutable_id()->set_value(id);
    *agent.mutable_timestamp() = time;
  }
  for (const auto& [id, time] : gone_) {
    Registry::Gone& agent = *registry.add_gone();
    agent.mutable_id()->set_value(id);
    *agent.mutable_timestamp() = time;
  }
  return registry;
}

}  // namespace quorate::registry
