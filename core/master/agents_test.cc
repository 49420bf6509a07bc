// Agents: registered, lost, back again, and what frameworks hear of it.

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/master/testing/harness.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Harness;
using testing::TestAgent;
using testing::TestFramework;
using wire::AgentMessage;
using Call = TestFramework::Call;
using Event = TestFramework::Event;

Call Reconcile(const std::string& task_id, const std::string& agent_id) {
  Call call;
  call.set_type(Call::RECONCILE);
  auto& task = *call.mutable_reconcile()->add_tasks();
  task.mutable_task_id()->set_value(task_id);
  if (!agent_id.empty()) task.mutable_agent_id()->set_value(agent_id);
  return call;
}

Call Kill(const std::string& task_id) {
  Call call;
  call.set_type(Call::KILL);
  call.mutable_kill()->mutable_task_id()->set_value(task_id);
  return call;
}

TEST(RegistrationTest, TheRegistryComesFirst) {
  Harness master;
  master.registry().Hold();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  // Impatient.
  agent.Register("cpus:2");
  master.Run(seconds(1));
  EXPECT_TRUE(agent.Take().empty());
  master.registry().Release();
  master.Run();
  auto message = agent.Next(AgentMessage::kAgentRegistered);
  ASSERT_TRUE(message);
  const wire::AgentRegistered& registered = message->agent_registered();
  EXPECT_EQ(registered.agent_id().value(), "M1-S0");
  EXPECT_EQ(registered.reign().cluster_id(), "0123456789abcdef");
  EXPECT_EQ(registered.reign().epoch(), 42);
  EXPECT_EQ(registered.ping_timeout_ns(), 75'000'000'000);
  EXPECT_EQ(master.registry().state().admitted().count("M1-S0"), 1);
  EXPECT_EQ(master.registry().state().admitted().size(), 1);

  agent.Take();
  agent.Register("cpus:2");
  message = agent.Next(AgentMessage::kAgentRegistered);
  ASSERT_TRUE(message) << "the answer is repeated";
  EXPECT_EQ(message->agent_registered().agent_id().value(), "M1-S0");
}

TEST(RegistrationTest, AnIdThatNobodyHeardOfIsForgotten) {
  Harness master;
  master.registry().Hold();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  agent.Break();
  master.registry().Release();
  master.Run();
  EXPECT_TRUE(master.registry().state().admitted().empty());
  EXPECT_TRUE(master.context().cluster.agents().empty());
}

TEST(RegistrationTest, TheNewestLinkIsAnswered) {
  Harness master;
  master.registry().Hold();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  agent.Break();
  agent.Register("cpus:2");
  master.registry().Release();
  master.Run();
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentRegistered));
  EXPECT_EQ(master.registry().state().admitted().size(), 1);
}

TEST(RegistrationTest, WhoRegistersAnewReplacesTheFormerAgent) {
  Harness master;
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  TestFramework framework(master);
  framework.Subscribe();
  framework.Launch(framework.TakeOffers(), {"t"}, "cpus:1");
  // It has lost its memory, and its old connection has not broken yet.
  agent.Connect();
  agent.Register("cpus:2");
  EXPECT_EQ(agent.id(), "M1-S1");
  EXPECT_EQ(master.context().cluster.agents().size(), 1);
  EXPECT_EQ(master.registry().state().admitted().count("M1-S0"), 0);
  const std::vector<Event> events = framework.Take();
  ASSERT_EQ(events.size(), 3);
  EXPECT_EQ(events[0].update().status().state(), mesos::v1::TASK_LOST);
  EXPECT_EQ(events[0].update().status().reason(),
            TaskStatus::REASON_AGENT_REMOVED);
  EXPECT_EQ(events[1].failure().agent_id().value(), "M1-S0");
  EXPECT_EQ(events[2].type(), Event::OFFERS);
}

