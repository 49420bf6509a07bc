// What a replica of the log makes of a disk that lost, changed or mixed up what
// was on it, that fails, or that is full. It may say that it lost something; it
// never shows anything wrong, and never nothing where it has voted.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/planted_bugs.h"
#include "core/log/frame.h"
#include "io/random.h"
#include "sim/roles/log_life.h"

namespace quorate::log {
namespace {

using sim::FileSystem;

constexpr uint64_t kSector = FileSystem::kSectorBytes;

// The files below the replica's directory.
void ListFiles(const FileSystem::Node& directory, const std::string& path,
               std::vector<std::string>* files) {
  for (const auto& [name, node] : directory.children) {
    const std::string child = absl::StrCat(path, "/", name);
    if (node->type == io::FileInfo::Type::kFile) {
      files->push_back(child);
    } else {
      ListFiles(*node, child, files);
    }
  }
}

std::vector<std::string> ListFiles(FileSystem& files) {
  std::vector<std::string> list;
  ListFiles(**files.Find(kLogDirectory, true), kLogDirectory, &list);
  return list;
}

FileSystem::Node& FileAt(FileSystem& files, const std::string& path) {
  return **files.Find(path, true);
}

void Overwrite(FileSystem::Node& file, uint64_t at, absl::string_view bytes) {
  for (std::string* content : {&file.content, &file.durable}) {
    if (at >= content->size()) continue;
    const size_t size = std::min<size_t>(bytes.size(), content->size() - at);
    content->replace(at, size, bytes.data(), size);
  }
}

std::string SectorOf(const FileSystem::Node& file, uint64_t sector) {
  std::string bytes = file.content.substr(sector * kSector, kSector);
  bytes.resize(kSector, '\0');
  return bytes;
}

enum class Damage { kFlip, kZero, kStale, kMisdirected, kUnreadable };
constexpr std::array<Damage, 5> kDamages = {
    Damage::kFlip, Damage::kZero, Damage::kStale, Damage::kMisdirected,
    Damage::kUnreadable};
constexpr std::array<const char*, 5> kDamageNames = {
    "flipped", "zeroed", "stale", "misdirected", "unreadable"};

void Inflict(Damage damage, uint64_t sector, FileSystem::Node& file) {
  const uint64_t at = sector * kSector;
  std::string bytes = SectorOf(file, sector);
  switch (damage) {
    case Damage::kFlip:
      bytes[(sector * 37) %
            std::min<size_t>(kSector, file.content.size() - at)] ^= 0x10;
      return Overwrite(file, at, bytes);
    case Damage::kZero:
      return Overwrite(file, at, std::string(kSector, '\0'));
    case Damage::kStale:
      if (file.stale.count(sector) != 0) {
        Overwrite(file, at, file.stale.at(sector));
      }
      return;
    case Damage::kMisdirected: {
      const uint64_t sectors = (file.content.size() + kSector - 1) / kSector;
      return Overwrite(file, at, SectorOf(file, (sector + 8) % sectors));
    }
    case Damage::kUnreadable:
      file.unreadable.insert(sector);
  }
}

// A disk with a life behind it.
struct Lived {
  FileSystem files;
  Memory memory;

