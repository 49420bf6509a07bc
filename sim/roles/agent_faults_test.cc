// The agent among containers, executors and disks that fail.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sim/roles/agent_world.h"

namespace quorate::sim {
namespace {

using mesos::v1::TaskStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using States = std::vector<std::string>;

bool IsEnd(const std::string& state) {
  return state == "TASK_FINISHED" || state == "TASK_FAILED" ||
         state == "TASK_KILLED" || state == "TASK_DROPPED" ||
         state == "TASK_LOST";
}

// A task that the master was told of ends once, and nothing is told after it.
void ExpectOneEnd(const States& states) {
  ASSERT_FALSE(states.empty());
  for (size_t i = 0; i < states.size(); ++i) {
    EXPECT_EQ(IsEnd(states[i]), i + 1 == states.size())
        << absl::StrJoin(states, " ");
  }
}

uint64_t Count(const AgentWorld& w, Fault fault) {
  return w.world.faults().of(fault);
}

// The agent lives, knows of nothing that runs, and nothing does.
void ExpectQuiet(AgentWorld& w) {
  ASSERT_NE(w.agent(), nullptr) << w.agent_process->ended()->message;
  EXPECT_TRUE(w.agent()->view().tasks.empty());
  std::vector<io::ContainerInfo> running;
  w.agent_process->containers().List([&](const auto& all) { running = *all; });
  w.world.RunFor(seconds(1));
  EXPECT_TRUE(running.empty()) << running[0].id;
}

// ---- Containers ----

TEST(AgentFaultsTest, WhenNoProcessesAreLeftTasksFail) {
  AgentWorld w(1);
  w.Begin();
  w.agent_host.containers().faults.fork_fails = 1;
  w.Launch("t", "true");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  EXPECT_EQ(w.Last("t").reason(), TaskStatus::REASON_CONTAINER_LAUNCH_FAILED);
  EXPECT_TRUE(absl::StrContains(w.Last("t").message(), "no processes left"))
      << w.Last("t").message();
  w.world.RunFor(seconds(10));
  ExpectOneEnd(w.States("t"));
  ExpectQuiet(w);
  w.agent_host.containers().faults = {};
  w.Launch("u", "true");
  EXPECT_TRUE(w.AwaitState("u", mesos::v1::TASK_FINISHED));
}

// The executor starts, and its task cannot.
TEST(AgentFaultsTest, WhenTheCommandCannotForkItsTaskFails) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "true");
  ASSERT_TRUE(w.RunUntil([&] { return w.agent_host.processes().size() == 2; }));
  w.agent_host.containers().faults.fork_fails = 1;
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  w.world.RunFor(seconds(30));
  ExpectOneEnd(w.States("t"));
  EXPECT_TRUE(w.commands.empty());
  EXPECT_EQ(Count(w, Fault::kForkFailed), 1u);
  ExpectQuiet(w);
}

TEST(AgentFaultsTest, WhatIsKilledFromOutsideFails) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    AgentWorld w(seed);
    w.Begin();
    w.Launch("t", "sleep 1000");
    ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
    // Its executor or its command.
    EXPECT_TRUE(w.agent_host.containers().KillAny(SIGKILL));
    ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
    w.world.RunFor(seconds(30));
    ExpectOneEnd(w.States("t"));
    ExpectQuiet(w);
    EXPECT_EQ(Count(w, Fault::kContainerKilled), 1u);
  }
}

TEST(AgentFaultsTest, ATaskWhoseStatusIsLostHasNotSucceeded) {
  AgentWorld w(1);
  w.agent_host.containers().faults.status_lost = 1;
  w.Begin();
  w.Launch("t", "true");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FAILED));
  w.world.RunFor(seconds(30));
  ExpectOneEnd(w.States("t"));
  ExpectQuiet(w);
  EXPECT_GE(Count(w, Fault::kExitStatusLost), 1u);
}

// It stays in TASK_KILLING, and is gone when it is gone.
TEST(AgentFaultsTest, WhatIsStuckIsKilledWhenItComesBack) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    AgentWorld w(seed);
    w.agent_host.containers().faults.stuck = 1;
    w.agent_host.containers().faults.remove_busy = 1;
    w.Begin();
    w.Launch("t", "sleep 1000");
    ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
    w.Kill("t");
    w.world.RunFor(minutes(5));
    ExpectOneEnd(w.States("t"));
    EXPECT_EQ(w.States("t").back(), "TASK_KILLED");
    ExpectQuiet(w);
    EXPECT_GE(Count(w, Fault::kContainerStuck), 1u);
    EXPECT_GE(Count(w, Fault::kContainerRemoveBusy), 1u);
  }
}

