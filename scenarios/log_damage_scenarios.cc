// Disks that lie: what was written is damaged, older, or was never there.

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "core/log/superblock.h"
#include "scenarios/scenario.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

using State = log::LogStatus::State;
using Sectors = std::function<void(std::string& sector)>;
constexpr size_t kSector = sim::FileSystem::kSectorBytes;
constexpr size_t kCopySectors = log::Superblock::kCopyBytes / kSector;

sim::LogClusterOptions Electing() {
  sim::LogClusterOptions options;
  options.builtin_election = true;
  return options;
}

void Flip(std::string& sector) { sector[sector.size() / 3] ^= 0x20; }
void Zero(std::string& sector) { sector.assign(sector.size(), '\0'); }

// Changes sectors of files that hold something, on the disk of a replica that
// is down; those that `chosen` names, by path and number.
void Damage(sim::LogCluster& log, int i, const Sectors& damage,
            const std::function<bool(const std::string&, size_t)>& chosen) {
  for (auto& [path, node] : log.Files(i)) {
    for (size_t at = 0; at < node->content.size(); at += kSector) {
      if (!chosen(path, at / kSector)) continue;
      std::string sector = node->content.substr(at, kSector);
      if (sector == std::string(sector.size(), '\0')) continue;
      damage(sector);
      node->content.replace(at, sector.size(), sector);
    }
    node->durable = node->content;
  }
}

bool InJournal(const std::string& path) {
  return absl::StrContains(path, "/journal.");
}

// Appends through 0, which leads, and waits for the acknowledgement.
bool AppendAt0(sim::World& world, sim::LogCluster& log, size_t bytes = 0) {
  const auto listens = [&] { return log.up(0) && !log.process(0).paused(); };
  if (!world.RunUntil(listens, 5s)) return false;
  const uint64_t before = log.acknowledged();
  log.Append(0, bytes);
  return world.RunUntil([&] { return log.acknowledged() > before; }, 5s);
}

void Restart(sim::LogCluster& log, const std::vector<int>& replicas) {
  for (int i : replicas) log.Start(i);
}

// Somebody leads among those that run, if the log can go on at all.
bool SomebodyLeads(sim::World& world, sim::LogCluster& log, int asked,
                   io::Duration time) {
  log.Elect(asked);
  return world.RunUntil([&] { return !log.Leaders().empty(); }, time);
}

// 0 leads a log of three, without 2.
bool BeginWithoutTheThird(sim::World& world, sim::LogCluster& log) {
  if (!world.RunUntil([&] { return log.Converged(); }, 30s)) return false;
  if (!SomebodyLeads(world, log, 0, 10s) || !AppendAt0(world, log)) {
    return false;
  }
  world.RunFor(2s);
  log.Kill(2);
  return true;
}

}  // namespace

// What two of three have acknowledged is damaged on one of them, and the other
// is away: the log waits for it, and does not decide anew.
SCENARIO(Damage, OfTheLatestVotes) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_NOW(BeginWithoutTheThird(world, log));
  for (uint64_t n = 1 + random->Below(3); n > 0; --n) {
    EXPECT_NOW(AppendAt0(world, log, random->Below(2) * (30 << 10)));
  }
  if (random->Below(2) == 0) world.RunFor(1s);
  log.LosePower(0);
  log.LosePower(1);
  // Everything that 1 keeps of its votes, here or there.
  const bool records = random->Below(2) == 0;
  Damage(log, 1, Flip, [&](const std::string& path, size_t) {
    return InJournal(path) || (records && absl::StrContains(path, "/records/"));
  });
  Restart(log, {1, 2});
  SomebodyLeads(world, log, static_cast<int>(1 + random->Below(2)), 5s);
  log.Append(1);
  log.Append(2);
  world.RunFor(3s);
  log.Start(0);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 30s));
  EXPECT_SOON(log.Converged(), 20s);
}

