#include <glog/logging.h>

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

// As that operation describes it.
template <typename Message>
Registry::Agent Admitted(const Message& operation) {
  Registry::Agent agent;
  *agent.mutable_info() = operation.info();
  if (operation.has_address()) agent.set_address(operation.address());
  return agent;
}

}  // namespace

absl::StatusOr<Batch> ParseBatch(absl::string_view entry) {
  Batch batch;
  if (!batch.ParseFromArray(entry.data(), static_cast<int>(entry.size()))) {
    return absl::DataLossError("no registry of this release wrote this");
  }
  const size_t bytes = batch.ByteSizeLong();
  batch.DiscardUnknownFields();
  bool known = batch.ByteSizeLong() == bytes;
  for (const Operation& operation : batch.operations()) {
    known = known && operation.kind_case() != Operation::KIND_NOT_SET;
  }
  if (known) return batch;
  return absl::UnimplementedError(
      "a newer release wrote this, and it says more than this one knows: "
      "upgrade this master");
}

absl::Status RegistryState::Apply(const Operation& operation) {
  switch (operation.kind_case()) {
    case Operation::kUpdateMaster:
      master_ = operation.update_master().info();
      return absl::OkStatus();
    case Operation::kAdmitAgent:
      return Admit(operation.admit_agent());
    case Operation::kMarkAgentReachable:
      return MarkReachable(operation.mark_agent_reachable());
    case Operation::kMarkAgentUnreachable:
      return MarkUnreachable(operation.mark_agent_unreachable());
    case Operation::kRemoveAgent:
      return Remove(operation.remove_agent().id().value());
    case Operation::kUpdateAgent:
      return Update(operation.update_agent());
    case Operation::kUpdateFramework:
      return Update(operation.update_framework());
    case Operation::kEndFramework:
      return End(operation.end_framework());
    case Operation::kMarkAgentGone:
      return MarkGone(operation.mark_agent_gone());
    case Operation::kPrune:
      return Forget(operation.prune());
    case Operation::kForgetFramework:
      return Forget(operation.forget_framework());
    case Operation::KIND_NOT_SET:
      break;
  }
  LOG(FATAL) << "ParseBatch lets no such operation through";
}

absl::Status RegistryState::Unknown(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("agent ", id, " is not admitted"));
}

absl::Status RegistryState::Admit(const AdmitAgent& admit) {
  const std::string& id = admit.info().id().value();
  if (admitted_.count(id) != 0 || unreachable_.count(id) != 0 ||
      gone_.count(id) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("agent ", id, " is known"));
  }
  admitted_[id] = Admitted(admit);
  return absl::OkStatus();
}

// Also an agent that is not known any more comes back this way: its tasks may
// still run.
absl::Status RegistryState::MarkReachable(const MarkAgentReachable& mark) {
  const std::string& id = mark.info().id().value();
  if (gone_.count(id) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("agent ", id, " is gone"));
  }
  if (admitted_.count(id) != 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("agent ", id, " is reachable"));
  }
  unreachable_.erase(id);
  admitted_[id] = Admitted(mark);
  return absl::OkStatus();
}

absl::Status RegistryState::MarkUnreachable(const MarkAgentUnreachable& mark) {
  const std::string& id = mark.id().value();
  if (admitted_.erase(id) == 0) return Unknown(id);
  unreachable_[id] = mark.timestamp();
  return absl::OkStatus();
}

absl::Status RegistryState::MarkGone(const MarkAgentGone& mark) {
  const std::string& id = mark.id().value();
  if (gone_.count(id) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("agent ", id, " is gone"));
  }
  if (admitted_.erase(id) + unreachable_.erase(id) == 0) return Unknown(id);
  gone_[id] = mark.timestamp();
  return absl::OkStatus();
}

absl::Status RegistryState::Remove(const std::string& id) {
  return admitted_.erase(id) != 0 ? absl::OkStatus() : Unknown(id);
}