// A pid proves nothing: what the restarted agent finds is told by container.
TEST(AgentFaultsTest, PidsThatComeBackConfuseNobody) {
  AgentWorld w(1);
  w.agent_host.containers().faults.pid_reused = 1;
  w.Begin();
  w.Launch("short", "sleep 1");
  w.Launch("long", "sleep 100");
  ASSERT_TRUE(w.AwaitState("long", mesos::v1::TASK_RUNNING));
  w.agent_process->Kill();
  w.world.RunFor(seconds(5));
  w.Launch("late", "true");
  w.StartAgent();
  ASSERT_TRUE(w.AwaitRegistered());
  w.Launch("other", "sleep 100");
  ASSERT_TRUE(w.AwaitState("other", mesos::v1::TASK_FINISHED, minutes(3)));
  ASSERT_TRUE(w.AwaitState("long", mesos::v1::TASK_FINISHED));
  w.world.RunFor(seconds(30));
  for (const char* id : {"short", "long", "other"}) ExpectOneEnd(w.States(id));
  EXPECT_GE(Count(w, Fault::kPidReused), 1u);
  ExpectQuiet(w);
}

// ---- Executors ----

// Some tasks of different lives under faults, and the agent killed in between.
void LiveThrough(AgentWorld& w) {
  w.Begin();
  for (int i = 0; i < 8; ++i) {
    w.Launch(absl::StrCat("t", i), i % 3 == 0   ? "true"
                                   : i % 3 == 1 ? "sleep 20; exit 1"
                                                : "sleep 1000");
  }
  w.world.RunFor(seconds(40));
  ASSERT_NE(w.agent(), nullptr) << w.agent_process->ended()->message;
  w.agent_process->Kill();
  w.world.RunFor(seconds(1));
  w.StartAgent();
  // It waits for its executors first.
  ASSERT_TRUE(w.RunUntil(
      [&] { return w.agent() != nullptr && w.agent()->view().registered; },
      minutes(2)));
  for (int i = 0; i < 8; ++i) {
    const std::string id = absl::StrCat("t", i);
    const States states = w.States(id);
    if (states.empty() || !IsEnd(states.back())) w.Kill(id);
  }
  w.world.RunFor(minutes(10));
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    ExpectOneEnd(w.States(absl::StrCat("t", i)));
  }
  EXPECT_LE(w.commands.size(), 8u);
  ExpectQuiet(w);
}

void LiveThroughOnSeeds(const ExecutorFaults& faults, Fault fault) {
  uint64_t count = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    AgentWorld w(seed);
    w.options.executor_reregistration_timeout = minutes(1);
    w.executor_faults = faults;
    LiveThrough(w);
    if (::testing::Test::HasFatalFailure()) return;
    count += Count(w, fault);
  }
  EXPECT_GT(count, 20u);
}

TEST(ExecutorFaultsTest, SlowOnes) {
  LiveThroughOnSeeds({.slow = 0.7}, Fault::kExecutorSlow);
}

TEST(ExecutorFaultsTest, OnesThatRepeatThemselves) {
  LiveThroughOnSeeds({.repeats = 0.5}, Fault::kExecutorRepeats);
}

TEST(ExecutorFaultsTest, OnesThatTalkGarbage) {
  LiveThroughOnSeeds({.garbage = 0.7}, Fault::kExecutorGarbage);
}

TEST(ExecutorFaultsTest, OnesThatDoItAll) {
  LiveThroughOnSeeds({.slow = 0.3, .repeats = 0.3, .garbage = 0.3},
                     Fault::kExecutorGarbage);
}

// ---- Checkpoints ----

constexpr char kMeta[] = "/work/meta";

// What a restart on a damaged disk comes to.
struct Restarts {
  int registered = 0;
  int refused = 0;
};

// Damages the checkpoints of an agent that runs tasks, and starts it again.
void RestartDamaged(uint64_t seed, bool strict,
                    const std::function<void(AgentWorld&)>& damage,
                    Restarts* restarts) {
  SCOPED_TRACE(seed);
  AgentWorld w(seed);
  w.options.strict = strict;
  w.agent_host.files().remembers = true;
  w.Begin();
  w.Launch("short", "sleep 1");
  w.Launch("long", "sleep 30");
  w.script.acknowledges = false;
  w.RunUntil([&] { return !w.States("long").empty(); });
  w.agent_process->Kill();
  DiskFaults under;
  under.under = kMeta;
  w.agent_host.files().SetFaults(under);
  damage(w);
  w.script.acknowledges = true;
  w.agent_host.Boot();
  w.StartAgent();
  w.RunUntil([&] { return w.agent() == nullptr; }, minutes(2));
  if (w.agent() != nullptr) {
    EXPECT_TRUE(w.agent()->view().registered);
    ++restarts->registered;
    return;
  }
  ++restarts->refused;
  const Process::Ended& ended = *w.agent_process->ended();
  EXPECT_FALSE(ended.killed);
  EXPECT_TRUE(ended.code == io::kExitFailure ||
              ended.code == io::kExitDiskFailure)
      << ended.code;
  EXPECT_TRUE(absl::StrContains(ended.message, kMeta)) << ended.message;
}