  Lived() {
    files.remembers = true;
    WatchedDisk disk(files);
    const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
    EXPECT_TRUE(lived.ok()) << lived;
  }
};

struct Outcome {
  bool opened = false;
  absl::Status refused;
  bool quarantined = false;
  size_t lost = 0;  // positions of which something is missing
  bool blind = false;
  std::string wrong;
};

Outcome Start(FileSystem& files, const Memory& memory) {
  Outcome outcome;
  WatchedDisk disk(files);
  auto storage = Storage::Open(disk.disk(), SmallOptions());
  if (!storage.ok()) {
    outcome.refused = storage.status();
    return outcome;
  }
  outcome.opened = true;
  outcome.quarantined = (*storage)->identity().status() == QUARANTINED;
  outcome.wrong = memory.Missing(**storage, true);
  // The state has been taken: what it said is read from a second start.
  storage->reset();
  WatchedDisk again(files);
  auto second = Storage::Open(again.disk(), SmallOptions());
  if (!second.ok()) {
    outcome.wrong +=
        absl::StrCat(" second start: ", second.status().ToString());
    return outcome;
  }
  const ReplicaState state = (*second)->TakeState();
  for (const auto& [begin, end] : state.holes) outcome.lost += end - begin;
  for (const auto& [position, slot] : state.slots) {
    outcome.lost += slot.state == Slot::State::kFaulty ? 1 : 0;
  }
  outcome.blind = state.blind_below > 0;
  second->reset();
  auto third = Storage::Open(again.disk(), SmallOptions());
  const std::string later =
      third.ok() ? memory.Missing(**third, true) : third.status().ToString();
  if (outcome.wrong.empty() && !later.empty()) {
    outcome.wrong = absl::StrCat("third start: ", later);
  }
  return outcome;
}

struct Tally {
  int harmless = 0;
  int lost = 0;
  int blind = 0;
  int refused = 0;
  int quarantined = 0;
  int wrong = 0;