absl::Status RegistryState::Update(const UpdateAgent& update) {
  auto found = admitted_.find(update.info().id().value());
  if (found == admitted_.end()) return Unknown(update.info().id().value());
  found->second = Admitted(update);
  return absl::OkStatus();
}

// Those that came back meanwhile are not in the lists any more.
absl::Status RegistryState::Forget(const Prune& prune) {
  size_t forgotten = 0;
  for (const mesos::v1::AgentID& id : prune.unreachable()) {
    forgotten += unreachable_.erase(id.value());
  }
  for (const mesos::v1::AgentID& id : prune.gone()) {
    forgotten += gone_.erase(id.value());
  }
  return forgotten > 0 ? absl::OkStatus()
                       : absl::NotFoundError("nothing to be forgotten");
}

absl::Status RegistryState::Update(const UpdateFramework& update) {
  const std::string& id = update.info().id().value();
  if (HasEnded(id)) {
    return absl::AlreadyExistsError(
        absl::StrCat("framework ", id, " has ended"));
  }
  auto [known, first] = frameworks_.try_emplace(id);
  *known->second.mutable_info() = update.info();
  if (first) *known->second.mutable_registered() = update.timestamp();
  return absl::OkStatus();
}

// Also one that only its agents know: it has ended all the same.
absl::Status RegistryState::End(const EndFramework& end) {
  const std::string& id = end.framework().info().id().value();
  if (!ended_ids_.insert(id).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("framework ", id, " has ended"));
  }
  frameworks_.erase(id);
  ended_.push_back(end.framework());
  while (ended_.size() > end.remembered()) {
    ended_ids_.erase(ended_.front().info().id().value());
    ended_.pop_front();
  }
  return absl::OkStatus();
}

absl::Status RegistryState::Forget(const ForgetFramework& forget) {
  const std::string& id = forget.id().value();
  if (frameworks_.erase(id) > 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("framework ", id, " is not known"));
}

Registry RegistryState::ToProto() const {
  Registry registry;
  if (master_) *registry.mutable_master() = *master_;
  for (const auto& [id, agent] : admitted_) *registry.add_admitted() = agent;
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
  for (const auto& [id, framework] : frameworks_) {
    *registry.add_frameworks() = framework;
  }
  for (const Registry::EndedFramework& ended : ended_) {
    *registry.add_ended_frameworks() = ended;
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
  for (Registry::Framework& framework : *whole.mutable_frameworks()) {
    *parts.RoomFor(framework.ByteSizeLong()).add_frameworks() =
        std::move(framework);
  }
  for (Registry::EndedFramework& ended : *whole.mutable_ended_frameworks()) {
    *parts.RoomFor(ended.ByteSizeLong()).add_ended_frameworks() =
        std::move(ended);
  }
  return parts.Finish();
}

void RegistryState::Add(const Snapshot& snapshot) {
  const Registry& part = snapshot.registry();
  if (part.has_master()) master_ = part.master();
  for (const Registry::Agent& agent : part.admitted()) {
    admitted_[agent.info().id().value()] = agent;
  }
  for (const Registry::Unreachable& agent : part.unreachable()) {
    unreachable_[agent.id().value()] = agent.timestamp();
  }
  for (const Registry::Gone& agent : part.gone()) {
    gone_[agent.id().value()] = agent.timestamp();
  }
  for (const Registry::Framework& framework : part.frameworks()) {
    frameworks_[framework.info().id().value()] = framework;
  }
  for (const Registry::EndedFramework& ended : part.ended_frameworks()) {
    ended_.push_back(ended);
    ended_ids_.insert(ended.info().id().value());
  }
}

std::optional<RegistryState> SnapshotAssembly::Add(const Snapshot& part) {
  if (part.first()) staged_.emplace();
  // It continues what was dropped.
  if (!staged_) return std::nullopt;
  staged_->Add(part);
  if (!part.last()) return std::nullopt;
  return std::exchange(staged_, std::nullopt);
}

}  // namespace quorate::registry
