// What a replica of the log finds on its disk after power losses and damage.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/log/identifiers.h"
#include "core/log/storage.h"
#include "core/log/superblock.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::log {
namespace {

constexpr char kDirectory[] = "/var/lib/log";
const MemberId kMe(16, 'm');
const MemberId kOther(16, 'o');

class Idle final : public sim::Program {};

// A host whose processes come and go.
class Machine {
 public:
  explicit Machine(uint64_t seed)
      : world_(seed),
        network_(world_, sim::NetworkOptions{}),
        host_(world_, network_, "replica", "10.0.0.1") {
    NewProcess();
  }

  sim::Process& NewProcess() {
    host_.Boot();
    process_ = &host_.Start(
        "replica", [](io::Environment&) { return std::make_unique<Idle>(); });
    return *process_;
  }
  sim::Process& process() { return *process_; }
  io::Disk& disk() { return process_->disk(); }
  sim::Host& host() { return host_; }

 private:
  sim::World world_;
  sim::Network network_;
  sim::Host host_;
  sim::Process* process_ = nullptr;
};

EntryProto Entry(const std::string& payload) {
  EntryProto entry;
  entry.set_type(APPEND);
  entry.set_payload(payload);
  return entry;
}

SuperblockProto Active(SuperblockProto identity) {
  identity.set_status(ACTIVE);
  identity.set_cluster_id(std::string(16, 'c'));
  identity.mutable_members()->add_members(kMe);
  return identity;
}

// What storage has said to be durable, and must not lose.
struct Acknowledged {
  bool opened = false;
  Ballot promised;
  std::map<uint64_t, Slot> accepted;
};

class Writer {
 public:
  Writer(Storage& storage, Acknowledged* acknowledged)
      : storage_(storage), acknowledged_(*acknowledged) {}

  bool Promise(uint64_t round, const MemberId& member) {
    DurableWrite write;
    write.promised_changed = true;
    write.promised = {round, member};
    return Apply(std::move(write));
  }
  bool Accept(uint64_t position, Ballot ballot, const std::string& payload) {
    DurableWrite write;
    write.slots[position] = {std::move(ballot), false, Entry(payload)};
    write.accepted.insert(position);
    return Apply(std::move(write));
  }
  bool Learn(uint64_t position, Ballot ballot, const std::string& payload) {
    DurableWrite write;
    write.slots[position] = {std::move(ballot), true, Entry(payload)};
    return Apply(std::move(write));
  }
  bool Apply(DurableWrite write) {
    write.number = ++number_;
    if (!storage_.Apply(write).ok()) return false;
    if (write.promised_changed) acknowledged_.promised = write.promised;
    for (uint64_t position : write.accepted) {
      acknowledged_.accepted[position] = write.slots.at(position);
    }
    return true;
  }

 private:
  Storage& storage_;
  Acknowledged& acknowledged_;
  uint64_t number_ = 0;
};

// A short life of a replica; false when its disk failed.
bool Live(io::Disk& disk, size_t payload_bytes, Acknowledged* acknowledged) {
  auto storage = Storage::Open(disk, kDirectory, kMe);
  if (!storage.ok()) return false;
  acknowledged->opened = true;
  if (!(*storage)->SetIdentity(Active((*storage)->identity())).ok()) {
    return false;
  }
  Writer writer(**storage, acknowledged);
  const std::string filling(payload_bytes, 'x');
  bool ok = writer.Learn(0, {}, "genesis") && writer.Promise(1, kMe);
  for (uint64_t p = 1; p < 5 && ok; ++p) {
    const std::string payload = absl::StrCat("entry ", p, filling);
    ok = writer.Accept(p, {1, kMe}, payload) &&
         (p == 2 || writer.Learn(p, {1, kMe}, payload));
  }
  return ok && writer.Promise(2, kOther) &&
         writer.Accept(2, {2, kOther}, "entry 2 again" + filling) &&
         writer.Accept(6, {2, kOther}, "entry 6" + filling);
}

// Empty when nothing acknowledged is missing.
std::string Missing(Storage& storage, const Acknowledged& acknowledged) {
  const Acceptor::State state = storage.TakeState();
  if (state.promised < acknowledged.promised) return "the promise";
  auto learned = storage.Read(0, state.learned_upto, 1 << 20);
  if (!learned.ok() || learned->size() != state.learned_upto) {
    return absl::StrCat("the learned prefix: ", learned.status().ToString());
  }
  for (const auto& [position, slot] : acknowledged.accepted) {
    if (position < state.learned_upto) {
      if (SameEntry((*learned)[position], slot.entry)) continue;
    } else if (auto found = state.slots.find(position);
               found != state.slots.end()) {
      // What came after it may be there, too, without having been told.
      if (slot.ballot < found->second.ballot) continue;
      if (slot.ballot == found->second.ballot &&
          SameEntry(found->second.entry, slot.entry)) {
        continue;
      }
    }
    return absl::StrCat("position ", position);
  }
  return "";
}

TEST(Storage, KeepsWhatItAcknowledged) {
  Machine machine(1);
  Acknowledged acknowledged;
  ASSERT_TRUE(Live(machine.disk(), 10, &acknowledged));
  auto storage = Storage::Open(machine.disk(), kDirectory, kOther);
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ((*storage)->identity().member_id(), kMe);
  EXPECT_EQ((*storage)->identity().incarnation(), 2u);
  EXPECT_EQ((*storage)->identity().status(), ACTIVE);
  EXPECT_EQ(Missing(**storage, acknowledged), "");
}

// At each disk call of a life, with different fates of what was not synced.
TEST(Storage, SurvivesPowerLossAtEveryDiskCall) {
  uint64_t call = 0;
  for (bool finished = false; !finished;) {
    ++call;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      Machine machine(call * 4 + seed);
      Acknowledged acknowledged;
      machine.process().DieAtDiskCall(call, seed != 0);
      machine.process().Run(
          [&] { finished = Live(machine.disk(), seed * 700, &acknowledged); });
      if (finished) break;
      machine.NewProcess();
      auto storage = Storage::Open(machine.disk(), kDirectory, kOther);
      ASSERT_TRUE(storage.ok()) << storage.status() << " after call " << call;
      ASSERT_EQ(Missing(**storage, acknowledged), "") << "call " << call;
      if (acknowledged.opened) {
        ASSERT_EQ((*storage)->identity().member_id(), kMe);
      }
    }
  }
  EXPECT_GT(call, 100u);
}