// A large vote is written once; what tells of its loss is written apart.
SCENARIO(Damage, OfTheLatestLargeVote) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_NOW(BeginWithoutTheThird(world, log));
  EXPECT_NOW(AppendAt0(world, log, 60 << 10));
  log.LosePower(0);
  log.LosePower(1);
  // Sectors that a disk has lost look as if they had never been written. Those
  // of the last frame with many of them:
  std::map<uint64_t, int> frames;
  const auto number = [](const std::string& sector) {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) {
      value |= uint64_t{static_cast<unsigned char>(sector[kSector - 8 + i])}
               << (8 * i);
    }
    return value;
  };
  const auto each = [&](const std::function<void(std::string&)>& look) {
    for (auto& [path, node] : log.Files(1)) {
      if (!InJournal(path)) continue;
      for (size_t at = 0; at + kSector <= node->content.size(); at += kSector) {
        std::string sector = node->content.substr(at, kSector);
        look(sector);
        node->content.replace(at, kSector, sector);
      }
      node->durable = node->content;
    }
  };
  each([&](std::string& sector) { ++frames[number(sector)]; });
  frames.erase(0);
  uint64_t large = 0;
  for (const auto& [frame, sectors] : frames) {
    if (sectors > 60) large = frame;
  }
  EXPECT_NOW(large != 0);
  each([&](std::string& sector) {
    if (number(sector) == large) Zero(sector);
  });
  Damage(log, 1, Zero, [](const std::string& path, size_t) {
    return absl::StrContains(path, "/records/") && absl::EndsWith(path, ".log");
  });
  Restart(log, {1, 2});
  SomebodyLeads(world, log, static_cast<int>(1 + random->Below(2)), 5s);
  world.RunFor(3s);
  log.Start(0);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 30s));
  EXPECT_SOON(log.Converged(), 20s);
}

// Every sector of one replica's files has a flipped bit, but one copy of its
// superblock. It serves nothing wrong, fetches what it lost, and votes.
SCENARIO(Damage, OfEverythingOnOneDisk) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing());
  EXPECT_SOON(log.Leaders().size() == 1, 30s);
  for (int i = 0; i < 100; ++i) {
    for (int leader : log.Leaders()) log.Append(leader, random->Below(3000));
    world.RunFor(2ms);
  }
  EXPECT_SOON(log.Converged(), 10s);
  const int victim = static_cast<int>(random->Below(3));
  if (random->Below(2) == 0) {
    log.Kill(victim);
  } else {
    log.LosePower(victim);
  }
  const uint64_t whole_copy = random->Below(4);
  Damage(log, victim, Flip, [&](const std::string& path, size_t sector) {
    return !absl::EndsWith(path, "/superblock") ||
           sector / kCopySectors != whole_copy;
  });
  log.Start(victim);
  EXPECT_SOON(log.Leaders().size() == 1 && log.status(victim).voting, 30s);
  EXPECT_SOON(log.Leaders().size() == 1 && log.Converged() &&
                  log.status(victim).metrics["log/damaged"] == 0,
              60s);
  // The votes that it has lost may matter until somebody has led anew. Then
  // the log goes on with its help, though another one is gone.
  const int leader = log.Leaders()[0];
  log.Kill(leader);
  log.Start(leader);
  EXPECT_SOON(log.Leaders().size() == 1 && log.Converged(), 30s);
  // Also after a restart.
  log.Kill(victim);
  log.Start(victim);
  log.Retire((victim + 1) % 3);
  const uint64_t before = log.acknowledged();
  EXPECT_SOON((log.Leaders().size() == 1 &&
               (log.Append(log.Leaders()[0]), log.acknowledged() > before)),
              30s);
}

// A record is damaged while its replica runs, which cannot ask anybody: the
// others truncate it away, and the replica goes on.
SCENARIO(Damage, OfARecordThatTheOthersTruncate) {
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  for (int i = 0; i < 30; ++i) EXPECT_NOW(AppendAt0(world, log));
  EXPECT_SOON(log.Converged(), 10s);
  // A checkpoint brings the records to the disk.
  log.Kill(2);
  log.Start(2);
  EXPECT_SOON(log.Converged(), 10s);
  log.Cut(2, 0);
  log.Cut(2, 1);
  std::optional<absl::Status> read;
  Damage(log, 2, Flip, [](const std::string& path, size_t) {
    return absl::StrContains(path, "/records/");
  });
  log.node(2)->Read(log.status(2).base, log.status(2).learned_upto,
                    [&](absl::StatusOr<log::LogNode::Range> range) {
                      read = range.status();
                    });
  EXPECT_SOON(read.has_value(), 5s);
  EXPECT_NOW(AppendAt0(world, log));
  log.Truncate(0, log.status(0).learned_upto - 1);
  EXPECT_NOW(AppendAt0(world, log));
  EXPECT_SOON(log.status(0).base > 20, 5s);
  log.network().MendAll();
  EXPECT_SOON(log.Converged() && log.status(2).base > 20, 20s);
  EXPECT_NOW(log.status(2).metrics["log/damaged"] == 0);
}

