// The agent and the command executor as whole roles.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/http/client.h"
#include "core/json/value.h"
#include "sim/roles/agent_world.h"

namespace quorate::sim {
namespace {

using mesos::v1::TaskStatus;
using std::chrono::minutes;
using std::chrono::seconds;

using States = std::vector<std::string>;

http::Request Post(const std::string& target, const std::string& body) {
  http::Request request;
  request.method = "POST";
  request.target = target;
  request.headers.Set("Content-Type", "application/json");
  request.body = body;
  return request;
}

http::Request Get(const std::string& target) {
  http::Request request;
  request.target = target;
  return request;
}

int Count(const AgentWorld& w, wire::AgentMessage::KindCase kind) {
  return static_cast<int>(std::count_if(
      w.script.received.begin(), w.script.received.end(),
      [kind](const auto& message) { return message.kind_case() == kind; }));
}

TEST(AgentTest, RunsACommandToItsEnd) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("hello", "echo hello; sleep 1");
  ASSERT_TRUE(w.AwaitState("hello", mesos::v1::TASK_FINISHED));
  EXPECT_EQ(w.States("hello"),
            (States{"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"}));
  const TaskStatus last = w.Last("hello");
  EXPECT_EQ(last.message(), "Command exited with status 0");
  EXPECT_EQ(last.source(), TaskStatus::SOURCE_EXECUTOR);
  EXPECT_EQ(last.agent_id().value(), "master-S0");
  EXPECT_EQ(last.executor_id().value(), "hello");
  EXPECT_FALSE(last.container_status().container_id().value().empty());

  // The executor leaves when the agent has its last update.
  ASSERT_TRUE(w.RunUntil([&] { return w.agent()->view().tasks.empty(); }));
  const auto state = json::Parse(w.Exchange(Get("/slave(1)/state")).body);
  ASSERT_TRUE(state.ok());
  const auto all = [&]() -> std::string {
    for (const char* list : {"frameworks", "completed_frameworks"}) {
      for (const auto& framework : (*state)[list].items()) {
        for (const char* kind : {"executors", "completed_executors"}) {
          for (const auto& executor : framework[kind].items()) {
            return std::string(executor["directory"].AsString());
          }
        }
      }
    }
    return "";
  }();
  ASSERT_FALSE(all.empty());
  const http::Response output =
      w.Exchange(Get("/files/read?path=" + all + "/stdout&offset=0"));
  EXPECT_EQ(output.body, R"({"data":"hello\n","offset":0})");
}

// The master frees a task's resources by its latest state, also if nobody
// acknowledges: it must not lag behind the update that carries it.
TEST(AgentTest, AnUpdateCarriesAStateThatIsNotOlder) {
  for (const bool checkpoint : {false, true}) {
    AgentWorld w(1);
    w.checkpoint = checkpoint;
    w.Begin();
    w.Launch("t", "true");
    ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FINISHED));
    ASSERT_EQ(w.States("t").size(), 3u);
    for (const auto& message : w.script.received) {
      if (!message.has_status_update()) continue;
      const auto latest = message.status_update().latest_state();
      EXPECT_NE(latest, mesos::v1::TASK_STAGING);
      // By number: STARTING, RUNNING, FINISHED.
      EXPECT_GE(latest, message.status_update().status().state())
          << "checkpoint " << checkpoint;
    }
  }
}

TEST(AgentTest, TellsHowACommandFailed) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("fails", "exit 7");
  ASSERT_TRUE(w.AwaitState("fails", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("fails").message(), "Command exited with status 7");
}

TEST(AgentTest, RepeatsAnUpdateUntilItIsAcknowledged) {
  AgentWorld w(1);
  w.script.acknowledges = false;
  w.Begin();
  w.Launch("t", "sleep 100");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_STARTING));
  w.world.RunFor(seconds(35));
  EXPECT_EQ(w.script.repetitions, 2);  // After 10 and 30 seconds.
  // The next one waits for the acknowledgement of the first.
  EXPECT_EQ(w.States("t"), States{"TASK_STARTING"});
  w.script.acknowledges = true;
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING, minutes(2)));
}

