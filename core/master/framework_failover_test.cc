// Frameworks in the registry: subscribed and ended for good, also under the
// next leader.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/media.h"
#include "core/master/limits.h"
#include "core/master/testing/harness.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Answer;
using testing::Harness;
using testing::TestAgent;
using testing::TestFramework;
using wire::AgentMessage;
using Call = TestFramework::Call;
using Event = TestFramework::Event;

constexpr char kRemoved[] = "Framework has been removed";

Call EndCall() {
  Call call;
  call.set_type(Call::TEARDOWN);
  return call;
}

http::Request TearDownById(const std::string& id) {
  return {.method = "POST",
          .target = "/teardown",
          .body = absl::StrCat("frameworkId=", id)};
}

class RegistryFirstTest : public ::testing::Test {
 protected:
  const registry::RegistryState& registry() {
    return master_.registry().state();
  }
  const Framework* Find(const std::string& id) {
    return master_.context().cluster.FindFramework(id);
  }
  void Release() {
    master_.registry().Release();
    master_.Run();
  }
  // Of a subscription whose answer has come later.
  std::string IdOf(TestFramework& framework) {
    for (const Event& event : framework.Take()) {
      if (event.has_subscribed()) {
        return event.subscribed().framework_id().value();
      }
    }
    return "";
  }

  // Of this framework, to be made what `info` says.
  std::shared_ptr<Answer> AskUpdate(const TestFramework& framework,
                                    const FrameworkInfo& info) {
    Call call;
    call.set_type(Call::UPDATE_FRAMEWORK);
    *call.mutable_framework_id() = framework.info.id();
    *call.mutable_update_framework()->mutable_framework_info() = info;
    return master_.Ask(
        {.method = "POST",
         .target = "/api/v1/scheduler",
         .headers = {{"Content-Type", "application/json"},
                     {"Mesos-Stream-Id", framework.stream_id}},
         .body = api::SerializeBody(api::MediaType::kJson, call)});
  }
  static FrameworkInfo Named(FrameworkInfo info, const std::string& name) {
    info.set_name(name);
    return info;
  }
  // As the master and its registry have it.
  std::string NameOf(const std::string& id) {
    EXPECT_EQ(registry().frameworks().at(id).info().name(),
              Find(id)->info.name());
    return Find(id)->info.name();
  }

  const absl::Status kBusy = absl::ResourceExhaustedError("too many wait");
  Harness master_;
};

TEST_F(RegistryFirstTest, SubscribedIsAnsweredWhenItIsDurable) {
  master_.registry().Hold();
  TestFramework framework(master_);
  framework.Subscribe();
  master_.Run(seconds(1));
  EXPECT_EQ(framework.TakeBytes(), "");
  EXPECT_TRUE(master_.context().cluster.frameworks().empty());
  Release();
  EXPECT_EQ(IdOf(framework), "M1-0000");
  EXPECT_EQ(registry().frameworks().at("M1-0000").info().name(), "test");
}

TEST_F(RegistryFirstTest, WhoWasNotToldItsIdIsNotKept) {
  master_.registry().Hold();
  TestFramework framework(master_);
  framework.info.set_failover_timeout(1e6);
  framework.Subscribe();
  framework.Disconnect();
  Release();
  EXPECT_TRUE(registry().frameworks().empty());
  EXPECT_TRUE(master_.context().cluster.frameworks().empty());
  // Or as many attempts as one likes would push out those that have ended.
  EXPECT_TRUE(registry().ended_frameworks().empty());
}

TEST_F(RegistryFirstTest, AnIdThatNobodyWasToldMayBeGuessed) {
  master_.registry().Hold();
  TestFramework framework(master_);
  framework.Subscribe();
  framework.Disconnect();
  master_.registry().Answer(1);
  master_.Run();
  ASSERT_EQ(registry().frameworks().count("M1-0000"), 1);
  // It is about to be forgotten.
  TestFramework guess(master_);
  guess.info.mutable_id()->set_value("M1-0000");
  guess.Subscribe();
  EXPECT_EQ(guess.TakeBytes(), "");
  Release();
  EXPECT_EQ(IdOf(guess), "M1-0000");
  EXPECT_EQ(NameOf("M1-0000"), "test");
}

