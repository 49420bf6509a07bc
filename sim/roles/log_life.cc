#include "sim/roles/log_life.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace quorate::log {
namespace {

std::string Describe(const Slot& slot) {
  const char* state = slot.state == Slot::State::kAccepted  ? "accepted"
                      : slot.state == Slot::State::kLearned ? "learned"
                                                            : "faulty";
  return absl::StrCat(state, " at round ", slot.ballot.round);
}

}  // namespace

Entry EntryOf(const std::string& payload, EntryType type) {
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(type);
  entry->add_payload(payload);
  return entry;
}

Slot VoteOf(const Ballot& ballot, const Entry& entry) {
  return {Slot::State::kAccepted, ballot, entry, EntryHash(*entry)};
}

SuperblockProto ActiveIdentity(SuperblockProto identity) {
  identity.set_status(ACTIVE);
  identity.set_cluster_id(std::string(16, 'c'));
  identity.mutable_members()->add_members()->set_id(kMe);
  return identity;
}

WatchedDisk::WatchedDisk(sim::FileSystem& files)
    : disk_(
          files,
          [this](io::Duration) {
            ++calls_;
            return on_call ? on_call() : absl::OkStatus();
          },
          [] { return io::WallTime(); }) {}

Storage::Options SmallOptions() {
  Storage::Options options;
  options.directory = kLogDirectory;
  options.fresh_id = kMe;
  options.segment_bytes = 128 << 10;
  options.reserve_bytes = 8 << 10;
  return options;
}

std::map<uint64_t, Slot> Memory::Unsettled(uint64_t from) const {
  std::map<uint64_t, Slot> unsettled(votes.lower_bound(from), votes.end());
  for (auto& [position, slot] : unsettled) {
    if (chosen.count(position) != 0) slot.state = Slot::State::kLearned;
  }
  return unsettled;
}

std::string Memory::MissingReads(Storage& storage, const ReplicaState& state,
                                 bool damaged) const {
  const auto in_hole = [&state](uint64_t position) {
    auto hole = state.holes.upper_bound(position);
    return hole != state.holes.begin() && position < std::prev(hole)->second;
  };
  for (uint64_t p = state.base; p < state.settled;) {
    auto read = storage.Read(p, state.settled, 1 << 20);
    if (!read.ok()) {
      if (damaged && storage.identity().status() == QUARANTINED) break;
      return absl::StrCat("reading ", p, ": ", read.status().ToString());
    }
    for (const Entry& entry : read->entries) {
      auto expected = chosen.find(p);
      if (expected == chosen.end() || !SameEntry(*expected->second, *entry)) {
        return absl::StrCat("another entry at ", p);
      }
      ++p;
    }
    if (read->damaged && !in_hole(p)) return absl::StrCat("no record of ", p);
    if (read->damaged) ++p;
  }
  return "";
}

std::string Memory::MissingVotes(const ReplicaState& state,
                                 bool damaged) const {
  for (const auto& [position, slot] : state.slots) {
    if (position < state.settled) return absl::StrCat("a slot at ", position);
    if (slot.state == Slot::State::kFaulty) {
      if (!damaged) return absl::StrCat("faulty ", position);
      continue;
    }
    const bool learned = slot.state == Slot::State::kLearned;
    auto proposal = proposed.find({position, slot.ballot});
    auto choice = chosen.find(position);
    const Entry expected = learned && choice != chosen.end() ? choice->second
                           : !learned && proposal != proposed.end()
                               ? proposal->second
                               : nullptr;
    if (expected == nullptr || !SameEntry(*expected, *slot.entry)) {
      return absl::StrCat("another vote at ", position);
    }
  }
  for (const auto& [position, vote] : votes) {
    if (position < state.settled) continue;
    auto found = state.slots.find(position);
    if (found == state.slots.end()) {
      if (position < state.blind_below) continue;
      return absl::StrCat("no vote at ", position);
    }
    if (found->second.state == Slot::State::kLearned) continue;
    if (found->second.ballot < vote.ballot) {
      return absl::StrCat("an older vote at ", position, ": ",
                          Describe(found->second));
    }
  }
  return "";
}

std::string Memory::Missing(Storage& storage, bool damaged) const {
  const ReplicaState state = storage.TakeState();
  if (state.promised < promised) return "the promise is lower";
  if (attempted < state.promised) return "the promise was never made";
  if (state.base < base) return "the base is lower";
  if (state.settled < settled) return "less is settled";
  if (!damaged && state.blind_below > 0) return "it is blind";
  if (!damaged && !state.holes.empty()) {
    return absl::StrCat("a hole at ", state.holes.begin()->first);
  }
  const std::string unread = MissingReads(storage, state, damaged);
  return unread.empty() ? MissingVotes(state, damaged) : unread;
}

absl::Status Replica::Open() {
  storage_.reset();
  auto opened = Storage::Open(disk_, options_);
  if (!opened.ok()) return opened.status();
  storage_ = *std::move(opened);
  memory_.formatted = true;
  return absl::OkStatus();
}

absl::Status Replica::Join() {
  return storage_->SetIdentity(ActiveIdentity(storage_->identity()));
}