TEST(AgentTest, KillsGentlyAndThenNot) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("soft", "sleep 100");
  w.Launch("hard", "trap '' TERM; sleep 100");
  ASSERT_TRUE(w.AwaitState("soft", mesos::v1::TASK_RUNNING));
  ASSERT_TRUE(w.AwaitState("hard", mesos::v1::TASK_RUNNING));
  w.Kill("soft");
  w.Kill("hard");
  ASSERT_TRUE(w.AwaitState("soft", mesos::v1::TASK_KILLED, seconds(1)));
  EXPECT_EQ(w.Last("soft").message(),
            "Command terminated with signal Terminated");
  EXPECT_FALSE(w.AwaitState("hard", mesos::v1::TASK_KILLED, seconds(1)));
  ASSERT_TRUE(w.AwaitState("hard", mesos::v1::TASK_KILLED, seconds(3)));
  EXPECT_EQ(w.Last("hard").message(), "Command terminated with signal Killed");
  EXPECT_EQ(w.States("hard"), (States{"TASK_STARTING", "TASK_RUNNING",
                                      "TASK_KILLING", "TASK_KILLED"}));
}

TEST(AgentTest, ATaskThatIsKilledBeforeItsExecutorIsThereNeverRuns) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 100");
  w.Kill("t");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_KILLED));
  EXPECT_EQ(w.Last("t").reason(), TaskStatus::REASON_TASK_KILLED_DURING_LAUNCH);
  EXPECT_TRUE(w.RunUntil([&] { return w.agent()->view().tasks.empty(); }));
  w.world.RunFor(seconds(5));
  EXPECT_TRUE(w.commands.empty());
}

TEST(AgentTest, TheEndOfAnExecutorFailsItsTask) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 100");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  // By its container, as the kernel might when memory is short.
  std::vector<io::ContainerInfo> running;
  w.agent_process->containers().List([&](const auto& all) { running = *all; });
  ASSERT_TRUE(w.RunUntil([&] { return !running.empty(); }));
  w.agent_process->containers().Destroy(running[0].id);
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("t").reason(), TaskStatus::REASON_EXECUTOR_TERMINATED);
  EXPECT_EQ(w.Last("t").source(), TaskStatus::SOURCE_AGENT);
}

TEST(AgentTest, AnExecutorThatNeverRegistersIsKilled) {
  AgentWorld w(1);
  class Mute final : public Program {};
  w.agent_host.containers().Register("mesos-executor", [](const auto&) {
    return [](io::Environment&) { return std::make_unique<Mute>(); };
  });
  w.Begin();
  w.Launch("t", "true");
  EXPECT_FALSE(w.AwaitState("t", mesos::v1::TASK_FAILED, seconds(59)));
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED, seconds(2)));
  EXPECT_EQ(w.Last("t").reason(),
            TaskStatus::REASON_EXECUTOR_REGISTRATION_TIMEOUT);
}

TEST(AgentTest, WhatItCannotRunFailsWithAReason) {
  AgentWorld w(1);
  w.options.launcher_dir = "/nowhere";
  w.agent_host.containers().Register("other", nullptr);
  w.Begin();
  wire::AgentMessage message;
  wire::RunTask& run = *message.mutable_run_task();
  *run.mutable_reign() = w.master().Reign();
  *run.mutable_framework_info() = w.Framework();
  run.mutable_task()->set_name("t");
  run.mutable_task()->mutable_task_id()->set_value("t");
  run.mutable_task()->mutable_agent_id()->set_value("master-S0");
  run.mutable_task()->mutable_command()->set_value("true");
  run.mutable_task()->mutable_command()->add_uris()->set_value("http://x/y");
  w.master().Send(message);
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("t").reason(), TaskStatus::REASON_CONTAINER_LAUNCH_FAILED);
  EXPECT_TRUE(w.agent()->view().tasks.empty());
}

// Streams and connections bear a long silence.
TEST(AgentTest, ALongQuietTask) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 7200");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  ASSERT_TRUE(
      w.AwaitState("t", mesos::v1::TASK_FINISHED, std::chrono::hours(3)));
  EXPECT_EQ(w.States("t"),
            (States{"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"}));
  EXPECT_EQ(w.script.repetitions, 0);
  EXPECT_EQ(Count(w, wire::AgentMessage::kReregisterAgent), 0);
}

// -----------------------------------------------------------------------------
// Restarts

