// The machines of a few replicas of the log, driven by the input: deliveries in
// any order, losses, repetitions, elections, appends, changes of the members,
// disks that wait, fail to remember, or are damaged. No two replicas ever learn
// different entries at one position.

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/log/testing/transcript.h"

namespace quorate::fuzz {
namespace {

using log::MemberId;
using log::testing::Transcript;

constexpr size_t kMaxSteps = 300;

// The step that two bytes ask for; empty when it is not possible now.
std::string Step(const Transcript& replicas, uint8_t kind, uint8_t choice,
                 size_t step) {
  const auto routes = replicas.routes();
  const auto& members = replicas.members();
  const MemberId& at = members[choice % members.size()];
  if (kind < 150) {
    if (routes.empty()) return "";
    const auto& [from, to] = routes[choice % routes.size()];
    const std::string route = absl::StrCat(from, ">", to);
    if (kind < 10) return absl::StrCat("drop ", route);
    return kind < 20 ? absl::StrCat(route, " again") : route;
  }
  if (kind < 175) {
    if (!replicas.CanAppend(at)) return "";
    if (kind < 170) return absl::StrCat(at, " appends v", step);
    const char* const sets[] = {"ABC", "AB", "ABD", "BCD", "ABCD"};
    return absl::StrCat(at, " makes ", sets[choice / 8 % 5]);
  }
  if (kind < 190) return absl::StrCat(at, " elects ", replicas.NextRound(at));
  if (kind < 200) return absl::StrCat(at, " waits");
  if (kind < 220) return absl::StrCat(at, " syncs");
  if (kind < 235) return absl::StrCat(at, " retries");
  if (kind < 240) return absl::StrCat(at, " leaves");
  if (kind < 250) return absl::StrCat(at, " returns");
  return absl::StrCat(at, " restarts");
}

void Run(const uint8_t* data, size_t size) {
  Transcript replicas;
  // D is a learner, until a change makes it a member.
  replicas.Run("replicas ABC\nreplicas D");
  for (size_t at = 0; at + 1 < size && at < 2 * kMaxSteps; at += 2) {
    const std::string step = Step(replicas, data[at], data[at + 1], at);
    if (step.empty()) continue;
    const std::string story = replicas.Run(step);
    CHECK(!replicas.disagreement()) << story;
  }
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::Run(data, size);
  return 0;
}
