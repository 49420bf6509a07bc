// The simulated network and its faults, beyond what contract_test.cc shows.

#include "sim/network.h"

#include <memory>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "sim/machine.h"
#include "sim/testing/talk.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

TEST(NetworkTest, AShortCutDelaysWhatIsSent) {
  Talk talk(1);
  talk.network.Cut("10.0.0.1", "10.0.0.2");
  talk.client_end->Write("hello");
  talk.world.RunFor(2s);
  EXPECT_EQ(talk.server_sink.received, "");
  talk.network.MendAll();
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "hello");
  EXPECT_FALSE(talk.client_sink.closed);
  EXPECT_EQ(talk.Count(Fault::kSegmentStalled), 1);
  EXPECT_EQ(talk.Count(Fault::kOneWayCut), 1);
  EXPECT_EQ(talk.Count(Fault::kLinkFlapped), 1);
}

TEST(NetworkTest, ALongCutBreaksBothEnds) {
  Talk talk(1);
  // One way is enough: nothing is acknowledged.
  talk.network.Cut("10.0.0.2", "10.0.0.1");
  talk.client_end->Write("hello");
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return talk.client_sink.closed.has_value(); }, 31s));
  EXPECT_GE(talk.world.elapsed(), talk.network.options().min_stall);
  EXPECT_TRUE(absl::IsUnavailable(*talk.client_sink.closed));
  // The other end, which sent nothing, finds out later.
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return talk.server_sink.closed.has_value(); }, 31s));
  EXPECT_EQ(talk.Count(Fault::kConnectionBroken), 1);
}

TEST(NetworkTest, ConnectingOverACutTimesOut) {
  Talk talk(1);
  talk.network.Cut("10.0.0.1", "10.0.0.2");
  absl::Status status;
  auto connector = talk.client.network().Connect(
      {"10.0.0.2", 80}, 3s, [&](auto result) { status = result.status(); });
  talk.world.RunFor(4s);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(NetworkTest, LatencyAndSpikes) {
  NetworkOptions options;
  options.latency = 10ms;
  options.jitter = 0ms;
  options.split_probability = 0;
  Talk talk(1, options);
  const io::Instant sent = talk.world.now();
  talk.client_end->Write("x");
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return !talk.server_sink.received.empty(); }, 1s));
  EXPECT_EQ(talk.world.now() - sent, 10ms);
}

TEST(NetworkTest, AKilledPeerResetsAndALostHostIsSilent) {
  Talk killed(1);
  killed.server.Run([&] { killed.server_end->Write("last words"); });
  killed.world.RunFor(100ms);
  // Its memory is the process'; here the test holds it.
  killed.server.Kill();
  killed.server_end.reset();
  EXPECT_EQ(killed.client_sink.received, "last words");

  Talk lost(1);
  lost.b.LosePower();
  lost.server_end.reset();
  lost.acceptor.reset();
  lost.world.RunFor(4s);
  EXPECT_FALSE(lost.client_sink.closed);
  lost.world.RunFor(30s);
  EXPECT_TRUE(lost.client_sink.closed);
}

}  // namespace
}  // namespace quorate::sim
