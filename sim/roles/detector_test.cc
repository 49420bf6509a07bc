// Finding the leader through links to masters, which are scripted here.

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/api/mesos.pb.h"
#include "core/election/announcer.h"
#include "core/election/election.h"
#include "core/election/news.pb.h"
#include "core/wire/port.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using mesos::v1::MasterInfo;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint16_t kPort = 5050;
const std::string kCluster(16, 'c');

election::LeaderNews News(const std::string& leader, uint64_t epoch) {
  election::LeaderNews news;
  if (leader.empty()) return news;
  news.mutable_leader()->set_id(leader);
  news.mutable_leader()->set_ip(0);
  news.mutable_leader()->set_port(kPort);
  news.set_generation(0);
  news.set_epoch(epoch);
  return news;
}

// Tells who leads, and nothing else.
class Teller final : public Program {
 public:
  Teller(io::Environment& environment, const std::string& ip,
         const std::string& cluster_id, const election::LeaderNews& news)
      : announcer(environment.clock()) {
    announcer.Announce(news);
    auto port = wire::OpenPort(
        environment.clock(), environment.network(), {ip, kPort},
        {.on_http = [](std::unique_ptr<io::Connection>, const std::string&) {},
         .on_link =
             [this](std::unique_ptr<wire::Link> link) {
               announcer.Accept(std::move(link));
             },
         .handshake = [cluster_id](const wire::Handshake&)
             -> absl::StatusOr<wire::Handshake> {
           return wire::Handshake{.purpose = wire::Purpose::kDetector,
                                  .cluster_id = cluster_id};
         }});
    CHECK(port.ok()) << port.status();
    port_ = *std::move(port);
  }

  election::Announcer announcer;

 private:
  std::unique_ptr<wire::Port> port_;
};

class Asker final : public Program {
 public:
  Asker(io::Environment& environment, const election::MasterLocation& location,
        const std::string& cluster_id, std::vector<std::string>* told)
      : detector_(election::NewDetector(
            environment, location, cluster_id,
            [told](const std::optional<MasterInfo>& leader) {
              told->push_back(leader ? leader->id() : "none");
            })) {}

 private:
  std::unique_ptr<election::Detector> detector_;
};

class DetectorTest : public testing::TestWithParam<uint64_t> {
 protected:
  DetectorTest()
      : world_(GetParam()),
        network_(world_, NetworkOptions{}),
        asker_(world_, network_, "asker", "10.0.0.9") {
    for (int i = 1; i <= 3; ++i) {
      const std::string ip = absl::StrCat("10.0.0.", i);
      hosts_.push_back(std::make_unique<Host>(world_, network_,
                                              absl::StrCat("master", i), ip));
      location_.masters.push_back({ip, kPort});
    }
  }

  void StartMaster(int i, const election::LeaderNews& news,
                   const std::string& cluster_id = kCluster) {
    Host& host = *hosts_[i];
    host.Start("master", [&host, cluster_id, news](io::Environment& e) {
      return std::make_unique<Teller>(e, host.ip(), cluster_id, news);
    });
  }
  void Announce(int i, const election::LeaderNews& news) {
    static_cast<Teller*>(hosts_[i]->processes().front()->program())
        ->announcer.Announce(news);
  }
  void StartAsker(const std::string& cluster_id = "") {
    asker_.Start("asker", [this, cluster_id](io::Environment& e) {
      return std::make_unique<Asker>(e, location_, cluster_id, &told_);
    });
  }
  // The master that is asked, or -1.
  int asked() const {
    for (int i = 0; i < 3; ++i) {
      const auto& processes = hosts_[i]->processes();
      if (processes.empty()) continue;
      auto* teller = static_cast<Teller*>(processes.front()->program());
      if (teller->announcer.listeners() == 1) return i;
    }
    return -1;
  }
  bool AwaitTold(const std::vector<std::string>& told, io::Duration at_most) {
    return world_.RunUntil([&] { return told_ == told; }, at_most);
  }

  World world_;
  Network network_;
  std::vector<std::unique_ptr<Host>> hosts_;
  Host asker_;
  election::MasterLocation location_;
  std::vector<std::string> told_;
};

TEST_P(DetectorTest, EveryChangeIsToldOnce) {
  for (int i = 0; i < 3; ++i) StartMaster(i, News("a", 5));
  StartAsker();
  ASSERT_TRUE(AwaitTold({"a"}, milliseconds(100)));
  world_.RunFor(seconds(60));
  for (int i = 0; i < 3; ++i) Announce(i, News("b", 9));
  ASSERT_TRUE(AwaitTold({"a", "b"}, milliseconds(100)));
  world_.RunFor(seconds(60));
  EXPECT_EQ(told_.size(), 2);
}

