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
  // Parts of the gravest problem's words.
  std::string what;
  std::string remedy;
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
    const std::string remedy =
        report.problems.empty() ? "" : report.problems.front().remedy;
    EXPECT_NE(remedy.find(c.remedy), std::string::npos) << remedy;
  }
}

// What is wrong with the peer, as the leader's log tells it.
Case OfPeer(const std::string& state, const std::string& expected,
            const std::string& what, const std::string& remedy) {
  return {[state](Seen& seen) { seen.log.peers[1].state = state; }, expected,
          what, remedy};
}

// Four members, of whom the first is asked.
void MakeFour(Seen& seen, int quorum) {
  seen.log.members.push_back("r4");
  seen.log.peers.push_back(Peer(4));
  for (auto& peer : seen.log.peers) peer.declared_quorum = quorum;
  seen.log.declared_quorum = quorum;
}

TEST(QuorumReport, OfALeaderAboutItsPeers) {
  Check(Seen::ByTheLeader,
        {{[](Seen&) {}, "healthy/1:", "", ""},
         {[](Seen& seen) {
            seen.log.peers[1].state = "silent";
            seen.log.peers[1].silent = seconds(12);
          },
          "degraded/0: warning missing 10.0.0.3:5050,", "12 s ago", "start it"},
         // Of an earlier life of the leader nothing was heard.
         {[](Seen& seen) {
            seen.log.peers[1].state = "silent";
            seen.log.peers[1].silent = io::Duration::max();
          },
          "degraded/0: warning missing 10.0.0.3:5050,", "does not answer",
          "members replace OLD NEW"},
         {[](Seen& seen) {
            seen.log.peers[1].state = "behind";
            seen.log.peers[1].learned_upto = 40;
          },
          "degraded/1: warning behind 10.0.0.3:5050,", "40 of 100",
          "it catches up"},
         OfPeer("damaged", "degraded/1: warning damaged 10.0.0.3:5050,",
                "damaged records", "it repairs them"),
         OfPeer("not voting", "degraded/0: warning not voting 10.0.0.3:5050,",
                "no votes", "ask it for /quorum"),
         OfPeer("disk full", "degraded/0: warning disk full 10.0.0.3:5050,",
                "no space", "make space"),
         OfPeer("quarantined", "degraded/0: warning quarantined 10.0.0.3:5050,",
                "backup", "move its --work_dir away"),
         // One process is enough: an old backup was put in place.
         OfPeer("cloned", "degraded/0: warning cloned 10.0.0.3:5050,",
                "was cloned, or restored from a backup",
                "stop it, and any other that runs with a copy of that disk"),
         {[](Seen& seen) { seen.log.peers[0].declared_quorum = 3; },
          "degraded/1: warning misconfigured 10.0.0.2:5050,",
          "--quorum=3, for 5 masters; the log has 3", "again with --quorum=2"},
         {[](Seen& seen) {
            seen.log.peers[0].state = seen.log.peers[1].state = "silent";
          },
          "unavailable/0: critical no quorum 10.0.0.1:5050, warning missing "
          "10.0.0.2:5050, warning missing 10.0.0.3:5050,",
          "1 of 3", "see what is said of the others"}});
}

TEST(QuorumReport, OfWhoIsNoMember) {
  Check(Seen::ByTheLeader,
        {{[](Seen& seen) {
            seen.log.peers.push_back(Peer(4, "not voting"));
            seen.log.peers.back().member = false;
          },
          "healthy/1: note learner 10.0.0.4:5050,", "without a vote",
          "members add ID"},
         // One that was removed and stopped.
         {[](Seen& seen) {
            seen.log.peers.push_back(Peer(4, "silent"));
            seen.log.peers.back().member = false;
          },
          "healthy/1:", "", ""},
         {[](Seen& seen) {
            seen.log.refusals = {{"10.0.0.9:5050", "belongs to another"}};
          },
          "degraded/1: warning foreign 10.0.0.9:5050,", "another", "stop it"},
         // Where a member should be.
         {[](Seen& seen) {
            seen.log.peers[1].state = "silent";
            seen.log.refusals = {{"10.0.0.3:5050", "belongs to another"}};
          },
          "degraded/0: warning foreign 10.0.0.3:5050,", "another", "stop it"}});
}

