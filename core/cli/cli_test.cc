#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/api/master.pb.h"
#include "core/cli/disagreements.h"
#include "core/cli/survey.h"
#include "core/cli/table.h"
#include "core/cli/views.h"
#include "core/http/server.h"
#include "core/http/testing/fakes.h"

namespace quorate::cli {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

std::string Joined(const Lines& lines) { return absl::StrJoin(lines, "\n"); }

TEST(Table, AlignsItsColumns) {
  Table table({{"ID"}, {"CPUS", Table::Align::kRight}, {"NAME"}});
  table.Add({"one", "1", "a"});
  table.Add({"a-long-one", "1024.5", ""});
  table.Add({"\xc3\xbc", "2", "b"});
  EXPECT_EQ(Joined(table.Lines()),
            "ID            CPUS  NAME\n"
            "one              1  a\n"
            "a-long-one  1024.5  -\n"
            "\xc3\xbc                2  b");
}

TEST(Table, ShowsNothingThatATerminalObeys) {
  EXPECT_EQ(Printable("a\x1b[31mb\nc\x7f\xc2\x9b"), "a?[31mb?c??");
  EXPECT_EQ(Printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(Table, TimesAndNumbersForPeople) {
  EXPECT_EQ(TextOf(-seconds(1)), "0 s");
  EXPECT_EQ(TextOf(milliseconds(999)), "0 s");
  EXPECT_EQ(TextOf(seconds(59)), "59 s");
  EXPECT_EQ(TextOf(seconds(60)), "1 min");
  EXPECT_EQ(TextOf(hours(2) + minutes(5)), "2 h 5 min");
  EXPECT_EQ(TextOf(hours(27)), "1 d 3 h");
  EXPECT_EQ(TextOf(0.1), "0.1");
  EXPECT_EQ(TextOf(2.0), "2");
  EXPECT_EQ(TextOf(1024.0), "1024");
  EXPECT_EQ(TextOf(0.0), "0");
  EXPECT_EQ(TextOf(1.0 / 3), "0.33");
}

// Servers that answer as masters do, or not.
class SurveyTest : public ::testing::Test {
 protected:
  static io::Endpoint At(int number) {
    return {absl::StrCat("10.0.0.", number), 5050};
  }

  // Three masters of one cluster, as number `self` tells of them.
  static std::string Quorum(int self, int leader, int epoch,
                            const std::string& problems = "",
                            const std::string& cluster = "c1") {
    std::string members;
    for (int i = 1; i <= 3; ++i) {
      absl::StrAppend(&members, i > 1 ? "," : "", R"({"address":")",
                      At(i).ToString(), R"(","id":"a)", i,
                      R"(","state":"ok","votes":true,"learned_upto":12,)",
                      R"("leads":)", i == leader ? "true" : "false", "}");
    }
    return absl::StrCat(
        R"({"status":")", leader == 0 ? "unavailable" : "healthy",
        R"(","phase":")", self == leader ? "leading" : "following",
        R"(","generation":0,"voters":3,"cluster_id":")", cluster,
        R"(","master":{"version":"1.12.0","address":")", At(self).ToString(),
        R"("},)",
        leader == 0
            ? ""
            : absl::StrCat(R"("leader":{"address":")", At(leader).ToString(),
                           R"(","epoch":)", epoch, "},"),
        self == leader ? R"("tolerates":1,)" : "", R"("masters":[)", members,
        R"(],"problems":[)", problems, "]}");
  }

  static std::string Problem(int number, const std::string& severity) {
    return absl::StrCat(R"({"severity":")", severity,
                        R"(","kind":"k","master":")", At(number).ToString(),
                        R"(","what":"is odd","remedy":"mend it"})");
  }

  void Serve(int number, int status, const std::string& body) {
    servers_.push_back(std::make_unique<http::Server>(
        clock_, http::ServerOptions{},
        [status, body](const http::Request& request,
                       http::Responder responder) {
          EXPECT_EQ(request.path, "/quorum");
          responder.Send({.status = status, .body = body});
        }));
    http::Server& server = *servers_.back();
    acceptors_.push_back(*network_.Listen(
        At(number), [&server](std::unique_ptr<io::Connection> connection) {
          server.Adopt(std::move(connection), "");
        }));
  }

  // Accepts connections, and says nothing.
  void Hang(int number) {
    acceptors_.push_back(*network_.Listen(
        At(number), [this](std::unique_ptr<io::Connection> connection) {
          hanging_.push_back(std::move(connection));
        }));
  }

  std::vector<Testimony> Ask(const std::vector<io::Endpoint>& masters,
                             bool until_leader = false) {
    std::optional<std::vector<Testimony>> answer;
    Survey survey(clock_, network_,
                  {.masters = masters, .until_leader = until_leader},
                  [&](auto testimonies) { answer = std::move(testimonies); });
    clock_.Advance(until_leader ? seconds(1) : seconds(20));
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(std::vector<Testimony>());
  }

  http::testing::FakeClock clock_;
  http::testing::FakeNetwork network_{&clock_};
  std::vector<std::unique_ptr<http::Server>> servers_;
  std::vector<std::unique_ptr<io::Acceptor>> acceptors_;
  std::vector<std::unique_ptr<io::Connection>> hanging_;
};

