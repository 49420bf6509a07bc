// What a replica of the log finds on its disk after losses of power: each state
// that the disk may be left in, at each of its calls.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/log/superblock.h"
#include "io/random.h"
#include "sim/roles/log_life.h"

namespace quorate::log {
namespace {

using sim::FileSystem;

constexpr uint64_t kSector = FileSystem::kSectorBytes;

// What may be kept of each write at risk: all combinations of all or nothing
// for up to eight of them; and each cut of each write, with all of the others,
// or none.
std::vector<std::vector<uint64_t>> Outcomes(
    const std::vector<FileSystem::AtRisk>& risks) {
  constexpr size_t kMaxSubsets = 8;
  constexpr uint64_t kMaxCuts = 48;
  constexpr uint64_t kEachByte = 256;
  std::vector<uint64_t> all;
  for (const FileSystem::AtRisk& risk : risks) all.push_back(risk.bytes);
  const std::vector<uint64_t> none(risks.size(), 0);
  std::vector<std::vector<uint64_t>> outcomes;
  if (risks.size() <= kMaxSubsets) {
    for (uint64_t subset = 0; subset < uint64_t{1} << risks.size(); ++subset) {
      outcomes.push_back(none);
      for (size_t i = 0; i < risks.size(); ++i) {
        if ((subset >> i & 1) != 0) outcomes.back()[i] = all[i];
      }
    }
  } else {
    outcomes = {all, none};
    for (size_t i = 0; i < risks.size(); ++i) {
      outcomes.push_back(all);
      outcomes.back()[i] = 0;
      outcomes.push_back(none);
      outcomes.back()[i] = all[i];
    }
  }
  for (size_t i = 0; i < risks.size(); ++i) {
    uint64_t step = risks[i].bytes <= kEachByte ? 1 : kSector;
    while (risks[i].bytes / step > std::max(kMaxCuts, kEachByte / step)) {
      step *= 2;
    }
    for (uint64_t cut = step; cut < risks[i].bytes; cut += step) {
      outcomes.push_back(all);
      outcomes.back()[i] = cut;
      if (risks.size() == 1) continue;
      outcomes.push_back(none);
      outcomes.back()[i] = cut;
    }
  }
  return outcomes;
}

// Empty when a replica that starts on this disk is what it was.
std::string Restart(FileSystem& files, const Memory& memory, bool goes_on) {
  Memory after = memory;
  WatchedDisk disk(files);
  Replica replica(disk.disk(), SmallOptions(), &after);
  absl::Status opened = replica.Open();
  if (!opened.ok()) return std::string(opened.message());
  std::string missing = memory.Missing(replica.storage(), false);
  if (!missing.empty() || !goes_on) return missing;
  // It goes on, and starts once more.
  const Ballot ballot{9, kMe};
  absl::Status voted = replica.Promise(ballot);
  if (voted.ok()) voted = replica.VoteFor(40, ballot, "after");
  if (voted.ok()) voted = replica.VoteFor(41, ballot, std::string(20000, 'a'));
  if (!voted.ok()) return std::string(voted.message());
  opened = replica.Open();
  if (!opened.ok()) return std::string(opened.message());
  missing = after.Missing(replica.storage(), false);
  return missing.empty() ? "" : absl::StrCat("the second time, ", missing);
}

// Looks, before each call of a disk that changed since, at what a loss of power
// would leave.
class Explorer {
 public:
  Explorer(FileSystem& files, const Memory& memory)
      : files_(files), memory_(memory) {}

  // Of the states that are found, one in so many is started with a loss of
  // power at each call of that start.
  uint64_t again_every = 0;

  uint64_t states() const { return states_; }
  uint64_t points() const { return points_; }

