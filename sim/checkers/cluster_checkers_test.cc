// Each checker of tasks, resources, updates, agents and queues sees what it is
// there for, and nothing in what is right.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/agent/model.h"
#include "core/registry/registrar.h"
#include "core/registry/registry.pb.h"
#include "gtest/gtest.h"
#include "sim/checkers/admission.h"
#include "sim/checkers/framework_ends.h"
#include "sim/checkers/queue_bounds.h"
#include "sim/checkers/resource_books.h"
#include "sim/checkers/task_truth.h"
#include "sim/checkers/update_delivery.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono::seconds;

// What the checker says of `story`, "" for nothing.
template <typename Checker>
std::string Verdict(const std::function<void(Checker&)>& story) {
  World world(1);
  Checker checker(world);
  story(checker);
  return world.failure().value_or("");
}

constexpr int kFailed = 1 << 8;  // exit 1, as wait(2) has it
constexpr int kKilled = 9;

TEST(TaskTruthTest, ATaskThatIsLeftAlone) {
  EXPECT_EQ(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Asked("f", "t");
              c.Told("f", "t", "TASK_STARTING");
              c.Started("c1", "f", "t");
              c.Told("f", "t", "TASK_RUNNING");
              c.Told("f", "t", "TASK_UNREACHABLE");
              c.Told("f", "t", "TASK_RUNNING");
              c.Ended("c1", 0);
              c.Told("f", "t", "TASK_FINISHED");
              // Another framework's task of the same name.
              c.Asked("g", "t");
              c.Started("c2", "g", "t");
              c.Ended("c2", kFailed);
              c.Told("g", "t", "TASK_FAILED");
            }),
            "");
}

TEST(TaskTruthTest, StartedAsOftenAsItWasAskedFor) {
  const auto started_twice = [](bool asked_twice) {
    return Verdict<TaskTruth>([asked_twice](TaskTruth& c) {
      c.Asked("f", "t");
      c.Started("c1", "f", "t");
      c.Ended("c1", 0);
      c.Told("f", "t", "TASK_FINISHED");
      if (asked_twice) c.Asked("f", "t");
      c.Started("c2", "f", "t");
    });
  };
  EXPECT_NE(started_twice(false), "");
  EXPECT_EQ(started_twice(true), "");
  EXPECT_NE(Verdict<TaskTruth>([](TaskTruth& c) { c.Started("c1", "f", "t"); }),
            "");
}

TEST(TaskTruthTest, WhatIsOverDoesNotStart) {
  for (const char* state : {"TASK_LOST", "TASK_DROPPED", "TASK_KILLED"}) {
    const auto started_late = [state](bool asked_again) {
      return Verdict<TaskTruth>([&](TaskTruth& c) {
        c.Asked("f", "t");
        c.Told("f", "t", state);
        if (asked_again) c.Asked("f", "t");
        c.Started("c1", "f", "t");
      });
    };
    EXPECT_NE(started_late(false), "") << state;
    EXPECT_EQ(started_late(true), "") << state;
  }
}

TEST(TaskTruthTest, SomethingIsToldOfEachLaunch) {
  World world(1);
  TaskTruth c(world);
  c.Asked("f", "t");
  EXPECT_EQ(c.Unsettled(), "nothing was told of t; ");
  c.Told("f", "t", "TASK_STAGING");
  EXPECT_EQ(c.Unsettled(), "nothing was told of t but TASK_STAGING; ");
  c.Told("f", "t", "TASK_LOST");
  EXPECT_EQ(c.Unsettled(), "");
  c.Asked("f", "t");
  EXPECT_NE(c.Unsettled(), "");
  c.FrameworkRemoved("f");
  EXPECT_EQ(c.Unsettled(), "");
  // Its framework had yet to hear that it was removed.
  c.Asked("f", "v");
  EXPECT_EQ(c.Unsettled(), "");
  // What was only wanted to end was never asked for.
  c.KillWanted("f", "u");
  EXPECT_EQ(c.Unsettled(), "");
}

