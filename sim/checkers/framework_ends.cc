#include "sim/checkers/framework_ends.h"

#include "absl/strings/str_cat.h"
#include "core/master/cluster.h"
#include "core/registry/registrar.h"

namespace quorate::sim {

void FrameworkEnds::Known(absl::string_view who,
                          const std::string& framework_id, bool subscribed,
                          bool in_registry) {
  if (ended_.count(framework_id) > 0) {
    return world_.Fail(absl::StrCat("framework ", framework_id,
                                    " has ended, and is back with ", who));
  }
  if (subscribed && !in_registry) {
    world_.Fail(absl::StrCat("framework ", framework_id, " is subscribed with ",
                             who, ", whose registry does not know it"));
  }
}

void FrameworkEnds::ToldEnded(absl::string_view who,
                              const std::string& framework_id) {
  if (ended_.count(framework_id) > 0) return;
  world_.Fail(absl::StrCat(who, " is told that framework ", framework_id,
                           " has ended, and no committed entry of the registry "
                           "has ever said so"));
}

void FrameworkEnds::Committed(const registry::RegistryState& registry) {
  for (const auto& ended : registry.ended_frameworks()) {
    Ended(ended.info().id().value());
  }
}

void FrameworkEnds::Check(absl::string_view who, const master::Cluster& cluster,
                          const registry::RegistryState& registry) {
  Committed(registry);
  for (const auto& [id, framework] : cluster.frameworks()) {
    Known(who, id, framework->connected(), registry.frameworks().count(id) > 0);
  }
}

}  // namespace quorate::sim