  absl::Status OnCall() {
    if (files_.changes() == checked_) return absl::OkStatus();
    checked_ = files_.changes();
    ++points_;
    const std::vector<FileSystem::AtRisk> risks = files_.ListAtRisk();
    for (const std::vector<uint64_t>& kept : Outcomes(risks)) {
      std::unique_ptr<FileSystem> left = files_.AfterPowerLoss(kept);
      ++states_;
      std::string wrong;
      if (again_every > 0 && states_ % again_every == 0) {
        wrong = StartAndLosePower(*left);
      }
      if (wrong.empty()) wrong = Restart(*left, memory_, states_ % 16 == 0);
      if (wrong.empty()) continue;
      ADD_FAILURE() << wrong << ", at point " << points_ << ", state "
                    << states_ << ", keeping "
                    << ::testing::PrintToString(kept);
      for (const auto& risk : risks) {
        printf("  %s %d\n", risk.path.c_str(), static_cast<int>(risk.bytes));
      }
      return absl::UnavailableError("stopped");
    }
    return absl::OkStatus();
  }

 private:
  std::string StartAndLosePower(const FileSystem& left) {
    std::unique_ptr<FileSystem> files = left.Copy();
    WatchedDisk disk(*files);
    Explorer inner(*files, memory_);
    disk.on_call = [&inner] { return inner.OnCall(); };
    absl::Status opened = Storage::Open(disk.disk(), SmallOptions()).status();
    states_ += inner.states();
    return opened.ok() ? "" : "while it starts";
  }