// What is asked of operators can be had: a majority of four is three.
TEST(QuorumReport, OfAnEvenNumber) {
  const std::string note = " note even number 10.0.0.1:5050,";
  std::string all;
  for (int i = 1; i <= 4; ++i) {
    absl::StrAppend(&all, " warning misconfigured 10.0.0.", i, ":5050,");
  }
  Check(Seen::ByTheLeader,
        {{[](Seen& seen) { MakeFour(seen, 3); }, "healthy/1:" + note,
          "4 masters in its log, which tolerate no more failures than 3",
          "add one, or remove one"},
         {[](Seen& seen) { MakeFour(seen, 2); }, "degraded/1:" + all + note,
          "--quorum=2, for 3 masters; the log has 4", "again with --quorum=3"},
         {[](Seen& seen) {
            MakeFour(seen, 3);
            seen.log.peers[2].declared_quorum = 4;
          },
          "degraded/1: warning misconfigured 10.0.0.4:5050," + note,
          "--quorum=4", "again with --quorum=3"},
         // Two tolerate nothing.
         {[](Seen& seen) {
            seen.log.members.pop_back();
            seen.log.peers.pop_back();
          },
          "healthy/0:" + note, "than 1", "add one"}});
}

constexpr char kWaitOnly[] = "wait some seconds";

TEST(QuorumReport, OfALeaderAboutItself) {
  Check(
      Seen::ByTheLeader,
      {{[](Seen& seen) { seen.log.metrics["log/disk_full"] = 1; },
        "degraded/0: warning disk full 10.0.0.1:5050,", "no space",
        "make space"},
       {[](Seen& seen) { seen.log.metrics["log/damaged"] = 2; },
        "degraded/1: warning damaged 10.0.0.1:5050,", "damaged", "it repairs"},
       {[](Seen& seen) { seen.log.declared_quorum = 1; },
        "degraded/1: warning misconfigured 10.0.0.1:5050,", "--quorum=1",
        "again with --quorum=2"},
       {[](Seen& seen) { seen.log.explanation = "a change waits"; },
        "healthy/1: note log 10.0.0.1:5050,", "a change waits",
        "mesos-log status"},
       // It serves; nobody who looks in ZooKeeper finds it.
       {[](Seen& seen) { seen.standing.election_problem = "not announced"; },
        "degraded/1: warning election 10.0.0.1:5050,", "not announced",
        "ZooKeeper runs"},
       {[](Seen& seen) {
          seen.standing.phase = Standing::Phase::kRecovering;
          seen.log.state = State::kElecting;
          seen.log.explanation = "waiting for r2";
        },
        "unavailable/unknown: critical recovering 10.0.0.1:5050,",
        "waiting for r2", kWaitOnly},
       {[](Seen& seen) {
          seen.standing.phase = Standing::Phase::kRecovering;
          seen.log.state = State::kElecting;
          seen.log.peers[0].state = seen.log.peers[1].state = "silent";
          seen.log.peers[0].protocol_version = 0;
          seen.log.peers[1].protocol_version = 0;
        },
        "unavailable/unknown: critical recovering 10.0.0.1:5050, warning "
        "missing 10.0.0.2:5050, warning missing 10.0.0.3:5050,",
        "does not lead yet", "start the masters that do not run: 2 of 3"},
       // The log has elected it; the record of the cluster is in the way.
       {[](Seen& seen) {
          seen.standing.phase = Standing::Phase::kRecovering;
          seen.standing.election_problem = "cannot write the record: NoAuth";
        },
        "unavailable/unknown: critical election 10.0.0.1:5050,", "NoAuth",
        "may be written"},
       {[](Seen& seen) { seen.log.state = State::kFollowing; },
        "unavailable/unknown: critical no leader 10.0.0.1:5050,", "losing",
        "another is elected"}});
}