TEST_F(SurveyTest, FindsTheOthersThroughOne) {
  Serve(1, 200, Quorum(1, 2, 7));
  Serve(2, 200, Quorum(2, 2, 7));
  Serve(3, 200, Quorum(3, 2, 7));
  const auto testimonies = Ask({At(1)});
  EXPECT_EQ(testimonies.size(), 3);
  ASSERT_NE(LeaderOf(testimonies), nullptr);
  EXPECT_EQ(LeaderOf(testimonies)->master, At(2));
  EXPECT_EQ(HealthOf(testimonies), Health::kHealthy);
  EXPECT_EQ(Joined(QuorumLines(testimonies)),
            "healthy: 10.0.0.2:5050 leads, in epoch 7; the log has 3 members, "
            "and goes on when 1 more fails\n\n"
            "ADDRESS        STATE  LEADS  VOTES  LEARNED  ID\n"
            "10.0.0.1:5050  ok     no     yes         12  a1\n"
            "10.0.0.2:5050  ok     yes    yes         12  a2\n"
            "10.0.0.3:5050  ok     no     yes         12  a3");
  EXPECT_EQ(json::Parse(SurveyJson(testimonies)).value()["status"].AsString(),
            "healthy");
}

TEST_F(SurveyTest, EndsAtTheLeaderWhenNoMoreIsAsked) {
  Hang(1);
  Serve(2, 200, Quorum(2, 2, 7));
  const auto testimonies = Ask({At(1), At(2)}, true);
  ASSERT_NE(LeaderOf(testimonies), nullptr);
}

TEST_F(SurveyTest, OfTwoLeadersTheNewerCounts) {
  Serve(1, 200, Quorum(1, 1, 7));
  Serve(2, 200, Quorum(2, 2, 9));
  EXPECT_EQ(LeaderOf(Ask({At(1), At(2)}))->master, At(2));
}

// As masters are that were started without --masters: each is well.
TEST_F(SurveyTest, SeveralClustersAreNotOne) {
  for (int i = 1; i <= 3; ++i) {
    Serve(i, 200, Quorum(i, i, 1, "", absl::StrCat("c", i)));
  }
  const auto testimonies = Ask({At(1), At(2), At(3)});
  EXPECT_EQ(HealthOf(testimonies), Health::kUnavailable);
  const std::string line =
      "critical: these masters are of 3 clusters: 10.0.0.1:5050 (leads) of c1; "
      "10.0.0.2:5050 (leads) of c2; 10.0.0.3:5050 (leads) of c3\n"
      "  -> name masters of one cluster in --master";
  const std::string quorum = Joined(QuorumLines(testimonies));
  EXPECT_EQ(quorum.rfind("unavailable: the masters are not one cluster under "
                         "one leader\n\nADDRESS ",
                         0),
            0)
      << quorum;
  EXPECT_NE(quorum.find(line), std::string::npos) << quorum;
  // What each says of its own.
  EXPECT_EQ(QuorumLines(testimonies).size(), 2 + 1 + 9 + 1 + 2) << quorum;
  const std::string masters = Joined(MastersLines(testimonies));
  EXPECT_NE(masters.find(line), std::string::npos) << masters;
  const json::Value json = *json::Parse(SurveyJson(testimonies));
  EXPECT_EQ(json["status"].AsString(), "unavailable");
  EXPECT_EQ(json["disagreements"][size_t{0}]["kind"].AsString(),
            "several clusters");
  // A command that asks the leader waits for the others to say so, too.
  EXPECT_TRUE(IsCritical(DisagreementsOf(Ask({At(1), At(2), At(3)}, true))));
}

TEST_F(SurveyTest, WhoHasNoClusterYetIsOfNoOther) {
  Serve(1, 200, Quorum(1, 1, 7));
  Serve(2, 503, Quorum(2, 0, 0, "", ""));
  Serve(3, 200, Quorum(3, 1, 7));
  const auto testimonies = Ask({At(1)});
  EXPECT_TRUE(DisagreementsOf(testimonies).empty());
  EXPECT_EQ(HealthOf(testimonies), Health::kHealthy);
}