TEST(RegistrationTest, BadAgentsAreToldToShutDown) {
  Harness master;
  TestAgent agent(master, "10.0.0.2");
  agent.info.add_resources()->set_name("cpus");
  agent.info.mutable_resources(0)->set_type(mesos::v1::Value::SCALAR);
  agent.info.mutable_resources(0)->mutable_scalar()->set_value(-1);
  AgentMessage message;
  *message.mutable_register_agent()->mutable_agent_info() = agent.info;
  message.mutable_register_agent()->set_version("1.12.0");
  agent.Connect();
  agent.Send(message);
  EXPECT_TRUE(agent.Next(AgentMessage::kShutdownAgent));

  // Agents of another age are ignored.
  message.mutable_register_agent()->mutable_agent_info()->clear_resources();
  message.mutable_register_agent()->set_version("0.28.0");
  agent.Send(message);
  EXPECT_TRUE(agent.Take().empty());
  EXPECT_TRUE(master.registry().state().admitted().empty());
}

TEST(RegistrationTest, StrangersAreNotListenedTo) {
  Harness master;
  TestAgent agent(master, "10.0.0.2");
  agent.Connect();
  agent.SendPong();
  agent.SendUpdate("f", "t", mesos::v1::TASK_RUNNING);
  EXPECT_TRUE(agent.connected());
  EXPECT_TRUE(agent.Take().empty());
}

// An agent with one running task, of a framework that checkpoints.
class AgentsTest : public ::testing::Test {
 protected:
  void SetUp() override { Begin(); }

  void Begin() {
    framework_.info.set_checkpoint(true);
    framework_.info.set_failover_timeout(1e6);
    framework_.Subscribe();
    agent_.Register("cpus:2;mem:128");
    framework_.Launch(framework_.TakeOffers(), {"t"}, "cpus:1");
    agent_.SendUpdate(framework_.id(), "t", mesos::v1::TASK_RUNNING);
    const auto run = agent_.Next(AgentMessage::kRunTask);
    ASSERT_TRUE(run);
    *agent_.listing.add_frameworks() = run->run_task().framework_info();
    wire::AgentTask& task = *agent_.listing.add_tasks();
    *task.mutable_framework_id() = framework_.info.id();
    *task.mutable_task_info() = run->run_task().task();
    task.set_state(mesos::v1::TASK_RUNNING);
    agent_.Take();
    framework_.Take();
  }

  void MakePartitionAware() {
    framework_.info.add_capabilities()->set_type(
        FrameworkInfo::Capability::PARTITION_AWARE);
    framework_.Subscribe();
    framework_.Take();
  }

  // Time passes, and the agent answers pings.
  void Live(seconds time) {
    for (seconds i{0}; i < time; ++i) {
      master_.Run(seconds(1));
      if (agent_.connected()) agent_.SendPong();
    }
  }

  const Framework& framework() {
    return *master_.context().cluster.FindFramework(framework_.id());
  }
  const Agent* agent() {
    return master_.context().cluster.FindAgent(agent_.id());
  }
  const registry::RegistryState& registry() {
    return master_.registry().state();
  }

  Harness master_;
  TestAgent agent_{master_, "10.0.0.2"};
  TestFramework framework_{master_};
};

TEST_F(AgentsTest, IsPinged) {
  Live(seconds(1000));
  EXPECT_NE(agent(), nullptr);
  const auto ping = agent_.Next(AgentMessage::kPing);
  ASSERT_TRUE(ping);
  EXPECT_TRUE(ping->ping().connected());
  EXPECT_EQ(ping->ping().reign().epoch(), 42);
}