TEST(AgentTest, ATaskSurvivesTheRestartOfItsAgent) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 20");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.agent_process->Kill();
  w.world.RunFor(seconds(3));
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_EQ(w.agent()->view().id, "master-S0");
  EXPECT_EQ(Count(w, wire::AgentMessage::kRegisterAgent), 1);
  ASSERT_EQ(Count(w, wire::AgentMessage::kReregisterAgent), 1);
  for (const auto& message : w.script.received) {
    if (!message.has_reregister_agent()) continue;
    ASSERT_EQ(message.reregister_agent().tasks_size(), 1);
    const wire::AgentTask& task = message.reregister_agent().tasks(0);
    EXPECT_EQ(task.state(), mesos::v1::TASK_RUNNING);
    EXPECT_EQ(task.status_update_state(), mesos::v1::TASK_RUNNING);
  }
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FINISHED));
  EXPECT_EQ(w.States("t"),
            (States{"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"}));
  EXPECT_EQ(w.commands.size(), 1u);
}

TEST(AgentTest, WhatHappenedWhileTheAgentWasDownIsReported) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("ends", "sleep 2");
  w.Launch("dies", "sleep 100");
  ASSERT_TRUE(w.AwaitState("ends", mesos::v1::TASK_RUNNING));
  ASSERT_TRUE(w.AwaitState("dies", mesos::v1::TASK_RUNNING));
  // An executor dies with the agent; the other one waits for it.
  std::vector<io::ContainerInfo> running;
  w.agent_process->containers().List([&](const auto& all) { running = *all; });
  ASSERT_TRUE(w.RunUntil([&] { return !running.empty(); }));
  const std::string dies =
      w.Last("dies").container_status().container_id().value();
  w.agent_process->containers().Destroy(dies);
  w.agent_process->Kill();
  w.world.RunFor(seconds(5));
  w.StartAgent();
  ASSERT_TRUE(w.AwaitState("ends", mesos::v1::TASK_FINISHED));
  ASSERT_TRUE(w.AwaitState("dies", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("dies").reason(), TaskStatus::REASON_EXECUTOR_TERMINATED);
}

// An executor that slept hears at once that its command has ended and that it
// is time to subscribe: what it says then is older than the end.
TEST(AgentTest, WhatEndsWhileItsExecutorSubscribesIsReported) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 5");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  Process& executor = *w.agent_host.processes().back();
  ASSERT_NE(&executor, w.agent_process);
  w.agent_process->Kill();
  w.world.RunFor(seconds(1));
  executor.Pause();
  w.world.RunFor(seconds(6));
  w.StartAgent();
  w.world.RunFor(seconds(1));
  executor.Resume();
  EXPECT_TRUE(w.AwaitState("t", mesos::v1::TASK_FINISHED));
}

TEST(AgentTest, WithoutCheckpointsTasksEndWithTheirAgent) {
  AgentWorld w(1);
  w.checkpoint = false;
  w.Begin();
  w.Launch("t", "sleep 1000");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.agent_process->Kill();
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_TRUE(w.agent()->view().tasks.empty());
  std::optional<size_t> running;
  w.agent_process->containers().List(
      [&](const auto& all) { running = all->size(); });
  w.world.RunFor(seconds(10));
  running.reset();
  w.agent_process->containers().List(
      [&](const auto& all) { running = all->size(); });
  ASSERT_TRUE(w.RunUntil([&] { return running.has_value(); }));
  EXPECT_EQ(*running, 0u);
}

TEST(AgentTest, AfterARebootTasksAreReportedFailedUnderTheSameId) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 1000");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.world.RunFor(seconds(1));
  w.agent_host.LosePower();
  w.world.RunFor(seconds(30));
  w.agent_host.Boot();
  w.options.boot_id = "boot-2";
  w.StartAgent();
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("t").message(), "The machine of the agent restarted");
  EXPECT_EQ(w.agent()->view().id, "master-S0");
}

TEST(AgentTest, AnExecutorThatDoesNotComeBackIsGivenUp) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 1000");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  // It cannot reach an agent that has moved.
  w.agent_process->Kill();
  w.options.bind.port = 6000;
  w.StartAgent();
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("t").reason(),
            TaskStatus::REASON_EXECUTOR_REREGISTRATION_TIMEOUT);
}

TEST(AgentTest, AnotherConfigurationIsRefusedInWords) {
  AgentWorld w(1);
  w.Begin();
  w.agent_process->Kill();
  w.options.resources = "cpus:8";
  w.StartAgent();
  ASSERT_TRUE(w.RunUntil([&] { return !w.agent_process->alive(); }));
  EXPECT_EQ(w.agent_process->ended()->code, io::kExitFailure);
  const std::string& message = w.agent_process->ended()->message;
  EXPECT_TRUE(absl::StrContains(message, "Incompatible agent info detected"));
  EXPECT_TRUE(absl::StrContains(message, "rm -f /work/meta/slaves/latest"));
  // What the message advises helps.
  class Remove final : public Program {
   public:
    explicit Remove(io::Environment& environment) {
      EXPECT_TRUE(environment.disk().Remove("/work/meta/slaves/latest").ok());
    }
  };
  w.agent_host.Start("rm", [](io::Environment& environment) {
    return std::make_unique<Remove>(environment);
  });
  w.script.agent_id = "master-S1";
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_EQ(w.agent()->view().id, "master-S1");
}

