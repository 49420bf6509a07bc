// What an agent finds of its checkpoints when some of them are damaged.

#include "core/agent/checkpoint.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/match.h"
#include "core/agent/records.h"
#include "sim/file_system.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/process_disk.h"
#include "sim/world.h"

namespace quorate::agent {
namespace {

constexpr char kUpdates[] =
    "/work/meta/slaves/S0/frameworks/f/executors/e/runs/c/tasks/t/task.updates";

class Idle final : public sim::Program {};

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest()
      : world_(1),
        network_(world_, sim::NetworkOptions{}),
        host_(world_, network_, "agent", "10.0.0.1"),
        process_(host_.Start(
            "agent",
            [](io::Environment&) { return std::make_unique<Idle>(); })),
        disk_(process_.disk()) {}

  // An agent with one task and three records of it. The first error.
  absl::Status WriteTo(io::Disk& disk) {
    Checkpoints checkpoints(disk, "/work");
    AgentRecord agent;
    agent.mutable_info()->set_hostname("host");
    agent.mutable_info()->mutable_id()->set_value("S0");
    agent.set_cluster_id("cluster");
    wire::Reign reign;
    reign.set_epoch(7);
    mesos::v1::FrameworkInfo framework;
    framework.set_user("root");
    framework.set_name("framework");
    framework.mutable_id()->set_value("f");
    mesos::v1::TaskInfo task;
    task.set_name("t");
    task.mutable_task_id()->set_value("t");
    task.mutable_agent_id()->set_value("S0");
    absl::Status status = checkpoints.Lock();
    if (status.ok()) status = checkpoints.WriteBootId("boot");
    if (status.ok()) status = checkpoints.WriteReign("S0", reign);
    if (status.ok()) status = checkpoints.WriteAgent(agent);
    if (status.ok()) status = checkpoints.WriteFramework(run_, framework);
    if (status.ok()) status = checkpoints.WriteExecutor(run_, Executor());
    if (status.ok()) status = checkpoints.WritePid(run_, 42);
    if (status.ok()) status = checkpoints.WriteTask(run_, task);
    for (const char* uuid : {"first", "second", "third"}) {
      if (status.ok()) status = AppendTo(disk, uuid);
    }
    return status;
  }
  static ExecutorRecord Executor() {
    ExecutorRecord executor;
    executor.mutable_info()->mutable_executor_id()->set_value("e");
    executor.set_generated(true);
    return executor;
  }
  void WriteAll() { ASSERT_TRUE(WriteTo(disk_).ok()); }
  absl::Status AppendTo(io::Disk& disk, const std::string& uuid) {
    UpdateRecord record;
    record.set_acknowledged_uuid(uuid);
    return Checkpoints(disk, "/work").AppendUpdate(run_, "t", record);
  }
  void Append(const std::string& uuid) {
    ASSERT_TRUE(AppendTo(disk_, uuid).ok());
  }

  absl::StatusOr<std::optional<RecoveredAgent>> Recover(bool strict) {
    return Checkpoints(disk_, "/work").Recover(strict);
  }
  // UUIDs of the task's records.
  std::vector<std::string> Updates(const RecoveredAgent& agent) {
    std::vector<std::string> uuids;
    for (const auto& record :
         agent.frameworks.at(0).executors.at(0).tasks.at(0).updates) {
      uuids.push_back(record.acknowledged_uuid());
    }
    return uuids;
  }
  void Overwrite(const std::string& path, const std::string& content) {
    auto file = disk_.Open(path, io::Disk::Mode::kCreateEmpty);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append(content).ok());
  }

  const agent::Run run_ = {"S0", "f", "e", "c"};
  sim::World world_;
  sim::Network network_;
  sim::Host host_;
  sim::Process& process_;
  io::Disk& disk_;
};

using Uuids = std::vector<std::string>;

TEST_F(CheckpointTest, ANewDirectoryHoldsNothing) {
  const auto recovered = Recover(true);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->has_value());
}

TEST_F(CheckpointTest, FindsWhatWasWritten) {
  WriteAll();
  const auto recovered = Recover(true);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  ASSERT_TRUE(recovered->has_value());
  const RecoveredAgent& agent = **recovered;
  EXPECT_EQ(agent.boot_id, "boot");
  EXPECT_EQ(agent.record.cluster_id(), "cluster");
  EXPECT_EQ(agent.reign->epoch(), 7u);
  EXPECT_EQ(agent.frameworks.at(0).executors.at(0).container_id, "c");
  EXPECT_EQ(Updates(agent), (Uuids{"first", "second", "third"}));
}

// A sync fails, and the agent ends. The next one sees what the page cache
// shows, and relies on it: from then on no loss of power takes it away.
TEST_F(CheckpointTest, WhatIsFoundIsDurable) {
  WriteAll();
  Checkpoints checkpoints(disk_, "/work");
  UpdateRecord record;
  record.set_acknowledged_uuid("fourth");
  ASSERT_TRUE(checkpoints.AppendUpdate(run_, "t", record).ok());
  host_.files().failing_syncs = 1;
  record.set_acknowledged_uuid("fifth");
  ASSERT_FALSE(checkpoints.AppendUpdate(run_, "t", record).ok());
  const auto recovered = Recover(true);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  const Uuids found = Updates(**recovered);
  EXPECT_EQ(found, (Uuids{"first", "second", "third", "fourth", "fifth"}));
  host_.LosePower();
  host_.Boot();
  io::Disk& after =
      host_
          .Start("agent",
                 [](io::Environment&) { return std::make_unique<Idle>(); })
          .disk();
  const auto again = Checkpoints(after, "/work").Recover(true);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Updates(**again), found);
}

