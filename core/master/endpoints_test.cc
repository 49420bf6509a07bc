// What the master answers over HTTP, besides the scheduler API.

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/master.pb.h"
#include "core/api/media.h"
#include "core/json/value.h"
#include "core/master/testing/harness.h"
#include "core/resources/attributes.h"

namespace quorate::master {
namespace {

using std::chrono::seconds;
using testing::Harness;
using testing::TestAgent;
using testing::TestFramework;

std::string AnswerTo(const http::Response& response) {
  return absl::StrCat(response.status, " ", response.body);
}

MasterOptions Options() {
  MasterOptions options;
  options.flags = {{"port", "5050"}, {"quorum", "2"}};
  options.cluster = "test";
  return options;
}

class EndpointsTest : public ::testing::Test {
 protected:
  std::string Call(const std::string& body) {
    return AnswerTo(master_.Post("/api/v1", body));
  }
  std::string CallType(const std::string& type) {
    return Call(absl::StrCat(R"({"type":")", type, R"("})"));
  }
  json::Value Json(const std::string& path) {
    return *json::Parse(master_.Get(path).body);
  }

  Harness master_{Options()};
};

// Masters that do not lead.

TEST_F(EndpointsTest, FollowersRedirect) {
  master_.standing().phase = Standing::Phase::kFollowing;
  master_.standing().leader->set_hostname("10.0.0.9");
  master_.standing().leader->set_port(7061);
  master_.standing().leader->mutable_address()->set_ip("10.0.0.9");
  const std::pair<const char*, const char*> locations[] = {
      {"/state", "//10.0.0.9:7061/master/state"},
      {"/master/state", "//10.0.0.9:7061/master/state"},
      {"/master/slaves?x=1", "//10.0.0.9:7061/master/slaves?x=1"},
      {"/slaves?x=1", "//10.0.0.9:7061/master/slaves?x=1"},
      {"/redirect", "//10.0.0.9:7061"},
      {"/master/redirect", "//10.0.0.9:7061"},
  };
  for (const auto& [path, location] : locations) {
    http::Response response = master_.Get(path);
    EXPECT_EQ(response.status, 307) << path;
    EXPECT_EQ(response.headers.Get("Location"), location);
    EXPECT_EQ(response.body, "");
  }
  // Before anything in the request is looked at.
  for (const char* path : {"/api/v1", "/api/v1/scheduler"}) {
    http::Response response = master_.Post(path, "{bad", {});
    EXPECT_EQ(response.status, 307);
    EXPECT_EQ(response.headers.Get("Location"),
              absl::StrCat("//10.0.0.9:7061/master", path));
  }
}

// What a master that was started again may hear of its former life.
TEST_F(EndpointsTest, FollowersDoNotSendToThemselves) {
  master_.standing().phase = Standing::Phase::kFollowing;
  for (const char* path : {"/state", "/master/slaves", "/redirect"}) {
    EXPECT_EQ(AnswerTo(master_.Get(path)), "503 No leader elected") << path;
  }
}

TEST_F(EndpointsTest, FollowersAnswerForThemselves) {
  master_.standing().phase = Standing::Phase::kFollowing;
  master_.standing().leader.reset();
  for (const char* path : {"/health", "/version", "/flags", "/metrics/snapshot",
                           "/master/health", "/files/debug"}) {
    EXPECT_EQ(master_.Get(path).status, 200) << path;
  }
  EXPECT_EQ(AnswerTo(master_.Get("/state")), "503 No leader elected");
  EXPECT_EQ(AnswerTo(master_.Get("/redirect")), "503 No leader elected");
}

TEST_F(EndpointsTest, ARecoveringLeaderAsksForPatience) {
  master_.standing().phase = Standing::Phase::kRecovering;
  EXPECT_EQ(AnswerTo(master_.Get("/state")),
            "503 Master has not finished recovery");
  EXPECT_EQ(AnswerTo(master_.Post("/api/v1/scheduler", "")),
            "503 Master has not finished recovery");
  EXPECT_EQ(master_.Get("/health").status, 200);
}

// Load balancers and scripts look at the status alone.
TEST_F(EndpointsTest, QuorumTellsWhetherTheClusterServes) {
  for (const char* path : {"/quorum", "/master/quorum"}) {
    EXPECT_EQ(master_.Get(path).status, 200);
    EXPECT_EQ(Json(path)["status"].AsString(), "healthy");
    EXPECT_EQ(Json(path)["leader"]["address"].AsString(), "10.0.0.1:5050");
  }
  master_.standing().phase = Standing::Phase::kFollowing;
  master_.standing().leader.reset();
  master_.log().state = log::LogStatus::State::kFollowing;
  EXPECT_EQ(master_.Get("/quorum").status, 503);
  EXPECT_EQ(Json("/quorum")["problems"][0]["kind"].AsString(), "no leader");
  EXPECT_EQ(master_.Get("/health").status, 200);
}

// Views.

TEST_F(EndpointsTest, SmallViews) {
  EXPECT_EQ(AnswerTo(master_.Get("/health")), "200 ");
  EXPECT_FALSE(master_.Get("/health").headers.Has("Content-Type"));
  EXPECT_EQ(AnswerTo(master_.Get("/nothing")), "404 404 Not Found.");
  EXPECT_EQ(AnswerTo(master_.Get("/redirect/x")), "404 404 Not Found.");
  EXPECT_EQ(master_.Get("/flags").body,
            R"({"flags":{"port":"5050","quorum":"2"}})");
  EXPECT_EQ(Json("/version")["version"].AsString(), "1.12.0");
  http::Response redirect = master_.Get("/redirect");
  EXPECT_EQ(redirect.headers.Get("Location"), "//master1:5050");
  EXPECT_EQ(Json("/metrics/snapshot")["master/elected"].AsDouble(), 1);
  EXPECT_EQ(Json("/metrics/snapshot")["master/slaves_active"].AsDouble(-1), 0);
}

TEST_F(EndpointsTest, JsonpForOldPages) {
  http::Response response = master_.Get("/version?jsonp=a.b_1");
  EXPECT_EQ(response.headers.Get("Content-Type"), "text/javascript");
  EXPECT_TRUE(absl::StartsWith(response.body, R"(a.b_1({"build_date":)"));
  EXPECT_TRUE(absl::EndsWith(response.body, "})"));
  EXPECT_EQ(master_.Get("/version?jsonp=alert(1)//").status, 400);
}

TEST_F(EndpointsTest, StateOfAnEmptyCluster) {
  EXPECT_EQ(
      master_.Get("/state").body,
      R"({"version":"1.12.0","build_date":"2026-11-21 00:00:00 UTC",)"
      R"("build_time":1795219200.0,"build_user":"quorate",)"
      R"("start_time":1795232281.0,"elected_time":1795232281.0,"id":"M1",)"
      R"("pid":"master@10.0.0.1:5050","hostname":"master1","capabilities":[],)"
      R"("activated_slaves":0.0,"deactivated_slaves":0.0,)"
      R"("unreachable_slaves":0.0,"leader":"master@10.0.0.1:5050",)"
      R"("leader_info":{"id":"M1","pid":"master@10.0.0.1:5050","port":5050,)"
      R"("hostname":"master1"},"cluster":"test",)"
      R"("flags":{"port":"5050","quorum":"2"},"slaves":[],)"
      R"("recovered_slaves":[],"frameworks":[],"completed_frameworks":[],)"
      R"("orphan_tasks":[],"unregistered_frameworks":[]})");
}

class RunningTaskTest : public EndpointsTest {
 protected:
  RunningTaskTest() {
    EXPECT_TRUE(
        ParseAttributes("rack:a;level:10", agent_.info.mutable_attributes())
            .ok());
    agent_.Register("cpus:2;mem:1024;disk:1024;ports:[31000-32000]");
    framework_.info.clear_capabilities();
    framework_.info.clear_roles();
    framework_.Subscribe();
    framework_.Launch(framework_.TakeOffers(), {"t"}, "cpus:0.1;mem:32");
    agent_.SendUpdate(framework_.id(), "t", mesos::v1::TASK_STARTING);
    agent_.SendUpdate(framework_.id(), "t", mesos::v1::TASK_RUNNING);
    agent_.SendUpdate(framework_.id(), "t", mesos::v1::TASK_RUNNING);
  }