TEST(TaskTruthTest, TasksOfAnAgentThatIsGoneAreKilled) {
  const auto killed = [](const char* gone) {
    return Verdict<TaskTruth>([gone](TaskTruth& c) {
      c.Asked("f", "t");
      c.Asked("f", "u");
      c.Started("c1", "f", "t", "agent0");
      c.AgentGone(gone);
      c.Told("f", "t", "TASK_GONE_BY_OPERATOR");
      // It was on its way.
      c.Started("c2", "f", "u", "agent0");
      c.Ended("c1", kKilled);
      c.Ended("c2", kKilled);
    });
  };
  EXPECT_EQ(killed("agent0"), "");
  EXPECT_NE(killed("agent1"), "");
  EXPECT_NE(Verdict<TaskTruth>([](TaskTruth& c) {
              c.AgentGone("agent0");
              c.AgentBegins("agent0");
              c.Asked("f", "t");
              c.Started("c1", "f", "t", "agent0");
              c.Ended("c1", kKilled);
            }),
            "");
}

TEST(TaskTruthTest, ALaunchMayReachAnAgentThatIsGone) {
  const auto started = [](const char* gone) {
    return Verdict<TaskTruth>([gone](TaskTruth& c) {
      c.Asked("f", "t");
      c.AgentGone(gone);
      c.Told("f", "t", "TASK_GONE_BY_OPERATOR");
      c.Started("c1", "f", "t", "agent0");
    });
  };
  EXPECT_EQ(started("agent0"), "");
  EXPECT_NE(started("agent1"), "");
}

TEST(TaskTruthTest, WhatIsToBeOverEnds) {
  World world(1);
  TaskTruth c(world);
  for (const char* framework : {"f", "g"}) {
    c.Asked(framework, "t");
    c.Started(framework, framework, "t", "agent0");
    c.Told(framework, "t", "TASK_RUNNING");
  }
  EXPECT_EQ(c.Unsettled(), "");
  c.FrameworkRemoved("f");
  EXPECT_NE(c.Unsettled(), "");
  c.Ended("f", kKilled);
  EXPECT_EQ(c.Unsettled(), "");
  c.AgentGone("agent0");
  c.Told("g", "t", "TASK_GONE_BY_OPERATOR");
  c.AgentBegins("agent0");
  EXPECT_NE(c.Unsettled(), "");
  c.Ended("g", kKilled);
  EXPECT_EQ(c.Unsettled(), "");
  EXPECT_EQ(world.failure(), std::nullopt);
}

TEST(TaskTruthTest, WhatIsToldToRunRunsOrWillBeTold) {
  World world(1);
  TaskTruth c(world);
  c.Asked("f", "t");
  c.Started("c1", "f", "t");
  c.Told("f", "t", "TASK_RUNNING");
  EXPECT_EQ(c.Unsettled(), "");
  c.Ended("c1", std::nullopt);
  EXPECT_NE(c.Unsettled(), "");
  c.Told("f", "t", "TASK_FAILED");
  EXPECT_EQ(c.Unsettled(), "");
}

TEST(TaskTruthTest, ARemovedFrameworkMayLoseItsTasks) {
  World world(1);
  TaskTruth c(world);
  c.Asked("f", "t");
  c.Started("c1", "f", "t");
  c.Told("f", "t", "TASK_RUNNING");
  c.FrameworkRemoved("f");
  c.Ended("c1", kKilled);
  EXPECT_EQ(world.failure(), std::nullopt);
  EXPECT_EQ(c.Unsettled(), "");
  // What was sent before that, and arrives after.
  c.Told("f", "t", "TASK_RUNNING");
  EXPECT_EQ(c.Unsettled(), "");
}

TEST(TaskTruthTest, KilledByNobodysWish) {
  const auto killed = [](bool wanted) {
    return Verdict<TaskTruth>([wanted](TaskTruth& c) {
      c.Asked("f", "t");
      c.Started("c1", "f", "t");
      if (wanted) c.KillWanted("f", "t");
      c.Ended("c1", kKilled);
    });
  };
  EXPECT_NE(killed(false), "");
  EXPECT_EQ(killed(true), "");
  // With the power of its machine.
  EXPECT_EQ(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Asked("f", "t");
              c.Started("c1", "f", "t");
              c.Ended("c1", std::nullopt);
              c.Told("f", "t", "TASK_LOST");
            }),
            "");
}

