// What the contract cannot see of ZooKeeper's sessions: where their servers
// are looked for. A socket that answers nothing stands for each server.

#include "prod/coordination.h"

#include <algorithm>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "prod/network.h"

namespace quorate::prod {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Name servers that tell what they are told to; or nothing, for as long as
// they are away.
class Names {
 public:
  void Set(const std::string& host, Addresses addresses) {
    const std::lock_guard<std::mutex> lock(mutex_);
    addresses_[host] = std::move(addresses);
  }
  void GoAway() {
    const std::lock_guard<std::mutex> lock(mutex_);
    back_ = std::promise<void>();
    is_back_ = back_.get_future().share();
  }
  void ComeBack() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_back_.valid()) back_.set_value();
    is_back_ = {};
  }
  int asked() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return asked_;
  }

  Addresses LookUp(const std::string& host) {
    std::shared_future<void> is_back;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++asked_;
      is_back = is_back_;
    }
    if (is_back.valid()) is_back.wait();
    const std::lock_guard<std::mutex> lock(mutex_);
    return addresses_[host];
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Addresses> addresses_;
  std::promise<void> back_;
  std::shared_future<void> is_back_;
  int asked_ = 0;
};

class CoordinationTest : public testing::Test,
                         public io::CoordinationSession::Listener {
 protected:
  CoordinationTest() {
    for (const char* ip : {"127.0.0.1", "127.0.0.2"}) Listen(ip);
  }

  // A session's end does not wait for names, but that of its thread does.
  ~CoordinationTest() override { names_.ComeBack(); }

  void Listen(const std::string& ip) {
    auto acceptor = network_.Listen({ip, port_}, [this, ip](auto connection) {
      ++callers_[ip];
      connections_.push_back(std::move(connection));
    });
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    port_ = (*acceptor)->local().port;
    acceptors_[ip] = *std::move(acceptor);
  }

  std::unique_ptr<io::CoordinationSession> Connect(const std::string& host) {
    return *coordination_.Connect({.servers = {absl::StrCat(host, ":", port_)},
                                   .session_timeout = seconds(3)},
                                  this);
  }

  bool Await(const std::function<bool()>& done) {
    bool late = false;
    const io::Timer timer = loop_.RunAfter(seconds(60), [&] { late = true; });
    while (!late && !done()) loop_.RunOnce();
    return !late;
  }

  // How long the loop has been held up at most, while it ran for that long.
  io::Duration LongestGap(io::Duration time) {
    io::Duration longest{};
    io::Instant last = loop_.Now();
    const io::Instant end = last + time;
    while (last < end) {
      const io::Timer tick = loop_.RunAfter(milliseconds(10), [] {});
      loop_.RunOnce();
      const io::Instant now = loop_.Now();
      longest = std::max<io::Duration>(longest, now - last);
      last = now;
    }
    return longest;
  }

  void OnConnected(int64_t) override {}
  void OnDisconnected() override {}
  void OnExpired() override {}
  void OnAuthenticationFailed() override {}

  EventLoop loop_;
  TcpNetwork network_{&loop_};
  uint16_t port_ = 0;
  std::map<std::string, std::unique_ptr<io::Acceptor>> acceptors_;
  std::map<std::string, int> callers_;
  std::vector<std::unique_ptr<io::Connection>> connections_;
  Names names_;
  ZooKeeperCoordination coordination_{
      &loop_, [this](const std::string& host) { return names_.LookUp(host); }};
};

TEST_F(CoordinationTest, TheLoopGoesOnWhileNobodyTellsNames) {
  names_.GoAway();
  auto session = Connect("zookeeper");
  auto other = Connect("zookeeper");
  ASSERT_TRUE(Await([&] { return names_.asked() > 0; }));
  EXPECT_LT(LongestGap(seconds(1)), milliseconds(500));
  EXPECT_EQ(names_.asked(), 1);
  // Nor does the end of a session wait.
  const io::Instant before = loop_.Now();
  other.reset();
  EXPECT_LT(loop_.Now() - before, milliseconds(500));
  names_.Set("zookeeper", {"127.0.0.1"});
  names_.ComeBack();
  EXPECT_TRUE(Await([&] { return callers_["127.0.0.1"] > 0; }));
}

TEST_F(CoordinationTest, NamesOfTheSystemWork) {
  ZooKeeperCoordination coordination(&loop_);
  auto session = coordination.Connect(
      {.servers = {absl::StrCat("localhost:", port_)}}, this);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_TRUE(Await([&] { return callers_["127.0.0.1"] > 0; }));
}

TEST_F(CoordinationTest, AServerThatMovesIsFound) {
  names_.Set("zookeeper", {"127.0.0.1"});
  auto session = Connect("zookeeper");
  ASSERT_TRUE(Await([&] { return callers_["127.0.0.1"] > 0; }));
  names_.Set("zookeeper", {"127.0.0.2"});
  acceptors_.erase("127.0.0.1");
  connections_.clear();
  EXPECT_TRUE(Await([&] { return callers_["127.0.0.2"] > 0; }));
}

// ZooKeeper comes back before the name servers do.
TEST_F(CoordinationTest, WhatANameStoodForIsTriedMeanwhile) {
  names_.Set("zookeeper", {"127.0.0.1"});
  auto session = Connect("zookeeper");
  ASSERT_TRUE(Await([&] { return callers_["127.0.0.1"] > 0; }));
  names_.GoAway();
  const int asked = names_.asked();
  connections_.clear();
  ASSERT_TRUE(Await([&] { return names_.asked() > asked; }));
  const int callers = callers_["127.0.0.1"];
  connections_.clear();
  EXPECT_TRUE(Await([&] { return callers_["127.0.0.1"] > callers; }));
  // Also by a session that begins then.
  session = Connect("zookeeper");
  const int others = callers_["127.0.0.1"];
  EXPECT_TRUE(Await([&] { return callers_["127.0.0.1"] > others; }));
  names_.ComeBack();
}

TEST_F(CoordinationTest, AddressesAreNotLookedUp) {
  auto session = Connect("127.0.0.1");
  EXPECT_TRUE(Await([&] { return callers_["127.0.0.1"] > 0; }));
  EXPECT_EQ(names_.asked(), 0);
}

}  // namespace
}  // namespace quorate::prod