TEST(QuorumReport, OfAFollower) {
  Check(
      Seen::ByAFollower,
      {{[](Seen&) {}, "healthy/unknown:", "", ""},
       {[](Seen& seen) { seen.log.peers[1].protocol_version = 0; },
        "degraded/unknown: warning missing 10.0.0.3:5050,", "60 s", "start it"},
       {[](Seen& seen) {
          seen.standing.leader.reset();
          seen.log.explanation = "no member leads";
        },
        "unavailable/unknown: critical no leader 10.0.0.1:5050,",
        "no member leads", "enough masters run"},
       {[](Seen& seen) {
          seen.standing.leader.reset();
          seen.log.peers[0].state = "silent";
          seen.log.peers[0].protocol_version = 0;
          seen.log.peers[1].protocol_version = 0;
        },
        "unavailable/unknown: critical no leader 10.0.0.1:5050, warning "
        "missing 10.0.0.2:5050, warning missing 10.0.0.3:5050,",
        "knows no leader", "start the masters that do not run: 2 of 3"},
       // Elected in ZooKeeper; what the log says is older, or nothing.
       {[](Seen& seen) { seen.standing.log_leader_id = "id9"; },
        "unavailable/unknown: critical recovering 10.0.0.1:5050,",
        "master@10.0.0.2:5050", "what that master says"},
       {[](Seen& seen) { seen.log.peers[0].state = "silent"; },
        "unavailable/unknown: critical no leader 10.0.0.1:5050,",
        "does not hear master@10.0.0.2:5050", "whether that master runs"},
       {[](Seen& seen) {
          seen.log.voting = false;
          seen.log.explanation = "does not vote yet: waiting for r3";
        },
        "degraded/unknown: warning not voting 10.0.0.1:5050,", "waiting for r3",
        "start those that it waits for"},
       // What the log waits for is not the reason of these.
       {[](Seen& seen) {
          seen.log.declared_quorum = 3;
          seen.log.explanation = "no link to 10.0.0.9:5050: another log";
        },
        "degraded/unknown: warning misconfigured 10.0.0.1:5050,",
        "runs with --quorum=3", "again with --quorum=2"},
       {[](Seen& seen) {
          seen.log.metrics["log/disk_full"] = 1;
          seen.log.explanation = "no member leads";
        },
        "degraded/unknown: warning disk full 10.0.0.1:5050,", "no space",
        "make space"}});
}

// Those without a vote are not told of every leader of the log, and need not
// know of the newest.
TEST(QuorumReport, OfOneThatDoesNotVote) {
  const auto quarantine = [](Seen& seen) {
    seen.log.state = State::kQuarantined;
    seen.log.voting = false;
    seen.log.explanation = "does not vote any more: it was copied";
    for (auto& peer : seen.log.peers) peer.state = "silent";
  };
  const std::string quarantined =
      "degraded/unknown: warning quarantined 10.0.0.1:5050,";
  const auto learn = [](Seen& seen) {
    seen.log.state = State::kJoining;
    seen.log.voting = false;
    seen.log.members = {"r2", "r3", "r4"};
  };
  Check(Seen::ByAFollower,
        {{quarantine, quarantined, "it was copied", "move its --work_dir away"},
         {[&](Seen& seen) {
            quarantine(seen);
            seen.standing.log_leader_id = "id3";
          },
          quarantined, "it was copied", "move its --work_dir away"},
         {[&](Seen& seen) {
            quarantine(seen);
            seen.standing.leader.reset();
          },
          "unavailable/unknown: critical no leader 10.0.0.1:5050, warning "
          "quarantined 10.0.0.1:5050,",
          "knows no leader", "ask another master"},
         {learn, "healthy/unknown: note learner 10.0.0.1:5050,",
          "without a vote", "members add ID"},
         {[&](Seen& seen) {
            learn(seen);
            seen.standing.log_leader_id = "";
          },
          "healthy/unknown: note learner 10.0.0.1:5050,", "without a vote",
          "members add ID"},
         {[&](Seen& seen) {
            learn(seen);
            seen.log.peers[0].state = "silent";
          },
          "unavailable/unknown: critical no leader 10.0.0.1:5050, note learner "
          "10.0.0.1:5050,",
          "does not hear", "whether that master runs"},
         {[](Seen& seen) {
            seen.log.state = State::kOpening;
            seen.log.voting = false;
            seen.log.members.clear();
            seen.log.peers.clear();
            seen.log.explanation = "the disk is full: waits for space";
            seen.log.remedy = "make space on its disk";
            seen.standing.log_leader_id = "";
          },
          "degraded/unknown: warning opening 10.0.0.1:5050,",
          "the disk is full", "make space on its disk"}});
}