// The files of a directory, with their contents.
using Files = std::map<std::string, std::string>;

void Save(io::Disk& disk, const std::string& path, Files* files) {
  const std::vector<std::string> names = disk.List(path).value();
  for (const std::string& name : names) {
    const std::string child = absl::StrCat(path, "/", name);
    if (disk.Stat(child)->type == io::FileInfo::Type::kDirectory) {
      Save(disk, child, files);
    } else {
      (*files)[child] = *disk.ReadFile(child);
    }
  }
}

void Restore(io::Disk& disk, const Files& files) {
  ASSERT_TRUE(disk.RemoveTree(kDirectory).ok());
  for (const auto& [path, content] : files) {
    ASSERT_TRUE(disk.MakeDirectories(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(
        (*disk.Open(path, io::Disk::Mode::kCreateEmpty))->Append(content).ok());
  }
}

// One damaged byte anywhere: either nothing is missing, or the replica refuses
// to serve. It never serves less than it acknowledged.
TEST(Storage, ADamagedByteIsRepairedOrRefused) {
  Machine machine(1);
  Acknowledged acknowledged;
  ASSERT_TRUE(Live(machine.disk(), 10, &acknowledged));
  // Once more, so that there are both a table and a write-ahead log.
  {
    auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
    ASSERT_TRUE(storage.ok());
    Writer writer(**storage, &acknowledged);
    ASSERT_TRUE(writer.Accept(7, {2, kOther}, "entry 7"));
    ASSERT_TRUE(writer.Accept(8, {2, kOther}, "entry 8"));
  }
  Files files;
  Save(machine.disk(), kDirectory, &files);
  int refused = 0;
  int served = 0;
  for (const auto& [path, content] : files) {
    const bool records = absl::StrContains(path, "/records/");
    for (size_t at = 0; at < content.size(); at += records ? 3 : 41) {
      Files damaged = files;
      damaged[path][at] = static_cast<char>(content[at] ^ 0x10);
      Restore(machine.disk(), damaged);
      auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
      if (!storage.ok()) {
        ++refused;
        EXPECT_TRUE(records) << path << " " << storage.status();
        continue;
      }
      ++served;
      ASSERT_EQ(Missing(**storage, acknowledged), "") << path << " at " << at;
    }
  }
  EXPECT_GT(refused, 50);
  EXPECT_GT(served, 50);
}

TEST(Storage, WhatIsLostIsNotCreatedAnew) {
  Machine machine(1);
  Acknowledged acknowledged;
  ASSERT_TRUE(Live(machine.disk(), 10, &acknowledged));
  Files files;
  Save(machine.disk(), kDirectory, &files);
  const std::map<std::string, absl::StatusCode> losses = {
      {"superblock", absl::StatusCode::kFailedPrecondition},
      {"records", absl::StatusCode::kDataLoss},
      {"identifiers", absl::StatusCode::kDataLoss},
  };
  for (const auto& [name, code] : losses) {
    Restore(machine.disk(), files);
    ASSERT_TRUE(
        machine.disk().RemoveTree(absl::StrCat(kDirectory, "/", name)).ok());
    auto storage = Storage::Open(machine.disk(), kDirectory, kOther);
    EXPECT_EQ(storage.status().code(), code) << name;
    EXPECT_TRUE(absl::StrContains(storage.status().message(), "start it empty"))
        << storage.status();
  }
}

TEST(Storage, AnOlderSuperblockIsNoticed) {
  Machine machine(1);
  Acknowledged acknowledged;
  ASSERT_TRUE(Live(machine.disk(), 10, &acknowledged));
  Files files;
  Save(machine.disk(), kDirectory, &files);
  {
    auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
    ASSERT_TRUE(storage.ok());
    Writer writer(**storage, &acknowledged);
    ASSERT_TRUE(writer.Promise(9, kMe));
    ASSERT_TRUE(writer.Accept(7, {9, kMe}, "entry 7"));
  }
  const std::string path = absl::StrCat(kDirectory, "/superblock");
  auto file = machine.disk().Open(path, io::Disk::Mode::kCreateEmpty);
  ASSERT_TRUE((*file)->Append(files.at(path)).ok());
  auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
  EXPECT_TRUE(absl::IsDataLoss(storage.status()));
}

TEST(Storage, ServesOneProcessAtATime) {
  Machine machine(1);
  auto first = Storage::Open(machine.disk(), kDirectory, kMe);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Storage::Open(machine.disk(), kDirectory, kMe).status()));
}