// A replica with nobody to ask goes on appending beside a damaged record, and
// says that there is one.
SCENARIO(Damage, OfARecordOfTheOnlyReplica) {
  sim::LogCluster log(world, 1);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  for (int i = 0; i < 30; ++i) EXPECT_NOW(AppendAt0(world, log));
  log.Kill(0);
  log.Start(0);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  Damage(log, 0, Flip, [](const std::string& path, size_t) {
    return absl::StrContains(path, "/records/");
  });
  std::optional<absl::Status> read;
  log.node(0)->Read(log.status(0).base, 20,
                    [&](absl::StatusOr<log::LogNode::Range> range) {
                      read = range.status();
                    });
  EXPECT_SOON(read.has_value(), 5s);
  EXPECT_NOW(absl::IsDataLoss(*read));
  EXPECT_NOW(log.status(0).metrics["log/damaged"] == 1);
  EXPECT_NOW(AppendAt0(world, log));
}

// One disk becomes full: its replica says so, and votes again when the log was
// truncated. Started again it has used its reserve: it stays and waits for
// space, or says that there is not even enough to begin with.
SCENARIO(FullDisk, IsWaitedFor) {
  auto random = world.NewRandom("story");
  sim::LogClusterOptions options;
  options.log.reserve_bytes = 20 << 20;
  sim::LogCluster log(world, options);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  sim::FileSystem& files = log.host(2).files();
  files.capacity = (34 << 20) + random->Below(8 << 20);
  const auto full = [&] {
    return log.up(2) && log.status(2).metrics["log/disk_full"] == 1;
  };
  for (int i = 0; i < 1000 && !full(); ++i) {
    EXPECT_NOW(AppendAt0(world, log, 100 << 10));
    EXPECT_NOW(log.up(2));
  }
  EXPECT_NOW(full());
  if (random->Below(2) == 0) {
    log.Truncate(0, log.status(0).learned_upto - 2);
    EXPECT_NOW(AppendAt0(world, log));
  } else {
    for (int i = 0; i < 3; ++i) {
      log.Kill(2);
      log.Start(2);
      for (int j = 0; j < 80; ++j) {
        EXPECT_NOW(AppendAt0(world, log, 100 << 10));
      }
      world.RunFor(7s);
      EXPECT_NOW(log.up(2) && full());
      log.ReadBack(2, [](const absl::Status&) {});
    }
    files.capacity = 0;
  }
  EXPECT_SOON(!full() && log.Converged(), 60s);
  log.Retire(1);
  EXPECT_NOW(AppendAt0(world, log));
}

// Not even the start of a replica fits, a new one's or that of one that has
// used its reserve. It waits, says so, and goes on when there is space.
SCENARIO(FullDisk, IsWaitedForAtAStart) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  EXPECT_NOW(AppendAt0(world, log, 10 << 10));
  log.Kill(2);
  if (random->Below(2) == 0) log.Wipe(2);
  sim::FileSystem& files = log.host(2).files();
  for (const auto& [path, file] : log.Files(2)) {
    if (absl::EndsWith(path, "/reserve")) {
      files.Link(*files.Find("/var/lib/log", true).value(), "reserve", nullptr);
    }
  }
  files.full = true;
  log.Start(2);
  world.RunFor(20s);
  EXPECT_NOW(log.up(2));
  EXPECT_NOW(log.status(2).state == log::LogStatus::State::kOpening);
  EXPECT_NOW(log.status(2).metrics["log/disk_full"] == 1);
  EXPECT_NOW(absl::StrContains(log.status(2).explanation, "disk is full"));
  EXPECT_NOW(AppendAt0(world, log));
  files.full = false;
  EXPECT_SOON(log.status(2).metrics["log/disk_full"] == 0, 10s);
  EXPECT_SOON(log.Converged(), 30s);
}

