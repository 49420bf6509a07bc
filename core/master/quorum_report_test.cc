#include "core/master/quorum_report.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "core/json/value.h"

namespace quorate::master {
namespace {

using log::LogStatus;
using State = LogStatus::State;
using std::chrono::seconds;

mesos::v1::MasterInfo InfoOf(int number) {
  mesos::v1::MasterInfo info;
  info.set_id(absl::StrCat("id", number));
  info.set_pid(absl::StrCat("master@10.0.0.", number, ":5050"));
  info.set_hostname(absl::StrCat("m", number));
  info.set_port(5050);
  info.mutable_address()->set_ip(absl::StrCat("10.0.0.", number));
  info.mutable_address()->set_port(5050);
  return info;
}

LogStatus::Peer Peer(int number, const std::string& state = "ok") {
  LogStatus::Peer peer;
  peer.id = absl::StrCat("r", number);
  peer.address = absl::StrCat("10.0.0.", number, ":5050");
  peer.member = true;
  peer.state = state;
  peer.learned_upto = 100;
  peer.declared_quorum = 2;
  peer.protocol_version = 1;
  return peer;
}

// One master of three, as it sees them; all is well.
struct Seen {
  LogStatus log;
  Standing standing;

  static Seen ByTheLeader() {
    Seen seen;
    seen.log.member_id = "r1";
    seen.log.cluster_id = "cluster";
    seen.log.state = State::kLeading;
    seen.log.epoch = 7;
    seen.log.leader_id = "r1";
    seen.log.leader_address = "10.0.0.1:5050";
    seen.log.learned_upto = 100;
    seen.log.members = {"r1", "r2", "r3"};
    seen.log.voting = true;
    seen.log.declared_quorum = 2;
    seen.log.peers = {Peer(2), Peer(3)};
    seen.standing.phase = Standing::Phase::kLeading;
    seen.standing.epoch = 7;
    seen.standing.leader = InfoOf(1);
    return seen;
  }

  // Number 2 leads; the third is not heard, as is usual.
  static Seen ByAFollower() {
    Seen seen = ByTheLeader();
    seen.log.state = State::kFollowing;
    seen.log.leader_id = "r2";
    seen.log.leader_address = "10.0.0.2:5050";
    seen.log.peers[1].state = "silent";
    seen.log.peers[1].silent = seconds(60);
    seen.standing.phase = Standing::Phase::kFollowing;
    seen.standing.epoch = 0;
    seen.standing.leader = InfoOf(2);
    seen.standing.log_leader_id = "id2";
    seen.standing.log_leader_epoch = 7;
    return seen;
  }

