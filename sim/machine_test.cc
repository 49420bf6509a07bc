// Hosts, their clocks and processes, and their faults.

#include "sim/machine.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sim/network.h"
#include "sim/testing/talk.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ns;

TEST(ProcessTest, APausedProcessDoesLateWhatWasDueAndKeepsItsConnections) {
  Talk talk(1);
  io::Instant fired;
  io::Timer timer = talk.server.clock().RunAfter(
      1s, [&] { fired = talk.server.clock().Now(); });
  talk.server.Pause();
  talk.client_end->Write("hello");
  talk.world.RunFor(5s);
  EXPECT_EQ(fired, io::Instant());
  EXPECT_EQ(talk.server_sink.received, "");
  talk.server.Resume();
  EXPECT_EQ(fired, talk.world.now());
  talk.world.RunFor(10ms);
  EXPECT_EQ(talk.server_sink.received, "hello");
  EXPECT_FALSE(talk.client_sink.closed);
}

// Writes what becomes of it into `events`.
class Witness final : public Program {
 public:
  Witness(io::Environment& environment, std::string* events)
      : events_(*events) {
    timer_ = environment.clock().RunAfter(1s, [this, &environment] {
      environment.Exit(3, "enough");
      environment.Exit(4, "not heard");
      events_ += "exit ";
      later_ = environment.clock().RunAfter(0ms, [this] { events_ += "! "; });
    });
  }
  ~Witness() override { events_ += "destroyed"; }

 private:
  std::string& events_;
  io::Timer timer_, later_;
};

TEST(ProcessTest, ExitTakesEffectAfterTheCallback) {
  World world(1);
  Network network(world, {});
  Host host(world, network, "a", "10.0.0.1");
  std::string events;
  Process& process = host.Start("witness", [&](io::Environment& environment) {
    return std::make_unique<Witness>(environment, &events);
  });
  world.RunFor(10s);
  EXPECT_EQ(events, "exit destroyed");
  ASSERT_TRUE(process.ended().has_value());
  EXPECT_EQ(process.ended()->code, 3);
  EXPECT_EQ(process.ended()->message, "enough");
  EXPECT_FALSE(process.ended()->killed);
}

TEST(ProcessTest, AKilledProcessRunsNothingMore) {
  World world(1);
  Network network(world, {});
  Host host(world, network, "a", "10.0.0.1");
  std::string events;
  Process& process = host.Start("witness", [&](io::Environment& environment) {
    return std::make_unique<Witness>(environment, &events);
  });
  process.Kill();
  world.RunFor(10s);
  EXPECT_EQ(events, "destroyed");
  EXPECT_TRUE(process.ended()->killed);
}

// ---- Clocks ----

// One host with a process that does nothing by itself.
class MachineTest : public testing::Test {
 protected:
  uint64_t Count(Fault fault) const { return world_.faults().of(fault); }
  io::Clock& clock() { return process_.clock(); }
  // How far off the wall clock is, as the process sees it.
  io::Duration WallError() {
    io::Duration error{};
    process_.Run([&] { error = clock().WallNow() - world_.wall_now(); });
    return error;
  }
  // In the world's time.
  io::Instant WhenRuns(io::Duration delay) {
    io::Instant when;
    const io::Timer timer =
        clock().RunAfter(delay, [&] { when = world_.now(); });
    EXPECT_TRUE(world_.RunUntil([&] { return when != io::Instant(); }, 24h));
    return when;
  }

  World world_{1};
  Network network_{world_, {}};
  Host host_{world_, network_, "a", "10.0.0.1"};
  Process& process_ = StartIdle(host_);
};

TEST_F(MachineTest, AWallClockIsOffAndCountedOnceItIsRead) {
  host_.clock().SetWallOffset(-24h);
  EXPECT_EQ(Count(Fault::kClockOffset), 0);
  EXPECT_EQ(WallError(), -24h);
  EXPECT_EQ(WallError(), -24h);
  EXPECT_EQ(Count(Fault::kClockOffset), 1);
  EXPECT_EQ(clock().Now(), world_.now());
  host_.clock().Correct();
  EXPECT_EQ(WallError(), 0s);
  EXPECT_EQ(Count(Fault::kClockOffset), 1);
}

TEST_F(MachineTest, AFreezeThatNobodySawIsNotCounted) {
  host_.clock().FreezeWall(true);
  world_.RunFor(10s);
  host_.clock().FreezeWall(false);
  EXPECT_EQ(WallError(), 0s);
  EXPECT_EQ(Count(Fault::kClockFrozen), 0);
  EXPECT_EQ(Count(Fault::kClockOffset), 0);
}