  void Add(const Outcome& outcome) {
    if (!outcome.wrong.empty()) {
      ++wrong;
    } else if (!outcome.opened) {
      ++refused;
    } else if (outcome.quarantined) {
      ++quarantined;
    } else if (outcome.blind) {
      ++blind;
    } else if (outcome.lost > 0) {
      ++lost;
    } else {
      ++harmless;
    }
  }
  void Print(const char* what) const {
    printf(
        "%s: %d harmless, %d with lost positions, %d blind, %d refused, %d "
        "quarantined, %d wrong\n",
        what, harmless, lost, blind, refused, quarantined, wrong);
  }
};

// Every sector of every file, in each way; what is unreadable, twice in a row.
Tally Sweep(const Lived& lived, Damage damage, bool explain) {
  Tally tally;
  std::unique_ptr<FileSystem> original = lived.files.Copy();
  for (const std::string& path : ListFiles(*original)) {
    const uint64_t sectors =
        (FileAt(*original, path).content.size() + kSector - 1) / kSector;
    for (uint64_t sector = 0; sector < sectors; ++sector) {
      std::unique_ptr<FileSystem> files = lived.files.Copy();
      Inflict(damage, sector, FileAt(*files, path));
      Outcome outcome = Start(*files, lived.memory);
      if (damage == Damage::kUnreadable && !outcome.opened) {
        EXPECT_TRUE(absl::IsUnavailable(outcome.refused)) << outcome.refused;
        outcome = Start(*files, lived.memory);
      }
      tally.Add(outcome);
      if (!explain) continue;
      const std::string what =
          absl::StrCat(path, " sector ", sector, " ",
                       kDamageNames[static_cast<size_t>(damage)]);
      EXPECT_EQ(outcome.wrong, "") << what;
      EXPECT_TRUE(outcome.opened) << what << ": " << outcome.refused;
      EXPECT_EQ(outcome.quarantined,
                damage == Damage::kUnreadable && outcome.quarantined)
          << what;
    }
  }
  return tally;
}

TEST(LogDamage, OfAnySectorIsHarmlessOrTold) {
  const Lived lived;
  for (Damage damage : kDamages) {
    const Tally tally = Sweep(lived, damage, true);
    tally.Print(kDamageNames[static_cast<size_t>(damage)]);
    EXPECT_GT(tally.harmless, 100);
    EXPECT_GT(tally.lost + tally.quarantined, 0);
  }
}

// Both copies of each block of the journal at once, and all of both.
TEST(LogDamage, OfBothCopiesIsTold) {
  const Lived lived;
  std::unique_ptr<FileSystem> original = lived.files.Copy();
  Outcome settled = Start(*original, lived.memory);
  ASSERT_EQ(settled.wrong, "");
  Tally tally;
  for (int which = 0; which < 2; ++which) {
    const std::string path = absl::StrCat(kLogDirectory, "/journal.", which);
    const uint64_t size = FileAt(*original, path).content.size();
    for (uint64_t at = 0; at + 2 * kBlockBytes <= size; at += kSector) {
      for (bool all : {false, true}) {
        if (all && at % kBlockBytes != 0) continue;
        std::unique_ptr<FileSystem> files = original->Copy();
        FileSystem::Node& file = FileAt(*files, path);
        for (uint64_t offset : {at, at + kBlockBytes}) {
          Overwrite(file, offset,
                    std::string(all ? kBlockBytes : kSector, 'X'));
        }
        const Outcome outcome = Start(*files, lived.memory);
        tally.Add(outcome);
        EXPECT_TRUE(outcome.opened) << outcome.refused;
        EXPECT_EQ(outcome.wrong, "") << path << " at " << at;
      }
    }
  }
  tally.Print("both copies");
  EXPECT_GT(tally.lost, 0);
  EXPECT_GT(tally.blind, 0);
}

// A frame names its votes over several sectors: any two of them at once.
TEST(LogDamage, OfAListOfManyVotesIsTold) {
  FileSystem files;
  Memory memory;
  {
    WatchedDisk disk(files);
    Replica replica(disk.disk(), SmallOptions(), &memory);
    const Ballot ballot{1, kMe};
    ASSERT_TRUE(replica.Open().ok() && replica.Join().ok());
    ASSERT_TRUE(replica.Promise(ballot).ok());
    std::map<uint64_t, Slot> votes;
    for (uint64_t p = 0; p < 120; ++p) {
      votes[p] = VoteOf(ballot, EntryOf(absl::StrCat("vote ", p)));
    }
    ASSERT_TRUE(replica.Vote(votes).ok());
  }
  const std::string path = absl::StrCat(kLogDirectory, "/journal.0");
  const std::string unwritten(kSector, '\0');
  uint64_t sectors = 0;
  while (SectorOf(FileAt(files, path), sectors) != unwritten) ++sectors;
  Tally tally;
  for (uint64_t first = 0; first < sectors; ++first) {
    for (uint64_t second = first + 1; second < sectors; ++second) {
      std::unique_ptr<FileSystem> damaged = files.Copy();
      Inflict(Damage::kFlip, first, FileAt(*damaged, path));
      Inflict(Damage::kFlip, second, FileAt(*damaged, path));
      const Outcome outcome = Start(*damaged, memory);
      tally.Add(outcome);
      EXPECT_TRUE(outcome.opened) << outcome.refused;
      EXPECT_EQ(outcome.wrong, "") << first << " and " << second;
    }
  }
  tally.Print("a list of many votes");
  EXPECT_GT(tally.harmless, 0);
  EXPECT_GT(tally.lost, 0);
  EXPECT_GT(tally.blind, 0);
}

// What has no checksum of its own, bit by bit: names of files, ends of tables.
TEST(LogDamage, OfLevelDbsBareBytesIsTold) {
  const Lived lived;
  std::unique_ptr<FileSystem> original = lived.files.Copy();
  Tally tally;
  for (const std::string& path : ListFiles(*original)) {
    if (!absl::StrContains(path, "/records/")) continue;
    const std::string content = FileAt(*original, path).content;
    constexpr size_t kEnd = 60;
    const size_t begin = content.size() - std::min(content.size(), kEnd);
    for (size_t bit = begin * 8; bit < content.size() * 8; ++bit) {
      std::unique_ptr<FileSystem> files = lived.files.Copy();
      const char byte = content[bit / 8] ^ static_cast<char>(1 << bit % 8);
      Overwrite(FileAt(*files, path), bit / 8, std::string(1, byte));
      const Outcome outcome = Start(*files, lived.memory);
      tally.Add(outcome);
      EXPECT_TRUE(outcome.opened) << path << " " << outcome.refused;
      EXPECT_EQ(outcome.wrong, "") << path << " bit " << bit;
    }
  }
  tally.Print("bare bits");
  EXPECT_GT(tally.harmless + tally.lost, 500);
}

// Several damages at once, anywhere. The replica may have lost its identity, or
// even votes whose every trace was damaged; it never shows anything wrong.
TEST(LogDamage, OfAnythingShowsNothingWrong) {
  const Lived lived;
  std::unique_ptr<FileSystem> original = lived.files.Copy();
  const std::vector<std::string> paths = ListFiles(*original);
  io::SeededRandom random(7);
  Tally tally;
  for (int round = 0; round < 1500; ++round) {
    std::unique_ptr<FileSystem> files = lived.files.Copy();
    for (uint64_t damages = 1 + random.Below(8); damages > 0; --damages) {
      FileSystem::Node& file =
          FileAt(*files, paths[random.Below(paths.size())]);
      if (file.content.empty()) continue;
      const uint64_t at = random.Below(file.content.size());
      const uint64_t size =
          random.Below(2) == 0 ? 1 + random.Below(4) : random.Below(2000);
      std::string bytes = file.content.substr(at, size);
      for (char& c : bytes) c = static_cast<char>(random.Next());
      Overwrite(file, at, bytes);
    }
    const Outcome outcome = Start(*files, lived.memory);
    tally.Add(outcome);
    EXPECT_TRUE(outcome.opened || absl::IsDataLoss(outcome.refused))
        << outcome.refused;
    EXPECT_TRUE(outcome.wrong.empty() ||
                absl::StrContains(outcome.wrong, "no vote at"))
        << outcome.wrong << " round " << round;
  }
  tally.Print("anything");
}

TEST(LogDamage, OfWholeFilesIsTold) {
  const Lived lived;
  std::unique_ptr<FileSystem> original = lived.files.Copy();
  ASSERT_EQ(Start(*original, lived.memory).wrong, "");
  Tally removed;
  Tally emptied;
  std::vector<std::string> paths = ListFiles(*original);
  paths.push_back(absl::StrCat(kLogDirectory, "/records"));
  for (const std::string& path : paths) {
    const bool identity = absl::EndsWith(path, "/superblock");
    {
      std::unique_ptr<FileSystem> files = original->Copy();
      WatchedDisk disk(*files);
      ASSERT_TRUE(disk.disk().RemoveTree(path).ok());
      const Outcome outcome = Start(*files, lived.memory);
      removed.Add(outcome);
      EXPECT_EQ(outcome.opened, !identity) << path << ": " << outcome.refused;
      EXPECT_EQ(outcome.wrong, "") << path;
      if (absl::StrContains(path, "journal.") ||
          absl::EndsWith(path, "/records")) {
        EXPECT_TRUE(outcome.lost > 0 || outcome.blind) << path;
      }
    }
    if (absl::EndsWith(path, "/records")) continue;
    std::unique_ptr<FileSystem> files = original->Copy();
    Overwrite(FileAt(*files, path), 0,
              std::string(FileAt(*files, path).content.size(), '\0'));
    const Outcome outcome = Start(*files, lived.memory);
    emptied.Add(outcome);
    EXPECT_EQ(outcome.opened, !identity) << path << ": " << outcome.refused;
    EXPECT_EQ(outcome.wrong, "") << path;
  }
  removed.Print("removed");
  emptied.Print("zeroed as a whole");
}

TEST(LogDamage, ALostSuperblockIsNotCreatedAnew) {
  const Lived lived;
  std::unique_ptr<FileSystem> files = lived.files.Copy();
  WatchedDisk disk(*files);
  ASSERT_TRUE(
      disk.disk().Remove(absl::StrCat(kLogDirectory, "/superblock")).ok());
  const absl::Status opened =
      Storage::Open(disk.disk(), SmallOptions()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(opened)) << opened;
  EXPECT_TRUE(absl::StrContains(opened.message(), "start it empty")) << opened;
  // Nor when the disk does not say for a moment what else is there.
  for (uint64_t call = 1; call <= 12; ++call) {
    std::unique_ptr<FileSystem> again = files->Copy();
    WatchedDisk failing(*again);
    failing.on_call = [&]() -> absl::Status {
      return failing.calls() == call || failing.calls() == call + 1
                 ? absl::UnavailableError("input/output error")
                 : absl::OkStatus();
    };
    EXPECT_FALSE(Storage::Open(failing.disk(), SmallOptions()).ok()) << call;
    WatchedDisk well(*again);
    EXPECT_FALSE(Storage::Open(well.disk(), SmallOptions()).ok()) << call;
  }
}

TEST(LogDamage, AnOlderSuperblockQuarantines) {
  FileSystem files;
  WatchedDisk disk(files);
  Memory memory;
  Replica replica(disk.disk(), SmallOptions(), &memory);
  ASSERT_TRUE(replica.Open().ok() && replica.Join().ok());
  const std::string path = absl::StrCat(kLogDirectory, "/superblock");
  const std::string older = FileAt(files, path).content;
  ASSERT_TRUE(replica.Promise({9, kMe}).ok());
  ASSERT_TRUE(replica.VoteFor(1, {9, kMe}, "one").ok());
  replica.Close();
  Overwrite(FileAt(files, path), 0, older);
  auto storage = Storage::Open(disk.disk(), SmallOptions());
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->identity().status(), QUARANTINED);
  EXPECT_TRUE(absl::StrContains((*storage)->identity().reason(), "backup"));
  EXPECT_EQ(memory.Missing(**storage, false), "");
}

// What a failed start left behind must not hinder the next one.
TEST(LogDamage, AFailingDiskIsToldAndThenQuarantines) {
  const Lived lived;
  uint64_t calls = 0;
  int refused = 0;
  int quarantined = 0;
  for (uint64_t call = 1; calls == 0 || call <= calls; ++call) {
    std::unique_ptr<FileSystem> files = lived.files.Copy();
    for (int start = 0; start < 3; ++start) {
      WatchedDisk disk(*files);
      // Once per start, and in the third start never.
      disk.on_call = [&]() -> absl::Status {
        return disk.calls() == call && start < 2
                   ? absl::UnavailableError("input/output error")
                   : absl::OkStatus();
      };
      auto storage = Storage::Open(disk.disk(), SmallOptions());
      calls = std::max(calls, disk.calls());
      disk.on_call = nullptr;
      if (!storage.ok()) {
        EXPECT_LT(start, 2) << storage.status();
        ++refused;
        continue;
      }
      if ((*storage)->identity().status() == QUARANTINED) {
        ++quarantined;
        break;
      }
      ASSERT_EQ(lived.memory.Missing(**storage, false), "")
          << "call " << call << " start " << start;
    }
  }
  printf("%d calls of a start: %d refused, %d quarantined\n",
         static_cast<int>(calls), refused, quarantined);
  EXPECT_GT(refused, 20);
  EXPECT_GT(quarantined, 20);
}

// How many calls a life makes.
uint64_t CountCalls() {
  FileSystem files;
  Memory memory;
  WatchedDisk disk(files);
  EXPECT_TRUE(Live(disk.disk(), SmallOptions(), &memory).ok());
  return disk.calls();
}

// Any call of a life fails, once or from then on; the next life finds all that
// was acknowledged, also when the power is lost after it.
TEST(LogDamage, NoFailedCallTakesAnythingAway) {
  const uint64_t calls = CountCalls();
  int failed = 0;
  for (uint64_t call = 1; call <= calls; ++call) {
    for (bool sticky : {false, true}) {
      FileSystem files;
      Memory memory;
      {
        WatchedDisk disk(files);
        disk.on_call = [&]() -> absl::Status {
          return disk.calls() == call || (sticky && disk.calls() > call)
                     ? absl::UnavailableError("input/output error")
                     : absl::OkStatus();
        };
        const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
        failed += lived.ok() ? 0 : 1;
      }
      for (int start = 0; start < 3; ++start) {
        WatchedDisk disk(files);
        auto storage = Storage::Open(disk.disk(), SmallOptions());
        if (start == 0 && absl::IsUnavailable(storage.status())) continue;
        ASSERT_TRUE(storage.ok()) << storage.status() << " call " << call;
        ASSERT_EQ(memory.Missing(**storage, false), "")
            << "call " << call << " start " << start;
      }
    }
  }
  printf("%d of %d failed calls ended a life\n", failed,
         static_cast<int>(2 * calls));
  EXPECT_GT(failed, 300);
}

// LevelDB has lost track of its files, and any call while they are salvaged
// fails: the next start salvages all of them, or finds them salvaged.
TEST(LogDamage, NoFailedCallOfASalvageTakesAnythingAway) {
  const Lived lived;
  int failed = 0;
  bool reached = true;
  for (uint64_t call = 1; reached; ++call) {
    std::unique_ptr<FileSystem> files = lived.files.Copy();
    WatchedDisk failing(*files);
    ASSERT_TRUE(failing.disk()
                    .Remove(absl::StrCat(kLogDirectory, "/records/CURRENT"))
                    .ok());
    const uint64_t before = failing.calls();
    failing.on_call = [&]() -> absl::Status {
      return failing.calls() == before + call
                 ? absl::UnavailableError("input/output error")
                 : absl::OkStatus();
    };
    const absl::Status opened =
        Storage::Open(failing.disk(), SmallOptions()).status();
    ASSERT_TRUE(opened.ok() || absl::IsUnavailable(opened)) << opened;
    failed += opened.ok() ? 0 : 1;
    reached = failing.calls() - before >= call;
    WatchedDisk well(*files);
    auto storage = Storage::Open(well.disk(), SmallOptions());
    ASSERT_TRUE(storage.ok()) << storage.status() << " call " << call;
    EXPECT_EQ(lived.memory.Missing(**storage, false), "") << "call " << call;
  }
  EXPECT_GT(failed, 50);
}

// A sync fails, and the page cache forgets what was to be written although it
// still shows it: whoever tries again would be told that all is well.
std::string SyncFails(uint64_t call) {
  FileSystem files;
  Memory memory;
  WatchedDisk disk(files);
  disk.on_call = [&]() -> absl::Status {
    if (disk.calls() == call) files.failing_syncs = 1;
    return absl::OkStatus();
  };
  const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
  EXPECT_TRUE(lived.ok() || absl::IsUnavailable(lived)) << lived;
  files.failing_syncs = 0;
  disk.on_call = nullptr;
  // The same page cache, and then another one.
  for (int start = 0; start < 2; ++start) {
    auto storage = Storage::Open(disk.disk(), SmallOptions());
    if (!storage.ok()) return storage.status().ToString();
    const std::string missing = memory.Missing(**storage, false);
    if (!missing.empty()) return absl::StrCat(missing, " in start ", start);
    storage->reset();
    const std::vector<uint64_t> none(files.ListAtRisk().size(), 0);
    std::unique_ptr<FileSystem> left = files.AfterPowerLoss(none);
    WatchedDisk next(*left);
    auto later = Storage::Open(next.disk(), SmallOptions());
    if (!later.ok()) return later.status().ToString();
    const std::string lost = memory.Missing(**later, false);
    if (!lost.empty()) return absl::StrCat(lost, " after start ", start);
  }
  return "";
}

TEST(LogDamage, AFailedSyncIsNotTriedAgain) {
  const uint64_t calls = CountCalls();
  for (uint64_t call = 1; call <= calls; ++call) {
    ASSERT_EQ(SyncFails(call), "") << "sync after call " << call;
  }
}

TEST(LogDamage, AFullDiskTakesNothingAway) {
  const uint64_t calls = CountCalls();
  int exhausted = 0;
  for (uint64_t call = 1; call <= calls; ++call) {
    FileSystem files;
    Memory memory;
    {
      WatchedDisk disk(files);
      disk.on_call = [&]() -> absl::Status {
        files.full = disk.calls() >= call;
        return absl::OkStatus();
      };
      const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
      ASSERT_TRUE(lived.ok() || absl::IsResourceExhausted(lived)) << lived;
      exhausted += lived.ok() ? 0 : 1;
    }
    for (bool full : {true, false}) {
      files.full = full;
      WatchedDisk disk(files);
      auto storage = Storage::Open(disk.disk(), SmallOptions());
      if (full && absl::IsResourceExhausted(storage.status())) continue;
      ASSERT_TRUE(storage.ok()) << storage.status() << " call " << call;
      ASSERT_EQ(memory.Missing(**storage, false), "") << "call " << call;
    }
  }
  printf("%d of %d full disks stopped a life\n", exhausted,
         static_cast<int>(calls));
  EXPECT_GT(exhausted, 100);
}

// While the disk is full votes go on in the space that the journal has, until
// room() says that there is none; a truncation still fits; and the records can
// be stored again when there is space.
TEST(LogDamage, AFullDiskStillTakesVotes) {
  FileSystem files;
  Memory memory;
  WatchedDisk disk(files);
  Storage::Options options = SmallOptions();
  options.segment_bytes = 1 << 20;
  Replica replica(disk.disk(), options, &memory);
  ASSERT_TRUE(replica.Open().ok() && replica.Join().ok());
  const Ballot ballot{1, kMe};
  ASSERT_TRUE(replica.Promise(ballot).ok());
  files.full = true;
  uint64_t next = 0;
  for (; replica.storage().room().free_bytes >= 1000; ++next) {
    ASSERT_TRUE(replica.VoteFor(next, ballot, std::string(900, 'v')).ok());
    ASSERT_LT(next, 1000u);
  }
  EXPECT_GT(next, 50u);
  const Entry truncation = EntryOf("truncate", TRUNCATE);
  for (int i = 0; i < 3; ++i, ++next) {
    ASSERT_GT(replica.storage().room().truncation_bytes, 1000u);
    ASSERT_TRUE(replica.Vote({{next, VoteOf(ballot, truncation)}}).ok());
  }
  ASSERT_TRUE(replica.Promise({2, kMe}).ok());
  absl::Status absorbed;
  while (absorbed.ok()) absorbed = replica.Learn(0, 1);
  EXPECT_TRUE(absl::IsResourceExhausted(absorbed)) << absorbed;
  EXPECT_TRUE(absl::IsResourceExhausted(replica.storage().Reopen()));
  EXPECT_TRUE(absl::IsResourceExhausted(replica.Learn(0, 1)));
  // What cannot be read meanwhile is missing, and no failure of the disk.
  auto read = replica.storage().Read(0, 1, 1000);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->damaged && read->entries.empty());
  auto scrubbed = replica.storage().Scrub(0, 1, 1000);
  ASSERT_TRUE(scrubbed.ok()) << scrubbed.status();
  EXPECT_TRUE(scrubbed->damaged.empty());
  EXPECT_EQ(scrubbed->next, 1u);
  files.full = false;
  ASSERT_TRUE(replica.storage().Reopen().ok());
  ASSERT_TRUE(replica.Learn(0, next).ok());
  ASSERT_TRUE(replica.Checkpoint().ok());
  EXPECT_EQ(memory.settled, next);
  EXPECT_GT(replica.storage().room().free_bytes, 200000u);
  replica.Close();
  auto storage = Storage::Open(disk.disk(), options);
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ(memory.Missing(**storage, false), "");
}