TEST_F(RegistryFirstTest, WhatHasNotChangedIsNotWrittenAgain) {
  TestFramework framework(master_);
  framework.info.set_failover_timeout(100);
  framework.Subscribe();
  framework.Disconnect();
  master_.registry().Hold();
  framework.Subscribe();
  EXPECT_EQ(IdOf(framework), "M1-0000");
}

TEST_F(RegistryFirstTest, OfSeveralSubscriptionsTheLastCounts) {
  TestFramework first(master_);
  first.info.set_failover_timeout(100);
  first.Subscribe();
  first.Take();
  TestFramework second(master_), third(master_);
  second.info = first.info;
  third.info = first.info;
  second.info.set_name("second");
  third.info.set_name("third");
  third.info.set_user("other");
  master_.registry().Hold();
  second.Subscribe();
  third.Subscribe();
  EXPECT_EQ(second.Take().at(0).error().message(), "Framework failed over");
  EXPECT_TRUE(first.Take().empty()) << "it goes on meanwhile";
  Release();
  EXPECT_EQ(first.Take().at(0).error().message(), "Framework failed over");
  EXPECT_EQ(IdOf(third), "M1-0000");
  EXPECT_EQ(Find("M1-0000")->info.name(), "third");
  EXPECT_EQ(registry().frameworks().at("M1-0000").info().name(), "third");
  EXPECT_EQ(registry().frameworks().at("M1-0000").info().user(), "root");
}

TEST_F(RegistryFirstTest, ItsTimeIsNotOverWhileItWaitsForTheRegistry) {
  TestFramework framework(master_);
  framework.info.set_failover_timeout(10);
  framework.Subscribe();
  framework.Disconnect();
  master_.registry().Hold();
  master_.Run(seconds(9));
  framework.info.set_name("renamed");
  framework.Subscribe();
  master_.Run(seconds(5));
  Release();
  EXPECT_EQ(IdOf(framework), "M1-0000");
  EXPECT_TRUE(Find("M1-0000")->connected());

  // And counts again when it has left before.
  framework.Disconnect();
  master_.registry().Hold();
  framework.info.set_name("renamed again");
  framework.Subscribe();
  framework.Disconnect();
  Release();
  EXPECT_EQ(NameOf("M1-0000"), "renamed again");
  master_.Run(seconds(9));
  EXPECT_FALSE(registry().HasEnded("M1-0000"));
  master_.Run(seconds(1));
  EXPECT_TRUE(registry().HasEnded("M1-0000"));
}

TEST_F(RegistryFirstTest, AnEndIsToldWhenItIsDurable) {
  TestFramework framework(master_);
  framework.Subscribe();
  framework.Take();
  master_.registry().Hold();
  auto answer = master_.Ask(TearDownById(framework.id()));
  auto again = master_.Ask(TearDownById(framework.id()));
  EXPECT_FALSE(answer->response || again->response);
  EXPECT_FALSE(framework.closed());
  // Comes too late, and is not told so before that is certain.
  TestFramework successor(master_);
  successor.info = framework.info;
  successor.Subscribe();
  EXPECT_EQ(successor.TakeBytes(), "");
  Release();
  EXPECT_EQ(answer->response->status, 200);
  EXPECT_EQ(again->response->status, 200);
  EXPECT_TRUE(framework.closed());
  EXPECT_EQ(successor.Take().at(0).error().message(), kRemoved);
  EXPECT_EQ(registry().ended_frameworks().size(), 1);
  EXPECT_EQ(master_.Ask(TearDownById(framework.id()))->response->status, 400);
}

TEST_F(RegistryFirstTest, UpdatesAreDurable) {
  TestFramework framework(master_);
  framework.Subscribe();
  const FrameworkInfo renamed = Named(framework.info, "new");
  master_.registry().Hold();
  auto answer = AskUpdate(framework, renamed);
  EXPECT_FALSE(answer->response);
  Release();
  EXPECT_EQ(answer->response->status, 200);
  EXPECT_EQ(NameOf("M1-0000"), "new");

  master_.registry().Hold();
  EXPECT_EQ(AskUpdate(framework, renamed)->response->status, 200)
      << "nothing has changed";
  master_.Ask(TearDownById(framework.id()));
  answer = AskUpdate(framework, renamed);
  Release();
  EXPECT_EQ(answer->response->status, 409);
}