TEST_P(DetectorTest, OneLivingMasterIsEnough) {
  StartMaster(GetParam() % 3, News("a", 5));
  StartAsker();
  // Those that do not run refuse the connection, and that is news.
  EXPECT_TRUE(AwaitTold({"a"}, milliseconds(300)));
}

TEST_P(DetectorTest, AMasterThatKnowsNoLeaderIsNotAskedForLong) {
  StartMaster(0, News("", 0));
  StartMaster(1, News("", 0));
  StartMaster(2, News("a", 5));
  StartAsker();
  ASSERT_TRUE(AwaitTold({"a"}, milliseconds(2500)));
  Announce(2, News("", 0));
  Announce(0, News("b", 7));
  EXPECT_TRUE(AwaitTold({"a", "b"}, milliseconds(2500)));
}

TEST_P(DetectorTest, AnOlderReignIsNotBelieved) {
  StartMaster(0, News("new", 9));
  StartAsker();
  ASSERT_TRUE(AwaitTold({"new"}, seconds(3)));
  StartMaster(1, News("old", 5));
  StartMaster(2, News("old", 5));
  Announce(0, News("", 0));
  world_.RunFor(seconds(20));
  EXPECT_EQ(told_, (std::vector<std::string>{"new", "none"}));
  Announce(0, News("newer", 11));
  EXPECT_TRUE(AwaitTold({"new", "none", "newer"}, seconds(5)));
}

// Its host lost power: nothing ends the connection.
TEST_P(DetectorTest, ASilentMasterIsLeftAfter15Seconds) {
  for (int i = 0; i < 3; ++i) StartMaster(i, News("a", 5));
  StartAsker();
  ASSERT_TRUE(AwaitTold({"a"}, milliseconds(100)));
  const int silent = asked();
  ASSERT_GE(silent, 0);
  hosts_[silent]->LosePower();
  for (int i = 0; i < 3; ++i) {
    if (i != silent) Announce(i, News("b", 9));
  }
  EXPECT_TRUE(AwaitTold({"a", "b"}, seconds(17)));
}

election::LeaderNews NewsOfFirst(const std::string& leader, uint64_t epoch) {
  election::LeaderNews news = News(leader, epoch);
  news.mutable_leader()->mutable_address()->set_ip("10.0.0.1");
  news.mutable_leader()->mutable_address()->set_port(kPort);
  return news;
}

// Nor does whoever was told by the leader itself at first.
TEST_P(DetectorTest, ASilentLeaderIsLeftAtOnce) {
  for (int i = 0; i < 3; ++i) StartMaster(i, NewsOfFirst("a", 5));
  StartAsker();
  world_.RunFor(seconds(35));
  EXPECT_NE(asked(), 0);
  hosts_[0]->LosePower();
  for (int i = 1; i < 3; ++i) Announce(i, News("b", 9));
  EXPECT_TRUE(AwaitTold({"a", "b"}, milliseconds(100)));
}

// It is left once, and never again if nobody else answers.
TEST_P(DetectorTest, ALeaderThatAloneAnswersIsBelieved) {
  StartMaster(0, NewsOfFirst("a", 5));
  // That silent host is not refusing: asking it takes its time.
  hosts_[1]->LosePower();
  StartAsker();
  ASSERT_TRUE(AwaitTold({"a"}, seconds(3)));
  world_.RunFor(std::chrono::minutes(1));
  for (int i = 0; i < 600; ++i) {
    world_.RunFor(seconds(1));
    ASSERT_EQ(asked(), 0) << "after " << i << " s";
  }
  EXPECT_EQ(told_.size(), 1);
}

TEST_P(DetectorTest, WhoLeavesTheLeaderStaysInItsCluster) {
  StartMaster(0, NewsOfFirst("a", 5));
  StartAsker();
  ASSERT_TRUE(AwaitTold({"a"}, seconds(3)));
  StartMaster(1, News("foreign", 50), std::string(16, 'f'));
  world_.RunFor(std::chrono::minutes(2));
  EXPECT_EQ(told_.size(), 1);
}

TEST_P(DetectorTest, MastersOfAnotherClusterAreNotAsked) {
  StartMaster(0, News("foreign", 50), std::string(16, 'f'));
  StartMaster(1, News("a", 5));
  StartAsker(kCluster);
  EXPECT_TRUE(AwaitTold({"a"}, seconds(3)));
  world_.RunFor(seconds(60));
  EXPECT_EQ(told_.size(), 1);
}

TEST_P(DetectorTest, ItIsToldWhenNobodyKnows) {
  StartAsker();
  EXPECT_TRUE(AwaitTold({"none"}, seconds(5)));
  StartMaster(1, News("a", 5));
  EXPECT_TRUE(AwaitTold({"none", "a"}, seconds(5)));
}

INSTANTIATE_TEST_SUITE_P(Seeds, DetectorTest, testing::Range<uint64_t>(1, 20));

}  // namespace
}  // namespace quorate::sim
