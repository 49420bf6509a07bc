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
using mesos::v1::TaskStatus;
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
      "226\n{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"framework_id\":{"
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

// Tasks.

class TasksTest : public SchedulerTest {
 protected:
  TasksTest() {
    agent_.Register("cpus:2;mem:128;ports:[1-9]");
    agent_.Take();
    framework_.Subscribe();
    offers_ = framework_.TakeOffers();
    EXPECT_EQ(offers_.size(), 1);
  }

  // Launches and reports as running.
  void Run(const std::string& task_id) {
    framework_.Launch(offers_, {task_id}, "cpus:1;mem:32");
    const std::string uuid =
        agent_.SendUpdate(framework_.id(), task_id, mesos::v1::TASK_RUNNING);
    agent_.Take();
    framework_.Take();
  }

  Call Reconcile(const std::string& task_id, const std::string& agent_id) {
    Call call;
    call.set_type(Call::RECONCILE);
    auto& task = *call.mutable_reconcile()->add_tasks();
    task.mutable_task_id()->set_value(task_id);
    if (!agent_id.empty()) task.mutable_agent_id()->set_value(agent_id);
    return call;
  }

  // The only update, as "STATE REASON message".
  std::string OnlyUpdate() {
    const std::vector<TaskStatus> updates = framework_.TakeUpdates();
    if (updates.size() != 1) return absl::StrCat(updates.size(), " updates");
    EXPECT_FALSE(updates[0].has_uuid());
    EXPECT_EQ(updates[0].source(), TaskStatus::SOURCE_MASTER);
    return absl::StrCat(mesos::v1::TaskState_Name(updates[0].state()), " ",
                        TaskStatus::Reason_Name(updates[0].reason()), " ",
                        updates[0].message());
  }

  const Framework& framework() {
    return *master_.context().cluster.FindFramework(framework_.id());
  }

  TestAgent agent_{master_, "10.0.0.2"};
  TestFramework framework_{master_};
  std::vector<mesos::v1::Offer> offers_;
};

TEST_F(TasksTest, FromLaunchToCompletion) {
  EXPECT_EQ(AnswerTo(framework_.Launch(offers_, {"t1"}, "cpus:0.5;mem:32")),
            "202 ");
  auto run = agent_.Next(AgentMessage::kRunTask);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->run_task().reign().epoch(), 42);
  EXPECT_EQ(run->run_task().framework_info().id().value(), framework_.id());
  EXPECT_EQ(run->run_task().task().resources(0).allocation_info().role(), "*");

  // The rest is refused for 5 s, then offered.
  EXPECT_TRUE(framework_.TakeOffers().empty());
  master_.Run(seconds(5));
  std::vector<mesos::v1::Offer> rest = framework_.TakeOffers();
  ASSERT_EQ(rest.size(), 1);
  EXPECT_EQ(Resources::FromProto(rest[0].resources())->Scalar("cpus"), 1.5);

  agent_.SendUpdate(framework_.id(), "t1", mesos::v1::TASK_RUNNING);
  std::vector<TaskStatus> updates = framework_.TakeUpdates();
  ASSERT_EQ(updates.size(), 1);
  EXPECT_EQ(updates[0].state(), mesos::v1::TASK_RUNNING);
  EXPECT_EQ(updates[0].agent_id().value(), agent_.id());
  EXPECT_EQ(updates[0].uuid().size(), 16);
  framework_.Acknowledge(updates[0]);
  auto acknowledged = agent_.Next(AgentMessage::kStatusUpdateAcknowledgement);
  ASSERT_TRUE(acknowledged);
  EXPECT_EQ(acknowledged->status_update_acknowledgement().uuid(),
            updates[0].uuid());
  EXPECT_EQ(framework().tasks.size(), 1);

  agent_.SendUpdate(framework_.id(), "t1", mesos::v1::TASK_FINISHED);
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].update().status().state(), mesos::v1::TASK_FINISHED);
  EXPECT_EQ(events[1].type(), Event::OFFERS) << "its resources are free";
  EXPECT_EQ(framework().tasks.size(), 1) << "until it is acknowledged";
  framework_.Acknowledge(events[0].update().status());
  EXPECT_TRUE(framework().tasks.empty());
  ASSERT_EQ(framework().completed_tasks.size(), 1);
  EXPECT_EQ(framework().completed_tasks[0].info.statuses_size(), 2);
}

