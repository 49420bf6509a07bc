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
  auto fixed = ParseMasterUrl("master.example:5050");
  ASSERT_TRUE(fixed.ok());
  EXPECT_FALSE(fixed->zookeeper.has_value());
  EXPECT_EQ(fixed->host, "master.example");
  EXPECT_EQ(fixed->port, 5050);
  auto zk = ParseMasterUrl("zk://h/m");
  ASSERT_TRUE(zk.ok());
  EXPECT_EQ(zk->zookeeper->path, "/m");
  for (const char* bad : {"host", ":5050", "host:port", "http://h:5050"}) {
    EXPECT_FALSE(ParseMasterUrl(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace quorate::election