TEST_F(RegistryFirstTest, OfSeveralUpdatesTheLastCounts) {
  TestFramework framework(master_);
  framework.Subscribe();
  master_.registry().Hold();
  const auto there = AskUpdate(framework, Named(framework.info, "new"));
  const auto back = AskUpdate(framework, framework.info);
  EXPECT_FALSE(there->response || back->response);
  Release();
  EXPECT_EQ(there->response->status, 200);
  EXPECT_EQ(back->response->status, 200);
  EXPECT_EQ(NameOf("M1-0000"), "test");
}

TEST_F(RegistryFirstTest, OfAnUpdateAndASubscriptionTheLastCounts) {
  TestFramework framework(master_);
  framework.Subscribe();
  TestFramework second(master_);
  second.info = Named(framework.info, "second");
  master_.registry().Hold();
  second.Subscribe();
  const auto updated = AskUpdate(framework, Named(framework.info, "updated"));
  EXPECT_FALSE(updated->response);
  Release();
  EXPECT_EQ(updated->response->status, 200);
  EXPECT_EQ(IdOf(second), "M1-0000");
  EXPECT_EQ(NameOf("M1-0000"), "updated");

  TestFramework third(master_);
  third.info = Named(framework.info, "updated");
  master_.registry().Hold();
  AskUpdate(second, Named(framework.info, "other"));
  third.Subscribe();
  EXPECT_EQ(third.TakeBytes(), "") << "the registry will hold something else";
  Release();
  EXPECT_EQ(IdOf(third), "M1-0000");
  EXPECT_EQ(NameOf("M1-0000"), "updated");
}

// -----------------------------------------------------------------------------
// What the registry does not try

TEST_F(RegistryFirstTest, WhatWasNotTriedMayBeTriedAgain) {
  TestFramework framework(master_);
  framework.Subscribe();
  framework.Take();
  master_.registry().Refuse(kBusy);
  const auto by_id = master_.Ask(TearDownById(framework.id()));
  EXPECT_EQ(by_id->response->status, 503);
  EXPECT_TRUE(absl::StrContains(by_id->response->body, "too many wait"));
  EXPECT_EQ(framework.Send(EndCall()).status, 503);
  EXPECT_EQ(
      AskUpdate(framework, Named(framework.info, "new"))->response->status,
      503);
  // Not an ERROR, with which frameworks end.
  TestFramework second(master_);
  second.Subscribe();
  EXPECT_TRUE(second.closed());
  EXPECT_EQ(second.TakeBytes(), "");
  EXPECT_TRUE(Find(framework.id())->connected());
  EXPECT_FALSE(framework.closed());

  master_.registry().Refuse(absl::OkStatus());
  second.Subscribe();
  EXPECT_EQ(IdOf(second), "M1-0002");
  EXPECT_EQ(framework.Send(EndCall()).status, 202);
  EXPECT_TRUE(registry().HasEnded(framework.id()));
}

TEST_F(RegistryFirstTest, WhoseSubscriptionWasNotTriedHasItsTimeAgain) {
  TestFramework framework(master_);
  framework.info.set_failover_timeout(10);
  framework.Subscribe();
  framework.Disconnect();
  master_.Run(seconds(9));
  master_.registry().Refuse(kBusy);
  framework.info.set_name("renamed");
  framework.Subscribe();
  master_.registry().Refuse(absl::OkStatus());
  master_.Run(seconds(9));
  EXPECT_FALSE(registry().HasEnded("M1-0000"));
  master_.Run(seconds(1));
  EXPECT_TRUE(registry().HasEnded("M1-0000"));
}

TEST_F(RegistryFirstTest, AnEndThatWasNotTriedIsTriedAgain) {
  TestFramework framework(master_);
  framework.info.set_failover_timeout(10);
  framework.Subscribe();
  framework.Disconnect();
  master_.registry().Refuse(kBusy);
  master_.Run(seconds(12));
  EXPECT_FALSE(registry().HasEnded("M1-0000"));
  EXPECT_NE(Find("M1-0000"), nullptr);
  master_.registry().Refuse(absl::OkStatus());
  master_.Run(kRegistryRetry);
  EXPECT_TRUE(registry().HasEnded("M1-0000"));
  EXPECT_EQ(Find("M1-0000"), nullptr);
}

