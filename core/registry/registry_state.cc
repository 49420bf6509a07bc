#include <utility>

#include "absl/strings/str_cat.h"
#include "core/registry/registrar.h"

namespace quorate::registry {
namespace {

// Of a length-delimited field: its tag and its length.
constexpr size_t kFieldBytes = 6;
// Of an entry beside what a part of a snapshot adds to the state.
constexpr size_t kEnvelopeBytes = 2 * kFieldBytes + 4;

// Puts what it is given into one part after the other.
class Splitter {
 public:
  explicit Splitter(size_t bytes) : bytes_(bytes) { parts_.emplace_back(); }

  Registry& RoomFor(size_t field) {
    if (used_ > kEnvelopeBytes && used_ + field + kFieldBytes > bytes_) {
      parts_.emplace_back();
      used_ = kEnvelopeBytes;
    }
    used_ += field + kFieldBytes;
    return *parts_.back().mutable_registry();
  }

  std::vector<Snapshot> Finish() {
    parts_.front().set_first(true);
    parts_.back().set_last(true);
    return std::move(parts_);
  }

 private:
  const size_t bytes_;
  size_t used_ = kEnvelopeBytes;
  std::vector<Snapshot> parts_;
};

template <typename Message>
bool Known(const Message& message) {
  return message.unknown_fields().empty();
}

}  // namespace

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
  if (master_) *registry.mutable_master() = *master_;
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

std::vector<Snapshot> RegistryState::ToParts(size_t bytes) const {
  Registry whole = ToProto();
  Splitter parts(bytes);
  if (whole.has_master()) {
    *parts.RoomFor(whole.master().ByteSizeLong()).mutable_master() =
        whole.master();
  }
  for (Registry::Agent& agent : *whole.mutable_admitted()) {
    *parts.RoomFor(agent.ByteSizeLong()).add_admitted() = std::move(agent);
  }
  for (Registry::Unreachable& agent : *whole.mutable_unreachable()) {
    *parts.RoomFor(agent.ByteSizeLong()).add_unreachable() = std::move(agent);
  }
  for (Registry::Gone& agent : *whole.mutable_gone()) {
    *parts.RoomFor(agent.ByteSizeLong()).add_gone() = std::move(agent);
  }
  return parts.Finish();
}

// What is not known here would be lost; the writer's state has it.
absl::Status RegistryState::Add(const Snapshot& snapshot) {
  const Registry& part = snapshot.registry();
  bool known = Known(snapshot) && Known(part);
  if (part.has_master()) master_ = part.master();
  for (const Registry::Agent& agent : part.admitted()) {
    known = known && Known(agent);
    admitted_[agent.info().id().value()] = agent.info();
  }
  for (const Registry::Unreachable& agent : part.unreachable()) {
    known = known && Known(agent);
    unreachable_[agent.id().value()] = agent.timestamp();
  }
  for (const Registry::Gone& agent : part.gone()) {
    known = known && Known(agent);
    gone_[agent.id().value()] = agent.timestamp();
  }
  if (known) return absl::OkStatus();
  return absl::UnimplementedError(
      "the registry holds a snapshot that this version does not know; upgrade "
      "this master");
}

absl::StatusOr<std::optional<RegistryState>> SnapshotAssembly::Add(
    const Snapshot& part) {
  if (part.first()) staged_.emplace();
  // It continues what was dropped.
  if (!staged_) return std::nullopt;
  absl::Status added = staged_->Add(part);
  if (!added.ok()) return added;
  if (!part.last()) return std::nullopt;
  return std::exchange(staged_, std::nullopt);
}

}  // namespace quorate::registry
