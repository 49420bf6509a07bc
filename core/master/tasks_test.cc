// Tasks, from ACCEPT to the last acknowledgement.

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/json.h"
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

std::string AnswerTo(const http::Response& response) {
  return absl::StrCat(response.status, " ", response.body);
}

class TasksTest : public ::testing::Test {
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

  Harness master_;
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
  std::string many = "cpus:0.1;ports:[1-1";
  for (int port = 3; port < 20000; port += 2) {
    absl::StrAppend(&many, ",", port, "-", port);
  }
  add("many", many + "]");
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
  EXPECT_EQ(updates.size(), 13);
  for (const TaskStatus& status : updates) {
    EXPECT_EQ(status.state(), mesos::v1::TASK_ERROR) << status.message();
    EXPECT_EQ(status.reason(), TaskStatus::REASON_TASK_INVALID);
    EXPECT_FALSE(status.has_uuid());
    EXPECT_LT(status.message().size(), 1000);
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

TEST_F(TasksTest, CompletedTasksAreBounded) {
  Harness master({.max_completed_tasks_per_framework = 2});
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  TestFramework framework(master);
  framework.Subscribe();
  for (const char* id : {"t1", "t2", "t3"}) {
    framework.Launch(framework.TakeOffers(), {id}, "cpus:1");
    agent.SendUpdate(framework.id(), id, mesos::v1::TASK_FINISHED);
    master.Run(seconds(5));
    const std::vector<Event> events = framework.Take();
    ASSERT_FALSE(events.empty());
    framework.Acknowledge(events[0].update().status());
    // Its offers, again.
    framework.Subscribe();
  }
  const Framework& known =
      *master.context().cluster.FindFramework(framework.id());
  ASSERT_EQ(known.completed_tasks.size(), 2);
  EXPECT_EQ(known.completed_tasks[0].id(), "t2");
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
