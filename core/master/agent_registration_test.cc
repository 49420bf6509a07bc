// Registrations that overlap: with each other, with the end of their links, and
// with what takes an agent for lost, while the registry is being written.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/master/limits.h"
#include "core/master/testing/harness.h"

namespace quorate::master {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Harness;
using testing::MarkGone;
using testing::TestAgent;
using testing::TestFramework;
using wire::AgentMessage;

void SetResources(mesos::v1::AgentInfo& info, const std::string& resources) {
  info.clear_resources();
  Resources::ParseText(resources)->ToProto(info.mutable_resources());
}

mesos::v1::AgentInfo Info(const std::string& id, const std::string& ip) {
  mesos::v1::AgentInfo info;
  info.mutable_id()->set_value(id);
  info.set_hostname(absl::StrCat("host-", ip));
  info.set_port(5051);
  SetResources(info, "cpus:2");
  return info;
}

double Metric(Harness& master, const std::string& name) {
  return master.context().metrics.Snapshot().at(absl::StrCat("master/", name));
}

// What one link asks for, twice: a new id if empty.
class OneLinkTest
    : public ::testing::TestWithParam<std::pair<std::string, std::string>> {
 protected:
  void AskTwice() {
    master_.registry().Hold();
    Ask(GetParam().first);
    Ask(GetParam().second);
  }
  void Ask(const std::string& id) {
    if (id.empty()) {
      agent_.info.clear_id();
      return agent_.Register("cpus:2");
    }
    agent_.info.mutable_id()->set_value(id);
    agent_.Reregister();
  }
  void Answer() {
    master_.registry().Release();
    master_.Run();
  }
  bool asks_for_one_thing() { return GetParam().first == GetParam().second; }
  const Cluster& cluster() { return master_.context().cluster; }
  size_t admitted() { return master_.registry().state().admitted().size(); }

  Harness master_;
  TestAgent agent_{master_, "10.0.0.2"};
};

TEST_P(OneLinkTest, IsOfOneAgent) {
  AskTwice();
  EXPECT_EQ(agent_.connected(), asks_for_one_thing());
  Answer();
  EXPECT_EQ(cluster().agents().size(), asks_for_one_thing() ? 1 : 0);
  EXPECT_FALSE(agent_.Next(AgentMessage::kShutdownAgent));
  // Whoever was attached to it is not pinged through it any more.
  agent_.Break();
  master_.Run(minutes(2));
  EXPECT_TRUE(cluster().agents().empty());
}

TEST_P(OneLinkTest, MayCloseBeforeTheRegistryAnswers) {
  AskTwice();
  agent_.Break();
  Answer();
  EXPECT_TRUE(cluster().agents().empty());
  // Whoever has an id is waited for.
  EXPECT_EQ(admitted(), GetParam().first.empty() ? 0 : 1);
  EXPECT_EQ(cluster().recovered_agents().size(), admitted());
  master_.Run(minutes(11));
  EXPECT_EQ(admitted(), 0);
  EXPECT_TRUE(cluster().recovered_agents().empty());
}

INSTANTIATE_TEST_SUITE_P(Pairs, OneLinkTest,
                         ::testing::Values(std::pair("", ""),
                                           std::pair("", "fake-S7"),
                                           std::pair("fake-S7", ""),
                                           std::pair("fake-S7", "fake-S8"),
                                           std::pair("fake-S7", "fake-S7")));

// An agent whose id became durable only when it had dialed again asks for a new
// one first, and then for its own.
TEST(RegisteredLinkTest, WhoAsksForAnotherIdKeepsItsTasks) {
  Harness master;
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  agent.info.mutable_id()->set_value("M1-S7");
  agent.Reregister();
  EXPECT_FALSE(agent.Next(AgentMessage::kShutdownAgent));
  EXPECT_FALSE(agent.connected());
  agent.Reregister();
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentReregistered));
  master.Run(minutes(2));
}

// Ids can be guessed.

TEST(NewIdTest, OneThatIsTakenIsNotGiven) {
  Harness master;
  TestAgent first(master, "10.0.0.9");
  first.info.mutable_id()->set_value("M1-S0");
  first.Reregister();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  EXPECT_EQ(agent.id(), "M1-S1");
  EXPECT_EQ(master.registry().state().admitted().size(), 2);
}

TEST(NewIdTest, OneThatIsBeingGivenIsNobodyElses) {
  Harness master;
  master.registry().Hold();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:2");
  // A change of it, after which it is in the registry and has not been told.
  agent.Register("cpus:4");
  TestAgent guesses(master, "10.0.0.9");
  guesses.info.mutable_id()->set_value("M1-S0");
  guesses.Reregister();
  master.registry().Release();
  master.Run();
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentRegistered));
  EXPECT_TRUE(agent.connected());
  EXPECT_TRUE(guesses.Take().empty());
  guesses.Reregister();
  EXPECT_TRUE(guesses.Next(AgentMessage::kShutdownAgent));
}