TEST_F(TasksTest, OldAcknowledgementsDoNotComplete) {
  Run("t1");
  agent_.SendUpdate(framework_.id(), "t1", mesos::v1::TASK_FINISHED);
  TaskStatus status = framework_.TakeUpdates().at(0);
  status.set_uuid(std::string(16, 'x'));
  framework_.Acknowledge(status);
  EXPECT_EQ(framework().tasks.size(), 1);
}

TEST_F(TasksTest, TheNewestStateMayBeAheadOfTheForwardedOne) {
  Run("t1");
  AgentMessage message;
  auto& update = *message.mutable_status_update();
  update.mutable_framework_id()->set_value(framework_.id());
  update.mutable_status()->mutable_task_id()->set_value("t1");
  update.mutable_status()->set_state(mesos::v1::TASK_RUNNING);
  update.mutable_status()->set_uuid(std::string(16, 'u'));
  update.set_latest_state(mesos::v1::TASK_FAILED);
  agent_.Send(message);
  const Task& task = framework().tasks.at("t1");
  EXPECT_EQ(task.info.state(), mesos::v1::TASK_FAILED);
  framework_.Take();
  framework_.Send(Reconcile("t1", ""));
  EXPECT_EQ(OnlyUpdate(),
            "TASK_RUNNING REASON_RECONCILIATION Reconciliation: Latest task "
            "state");
}

TEST_F(TasksTest, InvalidOffersLoseTheTasks) {
  mesos::v1::Offer offer = offers_[0];
  offer.mutable_id()->set_value("nope");
  framework_.Launch({offers_[0], offer}, {"t2"}, "cpus:1");
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(api::MessageToJson(events[0]),
            R"({"type":"UPDATE","update":{"status":{"task_id":{"value":"t2"},)"
            R"("state":"TASK_LOST","message":"Task launched with invalid )"
            R"(offers: Offer nope is no longer valid","source":)"
            R"("SOURCE_MASTER","reason":"REASON_INVALID_OFFERS","agent_id":)"
            R"({"value":"M1-S0"},"timestamp":1795232281.0}}})");
  EXPECT_EQ(events[1].type(), Event::OFFERS) << "the valid one is discarded";
  framework_.Launch(offers_, {"t3"}, "cpus:1");
  EXPECT_TRUE(absl::StartsWith(OnlyUpdate(), "TASK_LOST")) << "it is used up";
}

TEST_F(TasksTest, OffersMustAgree) {
  TestAgent other(master_, "10.0.0.3");
  other.Register("cpus:2");
  const mesos::v1::Offer second = framework_.TakeOffers().at(0);
  framework_.Launch({offers_[0], second}, {"t"}, "cpus:1");
  EXPECT_TRUE(absl::StrContains(OnlyUpdate(), "more than one agent"));
  offers_ = framework_.TakeOffers();
  framework_.Launch({second, second}, {"t"}, "cpus:1");
  EXPECT_TRUE(absl::StrContains(OnlyUpdate(), "no longer valid"));
}

TEST_F(TasksTest, AFrameworkCannotTakeAnothersOffer) {
  TestFramework thief(master_);
  thief.Subscribe();
  thief.Take();
  thief.Launch(offers_, {"t"}, "cpus:1");
  const std::vector<TaskStatus> updates = thief.TakeUpdates();
  ASSERT_EQ(updates.size(), 1);
  EXPECT_EQ(updates[0].reason(), TaskStatus::REASON_INVALID_OFFERS);
  framework_.Launch(offers_, {"mine"}, "cpus:1");
  EXPECT_TRUE(agent_.Next(AgentMessage::kRunTask));
}