// One replica's lives on one disk, each until the power is cut at a random
// call.
struct Turns {
  explicit Turns(uint64_t seed) : random(seed) {}

  absl::Status Vote(Replica& replica) {
    std::map<uint64_t, Slot> batch;
    const uint64_t size = 1 + random.Below(3);
    for (uint64_t i = 0; i < size; ++i, ++next) {
      const uint64_t long_one = random.Below(4) == 0 ? 9000 : 100;
      const std::string filler(random.Below(long_one), 'v');
      batch[next] = VoteOf(ballot, EntryOf(absl::StrCat(next, filler)));
    }
    ++votes;
    return replica.Vote(std::move(batch));
  }

  // Votes that run ahead of a checkpoint under way.
  absl::Status VoteAhead(Replica& replica) {
    absl::Status ahead;
    for (uint64_t i = random.Below(4); ahead.ok() && i > 0; --i) {
      if (replica.storage().room().free_bytes < 30000) break;
      ahead = Vote(replica);
    }
    return ahead;
  }

  absl::Status Rejoin(Replica& replica) {
    absl::Status status = replica.Join();
    // What was absorbed since the last checkpoint is gone.
    if (status.ok()) status = replica.Learn(memory.settled, learned);
    // What was proposed and not acknowledged is proposed again.
    next = memory.votes.empty() ? 0 : memory.votes.rbegin()->first + 1;
    ++ballot.round;
    if (status.ok()) status = replica.Promise(ballot);
    return status;
  }

