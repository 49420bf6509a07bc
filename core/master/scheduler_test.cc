// Frameworks: the scheduler API from SUBSCRIBE to TEARDOWN.

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/json.h"
#include "core/master/limits.h"
#include "core/master/testing/harness.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using std::chrono::seconds;
using testing::Harness;
using testing::TestAgent;
using testing::TestFramework;
using wire::AgentMessage;
using Call = TestFramework::Call;
using Event = TestFramework::Event;

constexpr char kPath[] = "/api/v1/scheduler";

std::string AnswerTo(const http::Response& response) {
  return absl::StrCat(response.status, " ", response.body);
}

class SchedulerTest : public ::testing::Test {
 protected:
  std::string Post(const std::string& body, http::Headers headers) {
    return AnswerTo(master_.Post(kPath, body, std::move(headers)));
  }
  std::string Post(const std::string& body) {
    return Post(body, {{"Content-Type", "application/json"}});
  }

  Harness master_;
};

// The texts that existing clients see for bad input.

TEST_F(SchedulerTest, RefusesWhatIsNotACall) {
  EXPECT_EQ(AnswerTo(master_.Get(kPath)),
            "405 405 Method Not Allowed. Expecting one of { 'POST' }, but "
            "received 'GET'.");
  EXPECT_EQ(Post("{}", {}), "400 Expecting 'Content-Type' to be present");
  EXPECT_EQ(Post("{}", {{"Content-Type", "text/plain"}}),
            "415 Expecting 'Content-Type' of application/json or "
            "application/x-protobuf");
  EXPECT_EQ(Post("{bad"),
            "400 Failed to parse body into JSON: syntax error at line 1 near: "
            "bad");
  EXPECT_EQ(
      Post(""),
      "400 Failed to parse body into JSON: syntax error at line 1 near: ");
  EXPECT_EQ(Post("\xff\xff", {{"Content-Type", "application/x-protobuf"}}),
            "400 Failed to parse body into Call protobuf");
}

TEST_F(SchedulerTest, RefusesIncompleteCalls) {
  const std::string prefix = "400 Failed to validate scheduler::Call: ";
  EXPECT_EQ(Post("{}"), prefix + "Expecting 'type' to be present");
  EXPECT_EQ(Post(R"({"type":"NONSENSE"})"),
            prefix + "Expecting 'type' to be present");
  EXPECT_EQ(Post(R"({"type":"REVIVE"})"),
            prefix + "Expecting 'framework_id' to be present");
  EXPECT_EQ(Post(R"({"type":"SUBSCRIBE"})"),
            prefix + "Expecting 'subscribe' to be present");
  EXPECT_EQ(
      Post(R"({"type":"SUBSCRIBE","framework_id":{"value":"x"},)"
           R"("subscribe":{"framework_info":{"user":"u","name":"n"}}})"),
      prefix + "'framework_id' differs from 'subscribe.framework_info.id'");
  EXPECT_EQ(Post(R"({"type":"SUBSCRIBE",)"
                 R"("subscribe":{"framework_info":{"name":"n"}}})"),
            "400 Failed to convert JSON into Call protobuf: Missing required "
            "fields: subscribe.framework_info.user");
}

TEST_F(SchedulerTest, EachCallNeedsItsBody) {
  const std::pair<const char*, const char*> bodies[] = {
      {"ACCEPT", "accept"},
      {"DECLINE", "decline"},
      {"ACCEPT_INVERSE_OFFERS", "accept_inverse_offers"},
      {"DECLINE_INVERSE_OFFERS", "decline_inverse_offers"},
      {"KILL", "kill"},
      {"SHUTDOWN", "shutdown"},
      {"ACKNOWLEDGE", "acknowledge"},
      {"ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status"},
      {"RECONCILE", "reconcile"},
      {"RECONCILE_OPERATIONS", "reconcile_operations"},
      {"MESSAGE", "message"},
      {"REQUEST", "request"},
      {"UPDATE_FRAMEWORK", "update_framework"},
  };
  for (const auto& [type, body] : bodies) {
    EXPECT_EQ(
        Post(absl::StrCat(R"({"type":")", type,
                          R"(","framework_id":{"value":"x"}})")),
        absl::StrCat("400 Failed to validate scheduler::Call: Expecting '",
                     body, "' to be present"));
  }
  EXPECT_EQ(Post(R"({"type":"ACKNOWLEDGE","framework_id":{"value":"x"},)"
                 R"("acknowledge":{"agent_id":{"value":"a"},)"
                 R"("task_id":{"value":"t"},"uuid":"YWJj"}})"),
            "400 Failed to validate scheduler::Call: Expecting 'uuid' to hold "
            "16 bytes, not 3");
}

