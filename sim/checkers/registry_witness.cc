#include "sim/checkers/registry_witness.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/log/log.pb.h"
#include "core/registry/registry.pb.h"

namespace quorate::sim {
namespace {

using registry::Operation;

constexpr auto kKnown = absl::StatusCode::kAlreadyExists;
constexpr auto kUnknown = absl::StatusCode::kNotFound;

// Frameworks may have any id, also that of an agent.
std::string KeyOf(const mesos::v1::FrameworkID& id) {
  return absl::StrCat("framework ", id.value());
}
std::string KeyOf(const mesos::v1::FrameworkInfo& info) {
  return KeyOf(info.id());
}

// Durable facts; anything else is unknown, or was not tried.
bool IsFact(absl::StatusCode code) {
  return code == absl::StatusCode::kOk ||
         code == absl::StatusCode::kAlreadyExists ||
         code == absl::StatusCode::kNotFound;
}

bool IsRefusal(absl::StatusCode code) {
  return code == absl::StatusCode::kFailedPrecondition ||
         code == absl::StatusCode::kResourceExhausted ||
         code == absl::StatusCode::kInvalidArgument;
}

}  // namespace

// -----------------------------------------------------------------------------

uint64_t RegistryModel::Fold(const std::string& id, Kind kind,
                             const std::string& bytes) {
  return StableHash(
      absl::StrCat(static_cast<int>(kind), " ", id.size(), " ", id, bytes));
}

bool RegistryModel::Is(const std::string& id, Kind kind) const {
  auto found = known_.find(id);
  return found != known_.end() && found->second.kind == kind;
}

void RegistryModel::Put(const std::string& id, Kind kind, std::string bytes) {
  Erase(id);
  digest_ += Fold(id, kind, bytes);
  known_[id] = {kind, std::move(bytes)};
}

void RegistryModel::Erase(const std::string& id) {
  auto found = known_.find(id);
  if (found == known_.end()) return;
  digest_ -= Fold(id, found->second.kind, found->second.bytes);
  known_.erase(found);
}

bool RegistryModel::Erase(const std::string& id, Kind kind) {
  if (!Is(id, kind)) return false;
  Erase(id);
  return true;
}

absl::StatusCode RegistryModel::Admit(const mesos::v1::AgentInfo& info,
                                      const std::string& address) {
  Put(info.id().value(), Kind::kAdmitted,
      absl::StrCat(info.SerializeAsString(), address));
  return absl::StatusCode::kOk;
}

absl::StatusCode RegistryModel::MarkGone(const registry::MarkAgentGone& mark) {
  const std::string& id = mark.id().value();
  if (Is(id, Kind::kGone)) return kKnown;
  if (known_.count(id) == 0) return kUnknown;
  Put(id, Kind::kGone, mark.timestamp().SerializeAsString());
  return absl::StatusCode::kOk;
}

absl::StatusCode RegistryModel::Prune(const registry::Prune& prune) {
  bool any = false;
  for (const mesos::v1::AgentID& id : prune.unreachable()) {
    any = Erase(id.value(), Kind::kUnreachable) || any;
  }
  for (const mesos::v1::AgentID& id : prune.gone()) {
    any = Erase(id.value(), Kind::kGone) || any;
  }
  return any ? absl::StatusCode::kOk : kUnknown;
}

absl::StatusCode RegistryModel::Update(
    const registry::UpdateFramework& update) {
  const std::string key = KeyOf(update.info());
  if (Is(key, Kind::kEnded)) return kKnown;
  const std::string& since =
      registered_.try_emplace(key, update.timestamp().SerializeAsString())
          .first->second;
  Put(key, Kind::kFramework,
      absl::StrCat(update.info().SerializeAsString(), since));
  return absl::StatusCode::kOk;
}

absl::StatusCode RegistryModel::End(const registry::EndFramework& end) {
  const std::string key = KeyOf(end.framework().info());
  if (Is(key, Kind::kEnded)) return kKnown;
  Put(key, Kind::kEnded, end.framework().SerializeAsString());
  registered_.erase(key);
  ended_.push_back(key);
  for (; ended_.size() > end.remembered(); ended_.pop_front()) {
    Erase(ended_.front());
  }
  return absl::StatusCode::kOk;
}

absl::StatusCode RegistryModel::Apply(const Operation& operation) {
  switch (operation.kind_case()) {
    case Operation::kUpdateMaster:
      Put("", Kind::kMaster,
          operation.update_master().info().SerializeAsString());
      return absl::StatusCode::kOk;
    case Operation::kAdmitAgent: {
      const mesos::v1::AgentInfo& info = operation.admit_agent().info();
      return known_.count(info.id().value()) != 0
                 ? kKnown
                 : Admit(info, operation.admit_agent().address());
    }
    case Operation::kMarkAgentReachable: {
      const mesos::v1::AgentInfo& info =
          operation.mark_agent_reachable().info();
      const std::string& id = info.id().value();
      const bool refused = Is(id, Kind::kAdmitted) || Is(id, Kind::kGone);
      return refused ? kKnown
                     : Admit(info, operation.mark_agent_reachable().address());
    }
    case Operation::kMarkAgentUnreachable: {
      const registry::MarkAgentUnreachable& mark =
          operation.mark_agent_unreachable();
      if (!Is(mark.id().value(), Kind::kAdmitted)) return kUnknown;
      Put(mark.id().value(), Kind::kUnreachable,
          mark.timestamp().SerializeAsString());
      return absl::StatusCode::kOk;
    }
    case Operation::kRemoveAgent: {
      const std::string& id = operation.remove_agent().id().value();
      return Erase(id, Kind::kAdmitted) ? absl::StatusCode::kOk : kUnknown;
    }
    case Operation::kUpdateAgent: {
      const mesos::v1::AgentInfo& info = operation.update_agent().info();
      return Is(info.id().value(), Kind::kAdmitted)
                 ? Admit(info, operation.update_agent().address())
                 : kUnknown;
    }
    case Operation::kUpdateFramework:
      return Update(operation.update_framework());
    case Operation::kEndFramework:
      return End(operation.end_framework());
    case Operation::kMarkAgentGone:
      return MarkGone(operation.mark_agent_gone());
    case Operation::kPrune:
      return Prune(operation.prune());
    case Operation::kForgetFramework: {
      const std::string key = KeyOf(operation.forget_framework().id());
      if (!Erase(key, Kind::kFramework)) return kUnknown;
      registered_.erase(key);
      return absl::StatusCode::kOk;
    }
    case Operation::KIND_NOT_SET:
      break;
  }
  return absl::StatusCode::kUnimplemented;
}

uint64_t RegistryModel::DigestOf(const registry::RegistryState& state) {
  uint64_t digest = 0;
  const registry::Registry proto = state.ToProto();
  if (proto.has_master()) {
    digest += Fold("", Kind::kMaster, proto.master().SerializeAsString());
  }
  for (const auto& agent : proto.admitted()) {
    digest +=
        Fold(agent.info().id().value(), Kind::kAdmitted,
             absl::StrCat(agent.info().SerializeAsString(), agent.address()));
  }
  for (const auto& agent : proto.unreachable()) {
    digest += Fold(agent.id().value(), Kind::kUnreachable,
                   agent.timestamp().SerializeAsString());
  }
  for (const auto& agent : proto.gone()) {
    digest += Fold(agent.id().value(), Kind::kGone,
                   agent.timestamp().SerializeAsString());
  }
  for (const auto& framework : proto.frameworks()) {
    digest += Fold(KeyOf(framework.info()), Kind::kFramework,
                   absl::StrCat(framework.info().SerializeAsString(),
                                framework.registered().SerializeAsString()));
  }
  for (const auto& ended : proto.ended_frameworks()) {
    digest +=
        Fold(KeyOf(ended.info()), Kind::kEnded, ended.SerializeAsString());
  }
  return digest;
}

// -----------------------------------------------------------------------------

class RegistryWitness::Observer final : public registry::RegistryObserver {
 public:
  Observer(RegistryWitness& witness, std::string master)
      : witness_(witness), master_(std::move(master)) {}