// It is as one whose leader has changed.
TEST_F(RegistryFirstTest, WhoCouldNotBeForgottenEndsInTime) {
  master_.registry().Hold();
  TestFramework framework(master_);
  framework.Subscribe();
  framework.Disconnect();
  master_.registry().Refuse(kBusy);
  Release();
  EXPECT_NE(Find("M1-0000"), nullptr);
  master_.registry().Refuse(absl::OkStatus());
  master_.Run(minutes(10));
  EXPECT_TRUE(registry().HasEnded("M1-0000"));
  EXPECT_TRUE(registry().frameworks().empty());
}

// -----------------------------------------------------------------------------
// What it is not asked to hold

TEST_F(RegistryFirstTest, AllDescriptionsTogetherAreBounded) {
  const size_t bytes = kMaxInfoBytes - 1000;
  const std::string name(bytes, 'x');
  std::vector<std::unique_ptr<TestFramework>> frameworks;
  const auto subscribe = [&] {
    frameworks.push_back(std::make_unique<TestFramework>(master_));
    frameworks.back()->info.set_name(name);
    frameworks.back()->info.set_failover_timeout(1000);
    frameworks.back()->Subscribe();
    return frameworks.back()->Take();
  };
  // Also those that wait count.
  for (size_t i = 0; i < kMaxFrameworkBytes / bytes - 1; ++i) subscribe();
  master_.registry().Hold();
  EXPECT_TRUE(subscribe().empty());
  const auto refused = subscribe();
  ASSERT_EQ(refused.size(), 1);
  EXPECT_TRUE(absl::StrContains(refused[0].error().message(), "tear down"))
      << refused[0].error().message();
  Release();
  EXPECT_EQ(registry().frameworks().size(), kMaxFrameworkBytes / bytes);
  // Who is known may come back, also with something else, but not with more.
  TestFramework& first = *frameworks[0];
  first.info.set_name(std::string(bytes, 'y'));
  first.Subscribe();
  EXPECT_EQ(first.Take().at(0).type(), Event::SUBSCRIBED);
  FrameworkInfo large = first.info;
  large.set_name(name.substr(0, 10));
  EXPECT_EQ(AskUpdate(first, large)->response->status, 200);
  EXPECT_EQ(subscribe().at(0).type(), Event::SUBSCRIBED);
  large.set_name(name);
  const auto too_large = AskUpdate(first, large);
  EXPECT_EQ(too_large->response->status, 400);
  EXPECT_TRUE(absl::StrContains(too_large->response->body, "tear down"));
  EXPECT_TRUE(subscribe().at(0).has_error());
  EXPECT_EQ(frameworks[1]->Send(EndCall()).status, 202);
  EXPECT_EQ(subscribe().at(0).type(), Event::SUBSCRIBED);
}

// Also what somebody says who is gone before the answer.
TEST_F(RegistryFirstTest, WhatTheRegistryHasTakenCounts) {
  std::vector<std::unique_ptr<TestFramework>> frameworks;
  for (size_t i = 0; i < kMaxFrameworkBytes / kMaxInfoBytes + 10; ++i) {
    frameworks.push_back(std::make_unique<TestFramework>(master_));
    frameworks.back()->info.set_failover_timeout(1000);
    frameworks.back()->Subscribe();
  }
  for (const auto& framework : frameworks) {
    framework->info.set_name(std::string(kMaxInfoBytes - 1000, 'x'));
    master_.registry().Hold();
    framework->Subscribe();
    if (!framework->closed()) framework->Disconnect();
    Release();
  }
  size_t bytes = 0;
  for (const auto& [id, framework] : registry().frameworks()) {
    bytes += framework.info().ByteSizeLong();
  }
  EXPECT_LE(bytes, kMaxFrameworkBytes);
}

TEST_F(RegistryFirstTest, LittleIsKeptOfWhoHasEnded) {
  TestFramework framework(master_);
  framework.info.set_name(std::string(1000, 'n'));
  for (int i = 0; i < 200; ++i) framework.info.mutable_user()->append("é");
  framework.info.set_principal(std::string(1000, 'p'));
  framework.Subscribe();
  EXPECT_EQ(framework.Send(EndCall()).status, 202);
  const FrameworkInfo& kept = registry().ended_frameworks().at(0).info();
  EXPECT_EQ(kept.id().value(), "M1-0000");
  EXPECT_EQ(kept.name(), std::string(255, 'n'));
  EXPECT_EQ(kept.principal(), std::string(255, 'p'));
  // Not half a character.
  EXPECT_EQ(kept.user(), framework.info.user().substr(0, 254));
}

