// What a cluster bears for long.

#include <string>

#include "scenarios/scenario.h"
#include "sim/cluster.h"

namespace quorate::scenarios {
namespace {

using sim::Cluster;
using sim::FrameworkNode;

}  // namespace

// Minutes of tasks that come and go, with a framework that reads slowly and
// ten thousand calls in between: no queue, on no machine, grows. One that did
// would have to for as long as sim/checkers/queue_bounds.h watches.
SCENARIO(Load, ForMinutesGrowsNoQueue) {
  Cluster c(world, {.masters = 3, .quorum = 2, .agents = 2, .frameworks = 2});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  FrameworkNode& slow = *c.frameworks()[1];
  constexpr int kSteps = 400;
  for (int step = 0; step < kSteps && !world.failure(); ++step) {
    const auto seconds = 1 + random->Below(8);
    c.AnyFramework(*random).Launch(absl::StrCat("task", step),
                                   absl::StrCat("sleep ", seconds));
    if (step % 10 == 5) slow.ReadNothingFor(10s);
    if (step == kSteps / 2) c.framework().Flood(10'000);
    world.RunFor(2s);
  }
  EXPECT_NOW(c.framework().flood_accepted() == 10'000);
  EXPECT_NOW(c.checks().queue_bounds().Peak("completed tasks") > 100);
  c.AwaitService();
  c.AwaitSettled();
}

}  // namespace quorate::scenarios