  absl::Status Work(Replica& replica) {
    absl::Status status = Vote(replica);
    const uint64_t behind = random.Below(6);
    if (status.ok() && learned + behind < next) {
      status = replica.Learn(learned, next - behind);
      learned = std::max(learned, next - behind);
    }
    if (status.ok() &&
        (replica.storage().room().wants_checkpoint || random.Below(20) == 0)) {
      status = replica.Checkpoint([&] { return VoteAhead(replica); });
    }
    return status;
  }

  io::SeededRandom random;
  FileSystem files;
  Memory memory;
  Ballot ballot{1, kMe};
  uint64_t next = 0;
  uint64_t learned = 0;
  int votes = 0;
};

// Thousands of votes through small segments, checkpoints that votes run ahead
// of, and cuts of the power at any call.
TEST(LogDamage, TheJournalTakesItsTurns) {
  int votes = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Turns turns(seed);
    for (int life = 0; life < 25; ++life) {
      WatchedDisk disk(turns.files);
      const uint64_t last = 20 + turns.random.Below(1500);
      disk.on_call = [&]() -> absl::Status {
        return disk.calls() < last ? absl::OkStatus()
                                   : absl::UnavailableError("no power");
      };
      Replica replica(disk.disk(), SmallOptions(), &turns.memory);
      absl::Status status = replica.Open();
      if (status.ok()) {
        const std::string missing =
            turns.memory.Missing(replica.storage(), false);
        ASSERT_TRUE(missing.empty() || disk.calls() >= last)
            << missing << ", seed " << seed << " life " << life;
        status = turns.Rejoin(replica);
      }
      while (status.ok()) status = turns.Work(replica);
      ASSERT_TRUE(absl::IsUnavailable(status) && disk.calls() >= last)
          << status;
      replica.Close();
      turns.files.LosePower(turns.random);
    }
    votes += turns.votes;
  }
  printf("%d votes\n", votes);
  EXPECT_GT(votes, 5000);
}

// Each mistake that the tests here are for is found by them.
TEST(LogDamage, PlantedBugsAreFound) {
  const auto sweep_finds = [](Bug bug) {
    Plant(bug);
    const Lived lived;
    int wrong = 0;
    for (Damage damage : {Damage::kFlip, Damage::kZero}) {
      const Tally tally = Sweep(lived, damage, false);
      wrong += tally.wrong + tally.refused;
    }
    Plant(Bug::kNone);
    return wrong;
  };
  EXPECT_EQ(sweep_finds(Bug::kNone), 0);
  EXPECT_GT(sweep_finds(Bug::kAckBeforeIdentifier), 0);
  EXPECT_GT(sweep_finds(Bug::kSingleSuperblock), 0);
  EXPECT_GT(sweep_finds(Bug::kIteratorStatusIgnored), 0);
  Plant(Bug::kSyncRetried);
  int found = 0;
  for (uint64_t call = CountCalls(); call > 300; --call) {
    found += SyncFails(call).empty() ? 0 : 1;
  }
  Plant(Bug::kNone);
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace quorate::log
