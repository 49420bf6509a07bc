// Stories that fail, each in its way: for the test of the runner.

#include <glog/logging.h>

#include <csignal>

#include "scenarios/scenario.h"

namespace quorate::scenarios {
namespace {

void Live(sim::World& world) {
  for (int i = 0; i < 3; ++i) {
    world.After(1s * (i + 1), "beat", [&world, i] {
      world.Note("node1", "beats", static_cast<uint64_t>(i));
      world.Took(sim::Fault::kKill, "node1");
    });
  }
}

}  // namespace

SCENARIO(Broken, Passes) {
  Live(world);
  world.RunFor(10s);
}

SCENARIO(Broken, Violates) {
  Live(world);
  world.RunFor(2s);
  world.Fail("two\tleaders\nin one epoch");
}

// Only seeds from 3 on.
SCENARIO(Broken, Expects) {
  Live(world);
  world.RunFor(2s);
  EXPECT_NOW(world.seed() < 3);
}

SCENARIO(Broken, Waits) {
  Live(world);
  EXPECT_SOON(world.elapsed() > 20s, 10s);
}

SCENARIO(Broken, Checks) {
  Live(world);
  world.RunFor(2s);
  CHECK_EQ(1, 2) << "as planned";
}

SCENARIO(Broken, Dies) {
  Live(world);
  world.RunFor(2s);
  raise(SIGKILL);
}

SCENARIO(Broken, NeverEnds) {
  Live(world);
  world.RunFor(2s);
  for (volatile bool forever = true; forever;) continue;
}

SCENARIO(Broken, Differs) {
  static uint64_t runs = 0;
  Live(world);
  world.RunFor(2s);
  world.Note("node1", "has run", ++runs);
  world.RunFor(2s);
}

SCENARIO(Broken, FailsDifferently) {
  static int runs = 0;
  Live(world);
  world.RunFor(2s);
  world.Fail(absl::StrCat("failure ", ++runs));
}

}  // namespace quorate::scenarios
