// The simulator's own promises, beyond those that it shares with production
// (contract_test.cc): determinism, faults, and what survives them.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sim/containers.h"
#include "sim/coordination.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/testing/talk.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Mode = io::Disk::Mode;

// ---- The world ----

TEST(WorldTest, EventsRunInOrderOfTimeAndCreation) {
  World world(1);
  std::string order;
  world.After(2ms, "x", [&] { order += "c"; });
  world.After(1ms, "x", [&] { order += "a"; });
  world.After(1ms, "x", [&] { order += "b"; });
  const uint64_t cancelled = world.After(1ms, "x", [&] { order += "!"; });
  world.Cancel(cancelled);
  world.Cancel(cancelled);
  world.RunFor(1ms);
  EXPECT_EQ(order, "ab");
  world.RunFor(1ms);
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(world.elapsed(), 2ms);
}

TEST(WorldTest, RunUntilStopsAtItsConditionAndItsDeadline) {
  World world(1);
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    world.After(10ms, "tick", tick);
  };
  world.After(10ms, "tick", tick);
  EXPECT_TRUE(world.RunUntil([&] { return ticks == 3; }, 1s));
  EXPECT_EQ(world.elapsed(), 30ms);
  EXPECT_FALSE(world.RunUntil([&] { return ticks == 30; }, 100ms));
  EXPECT_EQ(world.elapsed(), 130ms);
}

TEST(WorldTest, WhatSpinsIsStopped) {
  World world(1);
  world.max_events = 1000;
  std::function<void()> spin = [&] { world.After(0ms, "spin", spin); };
  world.After(0ms, "spin", spin);
  EXPECT_FALSE(world.RunUntil([] { return false; }, 1s));
  EXPECT_TRUE(world.failure().has_value());
  EXPECT_EQ(world.failure_kind(), FailureKind::kStuck);
}

TEST(WorldTest, AFailureStopsTheRunAndItsNotes) {
  World world(1);
  world.AfterEachEvent([&] {
    if (world.elapsed() == 2ms) world.Fail("two");
  });
  int ran = 0;
  for (auto when : {1ms, 2ms, 3ms}) {
    world.After(when, "x",
                [&] { world.Note("me", "ran", static_cast<uint64_t>(++ran)); });
  }
  world.RunFor(1s);
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(world.failure(), "two");
  EXPECT_EQ(world.failure_kind(), FailureKind::kViolation);
  world.Fail("three");
  world.Note("me", "clears up", uint64_t{0});
  EXPECT_EQ(world.failure(), "two");
  EXPECT_EQ(world.LastNotes().size(), 2);
}

// ---- Determinism ----

uint64_t TraceOf(uint64_t seed) {
  Talk talk(seed);
  for (int i = 0; i < 20; ++i) {
    talk.client_end->Write(std::string(1000 * i, 'x'));
    talk.server_end->Write("y");
    talk.world.RunFor(1ms);
  }
  return talk.world.trace_hash();
}

TEST(DeterminismTest, ASeedIsARun) {
  EXPECT_EQ(TraceOf(1), TraceOf(1));
  EXPECT_EQ(TraceOf(2), TraceOf(2));
  EXPECT_NE(TraceOf(1), TraceOf(2));
}

TEST(DeterminismTest, StreamsOfRandomnessAreIndependent) {
  World world(7);
  auto one = world.NewRandom("one");
  auto again = world.NewRandom("one");
  auto two = world.NewRandom("two");
  const uint64_t first = one->Next();
  EXPECT_EQ(first, again->Next());
  EXPECT_NE(first, two->Next());
}

// ---- Disks ----

// What a host finds after a power loss, for many seeds.
std::set<std::string> AfterPowerLoss(const std::function<void(io::Disk&)>& work,
                                     const std::string& path) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 64; ++seed) {
    World world(seed);
    Network network(world, {});
    Host host(world, network, "a", "10.0.0.1");
    work(StartIdle(host).disk());
    host.LosePower();
    host.Boot();
    auto content = StartIdle(host).disk().ReadFile(path);
    outcomes.insert(content.ok() ? *content : "none");
  }
  return outcomes;
}

