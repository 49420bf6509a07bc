#include "sim/file_system.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sim/machine.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Mode = io::Disk::Mode;

constexpr uint64_t kSeeds = 64;

// A host and a process on it that uses its disk.
class Computer {
 public:
  explicit Computer(uint64_t seed) : world(seed) { Boot(); }

  void Boot() {
    host.Boot();
    disk = &host.Start("idle",
                       [](io::Environment&) {
                         return std::make_unique<Program>();
                       })
                .disk();
  }
  void LosePower() {
    host.LosePower();
    Boot();
  }
  absl::Status Put(const std::string& path, uint64_t at,
                   const std::string& bytes) {
    auto file = disk->Open(path, Mode::kCreate);
    if (!file.ok()) return file.status();
    absl::Status status = (*file)->WriteAt(at, bytes);
    return status.ok() ? (*file)->Sync() : status;
  }
  // Which must not fail.
  void PutAll(const std::string& path, const std::string& content) {
    ASSERT_TRUE(Put(path, 0, content).ok());
    ASSERT_TRUE(disk->SyncDirectory("/").ok());
  }
  std::string Read(const std::string& path) {
    auto content = disk->ReadFile(path);
    return content.ok() ? *content : content.status().ToString();
  }
  uint64_t count(Fault fault) const { return world.faults().of(fault); }

  World world;
  Network network{world, {}};
  Host host{world, network, "a", "10.0.0.1"};
  FileSystem& files = host.files();
  io::Disk* disk = nullptr;
};

std::string Sectors(const std::string& letters) {
  std::string content;
  for (char c : letters) content += std::string(512, c);
  return content;
}

// The letter of each sector, '?' for a mixture.
std::string Letters(const std::string& content) {
  std::string letters;
  for (size_t at = 0; at < content.size(); at += 512) {
    const std::string sector = content.substr(at, 512);
    const bool pure = sector == std::string(sector.size(), sector[0]);
    letters += !pure ? '?' : sector[0] == 0 ? '0' : sector[0];
  }
  return letters;
}

// ---- Losses of power ----

TEST(PowerLossTest, CountsWhatItTakes) {
  FaultCounts counts;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Computer computer(seed);
    computer.PutAll("/f", Sectors("...."));
    auto file = computer.disk->Open("/f", Mode::kReadWrite);
    ASSERT_TRUE((*file)->WriteAt(0, Sectors("ab")).ok());
    ASSERT_TRUE((*file)->WriteAt(1024, Sectors("cd")).ok());
    ASSERT_TRUE(computer.disk->Open("/g", Mode::kCreate).ok());
    computer.LosePower();
    const std::string left = Letters(computer.Read("/f"));
    const FaultCounts& here = computer.world.faults();
    const uint64_t harmed =
        here.of(Fault::kUnsyncedWriteLost) + here.of(Fault::kUnsyncedWriteTorn);
    EXPECT_EQ(harmed == 0, left == "abcd") << left;
    EXPECT_EQ(here.of(Fault::kUnsyncedWriteReordered) == 1,
              left.substr(0, 2) == ".." && left.substr(2) != "..")
        << left;
    EXPECT_EQ(here.of(Fault::kNameLost) == 1, !computer.disk->Stat("/g").ok());
    counts.Add(here);
  }
  for (Fault fault : {Fault::kUnsyncedWriteLost, Fault::kUnsyncedWriteTorn,
                      Fault::kUnsyncedWriteReordered, Fault::kNameLost}) {
    EXPECT_GT(counts.of(fault), 0u) << NameOf(fault);
  }
}

// ---- The medium ----

// What is found in a file of four sectors whose third was written again, at
// once and after a loss of power.
struct Found {
  std::set<std::string> at_once;
  std::set<std::string> later;
  uint64_t counted = 0;
  uint64_t seen = 0;
};