TEST(Storage, ReadStopsAtWhatIsNotLearned) {
  Machine machine(1);
  auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
  ASSERT_TRUE(storage.ok());
  Acknowledged acknowledged;
  Writer writer(**storage, &acknowledged);
  ASSERT_TRUE(writer.Promise(1, kMe));
  ASSERT_TRUE(writer.Learn(0, {}, "a"));
  ASSERT_TRUE(writer.Learn(1, {}, "b"));
  ASSERT_TRUE(writer.Accept(2, {1, kMe}, "c"));
  ASSERT_TRUE(writer.Learn(3, {}, "d"));
  EXPECT_EQ((*storage)->Read(0, 4, 1 << 20)->size(), 2u);
  EXPECT_EQ((*storage)->Read(0, 1, 1 << 20)->size(), 1u);
  EXPECT_EQ((*storage)->Read(0, 4, 1)->size(), 1u);
  EXPECT_EQ((*storage)->Read(2, 4, 1 << 20)->size(), 0u);
}

// Enough for LevelDB to write tables and compact them, many times.
TEST(Storage, CompactionsKeepEverything) {
  Machine machine(1);
  Acknowledged acknowledged;
  constexpr uint64_t kPositions = 2500;
  const std::string filling(10000, 'x');
  for (int life = 0; life < 2; ++life) {
    auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_EQ((*storage)->TakeState().learned_upto, life * kPositions);
    ASSERT_TRUE((*storage)->SetIdentity(Active((*storage)->identity())).ok());
    Writer writer(**storage, &acknowledged);
    for (uint64_t p = life * kPositions; p < (life + 1) * kPositions; ++p) {
      ASSERT_TRUE(writer.Learn(p, {}, absl::StrCat(p, filling)));
    }
    for (uint64_t p = 0; p < (life + 1) * kPositions;) {
      auto entries = (*storage)->Read(p, ~uint64_t{0}, 1 << 20);
      ASSERT_TRUE(entries.ok() && !entries->empty());
      for (const EntryProto& entry : *entries) {
        ASSERT_TRUE(absl::StartsWith(entry.payload(), absl::StrCat(p++)));
      }
    }
  }
}

// A failed call is told, whichever it is.
TEST(Storage, TellsThatTheDiskFails) {
  Machine machine(1);
  machine.process().Run([&] {
    auto storage = Storage::Open(machine.disk(), kDirectory, kMe);
    ASSERT_TRUE(storage.ok());
    machine.process().DieAtDiskCall(1, false);
    Acknowledged acknowledged;
    Writer writer(**storage, &acknowledged);
    EXPECT_FALSE(writer.Accept(1, {1, kMe}, "x"));
    EXPECT_FALSE(writer.Promise(1, kMe));
    EXPECT_FALSE((*storage)->SetIdentity((*storage)->identity()).ok());
  });
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
    Machine machine(1);
    ASSERT_TRUE(
        Superblock::Create(machine.disk(), kSuperblockPath, Numbered(7)).ok());
    auto file =
        machine.disk().Open(kSuperblockPath, io::Disk::Mode::kReadWrite);
    for (int copy = 0; copy < Superblock::kCopies; ++copy) {
      if (copy == whole) continue;
      const uint64_t at = copy * Superblock::kSectorBytes + 20;
      ASSERT_TRUE((*file)->WriteAt(at, "damage").ok());
    }
    // Twice: the first repairs the others.
    for (int time = 0; time < 2; ++time) {
      auto opened = Superblock::Open(machine.disk(), kSuperblockPath);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ((*opened)->content().incarnation(), 7u);
      ASSERT_TRUE((*file)
                      ->WriteAt(whole * Superblock::kSectorBytes + 20, "damage")
                      .ok());
    }
  }
}