TEST_F(AgentsTest, SilentAgentsBecomeUnreachable) {
  MakePartitionAware();
  agent_.SendPong();
  master_.registry().Hold();
  master_.Run(seconds(100));
  EXPECT_TRUE(framework_.TakeUpdates().empty())
      << "nothing is told before the registry has it";
  master_.registry().Release();
  master_.Run();
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 3);
  EXPECT_EQ(events[0].type(), Event::RESCIND);
  const TaskStatus& status = events[1].update().status();
  EXPECT_EQ(status.state(), mesos::v1::TASK_UNREACHABLE);
  EXPECT_EQ(status.reason(), TaskStatus::REASON_AGENT_REMOVED);
  EXPECT_EQ(status.source(), TaskStatus::SOURCE_MASTER);
  EXPECT_FALSE(status.has_uuid());
  EXPECT_TRUE(status.has_unreachable_time());
  EXPECT_EQ(events[2].failure().agent_id().value(), agent_.id());
  EXPECT_EQ(registry().unreachable().count(agent_.id()), 1);
  EXPECT_EQ(agent(), nullptr);
  EXPECT_FALSE(agent_.connected()) << "it shall register again";
  EXPECT_EQ(framework().unreachable_tasks.size(), 1);

  framework_.Send(Reconcile("t", agent_.id()));
  const TaskStatus answer = framework_.TakeUpdates().at(0);
  EXPECT_EQ(answer.state(), mesos::v1::TASK_UNREACHABLE);
  EXPECT_EQ(answer.unreachable_time().nanoseconds(),
            status.unreachable_time().nanoseconds());
}

TEST_F(AgentsTest, UnreachableAgentsComeBackWithTheirTasks) {
  MakePartitionAware();
  master_.Run(seconds(100));
  framework_.Take();
  agent_.Reregister();
  EXPECT_TRUE(agent_.Next(AgentMessage::kAgentReregistered));
  EXPECT_FALSE(agent_.Next(AgentMessage::kKillTask));
  EXPECT_EQ(registry().unreachable().count(agent_.id()), 0);
  EXPECT_EQ(registry().admitted().count(agent_.id()), 1);
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 2);
  const TaskStatus& status = events[0].update().status();
  EXPECT_EQ(status.state(), mesos::v1::TASK_RUNNING);
  EXPECT_EQ(status.reason(), TaskStatus::REASON_AGENT_REREGISTERED);
  EXPECT_EQ(events[1].type(), Event::OFFERS);
  EXPECT_EQ(framework().tasks.size(), 1);
  EXPECT_TRUE(framework().unreachable_tasks.empty());
}

TEST_F(AgentsTest, UnreachableAgentsComeBackWithoutTheirTasks) {
  MakePartitionAware();
  master_.Run(seconds(100));
  framework_.Take();
  agent_.listing.clear_tasks();
  agent_.Reregister();
  EXPECT_EQ(framework_.TakeUpdates().at(0).state(), mesos::v1::TASK_GONE);
  EXPECT_TRUE(framework().unreachable_tasks.empty());
  EXPECT_EQ(framework().completed_tasks.size(), 1);
}

TEST_F(AgentsTest, FrameworksThatKnowNoPartitionsHearThatTasksAreLost) {
  master_.Run(seconds(100));
  EXPECT_EQ(framework_.TakeUpdates().at(0).state(), mesos::v1::TASK_LOST);
  agent_.Reregister();
  EXPECT_EQ(framework_.TakeUpdates().at(0).state(), mesos::v1::TASK_RUNNING);
}

TEST_F(AgentsTest, DisconnectedAgentsOffersAreRescinded) {
  Live(seconds(6));
  EXPECT_EQ(framework_.TakeOffers().size(), 1);
  agent_.Break();
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 1) << "a checkpointed task is not lost";
  EXPECT_EQ(events[0].type(), Event::RESCIND);
  EXPECT_FALSE(agent()->connected());
  master_.Run(seconds(10));
  EXPECT_TRUE(framework_.TakeOffers().empty());

  agent_.Reregister();
  EXPECT_TRUE(agent()->connected());
  EXPECT_EQ(framework_.TakeOffers().size(), 1);
  EXPECT_EQ(framework().tasks.size(), 1);
  EXPECT_FALSE(agent_.Next(AgentMessage::kReconcileTasks));
}