double AdmittedCpus(Harness& master, const std::string& id) {
  const auto& admitted = master.registry().state().admitted();
  return Resources::FromProto(admitted.at(id).info().resources())
      ->Scalar("cpus");
}

// The registry has what the agent has, before anybody is offered it.

TEST(NewestDescriptionTest, IsWhatTheRegistryAndFrameworksGet) {
  Harness master;
  TestFramework framework(master);
  framework.Subscribe();
  master.registry().Hold();
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:8");
  // It is restarted.
  agent.Break();
  agent.Register("cpus:2");
  master.registry().Release();
  master.Run();
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentRegistered));
  EXPECT_EQ(AdmittedCpus(master, "M1-S0"), 2);
  const std::vector<mesos::v1::Offer> offers = framework.TakeOffers();
  ASSERT_EQ(offers.size(), 1);
  EXPECT_EQ(Resources::FromProto(offers[0].resources())->Scalar("cpus"), 2);
  const Agent* known = master.context().cluster.FindAgent("M1-S0");
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->total.Scalar("cpus"), 2);
  EXPECT_EQ(known->info.id().value(), "M1-S0");
}

TEST(NewestDescriptionTest, IsWhatTheRegistryGetsOfOneThatReturns) {
  Harness master;
  TestAgent agent(master, "10.0.0.2");
  agent.Register("cpus:1");
  agent.Break();
  master.registry().Hold();
  SetResources(agent.info, "cpus:8");
  agent.Reregister();
  agent.Break();
  SetResources(agent.info, "cpus:2");
  agent.Reregister();
  master.registry().Answer(1);
  EXPECT_EQ(AdmittedCpus(master, "M1-S0"), 8);
  EXPECT_TRUE(agent.Take().empty());
  master.registry().Release();
  master.Run();
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(AdmittedCpus(master, "M1-S0"), 2);
  EXPECT_EQ(master.context().cluster.FindAgent("M1-S0")->total.Scalar("cpus"),
            2);
}

// What equals nothing, not even itself.
TEST(NewestDescriptionTest, IsWrittenOnce) {
  Harness master;
  TestAgent agent(master, "10.0.0.2");
  mesos::v1::Attribute& attribute = *agent.info.add_attributes();
  attribute.set_name("a");
  attribute.set_type(mesos::v1::Value::SCALAR);
  attribute.mutable_scalar()->set_value(
      std::numeric_limits<double>::quiet_NaN());
  agent.Register("cpus:2");
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentRegistered));
}

// An agent that registers again is not taken for lost while the registry is
// told.
class ReturningTest : public ::testing::Test {
 protected:
  void Begin(MasterOptions options) {
    master_ = std::make_unique<Harness>(options);
    agent_ = std::make_unique<TestAgent>(*master_, "10.0.0.2");
    framework_ = std::make_unique<TestFramework>(*master_);
    framework_->info.set_checkpoint(true);
    framework_->info.set_failover_timeout(1e6);
    framework_->Subscribe();
    agent_->Register("cpus:2");
    framework_->Launch(framework_->TakeOffers(), {"t"}, "cpus:1");
    const auto run = agent_->Next(AgentMessage::kRunTask);
    ASSERT_TRUE(run);
    *agent_->listing.add_frameworks() = run->run_task().framework_info();
    wire::AgentTask& task = *agent_->listing.add_tasks();
    *task.mutable_framework_id() = framework_->info.id();
    *task.mutable_task_info() = run->run_task().task();
    task.set_state(mesos::v1::TASK_RUNNING);
    // So that the registry has to be written when it is back.
    SetResources(agent_->info, "cpus:4");
  }
  // The next master knows the agent from the registry.
  void FailOver(MasterOptions options) {
    next_ = std::make_unique<Harness>(options, master_->registry().state());
    back_ = std::make_unique<TestAgent>(*next_, "10.0.0.2");
    back_->info = agent_->info;
  }
  void Answer(Harness& master) {
    master.registry().Release();
    master.Run();
  }

  std::unique_ptr<Harness> master_;
  std::unique_ptr<TestAgent> agent_;
  std::unique_ptr<TestFramework> framework_;
  std::unique_ptr<Harness> next_;
  std::unique_ptr<TestAgent> back_;
};

