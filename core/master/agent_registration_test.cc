// Registrations that overlap: with each other, with the end of their links, and
// with what takes an agent for lost, while the registry is being written.

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/master/testing/harness.h"

namespace quorate::master {
namespace {

using std::chrono::minutes;
using testing::Harness;
using testing::TestAgent;
using wire::AgentMessage;

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

}  // namespace
}  // namespace quorate::master