Found WriteAgain(const DiskFaults& faults, Fault kind) {
  Found found;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Computer computer(seed);
    computer.PutAll("/f", Sectors("abcd"));
    computer.PutAll("/other", Sectors("...."));
    computer.files.SetFaults(faults);
    EXPECT_TRUE(computer.Put("/f", 1024, Sectors("x")).ok());
    const auto look = [&] {
      return Letters(computer.Read("/f") + computer.Read("/other"));
    };
    found.at_once.insert(look());
    computer.LosePower();
    found.later.insert(look());
    found.counted += computer.count(kind);
    found.seen += look() == "abxd...." ? 0 : 1;
  }
  return found;
}

TEST(MediumTest, AWriteGetsLostThoughItWasSynced) {
  DiskFaults faults;
  faults.write_lost = 0.5;
  const Found found = WriteAgain(faults, Fault::kWriteLost);
  // The page cache hides some until the loss of power.
  const std::set<std::string> either = {"abcd....", "abxd...."};
  EXPECT_EQ(found.at_once, either);
  EXPECT_EQ(found.later, either);
  EXPECT_EQ(found.counted, found.seen);
  faults.write_lost = 1;
  EXPECT_EQ(WriteAgain(faults, Fault::kWriteLost).later,
            std::set<std::string>{"abcd...."});
}

TEST(MediumTest, AWriteGoesElsewhere) {
  DiskFaults faults;
  faults.write_misdirected = 1;
  const Found found = WriteAgain(faults, Fault::kWriteMisdirected);
  EXPECT_EQ(found.counted, kSeeds);
  for (const char* one : {"xbcd....", "abcx....", "abcdx...", "abcd..x."}) {
    EXPECT_EQ(found.later.count(one), 1u) << one;
    EXPECT_EQ(found.at_once.count(one), 1u) << one;
  }
  EXPECT_EQ(found.later.size(), 7u);
}

TEST(MediumTest, OnlyBelowItsDirectory) {
  DiskFaults faults;
  faults.write_lost = faults.write_misdirected = 1;
  faults.read_fails = faults.write_fails = faults.sync_fails = 1;
  faults.under = "/there";
  const Found found = WriteAgain(faults, Fault::kWriteLost);
  EXPECT_EQ(found.later, std::set<std::string>{"abxd...."});
  EXPECT_EQ(found.counted, 0u);

  Computer computer(1);
  computer.files.SetFaults(faults);
  EXPECT_TRUE(computer.disk->MakeDirectories("/therefore/below").ok());
  EXPECT_TRUE(computer.Put("/therefore/f", 0, "x").ok());
  EXPECT_TRUE(computer.disk->MakeDirectories("/there").ok());
  EXPECT_TRUE(absl::IsUnavailable(computer.Put("/there/f", 0, "x")));
}

TEST(MediumTest, SectorsAreDamagedAtRest) {
  for (Fault kind :
       {Fault::kBitFlipped, Fault::kSectorZeroed, Fault::kSectorStale}) {
    Computer computer(1);
    computer.files.remembers = true;
    computer.PutAll("/f", Sectors("1111"));
    computer.PutAll("/f", Sectors("abcd"));
    computer.PutAll("/dirty", Sectors("."));
    auto dirty = computer.disk->Open("/dirty", Mode::kReadWrite);
    ASSERT_TRUE((*dirty)->WriteAt(0, "x").ok());
    uint64_t damaged = 0;
    for (int i = 0; i < 3; ++i) damaged += computer.files.Damage(kind) ? 1 : 0;
    EXPECT_EQ(computer.count(kind), damaged) << NameOf(kind);
    const std::string left = Letters(computer.Read("/f"));
    EXPECT_NE(left, "abcd") << NameOf(kind);
    computer.LosePower();
    EXPECT_EQ(Letters(computer.Read("/f")), left);
    EXPECT_EQ(left.find_first_not_of(kind == Fault::kBitFlipped     ? "abcd?"
                                     : kind == Fault::kSectorZeroed ? "abcd0"
                                                                    : "abcd1"),
              std::string::npos)
        << left;
  }
}

TEST(MediumTest, NothingIsDamagedWhereNothingIs) {
  Computer computer(1);
  EXPECT_FALSE(computer.files.Damage(Fault::kBitFlipped));
  computer.PutAll("/f", Sectors("0"));
  EXPECT_FALSE(computer.files.Damage(Fault::kSectorStale));
  computer.PutAll("/f", std::string(512, '\0'));
  EXPECT_FALSE(computer.files.Damage(Fault::kSectorZeroed));
  EXPECT_EQ(computer.world.faults().total(), 0u);
}