  TestAgent agent_{master_, "10.0.0.2"};
  TestFramework framework_{master_};
};

constexpr char kAgentJson[] =
    R"({"id":"M1-S0","hostname":"host-10.0.0.2","port":5051,)"
    R"("attributes":{"level":10.0,"rack":"a"},)"
    R"x("pid":"slave(1)@10.0.0.2:5051","registered_time":1795232281.0,)x"
    R"("resources":{"disk":1024.0,"mem":1024.0,"gpus":0.0,"cpus":2.0,)"
    R"("ports":"[31000-32000]"},)"
    R"("used_resources":{"disk":0.0,"mem":32.0,"gpus":0.0,"cpus":0.1},)"
    R"("offered_resources":{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0},)"
    R"("reserved_resources":{},)"
    R"("unreserved_resources":{"disk":1024.0,"mem":1024.0,"gpus":0.0,)"
    R"("cpus":2.0,"ports":"[31000-32000]"},)"
    R"("active":true,"deactivated":false,"version":"1.12.0",)"
    R"("capabilities":[])";

constexpr char kTaskJson[] =
    R"({"id":"t","name":"t","framework_id":"M1-0000","executor_id":"",)"
    R"("slave_id":"M1-S0","state":"TASK_RUNNING",)"
    R"("resources":{"disk":0.0,"mem":32.0,"gpus":0.0,"cpus":0.1},)"
    R"("role":"*","statuses":[{"state":"TASK_STARTING","timestamp":0.0},)"
    R"({"state":"TASK_RUNNING","timestamp":0.0}]})";

constexpr char kFrameworkHead[] =
    R"({"id":"M1-0000","name":"test",)"
    R"("used_resources":{"disk":0.0,"mem":32.0,"gpus":0.0,"cpus":0.1},)"
    R"("offered_resources":{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0},)"
    R"("capabilities":[],"hostname":"","webui_url":"","active":true,)"
    R"("connected":true,"recovered":false)";

TEST_F(RunningTaskTest, Agents) {
  const std::string state = master_.Get("/state").body;
  EXPECT_TRUE(
      absl::StrContains(state, absl::StrCat(R"("slaves":[)", kAgentJson, "}]")))
      << state;
  const std::string agents = master_.Get("/slaves").body;
  EXPECT_TRUE(absl::StartsWith(
      agents, absl::StrCat(R"({"slaves":[)", kAgentJson,
                           R"(,"reserved_resources_full":{},)"
                           R"("unreserved_resources_full":[{"name":"cpus",)")))
      << agents;
  EXPECT_TRUE(absl::StrContains(
      agents,
      R"("used_resources_full":[{"name":"cpus","type":"SCALAR",)"
      R"("scalar":{"value":0.1},"role":"*","allocation_info":{"role":"*"}},)"))
      << agents;
  EXPECT_EQ(master_.Get("/slaves?slave_id=other").body,
            R"({"slaves":[],"recovered_slaves":[]})");
}

TEST_F(RunningTaskTest, Frameworks) {
  const std::string expected = absl::StrCat(
      R"({"frameworks":[)", kFrameworkHead,
      R"(,"user":"root","failover_timeout":0.0,"checkpoint":false,)"
      R"("registered_time":1795232281.0,"unregistered_time":0.0,)"
      R"("resources":{"disk":0.0,"mem":32.0,"gpus":0.0,"cpus":0.1},)"
      R"("role":"*","tasks":[)",
      kTaskJson,
      R"(],"unreachable_tasks":[],"completed_tasks":[],"offers":[],)"
      R"("executors":[],"offer_constraints":{}}],"completed_frameworks":[],)"
      R"("unregistered_frameworks":[]})");
  EXPECT_EQ(master_.Get("/frameworks").body, expected);
  EXPECT_EQ(master_.Get("/master/frameworks/?framework_id=M1-0000").body,
            expected);
  EXPECT_TRUE(Json("/frameworks?framework_id=x")["frameworks"].items().empty());
}

TEST_F(RunningTaskTest, Tasks) {
  const std::string all = absl::StrCat(R"({"tasks":[)", kTaskJson, "]}");
  const std::string none = R"({"tasks":[]})";
  EXPECT_EQ(master_.Get("/tasks").body, all);
  EXPECT_EQ(master_.Get("/master/tasks.json").body, all);
  EXPECT_EQ(master_.Get("/tasks?limit=-1&task_id=t&framework_id=M1-0000").body,
            all);
  for (const char* query :
       {"limit=0", "offset=1", "task_id=x", "framework_id=x"}) {
    EXPECT_EQ(master_.Get(absl::StrCat("/tasks?", query)).body, none) << query;
  }
  for (const char* query : {"limit=x", "offset=1.5", "order=up"}) {
    EXPECT_EQ(master_.Get(absl::StrCat("/tasks?", query)).status, 400) << query;
  }
}

TEST_F(RunningTaskTest, StateSummary) {
  const std::string counts =
      R"("TASK_STAGING":0,"TASK_STARTING":0,"TASK_RUNNING":1,)"
      R"("TASK_KILLING":0,"TASK_FINISHED":0,"TASK_KILLED":0,"TASK_FAILED":0,)"
      R"("TASK_LOST":0,"TASK_ERROR":0,"TASK_UNREACHABLE":0)";
  EXPECT_EQ(master_.Get("/state-summary").body,
            absl::StrCat(R"({"hostname":"master1","cluster":"test","slaves":[)",
                         kAgentJson, ",", counts,
                         R"(,"framework_ids":["M1-0000"]}],"frameworks":[)",
                         kFrameworkHead, ",", counts,
                         R"(,"slave_ids":["M1-S0"]}]})"));
}

TEST_F(RunningTaskTest, Metrics) {
  const json::Value metrics = Json("/metrics/snapshot");
  EXPECT_EQ(metrics["master/tasks_running"].AsDouble(), 1);
  EXPECT_EQ(metrics["master/cpus_used"].AsDouble(), 0.1);
  EXPECT_EQ(metrics["master/cpus_percent"].AsDouble(), 0.05);
  EXPECT_EQ(metrics["master/slaves_active"].AsDouble(), 1);
  EXPECT_EQ(metrics["master/valid_status_updates"].AsDouble(), 3);
  EXPECT_EQ(metrics["master/slave_registrations"].AsDouble(), 1);
}

TEST_F(RunningTaskTest, Teardown) {
  EXPECT_EQ(AnswerTo(master_.Get("/teardown")),
            "405 405 Method Not Allowed. Expecting one of { 'POST' }, but "
            "received 'GET'.");
  EXPECT_EQ(AnswerTo(master_.Post("/teardown", "frameworkId=nope", {})),
            "400 No framework found with specified ID");
  EXPECT_EQ(master_.Post("/teardown", "", {}).status, 400);
  EXPECT_EQ(AnswerTo(master_.Post("/teardown", "frameworkId=M1-0000", {})),
            "200 ");
  EXPECT_TRUE(framework_.closed());
  EXPECT_EQ(Json("/frameworks")["completed_frameworks"][0]["completed_tasks"][0]
                               ["state"]
                                   .AsString(),
            "TASK_KILLED");
}

// The operator API.

TEST_F(EndpointsTest, BadOperatorCalls) {
  EXPECT_EQ(Call("{bad"),
            "400 Failed to parse body into JSON: syntax error at line 1 near: "
            "bad");
  EXPECT_EQ(Call("[]"),
            "400 Failed to convert JSON into Call protobuf: Expecting a JSON "
            "object");
  EXPECT_EQ(Call("{}"),
            "400 Failed to validate master::Call: Expecting 'type' to be "
            "present");
  EXPECT_EQ(CallType("NONSENSE"),
            "400 Failed to validate master::Call: Expecting 'type' to be "
            "present");
  EXPECT_EQ(CallType("READ_FILE"),
            "400 Failed to validate master::Call: Expecting 'read_file' to be "
            "present");
  EXPECT_EQ(CallType("GET_METRICS"),
            "400 Failed to validate master::Call: Expecting 'get_metrics' to "
            "be present");
  EXPECT_EQ(AnswerTo(master_.Post("/api/v1", R"({"type":"GET_HEALTH"})",
                                  {{"Content-Type", "application/json"},
                                   {"Accept", "text/html"}})),
            "406 Expecting 'Accept' to allow 'application/x-protobuf' or "
            "'application/json'");
  EXPECT_TRUE(absl::StartsWith(CallType("GET_QUOTA"), "501 "));
  EXPECT_TRUE(absl::StartsWith(CallType("UNKNOWN"), "501 "));
}

TEST_F(EndpointsTest, OperatorCalls) {
  EXPECT_EQ(Call(R"({"type":"GET_HEALTH","extra":{}})"),
            R"(200 {"type":"GET_HEALTH","get_health":{"healthy":true}})");
  EXPECT_EQ(CallType("GET_FLAGS"),
            R"(200 {"type":"GET_FLAGS","get_flags":{"flags":[{"name":"port",)"
            R"("value":"5050"},{"name":"quorum","value":"2"}]}})");
  EXPECT_TRUE(
      absl::StrContains(Call(R"({"type":"GET_METRICS","get_metrics":{}})"),
                        R"({"name":"master/elected","value":1.0})"));
  EXPECT_EQ(CallType("GET_OPERATIONS"),
            R"(200 {"type":"GET_OPERATIONS","get_operations":{}})");
  EXPECT_EQ(Call(R"({"type":"LIST_FILES","list_files":{"path":"/x"}})"),
            "404 ");
  EXPECT_EQ(
      Call(R"({"type":"TEARDOWN","teardown":{"framework_id":{"value":"x"}}})"),
      "400 No framework found with specified ID");
}

TEST_F(EndpointsTest, OperatorCallsInProtobuf) {
  mesos::v1::master::Call call;
  call.set_type(mesos::v1::master::Call::GET_HEALTH);
  http::Response response =
      master_.Post("/api/v1", call.SerializeAsString(),
                   {{"Content-Type", "application/x-protobuf"},
                    {"Accept", "application/x-protobuf"}});
  EXPECT_EQ(response.headers.Get("Content-Type"), "application/x-protobuf");
  mesos::v1::master::Response parsed;
  ASSERT_TRUE(parsed.ParseFromString(response.body));
  EXPECT_TRUE(parsed.get_health().healthy());
}

TEST_F(RunningTaskTest, OperatorViews) {
  EXPECT_TRUE(absl::StrContains(
      CallType("GET_AGENTS"),
      R"x("active":true,"deactivated":false,"version":"1.12.0",)x"
      R"x("pid":"slave(1)@10.0.0.2:5051","registered_time":)x"
      R"x({"nanoseconds":1795232281000000000},)x"
      R"x("total_resources":[{"name":"cpus","type":"SCALAR",)x"
      R"x("scalar":{"value":2.0},"role":"*"},)x"))
      << CallType("GET_AGENTS");
  EXPECT_TRUE(
      absl::StrContains(CallType("GET_FRAMEWORKS"),
                        R"("active":true,"connected":true,"recovered":false)"));
  EXPECT_TRUE(absl::StrContains(
      CallType("GET_TASKS"),
      R"({"type":"GET_TASKS","get_tasks":{"tasks":[{"name":"t",)"
      R"("task_id":{"value":"t"},"framework_id":{"value":"M1-0000"},)"
      R"("agent_id":{"value":"M1-S0"},"state":"TASK_RUNNING",)"));
  EXPECT_TRUE(
      absl::StrContains(CallType("GET_STATE"), R"("get_agents":{"agents":[)"));
  EXPECT_EQ(CallType("GET_EXECUTORS"),
            R"(200 {"type":"GET_EXECUTORS","get_executors":{"executors":[]}})");
}

}  // namespace
}  // namespace quorate::master