TEST_F(SchedulerTest, SubscribeIsChecked) {
  const std::string call =
      R"({"type":"SUBSCRIBE","subscribe":{"framework_info":)"
      R"({"user":"u","name":"n"}}})";
  EXPECT_EQ(Post(call, {{"Content-Type", "application/json"},
                        {"Accept", "text/html"}}),
            "406 Expecting 'Accept' to allow 'application/x-protobuf' or "
            "'application/json'");
  EXPECT_EQ(Post(call, {{"Content-Type", "application/json"},
                        {"Mesos-Stream-Id", "x"}}),
            "400 Subscribe calls should not include the 'Mesos-Stream-Id' "
            "header");
}

TEST_F(SchedulerTest, CallsNeedTheFrameworksStream) {
  EXPECT_EQ(Post(R"({"type":"REVIVE","framework_id":{"value":"nobody"}})"),
            "400 Framework cannot be found");
  TestFramework framework(master_);
  framework.Subscribe();
  Call revive;
  revive.set_type(Call::REVIVE);
  EXPECT_EQ(AnswerTo(framework.Send(revive)), "202 ");
  const std::string stream_id = framework.stream_id;
  framework.stream_id = "";
  EXPECT_EQ(AnswerTo(framework.Send(revive)),
            "400 All non-subscribe calls should include the 'Mesos-Stream-Id' "
            "header");
  framework.stream_id = "not-a-uuid";
  EXPECT_EQ(AnswerTo(framework.Send(revive)),
            absl::StrCat("400 The stream ID 'not-a-uuid' included in this "
                         "request didn't match the stream ID currently "
                         "associated with framework ID ",
                         framework.id()));
  framework.info.set_failover_timeout(100);
  framework.Subscribe();
  framework.Disconnect();
  EXPECT_EQ(AnswerTo(framework.Send(revive)),
            "403 Framework is not subscribed");
}

// SUBSCRIBE.

TEST_F(SchedulerTest, SubscribedThenHeartbeatAtOnceAndInIntervals) {
  TestFramework framework(master_);
  http::Response response = framework.Subscribe();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.Get("Content-Type"), "application/json");
  EXPECT_EQ(framework.id(), "M1-0000");
  const std::string bytes = framework.TakeBytes();
  EXPECT_TRUE(absl::StartsWith(
      bytes,
      "266\n{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"framework_id\":{"
      "\"value\":\"M1-0000\"},\"heartbeat_interval_seconds\":15.0,"
      "\"master_info\":{\"id\":\"M1\""))
      << bytes;
  const std::string heartbeat = "20\n{\"type\":\"HEARTBEAT\"}";
  EXPECT_TRUE(absl::EndsWith(bytes, heartbeat)) << bytes;
  master_.Run(seconds(14));
  EXPECT_EQ(framework.TakeBytes(), "");
  master_.Run(seconds(1));
  EXPECT_EQ(framework.TakeBytes(), heartbeat);
}

