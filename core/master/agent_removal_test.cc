// Agents that are given up: gone, too many at once, too fast, and forgotten.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/master/testing/harness.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskStatus;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Harness;
using testing::MarkGone;
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
  task.mutable_agent_id()->set_value(agent_id);
  return call;
}

double Metric(Harness& master, const std::string& name) {
  return master.context().metrics.Snapshot().at(absl::StrCat("master/", name));
}

// An agent with a task of a framework.
class Workplace {
 public:
  Workplace(Harness& master, const std::string& ip, bool partition_aware)
      : agent(master, ip), framework(master) {
    framework.info.set_checkpoint(true);
    framework.info.set_failover_timeout(1e6);
    if (partition_aware) {
      framework.info.add_capabilities()->set_type(
          FrameworkInfo::Capability::PARTITION_AWARE);
    }
    agent.Register("cpus:1");
    framework.Subscribe();
    framework.Launch(framework.TakeOffers(), {"t"}, "cpus:1");
    // Other agents are for others.
    Call suppress;
    suppress.set_type(Call::SUPPRESS);
    framework.Send(suppress);
    agent.Take();
    framework.Take();
  }

  TestAgent agent;
  TestFramework framework;
};

class GoneTest : public ::testing::Test {
 protected:
  int Mark(const std::string& id) {
    return master_.Ask(MarkGone(id))->response->status;
  }
  const registry::RegistryState& registry() {
    return master_.registry().state();
  }

  Harness master_;
  Workplace aware_{master_, "10.0.0.2", true};
  const std::string id_ = aware_.agent.id();
};

TEST_F(GoneTest, TheRegistryComesFirst) {
  master_.registry().Hold();
  const auto answer = master_.Ask(MarkGone(id_));
  EXPECT_FALSE(answer->response);
  EXPECT_EQ(Mark(id_), 503) << "it is under way";
  EXPECT_TRUE(aware_.framework.Take().empty());
  master_.registry().Release();
  master_.Run();
  EXPECT_EQ(answer->response->status, 200);
  EXPECT_EQ(registry().gone().count(id_), 1);
  EXPECT_TRUE(registry().admitted().empty());

  const std::vector<Event> events = aware_.framework.Take();
  ASSERT_EQ(events.size(), 2);
  const TaskStatus& status = events[0].update().status();
  EXPECT_EQ(status.state(), mesos::v1::TASK_GONE_BY_OPERATOR);
  EXPECT_EQ(status.reason(), TaskStatus::REASON_AGENT_REMOVED_BY_OPERATOR);
  EXPECT_FALSE(status.has_uuid());
  EXPECT_EQ(events[1].failure().agent_id().value(), id_);
  EXPECT_EQ(Metric(master_, "tasks_gone_by_operator"), 1);
  EXPECT_TRUE(master_.context().cluster.agents().empty());

  EXPECT_EQ(Mark(id_), 200) << "again";
  EXPECT_EQ(Mark("nobody"), 404);
}

TEST_F(GoneTest, TheAgentIsToldToShutDown) {
  Mark(id_);
  const auto shutdown = aware_.agent.Next(AgentMessage::kShutdownAgent);
  ASSERT_TRUE(shutdown);
  EXPECT_TRUE(absl::StrContains(shutdown->shutdown_agent().message(),
                                "marked gone by an operator"));
}

TEST_F(GoneTest, ItIsRefusedForEver) {
  Mark(id_);
  aware_.agent.Connect();
  aware_.agent.Reregister();
  EXPECT_TRUE(aware_.agent.Next(AgentMessage::kShutdownAgent));
  EXPECT_TRUE(master_.context().cluster.agents().empty());

  Harness next({}, registry());
  TestAgent agent(next, "10.0.0.2");
  agent.info = aware_.agent.info;
  agent.Reregister();
  EXPECT_TRUE(agent.Next(AgentMessage::kShutdownAgent));
  EXPECT_TRUE(next.context().cluster.agents().empty());
  EXPECT_EQ(next.registry().state().gone().count(id_), 1);
  EXPECT_EQ(next.Ask(MarkGone(id_))->response->status, 200);
}

TEST_F(GoneTest, FrameworksThatKnowNoPartitionsHearThatTasksAreLost) {
  Workplace unaware(master_, "10.0.0.3", false);
  Mark(unaware.agent.id());
  EXPECT_EQ(unaware.framework.TakeUpdates().at(0).state(),
            mesos::v1::TASK_LOST);
  unaware.framework.Send(Reconcile("t", unaware.agent.id()));
  EXPECT_EQ(unaware.framework.TakeUpdates().at(0).state(),
            mesos::v1::TASK_LOST);
}