// All masters run, and ZooKeeper does not: nothing is said of masters that do
// not run, and nobody is said to lead.
TEST(QuorumReport, WithoutZooKeeper) {
  Seen seen = Seen::ByAFollower();
  seen.standing.leader.reset();
  seen.standing.election_problem = "ZooKeeper's session is lost";
  const QuorumReport report = seen.Report();
  EXPECT_EQ(Brief(report),
            "unavailable/unknown: critical election 10.0.0.1:5050,");
  EXPECT_EQ(report.problems[0].what, seen.standing.election_problem);
  EXPECT_NE(report.problems[0].remedy.find("ZooKeeper runs"),
            std::string::npos);
  for (const QuorumReport::Member& member : report.members) {
    EXPECT_FALSE(member.leads) << member.address;
  }
  // A leader that is known goes on.
  seen.standing.leader = InfoOf(2);
  EXPECT_EQ(Brief(seen.Report()),
            "degraded/unknown: warning election 10.0.0.1:5050,");
  EXPECT_TRUE(seen.Report().members[1].leads);
  // The election comes first, the causes of others stay.
  seen.log.peers[0].state = "silent";
  EXPECT_EQ(Brief(seen.Report()),
            "unavailable/unknown: critical election 10.0.0.1:5050, critical no "
            "leader 10.0.0.1:5050,");
  EXPECT_FALSE(seen.Report().members[1].leads);
}

// Whom the log had as its leader leads only when it is the one that was
// elected.
TEST(QuorumReport, OnlyTheElectedOneLeads) {
  Seen seen = Seen::ByAFollower();
  EXPECT_TRUE(seen.Report().members[1].leads);
  seen.standing.leader = InfoOf(3);
  for (const QuorumReport::Member& member : seen.Report().members) {
    EXPECT_FALSE(member.leads) << member.address;
  }
}

TEST(QuorumReport, BeforeThereIsALog) {
  Seen seen;
  seen.log.state = State::kForming;
  seen.log.explanation = "not part of a log yet: 1 of 3 members seen";
  seen.log.remedy = "start all masters with the same --quorum, 2, for 3";
  EXPECT_EQ(Brief(seen.Report()),
            "unavailable/unknown: critical forming 10.0.0.1:5050,");
  EXPECT_EQ(seen.Report().problems[0].what, seen.log.explanation);
  EXPECT_EQ(seen.Report().problems[0].remedy, seen.log.remedy);
  // Another cause has another remedy.
  seen.log.explanation = "not part of a log yet: cluster_id names cluster 12";
  seen.log.remedy = "start those that hold its log";
  EXPECT_EQ(seen.Report().problems[0].what, seen.log.explanation);
  EXPECT_EQ(seen.Report().problems[0].remedy, seen.log.remedy);
  seen.log.explanation = "not part of a log yet: all members are here";
  seen.log.remedy = "";
  EXPECT_EQ(seen.Report().problems[0].remedy.rfind(kWaitOnly, 0), 0);
  seen.log.state = State::kOpening;
  EXPECT_EQ(Brief(seen.Report()),
            "unavailable/unknown: critical no leader 10.0.0.1:5050, warning "
            "opening 10.0.0.1:5050,");
  EXPECT_EQ(seen.Report().problems[0].remedy, kWaitOnly);
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