TEST(TaskTruthTest, ToldWhatIsNotSo) {
  const auto told = [](const std::string& state) {
    return Verdict<TaskTruth>([&state](TaskTruth& c) {
      c.Asked("f", "t");
      c.Started("c1", "f", "t");
      c.Told("f", "t", state);
    });
  };
  EXPECT_EQ(told("TASK_RUNNING"), "");
  for (const char* state : {"TASK_FINISHED", "TASK_FAILED", "TASK_LOST",
                            "TASK_UNKNOWN", "TASK_GONE"}) {
    EXPECT_NE(told(state), "") << state;
  }
  EXPECT_NE(Verdict<TaskTruth>(
                [](TaskTruth& c) { c.Told("f", "t", "TASK_RUNNING"); }),
            "");
  EXPECT_NE(Verdict<TaskTruth>([](TaskTruth& c) {
              c.Asked("f", "t");
              c.Started("c1", "f", "t");
              c.Ended("c1", kFailed);
              c.Told("f", "t", "TASK_FINISHED");
            }),
            "");
}

Resources Parse(absl::string_view text) { return *Resources::ParseText(text); }

std::string BooksVerdict(const Books& books) {
  return Verdict<ResourceBooks>(
      [&](ResourceBooks& c) { c.Check("master0", books); });
}

TEST(ResourceBooksTest, NothingIsGivenAwayTwice) {
  Books books{.agent = "a", .total = Parse("cpus:4;mem:100;ports:[1-9]")};
  EXPECT_EQ(BooksVerdict(books), "");
  books.held["task f t"] = Parse("cpus:3;ports:[1-5]");
  books.held["offer 1"] = Parse("cpus:1;ports:[6-9]");
  EXPECT_EQ(BooksVerdict(books), "");
  books.held["offer 2"] = Parse("cpus:0.001");
  EXPECT_NE(BooksVerdict(books), "");
  // A sum would say that ports 1 to 5 are in use, which they may be.
  books.held["offer 2"] = Parse("ports:[5-5]");
  EXPECT_NE(BooksVerdict(books), "");
  books.held["offer 2"] = Parse("disk:1");
  EXPECT_NE(BooksVerdict(books), "");
}

TEST(ResourceBooksTest, WhatIsMissingIsAViolation) {
  Books books{.agent = "a", .total = Parse("cpus:4")};
  books.wrong = "task f t is there and not known; ";
  EXPECT_NE(BooksVerdict(books), "");
}

// An agent that holds a task of unreadable resources.
TEST(ResourceBooksTest, WhatCannotBeReadIsAViolation) {
  agent::Workload workload;
  mesos::v1::FrameworkInfo info;
  info.mutable_id()->set_value("f");
  agent::Framework& framework = workload.AddFramework(info);
  auto executor = std::make_unique<agent::Executor>();
  executor->run.framework_id = "f";
  executor->generated = true;
  executor->state = agent::Executor::State::kRunning;
  mesos::v1::Resource& resource = *executor->tasks["t"].info.add_resources();
  resource.set_name("cpus");
  resource.set_type(mesos::v1::Value::SCALAR);
  resource.mutable_scalar()->set_value(-1);
  framework.executors["e"] = std::move(executor);
  EXPECT_NE(BooksVerdict(BooksOf("a", Parse("cpus:4"), workload)), "");
}

// What is ended with its framework belongs to others already, but has to end.
TEST(ResourceBooksTest, OfAFrameworkThatWasRemoved) {
  agent::Workload workload;
  mesos::v1::FrameworkInfo info;
  info.mutable_id()->set_value("f");
  agent::Framework& framework = workload.AddFramework(info);
  auto executor = std::make_unique<agent::Executor>();
  executor->run.framework_id = "f";
  executor->generated = true;
  executor->state = agent::Executor::State::kRunning;
  Parse("cpus:5").ToProto(executor->tasks["t"].info.mutable_resources());
  framework.executors["e"] = std::move(executor);
  const auto books = [&] { return BooksOf("a", Parse("cpus:4"), workload); };
  EXPECT_NE(BooksVerdict(books()), "");
  framework.terminating = true;
  EXPECT_EQ(BooksVerdict(books()), "");
  const Books master{.agent = "a", .total = Parse("cpus:4")};
  EXPECT_NE(ResourceBooks::Differences(master, books()), "");
}

