// Each knob of a plan has its fault: turned up alone, it takes effect.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/faults.h"
#include "sim/swarm/cluster_swarm.h"
#include "sim/swarm/log_swarm.h"
#include "sim/swarm/plan.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

struct Swarm {
  Plan (*draw)(uint64_t seed);
  void (*run)(World& world, const Plan& plan);
};
constexpr Swarm kLog = {&DrawLogPlan, &RunLogSwarm};
constexpr Swarm kCluster = {&DrawClusterPlan, &RunClusterSwarm};

struct Case {
  std::string knob;
  uint64_t value;
  Fault fault;
  // What else it takes, as for ParseSettings.
  std::string with = "";
};

class SwarmTest : public ::testing::Test {
 protected:
  // No fault, and enough of everything else for all of them.
  static Plan Calm(const Swarm& swarm, uint64_t seed) {
    Plan plan = swarm.draw(seed);
    for (const Plan::Knob& knob : std::vector<Plan::Knob>(plan.knobs())) {
      EXPECT_TRUE(plan.Set(knob.name, knob.tame).ok());
    }
    EXPECT_TRUE(plan.Set("quorum", 2).ok());
    EXPECT_TRUE(plan.Set("storm-ms", 40000).ok());
    return plan;
  }

  // Faults that are up to chance have some seeds.
  static void Expect(const Swarm& swarm, Plan calm, const Case& one) {
    ASSERT_TRUE(calm.Set(one.knob, one.value).ok()) << one.knob;
    const auto with = ParseSettings(one.with);
    ASSERT_TRUE(with.ok()) << with.status();
    for (const Setting& setting : *with) {
      ASSERT_TRUE(calm.Set(setting.name, setting.value).ok()) << setting.name;
    }
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      World world(seed);
      swarm.run(world, calm);
      ASSERT_FALSE(world.failure()) << one.knob << ": " << *world.failure();
      if (world.faults().of(one.fault) > 0) return;
    }
    ADD_FAILURE() << "no run with " << one.knob << " had " << NameOf(one.fault);
  }
};

TEST_F(SwarmTest, OfTheLog) {
  Plan calm = Calm(kLog, 1);
  ASSERT_TRUE(calm.Set("append", 5000).ok());
  for (const Case& one : std::vector<Case>{
           {"kill", 1000, Fault::kKill},
           {"power-loss", 1000, Fault::kPowerLoss},
           {"rack-power-loss", 1000, Fault::kRackPowerLoss, "quorum=3"},
           {"disk-death", 1000, Fault::kDiesAtDiskCall},
           {"pause", 1000, Fault::kPause},
           {"suspend", 1000, Fault::kSuspend},
           {"slow-loop", 1000, Fault::kSlowLoop},
           {"partition", 1000, Fault::kSegmentStalled},
           {"partition", 1000, Fault::kOneWayCut},
           {"flap", 1000, Fault::kLinkFlapped},
           {"reset", 1000, Fault::kConnectionReset},
           {"half-open", 1000, Fault::kConnectionHalfOpen},
           {"first-bytes-lost", 1000, Fault::kFirstBytesLost, "reset=1000"},
           {"slow-link", 1000, Fault::kSlowLink},
           {"lossy-link", 1000, Fault::kSegmentStalled},
           {"clog", 1000, Fault::kClog},
           {"disk-stall", 1000, Fault::kDiskStall},
           {"disk-full", 1000, Fault::kDiskFull},
           {"read-error", 1000, Fault::kReadFailed, "kill=1000"},
           {"write-error", 1000, Fault::kWriteFailed},
           {"sync-error", 1000, Fault::kSyncFailed},
           {"clock-jump", 1000, Fault::kClockJump},
           {"clock-drift", 1000, Fault::kClockDrift},
           {"clock-freeze", 1000, Fault::kClockFrozen},
           {"spike-permille", 100, Fault::kLatencySpike},
           {"other-flags", 1000, Fault::kOtherFlags},
           {"upgrade", 1000, Fault::kUpgrade},
           {"address-reuse", 1000, Fault::kAddressReused},
           {"second-process", 1000, Fault::kSecondProcess},
           {"wipe", 100, Fault::kDiskWiped},
           {"rollback", 200, Fault::kDiskRolledBack},
           {"clone", 200, Fault::kDiskCloned, "spares=2"},
           {"damage", 1000, Fault::kBitFlipped},
           {"lost-write-permille", 30, Fault::kWriteLost},
           {"misdirected-permille", 30, Fault::kWriteMisdirected},
           {"stale-sector", 1000, Fault::kSectorStale},
       }) {
    Expect(kLog, calm, one);
  }
}

TEST_F(SwarmTest, OfTheCluster) {
  Plan calm = Calm(kCluster, 1);
  ASSERT_TRUE(calm.Set("agents", 2).ok());
  ASSERT_TRUE(calm.Set("launch", 1000).ok());
  ASSERT_TRUE(calm.Set("zookeepers", 3).ok());
  for (const Case& one : std::vector<Case>{
           {"other-flags", 1000, Fault::kOtherFlags},
           {"upgrade", 1000, Fault::kUpgrade},
           {"address-reuse", 1000, Fault::kAddressReused},
           {"session-expiry", 1000, Fault::kSessionExpired},
           {"session-move", 1000, Fault::kSessionMoved},
           {"zookeeper-lag-ms", 1500, Fault::kStaleRead, "session-expiry=1000"},
           {"zookeeper-reply-lost", 300, Fault::kReplyLost,
            "session-expiry=1000"},
           {"access-denied", 1000, Fault::kAccessDenied, "session-expiry=1000"},
           {"sequence-overflow", 1000, Fault::kSequenceOverflow,
            "session-expiry=1000"},
           {"zookeeper-rollback", 1000, Fault::kEnsembleRolledBack},
           {"container-kill", 1000, Fault::kContainerKilled},
           {"fork-fails", 100, Fault::kForkFailed},
           {"exit-status-lost", 100, Fault::kExitStatusLost},
           {"container-stuck", 300, Fault::kContainerStuck, "kill-task=3000"},
           {"container-busy", 100, Fault::kContainerRemoveBusy},
           {"pid-reused", 300, Fault::kPidReused},
           {"executor-slow", 100, Fault::kExecutorSlow},
           {"executor-repeats", 100, Fault::kExecutorRepeats},
           {"executor-garbage", 100, Fault::kExecutorGarbage},
           {"framework-reconnects", 100, Fault::kFrameworkReconnects},
           {"reconnect-storm", 1000, Fault::kFrameworkReconnects},
           {"call-flood", 500, Fault::kCallFlood},
           {"subscribed-twice", 100, Fault::kSubscribedTwice},
           {"stale-accept", 100, Fault::kStaleOfferAccepted},
           {"unknown-acknowledge", 100, Fault::kUnknownAcknowledged},
           {"slow-consumer", 300, Fault::kSlowConsumer, "call-flood=300"},
           {"task-id-reused", 300, Fault::kTaskIdReused},
       }) {
    Expect(kCluster, calm, one);
  }
}

}  // namespace
}  // namespace quorate::sim