TEST(AgentTest, AfterARebootAnotherConfigurationIsANewAgent) {
  AgentWorld w(1);
  w.Begin();
  w.agent_host.LosePower();
  w.agent_host.Boot();
  w.options.boot_id = "boot-2";
  w.options.resources = "cpus:8";
  w.script.agent_id = "master-S1";
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_EQ(w.agent()->view().id, "master-S1");
}

TEST(AgentTest, OneAgentPerWorkDirectory) {
  AgentWorld w(1);
  w.Begin();
  Process* first = w.agent_process;
  w.options.bind.port = 6000;
  w.StartAgent();
  ASSERT_TRUE(w.RunUntil([&] { return !w.agent_process->alive(); }));
  EXPECT_TRUE(absl::StrContains(w.agent_process->ended()->message,
                                "another agent runs with --work_dir=/work"));
  EXPECT_TRUE(first->alive());
}

TEST(AgentTest, CleanupEndsEverythingAndForgets) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 1000");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.agent_process->Kill();
  w.options.reconnect = false;
  w.StartAgent();
  ASSERT_TRUE(w.RunUntil([&] { return !w.agent_process->alive(); }));
  EXPECT_EQ(w.agent_process->ended()->code, io::kExitOk);
  w.options.reconnect = true;
  w.script.agent_id = "master-S1";
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_EQ(w.agent()->view().id, "master-S1");
}

// -----------------------------------------------------------------------------
// Masters

TEST(AgentTest, ObeysNoReignOlderThanTheNewest) {
  AgentWorld w(1);
  w.script.epoch = 7;
  w.Begin();
  EXPECT_EQ(w.agent()->view().epoch, 7u);
  // A message of a leader that was deposed before.
  w.script.epoch = 6;
  w.Launch("stale", "true");
  w.world.RunFor(seconds(5));
  EXPECT_TRUE(w.commands.empty());
  // A deposed leader that takes the agent in again, also after a restart.
  w.agent_process->Kill();
  w.StartAgent();
  w.world.RunFor(seconds(20));
  EXPECT_FALSE(w.agent()->view().registered);
  w.script.epoch = 8;
  ASSERT_TRUE(
      w.RunUntil([&] { return w.agent()->view().registered; }, minutes(2)));
  EXPECT_EQ(w.agent()->view().epoch, 8u);
}

TEST(AgentTest, RefusesAnotherCluster) {
  AgentWorld w(1);
  w.Begin();
  w.agent_process->Kill();
  w.script.cluster_id = std::string(16, 'd');
  w.script.epoch = 100;
  w.StartAgent();
  w.world.RunFor(minutes(3));
  EXPECT_FALSE(w.agent()->view().registered);
}

TEST(AgentTest, ReregistersWithAMasterThatCameBack) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 10");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.master_process->Kill();
  w.world.RunFor(seconds(15));  // The task ends meanwhile.
  EXPECT_FALSE(w.agent()->view().registered);
  w.script.epoch = 2;
  w.StartMaster();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_EQ(w.agent()->view().epoch, 2u);
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FINISHED));
}

TEST(AgentTest, ASilentMasterIsLookedForAnew) {
  AgentWorld w(1);
  w.Begin();
  w.script.pings = false;
  w.world.RunFor(seconds(70));
  EXPECT_EQ(Count(w, wire::AgentMessage::kReregisterAgent), 0);
  w.world.RunFor(seconds(10));
  EXPECT_EQ(Count(w, wire::AgentMessage::kReregisterAgent), 1);
}

TEST(AgentTest, AnswersForTasksThatItDoesNotKnow) {
  AgentWorld w(1);
  w.Begin();
  wire::AgentMessage message;
  wire::ReconcileTasks& reconcile = *message.mutable_reconcile_tasks();
  *reconcile.mutable_reign() = w.master().Reign();
  *reconcile.mutable_framework_info() = w.Framework();
  reconcile.add_task_ids()->set_value("unknown");
  w.master().Send(message);
  ASSERT_TRUE(w.AwaitState("unknown", mesos::v1::TASK_DROPPED));
  EXPECT_EQ(w.Last("unknown").reason(), TaskStatus::REASON_RECONCILIATION);
}