TEST(MediumTest, ASectorCannotBeReadUntilItIsWritten) {
  Computer computer(1);
  computer.PutAll("/f", Sectors("a"));
  EXPECT_TRUE(computer.files.Damage(Fault::kReadFailed));
  EXPECT_EQ(computer.count(Fault::kReadFailed), 0u);
  EXPECT_TRUE(absl::IsUnavailable(computer.disk->ReadFile("/f").status()));
  EXPECT_TRUE(absl::IsUnavailable(computer.disk->ReadFile("/f").status()));
  EXPECT_EQ(computer.count(Fault::kReadFailed), 2u);
  computer.PutAll("/f", Sectors("b"));
  EXPECT_EQ(Letters(computer.Read("/f")), "b");
}

// ---- Calls that fail ----

TEST(DiskCallTest, FailOnceOrForEver) {
  Computer computer(1);
  computer.PutAll("/f", Sectors("a"));
  computer.files.failing_reads = 1;
  EXPECT_TRUE(absl::IsUnavailable(computer.disk->ReadFile("/f").status()));
  EXPECT_EQ(Letters(computer.Read("/f")), "a");
  computer.files.failing_writes = 1;
  EXPECT_TRUE(absl::IsUnavailable(computer.Put("/f", 0, "b")));
  EXPECT_TRUE(computer.Put("/f", 0, "b").ok());

  DiskFaults faults;
  faults.write_fails = 0.5;
  faults.lasting = 1;
  computer.files.SetFaults(faults);
  for (int i = 0; i < 20; ++i) (void)computer.Put("/f", 0, "c");
  computer.files.SetFaults({});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(absl::IsUnavailable(computer.Put("/f", 0, "d")));
    EXPECT_TRUE(absl::IsUnavailable(computer.Put("/new", 0, "d")));
    EXPECT_TRUE(absl::IsUnavailable(computer.disk->Remove("/f")));
    EXPECT_TRUE(absl::IsUnavailable(computer.disk->Rename("/f", "/g")));
    EXPECT_TRUE(absl::IsUnavailable(computer.disk->SyncDirectory("/")));
  }
  EXPECT_EQ(computer.Read("/f").size(), 512u);
  computer.files.EndFaults();
  EXPECT_TRUE(computer.Put("/f", 0, "d").ok());
}

TEST(DiskCallTest, AReadErrorMayLast) {
  Computer computer(1);
  computer.PutAll("/f", Sectors("a"));
  DiskFaults faults;
  faults.read_fails = faults.lasting = 1;
  computer.files.SetFaults(faults);
  EXPECT_TRUE(absl::IsUnavailable(computer.disk->ReadFile("/f").status()));
  computer.files.EndFaults();
  EXPECT_TRUE(absl::IsUnavailable(computer.disk->ReadFile("/f").status()));
}

TEST(DiskCallTest, OfAWriteThatFailsAPartIsThere) {
  std::set<size_t> sizes;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Computer computer(seed);
    computer.PutAll("/f", "");
    DiskFaults faults;
    faults.write_fails = 1;
    computer.files.SetFaults(faults);
    EXPECT_TRUE(absl::IsUnavailable(computer.Put("/f", 0, "abc")));
    sizes.insert(computer.Read("/f").size());
    EXPECT_EQ(computer.count(Fault::kWriteFailed), 1u);
  }
  EXPECT_EQ(sizes, (std::set<size_t>{0, 1, 2, 3}));
}

TEST(DiskCallTest, AFailedSyncMayBeFollowedByOneThatSucceeds) {
  std::set<std::string> found;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Computer computer(seed);
    computer.PutAll("/f", "-");
    DiskFaults faults;
    faults.sync_fails = 1;
    computer.files.SetFaults(faults);
    EXPECT_TRUE(absl::IsUnavailable(computer.Put("/f", 0, "x")));
    computer.files.EndFaults();
    auto file = computer.disk->Open("/f", Mode::kReadWrite);
    EXPECT_TRUE((*file)->Sync().ok());
    EXPECT_EQ(computer.Read("/f"), "x");
    computer.LosePower();
    found.insert(computer.Read("/f"));
  }
  EXPECT_EQ(found, (std::set<std::string>{"-", "x"}));
}