TEST_F(TasksTest, BadTasksAreErrors) {
  Call call;
  call.set_type(Call::ACCEPT);
  *call.mutable_accept()->add_offer_ids() = offers_[0].id();
  auto& operation = *call.mutable_accept()->add_operations();
  operation.set_type(mesos::v1::Offer::Operation::LAUNCH);
  auto& tasks = *operation.mutable_launch()->mutable_task_infos();
  const auto add = [&](const std::string& id, const std::string& resources) {
    return tasks.Add(framework_.MakeTask(offers_[0], id, resources)),
           &tasks[tasks.size() - 1];
  };
  add("good", "cpus:1;ports:[1-3]");
  add("good", "cpus:0.1");  // The same id.
  add("a/b", "cpus:0.1");   // A path.
  add("..", "cpus:0.1");
  add(std::string(256, 'x'), "cpus:0.1");
  add("large", "cpus:1.5");             // 1 is left.
  add("port", "cpus:0.1;ports:[3-3]");  // Taken.
  add("nothing", "");
  add("elsewhere", "cpus:0.1")->mutable_agent_id()->set_value("M1-S9");
  add("empty", "cpus:0.1")->clear_command();
  add("both", "cpus:0.1")
      ->mutable_executor()
      ->mutable_executor_id()
      ->set_value("e");
  add("negative", "cpus:0.1")
      ->mutable_resources(0)
      ->mutable_scalar()
      ->set_value(-1);
  add("marked", "cpus:0.1")
      ->mutable_resources(0)
      ->mutable_allocation_info()
      ->set_role("eng");
  framework_.Send(call);
  const std::vector<TaskStatus> updates = framework_.TakeUpdates();
  EXPECT_EQ(updates.size(), 12);
  for (const TaskStatus& status : updates) {
    EXPECT_EQ(status.state(), mesos::v1::TASK_ERROR) << status.message();
    EXPECT_EQ(status.reason(), TaskStatus::REASON_TASK_INVALID);
    EXPECT_FALSE(status.has_uuid());
  }
  EXPECT_TRUE(agent_.Next(AgentMessage::kRunTask));
  EXPECT_FALSE(agent_.Next(AgentMessage::kRunTask));
  EXPECT_EQ(framework().tasks.size(), 1);
}

TEST_F(TasksTest, WhatIsNotSupportedIsRefusedAloud) {
  Call call;
  call.set_type(Call::ACCEPT);
  *call.mutable_accept()->add_offer_ids() = offers_[0].id();
  auto& reserve = *call.mutable_accept()->add_operations();
  reserve.set_type(mesos::v1::Offer::Operation::RESERVE);
  reserve.mutable_id()->set_value("op1");
  auto& group = *call.mutable_accept()->add_operations();
  group.set_type(mesos::v1::Offer::Operation::LAUNCH_GROUP);
  group.mutable_launch_group()
      ->mutable_executor()
      ->mutable_executor_id()
      ->set_value("e");
  *group.mutable_launch_group()->mutable_task_group()->add_tasks() =
      framework_.MakeTask(offers_[0], "t", "cpus:1");
  framework_.Send(call);
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].update_operation_status().status().state(),
            mesos::v1::OPERATION_ERROR);
  EXPECT_EQ(events[1].update().status().reason(),
            TaskStatus::REASON_TASK_GROUP_INVALID);
}

TEST_F(TasksTest, ExecutorsAreChargedOnceAndShared) {
  Call call;
  call.set_type(Call::ACCEPT);
  *call.mutable_accept()->add_offer_ids() = offers_[0].id();
  auto& operation = *call.mutable_accept()->add_operations();
  operation.set_type(mesos::v1::Offer::Operation::LAUNCH);
  for (const char* id : {"t1", "t2"}) {
    mesos::v1::TaskInfo& task = *operation.mutable_launch()->add_task_infos();
    task = framework_.MakeTask(offers_[0], id, "cpus:0.5");
    task.clear_command();
    task.mutable_executor()->mutable_executor_id()->set_value("e");
    task.mutable_executor()->mutable_command()->set_value("run");
    Resources::ParseText("cpus:1;mem:32")
        ->ToProto(task.mutable_executor()->mutable_resources());
  }
  framework_.Send(call);
  EXPECT_TRUE(framework_.TakeUpdates().empty());
  const Agent& agent = *master_.context().cluster.FindAgent(agent_.id());
  EXPECT_EQ(agent.used.ToText(), "cpus:2;mem:32");

  AgentMessage exited;
  exited.mutable_executor_exited()->mutable_framework_id()->set_value(
      framework_.id());
  exited.mutable_executor_exited()->mutable_executor_id()->set_value("e");
  exited.mutable_executor_exited()->set_wait_status(256);
  agent_.Send(exited);
  const Event failure = framework_.Take().at(0);
  EXPECT_EQ(api::MessageToJson(failure),
            R"({"type":"FAILURE","failure":{"agent_id":{"value":"M1-S0"},)"
            R"("executor_id":{"value":"e"},"status":256}})");
  EXPECT_EQ(agent.used.ToText(), "cpus:1");
}

TEST_F(TasksTest, KillGoesToTheAgent) {
  Run("t1");
  Call kill;
  kill.set_type(Call::KILL);
  kill.mutable_kill()->mutable_task_id()->set_value("t1");
  kill.mutable_kill()->mutable_agent_id()->set_value("M1-S9");
  framework_.Send(kill);
  EXPECT_FALSE(agent_.Next(AgentMessage::kKillTask)) << "another agent";
  kill.mutable_kill()->clear_agent_id();
  kill.mutable_kill()
      ->mutable_kill_policy()
      ->mutable_grace_period()
      ->set_nanoseconds(7);
  framework_.Send(kill);
  auto message = agent_.Next(AgentMessage::kKillTask);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kill_task().kill_policy().grace_period().nanoseconds(), 7);
}