TEST_F(AgentsTest, DisconnectedAgentsBecomeUnreachableToo) {
  agent_.Break();
  master_.Run(seconds(100));
  EXPECT_EQ(registry().unreachable().count(agent_.id()), 1);
}

TEST_F(AgentsTest, ANewLinkReplacesTheOldOne) {
  agent_.Connect();
  agent_.Reregister();
  EXPECT_TRUE(agent()->connected());
  EXPECT_TRUE(agent_.Next(AgentMessage::kAgentReregistered));
  EXPECT_TRUE(framework_.TakeUpdates().empty());
}

TEST_F(AgentsTest, TasksOfFrameworksThatDoNotCheckpointGoWithTheLink) {
  TestFramework forgetful(master_);
  forgetful.info.set_name("forgetful");
  forgetful.info.set_failover_timeout(1e6);
  forgetful.Subscribe();
  const std::vector<mesos::v1::Offer> offers = forgetful.TakeOffers();
  ASSERT_EQ(offers.size(), 1);
  forgetful.Launch(offers, {"f"}, "cpus:0.5");
  forgetful.Take();
  agent_.Break();
  const TaskStatus status = forgetful.TakeUpdates().at(0);
  EXPECT_EQ(status.state(), mesos::v1::TASK_LOST);
  EXPECT_EQ(status.reason(), TaskStatus::REASON_AGENT_DISCONNECTED);
  EXPECT_TRUE(framework_.TakeUpdates().empty());
}

TEST_F(AgentsTest, IsAskedAboutTasksThatItDoesNotList) {
  agent_.Break();
  agent_.listing.clear_tasks();
  agent_.Reregister();
  const auto question = agent_.Next(AgentMessage::kReconcileTasks);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->reconcile_tasks().task_ids(0).value(), "t");
  EXPECT_EQ(question->reconcile_tasks().framework_info().id().value(),
            framework_.id());
  // Its answer ends the task.
  agent_.SendUpdate(framework_.id(), "t", mesos::v1::TASK_LOST);
  const std::vector<TaskStatus> updates = framework_.TakeUpdates();
  ASSERT_EQ(updates.size(), 1);
  framework_.Acknowledge(updates[0]);
  EXPECT_TRUE(framework().tasks.empty());
}

TEST_F(AgentsTest, KillsAreRepeatedWhenItIsBack) {
  agent_.Break();
  framework_.Send(Kill("t"));
  EXPECT_TRUE(framework_.TakeUpdates().empty());
  agent_.Reregister();
  EXPECT_TRUE(agent_.Next(AgentMessage::kKillTask));
  agent_.Break();
  agent_.Reregister();
  EXPECT_FALSE(agent_.Next(AgentMessage::kKillTask)) << "once";
}

TEST_F(AgentsTest, FrameworksRemovedMeanwhileAreShutDown) {
  agent_.Break();
  Call teardown;
  teardown.set_type(Call::TEARDOWN);
  framework_.Send(teardown);
  agent_.Reregister();
  EXPECT_TRUE(agent_.Next(AgentMessage::kShutdownFramework));
  EXPECT_TRUE(agent()->used.empty());
}

TEST_F(AgentsTest, ChangedResourcesGoIntoTheRegistry) {
  Live(seconds(6));
  EXPECT_EQ(framework_.TakeOffers().size(), 1);
  agent_.Break();
  framework_.Take();
  agent_.info.clear_resources();
  Resources::ParseText("cpus:4;mem:128")
      ->ToProto(agent_.info.mutable_resources());
  agent_.Reregister();
  EXPECT_EQ(Resources::FromProto(
                registry().admitted().at(agent_.id()).info().resources())
                ->Scalar("cpus"),
            4);
  const std::vector<mesos::v1::Offer> offers = framework_.TakeOffers();
  ASSERT_EQ(offers.size(), 1);
  EXPECT_EQ(Resources::FromProto(offers[0].resources())->Scalar("cpus"), 3);
}