// What is wrong beside shows when the clock runs again.
TEST_F(MachineTest, AnOffsetIsCountedAfterAFreeze) {
  host_.clock().SetWallOffset(1h);
  host_.clock().FreezeWall(true);
  EXPECT_EQ(WallError(), 1h);
  EXPECT_EQ(Count(Fault::kClockFrozen), 1);
  EXPECT_EQ(Count(Fault::kClockOffset), 0);
  host_.clock().FreezeWall(false);
  EXPECT_EQ(WallError(), 1h);
  EXPECT_EQ(Count(Fault::kClockFrozen), 1);
  EXPECT_EQ(Count(Fault::kClockOffset), 1);
}

TEST_F(MachineTest, AWallClockJumps) {
  host_.clock().SetWallOffset(1h);
  host_.clock().JumpWall(-1s);
  EXPECT_EQ(WallError(), 1h - 1s);
  host_.clock().JumpWall(-1h);
  EXPECT_EQ(WallError(), -1s);
  EXPECT_EQ(Count(Fault::kClockJump), 2);
}

TEST_F(MachineTest, AWallClockStandsStillAndTimersDoNot) {
  host_.clock().FreezeWall(true);
  const io::Instant before = world_.now();
  EXPECT_EQ(WhenRuns(10s), before + 10s);
  EXPECT_EQ(WallError(), -10s);
  EXPECT_EQ(Count(Fault::kClockFrozen), 1);
  host_.clock().FreezeWall(false);
  EXPECT_EQ(WallError(), 0s);
}