  FileSystem& files_;
  const Memory& memory_;
  uint64_t checked_ = ~uint64_t{0};
  uint64_t states_ = 0;
  uint64_t points_ = 0;
};

TEST(Storage, AnyStateThatAPowerLossLeavesIsWhole) {
  FileSystem files;
  WatchedDisk disk(files);
  Memory memory;
  Explorer explorer(files, memory);
  explorer.again_every = 4001;
  disk.on_call = [&explorer] { return explorer.OnCall(); };
  const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
  EXPECT_TRUE(lived.ok()) << lived;
  printf("%d states at %d points of %d calls\n",
         static_cast<int>(explorer.states()),
         static_cast<int>(explorer.points()), static_cast<int>(disk.calls()));
  EXPECT_GT(explorer.states(), 30000u);
}

TEST(Storage, KeepsWhatItAcknowledged) {
  FileSystem files;
  WatchedDisk disk(files);
  Memory memory;
  const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
  ASSERT_TRUE(lived.ok()) << lived;
  Storage::Options options = SmallOptions();
  options.fresh_id = kOther;
  auto storage = Storage::Open(disk.disk(), options);
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->identity().member_id(), kMe);
  EXPECT_EQ((*storage)->identity().incarnation(), 4u);
  EXPECT_EQ((*storage)->identity().status(), ACTIVE);
  EXPECT_EQ(memory.Missing(**storage, false), "");
  EXPECT_GT(memory.settled, 10u);
}

TEST(Storage, AnEndOfAProcessTakesNothingAway) {
  FileSystem files;
  Memory memory;
  WatchedDisk counting(files);
  ASSERT_TRUE(Live(counting.disk(), SmallOptions(), &memory).ok());
  for (uint64_t call = 1; call <= counting.calls(); ++call) {
    FileSystem own;
    Memory own_memory;
    WatchedDisk disk(own);
    disk.on_call = [&]() -> absl::Status {
      return disk.calls() < call ? absl::OkStatus()
                                 : absl::UnavailableError("killed");
    };
    EXPECT_FALSE(Live(disk.disk(), SmallOptions(), &own_memory).ok());
    ASSERT_EQ(Restart(own, own_memory, true), "") << "call " << call;
  }
}

// Space comes back after a truncation, whenever the power is lost meanwhile.
TEST(Storage, TruncationFreesSpace) {
  const auto bytes_of = [](FileSystem& files) {
    uint64_t bytes = 0;
    WatchedDisk disk(files);
    const std::string path = absl::StrCat(kLogDirectory, "/records");
    const auto names = disk.disk().List(path);
    for (const std::string& name : *names) {
      bytes += disk.disk().Stat(absl::StrCat(path, "/", name))->size;
    }
    return bytes;
  };
  uint64_t calls = 1;
  for (uint64_t call = 0; call <= calls; call += 3) {
    FileSystem files;
    Memory memory;
    WatchedDisk disk(files);
    Replica replica(disk.disk(), SmallOptions(), &memory);
    ASSERT_TRUE(replica.Open().ok() && replica.Join().ok());
    ASSERT_TRUE(replica.Promise({1, kMe}).ok());
    for (uint64_t p = 0; p < 220; ++p) {
      ASSERT_TRUE(replica.MakeRoom().ok());
      ASSERT_TRUE(replica.VoteFor(p, {1, kMe}, std::string(50000, 'x')).ok());
      ASSERT_TRUE(replica.Learn(p, p + 1).ok());
    }
    ASSERT_TRUE(replica.Checkpoint().ok());
    // Into a table, whose size LevelDB knows.
    ASSERT_TRUE(replica.Open().ok());
    const uint64_t before = bytes_of(files);
    const uint64_t begin = disk.calls();
    disk.on_call = [&]() -> absl::Status {
      return call == 0 || disk.calls() < begin + call
                 ? absl::OkStatus()
                 : absl::UnavailableError("no power");
    };
    const absl::Status truncated = replica.Truncate(200);
    replica.Close();
    if (call == 0) {
      ASSERT_TRUE(truncated.ok()) << truncated;
      calls = disk.calls() - begin;
      EXPECT_LT(bytes_of(files), before / 4);
    }
    io::SeededRandom random(call);
    files.LosePower(random);
    ASSERT_EQ(Restart(files, memory, true), "") << "call " << call;
  }
  EXPECT_GT(calls, 30u);
}

TEST(Storage, ReadsUpToAGapOrALimit) {
  FileSystem files;
  WatchedDisk disk(files);
  Memory memory;
  Replica replica(disk.disk(), SmallOptions(), &memory);
  ASSERT_TRUE(replica.Open().ok() && replica.Join().ok());
  ASSERT_TRUE(replica.Promise({1, kMe}).ok());
  for (uint64_t p = 0; p < 6; ++p) {
    ASSERT_TRUE(replica.VoteFor(p, {1, kMe}, "some text").ok());
  }
  ASSERT_TRUE(replica.Learn(0, 3).ok() && replica.Learn(4, 5).ok());
  ASSERT_TRUE(replica.Checkpoint().ok());
  Storage& storage = replica.storage();
  EXPECT_EQ(storage.Read(0, 3, 1 << 20)->entries.size(), 3u);
  EXPECT_FALSE(storage.Read(0, 3, 1 << 20)->damaged);
  EXPECT_EQ(storage.Read(0, 5, 1)->entries.size(), 1u);
  EXPECT_EQ(storage.Read(1, 5, 1 << 20)->entries.size(), 2u);
  EXPECT_TRUE(storage.Read(1, 5, 1 << 20)->damaged);
  EXPECT_TRUE(storage.Read(5, 6, 1 << 20)->damaged);
  auto scrubbed = storage.Scrub(0, 6, 1 << 20);
  EXPECT_EQ(scrubbed->damaged, (std::vector<uint64_t>{3, 5}));
  EXPECT_EQ(scrubbed->next, 6u);
  EXPECT_LT(storage.Scrub(0, 6, 100)->next, 4u);
}

TEST(Storage, WantsAnAbsoluteDirectory) {
  FileSystem files;
  WatchedDisk disk(files);
  for (const char* directory : {"", "log", "./var/log"}) {
    Storage::Options options = SmallOptions();
    options.directory = directory;
    EXPECT_TRUE(
        absl::IsInvalidArgument(Storage::Open(disk.disk(), options).status()))
        << directory;
  }
}

TEST(Storage, ServesOneProcessAtATime) {
  FileSystem files;
  WatchedDisk disk(files);
  auto first = Storage::Open(disk.disk(), SmallOptions());
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Storage::Open(disk.disk(), SmallOptions()).status()));
}

TEST(Storage, InspectionCreatesNothing) {
  FileSystem files;
  WatchedDisk disk(files);
  Storage::Options options = SmallOptions();
  options.inspect = true;
  EXPECT_TRUE(absl::IsNotFound(Storage::Open(disk.disk(), options).status()));
  EXPECT_FALSE(disk.disk().Stat(kLogDirectory).ok());
  Memory memory;
  ASSERT_TRUE(Live(disk.disk(), SmallOptions(), &memory).ok());
  for (int time = 0; time < 2; ++time) {
    auto storage = Storage::Open(disk.disk(), options);
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_EQ((*storage)->identity().incarnation(), 3u);
    EXPECT_EQ(memory.Missing(**storage, false), "");
  }
}