TEST_F(AgentsTest, AnAgentThatRunsTooMuchGetsNoOffers) {
  agent_.Break();
  framework_.Take();
  wire::AgentTask task = agent_.listing.tasks(0);
  for (int i = 0; i < 5; ++i) {
    task.mutable_task_info()->mutable_task_id()->set_value(
        absl::StrCat("more", i));
    *agent_.listing.add_tasks() = task;
  }
  agent_.Reregister();
  EXPECT_EQ(agent()->used.Scalar("cpus"), 6);
  EXPECT_TRUE(framework_.TakeOffers().empty());
  EXPECT_EQ(framework().tasks.size(), 6);
}

TEST_F(AgentsTest, OneTaskIdOnTwoAgents) {
  // As after a fail-over, when the framework could not know of the first.
  TestAgent other(master_, "10.0.0.3");
  other.Register("cpus:2");
  other.listing = agent_.listing;
  other.Reregister();
  const auto kill = other.Next(AgentMessage::kKillTask);
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->kill_task().task_id().value(), "t");
  EXPECT_EQ(framework().tasks.at("t").agent_id(), agent_.id());
}

TEST_F(AgentsTest, AnotherHostIsAnotherAgent) {
  TestAgent impostor(master_, "10.0.0.9");
  impostor.info = agent_.info;
  impostor.Reregister();
  EXPECT_TRUE(impostor.Next(AgentMessage::kShutdownAgent));
  agent_.Break();
  agent_.info.set_hostname("renamed");
  agent_.Reregister();
  EXPECT_TRUE(agent_.Next(AgentMessage::kShutdownAgent));
  EXPECT_FALSE(agent()->connected());
}

TEST_F(AgentsTest, UnregisteredAgentsAreRemoved) {
  AgentMessage message;
  *message.mutable_unregister_agent()->mutable_agent_id() = agent_.info.id();
  agent_.Send(message);
  EXPECT_EQ(agent(), nullptr);
  EXPECT_TRUE(registry().admitted().empty());
  EXPECT_TRUE(registry().unreachable().empty());
  EXPECT_EQ(framework_.TakeUpdates().at(0).state(), mesos::v1::TASK_LOST);
}

TEST_F(AgentsTest, UpdatesOfUnknownFrameworksAreIgnored) {
  agent_.SendUpdate("nobody", "t", mesos::v1::TASK_RUNNING);
  EXPECT_TRUE(framework_.TakeUpdates().empty());
}