TEST(AgentDiskTest, DamagedCheckpointsAreRefusedInWordsOrGivenUp) {
  for (Fault kind :
       {Fault::kBitFlipped, Fault::kSectorZeroed, Fault::kSectorStale}) {
    SCOPED_TRACE(NameOf(kind));
    Restarts strict;
    Restarts lenient;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      const auto damage = [&](AgentWorld& w) {
        for (int i = 0; i < 3; ++i) w.agent_host.files().Damage(kind);
      };
      RestartDamaged(seed, true, damage, &strict);
      RestartDamaged(seed, false, damage, &lenient);
    }
    EXPECT_GT(strict.refused, kind == Fault::kSectorStale ? -1 : 10);
    EXPECT_EQ(lenient.refused, 0);
  }
}

TEST(AgentDiskTest, WhatCannotBeReadIsNotGivenUp) {
  for (bool strict : {true, false}) {
    Restarts restarts;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      RestartDamaged(
          seed, strict,
          [](AgentWorld& w) {
            for (int i = 0; i < 3; ++i) {
              w.agent_host.files().Damage(Fault::kReadFailed);
            }
          },
          &restarts);
    }
    EXPECT_GT(restarts.refused, 20);
  }
}

TEST(AgentDiskTest, ADiskThatFailsAtTheStartHasItsExitCode) {
  AgentWorld w(1);
  w.Begin();
  w.agent_process->Kill();
  w.agent_host.files().failing_syncs = 1;
  w.StartAgent();
  ASSERT_TRUE(w.RunUntil([&] { return w.agent() == nullptr; }));
  EXPECT_EQ(w.agent_process->ended()->code, io::kExitDiskFailure);
  EXPECT_TRUE(absl::StrContains(w.agent_process->ended()->message, kMeta))
      << w.agent_process->ended()->message;
}

// It does not take the machine for restarted because it cannot tell: that
// would end all its tasks.
TEST(AgentDiskTest, ABootIdThatCannotBeRead) {
  AgentWorld w(1);
  w.Begin();
  w.Launch("t", "sleep 30");
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_RUNNING));
  w.agent_process->Kill();
  const std::string path = absl::StrCat(kMeta, "/boot_id");
  (*w.agent_host.files().Find(path, true))->unreadable.insert(0);
  w.StartAgent();
  ASSERT_TRUE(w.RunUntil([&] { return w.agent() == nullptr; }));
  EXPECT_TRUE(absl::StrContains(w.agent_process->ended()->message, path))
      << w.agent_process->ended()->message;
  EXPECT_EQ(w.agent_process->ended()->code, io::kExitDiskFailure);
  (*w.agent_host.files().Find(path, true))->unreadable.clear();
  w.StartAgent();
  ASSERT_TRUE(w.AwaitState("t", mesos::v1::TASK_FINISHED));
  EXPECT_EQ(w.commands.size(), 1u);
}

TEST(AgentDiskTest, WritesThatWentAstray) {
  Restarts restarts;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    AgentWorld w(seed);
    w.Begin();
    DiskFaults faults;
    faults.under = kMeta;
    faults.write_lost = faults.write_misdirected = 0.03;
    w.agent_host.files().SetFaults(faults);
    for (int i = 0; i < 3; ++i) w.Launch(absl::StrCat("t", i), "sleep 3");
    w.world.RunFor(seconds(2));
    w.agent_host.LosePower();
    w.agent_host.files().EndFaults();
    w.agent_host.Boot();
    w.options.boot_id = "boot-2";
    w.StartAgent();
    w.RunUntil([&] { return w.agent() == nullptr; }, minutes(2));
    if (w.agent() != nullptr) {
      EXPECT_TRUE(w.agent()->view().registered);
      ++restarts.registered;
    } else {
      EXPECT_TRUE(absl::StrContains(w.agent_process->ended()->message, kMeta));
      ++restarts.refused;
    }
  }
  EXPECT_GT(restarts.registered, 10);
  EXPECT_GT(restarts.refused, 10);
}

// An agent whose disk refuses ends itself, with the code that says so; its
// tasks go on, and the next agent finds them.
TEST(AgentDiskTest, CallsThatFailEndTheAgentAndNoTask) {
  int ended = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    AgentWorld w(seed);
    w.Begin();
    w.Launch("long", "sleep 100");
    ASSERT_TRUE(w.AwaitState("long", mesos::v1::TASK_RUNNING));
    w.world.RunFor(seconds(1));
    DiskFaults faults;
    faults.under = kMeta;
    faults.write_fails = faults.sync_fails = faults.no_space = 0.05;
    faults.stall = 0.05;
    w.agent_host.files().SetFaults(faults);
    w.Launch("t", "sleep 3");
    w.world.RunFor(minutes(1));
    w.agent_host.files().EndFaults();
    if (w.agent() == nullptr) {
      ++ended;
      EXPECT_EQ(w.agent_process->ended()->code, io::kExitDiskFailure)
          << w.agent_process->ended()->message;
      w.StartAgent();
    }
    ASSERT_TRUE(w.AwaitState("long", mesos::v1::TASK_FINISHED, minutes(5)));
    w.world.RunFor(minutes(1));
    ASSERT_NE(w.agent(), nullptr) << w.agent_process->ended()->message;
    ExpectOneEnd(w.States("long"));
    ExpectQuiet(w);
  }
  EXPECT_GT(ended, 5);
}

}  // namespace
}  // namespace quorate::sim
