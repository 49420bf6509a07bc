// What mesos-log does with a stopped replica's directory, cut short at each of
// its calls of the disk.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/log_tool/offline.h"
#include "io/random.h"
#include "sim/roles/log_life.h"

namespace quorate::log_tool {
namespace {

using log::kLogDirectory;
using log::kMe;
using log::Memory;
using log::Replica;
using log::WatchedDisk;
using sim::FileSystem;

constexpr uint64_t kLearned = 6;
constexpr uint64_t kAccepted = 9;
constexpr char kBackup[] = "/backup";

// A stopped replica that has learned some and accepted more.
std::unique_ptr<FileSystem> Stopped() {
  auto files = std::make_unique<FileSystem>();
  WatchedDisk disk(*files);
  Memory memory;
  Replica replica(disk.disk(), log::SmallOptions(), &memory);
  EXPECT_TRUE(replica.Open().ok() && replica.Join().ok());
  EXPECT_TRUE(replica.Promise({1, kMe}).ok());
  for (uint64_t p = 0; p < kAccepted; ++p) {
    EXPECT_TRUE(replica.VoteFor(p, {1, kMe}, absl::StrCat("entry ", p)).ok());
  }
  EXPECT_TRUE(replica.Learn(0, kLearned).ok() && replica.Checkpoint().ok());
  return files;
}

// Each position as a line.
std::vector<std::string> Dump(io::Disk& disk) {
  std::vector<std::string> lines;
  absl::Status read = ForEachSlot(
      disk, kLogDirectory, 0, ~uint64_t{0}, [&](const SlotView& slot) {
        lines.push_back(absl::StrCat(slot.position, " ", slot.state, " ",
                                     slot.entry.type() == log::CONFIG
                                         ? "CONFIG"
                                         : slot.entry.payload(0)));
      });
  EXPECT_TRUE(read.ok()) << read;
  return lines;
}

std::vector<std::string> Lines(uint64_t learned, uint64_t accepted) {
  std::vector<std::string> lines;
  for (uint64_t p = 0; p < accepted; ++p) {
    lines.push_back(
        absl::StrCat(p, p < learned ? " learned" : " accepted", " entry ", p));
  }
  return lines;
}

std::vector<std::string> ForcedLines() {
  std::vector<std::string> lines = Lines(kAccepted, kAccepted);
  lines.push_back(absl::StrCat(kAccepted, " learned CONFIG"));
  return lines;
}

void ExpectForced(io::Disk& disk, const Forced& forced, uint32_t generation) {
  EXPECT_EQ(forced.generation, generation);
  auto summary = Summarize(disk, kLogDirectory);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->identity.status(), log::ACTIVE);
  EXPECT_EQ(summary->identity.reason(), "");
  EXPECT_EQ(summary->identity.generation(), generation);
  EXPECT_EQ(summary->learned, forced.end);
}

// After an interruption: the old generation as it was, or one in which nobody
// votes, or the complete new one.
void ExpectNoSecondLog(io::Disk& disk, bool* was_complete) {
  auto summary = Summarize(disk, kLogDirectory);
  ASSERT_TRUE(summary.ok()) << summary.status();
  const log::SuperblockProto& identity = summary->identity;
  *was_complete = false;
  if (identity.generation() == 0) {
    EXPECT_EQ(identity.status(), log::ACTIVE);
    EXPECT_EQ(Dump(disk), Lines(kLearned, kAccepted));
  } else if (identity.status() == log::ACTIVE) {
    *was_complete = true;
    EXPECT_EQ(Dump(disk), ForcedLines());
  } else {
    EXPECT_EQ(identity.status(), log::QUARANTINED);
    EXPECT_TRUE(absl::StrContains(identity.reason(), "repeat it"));
  }
}

using Work = std::function<absl::Status(io::Disk&)>;

// A copy of the disk, after work that ended before that call of it; 0: whole.
std::unique_ptr<FileSystem> CutShort(const FileSystem& before, uint64_t call,
                                     const Work& work) {
  std::unique_ptr<FileSystem> files = before.Copy();
  WatchedDisk disk(*files);
  disk.on_call = [&]() -> absl::Status {
    return call == 0 || disk.calls() < call ? absl::OkStatus()
                                            : absl::UnavailableError("killed");
  };
  EXPECT_EQ(work(disk.disk()).ok(), call == 0);
  return files;
}

// The calls before which the disk has changed.
std::vector<uint64_t> Moments(const FileSystem& before, const Work& work) {
  std::vector<uint64_t> moments;
  std::unique_ptr<FileSystem> files = before.Copy();
  WatchedDisk disk(*files);
  uint64_t changes = files->changes();
  disk.on_call = [&]() -> absl::Status {
    if (files->changes() != changes) moments.push_back(disk.calls());
    changes = files->changes();
    return absl::OkStatus();
  };
  EXPECT_TRUE(work(disk.disk()).ok());
  return moments;
}

absl::Status ForceIt(io::Disk& disk) {
  return Force(disk, kLogDirectory).status();
}

TEST(Force, AnInterruptedOneIsNoSecondLog) {
  const std::unique_ptr<FileSystem> stopped = Stopped();
  std::vector<uint64_t> moments = Moments(*stopped, ForceIt);
  EXPECT_GT(moments.size(), 20u);
  moments.push_back(0);
  for (const uint64_t call : moments) {
    for (const bool power : {false, true}) {
      if (power && call % 2 == 1) continue;
      SCOPED_TRACE(absl::StrCat("call ", call, power ? ", power" : ""));
      auto files = CutShort(*stopped, call, ForceIt);
      io::SeededRandom random(call);
      if (power) files->LosePower(random);
      WatchedDisk disk(*files);
      bool was_complete = false;
      ExpectNoSecondLog(disk.disk(), &was_complete);
      EXPECT_TRUE(was_complete || call != 0);
      auto forced = Force(disk.disk(), kLogDirectory);
      ASSERT_TRUE(forced.ok()) << forced.status();
      ExpectForced(disk.disk(), *forced, was_complete ? 2 : 1);
      if (was_complete) continue;
      EXPECT_EQ(forced->vouched, kLearned);
      EXPECT_EQ(Dump(disk.disk()), ForcedLines());
      if (HasFailure()) return;
    }
  }
}

TEST(Force, ForgetsWhatWasLost) {
  std::unique_ptr<FileSystem> files = Stopped();
  WatchedDisk disk(*files);
  for (const char* journal : {"journal.0", "journal.1"}) {
    absl::Status removed =
        disk.disk().Remove(absl::StrCat(kLogDirectory, "/", journal));
    EXPECT_TRUE(removed.ok() || absl::IsNotFound(removed));
  }
  EXPECT_TRUE(Summarize(disk.disk(), kLogDirectory)->blind);
  auto forced = Force(disk.disk(), kLogDirectory);
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_EQ(forced->vouched, kLearned);
  EXPECT_FALSE(Summarize(disk.disk(), kLogDirectory)->blind);
  Memory memory;
  Replica replica(disk.disk(), log::SmallOptions(), &memory);
  ASSERT_TRUE(replica.Open().ok());
  const log::ReplicaState state = replica.storage().TakeState();
  EXPECT_EQ(state.blind_below, 0u);
  EXPECT_EQ(state.settled, forced->end);
}

TEST(Restore, AnInterruptedOneIsNone) {
  const std::unique_ptr<FileSystem> stopped = Stopped();
  {
    WatchedDisk disk(*stopped);
    auto backed_up = Backup(disk.disk(), kLogDirectory, kBackup);
    ASSERT_TRUE(backed_up.ok()) << backed_up.status();
    EXPECT_EQ(backed_up->header.end(), kLearned);
    EXPECT_EQ(backed_up->seen_upto, kAccepted);
  }
  constexpr char kNew[] = "/var/lib/new";
  const Work restore = [&](io::Disk& disk) {
    io::SeededRandom random(1);
    return Restore(disk, kBackup, kNew, random).status();
  };
  std::vector<uint64_t> moments = Moments(*stopped, restore);
  EXPECT_GT(moments.size(), 20u);
  moments.push_back(0);
  for (const uint64_t call : moments) {
    // Most of them make space, and nothing else.
    if (call % 3 != 0) continue;
    auto files = CutShort(*stopped, call, restore);
    WatchedDisk disk(*files);
    auto summary = Summarize(disk.disk(), kNew);
    if (absl::IsNotFound(summary.status())) continue;
    ASSERT_TRUE(summary.ok()) << summary.status();
    const log::SuperblockProto& identity = summary->identity;
    if (identity.status() == log::ACTIVE) {
      EXPECT_EQ(identity.generation(), 1u);
      EXPECT_EQ(summary->learned, kLearned + 1);
    } else if (!identity.cluster_id().empty()) {
      EXPECT_EQ(identity.status(), log::QUARANTINED);
      EXPECT_TRUE(
          absl::IsFailedPrecondition(Force(disk.disk(), kNew).status()));
    }
  }
}

TEST(Inspection, SaysWhatIsInTheWay) {
  std::unique_ptr<FileSystem> files = Stopped();
  WatchedDisk disk(*files);
  EXPECT_TRUE(absl::IsNotFound(Summarize(disk.disk(), "/nothing").status()));
  Memory memory;
  Replica replica(disk.disk(), log::SmallOptions(), &memory);
  ASSERT_TRUE(replica.Open().ok());
  const absl::Status runs = Summarize(disk.disk(), kLogDirectory).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(runs));
  EXPECT_TRUE(absl::StrContains(runs.message(), "a replica runs in"));
  replica.Close();
  // It may look at names, and no more.
  const uint64_t begin = disk.calls();
  disk.on_call = [&]() -> absl::Status {
    const uint64_t call = disk.calls() - begin;
    return call == 1 || call == 3 ? absl::OkStatus()
                                  : absl::PermissionDeniedError("read-only");
  };
  const absl::Status denied = Summarize(disk.disk(), kLogDirectory).status();
  EXPECT_TRUE(absl::IsPermissionDenied(denied)) << denied;
  EXPECT_TRUE(absl::StrContains(denied.message(), "must be writable"));
}

TEST(Verification, SeesASalvage) {
  std::unique_ptr<FileSystem> files = Stopped();
  WatchedDisk disk(*files);
  auto summary = Summarize(disk.disk(), kLogDirectory);
  EXPECT_FALSE(summary->salvaged || summary->blind);
  ASSERT_TRUE(
      disk.disk().Remove(absl::StrCat(kLogDirectory, "/records/CURRENT")).ok());
  summary = Summarize(disk.disk(), kLogDirectory);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(summary->salvaged);
  EXPECT_EQ(summary->damaged, 0u);
  EXPECT_EQ(summary->learned, kLearned);
}

}  // namespace
}  // namespace quorate::log_tool
