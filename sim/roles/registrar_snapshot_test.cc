// Snapshots of the registry, the truncations that follow them, and who misses
// either.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/registry/registrar.h"
#include "sim/roles/registrars.h"

namespace quorate::registry {
namespace {

using std::chrono::seconds;

Operation Remove(const std::string& id) {
  Operation operation;
  operation.mutable_remove_agent()->mutable_id()->set_value(id);
  return operation;
}

Operation MarkUnreachable(const std::string& id) {
  Operation operation;
  auto& mark = *operation.mutable_mark_agent_unreachable();
  mark.mutable_id()->set_value(id);
  mark.mutable_timestamp()->set_nanoseconds(7);
  return operation;
}

// Quick to make.
log::LogOptions SmallLog() {
  return {.segment_bytes = 256 << 10, .reserve_bytes = 16 << 10};
}

// Snapshots after that many bytes, in parts of that many.
Registrar::Options Snapshots(size_t threshold, size_t part) {
  Registrar::Options options = Registrars::Quick();
  options.snapshot_threshold = threshold;
  options.snapshot_part_bytes = part;
  return options;
}

class SnapshotTest : public testing::Test, public Registrars {
 protected:
  explicit SnapshotTest(Registrar::Options options = Snapshots(1000, 100))
      : Registrars(1, options, SmallLog()) {}

