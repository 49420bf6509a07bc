// Hosts, their clocks and processes, and their faults.

#include "sim/machine.h"

#include <memory>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "sim/network.h"
#include "sim/testing/talk.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

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

TEST(ProcessTest, WallClocksDiffer) {
  World world(1);
  Network network(world, {});
  Host host(world, network, "a", "10.0.0.1");
  host.clock().SetWallOffset(std::chrono::hours(1));
  Process& process = StartIdle(host);
  EXPECT_EQ(process.clock().WallNow() - world.wall_now(),
            std::chrono::hours(1));
  EXPECT_EQ(process.clock().Now(), world.now());
}

}  // namespace
}  // namespace quorate::sim
