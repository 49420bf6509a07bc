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
  talk.network.Cut("10.0.0.1", "10.0.0.2");
  talk.client_end->Write("hello");
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return talk.client_sink.closed.has_value(); }, 31s));
  EXPECT_EQ(talk.server_sink.received, "");
  EXPECT_GE(talk.world.elapsed(), talk.network.options().min_stall);
  EXPECT_TRUE(absl::IsUnavailable(*talk.client_sink.closed));
  // The other end, which sent nothing, finds out later.
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return talk.server_sink.closed.has_value(); }, 31s));
  EXPECT_EQ(talk.Count(Fault::kConnectionBroken), 1);
}

TEST(NetworkTest, ConnectingOverACutTimesOut) {
  for (const bool back : {false, true}) {
    Talk talk(1);
    talk.network.Cut(back ? "10.0.0.2" : "10.0.0.1",
                     back ? "10.0.0.1" : "10.0.0.2");
    absl::Status status;
    auto connector = talk.client.network().Connect(
        {"10.0.0.2", 80}, 3s, [&](auto result) { status = result.status(); });
    talk.world.RunFor(4s);
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  }
}

// What is sent arrives, also in answer to nothing; who sends does not know,
// and gives up in the end.
TEST(NetworkTest, OneDirectionMayBeDead) {
  Talk talk(1);
  talk.network.Cut("10.0.0.2", "10.0.0.1");
  talk.client_end->Write("hello");
  talk.server_end->Write("not heard");
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "hello");
  EXPECT_EQ(talk.client_sink.received, "");
  EXPECT_EQ(talk.Count(Fault::kOneWayCut), 2);
  talk.client_end->Write(", anybody?");
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "hello, anybody?");
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return talk.client_sink.closed.has_value(); }, 31s));
  EXPECT_GE(talk.world.elapsed(), talk.network.options().min_stall);
  EXPECT_TRUE(absl::IsUnavailable(*talk.client_sink.closed));
  EXPECT_TRUE(talk.world.RunUntil(
      [&] { return talk.server_sink.closed.has_value(); }, 31s));
}

TEST(NetworkTest, WithoutAnswersAWindowIsSentAndNoMore) {
  NetworkOptions patient;
  patient.min_stall = patient.max_stall = 60s;
  Talk talk(1, patient);
  talk.network.Cut("10.0.0.2", "10.0.0.1");
  const std::string much(1 << 20, 'x');
  talk.client_end->Write(much);
  talk.world.RunFor(10s);
  const size_t window = talk.server_sink.received.size();
  EXPECT_GT(window, 0u);
  EXPECT_LT(window, much.size());
  EXPECT_EQ(talk.client_end->queued_bytes(), much.size() - window);
  talk.world.RunFor(10s);
  EXPECT_EQ(talk.server_sink.received.size(), window);
  talk.network.MendAll();
  talk.world.RunFor(10s);
  EXPECT_EQ(talk.server_sink.received, much);
  EXPECT_FALSE(talk.client_sink.closed);
}

// A cut that nobody meets, as nothing is sent, breaks nothing.
TEST(NetworkTest, AnIdleConnectionSurvivesADeadDirection) {
  Talk talk(1);
  talk.network.Cut("10.0.0.2", "10.0.0.1");
  talk.world.RunFor(60s);
  talk.network.MendAll();
  talk.client_end->Write("hello");
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "hello");
  EXPECT_FALSE(talk.client_sink.closed);
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

// Latency that is the same for every segment.
NetworkOptions Steady() {
  NetworkOptions options;
  options.latency = 10ms;
  options.jitter = 0ms;
  options.split_probability = 0;
  return options;
}

constexpr char kA[] = "10.0.0.1";
constexpr char kB[] = "10.0.0.2";

// How long a message of the client takes.
io::Duration TimeOf(Talk& talk, const std::string& message) {
  const io::Instant sent = talk.world.now();
  const size_t before = talk.server_sink.received.size();
  talk.client_end->Write(message);
  EXPECT_TRUE(talk.world.RunUntil(
      [&] {
        return talk.server_sink.received.size() == before + message.size();
      },
      300s));
  return talk.world.now() - sent;
}

TEST(LinkTest, ASpikeIsCounted) {
  NetworkOptions options = Steady();
  options.spike_probability = 1;
  options.spike = 100ms;
  Talk talk(1, options);
  const uint64_t before = talk.Count(Fault::kLatencySpike);
  EXPECT_GT(TimeOf(talk, "x"), 10ms);
  EXPECT_EQ(talk.Count(Fault::kLatencySpike), before + 1);
}