void WriteSynced(io::Disk& disk, const std::string& path,
                 const std::string& content) {
  auto file = disk.Open(path, Mode::kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(content).ok());
  ASSERT_TRUE((*file)->Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
}

TEST(DiskTest, WhatIsSyncedSurvives) {
  EXPECT_EQ(AfterPowerLoss(
                [](io::Disk& disk) { WriteSynced(disk, "/f", "safe"); }, "/f"),
            std::set<std::string>{"safe"});
}

TEST(DiskTest, EachUnsyncedWriteIsKeptOrLost) {
  const auto outcomes = AfterPowerLoss(
      [](io::Disk& disk) {
        WriteSynced(disk, "/f", "....");
        auto file = disk.Open("/f", Mode::kReadWrite);
        ASSERT_TRUE((*file)->WriteAt(0, "a").ok());
        ASSERT_TRUE((*file)->WriteAt(2, "b").ok());
      },
      "/f");
  EXPECT_EQ(outcomes, (std::set<std::string>{"....", "a...", "..b.", "a.b."}));
}

TEST(DiskTest, WritesAreTornAtSectors) {
  constexpr size_t kSectors = 4;
  const auto outcomes = AfterPowerLoss(
      [](io::Disk& disk) {
        WriteSynced(disk, "/f", std::string(kSectors * 512, '.'));
        auto file = disk.Open("/f", Mode::kReadWrite);
        ASSERT_TRUE((*file)->WriteAt(0, std::string(kSectors * 512, 'x')).ok());
      },
      "/f");
  bool torn = false;
  for (const std::string& content : outcomes) {
    ASSERT_EQ(content.size(), kSectors * 512);
    for (size_t i = 0; i < kSectors; ++i) {
      const std::string sector = content.substr(i * 512, 512);
      EXPECT_EQ(sector, std::string(512, sector[0]));
      torn = torn || sector[0] != content[0];
    }
  }
  EXPECT_TRUE(torn);
}

TEST(DiskTest, ANameNeedsItsDirectorySynced) {
  const auto outcomes = AfterPowerLoss(
      [](io::Disk& disk) {
        WriteSynced(disk, "/f", "old");
        auto file = disk.Open("/g", Mode::kCreate);
        ASSERT_TRUE((*file)->Append("new").ok());
        ASSERT_TRUE((*file)->Sync().ok());
        ASSERT_TRUE(disk.Rename("/g", "/f").ok());
      },
      "/f");
  // A rename within a directory is atomic.
  EXPECT_EQ(outcomes, (std::set<std::string>{"old", "new"}));
}

TEST(DiskTest, AFailedSyncLeavesUncertainWhatItShouldHaveSaved) {
  const auto outcomes =
      AfterPowerLoss([](io::Disk& disk) { WriteSynced(disk, "/f", ""); }, "/f");
  EXPECT_EQ(outcomes, std::set<std::string>{""});
  std::set<std::string> found;
  for (uint64_t seed = 1; seed <= 32; ++seed) {
    World world(seed);
    Network network(world, {});
    Host host(world, network, "a", "10.0.0.1");
    io::Disk& disk = StartIdle(host).disk();
    WriteSynced(disk, "/f", "");
    auto file = disk.Open("/f", Mode::kReadWrite);
    ASSERT_TRUE((*file)->Append("x").ok());
    host.files().failing_syncs = 1;
    EXPECT_TRUE(absl::IsUnavailable((*file)->Sync()));
    // Trying again does not help: that is how Linux behaves.
    EXPECT_TRUE((*file)->Sync().ok());
    host.LosePower();
    host.Boot();
    found.insert(*StartIdle(host).disk().ReadFile("/f"));
  }
  EXPECT_EQ(found, (std::set<std::string>{"", "x"}));
}

TEST(DiskTest, AFullDiskSaysSo) {
  World world(1);
  Network network(world, {});
  Host host(world, network, "a", "10.0.0.1");
  io::Disk& disk = StartIdle(host).disk();
  auto file = disk.Open("/f", Mode::kCreate);
  host.files().full = true;
  EXPECT_TRUE(absl::IsResourceExhausted((*file)->Append("x")));
  host.files().full = false;
  EXPECT_TRUE((*file)->Append("x").ok());
}

TEST(DiskTest, AProcessMayDieAtAnyDiskCall) {
  for (uint64_t n = 1; n <= 3; ++n) {
    World world(1);
    Network network(world, {});
    Host host(world, network, "a", "10.0.0.1");
    Process& process = StartIdle(host);
    process.DieAtDiskCall(n, false);
    auto lane = process.NewLane("test");
    bool done = false;
    std::vector<bool> results;
    lane->Run(
        [&] {
          for (int i = 0; i < 3; ++i) {
            results.push_back(process.disk().MakeDirectories("/d").ok());
          }
        },
        [&] { done = true; });
    world.RunFor(1s);
    EXPECT_EQ(results, (std::vector<bool>{n > 1, n > 2, false}));
    EXPECT_FALSE(done);
    EXPECT_FALSE(process.alive());
  }
}

// ---- ZooKeeper ----

class Client final : public io::CoordinationSession::Listener {
 public:
  Client(World& world, Process& process) : world_(world) {
    session = *process.coordination().Connect(
        {.servers = {"10.0.1.1:2181"}, .session_timeout = 6s}, this);
  }
  void OnConnected(int64_t session_id) override {
    connected = true;
    id = session_id;
  }
  void OnDisconnected() override { connected = false; }
  void OnExpired() override { expired = true; }
  void OnAuthenticationFailed() override { FAIL(); }

  void Create(const std::string& path, bool ephemeral) {
    absl::Status status = absl::UnknownError("");
    session->Create(path, "", {.ephemeral = ephemeral},
                    [&](auto created) { status = created.status(); });
    EXPECT_TRUE(world_.RunUntil([&] { return !absl::IsUnknown(status); }, 30s));
    EXPECT_TRUE(status.ok()) << status;
  }
  bool Exists(const std::string& path) {
    absl::Status status = absl::UnknownError("");
    session->Get(path, nullptr, [&](auto got) { status = got.status(); });
    EXPECT_TRUE(world_.RunUntil([&] { return !absl::IsUnknown(status); }, 30s));
    return status.ok();
  }

  bool connected = false;
  bool expired = false;
  int64_t id = 0;
  std::unique_ptr<io::CoordinationSession> session;

 private:
  World& world_;
};

class ZooKeeperTest : public testing::Test {
 protected:
  ZooKeeperTest() : ensemble_(world_, {&z1_, &z2_, &z3_}) {
    for (Host* host : {&a_, &b_}) host->ensemble = &ensemble_;
  }
  void Connect() {
    a_process_ = &StartIdle(a_);
    a_client_ = std::make_unique<Client>(world_, *a_process_);
    b_client_ = std::make_unique<Client>(world_, StartIdle(b_));
    ASSERT_TRUE(world_.RunUntil(
        [&] { return a_client_->connected && b_client_->connected; }, 5s));
  }
  void Cut(const Host& one, const Host& other) {
    network_.Cut(one.ip(), other.ip());
    network_.Cut(other.ip(), one.ip());
  }

  World world_{1};
  Network network_{world_, {}};
  Host z1_{world_, network_, "z1", "10.0.1.1"};
  Host z2_{world_, network_, "z2", "10.0.1.2"};
  Host z3_{world_, network_, "z3", "10.0.1.3"};
  Ensemble ensemble_;
  Host a_{world_, network_, "a", "10.0.0.1"};
  Host b_{world_, network_, "b", "10.0.0.2"};
  Process* a_process_ = nullptr;
  std::unique_ptr<Client> a_client_, b_client_;
};

TEST_F(ZooKeeperTest, APausedClientExpiresAndLearnsItWhenItWakes) {
  Connect();
  a_client_->Create("/e", true);
  a_process_->Pause();
  world_.RunFor(10s);
  EXPECT_FALSE(b_client_->Exists("/e"));
  EXPECT_FALSE(a_client_->expired);
  EXPECT_EQ(ensemble_.expired_sessions(), 1);
  a_process_->Resume();
  world_.RunFor(5s);
  EXPECT_TRUE(a_client_->expired);
}

TEST_F(ZooKeeperTest, ASessionMovesToAServerThatCanBeReached) {
  Connect();
  a_client_->Create("/e", true);
  const int64_t id = a_client_->id;
  // Whichever it is on, only z3 is left.
  Cut(a_, z1_);
  Cut(a_, z2_);
  world_.RunFor(20s);
  EXPECT_TRUE(a_client_->connected);
  EXPECT_EQ(a_client_->id, id);
  EXPECT_TRUE(b_client_->Exists("/e"));
}

TEST_F(ZooKeeperTest, AMinorityOfServersServesNobodyAndExpiresNothing) {
  Connect();
  a_client_->Create("/e", true);
  z1_.LosePower();
  z2_.LosePower();
  world_.RunFor(30s);
  EXPECT_FALSE(a_client_->connected);
  EXPECT_FALSE(a_client_->expired);
  z1_.Boot();
  world_.RunFor(3s);
  EXPECT_TRUE(a_client_->connected);
  EXPECT_TRUE(b_client_->Exists("/e"));
}

TEST_F(ZooKeeperTest, AKilledClientLeavesItsNodesForItsTimeout) {
  Connect();
  a_client_->Create("/e", true);
  a_process_->Kill();
  a_client_.reset();
  world_.RunFor(3s);
  EXPECT_TRUE(b_client_->Exists("/e"));
  world_.RunFor(4s);
  EXPECT_FALSE(b_client_->Exists("/e"));
}

TEST_F(ZooKeeperTest, AReplyMayGetLostAfterTheDeed) {
  // On some seed the request arrives and the reply does not.
  int done_though_unavailable = 0;
  Connect();
  for (int i = 0; i < 40; ++i) {
    const std::string path = absl::StrCat("/n", i);
    std::optional<absl::Status> status;
    a_client_->session->Create(
        path, "", {}, [&](auto created) { status = created.status(); });
    world_.RunFor(io::Duration(i * 10'000));
    for (Host* server : {&z1_, &z2_, &z3_}) Cut(a_, *server);
    world_.RunFor(5s);
    network_.MendAll();
    world_.RunFor(5s);
    ASSERT_TRUE(status.has_value());
    if (absl::IsUnavailable(*status) && b_client_->Exists(path)) {
      ++done_though_unavailable;
    }
  }
  EXPECT_GT(done_though_unavailable, 0);
}

// ---- Containers ----

TEST(ContainersTest, ALostHostTakesThemAlong) {
  World world(1);
  Network network(world, {});
  Host host(world, network, "a", "10.0.0.1");
  std::vector<std::string> commands;
  std::optional<int> status = 1;
  host.containers().on_command = [&](const io::ContainerSpec& spec) {
    commands.push_back(spec.arguments.back());
  };
  host.containers().on_command_ended =
      [&](const std::string&, std::optional<int> ended) { status = ended; };
  io::ContainerSpec spec;
  spec.id = "c";
  spec.program = "/bin/sh";
  spec.arguments = {"sh", "-c", "sleep 5; echo done"};
  spec.directory = "/";
  spec.stdout_path = "/out";
  spec.stderr_path = "/err";
  StartIdle(host).containers().Launch(spec, [](const auto&) {});
  world.RunFor(1s);
  EXPECT_EQ(commands, std::vector<std::string>{"sleep 5; echo done"});
  host.LosePower();
  EXPECT_EQ(status, std::nullopt);
  host.Boot();
  size_t listed = 1;
  StartIdle(host).containers().List([&](auto all) { listed = all->size(); });
  world.RunFor(10s);
  EXPECT_EQ(listed, 0);
}

}  // namespace
}  // namespace quorate::sim