TEST_F(RegistryFirstTest, WhatAnAgentTellsOfAFrameworkIsBounded) {
  TestAgent agent(master_, "10.0.0.2");
  agent.info.mutable_id()->set_value("A");
  FrameworkInfo& info = *agent.listing.add_frameworks();
  info.mutable_id()->set_value("F");
  info.set_name(std::string(9 << 20, 'x'));
  info.set_user("root");
  info.set_failover_timeout(std::numeric_limits<double>::quiet_NaN());
  info.set_checkpoint(true);
  agent.Reregister();
  ASSERT_NE(Find("F"), nullptr);
  EXPECT_EQ(Find("F")->info.name(), std::string(255, 'x'));
  EXPECT_EQ(Find("F")->info.failover_timeout(), 0);
  EXPECT_TRUE(Find("F")->info.checkpoint());
  EXPECT_EQ(master_.Ask(TearDownById("F"))->response->status, 200);
  EXPECT_LT(registry().ended_frameworks().at(0).ByteSizeLong(), 1000);
}

TEST_F(RegistryFirstTest, AmountsThatAreNoneAreRefused) {
  const auto subscribe = [this](double cpus) {
    TestFramework framework(master_);
    auto& minimum = *(*framework.info.mutable_offer_filters())["*"]
                         .mutable_min_allocatable_resources();
    (*minimum.add_quantities()->mutable_quantities())["cpus"].set_value(cpus);
    Call call;
    call.set_type(Call::SUBSCRIBE);
    *call.mutable_subscribe()->mutable_framework_info() = framework.info;
    auto answer = master_.Ask(
        {.method = "POST",
         .target = "/api/v1/scheduler",
         .headers = {{"Content-Type", "application/x-protobuf"},
                     {"Accept", "application/json"}},
         .body = api::SerializeBody(api::MediaType::kProtobuf, call)},
        std::make_shared<testing::StreamEnd>());
    return answer->stream->bytes;
  };
  using Limits = std::numeric_limits<double>;
  for (const auto& [words, cpus] : std::vector<std::pair<std::string, double>>{
           {"NaN not supported", Limits::quiet_NaN()},
           {"Infinite values not supported", Limits::infinity()},
           {"Infinite values not supported", -Limits::infinity()},
           {"Negative values not supported", -1}}) {
    const std::string refusal = subscribe(cpus);
    EXPECT_TRUE(absl::StrContains(refusal, words)) << refusal;
    EXPECT_TRUE(absl::StrContains(refusal, "offer_filters")) << refusal;
  }
  EXPECT_EQ(master_.registry().asked(), 0);
  EXPECT_TRUE(absl::StrContains(subscribe(0), "SUBSCRIBED"));
  EXPECT_TRUE(absl::StrContains(subscribe(0.5), "SUBSCRIBED"));
}

// A comparison that says "another" for the same for ever must not make the
// leader write for ever.
TEST_F(RegistryFirstTest, ASubscriptionIsWrittenOnce) {
  TestFramework framework(master_);
  auto& filters = *framework.info.mutable_offer_filters();
  for (int i = 0; i < 100; ++i) filters[absl::StrCat("role-", i)];
  framework.info.mutable_labels()->add_labels()->set_key("k");
  framework.info.set_failover_timeout(100);
  framework.Subscribe();
  EXPECT_EQ(framework.Take().at(0).type(), Event::SUBSCRIBED);
  EXPECT_EQ(master_.registry().asked(), 1);
  framework.Disconnect();
  framework.Subscribe();
  EXPECT_EQ(framework.Take().at(0).type(), Event::SUBSCRIBED);
  EXPECT_EQ(master_.registry().asked(), 1);
}

// Also if the registry does not give back what it took.
TEST_F(RegistryFirstTest, WhatWasJustWrittenIsNotComparedAgain) {
  master_.registry().Hold();
  TestFramework framework(master_);
  framework.Subscribe();
  master_.registry().Distort();
  Release();
  EXPECT_EQ(IdOf(framework), "M1-0000");
  EXPECT_EQ(master_.registry().asked(), 1);
}