TEST_F(ReturningTest, PingsOfItsFormerLinkDoNotCount) {
  Begin({});
  agent_->Break();
  framework_->Take();
  master_->Run(seconds(70));
  master_->registry().Hold();
  agent_->Reregister();
  master_->Run(minutes(11));
  Answer(*master_);
  EXPECT_TRUE(agent_->Next(AgentMessage::kAgentReregistered));
  master_->Run(seconds(10));
  EXPECT_TRUE(agent_->connected());
  EXPECT_TRUE(framework_->TakeUpdates().empty());
  EXPECT_EQ(master_->registry().state().admitted().size(), 1);
  EXPECT_TRUE(master_->registry().state().unreachable().empty());
}

TEST_F(ReturningTest, APermitThatIsGrantedMeanwhileIsNotUsed) {
  Begin({.agent_unreachable_rate_limit = RateLimit{1, minutes(10)}});
  TestAgent other(*master_, "10.0.0.1");
  other.Register("cpus:1");
  for (int i = 0; i < 4; ++i) {
    master_->Run(seconds(10));
    agent_->SendPong();
  }
  master_->Run(seconds(100));
  ASSERT_EQ(Metric(*master_, "slave_unreachable_scheduled"), 2);
  ASSERT_EQ(master_->registry().state().unreachable().count(other.id()), 1);
  framework_->Take();
  master_->registry().Hold();
  agent_->Connect();
  agent_->Reregister();
  EXPECT_EQ(Metric(*master_, "slave_unreachable_canceled"), 1);
  master_->Run(minutes(11));
  Answer(*master_);
  EXPECT_TRUE(agent_->Next(AgentMessage::kAgentReregistered));
  EXPECT_TRUE(framework_->TakeUpdates().empty());
  EXPECT_EQ(master_->registry().state().admitted().count(agent_->id()), 1);
}