TEST_F(GoneTest, AnUnreachableAgentAndItsTasksAreGone) {
  master_.Run(seconds(100));
  EXPECT_EQ(aware_.framework.TakeUpdates().at(0).state(),
            mesos::v1::TASK_UNREACHABLE);
  EXPECT_EQ(Mark(id_), 200);
  const std::vector<Event> events = aware_.framework.Take();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[0].update().status().state(),
            mesos::v1::TASK_GONE_BY_OPERATOR);
  EXPECT_EQ(events[1].failure().agent_id().value(), id_);
  EXPECT_TRUE(registry().unreachable().empty());
  aware_.framework.Send(Reconcile("t", id_));
  EXPECT_EQ(aware_.framework.TakeUpdates().at(0).state(),
            mesos::v1::TASK_GONE_BY_OPERATOR);
}

TEST_F(GoneTest, AnAgentThatHasYetToComeBackIsGone) {
  Harness next({}, registry());
  TestFramework framework(next);
  framework.info = aware_.framework.info;
  framework.Subscribe();
  framework.Take();
  EXPECT_EQ(next.Ask(MarkGone(id_))->response->status, 200);
  EXPECT_EQ(framework.Take().at(0).failure().agent_id().value(), id_);
  framework.Send(Reconcile("t", id_));
  EXPECT_EQ(framework.TakeUpdates().at(0).state(),
            mesos::v1::TASK_GONE_BY_OPERATOR);
  EXPECT_TRUE(next.context().cluster.recovered_agents().empty());
  next.Run(minutes(20));
  EXPECT_TRUE(next.registry().state().unreachable().empty());
}

TEST_F(GoneTest, NotWhileItIsBeingMarkedUnreachable) {
  master_.registry().Hold();
  master_.Run(seconds(100));
  EXPECT_EQ(Mark(id_), 503);
  master_.registry().Release();
  master_.Run();
  EXPECT_EQ(Mark(id_), 200);
}

TEST_F(GoneTest, NotWhoIsForgottenMeanwhile) {
  master_.Run(seconds(100));
  master_.Run(hours(24 * 14) - hours(1));
  ASSERT_EQ(registry().unreachable().count(id_), 1);
  aware_.framework.Take();
  master_.registry().Hold();
  master_.Run(hours(2));
  const auto answer = master_.Ask(MarkGone(id_));
  EXPECT_FALSE(answer->response);
  master_.registry().Release();
  master_.Run();
  EXPECT_EQ(answer->response->status, 404);
  EXPECT_TRUE(aware_.framework.Take().empty());
  EXPECT_TRUE(registry().gone().empty());
}

// What the registry does not try.

class RefusedTest : public GoneTest {
 protected:
  void Refuse() {
    master_.registry().Refuse(absl::ResourceExhaustedError("too many wait"));
  }
  void Accept() { master_.registry().Refuse(absl::OkStatus()); }
};

TEST_F(RefusedTest, WhoIsNotMarkedGoneIsAsBefore) {
  Refuse();
  const auto answer = master_.Ask(MarkGone(id_));
  EXPECT_EQ(answer->response->status, 503);
  EXPECT_TRUE(absl::StrContains(answer->response->body, "too many wait"));
  EXPECT_TRUE(aware_.framework.Take().empty());
  EXPECT_TRUE(aware_.agent.connected());
  Accept();
  EXPECT_EQ(Mark(id_), 200);
}

TEST_F(RefusedTest, WhoWaitedToBeUnreachableWaitsAgain) {
  // Its turn was given up when it was to be marked gone.
  Harness master({.agent_unreachable_rate_limit = RateLimit{1, minutes(10)}});
  Workplace first(master, "10.0.0.2", true);
  Workplace second(master, "10.0.0.3", true);
  master.Run(seconds(100));
  const auto& admitted = master.registry().state().admitted();
  ASSERT_EQ(admitted.size(), 1);
  master.registry().Refuse(absl::ResourceExhaustedError("too many wait"));
  EXPECT_EQ(master.Ask(MarkGone(admitted.begin()->first))->response->status,
            503);
  master.registry().Refuse(absl::OkStatus());
  master.Run(minutes(20));
  EXPECT_TRUE(admitted.empty());
}