TEST_F(SurveyTest, TwoLeadersOfOneEpochAreCritical) {
  Serve(1, 200, Quorum(1, 1, 7));
  Serve(2, 200, Quorum(2, 2, 7));
  Serve(3, 200, Quorum(3, 2, 7));
  const auto testimonies = Ask({At(1)});
  EXPECT_EQ(HealthOf(testimonies), Health::kUnavailable);
  const std::string line =
      "critical: 10.0.0.2:5050 leads in epoch 7, and so does 10.0.0.1:5050\n";
  const std::string quorum = Joined(QuorumLines(testimonies));
  EXPECT_NE(quorum.find(line), std::string::npos) << quorum;
  const std::string masters = Joined(MastersLines(testimonies));
  EXPECT_NE(masters.find(line), std::string::npos) << masters;
}

TEST_F(SurveyTest, AFormerLeaderIsNamedAsThat) {
  Serve(1, 200, Quorum(1, 1, 7));
  Serve(2, 200, Quorum(2, 2, 9));
  Serve(3, 200, Quorum(3, 2, 9));
  const auto testimonies = Ask({At(1)});
  EXPECT_EQ(HealthOf(testimonies), Health::kDegraded);
  EXPECT_FALSE(IsCritical(DisagreementsOf(testimonies)));
  const std::string quorum = Joined(QuorumLines(testimonies));
  EXPECT_EQ(quorum.rfind("degraded: 10.0.0.2:5050 leads, in epoch 9", 0), 0)
      << quorum;
  EXPECT_NE(
      quorum.find("warning: 10.0.0.1:5050 led in epoch 7, and has yet to find "
                  "out that 10.0.0.2:5050 leads, in epoch 9\n"),
      std::string::npos)
      << quorum;
}

TEST_F(SurveyTest, ShowsThoseThatDoNotAnswer) {
  Serve(1, 200, Quorum(1, 1, 7, Problem(1, "note")));
  Hang(2);
  const auto testimonies = Ask({At(1)});  // The third refuses.
  EXPECT_EQ(HealthOf(testimonies), Health::kDegraded);
  const std::string text = Joined(MastersLines(testimonies));
  EXPECT_NE(text.find("10.0.0.2:5050  no answer"), std::string::npos) << text;
  EXPECT_NE(text.find("10.0.0.2:5050 does not answer in time"),
            std::string::npos);
  EXPECT_NE(text.find("10.0.0.3:5050 cannot be reached"), std::string::npos);
  const std::string quorum = Joined(QuorumLines(testimonies));
  EXPECT_NE(quorum.find("note: 10.0.0.1:5050 is odd\n  -> mend it"),
            std::string::npos)
      << quorum;
}

// What a follower knows of itself the leader may not know.
TEST_F(SurveyTest, AddsWhatTheOthersKnowOfThemselves) {
  Serve(1, 200, Quorum(1, 1, 7));
  Serve(2, 200, Quorum(2, 1, 7, Problem(2, "warning")));
  Serve(3, 200, Quorum(3, 1, 7, Problem(2, "critical")));
  const auto testimonies = Ask({At(1)});
  EXPECT_EQ(HealthOf(testimonies), Health::kDegraded);
  const std::string quorum = Joined(QuorumLines(testimonies));
  EXPECT_NE(quorum.find("warning: 10.0.0.2:5050 is odd"), std::string::npos);
  EXPECT_EQ(quorum.find("critical"), std::string::npos) << quorum;
}

TEST_F(SurveyTest, WithoutALeader) {
  Serve(1, 503, Quorum(1, 0, 0, Problem(1, "critical")));
  const auto testimonies = Ask({At(1)});
  EXPECT_EQ(HealthOf(testimonies), Health::kUnavailable);
  EXPECT_EQ(Joined(QuorumLines(testimonies)).substr(0, 33),
            "unavailable: no master leads; the");
  const absl::Status status = NoLeader(testimonies);
  EXPECT_NE(status.message().find("no master leads\n  10.0.0.1:5050 is odd"),
            std::string::npos)
      << status;
}