TEST_F(SchedulerTest, BadFrameworksGetAnErrorEvent) {
  const auto error = [&](const std::string& info) {
    http::Response response = master_.Post(
        kPath, absl::StrCat(R"({"type":"SUBSCRIBE","subscribe":)"
                            R"({"framework_info":{"user":"u","name":"n",)",
                            info, "}}}"));
    EXPECT_EQ(response.status, 200);
    return response.body;
  };
  const std::string multi_role = R"("capabilities":[{"type":"MULTI_ROLE"}],)";
  EXPECT_EQ(
      error(multi_role + R"("roles":["/bad"])"),
      "121\n{\"type\":\"ERROR\",\"error\":{\"message\":"
      "\"'FrameworkInfo.roles' contains invalid role: Role '/bad' cannot start "
      "with a slash\"}}");
  for (const std::string& bad :
       {multi_role + R"("role":"eng")", multi_role + R"("roles":["a","a"])",
        std::string(R"("roles":["a"])"), std::string(R"("role":"a//b")"),
        std::string(R"("failover_timeout":-1)"),
        std::string(R"("failover_timeout":"NaN")"),
        std::string(R"("failover_timeout":1e300)")}) {
    EXPECT_TRUE(absl::StrContains(error(bad), R"({"type":"ERROR")")) << bad;
  }
  EXPECT_TRUE(master_.context().cluster.frameworks().empty());
}

TEST_F(SchedulerTest, AFrameworkOfARemovedIdIsRefused) {
  TestFramework framework(master_);
  framework.Subscribe();
  Call teardown;
  teardown.set_type(Call::TEARDOWN);
  EXPECT_EQ(AnswerTo(framework.Send(teardown)), "202 ");
  EXPECT_TRUE(framework.closed());
  EXPECT_EQ(AnswerTo(framework.Send(teardown)),
            "400 Framework cannot be found");
  framework.Subscribe();
  EXPECT_EQ(framework.TakeBytes(),
            "65\n{\"type\":\"ERROR\",\"error\":{\"message\":\"Framework has "
            "been removed\"}}");
  EXPECT_TRUE(framework.closed());
}

TEST_F(SchedulerTest, RootMayBeRefused) {
  Harness master({.root_submissions = false});
  TestFramework framework(master);
  framework.Subscribe();
  EXPECT_TRUE(absl::StrContains(framework.TakeBytes(), "User 'root'"));
}

TEST_F(SchedulerTest, TheLastSubscriberWins) {
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2;mem:64");
  TestFramework framework(master_);
  framework.info.set_checkpoint(true);
  framework.Subscribe();
  const std::vector<mesos::v1::Offer> offers = framework.TakeOffers();
  ASSERT_EQ(offers.size(), 1);

  TestFramework successor(master_);
  successor.info = framework.info;
  successor.info.set_name("renamed");
  successor.info.set_checkpoint(false);
  successor.info.set_user("other");
  successor.Subscribe();
  const std::vector<Event> events = framework.Take();
  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(events[0].error().message(), "Framework failed over");
  EXPECT_TRUE(framework.closed());
  EXPECT_EQ(successor.id(), framework.id());

  const Framework& known = *master_.context().cluster.FindFramework("M1-0000");
  EXPECT_EQ(known.info.name(), "renamed");
  EXPECT_TRUE(known.info.checkpoint());
  EXPECT_EQ(known.info.user(), "root");
  // The old offer is no more; what it held is offered anew.
  const std::vector<mesos::v1::Offer> anew = successor.TakeOffers();
  ASSERT_EQ(anew.size(), 1);
  EXPECT_NE(anew[0].id().value(), offers[0].id().value());

  successor.info.set_principal("else");
  successor.Subscribe();
  EXPECT_TRUE(absl::StrContains(successor.TakeBytes(), "principal"));
}

TEST_F(SchedulerTest, AnUnknownIdIsTakenAsItIs) {
  TestFramework framework(master_);
  framework.info.mutable_id()->set_value("M0-0007");
  framework.Subscribe();
  EXPECT_EQ(framework.Take().at(0).subscribed().framework_id().value(),
            "M0-0007");
}

TEST_F(SchedulerTest, IsRemovedWhenItDoesNotComeBack) {
  TestFramework framework(master_);
  framework.info.set_failover_timeout(10);
  framework.Subscribe();
  framework.Disconnect();
  master_.Run(seconds(9));
  framework.Subscribe();
  EXPECT_EQ(framework.Take().at(0).type(), Event::SUBSCRIBED);
  master_.Run(seconds(100));
  framework.Disconnect();
  master_.Run(seconds(10));
  EXPECT_NE(master_.context().cluster.FindCompleted(framework.id()), nullptr);
}

TEST_F(SchedulerTest, WithoutAFailoverTimeoutItIsRemovedAtOnce) {
  TestFramework framework(master_);
  framework.Subscribe();
  framework.Disconnect();
  EXPECT_NE(master_.context().cluster.FindCompleted(framework.id()), nullptr);
}

TEST_F(SchedulerTest, ASubscriberThatDoesNotReadIsDisconnected) {
  TestFramework framework(master_);
  framework.info.set_failover_timeout(1000);
  framework.Subscribe();
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2;mem:64");
  AgentMessage message;
  auto& to = *message.mutable_executor_message();
  to.mutable_framework_id()->set_value(framework.id());
  to.mutable_executor_id()->set_value("e");
  to.set_data(std::string(8 << 20, 'x'));
  for (size_t i = 0; i * (8 << 20) <= kMaxSubscriberQueueBytes; ++i) {
    agent.Send(message);
  }
  EXPECT_FALSE(
      master_.context().cluster.FindFramework(framework.id())->connected());
  EXPECT_TRUE(framework.closed());
}

TEST_F(SchedulerTest, CompletedFrameworksAreBounded) {
  Harness master({.max_completed_frameworks = 2});
  for (int i = 0; i < 5; ++i) {
    TestFramework framework(master);
    framework.Subscribe();
    framework.Disconnect();
  }
  EXPECT_EQ(master.context().cluster.completed_frameworks().size(), 2);
  EXPECT_EQ(master.context().cluster.FindCompleted("M1-0000"), nullptr);
}

// Offers.

TEST_F(SchedulerTest, AnOfferSaysWhereItComesFrom) {
  TestFramework framework(master_);
  framework.info.add_capabilities()->set_type(
      FrameworkInfo::Capability::RESERVATION_REFINEMENT);
  framework.Subscribe();
  framework.Take();
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2;ports:[1-9]");
  const std::vector<Event> events = framework.Take();
  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(
      api::MessageToJson(events[0]),
      R"~({"type":"OFFERS","offers":{"offers":[{"id":{"value":"M1-O0"},)~"
      R"~("framework_id":{"value":"M1-0000"},"agent_id":{"value":"M1-S0"},)~"
      R"~("hostname":"host-10.0.0.2","url":{"scheme":"http","address":)~"
      R"~({"hostname":"host-10.0.0.2","ip":"10.0.0.2","port":5051},)~"
      R"~("path":"/slave(1)"},"resources":[{"name":"cpus","type":"SCALAR",)~"
      R"~("scalar":{"value":2.0},"allocation_info":{"role":"*"}},)~"
      R"~({"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,)~"
      R"~("end":9}]},"allocation_info":{"role":"*"}}],)~"
      R"~("allocation_info":{"role":"*"}}]}})~");
}

