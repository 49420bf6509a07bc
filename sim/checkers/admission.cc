#include "sim/checkers/admission.h"

#include "absl/strings/str_cat.h"
#include "core/master/cluster.h"
#include "core/registry/registrar.h"

namespace quorate::sim {

void Admission::Committed(const registry::RegistryState& registry) {
  for (const auto& [id, time] : registry.unreachable()) unreachable_.insert(id);
  for (const auto& [id, time] : registry.gone()) gone_.insert(id);
}

void Admission::Registered(absl::string_view who, const std::string& agent_id,
                           const registry::RegistryState& registry) {
  if (gone_.count(agent_id) > 0) {
    return world_.Fail(absl::StrCat("agent ", agent_id,
                                    " was gone, and is registered with ", who));
  }
  if (registry.admitted().count(agent_id) == 0) {
    world_.Fail(absl::StrCat("agent ", agent_id, " is registered with ", who,
                             ", whose registry has not admitted it"));
  }
}

void Admission::Unreachable(absl::string_view who,
                            const std::string& agent_id) {
  if (unreachable_.count(agent_id) > 0) return;
  world_.Fail(absl::StrCat(who, " holds tasks of agent ", agent_id,
                           " for unreachable, and no committed entry of the "
                           "registry has ever said so"));
}

void Admission::GoneByOperator(absl::string_view who,
                               const std::string& agent_id) {
  if (gone_.count(agent_id) > 0) return;
  world_.Fail(absl::StrCat(who, " is told that agent ", agent_id,
                           " was marked gone by an operator, and no committed "
                           "entry of the registry has ever said so"));
}

void Admission::Check(absl::string_view who, const master::Cluster& cluster,
                      const registry::RegistryState& registry) {
  Committed(registry);
  for (const auto& [id, agent] : cluster.agents()) {
    Registered(who, id, registry);
  }
  for (const auto& [id, framework] : cluster.frameworks()) {
    for (const master::Task& task : framework->unreachable_tasks) {
      Unreachable(who, task.agent_id());
    }
  }
}

}  // namespace quorate::sim
