#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/log_tool/client.h"
#include "core/log_tool/offline.h"

// What touches a disk is in sim/roles/log_tool_test.cc.
namespace quorate::log_tool {
namespace {

TEST(MemberIds, AreThirtyTwoHexadecimalDigits) {
  const std::string id(32, 'A');
  EXPECT_EQ(*ParseMemberId(absl::StrCat(" ", id, "\n")),
            std::string(16, '\xaa'));
  for (const std::string& bad :
       {std::string(), std::string("aa"), id + "a", id.substr(1),
        id.substr(1) + "g", id.substr(2) + "\t0"}) {
    const absl::Status status = ParseMemberId(bad).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("'", bad)));
  }
}

log::LogStatusProto StatusOf(const std::string& id, const std::string& role) {
  log::LogStatusProto status;
  status.set_member_id(id);
  status.set_status(log::ACTIVE);
  status.set_role(role);
  status.set_learned_upto(7);
  status.set_leader("L");
  status.set_leader_address("10.0.0.1:1");
  for (const char* member : {"F", "G", "L"}) {
    status.mutable_config()->add_members()->set_id(member);
    if (member == id) continue;
    log::PeerStatus& peer = *status.add_peers();
    peer.set_id(member);
    peer.set_state(role == "leading" ? "ok" : "silent");
  }
  return status;
}

std::string Peers(const log::LogStatusProto& status) {
  std::string peers;
  for (const auto& peer : status.peers()) {
    absl::StrAppend(&peers, peer.id(), " ", peer.state(), ", ");
  }
  return peers;
}

TEST(WholeView, IsTheLeaders) {
  log::LogStatusProto leader = StatusOf("L", "leading");
  leader.mutable_config()->mutable_members()->RemoveLast();
  const auto seen = WholeView(StatusOf("F", "following"), &leader);
  EXPECT_EQ(seen.member_id(), "F");
  EXPECT_EQ(seen.role(), "following");
  EXPECT_EQ(Peers(seen), "L leading, G ok, ");
  EXPECT_EQ(seen.peers(0).address(), "10.0.0.1:1");
  EXPECT_FALSE(seen.peers(0).member());
  EXPECT_EQ(seen.config().members_size(), 2);
}

TEST(WholeView, WithoutTheLeadersDoesNotKnowOthers) {
  const auto follower = StatusOf("F", "following");
  EXPECT_EQ(Peers(WholeView(follower, nullptr)), "G unknown, L silent, ");
  auto electing = follower;
  electing.clear_leader_address();
  EXPECT_EQ(Peers(WholeView(electing, nullptr)), "G silent, L silent, ");
  const auto leader = StatusOf("L", "leading");
  EXPECT_EQ(Peers(WholeView(leader, nullptr)), "F ok, G ok, ");
}

}  // namespace
}  // namespace quorate::log_tool