// What the registry could not hold is refused, and does not cost the leader
// its life.
TEST_F(RegistryFirstTest, HugeDescriptionsAreRefused) {
  TestFramework framework(master_);
  framework.info.set_name(std::string(kMaxInfoBytes, 'x'));
  framework.Subscribe();
  EXPECT_TRUE(absl::StrContains(framework.TakeBytes(), "larger than 1 MiB"));
  TestAgent agent(master_, "10.0.0.2");
  agent.info.add_attributes()->set_name(std::string(kMaxInfoBytes, 'x'));
  agent.info.mutable_attributes(0)->set_type(mesos::v1::Value::TEXT);
  agent.info.mutable_attributes(0)->mutable_text()->set_value("v");
  agent.Register("cpus:1");
  EXPECT_TRUE(agent.Next(AgentMessage::kShutdownAgent));
}

// A leader before, one framework that runs a task, and the leader after.
class NextLeaderTest : public ::testing::Test {
 protected:
  NextLeaderTest() {
    framework_.info.set_checkpoint(true);
    framework_.info.set_failover_timeout(2000);
    framework_.Subscribe();
    agent_.Register("cpus:2;mem:128");
    framework_.Launch(framework_.TakeOffers(), {"t"}, "cpus:1");
    const auto run = agent_.Next(AgentMessage::kRunTask);
    listing_ = wire::ReregisterAgent();
    *listing_.add_frameworks() = run->run_task().framework_info();
    wire::AgentTask& task = *listing_.add_tasks();
    *task.mutable_framework_id() = framework_.info.id();
    *task.mutable_task_info() = run->run_task().task();
    task.set_state(mesos::v1::TASK_RUNNING);
  }

  void FailOver(MasterOptions options = {}) {
    next_ = std::make_unique<Harness>(options, master_.registry().state());
    framework_again_ = std::make_unique<TestFramework>(*next_);
    framework_again_->info = framework_.info;
    agent_again_ = std::make_unique<TestAgent>(*next_, "10.0.0.2");
    agent_again_->info = agent_.info;
    agent_again_->listing = listing_;
  }
  const Framework* Find() {
    return next_->context().cluster.FindFramework(framework_.id());
  }
  bool Ended() { return next_->registry().state().HasEnded(framework_.id()); }

  Harness master_;
  TestAgent agent_{master_, "10.0.0.2"};
  TestFramework framework_{master_};
  wire::ReregisterAgent listing_;
  std::unique_ptr<Harness> next_;
  std::unique_ptr<TestFramework> framework_again_;
  std::unique_ptr<TestAgent> agent_again_;
};

TEST_F(NextLeaderTest, KnowsItsFrameworksBeforeAnyAgentIsBack) {
  master_.Run(seconds(100));
  FailOver();
  ASSERT_NE(Find(), nullptr);
  const std::string listed = next_->Get("/frameworks").body;
  EXPECT_TRUE(absl::StrContains(
      listed, R"("active":false,"connected":false,"recovered":true)"))
      << listed;
  EXPECT_TRUE(absl::StrContains(listed, R"("name":"test")"));
  // Since it subscribed first.
  EXPECT_EQ(Find()->registered_time,
            master_.context()
                .cluster.FindFramework(framework_.id())
                ->registered_time);
  const std::string state =
      next_->Post("/api/v1", R"({"type":"GET_FRAMEWORKS"})").body;
  EXPECT_TRUE(absl::StrContains(
      state, R"("active":false,"connected":false,"recovered":true)"))
      << state;
  framework_again_->Subscribe();
  EXPECT_EQ(framework_again_->Take().at(0).type(), Event::SUBSCRIBED);
  EXPECT_FALSE(Find()->recovered);
}

TEST_F(NextLeaderTest, ItsFailoverTimeoutBeginsWithTheElection) {
  FailOver();
  next_->Run(seconds(1999));
  EXPECT_FALSE(Ended());
  next_->Run(seconds(1));
  EXPECT_TRUE(Ended());
  EXPECT_EQ(Find(), nullptr);
}

TEST_F(NextLeaderTest, ItMayComeBackInTime) {
  FailOver();
  next_->Run(seconds(1999));
  framework_again_->Subscribe();
  next_->Run(seconds(5000));
  EXPECT_FALSE(Ended());
}