TEST(Superblock, NoCopyIsDataLoss) {
  Machine machine(1);
  ASSERT_TRUE(
      Superblock::Create(machine.disk(), kSuperblockPath, Numbered(7)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      Superblock::Create(machine.disk(), kSuperblockPath, Numbered(8))
          .status()));
  auto file = machine.disk().Open(kSuperblockPath, io::Disk::Mode::kReadWrite);
  for (int copy = 0; copy < Superblock::kCopies; ++copy) {
    // A whole copy in another one's place is none.
    std::string other;
    ASSERT_TRUE((*file)
                    ->ReadAt((copy + 1) % Superblock::kCopies *
                                 Superblock::kSectorBytes,
                             Superblock::kSectorBytes, &other)
                    .ok());
    ASSERT_TRUE((*file)->WriteAt(copy * Superblock::kSectorBytes, other).ok());
  }
  EXPECT_TRUE(absl::IsDataLoss(
      Superblock::Open(machine.disk(), kSuperblockPath).status()));
}

TEST(Superblock, AnUpdateIsThereOrTheOneBefore) {
  for (uint64_t call = 1; call < 20; ++call) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Machine machine(call * 20 + seed);
      ASSERT_TRUE(
          Superblock::Create(machine.disk(), kSuperblockPath, Numbered(1))
              .ok());
      uint64_t durable = 1;
      machine.process().DieAtDiskCall(call, true);
      machine.process().Run([&] {
        auto superblock = Superblock::Open(machine.disk(), kSuperblockPath);
        for (uint64_t next = 2; superblock.ok() && next < 20; ++next) {
          if (!(*superblock)->Update(Numbered(next)).ok()) return;
          durable = next;
        }
      });
      // The repair may be cut short as well.
      machine.NewProcess().DieAtDiskCall(1 + seed, true);
      machine.process().Run(
          [&] { (void)Superblock::Open(machine.disk(), kSuperblockPath); });
      machine.NewProcess();
      auto found = Superblock::Open(machine.disk(), kSuperblockPath);
      ASSERT_TRUE(found.ok()) << found.status();
      const uint64_t incarnation = (*found)->content().incarnation();
      EXPECT_GE(incarnation, durable);
      EXPECT_LE(incarnation, durable + 1);
    }
  }
}

TEST(IdentifierRing, FindsEachCopyAndTellsDamage) {
  Machine machine(1);
  auto ring = IdentifierRing::Open(machine.disk(), "/ring", true);
  ASSERT_TRUE(ring.ok());
  const auto identifier = [](uint64_t position, uint64_t round) {
    return Identifier{position, {round, kMe}, EntryHash(Entry("x"))};
  };
  ASSERT_TRUE((*ring)->Write({identifier(3, 1), identifier(70, 1)}).ok());
  ASSERT_TRUE((*ring)->Write({identifier(3, 2)}).ok());
  const auto is = [&ring](uint64_t position, uint64_t round) {
    auto contents = (*ring)->Read();
    return contents.ok() && contents->identifiers.count(position) != 0 &&
           contents->identifiers.at(position).ballot == Ballot{round, kMe};
  };
  EXPECT_TRUE(is(3, 2));
  EXPECT_TRUE(is(70, 1));

  auto file = machine.disk().Open("/ring", io::Disk::Mode::kReadWrite);
  const uint64_t at = 3 * IdentifierRing::kIdentifierBytes;
  ASSERT_TRUE((*file)->WriteAt(at + 5, "damage").ok());
  EXPECT_TRUE(is(3, 2));
  ASSERT_TRUE((*file)->WriteAt(4096 + at + 5, "damage").ok());
  EXPECT_FALSE(is(3, 2));
  EXPECT_EQ((*ring)->Read()->damaged_slots, std::set<uint64_t>{3});

  // A round later the slot is another position's.
  const uint64_t later = 3 + IdentifierRing::kSlots;
  ASSERT_TRUE((*ring)->Write({identifier(later, 5)}).ok());
  EXPECT_TRUE(is(later, 5));
  EXPECT_TRUE((*ring)->Read()->damaged_slots.empty());
}

}  // namespace
}  // namespace quorate::log
