#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/http/testing/fakes.h"
#include "core/wire/frame.h"
#include "core/wire/link.h"
#include "core/wire/port.h"

namespace quorate::wire {
namespace {

using http::testing::FakeClock;
using http::testing::FakeNetwork;
using http::testing::RawPeer;
using std::chrono::seconds;

const io::Endpoint kServer{"10.0.0.1", 5050};

TEST(Frame, AnySplitGivesTheSamePayloads) {
  const std::string stream = EncodeFrame("one") + EncodeFrame("") +
                             EncodeFrame(std::string(1000, 'x'));
  for (size_t piece = 1; piece < 40; ++piece) {
    FrameDecoder decoder;
    std::vector<std::string> got;
    for (size_t at = 0; at < stream.size(); at += piece) {
      decoder.Add(absl::string_view(stream).substr(at, piece));
      std::string payload;
      while (*decoder.Next(&payload)) got.push_back(payload);
    }
    EXPECT_EQ(got,
              (std::vector<std::string>{"one", "", std::string(1000, 'x')}));
  }
}

TEST(Frame, EveryFlippedBitIsNoticed) {
  const std::string good = EncodeFrame("payload");
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    FrameDecoder decoder;
    decoder.Add(bad);
    std::string payload;
    auto next = decoder.Next(&payload);
    // A length that grew waits for more; everything else is an error.
    EXPECT_TRUE(!next.ok() || !*next) << bit;
  }
}

TEST(Frame, BoundsTheLength) {
  FrameDecoder decoder(10);
  decoder.Add(EncodeFrame(std::string(11, 'x')).substr(0, 8));
  std::string payload;
  EXPECT_EQ(decoder.Next(&payload).status().code(),
            absl::StatusCode::kDataLoss);
}

// Remembers what it was told.
struct Ear final : public Dialer::Listener, public Link::Listener {
  void OnUp(const Handshake& peer) override {
    log += "up " + peer.node_id + ";";
  }
  void OnDown(const absl::Status&) override { log += "down;"; }
  void OnRefused(const absl::Status& reason) override {
    refusal = std::string(reason.message());
  }
  void OnMessage(absl::string_view payload) override {
    log += "message " + std::string(payload) + ";";
  }
  void OnClosed(const absl::Status&) override { log += "closed;"; }
  std::string log;
  std::string refusal;
};

class WireTest : public testing::Test {
 protected:
  WireTest() { Open(); }

  void Open() {
    auto port = OpenPort(
        clock_, network_, kServer,
        {.on_http =
             [this](std::unique_ptr<io::Connection> connection,
                    std::string first) {
               http_first_ = std::move(first);
               http_ = std::move(connection);
             },
         .on_link =
             [this](std::unique_ptr<Link> link) {
               link_ = std::move(link);
               link_->Start(&server_);
             },
         .handshake = [this](const Handshake&) -> absl::StatusOr<Handshake> {
           return Handshake{.versions = versions_,
                            .cluster_id = cluster_,
                            .node_id = "server"};
         }});
    ASSERT_TRUE(port.ok());
    port_ = *std::move(port);
  }

  std::unique_ptr<Dialer> Dial(std::string cluster, Versions versions = {}) {
    return NewDialer(
        clock_, network_, kServer,
        [cluster, versions] {
          return Handshake{
              .versions = versions, .cluster_id = cluster, .node_id = "client"};
        },
        {}, 1, &client_);
  }

  std::unique_ptr<RawPeer> Connect() {
    std::unique_ptr<RawPeer> peer;
    auto connector = network_.Connect(
        kServer, seconds(1),
        [&](absl::StatusOr<std::unique_ptr<io::Connection>> connection) {
          peer = std::make_unique<RawPeer>(*std::move(connection));
        });
    clock_.Run();
    return peer;
  }

