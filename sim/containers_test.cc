// The faults of containers. What holds without them is in
// io/contract/containers.cc.

#include "sim/containers.h"

#include <csignal>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sim/machine.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""s;

class ContainerFaultsTest : public testing::Test {
 protected:
  Process& StartProcess() {
    return host.Start(
        "idle", [](io::Environment&) { return std::make_unique<Program>(); });
  }
  absl::StatusOr<io::ContainerInfo> Launch(const std::string& id,
                                           const std::string& script) {
    io::ContainerSpec spec;
    spec.id = id;
    spec.program = "/bin/sh";
    spec.arguments = {"sh", "-c", script};
    spec.directory = "/";
    spec.stdout_path = "/out";
    spec.stderr_path = "/err";
    std::optional<absl::StatusOr<io::ContainerInfo>> result;
    process->containers().Launch(spec, [&](auto info) { result = info; });
    world.RunFor(1s);
    return *result;
  }
  void Wait(const std::string& id) {
    ends.clear();
    process->containers().Wait(
        id, [this](const io::ContainerExit& exit) { ends.push_back(exit); });
  }
  std::vector<std::string> List() {
    std::vector<std::string> ids;
    process->containers().List([&](auto all) {
      for (const auto& info : *all) ids.push_back(info.id);
    });
    world.RunFor(1s);
    return ids;
  }
  uint64_t count(Fault fault) const { return world.faults().of(fault); }

  World world{1};
  Network network{world, {}};
  Host host{world, network, "a", "10.0.0.1"};
  HostContainers& containers = host.containers();
  Process* process = &StartProcess();
  std::vector<io::ContainerExit> ends;
};

TEST_F(ContainerFaultsTest, NoProcessesAreLeft) {
  containers.faults.fork_fails = 1;
  EXPECT_TRUE(absl::IsResourceExhausted(Launch("c", "sleep 100").status()));
  EXPECT_EQ(count(Fault::kForkFailed), 1u);
  EXPECT_TRUE(List().empty());
  containers.faults = {};
  EXPECT_TRUE(Launch("c", "sleep 100").ok());
}

TEST_F(ContainerFaultsTest, TheKernelKills) {
  EXPECT_FALSE(containers.KillAny(SIGKILL));
  ASSERT_TRUE(Launch("c", "trap '' TERM; sleep 100").ok());
  Wait("c");
  EXPECT_TRUE(containers.KillAny(SIGTERM));
  world.RunFor(1s);
  EXPECT_TRUE(ends.empty());
  EXPECT_TRUE(containers.KillAny(SIGKILL));
  world.RunFor(1s);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].wait_status, SIGKILL);
  EXPECT_EQ(count(Fault::kContainerKilled), 2u);
  EXPECT_FALSE(containers.KillAny(SIGKILL));
}

TEST_F(ContainerFaultsTest, AStatusGetsLost) {
  containers.faults.status_lost = 1;
  ASSERT_TRUE(Launch("c", "sleep 2; exit 3").ok());
  Wait("c");
  world.RunFor(5s);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].wait_status, std::nullopt);
  EXPECT_EQ(count(Fault::kExitStatusLost), 1u);
  // Also that of one that has ended before anybody asked.
  ASSERT_TRUE(Launch("d", "exit 3").ok());
  Wait("d");
  world.RunFor(1s);
  EXPECT_EQ(ends[0].wait_status, std::nullopt);
}

TEST_F(ContainerFaultsTest, OnlyItsParentLearnsAStatus) {
  ASSERT_TRUE(Launch("c", "sleep 5; exit 3").ok());
  process->Kill();
  process = &StartProcess();
  Wait("c");
  world.RunFor(10s);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].wait_status, std::nullopt);
  EXPECT_EQ(count(Fault::kExitStatusLost), 1u);
}

TEST_F(ContainerFaultsTest, SignalsWaitForWhatIsStuck) {
  containers.faults.stuck = 1;
  ASSERT_TRUE(Launch("c", "trap '' TERM; sleep 1000").ok());
  Wait("c");
  EXPECT_TRUE(process->containers().Signal("c", SIGTERM).ok());
  process->containers().Destroy("c");
  world.RunFor(1s);
  EXPECT_EQ(count(Fault::kContainerStuck), 1u);
  EXPECT_TRUE(ends.empty());
  EXPECT_EQ(List(), std::vector<std::string>{"c"});
  world.RunFor(60s);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].wait_status, SIGKILL);
  EXPECT_TRUE(List().empty());
}

TEST_F(ContainerFaultsTest, RemovalTakesItsTime) {
  containers.faults.remove_busy = 1;
  int ended = 0;
  containers.on_command_ended = [&](const auto&, auto) { ++ended; };
  ASSERT_TRUE(Launch("c", "exit 3").ok());
  Wait("c");
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(count(Fault::kContainerRemoveBusy), 1u);
  EXPECT_EQ(List(), std::vector<std::string>{"c"});
  EXPECT_TRUE(ends.empty());
  EXPECT_TRUE(absl::IsAlreadyExists(Launch("c", "true").status()));
  process->containers().Destroy("c");
  world.RunFor(10s);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].wait_status, 3 << 8);
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(List().empty());
}

TEST_F(ContainerFaultsTest, PidsComeBack) {
  containers.faults.pid_reused = 1;
  const auto first = Launch("c", "true");
  const auto second = Launch("d", "sleep 5");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->pid, second->pid);
  EXPECT_EQ(count(Fault::kPidReused), 1u);
  const auto third = Launch("e", "true");
  ASSERT_TRUE(third.ok());
  EXPECT_NE(third->pid, second->pid);
}

TEST_F(ContainerFaultsTest, ALossOfPowerEndsAllOfIt) {
  containers.faults.stuck = containers.faults.remove_busy = 1;
  std::vector<std::optional<int>> statuses;
  containers.on_command_ended = [&](const auto&, auto status) {
    statuses.push_back(status);
  };
  ASSERT_TRUE(Launch("stuck", "sleep 1000").ok());
  ASSERT_TRUE(Launch("busy", "true").ok());
  process->containers().Destroy("stuck");
  world.RunFor(1s);
  host.LosePower();
  EXPECT_EQ(statuses, (std::vector<std::optional<int>>{0, std::nullopt}));
  containers.on_command_ended = nullptr;
  host.Boot();
  process = &StartProcess();
  containers.faults = {};
  ASSERT_TRUE(Launch("stuck", "sleep 1000").ok());
  world.RunFor(100s);
  EXPECT_EQ(List(), std::vector<std::string>{"stuck"});
}

}  // namespace
}  // namespace quorate::sim