// Also one that wanted to be removed as soon as it is disconnected: it is not
// its fault that the leader has changed.
TEST_F(NextLeaderTest, EveryFrameworkHasTimeToFindTheNewLeader) {
  framework_.info.set_failover_timeout(0);
  framework_.Subscribe();
  FailOver();
  next_->Run(minutes(10) - seconds(1));
  EXPECT_FALSE(Ended());
  next_->Run(seconds(1));
  EXPECT_TRUE(Ended());
}

TEST_F(NextLeaderTest, TasksKeepTheirUser) {
  FailOver();
  framework_again_->info.set_user("other");
  framework_again_->info.set_checkpoint(false);
  framework_again_->Subscribe();
  EXPECT_EQ(Find()->info.user(), "root");
  EXPECT_TRUE(Find()->info.checkpoint());
}

TEST_F(NextLeaderTest, AnEndedFrameworkStaysEnded) {
  EXPECT_EQ(framework_.Send(EndCall()).status, 202);
  FailOver();
  framework_again_->Subscribe();
  EXPECT_EQ(framework_again_->Take().at(0).error().message(), kRemoved);
  const std::string listed = next_->Get("/frameworks").body;
  const size_t completed = listed.find("completed_frameworks");
  EXPECT_NE(listed.find(framework_.id(), completed), std::string::npos)
      << listed;
  // Its executors end with the return of their agent.
  agent_again_->Reregister();
  const auto shutdown = agent_again_->Next(AgentMessage::kShutdownFramework);
  ASSERT_TRUE(shutdown);
  EXPECT_EQ(shutdown->shutdown_framework().framework_id().value(),
            framework_.id());
  EXPECT_EQ(Find(), nullptr);
}

// The leader died while it was about to forget a framework that nobody was told
// of.
TEST_F(NextLeaderTest, WhoWasToBeForgottenEndsInTime) {
  master_.registry().Hold();
  TestFramework unheard(master_);
  unheard.Subscribe();
  unheard.Disconnect();
  master_.registry().Answer(1);
  master_.Run();
  master_.registry().Lose();
  FailOver();
  ASSERT_NE(next_->context().cluster.FindFramework("M1-0001"), nullptr);
  next_->Run(minutes(10));
  EXPECT_EQ(next_->context().cluster.FindFramework("M1-0001"), nullptr);
  EXPECT_TRUE(next_->registry().state().HasEnded("M1-0001"));
}

TEST_F(NextLeaderTest, MoreAreRefusedThanListed) {
  for (int i = 0; i < 5; ++i) {
    TestFramework framework(master_);
    framework.Subscribe();
    framework.Disconnect();
  }
  // Not counted: nobody was told their ids.
  for (int i = 0; i < 3; ++i) {
    TestFramework unheard(master_);
    master_.registry().Hold();
    unheard.Subscribe();
    unheard.Disconnect();
    master_.registry().Release();
    master_.Run();
  }
  EXPECT_EQ(master_.registry().state().ended_frameworks().size(), 5);
  FailOver({.max_completed_frameworks = 2});
  const auto& completed = next_->context().cluster.completed_frameworks();
  ASSERT_EQ(completed.size(), 2);
  EXPECT_EQ(completed.back()->id, "M1-0005");
  TestFramework framework(*next_);
  framework.info.mutable_id()->set_value("M1-0001");
  framework.Subscribe();
  EXPECT_EQ(framework.Take().at(0).error().message(), kRemoved);
}

TEST_F(NextLeaderTest, IsTornDownBeforeItHasComeBack) {
  FailOver();
  next_->registry().Hold();
  auto answer = next_->Ask(TearDownById(framework_.id()));
  EXPECT_FALSE(answer->response);
  next_->registry().Release();
  next_->Run();
  EXPECT_EQ(answer->response->status, 200);
  EXPECT_TRUE(Ended());
  agent_again_->Reregister();
  EXPECT_TRUE(agent_again_->Next(AgentMessage::kShutdownFramework));
}

TEST_F(NextLeaderTest, IsTornDownWhenOnlyItsAgentIsBack) {
  FailOver();
  agent_again_->Reregister();
  EXPECT_EQ(Find()->tasks.size(), 1);
  EXPECT_EQ(next_->Ask(TearDownById(framework_.id()))->response->status, 200);
  EXPECT_TRUE(agent_again_->Next(AgentMessage::kShutdownFramework));
  EXPECT_TRUE(Ended());
}

}  // namespace
}  // namespace quorate::master