  QuorumReport Report() const {
    return MakeQuorumReport(log, standing, InfoOf(1));
  }
};

std::string Tolerance(const QuorumReport& report) {
  return report.tolerates ? absl::StrCat(*report.tolerates) : "unknown";
}

// "health/tolerance: severity kind master, ..."
std::string Brief(const QuorumReport& report) {
  constexpr const char* kHealth[] = {"healthy", "degraded", "unavailable"};
  constexpr const char* kSeverity[] = {"note", "warning", "critical"};
  std::string text = absl::StrCat(kHealth[static_cast<int>(report.health)], "/",
                                  Tolerance(report), ":");
  for (const QuorumReport::Problem& problem : report.problems) {
    absl::StrAppend(&text, " ", kSeverity[static_cast<int>(problem.severity)],
                    " ", problem.kind, " ", problem.master, ",");
  }
  return text;
}

struct Case {
  std::function<void(Seen&)> change;
  std::string expected;
  std::string what;  // A part of the gravest problem's words.
};

void Check(const std::function<Seen()>& make, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    Seen seen = make();
    c.change(seen);
    const QuorumReport report = seen.Report();
    EXPECT_EQ(Brief(report), c.expected);
    for (const QuorumReport::Problem& problem : report.problems) {
      EXPECT_NE(problem.what, "") << problem.kind;
      EXPECT_NE(problem.remedy, "") << problem.kind;
    }
    const std::string what =
        report.problems.empty() ? "" : report.problems.front().what;
    EXPECT_NE(what.find(c.what), std::string::npos) << what;
  }
}

// What is wrong with the peer, as the leader's log tells it.
Case OfPeer(const std::string& state, const std::string& expected,
            const std::string& what) {
  return {[state](Seen& seen) { seen.log.peers[1].state = state; }, expected,
          what};
}

TEST(QuorumReport, OfALeaderAboutItsPeers) {
  Check(Seen::ByTheLeader,
        {{[](Seen&) {}, "healthy/1:", ""},
         {[](Seen& seen) {
            seen.log.peers[1].state = "silent";
            seen.log.peers[1].silent = seconds(12);
          },
          "degraded/0: warning missing 10.0.0.3:5050,", "12 s ago"},
         // Of an earlier life of the leader nothing was heard.
         {[](Seen& seen) {
            seen.log.peers[1].state = "silent";
            seen.log.peers[1].silent = io::Duration::max();
          },
          "degraded/0: warning missing 10.0.0.3:5050,", "does not answer"},
         {[](Seen& seen) {
            seen.log.peers[1].state = "behind";
            seen.log.peers[1].learned_upto = 40;
          },
          "degraded/1: warning behind 10.0.0.3:5050,", "40 of 100"},
         OfPeer("damaged", "degraded/1: warning damaged 10.0.0.3:5050,",
                "damaged records"),
         OfPeer("not voting", "degraded/0: warning not voting 10.0.0.3:5050,",
                "no votes"),
         OfPeer("disk full", "degraded/0: warning disk full 10.0.0.3:5050,",
                "no space"),
         OfPeer("quarantined", "degraded/0: warning quarantined 10.0.0.3:5050,",
                "backup"),
         OfPeer("cloned", "degraded/0: warning cloned 10.0.0.3:5050,", "twice"),
         {[](Seen& seen) { seen.log.peers[0].declared_quorum = 3; },
          "degraded/1: warning misconfigured 10.0.0.2:5050,", "--quorum=3"},
         {[](Seen& seen) {
            seen.log.peers[0].state = seen.log.peers[1].state = "silent";
          },
          "unavailable/0: critical no quorum 10.0.0.1:5050, warning missing "
          "10.0.0.2:5050, warning missing 10.0.0.3:5050,",
          "1 of 3"}});
}

TEST(QuorumReport, OfWhoIsNoMember) {
  Check(Seen::ByTheLeader,
        {{[](Seen& seen) {
            seen.log.peers.push_back(Peer(4, "not voting"));
            seen.log.peers.back().member = false;
          },
          "healthy/1: note learner 10.0.0.4:5050,", "without a vote"},
         // One that was removed and stopped.
         {[](Seen& seen) {
            seen.log.peers.push_back(Peer(4, "silent"));
            seen.log.peers.back().member = false;
          },
          "healthy/1:", ""},
         {[](Seen& seen) {
            seen.log.refusals = {{"10.0.0.9:5050", "belongs to another"}};
          },
          "degraded/1: warning foreign 10.0.0.9:5050,", "another"},
         // Where a member should be.
         {[](Seen& seen) {
            seen.log.peers[1].state = "silent";
            seen.log.refusals = {{"10.0.0.3:5050", "belongs to another"}};
          },
          "degraded/0: warning foreign 10.0.0.3:5050,", "another"},
         {[](Seen& seen) {
            seen.log.members.push_back("r4");
            seen.log.peers.push_back(Peer(4));
            for (auto& peer : seen.log.peers) peer.declared_quorum = 0;
            seen.log.declared_quorum = 0;
          },
          "healthy/1: note even number 10.0.0.1:5050,", "4 masters"}});
}

TEST(QuorumReport, OfALeaderAboutItself) {
  Check(Seen::ByTheLeader,
        {{[](Seen& seen) { seen.log.metrics["log/disk_full"] = 1; },
          "degraded/0: warning disk full 10.0.0.1:5050,", "no space"},
         {[](Seen& seen) { seen.log.metrics["log/damaged"] = 2; },
          "degraded/1: warning damaged 10.0.0.1:5050,", "damaged"},
         {[](Seen& seen) { seen.log.declared_quorum = 1; },
          "degraded/1: warning misconfigured 10.0.0.1:5050,", "--quorum=1"},
         {[](Seen& seen) { seen.log.explanation = "a change waits"; },
          "healthy/1: note log 10.0.0.1:5050,", "a change waits"},
         {[](Seen& seen) {
            seen.standing.phase = Standing::Phase::kRecovering;
            seen.log.state = State::kElecting;
            seen.log.explanation = "waiting for r2";
          },
          "unavailable/unknown: critical recovering 10.0.0.1:5050,",
          "waiting for r2"},
         {[](Seen& seen) { seen.log.state = State::kFollowing; },
          "unavailable/unknown: critical no leader 10.0.0.1:5050,", "losing"}});
}

TEST(QuorumReport, OfAFollower) {
  Check(Seen::ByAFollower,
        {{[](Seen&) {}, "healthy/unknown:", ""},
         {[](Seen& seen) { seen.log.peers[1].protocol_version = 0; },
          "degraded/unknown: warning missing 10.0.0.3:5050,", "60 s"},
         {[](Seen& seen) {
            seen.standing.leader.reset();
            seen.log.explanation = "no member leads";
          },
          "unavailable/unknown: critical no leader 10.0.0.1:5050,",
          "no member leads"},
         // Elected in ZooKeeper; what the log says is older, or nothing.
         {[](Seen& seen) { seen.standing.log_leader_id = "id9"; },
          "unavailable/unknown: critical recovering 10.0.0.1:5050,",
          "master@10.0.0.2:5050"},
         {[](Seen& seen) { seen.log.peers[0].state = "silent"; },
          "unavailable/unknown: critical no leader 10.0.0.1:5050,",
          "does not hear master@10.0.0.2:5050"},
         {[](Seen& seen) {
            seen.log.voting = false;
            seen.log.explanation = "does not vote yet: waiting for r3";
          },
          "degraded/unknown: warning not voting 10.0.0.1:5050,",
          "waiting for r3"},
         {[](Seen& seen) {
            seen.log.state = State::kJoining;
            seen.log.members = {"r2", "r3", "r4"};
          },
          "healthy/unknown: note learner 10.0.0.1:5050,", "without a vote"},
         {[](Seen& seen) {
            seen.log.state = State::kQuarantined;
            seen.log.explanation = "does not vote any more: it was copied";
          },
          "degraded/unknown: warning quarantined 10.0.0.1:5050,",
          "it was copied"}});
}

TEST(QuorumReport, BeforeThereIsALog) {
  Seen seen;
  seen.log.state = State::kForming;
  seen.log.explanation = "not part of a log yet: 1 of 3 members seen";
  EXPECT_EQ(Brief(seen.Report()),
            "unavailable/unknown: critical forming 10.0.0.1:5050, critical no "
            "leader 10.0.0.1:5050,");
  EXPECT_EQ(seen.Report().problems[0].what, seen.log.explanation);
  seen.log.state = State::kOpening;
  EXPECT_EQ(Brief(seen.Report()),
            "unavailable/unknown: critical no leader 10.0.0.1:5050, warning "
            "opening 10.0.0.1:5050,");
}

TEST(QuorumReport, AsJson) {
  const json::Value leader =
      *json::Parse(QuorumJson(Seen::ByTheLeader().Report()));
  EXPECT_EQ(leader["status"].AsString(), "healthy");
  EXPECT_TRUE(leader["healthy"].AsBool());
  EXPECT_TRUE(leader["complete"].AsBool());
  EXPECT_EQ(leader["phase"].AsString(), "leading");
  EXPECT_EQ(leader["leader"]["address"].AsString(), "10.0.0.1:5050");
  EXPECT_EQ(leader["leader"]["epoch"].AsInt(), 7);
  EXPECT_TRUE(leader["ask"].is_null());
  EXPECT_EQ(leader["voters"].AsInt(), 3);
  EXPECT_EQ(leader["quorum"].AsInt(), 2);
  EXPECT_EQ(leader["tolerates"].AsInt(), 1);
  EXPECT_EQ(leader["masters"].items().size(), 3);
  EXPECT_TRUE(leader["masters"][0]["self"].AsBool());
  EXPECT_EQ(leader["masters"][0]["id"].AsString(), "7231");
  EXPECT_EQ(leader["problems"].items().size(), 0);

  const json::Value follower =
      *json::Parse(QuorumJson(Seen::ByAFollower().Report()));
  EXPECT_FALSE(follower["complete"].AsBool(true));
  EXPECT_EQ(follower["ask"].AsString(), "http://10.0.0.2:5050/quorum");
  EXPECT_TRUE(follower["tolerates"].is_null());
  EXPECT_TRUE(follower["masters"][1]["leads"].AsBool());
  EXPECT_EQ(follower["masters"][2]["state"].AsString(), "unknown");
}

}  // namespace
}  // namespace quorate::master
