// Who belongs to the cluster is what the registry says, and nobody acts on
// what is not committed there.
//
// * Every agent that a leader counts as registered is admitted in the
//   registry; one that was ever gone is never registered again, with whoever
//   leads.
// * A task is unreachable, for its master and for its framework, only when the
//   registry has had its agent as unreachable.
// * A framework is told that a task is gone by an operator only when the
//   registry has its agent as gone.

#ifndef QUORATE_SIM_CHECKERS_ADMISSION_H_
#define QUORATE_SIM_CHECKERS_ADMISSION_H_

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "sim/world.h"

namespace quorate::master {
class Cluster;
}
namespace quorate::registry {
class RegistryState;
}

namespace quorate::sim {

class Admission {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit Admission(World& world) : world_(world) {}

  // What a master has folded of the registry, which is committed; leading or
  // not.
  void Committed(const registry::RegistryState& registry);
  // A leader has this agent registered; `registry` is its own.
  void Registered(absl::string_view who, const std::string& agent_id,
                  const registry::RegistryState& registry);
  // Somebody holds a task of that agent for unreachable.
  void Unreachable(absl::string_view who, const std::string& agent_id);

  // Somebody was told that tasks of that agent are gone by an operator.
  void GoneByOperator(absl::string_view who, const std::string& agent_id);

  // Agents that were ever gone.
  const std::set<std::string>& gone() const { return gone_; }

  // All of the above, for one that leads.
  void Check(absl::string_view who, const master::Cluster& cluster,
             const registry::RegistryState& registry);

 private:
  World& world_;
  std::set<std::string> unreachable_;  // At some time.
  std::set<std::string> gone_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_ADMISSION_H_