// Every copy of an entry is damaged: the log stops, and says at which position.
SCENARIO(Damage, OfAllCopiesStopsTheLog) {
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  for (int i = 0; i < 5; ++i) EXPECT_NOW(AppendAt0(world, log));
  EXPECT_SOON(log.Converged(), 10s);
  world.RunFor(2s);
  for (int i = 0; i < 3; ++i) {
    log.Kill(i);
    Damage(log, i, Flip, [](const std::string& path, size_t) {
      return !absl::EndsWith(path, "/superblock");
    });
  }
  Restart(log, {0, 1, 2});
  EXPECT_NOW(!SomebodyLeads(world, log, 1, 20s));
  EXPECT_NOW(absl::StrContains(log.status(1).explanation, "at position ") ||
             absl::StrContains(log.status(1).explanation, "of position "));
}

// A sync that failed has lost what it should have written, whatever the next
// one says.
SCENARIO(Damage, ASyncThatFailed) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_NOW(BeginWithoutTheThird(world, log));
  log.host(1).files().failing_syncs = 1;
  log.Append(0);
  world.RunFor(random->Between(1ms, 20ms));
  log.host(1).files().failing_syncs = 0;
  if (log.up(1)) log.LosePower(1);
  log.LosePower(0);
  Restart(log, {1, 2});
  SomebodyLeads(world, log, static_cast<int>(1 + random->Below(2)), 5s);
  world.RunFor(2s);
  log.Start(0);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 30s));
  EXPECT_SOON(log.Converged(), 20s);
}

// Power is lost in the middle of a promise, and one copy of the superblock is
// damaged as well: the replica still knows who it is, and what it promised.
SCENARIO(Damage, OfASuperblock) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  for (int turn = 0; turn < 4 && !world.failure(); ++turn) {
    const int i = static_cast<int>(random->Below(3));
    log.process(i).DieAtDiskCall(1 + random->Below(12), true);
    log.Elect((i + 1) % 3);
    world.RunFor(1s);
    if (log.up(i)) log.LosePower(i);
    // Any one of those that both syncs of an update have written.
    const uint64_t damaged = random->Below(4);
    int whole = 0;
    for (auto& [path, node] : log.Files(i)) {
      if (!absl::EndsWith(path, "/superblock")) continue;
      if (node->content.size() < 4 * kCopySectors * kSector) continue;
      for (size_t copy = 0; copy < 4; ++copy) {
        const std::string first = node->content.substr(0, 8);
        whole +=
            node->content.compare(copy * kCopySectors * kSector, 8, first) == 0;
      }
    }
    if (turn == 3 && whole == 4) {
      Damage(log, i, Flip, [&](const std::string& path, size_t sector) {
        return absl::EndsWith(path, "/superblock") &&
               sector / kCopySectors == damaged;
      });
    }
    log.Start(i);
    EXPECT_SOON(log.status(i).state != State::kOpening && log.status(i).voting,
                10s);
  }
  log.HealAll();
  world.RunFor(3s);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 30s));
}

// One that was restored from a backup, and one that missed an entry, are a
// majority that could forget it. The second knows that the first has voted.
SCENARIO(Damage, ARestoredBackupHelpsNobodyForget) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  sim::NetworkOptions network;
  network.min_stall = 1ms;
  network.max_stall = 2ms;
  log.network().SetOptions(network);
  EXPECT_SOON(log.Converged(), 30s);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 10s));
  EXPECT_NOW(AppendAt0(world, log));
  world.RunFor(1s);
  const auto backup = log.Backup(1);
  log.Cut(0, 2);
  log.Cut(1, 2);
  world.RunFor(random->Between(0ms, 20ms));
  EXPECT_NOW(AppendAt0(world, log));
  log.network().MendAll();
  // 2 hears of the next entry, and with it of the vote of 1 for the one before.
  for (int i = 0; i < 20; ++i) {
    log.Append(0);
    world.RunFor(random->Between(0us, 400us));
  }
  log.Kill(0);
  log.Kill(1);
  log.Restore(1, backup);
  log.network().SetOptions({});
  log.Start(1);
  SomebodyLeads(world, log, static_cast<int>(1 + random->Below(2)), 5s);
  world.RunFor(2s);
  log.Start(0);
  EXPECT_NOW(SomebodyLeads(world, log, 0, 30s));
}

}  // namespace quorate::scenarios