TEST(LinkTest, LatencyIsAddedInOneDirection) {
  Talk talk(1, Steady());
  talk.network.SetLink(kB, kA, {.latency = 1s});
  EXPECT_EQ(TimeOf(talk, "x"), 10ms);
  talk.network.SetLink(kA, kB, {.latency = 1s});
  EXPECT_EQ(TimeOf(talk, "x"), 1010ms);
  talk.network.SetLink(kA, kB, {});
  EXPECT_EQ(TimeOf(talk, "x"), 10ms);
}

TEST(LinkTest, WhatIsLostIsRepeatedAfterATimeThatDoubles) {
  Talk talk(1, Steady());
  talk.network.SetLink(kA, kB, {.loss = 0.3});
  bool twice = false;
  for (int i = 0; i < 200; ++i) {
    const uint64_t before = talk.Count(Fault::kSegmentStalled);
    const io::Duration time = TimeOf(talk, "x");
    const uint64_t lost = talk.Count(Fault::kSegmentStalled) - before;
    EXPECT_EQ(time, 10ms + 200ms * ((1 << lost) - 1));
    twice = twice || lost == 2;
  }
  EXPECT_TRUE(twice);
  EXPECT_GT(talk.Count(Fault::kSegmentStalled), 40);
  EXPECT_LT(talk.Count(Fault::kSegmentStalled), 140);
}

TEST(LinkTest, WhatIsBehindALostSegmentWaitsAndKeepsItsPlace) {
  Talk talk(1, Steady());
  talk.network.SetLink(kA, kB, {.loss = 0.3});
  std::string all;
  for (char c = 'a'; c <= 'z'; ++c) {
    talk.client_end->Write(std::string(1, c));
    all += c;
    talk.world.RunFor(1ms);
  }
  talk.world.RunFor(300s);
  EXPECT_EQ(talk.server_sink.received, all);
}

TEST(LinkTest, ASlowLinkTakesTimeForEachByte) {
  Talk talk(1, Steady());
  talk.network.SetLink(kA, kB, {.bytes_per_second = 1000});
  EXPECT_EQ(TimeOf(talk, std::string(1960, 'x')), 2010ms);
  // The second waits for the first.
  talk.client_end->Write(std::string(1960, 'x'));
  talk.client_end->Write(std::string(960, 'x'));
  talk.world.RunFor(3009ms);
  EXPECT_EQ(talk.server_sink.received.size(), 2 * 1960);
  talk.world.RunFor(1ms);
  EXPECT_EQ(talk.server_sink.received.size(), 2 * 1960 + 960);
  EXPECT_EQ(talk.Count(Fault::kSlowLink), 1);
}

TEST(LinkTest, AClogBreaksNothing) {
  Talk talk(1, Steady());
  talk.network.Clog(kA, kB, 60s);
  EXPECT_EQ(TimeOf(talk, "x"), 60010ms);
  EXPECT_EQ(TimeOf(talk, "x"), 10ms);
  EXPECT_EQ(talk.Count(Fault::kClog), 1);
  EXPECT_FALSE(talk.client_sink.closed);
}

TEST(LinkTest, ClearedLinksDeliverSoonWhatWasLate) {
  Talk talk(1, Steady());
  talk.network.SetLink(kA, kB, {.bytes_per_second = 1000});
  talk.client_end->Write(std::string(100'000, 'x'));
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "");
  talk.network.ClearLinks();
  talk.world.RunFor(10ms);
  EXPECT_EQ(talk.server_sink.received.size(), 100'000);
}

TEST(LinkTest, OptionsThatAreOffLeaveTheTraceAsItIs) {
  const auto trace = [](bool touch) {
    Talk talk(1);
    if (touch) {
      talk.network.SetLink(kA, kB, {});
      talk.network.MendAll();
      talk.network.ClearLinks();
      talk.network.Mend(kA, kB);
    }
    talk.client_end->Write("hello");
    talk.world.RunFor(1s);
    return talk.world.trace_hash();
  };
  EXPECT_EQ(trace(false), trace(true));
}

TEST(LinkTest, AFlappingLinkDelaysAndEndsWhenMended) {
  Talk talk(1, Steady());
  talk.network.Flap(kA, kB);
  std::string all;
  for (int i = 0; i < 100; ++i) {
    talk.client_end->Write("x");
    talk.world.RunFor(1s);
  }
  EXPECT_GT(talk.Count(Fault::kLinkFlapped), 5);
  EXPECT_EQ(talk.Count(Fault::kOneWayCut), talk.Count(Fault::kSegmentStalled));
  talk.network.Mend(kA, kB);
  talk.world.RunFor(1s);
  const uint64_t flapped = talk.Count(Fault::kLinkFlapped);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(talk.network.Reaches(kA, kB));
    talk.world.RunFor(1s);
  }
  EXPECT_EQ(talk.Count(Fault::kLinkFlapped), flapped);
}

// ---- Connections ----

TEST(ConnectionTest, AResetLosesWhatWasOnItsWayAndTellsBothEnds) {
  Talk talk(1, Steady());
  talk.client_end->Write("lost");
  EXPECT_EQ(talk.network.ResetConnections(kB, kA), 1);
  EXPECT_EQ(talk.network.ResetConnections(kB, kA), 0);
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "");
  EXPECT_TRUE(absl::IsUnavailable(*talk.client_sink.closed));
  EXPECT_TRUE(absl::IsUnavailable(*talk.server_sink.closed));
  EXPECT_EQ(talk.Count(Fault::kConnectionReset), 1);
}