  uint64_t OnAsked(const Operation& operation) override {
    return witness_.OnAsked(operation);
  }
  void OnAnswered(uint64_t ticket, const absl::Status& outcome,
                  uint64_t position, size_t index) override {
    witness_.OnAnswered(master_, ticket, outcome, {position, index});
  }
  void OnApplied(uint64_t position,
                 const std::vector<absl::Status>& outcomes) override {
    witness_.OnApplied(master_, position, outcomes);
  }
  void OnState(uint64_t position,
               const registry::RegistryState& state) override {
    witness_.OnState(master_, position, state);
  }

 private:
  RegistryWitness& witness_;
  const std::string master_;
};

RegistryWitness::RegistryWitness(World& world) : world_(world) {}
RegistryWitness::~RegistryWitness() = default;

registry::RegistryObserver* RegistryWitness::Observe(
    const std::string& master) {
  auto& observer = observers_[master];
  if (observer == nullptr) {
    observer = std::make_unique<Observer>(*this, master);
  }
  return observer.get();
}

void RegistryWitness::Entry(uint64_t position, const log::EntryProto& entry) {
  if (entry.type() != log::APPEND) return;
  for (const std::string& payload : entry.payload()) {
    registry::Batch batch;
    if (!batch.ParseFromString(payload)) {
      return world_.Fail(
          absl::StrCat("position ", position, " holds no batch of operations"));
    }
    if (batch.operations_size() > 0 && written_.count(position) != 0) {
      return world_.Fail(absl::StrCat(
          "the registry wrote two batches at once, at position ", position));
    }
    for (const Operation& operation : batch.operations()) {
      Write({position, written_[position].size()}, operation);
    }
  }
  digests_[position] = model_.digest();
}

void RegistryWitness::Write(const Place& place, const Operation& operation) {
  const std::string bytes = operation.SerializeAsString();
  written_[place.first].push_back({bytes, model_.Apply(operation), false});
  Equal& equal = equal_[bytes];
  if (++equal.unclaimed > equal.open.size() || *equal.open.begin() >= place) {
    world_.Fail(absl::StrCat("position ", place.first,
                             " holds an operation that nobody has asked for, "
                             "or not so often, or only later: ",
                             operation.ShortDebugString()));
  }
}

uint64_t RegistryWitness::OnAsked(const Operation& operation) {
  const uint64_t ticket = next_ticket_++;
  const Asked& asked = asked_
                           .emplace(ticket, Asked{operation.SerializeAsString(),
                                                  highest_answered_, true})
                           .first->second;
  equal_[asked.operation].open.insert(asked.after);
  return ticket;
}

void RegistryWitness::Close(const Asked& asked) {
  Equal& equal = equal_[asked.operation];
  equal.open.erase(equal.open.find(asked.after));
}

void RegistryWitness::OnAnswered(const std::string& master, uint64_t ticket,
                                 const absl::Status& outcome,
                                 const Place& place) {
  auto found = asked_.find(ticket);
  if (found == asked_.end()) {
    return world_.Fail(absl::StrCat(master, " answered an operation twice"));
  }
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  if (IsFact(outcome.code())) {
    Claim(master, asked, outcome, place);
  } else if (IsRefusal(outcome.code())) {
    Close(asked);
    const Equal& equal = equal_[asked.operation];
    if (equal.unclaimed <= equal.open.size()) return;
    world_.Fail(absl::StrCat(master, " refused an operation, ",
                             outcome.message(), ", that is in the log"));
  }
}

void RegistryWitness::Claim(const std::string& master, const Asked& asked,
                            const absl::Status& outcome, const Place& place) {
  auto at = written_.find(place.first);
  if (at == written_.end() || place.second >= at->second.size() ||
      at->second[place.second].operation != asked.operation) {
    return world_.Fail(absl::StrCat(master,
                                    " answered an operation that is not at "
                                    "position ",
                                    place.first));
  }
  Written& written = at->second[place.second];
  const std::string where =
      absl::StrCat("operation ", place.second, " at position ", place.first);
  if (std::exchange(written.claimed, true)) {
    return world_.Fail(absl::StrCat("two operations are ", where));
  }
  if (written.outcome != outcome.code()) {
    return world_.Fail(absl::StrCat(master, " answered ", where, " with ",
                                    absl::StatusCodeToString(outcome.code()),
                                    "; in order it ", "is ",
                                    absl::StatusCodeToString(written.outcome)));
  }
  if (place <= asked.after) {
    return world_.Fail(absl::StrCat(where, " was asked for after position ",
                                    asked.after.first, " was answered"));
  }
  --equal_[asked.operation].unclaimed;
  Close(asked);
  highest_answered_ = std::max(highest_answered_, place);
  ++answered_;
}

void RegistryWitness::OnApplied(const std::string& master, uint64_t position,
                                const std::vector<absl::Status>& outcomes) {
  auto at = written_.find(position);
  const bool same =
      at != written_.end() &&
      std::equal(at->second.begin(), at->second.end(), outcomes.begin(),
                 outcomes.end(),
                 [](const Written& written, const absl::Status& outcome) {
                   return written.outcome == outcome.code();
                 });
  if (same) return;
  world_.Fail(absl::StrCat(master, " finds other outcomes at position ",
                           position, " than there are in order"));
}

void RegistryWitness::OnState(const std::string& master, uint64_t position,
                              const registry::RegistryState& state) {
  auto after = digests_.upper_bound(position);
  const uint64_t digest =
      after == digests_.begin() ? 0 : std::prev(after)->second;
  if (RegistryModel::DigestOf(state) == digest) return;
  world_.Fail(absl::StrCat(master, " holds another registry at position ",
                           position, " than the log says"));
}

}  // namespace quorate::sim