  FakeClock clock_;
  FakeNetwork network_{&clock_};
  std::string cluster_ = "cluster-one";
  Versions versions_;
  std::string http_first_;
  std::unique_ptr<io::Connection> http_;
  Ear server_;
  Ear client_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Port> port_;
};

TEST_F(WireTest, MessagesBothWays) {
  auto dialer = Dial("cluster-one");
  clock_.Advance(seconds(1));
  ASSERT_TRUE(dialer->up());
  EXPECT_EQ(link_->peer().node_id, "client");
  EXPECT_TRUE(dialer->Send("ping"));
  EXPECT_TRUE(link_->Send("pong"));
  clock_.Run();
  EXPECT_EQ(server_.log, "message ping;");
  EXPECT_EQ(client_.log, "up server;message pong;");
}

TEST_F(WireTest, ANodeWithoutAClusterMayTalkToAny) {
  auto dialer = Dial("");
  clock_.Advance(seconds(1));
  EXPECT_TRUE(dialer->up());
}

TEST_F(WireTest, RefusesAnotherCluster) {
  auto dialer = Dial("cluster-two");
  clock_.Advance(seconds(10));
  EXPECT_FALSE(dialer->up());
  EXPECT_EQ(link_, nullptr);
  EXPECT_EQ(client_.log, "");
  EXPECT_THAT(client_.refusal,
              testing::HasSubstr("belongs to another cluster"));
  // The other is gone, and ours is back.
  cluster_ = "cluster-two";
  clock_.Advance(seconds(10));
  EXPECT_TRUE(dialer->up());
  EXPECT_EQ(client_.refusal, "");
}

TEST_F(WireTest, SpeaksTheHighestVersionInCommon) {
  struct Case {
    Versions client, server;
    uint32_t common;
  };
  for (const Case& c : {Case{{1, 1}, {1, 1}, 1}, Case{{1, 2}, {1, 1}, 1},
                        Case{{1, 2}, {2, 5}, 2}, Case{{3, 7}, {1, 9}, 7},
                        Case{{1, 1}, {2, 3}, 0}, Case{{4, 5}, {2, 3}, 0}}) {
    link_.reset();
    versions_ = c.server;
    auto dialer = Dial("cluster-one", c.client);
    clock_.Advance(seconds(1));
    EXPECT_EQ(dialer->version(), c.common);
    EXPECT_EQ(link_ == nullptr ? 0 : link_->version(), c.common);
    EXPECT_EQ(dialer->up(), c.common != 0);
  }
}

TEST_F(WireTest, TellsTheOperatorWhichSideToUpgrade) {
  EXPECT_EQ(CommonVersion({2, 3}, {1, 1}).status().message(),
            "the peer speaks version 1 of the protocol, this program the "
            "versions 2 to 3: upgrade the peer to a release that speaks "
            "version 2; one that speaks version 1 as well can be rolled out "
            "node by node");
  versions_ = {3, 4};
  auto dialer = Dial("cluster-one", {1, 2});
  clock_.Advance(seconds(1));
  EXPECT_THAT(client_.refusal,
              testing::HasSubstr("upgrade this program to a release that "
                                 "speaks version 3"));
}

TEST_F(WireTest, ARangeThatIsNoneIsNoHandshake) {
  EXPECT_FALSE(DecodeHandshake(EncodeHandshake({.versions = {2, 1}})).ok());
}

TEST_F(WireTest, DialsAgainAfterALoss) {
  auto dialer = Dial("cluster-one");
  clock_.Advance(seconds(1));
  link_.reset();
  clock_.Advance(seconds(3));
  EXPECT_TRUE(dialer->up());
  EXPECT_EQ(client_.log, "up server;down;up server;");
}

TEST_F(WireTest, HttpAndLinksShareThePort) {
  auto peer = Connect();
  peer->Send("GET / HTTP/1.1\r\n");
  clock_.Run();
  ASSERT_NE(http_, nullptr);
  EXPECT_EQ(http_first_, "GET / HTTP/1.1\r\n");
}

TEST_F(WireTest, AGreetingInPiecesIsALink) {
  auto peer = Connect();
  const std::string hello = std::string(kGreeting) +
                            EncodeFrame(EncodeHandshake({.node_id = "slow"})) +
                            EncodeFrame("early");
  for (char c : hello) {
    peer->Send(std::string(1, c));
    clock_.Run();
  }
  ASSERT_NE(link_, nullptr);
  EXPECT_EQ(link_->peer().node_id, "slow");
  EXPECT_EQ(server_.log, "message early;");
}

TEST_F(WireTest, GarbageAfterTheGreetingClosesTheConnection) {
  for (const char* garbage :
       {"\xff\xff\xff\xff\xff\xff\xff\xff", "\1\0\0\0\0\0\0\0x"}) {
    auto peer = Connect();
    peer->Send(std::string(kGreeting) + std::string(garbage, 9));
    clock_.Run();
    EXPECT_TRUE(peer->ended());
    EXPECT_EQ(link_, nullptr);
  }
}

TEST_F(WireTest, ABadFrameEndsTheLink) {
  auto peer = Connect();
  peer->Send(std::string(kGreeting) + EncodeFrame(EncodeHandshake({})));
  clock_.Run();
  ASSERT_NE(link_, nullptr);
  std::string bad = EncodeFrame("message");
  bad.back() = 'X';
  peer->Send(bad + EncodeFrame("after"));
  clock_.Run();
  EXPECT_EQ(server_.log, "closed;");
}

TEST_F(WireTest, SilentConnectionsAreClosed) {
  auto peer = Connect();
  clock_.Advance(seconds(9));
  EXPECT_FALSE(peer->ended());
  clock_.Advance(seconds(2));
  EXPECT_TRUE(peer->ended());
}

}  // namespace
}  // namespace quorate::wire