TEST(ConnectionTest, OtherHostsKeepTheirConnections) {
  Talk talk(1);
  EXPECT_EQ(talk.network.ResetConnections(kA, "10.0.0.3"), 0);
  talk.client_end->Write("hello");
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "hello");
}

TEST(ConnectionTest, AnEndThatIsGoneIsNoticedBySending) {
  Talk talk(1, Steady());
  EXPECT_EQ(talk.network.HalfOpenConnections(kB, kA), 1);
  talk.world.RunFor(1s);
  EXPECT_TRUE(talk.server_sink.closed);
  EXPECT_FALSE(talk.client_sink.closed);
  talk.client_end->Write("anybody?");
  talk.world.RunFor(20ms);
  EXPECT_TRUE(absl::IsUnavailable(*talk.client_sink.closed));
  EXPECT_EQ(talk.server_sink.received, "");
  EXPECT_EQ(talk.Count(Fault::kConnectionHalfOpen), 1);
}

TEST(ConnectionTest, AnEndThatIsGoneIsNoticedByKeepAlive) {
  Talk talk(1);
  talk.network.HalfOpenConnections(kB, kA);
  talk.world.RunFor(4s);
  EXPECT_FALSE(talk.client_sink.closed);
  talk.world.RunFor(27s);
  EXPECT_TRUE(talk.client_sink.closed);
}

TEST(ConnectionTest, TheFirstBytesOfTheNextConnectionAreLostWithIt) {
  Talk talk(1, Steady());
  talk.network.LoseFirstBytes(kA, kB);
  // Not of one that is there.
  talk.client_end->Write("old");
  talk.world.RunFor(1s);
  EXPECT_EQ(talk.server_sink.received, "old");
  EXPECT_FALSE(talk.client_sink.closed);
  Talk::Pair next = talk.Connect();
  next.client->Write("lost");
  talk.world.RunFor(1s);
  EXPECT_EQ(next.server_sink->received, "");
  EXPECT_TRUE(next.client_sink->closed);
  EXPECT_TRUE(next.server_sink->closed);
  Talk::Pair third = talk.Connect();
  third.client->Write("hello");
  talk.world.RunFor(1s);
  EXPECT_EQ(third.server_sink->received, "hello");
  EXPECT_EQ(talk.Count(Fault::kFirstBytesLost), 1);
}

// A connection may end before anybody listens to it.
TEST(ConnectionTest, WhoStartsLateIsToldThatItIsClosed) {
  Talk talk(1, Steady());
  Talk::Pair pair = talk.Connect(false);
  talk.network.ResetConnections(kA, kB);
  talk.world.RunFor(1s);
  EXPECT_TRUE(pair.client_sink->closed);
  EXPECT_FALSE(pair.server_sink->closed);
  pair.server->Start(pair.server_sink.get());
  talk.world.RunFor(1s);
  EXPECT_TRUE(pair.server_sink->closed);
  // Once is enough.
  Sink another;
  pair.server->Start(&another);
  talk.world.RunFor(1s);
  EXPECT_FALSE(another.closed);
}

TEST(ConnectionTest, AnotherProgramAtAnAddressIsCounted) {
  Talk talk(1);
  talk.server.Kill();
  talk.acceptor.reset();
  talk.server_end.reset();
  Process& same = talk.b.Start(
      "idle", [](io::Environment&) { return std::make_unique<Program>(); });
  talk.acceptor = *same.network().Listen({kB, 80}, [](auto) {});
  const auto connect = [&] {
    talk.connector = talk.client.network().Connect({kB, 80}, 5s, [](auto) {});
    talk.world.RunFor(1s);
  };
  connect();
  EXPECT_EQ(talk.Count(Fault::kAddressReused), 0);
  talk.acceptor.reset();
  Process& other = talk.b.Start(
      "other", [](io::Environment&) { return std::make_unique<Program>(); });
  talk.acceptor = *other.network().Listen({kB, 80}, [](auto) {});
  connect();
  EXPECT_EQ(talk.Count(Fault::kAddressReused), 1);
}

}  // namespace
}  // namespace quorate::sim