TEST_F(AgentsTest, RegistrationWaitsUntilTheRegistryHasItUnreachable) {
  master_.registry().Hold();
  master_.Run(seconds(100));
  agent_.Reregister();
  EXPECT_FALSE(agent_.Next(AgentMessage::kAgentReregistered));
  master_.registry().Release();
  master_.Run();
  EXPECT_EQ(agent(), nullptr);
  agent_.Reregister();
  EXPECT_TRUE(agent_.Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(registry().admitted().count(agent_.id()), 1);
}

// A new leader, which knows agents from the registry only.
class FailoverTest : public ::testing::Test {
 protected:
  static mesos::v1::AgentInfo Info(const std::string& id,
                                   const std::string& ip) {
    mesos::v1::AgentInfo info;
    info.mutable_id()->set_value(id);
    info.set_hostname(absl::StrCat("host-", ip));
    info.set_port(5051);
    Resources::ParseText("cpus:2")->ToProto(info.mutable_resources());
    return info;
  }

  FailoverTest() {
    agent_.info = Info("M0-S0", "10.0.0.2");
    framework_.info.mutable_id()->set_value("M0-0003");
    *agent_.listing.add_frameworks() = framework_.info;
    wire::AgentTask& task = *agent_.listing.add_tasks();
    task.mutable_framework_id()->set_value("M0-0003");
    task.mutable_task_info()->set_name("t");
    task.mutable_task_info()->mutable_task_id()->set_value("t");
    task.mutable_task_info()->mutable_agent_id()->set_value("M0-S0");
    Resources::ParseText("cpus:1")->ToProto(
        task.mutable_task_info()->mutable_resources());
    task.set_state(mesos::v1::TASK_RUNNING);
    task.set_status_update_state(mesos::v1::TASK_RUNNING);
  }

  Harness master_{{}, {Info("M0-S0", "10.0.0.2"), Info("M0-S1", "10.0.0.3")}};
  TestAgent agent_{master_, "10.0.0.2"};
  TestFramework framework_{master_};
};

TEST_F(FailoverTest, AgentsAndFrameworksComeBack) {
  EXPECT_EQ(master_.context().cluster.recovered_agents().size(), 2);
  agent_.Reregister();
  EXPECT_TRUE(agent_.Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(master_.context().cluster.recovered_agents().size(), 1);
  const Framework* framework =
      master_.context().cluster.FindFramework("M0-0003");
  ASSERT_NE(framework, nullptr);
  EXPECT_TRUE(framework->recovered);
  EXPECT_EQ(framework->tasks.size(), 1);
  master_.Run(minutes(1));
  EXPECT_EQ(framework->tasks.size(), 1) << "it has time to come back";

  framework_.Subscribe();
  EXPECT_FALSE(framework->recovered);
  const std::vector<Event> events = framework_.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].subscribed().framework_id().value(), "M0-0003");
  EXPECT_EQ(Resources::FromProto(events[1].offers().offers(0).resources())
                ->Scalar("cpus"),
            1);
  framework_.Send(Reconcile("t", ""));
  EXPECT_EQ(framework_.TakeUpdates().at(0).state(), mesos::v1::TASK_RUNNING);
}

TEST_F(FailoverTest, NothingIsSaidOfTasksThatMayReturn) {
  framework_.Subscribe();
  framework_.Take();
  framework_.Send(Reconcile("t", "M0-S0"));
  framework_.Send(Reconcile("t", ""));
  framework_.Send(Kill("t"));
  EXPECT_TRUE(framework_.TakeUpdates().empty());
  framework_.Send(Reconcile("t", "M0-S9"));
  EXPECT_EQ(framework_.TakeUpdates().at(0).state(), mesos::v1::TASK_LOST);
}

TEST_F(FailoverTest, AgentsThatDoNotComeBackAreUnreachable) {
  framework_.Subscribe();
  framework_.Take();
  agent_.Reregister();
  for (int i = 0; i < 61; ++i) {
    master_.Run(seconds(10));
    agent_.SendPong();
  }
  EXPECT_TRUE(master_.context().cluster.recovered_agents().empty());
  EXPECT_EQ(master_.registry().state().unreachable().count("M0-S1"), 1);
  EXPECT_EQ(master_.registry().state().admitted().count("M0-S0"), 1);
  std::string lost;
  for (const Event& event : framework_.Take()) {
    if (event.has_failure()) lost += event.failure().agent_id().value();
  }
  EXPECT_EQ(lost, "M0-S1");
  framework_.Send(Reconcile("x", "M0-S1"));
  EXPECT_TRUE(framework_.TakeUpdates().at(0).has_unreachable_time());
}

TEST_F(FailoverTest, AgentsThatTheRegistryDoesNotKnowAreAdmitted) {
  TestAgent stranger(master_, "10.0.0.7");
  stranger.info = Info("M9-S9", "10.0.0.7");
  stranger.Reregister();
  EXPECT_TRUE(stranger.Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(master_.registry().state().admitted().count("M9-S9"), 1);
}

}  // namespace
}  // namespace quorate::master
