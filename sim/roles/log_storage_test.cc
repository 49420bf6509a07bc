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

TEST(Storage, AnyStateThatAPowerLossLeavesIsWhole) {
  FileSystem files;
  WatchedDisk disk(files);
  Memory memory;
  uint64_t checked = ~uint64_t{0};
  uint64_t states = 0;
  uint64_t points = 0;
  disk.on_call = [&]() -> absl::Status {
    if (files.changes() == checked || ::testing::Test::HasFatalFailure()) {
      return absl::OkStatus();
    }
    checked = files.changes();
    ++points;
    for (const std::vector<uint64_t>& kept : Outcomes(files.ListAtRisk())) {
      std::unique_ptr<FileSystem> left = files.AfterPowerLoss(kept);
      const std::string wrong = Restart(*left, memory, ++states % 16 == 0);
      if (wrong.empty()) continue;
      ADD_FAILURE() << wrong << ", after call " << disk.calls() << ", state "
                    << states << ", keeping " << ::testing::PrintToString(kept);
      for (const auto& risk : files.ListAtRisk()) {
        fprintf(stderr, "  %s %d\n", risk.path.c_str(),
                static_cast<int>(risk.bytes));
      }
      return absl::UnavailableError("stopped");
    }
    return absl::OkStatus();
  };
  const absl::Status lived = Live(disk.disk(), SmallOptions(), &memory);
  EXPECT_TRUE(lived.ok()) << lived;
  printf("%d states at %d points of %d calls\n", static_cast<int>(states),
         static_cast<int>(points), static_cast<int>(disk.calls()));
  EXPECT_GT(states, 10000u);
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

}  // namespace
}  // namespace quorate::log