TEST_F(RefusedTest, WhoIsSilentIsMarkedUnreachableLater) {
  Refuse();
  master_.Run(seconds(100));
  EXPECT_TRUE(aware_.framework.TakeUpdates().empty());
  EXPECT_EQ(Metric(master_, "slave_unreachable_completed"), 0);
  Accept();
  master_.Run(seconds(100));
  EXPECT_EQ(aware_.framework.TakeUpdates().at(0).state(),
            mesos::v1::TASK_UNREACHABLE);
  EXPECT_EQ(registry().unreachable().count(id_), 1);
}

TEST_F(RefusedTest, WhoDoesNotComeBackIsMarkedUnreachableLater) {
  Harness next({.recovery_agent_removal_limit = 100}, registry());
  next.registry().Refuse(absl::ResourceExhaustedError("too many wait"));
  next.Run(minutes(11));
  EXPECT_EQ(next.context().cluster.recovered_agents().size(), 1);
  next.registry().Refuse(absl::OkStatus());
  next.Run(minutes(10));
  EXPECT_TRUE(next.context().cluster.recovered_agents().empty());
  EXPECT_EQ(next.registry().state().unreachable().count(id_), 1);
}

TEST_F(RefusedTest, WhoUnregistersIsThereUntilItIsSilent) {
  AgentMessage message;
  *message.mutable_unregister_agent()->mutable_agent_id() =
      aware_.agent.info.id();
  Refuse();
  aware_.agent.Send(message);
  EXPECT_TRUE(aware_.framework.Take().empty());
  EXPECT_NE(master_.context().cluster.FindAgent(id_), nullptr);
  Accept();
  aware_.agent.Break();
  master_.Run(seconds(100));
  EXPECT_EQ(registry().unreachable().count(id_), 1);
}

TEST_F(RefusedTest, WhoRegistersTriesAgain) {
  Refuse();
  TestAgent agent(master_, "10.0.0.3");
  agent.Register("cpus:1");
  aware_.agent.Break();
  aware_.agent.info.mutable_resources(0)->mutable_scalar()->set_value(4);
  aware_.agent.Reregister();
  master_.Run(seconds(10));
  EXPECT_TRUE(agent.Take().empty());
  EXPECT_TRUE(aware_.agent.Take().empty());
  Accept();
  agent.Register("cpus:1");
  EXPECT_TRUE(agent.Next(AgentMessage::kAgentRegistered));
  aware_.agent.Reregister();
  EXPECT_TRUE(aware_.agent.Next(AgentMessage::kAgentReregistered));
}

TEST_F(RefusedTest, WhoLeftUnheardIsUnreachableInTime) {
  master_.registry().Hold();
  TestAgent agent(master_, "10.0.0.3");
  agent.Register("cpus:1");
  agent.Break();
  Refuse();
  master_.registry().Answer(1);
  EXPECT_EQ(registry().admitted().size(), 2);
  EXPECT_EQ(master_.context().cluster.recovered_agents().size(), 1);
  Accept();
  master_.registry().Release();
  master_.Run(minutes(11));
  EXPECT_TRUE(registry().admitted().empty());
}

// What the registry remembers.

TEST_F(GoneTest, OldEntriesAreForgotten) {
  Mark(id_);
  Workplace other(master_, "10.0.0.3", true);
  master_.Run(hours(1));
  EXPECT_EQ(registry().unreachable().size(), 1);
  master_.Run(hours(24 * 14) - hours(2));
  EXPECT_EQ(registry().gone().size(), 1);
  EXPECT_EQ(registry().unreachable().size(), 1);
  master_.Run(hours(2));
  EXPECT_TRUE(registry().gone().empty());
  EXPECT_TRUE(registry().unreachable().empty());
}

TEST(RegistryGarbageTest, TheOldestAreForgottenWhenThereAreTooMany) {
  Harness master({.registry_max_agent_count = 2});
  std::vector<std::unique_ptr<TestAgent>> agents;
  for (int i = 0; i < 4; ++i) {
    agents.push_back(
        std::make_unique<TestAgent>(master, absl::StrCat("10.0.0.", 2 + i)));
    agents.back()->Register("cpus:1");
    master.Run(seconds(1));
    master.Ask(MarkGone(agents.back()->id()));
  }
  master.Run(minutes(15));
  const auto& gone = master.registry().state().gone();
  EXPECT_EQ(gone.size(), 2);
  EXPECT_EQ(gone.count(agents[2]->id()) + gone.count(agents[3]->id()), 2);
}

// How many at once.