TEST_F(CheckpointTest, ARunThatIsOverIsNotFound) {
  WriteAll();
  ASSERT_TRUE(Checkpoints(disk_, "/work").WriteSentinel(run_).ok());
  const auto recovered = Recover(true);
  ASSERT_TRUE(recovered.ok());
  EXPECT_TRUE((*recovered)->frameworks.empty());
}

TEST_F(CheckpointTest, ForgetsItsIdentity) {
  WriteAll();
  ASSERT_TRUE(Checkpoints(disk_, "/work").Forget().ok());
  const auto recovered = Recover(true);
  ASSERT_TRUE(recovered.ok());
  EXPECT_FALSE(recovered->has_value());
}

// However much of the last record is there, and whatever the sectors behind
// hold, the ones before it are found and new ones follow them.
TEST_F(CheckpointTest, ATornLastRecordIsCutOff) {
  WriteAll();
  const std::string whole = *disk_.ReadFile(kUpdates);
  const size_t third = whole.size() - 8 - 2 - std::string("third").size();
  for (size_t size = third; size < whole.size(); ++size) {
    for (const size_t zeros : {0, 1, 8, 100}) {
      SCOPED_TRACE(testing::Message() << size << " bytes, " << zeros);
      Overwrite(kUpdates, whole.substr(0, size) + std::string(zeros, '\0'));
      const auto recovered = Recover(true);
      ASSERT_TRUE(recovered.ok()) << recovered.status();
      EXPECT_EQ(Updates(**recovered), (Uuids{"first", "second"}));
      Append("next");
      EXPECT_EQ(Updates(**Recover(true)), (Uuids{"first", "second", "next"}));
    }
  }
}

TEST_F(CheckpointTest, OtherDamageIsRefusedOrGivenUp) {
  WriteAll();
  std::string damaged = *disk_.ReadFile(kUpdates);
  damaged[10] ^= 1;
  Overwrite(kUpdates, damaged);
  auto recovered = Recover(true);
  EXPECT_TRUE(absl::IsDataLoss(recovered.status()));
  EXPECT_TRUE(absl::StrContains(recovered.status().message(), kUpdates));
  EXPECT_TRUE(absl::StrContains(recovered.status().message(), "--no-strict"));

  recovered = Recover(false);
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ((*recovered)->errors.size(), 1u);
  EXPECT_TRUE(Updates(**recovered).empty());
}

// One call fails, and all before it succeed.
struct FailingDisk {
  FailingDisk(sim::FileSystem& files, uint64_t call)
      : fails(call),
        disk(
            files,
            [this](io::Duration) {
              return ++calls == fails
                         ? absl::UnavailableError("input/output error")
                         : absl::OkStatus();
            },
            [] { return io::WallTime(); }) {}

  uint64_t calls = 0;
  const uint64_t fails;
  sim::ProcessDisk disk;
};

// Whoever went on would take what it cannot see for what is not there.
TEST_F(CheckpointTest, NoCallOfARecoveryMayFail) {
  WriteAll();
  agent::Run over = run_;
  over.container_id = "over";
  Checkpoints checkpoints(disk_, "/work");
  ASSERT_TRUE(checkpoints.WriteExecutor(over, Executor()).ok());
  ASSERT_TRUE(checkpoints.WriteSentinel(over).ok());
  uint64_t call = 0;
  for (bool failed = true; failed;) {
    // The recovery has to cut this off.
    Append("torn");
    const std::string whole = *disk_.ReadFile(kUpdates);
    Overwrite(kUpdates, whole.substr(0, whole.size() - 1));
    FailingDisk failing(host_.files(), ++call);
    const auto recovered = Checkpoints(failing.disk, "/work").Recover(true);
    failed = failing.calls >= call;
    EXPECT_EQ(recovered.ok(), !failed) << "call " << call;
  }
  EXPECT_GT(call, 20u);
}

// What is told to be written is there.
TEST_F(CheckpointTest, NoCallOfAWriteMayFail) {
  uint64_t call = 0;
  for (bool failed = true; failed;) {
    sim::FileSystem files;
    FailingDisk failing(files, ++call);
    const absl::Status written = WriteTo(failing.disk);
    failed = failing.calls >= call;
    EXPECT_EQ(written.ok(), !failed) << "call " << call;
  }
  EXPECT_GT(call, 40u);
  for (const uint64_t forget : {1, 2}) {
    WriteAll();
    FailingDisk failing(host_.files(), forget);
    EXPECT_FALSE(Checkpoints(failing.disk, "/work").Forget().ok());
  }
  // Nothing to forget is no failure.
  EXPECT_TRUE(Checkpoints(disk_, "/work").Forget().ok());
}

TEST_F(CheckpointTest, EveryFlippedBitOfARecordIsNoticed) {
  WriteAll();
  const std::string path = "/work/meta/slaves/S0/slave.info";
  const std::string intact = *disk_.ReadFile(path);
  for (size_t bit = 0; bit < 8 * intact.size(); ++bit) {
    std::string damaged = intact;
    damaged[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    Overwrite(path, damaged);
    EXPECT_TRUE(absl::IsDataLoss(Recover(true).status())) << bit;
  }
}

TEST(ValidateIdTest, IdsAreFileNames) {
  for (const char* id : {"a", "a.b", "..a", "93e49cb6-S0", "a b", "ü"}) {
    EXPECT_TRUE(ValidateId(id).ok()) << id;
  }
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string("a\\b"), std::string("a\n"), std::string("a\0b", 3),
        std::string(256, 'a')}) {
    EXPECT_FALSE(ValidateId(id).ok()) << id;
  }
}

}  // namespace
}  // namespace quorate::agent