absl::Status Replica::Promise(const Ballot& ballot) {
  DurableWrite write;
  write.number = ++number_;
  write.promised = ballot;
  memory_.attempted = std::max(memory_.attempted, ballot);
  absl::Status status = storage_->Apply(write);
  if (status.ok()) memory_.promised = ballot;
  return status;
}

absl::Status Replica::Vote(std::map<uint64_t, Slot> votes) {
  DurableWrite write;
  write.number = ++number_;
  write.accepted = std::move(votes);
  for (const auto& [position, slot] : write.accepted) {
    memory_.proposed[{position, slot.ballot}] = slot.entry;
  }
  Seen& seen = write.seen[kOther];
  seen.incarnation = 1;
  seen.end = number_;
  absl::Status status = storage_->Apply(write);
  if (!status.ok()) return status;
  for (const auto& [position, slot] : write.accepted) {
    memory_.votes[position] = slot;
  }
  return status;
}

absl::Status Replica::VoteFor(uint64_t position, const Ballot& ballot,
                              const std::string& payload) {
  return Vote({{position, VoteOf(ballot, EntryOf(payload))}});
}

absl::Status Replica::Learn(uint64_t begin, uint64_t end) {
  std::vector<LearnedEntry> learned;
  for (uint64_t p = begin; p < end; ++p) {
    const Slot& vote = memory_.votes.at(p);
    memory_.chosen[p] = vote.entry;
    learned.push_back({p, vote.ballot, vote.entry});
  }
  return storage_->Absorb(learned);
}

absl::Status Replica::Checkpoint(
    const std::function<absl::Status()>& meanwhile) {
  uint64_t settled = memory_.settled;
  while (memory_.chosen.count(settled) != 0) ++settled;
  std::map<uint64_t, Slot> unsettled = memory_.Unsettled(settled);
  absl::Status status = storage_->Checkpoint(unsettled);
  if (status.ok() && meanwhile) status = meanwhile();
  if (status.ok()) status = storage_->Recycle(settled, unsettled);
  if (status.ok()) memory_.settled = settled;
  return status;
}

absl::Status Replica::MakeRoom() {
  return storage_->room().wants_checkpoint ? Checkpoint() : absl::OkStatus();
}

absl::Status Replica::Truncate(uint64_t position) {
  Base base;
  base.set_position(position);
  base.mutable_config()->add_members()->set_id(kMe);
  base.set_config_position(0);
  absl::Status status = storage_->SetBase(base);
  if (!status.ok()) return status;
  memory_.base = position;
  return storage_->DeleteBelow(position);
}

absl::Status Live(io::Disk& disk, const Storage::Options& options,
                  Memory* memory) {
  Replica replica(disk, options, memory);
  absl::Status status = replica.Open();
  const auto run = [&status](absl::Status next) {
    if (status.ok()) status = std::move(next);
    return status.ok();
  };
  if (!status.ok() || !run(replica.Join())) return status;
  const Ballot first{1, kMe};
  const Ballot second{2, kOther};
  const std::string large(20000, 'l');
  std::map<uint64_t, Slot> batch;
  for (uint64_t p = 5; p < 9; ++p) {
    batch[p] = VoteOf(first, EntryOf(absl::StrCat("batch ", p)));
  }
  if (!run(replica.Promise(first)) ||
      !run(replica.VoteFor(0, first, "genesis")) || !run(replica.Learn(0, 1)) ||
      !run(replica.VoteFor(1, first, "one")) ||
      !run(replica.VoteFor(2, first, "two")) || !run(replica.Learn(1, 2)) ||
      !run(replica.VoteFor(3, first, std::string(5000, 't'))) ||
      !run(replica.VoteFor(4, first, large)) || !run(replica.Learn(2, 4)) ||
      !run(replica.Vote(batch)) || !run(replica.Checkpoint()) ||
      !run(replica.Learn(4, 5))) {
    return status;
  }
  // The votes of the first ballot are replaced; one of them stays.
  if (!run(replica.Promise(second)) ||
      !run(replica.VoteFor(5, second, "five again")) ||
      !run(replica.VoteFor(7, second, large + "again")) ||
      !run(replica.Learn(5, 7))) {
    return status;
  }
  for (uint64_t p = 8; p < 30; ++p) {
    const std::string payload = absl::StrCat("entry ", p, "-");
    if (!run(replica.VoteFor(p, second, payload)) || !run(replica.MakeRoom())) {
      return status;
    }
    if (p >= 16 && p % 3 == 0 && !run(replica.Learn(p - 8, p - 5))) {
      return status;
    }
    if (p == 12 && !run(replica.Learn(7, 10))) return status;
    if (p == 20) {
      replica.Close();
      if (!run(replica.Open())) return status;
    }
  }
  const Entry truncation = EntryOf("truncate", TRUNCATE);
  if (!run(replica.Vote({{30, VoteOf(second, truncation)}})) ||
      !run(replica.Learn(22, 25)) || !run(replica.Checkpoint()) ||
      !run(replica.Truncate(15)) || !run(replica.storage().Reopen())) {
    return status;
  }
  replica.Close();
  if (run(replica.Open()) && run(replica.VoteFor(31, second, "late"))) {
    run(replica.VoteFor(32, second, large));
  }
  return status;
}

}  // namespace quorate::log