  // When `i` learns the first part of the next snapshot, once.
  void AtFirstPart(int i, std::function<void()> callback) {
    Observer& observer = *observers_[i];
    observer.on_part = [this, &observer, callback](const Snapshot& part) {
      if (!part.first()) return;
      observer.on_part = nullptr;
      world_.After({}, "first part", callback);
    };
  }
  // To a standby, as its log would.
  void Commit(int i, uint64_t position, const Batch& batch) {
    RunOn(i, [&](Registrar& registrar) {
      registrar.OnCommitted(position, batch.SerializeAsString());
    });
  }
  void Commit(int i, uint64_t position, Operation operation) {
    Batch batch;
    *batch.add_operations() = std::move(operation);
    Commit(i, position, batch);
  }
  void Commit(int i, uint64_t position, const Snapshot& part) {
    Batch batch;
    *batch.mutable_snapshot() = part;
    Commit(i, position, batch);
  }
  std::string IdsOf(int i) {
    std::string ids;
    for (const auto& [id, info] : member(i).registrar().state().admitted()) {
      absl::StrAppend(&ids, id, " ");
    }
    return ids;
  }
};

TEST_F(SnapshotTest, TheLogIsTruncatedToItAndReadFromThere) {
  ASSERT_TRUE(Recover(0).ok());
  uint64_t base = 0;
  for (const int agents : {50, 100, 200}) {
    Admit(0, absl::StrCat(agents, "-"), agents);
    ExpectAgreement();
    EXPECT_GT(LogOf(0).base, base);
    base = LogOf(0).base;
  }
  history_.Scan();
  EXPECT_GE(history_.whole.size(), 3u);
  EXPECT_EQ(history_.broken, 0);
  EXPECT_EQ(history_.whole.back().position, base);
  const std::string state = StateOf(0);
  // The base trails on disk.
  world_.RunFor(seconds(1));
  for (int i = 0; i < kHosts; ++i) Restart(i);
  world_.RunFor(seconds(5));
  for (int i = 0; i < kHosts; ++i) {
    EXPECT_EQ(observers_[i]->first, base);
    EXPECT_EQ(StateOf(i), state);
  }
  ASSERT_TRUE(Recover(1).ok());
  EXPECT_EQ(Apply(1, {"50-1000", "d"}), "50-1000 ALREADY_EXISTS; d OK; ");
}

TEST_F(SnapshotTest, WhoWasAwayMeanwhileStartsOver) {
  ASSERT_TRUE(Recover(0).ok());
  Admit(0, "a", 30);
  ExpectAgreement();
  processes_[2]->Kill();
  RunOn(0, [](Registrar& registrar) {
    registrar.Apply(Remove("a1000"), [](const absl::Status&) {});
    registrar.Apply(MarkUnreachable("a1001"), [](const absl::Status&) {});
  });
  Admit(0, "b", 100);
  Start(2);
  ExpectAgreement();
  EXPECT_GT(observers_[2]->bases_adopted, 0);
  const RegistryState& state = member(2).registrar().state();
  EXPECT_EQ(state.admitted().size(), 128u);
  EXPECT_EQ(state.unreachable().count("a1001"), 1u);
}

TEST_F(SnapshotTest, OnlyWhatIsWorthItIsWritten) {
  ASSERT_TRUE(Recover(0).ok());
  Admit(0, "a", 300);
  history_.Scan();
  ASSERT_GE(history_.whole.size(), 3u);
  size_t least = options_.snapshot_threshold;
  for (const History::Written& snapshot : history_.whole) {
    EXPECT_GT(snapshot.operation_bytes, least);
    EXPECT_LE(snapshot.operation_bytes, least + 100);
    least = std::max(options_.snapshot_threshold, snapshot.bytes);
  }
  EXPECT_GT(least, 2 * options_.snapshot_threshold);
}

TEST_F(SnapshotTest, OperationsWaitForItAndKeepTheirOrder) {
  ASSERT_TRUE(Recover(0).ok());
  std::shared_ptr<Outcomes> waiting;
  AtFirstPart(0, [&] { waiting = Submit(0, {"x", "y", "x"}); });
  Admit(0, "a", 50);
  ASSERT_TRUE(waiting);
  EXPECT_EQ(waiting->text, "x OK; y OK; x ALREADY_EXISTS; ");
  ExpectAgreement();
  history_.Scan();
  EXPECT_FALSE(history_.whole.empty());
  EXPECT_EQ(history_.broken, 0);
}

TEST_F(SnapshotTest, WithoutAQuorumItTimesOutAndMayBeWrittenAgain) {
  ASSERT_TRUE(Recover(0).ok());
  std::shared_ptr<Outcomes> waiting;
  AtFirstPart(0, [&] {
    processes_[1]->Kill();
    processes_[2]->Kill();
    waiting = Submit(0, {"x", "y"});
  });
  for (int n = 0; n < 100 && !waiting; ++n) {
    Apply(0, {absl::StrCat("a", n)});
    world_.RunFor({});
  }
  ASSERT_TRUE(waiting);
  world_.RunUntil([&] { return waiting->missing == 0; }, seconds(1));
  EXPECT_EQ(waiting->text, "x DEADLINE_EXCEEDED; y DEADLINE_EXCEEDED; ");
  EXPECT_TRUE(absl::IsDeadlineExceeded(member(0).lost));
  Start(1);
  Start(2);
  ASSERT_TRUE(Recover(0).ok());
  Admit(0, "b", 1);
  ExpectAgreement();
  EXPECT_GT(LogOf(0).base, 0u);
  history_.Scan();
  EXPECT_EQ(history_.broken, 1);
  EXPECT_EQ(history_.whole.size(), 1u);
}

// Once the snapshot is written nobody hears of its leader any more.
TEST_F(SnapshotTest, TheNextOneTruncatesIfItCouldNot) {
  ASSERT_TRUE(Recover(0).ok());
  observers_[0]->on_part = [this](const Snapshot& part) {
    if (!part.last()) return;
    for (int i : {1, 2}) {
      network_.Cut(AddressOf(0).ip, AddressOf(i).ip);
      network_.Cut(AddressOf(i).ip, AddressOf(0).ip);
    }
  };
  std::vector<std::string> ids;
  for (int n = 0; n < 50; ++n) ids.push_back(absl::StrCat("a", n));
  Apply(0, ids);
  ASSERT_TRUE(
      world_.RunUntil([&] { return !member(0).lost.ok(); }, seconds(9)));
  EXPECT_TRUE(absl::IsAborted(member(0).lost)) << member(0).lost;
  EXPECT_FALSE(processes_[0]->ended());
  // The truncation is in its memory: others must not find it there.
  ASSERT_TRUE(Recover(1).ok());
  history_.Scan();
  EXPECT_EQ(history_.whole.size(), 1u);
  EXPECT_EQ(LogOf(1).base, 0u);
  observers_[0]->on_part = nullptr;
  network_.MendAll();
  Admit(1, "b", 100);
  ExpectAgreement();
  EXPECT_GT(LogOf(1).base, 0u);
}

TEST_F(SnapshotTest, ABaseDropsWhatWasKnown) {
  Unwatch(0);
  world_.RunFor(seconds(5));
  RegistryState state;
  for (const char* id : {"x", "y"})
    ASSERT_TRUE(state.Apply(AdmitAgent(id)).ok());
  const std::vector<Snapshot> parts = state.ToParts(1);
  ASSERT_EQ(parts.size(), 2u);
  Commit(0, 10, AdmitAgent("a"));
  Commit(0, 11, parts[0]);
  EXPECT_EQ(IdsOf(0), "a ");
  RunOn(0, [](Registrar& registrar) { registrar.OnBase(20); });
  EXPECT_EQ(IdsOf(0), "");
  Commit(0, 20, parts[1]);
  EXPECT_EQ(IdsOf(0), "");
  Commit(0, 21, parts[0]);
  Commit(0, 22, parts[1]);
  EXPECT_EQ(IdsOf(0), "x y ");
  Commit(0, 23, AdmitAgent("b"));
  EXPECT_EQ(IdsOf(0), "b x y ");
}

TEST_F(SnapshotTest, OperationsEndOneThatIsIncomplete) {
  Unwatch(0);
  world_.RunFor(seconds(5));
  RegistryState state;
  for (const char* id : {"x", "y"})
    ASSERT_TRUE(state.Apply(AdmitAgent(id)).ok());
  const std::vector<Snapshot> parts = state.ToParts(1);
  Commit(0, 10, parts[0]);
  Commit(0, 11, AdmitAgent("a"));
  Commit(0, 12, parts[1]);
  EXPECT_EQ(IdsOf(0), "a ");
}

TEST_F(SnapshotTest, OperationsWithoutOneBelowThemAreRefused) {
  Unwatch(0);
  world_.RunFor(seconds(5));
  RunOn(0, [](Registrar& registrar) { registrar.OnBase(20); });
  Commit(0, 21, AdmitAgent("a"));
  ASSERT_TRUE(processes_[0]->ended());
  EXPECT_EQ(processes_[0]->ended()->code, io::kExitFailure);
  // The same at a start: somebody else has truncated.
  ASSERT_TRUE(Recover(1).ok());
  Admit(1, "a", 3);
  RunOn(1, [](Registrar& registrar) {
    log::LogNode& log = registrar.log();
    log.Truncate(log.status().learned_upto - 1,
                 [](absl::StatusOr<uint64_t>) {});
  });
  world_.RunFor(seconds(1));
  Restart(2);
  world_.RunFor(seconds(5));
  ASSERT_TRUE(processes_[2]->ended());
  EXPECT_EQ(processes_[2]->ended()->code, io::kExitFailure);
}

// However deep what this release does not know lies: it would be lost here, and
// the writer has it.
TEST_F(SnapshotTest, EntriesOfANewerReleaseEndTheMaster) {
  Unwatch(0);
  const auto ends = [this](const Batch& batch) {
    Restart(0);
    world_.RunFor(seconds(5));
    Commit(0, 10, batch);
    ASSERT_TRUE(processes_[0]->ended()) << batch.ShortDebugString();
    EXPECT_EQ(processes_[0]->ended()->code, io::kExitFailure);
    const std::string& words = processes_[0]->ended()->message;
    EXPECT_NE(words.find("a newer release wrote"), std::string::npos) << words;
    EXPECT_NE(words.find("upgrade this master"), std::string::npos) << words;
  };
  Batch batch;
  Operation& operation = *batch.add_operations() = AdmitAgent("a");
  mesos::v1::AgentInfo& info = *operation.mutable_admit_agent()->mutable_info();
  for (google::protobuf::Message* message :
       std::initializer_list<google::protobuf::Message*>{
           &batch, &operation, operation.mutable_admit_agent(), &info,
           info.mutable_id()}) {
    auto& unknown = *message->GetReflection()->MutableUnknownFields(message);
    unknown.AddVarint(1000, 1);
    ends(batch);
    unknown.Clear();
  }
  operation.Clear();
  operation.mutable_unknown_fields()->AddLengthDelimited(1000, "");
  ends(batch);
  batch.Clear();
  Snapshot& part = *batch.mutable_snapshot();
  part.set_first(true);
  part.mutable_registry()->add_admitted()->mutable_info()->set_hostname("h");
  part.mutable_registry()
      ->mutable_admitted(0)
      ->mutable_info()
      ->mutable_unknown_fields()
      ->AddVarint(1000, 1);
  ends(batch);
}

// What a client says in words of a later time is nobody's to keep.
TEST_F(SnapshotTest, WhatIsNotKnownHereIsNotWritten) {
  ASSERT_TRUE(Recover(0).ok());
  Operation operation = AdmitAgent("a");
  operation.mutable_admit_agent()
      ->mutable_info()
      ->mutable_unknown_fields()
      ->AddVarint(1000, 1);
  absl::Status applied = absl::UnknownError("not answered");
  RunOn(0, [&](Registrar& registrar) {
    registrar.Apply(operation,
                    [&](const absl::Status& status) { applied = status; });
  });
  world_.RunFor(seconds(1));
  EXPECT_TRUE(applied.ok()) << applied;
  ExpectAgreement();
  EXPECT_TRUE(member(0)
                  .registrar()
                  .state()
                  .admitted()
                  .at("a")
                  .info()
                  .unknown_fields()
                  .empty());
}

class SmallLogTest : public SnapshotTest {
 protected:
  SmallLogTest() : SnapshotTest(Snapshots(100'000, 4 << 20)) {}
};

TEST_F(SmallLogTest, TakesSmallParts) {
  ASSERT_TRUE(Recover(0).ok());
  for (char c = 'a'; c < 'm'; ++c) {
    EXPECT_EQ(Apply(0, {std::string(15'000, c)}).substr(15'000), " OK; ");
  }
  ExpectAgreement();
  EXPECT_GT(LogOf(0).base, 0u);
}

// Masters that lead for a while and die, at times with a snapshot half
// written, and standbys that are away.
class Storm : public Registrars {
 public:
  explicit Storm(uint64_t seed)
      : Registrars(seed, Snapshots(500, 100), SmallLog()),
        random_(world_.NewRandom("storm")) {}

  void Run() {
    for (int round = 0; round < 12; ++round) {
      Reign();
      End();
    }
    for (int i = 0; i < kHosts; ++i) BringBack(i);
    ASSERT_TRUE(Lead(0));
    interrupted_ = false;
    Work();
    ExpectAgreement();
    ExpectWhatWasAnswered();
    history_.Scan();
    for (const auto& observer : observers_) bases += observer->bases_adopted;
    EXPECT_GT(LogOf(0).base, 0u);
    const std::string state = StateOf(0);
    // The base trails on disk.
    world_.RunFor(seconds(1));
    for (int i = 0; i < kHosts; ++i) Restart(i);
    world_.RunFor(seconds(5));
    for (int i = 0; i < kHosts; ++i) {
      EXPECT_EQ(observers_[i]->first, LogOf(i).base);
      EXPECT_EQ(StateOf(i), state);
    }
  }

  const History& history() const { return history_; }
  int bases = 0;
  int reigns = 0;

 private:
  enum class Fate { kAdmitted, kUnreachable, kRemoved, kUnknown };

  bool Chance(double probability) { return random_->Fraction() < probability; }

  void BringBack(int i) {
    if (processes_[i]->alive()) return;
    hosts_[i]->Boot();
    tried_[i] = false;
    Start(i);
  }

  void TakeDown(int i) {
    if (Chance(0.3)) {
      hosts_[i]->LosePower();
    } else {
      processes_[i]->Kill();
    }
  }

  bool Lead(int i) {
    // Whoever was deposed finds out, or is started anew.
    if (tried_[i]) {
      Restart(i);
      tried_[i] = false;
    }
    leader_ = i;
    tried_[i] = true;
    return Recover(i).ok();
  }

  void Reign() {
    const int standby = static_cast<int>(random_->Below(kHosts));
    int next = static_cast<int>(random_->Below(kHosts));
    if (next == standby) next = (next + 1) % kHosts;
    for (int i = 0; i < kHosts; ++i) BringBack(i);
    if (!Lead(next)) return;
    ++reigns;
    if (Chance(0.6)) TakeDown(standby);
    interrupted_ = false;
    if (Chance(0.8)) InterruptAtPart(random_->Below(15));
    for (int burst = 0; burst < 20 && !interrupted_; ++burst) Work();
  }

  // The leader ends with that part, or another will depose it.
  void InterruptAtPart(uint64_t part) {
    const bool dies = Chance(0.7);
    observers_[leader_]->on_part =
        [this, left = std::make_shared<uint64_t>(part), dies](const Snapshot&) {
          if ((*left)-- > 0) return;
          observers_[leader_]->on_part = nullptr;
          interrupted_ = true;
          if (dies) processes_[leader_]->Kill();
        };
  }

  void End() {
    observers_[leader_]->on_part = nullptr;
    if (processes_[leader_]->alive() && Chance(0.6)) TakeDown(leader_);
  }

  void Work() {
    auto waiting = std::make_shared<int>(0);
    for (int i = 0; i < 5; ++i) Submit(waiting);
    world_.RunUntil(
        [&] {
          return *waiting == 0 || interrupted_ || !processes_[leader_]->alive();
        },
        seconds(30));
  }

  // Something that will succeed, if it is written at all.
  void Submit(const std::shared_ptr<int>& waiting) {
    std::string id = absl::StrCat("agent", agents_.size());
    Operation operation = AdmitAgent(id);
    Fate fate = Fate::kAdmitted;
    if (!agents_.empty() && Chance(0.4)) {
      auto agent = std::next(agents_.begin(), random_->Below(agents_.size()));
      if (agent->second != Fate::kAdmitted) return;
      id = agent->first;
      const bool removed = Chance(0.7);
      operation = removed ? Remove(id) : MarkUnreachable(id);
      fate = removed ? Fate::kRemoved : Fate::kUnreachable;
    }
    agents_[id] = Fate::kUnknown;
    ++*waiting;
    RunOn(leader_, [&](Registrar& registrar) {
      registrar.Apply(operation,
                      [this, id, fate, waiting](const absl::Status& status) {
                        --*waiting;
                        if (status.ok()) agents_[id] = fate;
                      });
    });
  }

  void ExpectWhatWasAnswered() {
    const RegistryState& state = member(0).registrar().state();
    for (const auto& [id, fate] : agents_) {
      if (fate == Fate::kUnknown) continue;
      EXPECT_EQ(state.admitted().count(id), fate == Fate::kAdmitted) << id;
      EXPECT_EQ(state.unreachable().count(id), fate == Fate::kUnreachable)
          << id;
    }
  }

  std::unique_ptr<io::Random> random_;
  std::map<std::string, Fate> agents_;
  bool tried_[kHosts] = {};
  int leader_ = 0;
  bool interrupted_ = false;
};

TEST(SnapshotStormTest, LeadersDieWhileTheyWriteThem) {
  size_t whole = 0;
  int broken = 0;
  int bases = 0;
  int reigns = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Storm storm(seed);
    storm.Run();
    if (HasFailure()) return;
    whole += storm.history().whole.size();
    broken += storm.history().broken;
    bases += storm.bases;
    reigns += storm.reigns;
  }
  // What it is about has happened.
  EXPECT_GT(whole, 100u);
  EXPECT_GT(broken, 100);
  EXPECT_GT(bases, 30);
  EXPECT_GT(reigns, 200);
}

}  // namespace
}  // namespace quorate::registry