// ---- Space and time ----

TEST(DiskSpaceTest, TheLastBytesAreUsed) {
  Computer computer(1);
  computer.files.capacity = 10;
  computer.PutAll("/f", "123456");
  EXPECT_EQ(*computer.disk->FreeBytes("/"), 4u);
  EXPECT_EQ(*computer.disk->TotalBytes("/"), 10u);
  EXPECT_TRUE(absl::IsResourceExhausted(computer.Put("/f", 4, "abcdefghi")));
  EXPECT_EQ(computer.Read("/f"), "1234abcdef");
  EXPECT_EQ(computer.count(Fault::kDiskFull), 1u);
  EXPECT_TRUE(absl::IsResourceExhausted(computer.Put("/g", 0, "x")));
  EXPECT_TRUE(computer.Put("/f", 0, "x").ok());
}

TEST(DiskSpaceTest, UsedIsWhatFilesWithNamesHold) {
  Computer computer(1);
  io::Disk& disk = *computer.disk;
  ASSERT_TRUE(disk.MakeDirectories("/d/e").ok());
  ASSERT_TRUE(computer.Put("/d/f", 0, "1234").ok());
  ASSERT_TRUE(computer.Put("/d/e/g", 0, "12").ok());
  EXPECT_EQ(computer.files.used(), 6u);
  ASSERT_TRUE(disk.Rename("/d/e", "/moved").ok());
  EXPECT_EQ(computer.files.used(), 6u);
  auto open = disk.Open("/moved/g", Mode::kReadWrite);
  ASSERT_TRUE((*open)->Truncate(1).ok());
  EXPECT_EQ(computer.files.used(), 5u);
  ASSERT_TRUE(disk.Rename("/moved/g", "/d/f").ok());
  EXPECT_EQ(computer.files.used(), 1u);
  ASSERT_TRUE(disk.RemoveTree("/d").ok());
  ASSERT_TRUE((*open)->WriteAt(0, "123").ok());
  EXPECT_EQ(computer.files.used(), 0u);
  ASSERT_TRUE(computer.Put("/f", 0, "123").ok());
  const FileSystem::NodePtr backup = FileSystem::Copy(*computer.files.root());
  computer.LosePower();
  EXPECT_EQ(computer.files.used(),
            computer.disk->Stat("/f").ok() ? computer.Read("/f").size() : 0u);
  computer.files.Replace(backup);
  EXPECT_EQ(computer.files.used(), 3u);
}

TEST(DiskStallTest, CallsTakeLongNowAndThen) {
  Computer computer(1);
  DiskFaults faults;
  faults.stall = 0.5;
  computer.files.SetFaults(faults);
  std::vector<io::Duration> stalls;
  for (int i = 0; i < 1000; ++i) {
    const io::Duration stall = computer.files.DrawStall();
    if (stall > 0s) stalls.push_back(stall);
  }
  EXPECT_EQ(computer.count(Fault::kDiskStall), stalls.size());
  EXPECT_GT(stalls.size(), 400u);
  EXPECT_LT(stalls.size(), 600u);
  const auto [least, most] = std::minmax_element(stalls.begin(), stalls.end());
  EXPECT_GE(*least, 10ms);
  EXPECT_LT(*least, 50ms);
  EXPECT_GT(*most, 10s);
  EXPECT_LT(*most, 30s);

  faults.stall = 1;
  computer.files.SetFaults(faults);
  Process& process = *computer.host.processes().back();
  auto lane = process.NewLane("test");
  bool done = false;
  lane->Run([&] { (void)process.disk().MakeDirectories("/d"); },
            [&] { done = true; });
  computer.world.RunFor(9ms);
  EXPECT_FALSE(done);
  computer.world.RunFor(31s);
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace quorate::sim