TEST_F(MachineTest, AFastClockRunsItsTimersEarly) {
  host_.clock().SetDrift(50'000);
  EXPECT_EQ(Count(Fault::kClockDrift), 0);
  const io::Instant due = clock().Now() + 105s;
  const io::Instant ran = WhenRuns(105s);
  EXPECT_GE(clock().Now(), due);
  EXPECT_NEAR((ran - io::Instant()).count(), io::Duration(100s).count(), 2);
  EXPECT_NEAR(WallError().count(), io::Duration(5s).count(), 2);
  EXPECT_EQ(Count(Fault::kClockDrift), 1);
  // What was gained stays, and the monotonic clock never goes back.
  const io::Instant local = clock().Now();
  host_.clock().Correct();
  EXPECT_EQ(clock().Now(), local);
  EXPECT_EQ(WallError(), 0s);
  world_.RunFor(10s);
  EXPECT_EQ(clock().Now(), local + 10s);
  EXPECT_EQ(WallError(), 0s);
}

TEST_F(MachineTest, ATimerNeverRunsBeforeItsTimeThoughTheClockIsSlowedDown) {
  io::Instant ran;
  const io::Instant due = clock().Now() + 100s;
  const io::Timer timer = clock().RunAfter(100s, [&] { ran = clock().Now(); });
  world_.RunFor(50s);
  host_.clock().SetDrift(-50'000);
  world_.RunFor(52s);
  EXPECT_EQ(ran, io::Instant());
  world_.RunFor(1s);
  EXPECT_GE(ran, due);
  EXPECT_LE(ran, due + 2ns);
}

TEST_F(MachineTest, TimersThatAreDueTogetherKeepTheirOrderUnderDrift) {
  for (const int ppm : {50'000, -50'000, 12'345, -1, 1}) {
    host_.clock().SetDrift(ppm);
    std::string order;
    const io::Instant due = clock().Now() + 10s;
    std::vector<io::Timer> timers;
    for (const char c : {'a', 'b', 'c', 'd'}) {
      timers.push_back(
          clock().RunAfter(due - clock().Now(), [&order, c] { order += c; }));
      world_.RunFor(io::Duration(333'333'333));
    }
    world_.RunFor(20s);
    EXPECT_EQ(order, "abcd") << ppm;
  }
}

TEST_F(MachineTest, AMonotonicClockStandsStillInSleep) {
  io::Instant ran;
  const io::Timer timer = clock().RunAfter(10s, [&] { ran = world_.now(); });
  const io::Instant began = clock().Now();
  world_.RunFor(4s);
  host_.Suspend();
  EXPECT_FALSE(host_.up());
  world_.RunFor(1h);
  EXPECT_EQ(clock().Now(), began + 4s);
  host_.Wake();
  EXPECT_EQ(WallError(), 0s);
  EXPECT_EQ(ran, io::Instant());
  world_.RunFor(1h);
  EXPECT_EQ(ran - io::Instant(), 1h + 10s);
  EXPECT_EQ(Count(Fault::kSuspend), 1);
  EXPECT_EQ(Count(Fault::kZombie), 1);
}

TEST_F(MachineTest, ClocksDriftAndSleepTogether) {
  host_.clock().SetDrift(-50'000);
  world_.RunFor(100s);
  host_.Suspend();
  world_.RunFor(100s);
  host_.Wake();
  host_.clock().SetDrift(50'000);
  world_.RunFor(100s);
  EXPECT_EQ(clock().Now() - io::Instant(), 95s + 105s);
  // The wall clock drifted in sleep, too.
  EXPECT_EQ(WallError(), -5s);
}

TEST_F(MachineTest, ALossOfPowerEndsSleepWithoutRunningAnything) {
  bool ran = false;
  const io::Timer timer = clock().RunAfter(1s, [&] { ran = true; });
  host_.Suspend();
  world_.RunFor(10s);
  host_.LosePower();
  host_.Boot();
  world_.RunFor(10s);
  EXPECT_FALSE(ran);
  EXPECT_TRUE(host_.up());
}

TEST(SleepTest, TheConnectionsOfAHostThatSleepsBearItOrBreak) {
  Talk nap(1);
  nap.b.Suspend();
  nap.client_end->Write("hello");
  nap.world.RunFor(2s);
  EXPECT_EQ(nap.server_sink.received, "");
  nap.b.Wake();
  nap.world.RunFor(1s);
  EXPECT_EQ(nap.server_sink.received, "hello");

  Talk night(1);
  night.b.Suspend();
  night.client_end->Write("hello");
  night.world.RunFor(40s);
  EXPECT_TRUE(night.client_sink.closed);
  night.b.Wake();
  night.world.RunFor(1s);
  EXPECT_TRUE(night.server_sink.closed);
}

// ---- Pauses ----

TEST_F(MachineTest, APauseCountsWhenSomethingWaitsForItsEnd) {
  process_.Pause();
  world_.RunFor(1s);
  process_.Resume();
  EXPECT_EQ(Count(Fault::kPause), 0);
  process_.Pause();
  for (int i = 0; i < 3; ++i) process_.Run([] {});
  EXPECT_EQ(Count(Fault::kPause), 1);
  process_.Resume();
  EXPECT_EQ(Count(Fault::kZombie), 0);
  process_.Pause();
  world_.RunFor(10s);
  process_.Resume();
  EXPECT_EQ(Count(Fault::kZombie), 1);
}

TEST_F(MachineTest, APausedProcessOnAHostThatSleepsWaitsForBoth) {
  int ran = 0;
  process_.Pause();
  host_.Suspend();
  process_.Run([&] { ++ran; });
  process_.Resume();
  EXPECT_EQ(ran, 0);
  process_.Pause();
  host_.Wake();
  EXPECT_EQ(ran, 0);
  process_.Resume();
  EXPECT_EQ(ran, 1);
}

TEST_F(MachineTest, ASlowLoopIsLateAndKeepsTheOrder) {
  process_.SetSlowLoop(100ms);
  std::string order;
  io::Duration latest{};
  for (char c = 'a'; c <= 'z'; ++c) {
    const io::Instant due = world_.now();
    process_.Run([&, c, due] {
      order += c;
      latest = std::max(latest, world_.now() - due);
    });
    world_.RunFor(1ms);
  }
  world_.RunFor(50ms);
  EXPECT_LT(order.size(), 26);
  // What comes when it is fast again does not overtake.
  process_.SetSlowLoop(0ms);
  EXPECT_EQ(order.size(), 26);
  process_.Run([&] { order += '!'; });
  world_.RunFor(1s);
  EXPECT_EQ(order, "abcdefghijklmnopqrstuvwxyz!");
  EXPECT_GT(latest, 30ms);
  EXPECT_LE(latest, 100ms);
  EXPECT_EQ(Count(Fault::kSlowLoop), 1);
  process_.Run([&] { order += '?'; });
  EXPECT_EQ(order.back(), '?');
}

TEST_F(MachineTest, ASlowProcessThatIsPausedKeepsTheOrder) {
  process_.SetSlowLoop(100ms);
  std::string order;
  process_.Run([&] { order += 'a'; });
  process_.Pause();
  process_.Run([&] { order += 'b'; });
  world_.RunFor(1s);
  process_.SetSlowLoop(0ms);
  process_.Run([&] { order += 'c'; });
  EXPECT_EQ(order, "");
  process_.Resume();
  EXPECT_EQ(order, "abc");
  process_.SetSlowLoop(100ms);
  process_.Run([&] { order += 'd'; });
  process_.Kill();
  world_.RunFor(1s);
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(Count(Fault::kKill), 1);
}

}  // namespace
}  // namespace quorate::sim
