#include "core/election/master_url.h"

#include <gtest/gtest.h>

namespace quorate::election {
namespace {

TEST(ZooKeeperUrl, Parts) {
  auto url = ParseZooKeeperUrl("zk://me:s@cret@h1:2182,h2/a/b/");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->servers, (std::vector<std::string>{"h1:2182", "h2:2181"}));
  EXPECT_EQ(url->credentials, "me:s@cret");
  EXPECT_EQ(url->path, "/a/b");
}

TEST(ZooKeeperUrl, RefusesWithWords) {
  for (const char* bad :
       {"", "http://h:1/x", "zk://h:2181", "zk://h:2181/", "zk:///mesos",
        "zk://h:0/m", "zk://h:99999/m", "zk://user@h:1/m", "zk://h:1,/m",
        "zk://h:1/a//b", "zk://h:1/a/../b"}) {
    auto url = ParseZooKeeperUrl(bad);
    ASSERT_FALSE(url.ok()) << bad;
    EXPECT_NE(url.status().message().find("zk://"), std::string::npos) << bad;
  }
}

TEST(ZooKeeperUrl, KeepsThePasswordOutOfMessages) {
  for (const char* bad : {"zk://user:hunter2@h:0/m", "zk://user:hunter2@/m",
                          "zk://user:hunter2@h:1", "user:hunter2@h:1/m"}) {
    auto url = ParseZooKeeperUrl(bad);
    ASSERT_FALSE(url.ok());
    EXPECT_EQ(url.status().message().find("hunter2"), std::string::npos);
  }
}

TEST(ZooKeeperUrl, WithoutPassword) {
  EXPECT_EQ(WithoutPassword("zk://u:p@h:1/m"), "zk://u:****@h:1/m");
  EXPECT_EQ(WithoutPassword("zk://h:1,i:2/m"), "zk://h:1,i:2/m");
  EXPECT_EQ(WithoutPassword("host:5050"), "host:5050");
}

TEST(MasterUrl, EitherForm) {
  auto one = ParseMasterUrl("master.example:5050");
  ASSERT_TRUE(one.ok());
  EXPECT_FALSE(one->zookeeper.has_value());
  EXPECT_EQ(one->masters, (std::vector<HostAndPort>{{"master.example", 5050}}));
  auto three = ParseMasterUrl("a:1,b:2,10.0.0.3:3");
  ASSERT_TRUE(three.ok());
  EXPECT_EQ(three->masters,
            (std::vector<HostAndPort>{{"a", 1}, {"b", 2}, {"10.0.0.3", 3}}));
  auto zk = ParseMasterUrl("zk://h/m");
  ASSERT_TRUE(zk.ok());
  EXPECT_EQ(zk->zookeeper->path, "/m");
  EXPECT_TRUE(zk->masters.empty());
}

TEST(MasterUrl, RefusesWithWords) {
  for (const char* bad : {"", "host", ":5050", "host:port", "http://h:5050",
                          "a:1,", "a:1,,b:2", "a:0", "a:1,b:70000"}) {
    auto url = ParseMasterUrl(bad);
    ASSERT_FALSE(url.ok()) << bad;
    EXPECT_NE(url.status().message().find("10.0.0.1:5050"), std::string::npos)
        << bad;
  }
  EXPECT_EQ(ParseMasters("a:1,b:1,a:1").status().message(),
            "'a:1' is named twice");
}

}  // namespace
}  // namespace quorate::election
