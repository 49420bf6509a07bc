// Frameworks are what the registry says, whoever leads.
//
// * One that is subscribed with a leader is in the registry: the next leader
//   knows it.
// * One that has ended stays so: no leader has it among its frameworks again,
//   not even because an agent still runs something of it.
// * An operator is told of an end only when the registry has it.

#ifndef QUORATE_SIM_CHECKERS_FRAMEWORK_ENDS_H_
#define QUORATE_SIM_CHECKERS_FRAMEWORK_ENDS_H_

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

class FrameworkEnds {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit FrameworkEnds(World& world) : world_(world) {}

  // A master has folded that end, which is committed.
  void Ended(const std::string& framework_id) { ended_.insert(framework_id); }
  // A leader has this framework in its books, and its registry as well or not.
  void Known(absl::string_view who, const std::string& framework_id,
             bool subscribed, bool in_registry);

  // Somebody was told that this framework has ended.
  void ToldEnded(absl::string_view who, const std::string& framework_id);

  // What a master has folded of the registry, leading or not.
  void Committed(const registry::RegistryState& registry);
  // All of the above, for one that leads.
  void Check(absl::string_view who, const master::Cluster& cluster,
             const registry::RegistryState& registry);

  const std::set<std::string>& ended() const { return ended_; }

 private:
  World& world_;
  std::set<std::string> ended_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_FRAMEWORK_ENDS_H_
