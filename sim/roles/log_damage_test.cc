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

}  // namespace
}  // namespace quorate::log