constexpr char kSuperblockPath[] = "/superblock";

SuperblockProto Numbered(uint64_t incarnation) {
  SuperblockProto content;
  content.set_member_id(kMe);
  content.set_incarnation(incarnation);
  content.set_status(FORMATTED);
  return content;
}

TEST(Superblock, AnyCopyIsEnough) {
  for (int whole = 0; whole < Superblock::kCopies; ++whole) {
    FileSystem files;
    WatchedDisk disk(files);
    ASSERT_TRUE(
        Superblock::Create(disk.disk(), kSuperblockPath, Numbered(7)).ok());
    auto file = disk.disk().Open(kSuperblockPath, io::Disk::Mode::kReadWrite);
    const auto damage = [&file](int copy) {
      return (*file)->WriteAt(copy * Superblock::kCopyBytes + 20, "damage");
    };
    for (int copy = 0; copy < Superblock::kCopies; ++copy) {
      if (copy == whole) continue;
      ASSERT_TRUE(damage(copy).ok());
    }
    // Twice: the first repairs the others.
    for (int time = 0; time < 2; ++time) {
      auto opened = Superblock::Open(disk.disk(), kSuperblockPath);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ((*opened)->content().incarnation(), 7u);
      ASSERT_TRUE(damage(whole).ok());
    }
  }
}

TEST(Superblock, NoCopyIsDataLoss) {
  FileSystem files;
  WatchedDisk disk(files);
  ASSERT_TRUE(
      Superblock::Create(disk.disk(), kSuperblockPath, Numbered(7)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      Superblock::Create(disk.disk(), kSuperblockPath, Numbered(8)).status()));
  auto file = disk.disk().Open(kSuperblockPath, io::Disk::Mode::kReadWrite);
  constexpr uint64_t kBytes = Superblock::kCopyBytes;
  // A whole copy in another one's place is none.
  std::string all;
  ASSERT_TRUE((*file)->ReadAt(0, kBytes * Superblock::kCopies, &all).ok());
  ASSERT_TRUE(
      (*file)->WriteAt(0, all.substr(kBytes) + all.substr(0, kBytes)).ok());
  EXPECT_TRUE(absl::IsDataLoss(
      Superblock::Open(disk.disk(), kSuperblockPath).status()));
}

// The largest cluster, with addresses and what is known of each member.
TEST(Superblock, HoldsTwentyMembers) {
  FileSystem files;
  WatchedDisk disk(files);
  SuperblockProto content = Numbered(1);
  content.set_cluster_id(std::string(16, 'c'));
  for (int i = 0; i < 20; ++i) {
    const std::string id(16, static_cast<char>('a' + i));
    for (Config* config : {content.mutable_members(),
                           content.mutable_base()->mutable_config()}) {
      Member& member = *config->add_members();
      member.set_id(id);
      member.set_address(std::string(64, 'a'));
    }
  }
  content.mutable_base()->set_position(1);
  content.mutable_base()->set_config_position(1);
  for (int i = 0; i < 40; ++i) {
    auto& seen = *content.add_seen();
    seen.set_id(std::string(16, 's'));
    seen.mutable_seen()->set_incarnation(~uint64_t{0});
    seen.mutable_seen()->set_boot_nonce(1);
    seen.mutable_seen()->set_end(~uint64_t{0});
    seen.mutable_seen()->mutable_promised()->set_round(~uint64_t{0});
    seen.mutable_seen()->mutable_promised()->set_member(kMe);
  }
  auto superblock = Superblock::Create(disk.disk(), kSuperblockPath, content);
  ASSERT_TRUE(superblock.ok()) << superblock.status();
  content.set_reason(std::string(Superblock::kCopyBytes, 'r'));
  EXPECT_TRUE(absl::IsInternal((*superblock)->Update(content)));
}

}  // namespace
}  // namespace quorate::log