TEST_F(SchedulerTest, OlderFrameworksGetOffersInTheOlderForm) {
  TestFramework framework(master_);
  framework.info.clear_capabilities();
  framework.info.clear_roles();
  framework.Subscribe();
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2");
  const std::vector<mesos::v1::Offer> offers = framework.TakeOffers();
  ASSERT_EQ(offers.size(), 1);
  EXPECT_FALSE(offers[0].has_allocation_info());
  EXPECT_EQ(api::MessageToJson(offers[0].resources(0)),
            R"({"name":"cpus","type":"SCALAR","scalar":{"value":2.0},)"
            R"("role":"*"})");
}

TEST_F(SchedulerTest, DeclineAndRevive) {
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2");
  TestFramework framework(master_);
  framework.Subscribe();
  std::vector<mesos::v1::Offer> offers = framework.TakeOffers();
  ASSERT_EQ(offers.size(), 1);
  Call decline;
  decline.set_type(Call::DECLINE);
  *decline.mutable_decline()->add_offer_ids() = offers[0].id();
  decline.mutable_decline()->add_offer_ids()->set_value("unknown");
  framework.Send(decline);
  master_.Run(seconds(4));
  EXPECT_TRUE(framework.TakeOffers().empty());
  master_.Run(seconds(1));
  offers = framework.TakeOffers();
  ASSERT_EQ(offers.size(), 1) << "the default refusal lasts 5 s";

  *decline.mutable_decline()->mutable_offer_ids(0) = offers[0].id();
  decline.mutable_decline()->mutable_filters()->set_refuse_seconds(1000);
  framework.Send(decline);
  master_.Run(seconds(50));
  EXPECT_TRUE(framework.TakeOffers().empty());
  Call revive;
  revive.set_type(Call::REVIVE);
  framework.Send(revive);
  EXPECT_EQ(framework.TakeOffers().size(), 1);
}

TEST_F(SchedulerTest, SuppressedRolesGetNothing) {
  TestFramework framework(master_);
  framework.suppressed_roles = {"*"};
  framework.Subscribe();
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2");
  EXPECT_TRUE(framework.TakeOffers().empty());
  Call revive;
  revive.set_type(Call::REVIVE);
  framework.Send(revive);
  EXPECT_EQ(framework.TakeOffers().size(), 1);
  Call suppress;
  suppress.set_type(Call::SUPPRESS);
  framework.Send(suppress);
  TestAgent second(master_, "10.0.0.3");
  second.Register("cpus:2");
  EXPECT_TRUE(framework.TakeOffers().empty());
}

TEST_F(SchedulerTest, OffersTimeOutWhenAskedTo) {
  Harness master({.offer_timeout = seconds(30)});
  TestFramework framework(master);
  framework.Subscribe();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  const std::vector<mesos::v1::Offer> offers = framework.TakeOffers();
  ASSERT_EQ(offers.size(), 1);
  master.Run(seconds(30));
  const std::vector<Event> events = framework.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].rescind().offer_id().value(), offers[0].id().value());
  EXPECT_EQ(events[1].type(), Event::OFFERS);
}

TEST_F(SchedulerTest, UpdateFrameworkRescindsOffersOfRolesThatAreGone) {
  TestAgent agent(master_, "10.0.0.2");
  agent.Register("cpus:2");
  TestFramework framework(master_);
  framework.Subscribe();
  ASSERT_EQ(framework.TakeOffers().size(), 1);
  Call update;
  update.set_type(Call::UPDATE_FRAMEWORK);
  *update.mutable_update_framework()->mutable_framework_info() = framework.info;
  update.mutable_update_framework()->mutable_framework_info()->set_roles(0,
                                                                         "eng");
  EXPECT_EQ(AnswerTo(framework.Send(update)), "200 ");
  const std::vector<Event> events = framework.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].type(), Event::RESCIND);
  EXPECT_EQ(events[1].offers().offers(0).allocation_info().role(), "eng");
  update.mutable_update_framework()->mutable_framework_info()->set_user("u");
  EXPECT_EQ(framework.Send(update).status, 400);
}

}  // namespace
}  // namespace quorate::master
