// What a run of the swarm does: how large the cluster is, how it is set up,
// what is asked of it, and which faults there are and how strong. A plan is
// drawn from a seed, printed with every failure, and can be changed by name:
//
//   Plan plan = DrawLogPlan(7);
//   plan.Set("kill", 0);
//   plan.ToString();  // "quorum=2 storm-ms=41000 append=2000 pause=3 ..."
//
// Each fault draws from a stream of its own, so that a run without one of them
// has the others as before; and a run whose storm ends earlier is the same up
// to there. That is what makes plans shrink.

#ifndef QUORATE_SIM_SWARM_PLAN_H_
#define QUORATE_SIM_SWARM_PLAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::sim {

class Plan {
 public:
  enum class Kind {
    kSize,      // of the cluster
    kTime,      // milliseconds
    kOption,    // of the programs: legal, maybe hostile
    kWork,      // how often in 1,000 seconds
    kFault,     // how often in 1,000 seconds
    kStrength,  // of faults
  };
  struct Knob {
    const char* name;
    Kind kind;
    uint64_t value = 0;
    // The tamest value: no such fault, the default option, the least size.
    uint64_t tame = 0;
    uint64_t most = 0;  // larger ones are refused
  };

  // The name is a literal, and new.
  void Add(const Knob& knob);
  // The knob of that name is there.
  uint64_t at(absl::string_view name) const;
  // NotFound, or OutOfRange, in words for who typed it.
  absl::Status Set(absl::string_view name, uint64_t value);

  const std::vector<Knob>& knobs() const { return knobs_; }
  // Those that are not tame, "name=value" with spaces between.
  std::string ToString() const;
  // How this plan is told from `drawn`, as --set understands it: "kill=0,...".
  std::string Difference(const Plan& drawn) const;

 private:
  std::vector<Knob> knobs_;
};

struct Setting {
  std::string name;
  uint64_t value = 0;
};
// "kill=0,storm-ms=500".
absl::StatusOr<std::vector<Setting>> ParseSettings(absl::string_view text);

// The smallest plan that was found to fail as well: faults are left out, the
// cluster is made smaller, the storm ends earlier, until nothing helps or
// `may_go_on` says no. `fails` runs a plan; `failing` is known to fail.
Plan Shrink(Plan failing, const std::function<bool(const Plan&)>& fails,
            const std::function<bool()>& may_go_on);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SWARM_PLAN_H_