TEST_F(SurveyTest, WhatIsNoMasterSaysSo) {
  Serve(1, 404, "404 Not Found.");
  Serve(2, 200, "<html>");
  Serve(3, 200, R"({"phase":1})");
  for (const Testimony& testimony : Ask({At(1), At(2), At(3)})) {
    EXPECT_NE(testimony.status.message().find("not as a master"),
              std::string::npos)
        << testimony.status;
  }
  const std::string text(NoLeader(Ask({At(9)})).message());
  EXPECT_EQ(text.rfind("no master answers\n  10.0.0.9:5050 cannot be", 0), 0)
      << text;
}

// The state of a cluster with two agents, and a task on each.
State MakeState() {
  State state;
  for (int i = 1; i <= 2; ++i) {
    auto& agent = *state.mutable_get_agents()->add_agents();
    agent.mutable_agent_info()->mutable_id()->set_value(
        absl::StrCat("0123456789-S", i));
    agent.mutable_agent_info()->set_hostname(absl::StrCat("host", i));
    agent.set_pid(absl::StrCat("slave(1)@10.0.1.", i, ":5051"));
    agent.set_active(i == 1);
    agent.set_version("1.12.0");
    agent.mutable_registered_time()->set_nanoseconds(1000 *
                                                     int64_t{1000000000});
    auto& cpus = *agent.add_total_resources();
    cpus.set_name("cpus");
    cpus.mutable_scalar()->set_value(8);
    auto& task = i == 1 ? *state.mutable_get_tasks()->add_tasks()
                        : *state.mutable_get_tasks()->add_completed_tasks();
    task.mutable_task_id()->set_value(absl::StrCat("task", i));
    task.set_name("work\n");
    task.mutable_agent_id()->set_value(agent.agent_info().id().value());
    task.mutable_framework_id()->set_value("f-0000");
    task.set_state(i == 1 ? mesos::v1::TASK_RUNNING : mesos::v1::TASK_LOST);
    task.add_statuses()->set_timestamp(1000);
    auto& used = *task.add_resources();
    used.set_name("cpus");
    used.mutable_scalar()->set_value(0.5);
    *agent.add_allocated_resources() = used;
  }
  state.mutable_get_agents()->add_recovered_agents()->mutable_id()->set_value(
      "0123456789-S3");
  auto& framework = *state.mutable_get_frameworks()->add_frameworks();
  framework.mutable_framework_info()->mutable_id()->set_value("f-0000");
  framework.mutable_framework_info()->set_name("marathon");
  framework.mutable_framework_info()->set_user("root");
  framework.mutable_framework_info()->add_roles("*");
  framework.set_connected(true);
  framework.mutable_registered_time()->set_nanoseconds(1000 *
                                                       int64_t{1000000000});
  return state;
}

TEST(Views, OfAState) {
  const State state = MakeState();
  const io::WallTime now{seconds(1090)};
  EXPECT_EQ(
      Joined(AgentsLines(state, now)),
      "ID             HOSTNAME  ADDRESS        STATE         TASKS   CPUS  MEM "
      " "
      "DISK  VERSION  SINCE\n"
      "0123456789-S1  host1     10.0.1.1:5051  active            1  0.5/8  0/0 "
      "  0/0  1.12.0   1 min\n"
      "0123456789-S2  host2     10.0.1.2:5051  disconnected      0  0.5/8  0/0 "
      "  0/0  1.12.0   1 min\n"
      "0123456789-S3  -         5051           recovering        -      -    - "
      "    -  -        -");
  EXPECT_EQ(Joined(TasksLines(state, true, now)),
            "ID     NAME   STATE    SINCE  AGENT  CPUS  MEM  FRAMEWORK\n"
            "task1  work?  running  1 min  host1   0.5    0  f-0000\n"
            "task2  work?  lost     1 min  host2   0.5    0  f-0000");
  EXPECT_EQ(TasksLines(state, false, now).size(), 2);
  EXPECT_EQ(Joined(FrameworksLines(state, false, now)),
            "ID      NAME      STATE   USER  ROLES  TASKS  CPUS  MEM  SINCE\n"
            "f-0000  marathon  active  root  *          1     0    0  1 min");
}

TEST(Views, JsonHasAllItsLists) {
  EXPECT_EQ(AgentsJson({}), R"({"agents":[],"recovered_agents":[]})");
  EXPECT_EQ(TasksJson({}),
            R"({"tasks":[],"unreachable_tasks":[],"completed_tasks":[]})");
  EXPECT_EQ(FrameworksJson({}),
            R"({"frameworks":[],"completed_frameworks":[]})");
  EXPECT_EQ((*json::Parse(TasksJson(MakeState())))["tasks"][size_t{0}]["state"]
                .AsString(),
            "TASK_RUNNING");
}

}  // namespace
}  // namespace quorate::cli