TEST(AgentTest, AFrameworkThatIsShutDownLeavesNothingRunning) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("a", "sleep 1000");
  w.Launch("b", "trap '' TERM; sleep 1000");
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_RUNNING));
  ASSERT_TRUE(w.AwaitState("b", mesos::v1::TASK_RUNNING));
  const size_t updates = w.script.updates.size();
  wire::AgentMessage message;
  *message.mutable_shutdown_framework()->mutable_reign() = w.master().Reign();
  message.mutable_shutdown_framework()->mutable_framework_id()->set_value(
      "framework-1");
  w.master().Send(message);
  ASSERT_TRUE(
      w.RunUntil([&] { return w.agent()->view().tasks.empty(); }, seconds(10)));
  std::optional<size_t> running;
  w.agent_process->containers().List(
      [&](const auto& all) { running = all->size(); });
  ASSERT_TRUE(w.RunUntil([&] { return running.has_value(); }));
  EXPECT_EQ(*running, 0u);
  EXPECT_EQ(w.script.updates.size(), updates);
}

TEST(AgentTest, ShutDownUnregistersAndForgets) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 1000");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.agent_process->Run([&] { w.agent()->ShutDown(); });
  ASSERT_TRUE(w.RunUntil([&] { return !w.agent_process->alive(); }));
  EXPECT_EQ(w.agent_process->ended()->code, io::kExitOk);
  EXPECT_EQ(Count(w, wire::AgentMessage::kUnregisterAgent), 1);
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  EXPECT_EQ(Count(w, wire::AgentMessage::kRegisterAgent), 2);
}

// -----------------------------------------------------------------------------
// Faults

// A task that the master was told of ends, and once: an end that was forwarded
// was durable before.
void ExpectOneEnd(const States& states) {
  for (size_t i = 0; i < states.size(); ++i) {
    const bool is_end = states[i] == "TASK_FINISHED" ||
                        states[i] == "TASK_FAILED" ||
                        states[i] == "TASK_DROPPED";
    EXPECT_EQ(is_end, i + 1 == states.size()) << absl::StrJoin(states, " ");
  }
}

// Runs `life` for each point of death, until it survives because it makes
// fewer disk calls; `life` tells whether it died.
void AtEveryDiskCall(uint64_t at_least,
                     const std::function<bool(AgentWorld&, uint64_t)>& life) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    uint64_t call = 1;
    for (bool died = true; died; ++call) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", disk call ", call));
      AgentWorld w(1000 * seed + call);
      died = life(w, call);
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_GT(call, at_least);
  }
}

// Whenever the machine loses its power, the restarted agent starts (its
// checkpoints are never damaged), and every task that the master was told of
// reaches a terminal state.
TEST(AgentTest, LossOfPowerAtAnyDiskCall) {
  AtEveryDiskCall(50, [](AgentWorld& w, uint64_t call) {
    w.StartMaster();
    w.StartAgent();
    w.agent_process->DieAtDiskCall(call, /*power=*/true);
    w.RunUntil(
        [&] { return w.agent() == nullptr || w.agent()->view().registered; });
    if (w.agent() != nullptr) w.Launch("t", "sleep 1");
    w.RunUntil([&] { return w.agent() == nullptr; }, seconds(10));
    if (w.agent() != nullptr) return false;
    w.agent_host.Boot();
    w.options.boot_id = "boot-2";
    w.script.epoch = 2;
    w.StartAgent();
    EXPECT_TRUE(w.AwaitRegistered());
    w.world.RunFor(minutes(2));
    if (w.agent() == nullptr) {
      ADD_FAILURE() << w.agent_process->ended()->message;
      return false;
    }
    EXPECT_TRUE(w.agent()->view().tasks.empty());
    ExpectOneEnd(w.States("t"));
    return true;
  });
}