TEST_F(TasksTest, KillOfAnUnknownTaskIsReconciled) {
  Call kill;
  kill.set_type(Call::KILL);
  kill.mutable_kill()->mutable_task_id()->set_value("zz");
  framework_.Send(kill);
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(api::MessageToJson(events[0]),
            R"({"type":"UPDATE","update":{"status":{"task_id":{"value":"zz"},)"
            R"("state":"TASK_LOST","message":"Reconciliation: Task is )"
            R"(unknown","source":"SOURCE_MASTER","reason":)"
            R"("REASON_RECONCILIATION","timestamp":1795232281.0}}})");
}

TEST_F(TasksTest, Reconciliation) {
  Run("t1");
  Call implicit;
  implicit.set_type(Call::RECONCILE);
  implicit.mutable_reconcile();
  framework_.Send(implicit);
  const std::string latest =
      "TASK_RUNNING REASON_RECONCILIATION Reconciliation: Latest task state";
  EXPECT_EQ(OnlyUpdate(), latest);
  framework_.Send(Reconcile("t1", ""));
  EXPECT_EQ(OnlyUpdate(), latest);
  framework_.Send(Reconcile("other", agent_.id()));
  EXPECT_EQ(OnlyUpdate(),
            "TASK_LOST REASON_RECONCILIATION Reconciliation: Task is gone");
  framework_.info.add_capabilities()->set_type(
      FrameworkInfo::Capability::PARTITION_AWARE);
  framework_.Subscribe();
  framework_.Take();
  framework_.Send(Reconcile("other", agent_.id()));
  EXPECT_EQ(OnlyUpdate(),
            "TASK_GONE REASON_RECONCILIATION Reconciliation: Task is gone");
  framework_.Send(Reconcile("other", "M0-S7"));
  EXPECT_EQ(
      OnlyUpdate(),
      "TASK_UNKNOWN REASON_RECONCILIATION Reconciliation: Task is unknown");
}

TEST_F(TasksTest, TeardownKillsEverything) {
  Run("t1");
  Call teardown;
  teardown.set_type(Call::TEARDOWN);
  framework_.Send(teardown);
  auto message = agent_.Next(AgentMessage::kShutdownFramework);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->shutdown_framework().framework_id().value(),
            framework_.id());
  const Framework& completed =
      *master_.context().cluster.FindCompleted(framework_.id());
  ASSERT_EQ(completed.completed_tasks.size(), 1);
  const mesos::v1::Task& task = completed.completed_tasks[0].info;
  EXPECT_EQ(task.state(), mesos::v1::TASK_KILLED);
  EXPECT_EQ(task.statuses().rbegin()->message(), "Framework M1-0000 removed");
  EXPECT_TRUE(master_.context().cluster.FindAgent(agent_.id())->used.empty());
}

TEST_F(TasksTest, CompletedFrameworksAndTasksAreBounded) {
  Harness master({.max_completed_frameworks = 2});
  for (int i = 0; i < 5; ++i) {
    TestFramework framework(master);
    framework.Subscribe();
    framework.Disconnect();
  }
  EXPECT_EQ(master.context().cluster.completed_frameworks().size(), 2);
  EXPECT_EQ(master.context().cluster.FindCompleted("M1-0000"), nullptr);
}

TEST_F(TasksTest, MessagesPassThrough) {
  Call call;
  call.set_type(Call::MESSAGE);
  *call.mutable_message()->mutable_agent_id() = agent_.info.id();
  call.mutable_message()->mutable_executor_id()->set_value("e");
  call.mutable_message()->set_data("hi");
  framework_.Send(call);
  auto message = agent_.Next(AgentMessage::kFrameworkMessage);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->framework_message().data(), "hi");
  AgentMessage back;
  *back.mutable_executor_message() = message->framework_message();
  agent_.Send(back);
  EXPECT_EQ(framework_.Take().at(0).message().data(), "hi");

  Call shutdown;
  shutdown.set_type(Call::SHUTDOWN);
  *shutdown.mutable_shutdown()->mutable_agent_id() = agent_.info.id();
  shutdown.mutable_shutdown()->mutable_executor_id()->set_value("e");
  framework_.Send(shutdown);
  EXPECT_TRUE(agent_.Next(AgentMessage::kShutdownExecutor));
}

}  // namespace
}  // namespace quorate::master