TEST(ResourceBooksTest, Conservation) {
  Books master{.agent = "a", .total = Parse("cpus:4")};
  Books agent = master;
  master.held["task f t"] = agent.held["task f t"] = Parse("cpus:1");
  // Of no concern to the agent.
  master.held["offer 1"] = Parse("cpus:3");
  EXPECT_EQ(ResourceBooks::Differences(master, agent), "");
  agent.held["task f u"] = Parse("cpus:1");
  EXPECT_NE(ResourceBooks::Differences(master, agent), "");
  master.held["task f u"] = Parse("cpus:2");
  EXPECT_NE(ResourceBooks::Differences(master, agent), "");
  master.held["task f u"] = Parse("cpus:1");
  EXPECT_EQ(ResourceBooks::Differences(master, agent), "");
  agent.total = Parse("cpus:5");
  EXPECT_NE(ResourceBooks::Differences(master, agent), "");
}

using Delivery = UpdateDelivery;

TEST(UpdateDeliveryTest, InOrderAndAtLeastOnce) {
  World world(1);
  Delivery c(world);
  c.Taken("a", "f", "t", "1", true);
  c.Taken("a", "f", "t", "2", true);
  EXPECT_NE(c.Unheard(), "");
  c.Heard("a", "f", "t", "1");
  // A restarted agent takes again what it finds, and repeats.
  c.Taken("a", "f", "t", "1", true);
  c.Heard("a", "f", "t", "1");
  c.Heard("a", "f", "t", "2");
  c.Heard("a", "f", "t", "1");
  EXPECT_EQ(c.Unheard(), "");
  EXPECT_EQ(world.failure(), std::nullopt);
  EXPECT_EQ(c.heard(), 2u);
}

TEST(UpdateDeliveryTest, NothingIsLeftOutNorMadeUp) {
  EXPECT_NE(Verdict<Delivery>([](Delivery& c) {
              c.Taken("a", "f", "t", "1", true);
              c.Taken("a", "f", "t", "2", true);
              c.Heard("a", "f", "t", "2");
            }),
            "");
  EXPECT_NE(Verdict<Delivery>([](Delivery& c) { c.Heard("a", "f", "t", "1"); }),
            "");
  // Another task's.
  EXPECT_NE(Verdict<Delivery>([](Delivery& c) {
              c.Taken("a", "f", "t", "1", true);
              c.Heard("a", "f", "u", "1");
            }),
            "");
}

TEST(UpdateDeliveryTest, WhatIsNotDurableMayBeSkipped) {
  EXPECT_EQ(Verdict<Delivery>([](Delivery& c) {
              c.Taken("a", "f", "t", "1", false);
              c.Taken("a", "f", "t", "2", false);
              c.Heard("a", "f", "t", "2");
            }),
            "");
}

TEST(UpdateDeliveryTest, WhatMayBeLost) {
  World world(1);
  Delivery c(world);
  c.Taken("a", "f", "t", "1", false);
  c.Taken("b", "f", "u", "2", true);
  c.Taken("b", "g", "v", "3", true);
  EXPECT_NE(c.Unheard(), "");
  c.Forgotten("b");
  EXPECT_EQ(c.Unheard(), "");
  c.Taken("a", "g", "w", "4", true);
  EXPECT_NE(c.Unheard(), "");
  c.FrameworkRemoved("g");
  EXPECT_EQ(c.Unheard(), "");
  c.Taken("a", "g", "x", "5", true);
  EXPECT_EQ(c.Unheard(), "");
}

registry::RegistryState StateWith(const char* field, const std::string& id) {
  registry::Snapshot part;
  registry::Registry& registry = *part.mutable_registry();
  if (std::string(field) == "admitted") {
    registry.add_admitted()->mutable_info()->mutable_id()->set_value(id);
    registry.mutable_admitted(0)->mutable_info()->set_hostname("h");
  } else if (std::string(field) == "unreachable") {
    auto& unreachable = *registry.add_unreachable();
    unreachable.mutable_id()->set_value(id);
    unreachable.mutable_timestamp()->set_nanoseconds(1);
  } else {
    auto& gone = *registry.add_gone();
    gone.mutable_id()->set_value(id);
    gone.mutable_timestamp()->set_nanoseconds(1);
  }
  registry::RegistryState state;
  state.Add(part);
  return state;
}