// A process that dies at any disk call loses no task that has begun: its
// executor goes on.
TEST(AgentTest, DeathOfTheAgentAtAnyDiskCall) {
  AtEveryDiskCall(30, [](AgentWorld& w, uint64_t call) {
    w.Begin();
    w.agent_process->DieAtDiskCall(call, /*power=*/false);
    w.Launch("t", "sleep 3");
    w.RunUntil([&] { return w.agent() == nullptr; }, seconds(10));
    if (w.agent() != nullptr) return false;
    w.StartAgent();
    EXPECT_TRUE(w.AwaitRegistered());
    w.world.RunFor(minutes(2));
    if (w.agent() == nullptr) {
      ADD_FAILURE() << w.agent_process->ended()->message;
      return false;
    }
    EXPECT_TRUE(w.agent()->view().tasks.empty());
    EXPECT_LE(w.commands.size(), 1u);
    const States states = w.States("t");
    ExpectOneEnd(states);
    EXPECT_TRUE(w.commands.empty() ||
                (!states.empty() && states.back() == "TASK_FINISHED"));
    return true;
  });
}

// -----------------------------------------------------------------------------
// HTTP

TEST(AgentTest, RefusalsOfItsApis) {
  AgentWorld w(1);
  w.Begin();
  const struct {
    const char* target;
    const char* body;
    int status;
    const char* text;
  } cases[] = {
      {"/api/v1", "{bad", 400,
       "Failed to parse body into JSON: syntax error at line 1 near: bad"},
      {"/api/v1", R"({"type":"NOPE"})", 400,
       "Failed to validate agent::Call: Expecting 'type' to be present"},
      {"/api/v1", R"({"type":"GET_METRICS"})", 400,
       "Failed to validate agent::Call: Expecting 'get_metrics' to be present"},
      {"/api/v1", R"({"type":"PRUNE_IMAGES"})", 501,
       "PRUNE_IMAGES is not implemented"},
      {"/api/v1/executor", "{bad", 400,
       "Failed to parse body into JSON: syntax error at line 1 near: bad"},
      {"/api/v1/executor",
       R"({"type":"SUBSCRIBE","subscribe":{},"executor_id":{"value":"e"},)"
       R"("framework_id":{"value":"f"}})",
       400, "Framework cannot be found"},
      {"/api/v1/executor",
       R"({"executor_id":{"value":"e"},"framework_id":{"value":"f"}})", 400,
       "Failed to validate executor::Call: Expecting 'type' to be present"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.body);
    const http::Response response = w.Exchange(Post(c.target, c.body));
    EXPECT_EQ(response.status, c.status);
    EXPECT_EQ(response.body, c.text);
  }
}

TEST(AgentTest, AnExecutorMustSubscribeFirst) {
  AgentWorld w(1);
  class Mute final : public Program {};
  w.agent_host.containers().Register("mesos-executor", [](const auto&) {
    return [](io::Environment&) { return std::make_unique<Mute>(); };
  });
  w.Begin();
  w.Launch("t", "true");
  ASSERT_TRUE(w.RunUntil([&] { return !w.agent()->view().tasks.empty(); }));
  const std::string ids =
      R"("executor_id":{"value":"t"},"framework_id":{"value":"framework-1"}})";
  http::Response response =
      w.Exchange(Post("/api/v1/executor", R"({"type":"HEARTBEAT",)" + ids));
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.body, "Executor is not subscribed");
  response = w.Exchange(
      Post("/api/v1/executor",
           R"({"type":"UPDATE","update":{"status":{"task_id":{"value":"t"},)"
           R"("state":"TASK_RUNNING"}},)" +
               ids));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            "Failed to validate executor::Call: Expecting 'uuid' to be "
            "present");
}

TEST(AgentTest, ShowsItself) {
  AgentWorld w(1);
  w.Begin();
  EXPECT_EQ(w.Exchange(Get("/health")).status, 200);
  EXPECT_EQ(w.Exchange(Get("/flags")).body,
            R"({"flags":{"work_dir":"/work"}})");
  EXPECT_EQ(w.Exchange(Get("/slave(1)/version")).status, 200);
  const auto metrics = json::Parse(w.Exchange(Get("/metrics/snapshot")).body);
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ((*metrics)["slave/registered"].AsDouble(), 1.0);
  EXPECT_EQ((*metrics)["slave/cpus_total"].AsDouble(), 4.0);
  const auto state = json::Parse(w.Exchange(Get("/state")).body);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ((*state)["id"].AsString(), "master-S0");
  EXPECT_EQ((*state)["pid"].AsString(), "slave(1)@10.0.0.2:5051");
  EXPECT_EQ((*state)["resources"]["ports"].AsString(), "[31000-32000]");
  const http::Response agent =
      w.Exchange(Post("/api/v1", R"({"type":"GET_AGENT"})"));
  EXPECT_TRUE(absl::StrContains(agent.body, R"("id":{"value":"master-S0"})"));
}

}  // namespace
}  // namespace quorate::sim