class RecoveryLimitTest : public ::testing::Test {
 protected:
  RecoveryLimitTest() {
    for (int i = 0; i < 4; ++i) {
      agents_.push_back(
          std::make_unique<TestAgent>(old_, absl::StrCat("10.0.0.", 2 + i)));
      agents_.back()->Register("cpus:1");
    }
  }

  void FailOver(MasterOptions options) {
    master_ = std::make_unique<Harness>(options, old_.registry().state());
  }
  void Return(int i) {
    back_.push_back(
        std::make_unique<TestAgent>(*master_, absl::StrCat("10.0.0.", 2 + i)));
    back_.back()->info = agents_[i]->info;
    back_.back()->Reregister();
  }
  // Those that are back answer pings.
  void Live(minutes time) {
    for (seconds passed{0}; passed < time; passed += seconds(5)) {
      master_->Run(seconds(5));
      for (auto& agent : back_) agent->SendPong();
    }
  }
  size_t Unreachable() {
    return master_->registry().state().unreachable().size();
  }

  Harness old_;
  std::vector<std::unique_ptr<TestAgent>> agents_;
  std::unique_ptr<Harness> master_;
  std::vector<std::unique_ptr<TestAgent>> back_;
};

TEST_F(RecoveryLimitTest, HalfOfThemMayBeLost) {
  FailOver({});
  Return(0);
  Return(1);
  Live(minutes(11));
  EXPECT_EQ(Unreachable(), 2);
  EXPECT_EQ(Metric(*master_, "recovery_slaves_withheld"), 0);
  EXPECT_EQ(Metric(*master_, "recovery_slave_removals"), 2);
}

TEST_F(RecoveryLimitTest, MoreAreWaitedFor) {
  FailOver({});
  Return(0);
  Live(minutes(9));
  EXPECT_EQ(Metric(*master_, "recovery_slaves_withheld"), 0);
  Live(minutes(22));
  EXPECT_EQ(Unreachable(), 0);
  EXPECT_EQ(Metric(*master_, "recovery_slaves_withheld"), 3);
  // The trouble is over: some return, and the others have time to.
  Return(1);
  EXPECT_EQ(Metric(*master_, "recovery_slaves_withheld"), 2);
  Live(minutes(8));
  EXPECT_EQ(Unreachable(), 0);
  Live(minutes(2));
  EXPECT_EQ(Unreachable(), 2);
  EXPECT_EQ(Metric(*master_, "recovery_slaves_withheld"), 0);
}

TEST_F(RecoveryLimitTest, AnOperatorKnowsBetter) {
  FailOver({});
  Live(minutes(11));
  EXPECT_EQ(Metric(*master_, "recovery_slaves_withheld"), 4);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(master_->Ask(MarkGone(agents_[i]->id()))->response->status, 200);
  }
  Live(minutes(10));
  EXPECT_EQ(Unreachable(), 2);
}

TEST_F(RecoveryLimitTest, AsMesosHasIt) {
  FailOver({.recovery_agent_removal_limit = 100});
  Live(minutes(11));
  EXPECT_EQ(Unreachable(), 4);
}

// Whoever has forgotten who it is has replaced what it was.

TEST_F(RecoveryLimitTest, AnAgentThatRegistersAnewReplacesItsFormerSelf) {
  FailOver({});
  TestFramework framework(*master_);
  framework.Subscribe();
  framework.Take();
  TestAgent elsewhere(*master_, "10.0.9.9");
  elsewhere.Register("cpus:1");
  EXPECT_EQ(master_->context().cluster.recovered_agents().size(), 4);
  framework.Take();
  TestAgent again(*master_, "10.0.0.2");
  again.Register("cpus:1");
  EXPECT_NE(again.id(), agents_[0]->id());
  EXPECT_EQ(master_->context().cluster.recovered_agents().size(), 3);
  const auto& admitted = master_->registry().state().admitted();
  EXPECT_EQ(admitted.count(agents_[0]->id()), 0);
  EXPECT_EQ(admitted.count(again.id()), 1);
  EXPECT_EQ(framework.Take().at(0).failure().agent_id().value(),
            agents_[0]->id());
  EXPECT_EQ(Metric(*master_, "slave_removals/reason_registered"), 1);
}