TEST(AdmissionTest, OnlyTheAdmittedAreRegistered) {
  EXPECT_EQ(Verdict<Admission>([](Admission& c) {
              c.Registered("m", "a", StateWith("admitted", "a"));
            }),
            "");
  EXPECT_NE(Verdict<Admission>([](Admission& c) {
              c.Registered("m", "a", StateWith("admitted", "b"));
            }),
            "");
}

TEST(AdmissionTest, TheGoneStayGone) {
  EXPECT_NE(Verdict<Admission>([](Admission& c) {
              c.Committed(StateWith("gone", "a"));
              c.Registered("m", "a", StateWith("admitted", "a"));
            }),
            "");
}

TEST(AdmissionTest, UnreachableByACommittedEntryOnly) {
  EXPECT_NE(Verdict<Admission>([](Admission& c) { c.Unreachable("m", "a"); }),
            "");
  EXPECT_EQ(Verdict<Admission>([](Admission& c) {
              c.Committed(StateWith("unreachable", "a"));
              c.Committed(StateWith("admitted", "a"));
              // Told late.
              c.Unreachable("f", "a");
            }),
            "");
}

TEST(AdmissionTest, GoneByACommittedEntryOnly) {
  EXPECT_NE(
      Verdict<Admission>([](Admission& c) { c.GoneByOperator("f", "a"); }), "");
  EXPECT_EQ(Verdict<Admission>([](Admission& c) {
              c.Committed(StateWith("gone", "a"));
              c.GoneByOperator("f", "a");
            }),
            "");
}

TEST(FrameworkEndsTest, TheSubscribedAreInTheRegistry) {
  const auto known = [](bool subscribed, bool in_registry) {
    return Verdict<FrameworkEnds>(
        [=](FrameworkEnds& c) { c.Known("m", "f", subscribed, in_registry); });
  };
  EXPECT_EQ(known(true, true), "");
  EXPECT_EQ(known(false, true), "");
  // Only its agents have told of it.
  EXPECT_EQ(known(false, false), "");
  EXPECT_NE(known(true, false), "");
}

TEST(FrameworkEndsTest, AnEndThatIsToldIsInTheRegistry) {
  for (bool ended : {false, true}) {
    const std::string verdict = Verdict<FrameworkEnds>([=](FrameworkEnds& c) {
      if (ended) c.Ended("f");
      c.ToldEnded("the operator", "f");
    });
    EXPECT_EQ(verdict.empty(), ended);
  }
}

TEST(FrameworkEndsTest, TheEndedStayEnded) {
  EXPECT_EQ(Verdict<FrameworkEnds>([](FrameworkEnds& c) {
              c.Known("m", "f", true, true);
              c.Ended("f");
              c.Known("m", "g", true, true);
            }),
            "");
  for (bool subscribed : {false, true}) {
    EXPECT_NE(Verdict<FrameworkEnds>([=](FrameworkEnds& c) {
                c.Ended("f");
                c.Known("next", "f", subscribed, true);
              }),
              "");
  }
}

// What becomes of a queue whose size is so at each second.
std::string BoundsVerdict(const std::function<size_t(int second)>& size,
                          bool fills) {
  World world(1);
  QueueBounds c(world);
  for (int second = 0; second < 1000 && !world.failure(); ++second) {
    c.Sample("m", {{"things", size(second), 1000, fills}});
    world.RunFor(seconds(1));
  }
  return world.failure().value_or("");
}

TEST(QueueBoundsTest, LimitsAndGrowth) {
  const auto saw = [](int second) { return size_t(second % 120); };
  const auto slope = [](int second) { return size_t(second); };
  const auto steep = [](int second) { return size_t(2 * second); };
  EXPECT_EQ(BoundsVerdict(saw, false), "");
  EXPECT_NE(BoundsVerdict(slope, false), "");
  EXPECT_EQ(BoundsVerdict(slope, true), "");
  EXPECT_NE(BoundsVerdict(steep, true), "");
}

}  // namespace
}  // namespace quorate::sim