TEST_F(ReturningTest, TheEndOfTheRecoveryIsNotItsEnd) {
  Begin({});
  FailOver({.recovery_agent_removal_limit = 100});
  next_->Run(minutes(9));
  next_->registry().Hold();
  back_->Reregister();
  next_->Run(minutes(2));
  Answer(*next_);
  EXPECT_TRUE(back_->Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(next_->registry().state().admitted().size(), 1);
  EXPECT_EQ(next_->context().cluster.agents().size(), 1);
}

TEST_F(ReturningTest, ItIsNotWithheldAnyMore) {
  Begin({});
  FailOver({});
  next_->Run(minutes(11));
  EXPECT_EQ(Metric(*next_, "recovery_slaves_withheld"), 1);
  next_->registry().Hold();
  back_->Reregister();
  EXPECT_EQ(Metric(*next_, "recovery_slaves_withheld"), 0);
}

TEST_F(ReturningTest, AfterAFailOverItsTimeStartsAgainIfItsLinkBreaks) {
  Begin({});
  FailOver({.recovery_agent_removal_limit = 100});
  next_->Run(minutes(9));
  next_->registry().Hold();
  back_->Reregister();
  back_->Break();
  Answer(*next_);
  next_->Run(minutes(9));
  EXPECT_EQ(next_->registry().state().admitted().size(), 1);
  EXPECT_EQ(next_->context().cluster.recovered_agents().size(), 1);
  next_->Run(minutes(2));
  EXPECT_EQ(next_->registry().state().unreachable().count(agent_->id()), 1);
}

TEST_F(ReturningTest, ItsTimeStartsAgainIfItsLinkBreaks) {
  Begin({});
  agent_->Break();
  master_->Run(seconds(70));
  master_->registry().Hold();
  agent_->Reregister();
  agent_->Break();
  master_->Run(minutes(11));
  Answer(*master_);
  EXPECT_TRUE(master_->registry().state().unreachable().empty());
  master_->Run(seconds(70));
  EXPECT_TRUE(master_->registry().state().unreachable().empty());
  master_->Run(seconds(20));
  EXPECT_EQ(master_->registry().state().unreachable().count(agent_->id()), 1);
}

// Whoever is being removed for another reason is not back.
TEST_F(ReturningTest, WhoIsMarkedGoneMeanwhileIsNotBack) {
  Begin({});
  agent_->Break();
  framework_->Take();
  master_->registry().Hold();
  agent_->Reregister();
  const auto answer = master_->Ask(MarkGone(agent_->id()));
  Answer(*master_);
  ASSERT_TRUE(answer->response);
  EXPECT_EQ(answer->response->status, 200);
  EXPECT_FALSE(agent_->Next(AgentMessage::kAgentReregistered));
  EXPECT_TRUE(master_->context().cluster.agents().empty());
  agent_->Reregister();
  EXPECT_TRUE(agent_->Next(AgentMessage::kShutdownAgent));
}

// What an agent asks for again and again, until it hears that it is registered.
class RepeatedTest : public ::testing::Test {
 protected:
  RepeatedTest() {
    agent_.info.mutable_id()->set_value("M1-S7");
    agent_.Reregister();
    agent_.Take();
  }
  double times_readmitted() { return Metric(master_, "slave_reregistrations"); }
  bool Answered() {
    return agent_.Next(AgentMessage::kAgentReregistered).has_value();
  }

  Harness master_;
  TestAgent agent_{master_, "10.0.0.2"};
};

TEST_F(RepeatedTest, IsAnsweredAndDoneOnce) {
  agent_.Reregister();
  EXPECT_TRUE(Answered());
  EXPECT_EQ(times_readmitted(), 1);
  EXPECT_EQ(Metric(master_, "messages_reregister_slave"), 2);
}

TEST_F(RepeatedTest, IsDoneAgainWhenItSaysSomethingElse) {
  SetResources(agent_.info, "cpus:8");
  agent_.Reregister();
  EXPECT_TRUE(Answered());
  EXPECT_EQ(times_readmitted(), 2);
  EXPECT_EQ(master_.context().cluster.FindAgent("M1-S7")->total,
            *Resources::ParseText("cpus:8"));
  // What it had said before that is something else, too.
  agent_.info.clear_resources();
  agent_.Reregister();
  EXPECT_EQ(times_readmitted(), 3);
  EXPECT_TRUE(master_.context().cluster.FindAgent("M1-S7")->total.empty());
}

TEST_F(RepeatedTest, IsASignOfLife) {
  master_.Run(seconds(70));  // Four of five pings are not answered.
  agent_.Reregister();
  master_.Run(seconds(70));
  EXPECT_TRUE(agent_.connected());
  EXPECT_EQ(Metric(master_, "slave_unreachable_scheduled"), 0);
}

TEST_F(RepeatedTest, IsDoneAgainOverAnotherLink) {
  agent_.Break();
  agent_.Connect();
  agent_.Reregister();
  EXPECT_TRUE(Answered());
  EXPECT_EQ(times_readmitted(), 2);
}

TEST_F(RepeatedTest, IsNotAnsweredByWhoMarksItGone) {
  master_.registry().Hold();
  const auto answer = master_.Ask(MarkGone("M1-S7"));
  agent_.Reregister();
  EXPECT_FALSE(Answered());
  master_.registry().Release();
  master_.Run();
  EXPECT_EQ(answer->response->status, 200);
  EXPECT_TRUE(agent_.Next(AgentMessage::kShutdownAgent));
}

// How many.

TEST(AgentLimitTest, CountsWhoIsKnownAndWhoIsBeingAdmitted) {
  registry::RegistryState registry;
  registry::Operation operation;
  for (size_t i = 0; i < kMaxAgents - 2; ++i) {
    *operation.mutable_admit_agent()->mutable_info() =
        Info(absl::StrCat("M1-S", i), "10.0.0.3");
    ASSERT_TRUE(registry.Apply(operation).ok());
  }
  Harness master({}, registry);
  master.registry().Hold();
  TestAgent fresh(master, "10.0.1.1");
  fresh.Register("cpus:2");
  TestAgent stranger(master, "10.0.1.2");
  stranger.info = Info("M0-S0", "10.0.1.2");
  stranger.Reregister();

  TestAgent refused(master, "10.0.1.3");
  refused.Register("cpus:2");
  EXPECT_TRUE(refused.Next(AgentMessage::kShutdownAgent));
  // It may have tasks.
  TestAgent ignored(master, "10.0.1.4");
  ignored.info = Info("M0-S1", "10.0.1.4");
  ignored.Reregister();
  // Those that are known or asked before have their places.
  TestAgent known(master, "10.0.0.3");
  known.info = Info("M1-S0", "10.0.0.3");
  known.Reregister();
  fresh.Register("cpus:2");
  stranger.Reregister();
  master.registry().Release();
  master.Run();
  EXPECT_TRUE(fresh.Next(AgentMessage::kAgentRegistered));
  EXPECT_TRUE(stranger.Next(AgentMessage::kAgentReregistered));
  EXPECT_TRUE(known.Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(master.registry().state().admitted().size(), kMaxAgents);

  ignored.Reregister();
  EXPECT_TRUE(ignored.Take().empty());
  EXPECT_TRUE(ignored.connected());
  AgentMessage unregister;
  *unregister.mutable_unregister_agent()->mutable_agent_id() =
      stranger.info.id();
  stranger.Send(unregister);
  ignored.Reregister();
  EXPECT_TRUE(ignored.Next(AgentMessage::kAgentReregistered));
}

}  // namespace
}  // namespace quorate::master