TEST_F(RecoveryLimitTest, TheRegistryFollowsAnAgentToAnotherPort) {
  FailOver({});
  TestAgent moved(*master_, "10.0.0.2", 6051);
  moved.info = agents_[0]->info;
  moved.Reregister();
  EXPECT_TRUE(moved.Next(AgentMessage::kAgentReregistered));
  EXPECT_EQ(master_->registry().state().admitted().at(moved.id()).address(),
            "10.0.0.2:6051");
}

// How fast.

class RateTest : public ::testing::Test {
 protected:
  void Begin(MasterOptions options) {
    master_ = std::make_unique<Harness>(options);
  }
  double Count(const std::string& what) {
    return Metric(*master_, absl::StrCat("slave_unreachable_", what));
  }
  size_t Unreachable() {
    return master_->registry().state().unreachable().size();
  }

  std::unique_ptr<Harness> master_;
};

TEST_F(RateTest, AgentsAreUnreachableOneAfterTheOther) {
  Begin({.agent_unreachable_rate_limit = RateLimit{1, minutes(10)}});
  Workplace first(*master_, "10.0.0.2", true);
  Workplace second(*master_, "10.0.0.3", true);
  Workplace third(*master_, "10.0.0.4", false);
  master_->Run(seconds(100));
  EXPECT_EQ(Unreachable(), 1);
  EXPECT_EQ(Count("scheduled"), 3);
  master_->Run(minutes(9));
  EXPECT_EQ(Unreachable(), 1);
  master_->Run(minutes(1));
  EXPECT_EQ(Unreachable(), 2);
  master_->Run(minutes(10));
  EXPECT_EQ(Unreachable(), 3);
  EXPECT_EQ(Count("completed"), 3);
  EXPECT_EQ(Count("canceled"), 0);
}

TEST_F(RateTest, AnAgentThatAnswersAfterAllIsNotUnreachable) {
  Begin({.agent_unreachable_rate_limit = RateLimit{1, minutes(10)}});
  Workplace first(*master_, "10.0.0.2", true);
  Workplace answers(*master_, "10.0.0.3", true);
  Workplace returns(*master_, "10.0.0.4", true);
  master_->Run(seconds(100));
  returns.agent.Break();
  EXPECT_EQ(Unreachable(), 1);
  answers.agent.SendPong();
  EXPECT_EQ(Count("canceled"), 1);
  returns.agent.Connect();
  returns.agent.Reregister();
  EXPECT_EQ(Count("canceled"), 2);
  for (int i = 0; i < 150; ++i) {
    master_->Run(seconds(10));
    answers.agent.SendPong();
    returns.agent.SendPong();
  }
  EXPECT_EQ(Unreachable(), 1);
  EXPECT_TRUE(answers.framework.TakeUpdates().empty());
}

// A limit for the loss of tasks does not keep anybody from hearing that an
// agent is out of reach.
TEST_F(RateTest, RemovalIsNotUnreachability) {
  Begin({.agent_removal_rate_limit = RateLimit{1, minutes(10)}});
  std::vector<std::unique_ptr<Workplace>> aware, unaware;
  for (int i = 0; i < 3; ++i) {
    aware.push_back(std::make_unique<Workplace>(
        *master_, absl::StrCat("10.0.1.", i + 1), true));
    unaware.push_back(std::make_unique<Workplace>(
        *master_, absl::StrCat("10.0.2.", i + 1), false));
  }
  master_->Run(seconds(100));
  EXPECT_EQ(Unreachable(), 4);
  for (auto& workplace : aware) {
    EXPECT_EQ(workplace->framework.TakeUpdates().at(0).state(),
              mesos::v1::TASK_UNREACHABLE);
  }
  master_->Run(minutes(10));
  EXPECT_EQ(Unreachable(), 5);
  master_->Run(minutes(10));
  EXPECT_EQ(Unreachable(), 6);
}

TEST_F(RateTest, WhoIsGoneDoesNotWait) {
  Begin({.agent_unreachable_rate_limit = RateLimit{1, minutes(10)}});
  Workplace first(*master_, "10.0.0.2", true);
  Workplace second(*master_, "10.0.0.3", true);
  master_->Run(seconds(100));
  EXPECT_EQ(Unreachable(), 1);
  const std::string waiting =
      master_->registry().state().admitted().begin()->first;
  EXPECT_EQ(master_->Ask(MarkGone(waiting))->response->status, 200);
  EXPECT_EQ(Count("canceled"), 1);
  master_->Run(minutes(30));
  EXPECT_EQ(Unreachable(), 1);
  EXPECT_EQ(master_->registry().state().gone().size(), 1);
}

}  // namespace
}  // namespace quorate::master
