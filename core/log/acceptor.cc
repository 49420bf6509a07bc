#include "core/log/acceptor.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"

namespace quorate::log {
namespace {

absl::Status TwoValues(uint64_t position) {
  return absl::DataLossError(
      absl::StrCat("two values were learned at position ", position));
}

}  // namespace

Acceptor::Acceptor(MemberId me, ReplicaState state)
    : me_(std::move(me)),
      promised_(std::move(state.promised)),
      base_(state.base),
      learned_upto_(state.base),
      settled_(std::max(state.base, state.settled)),
      holes_(std::move(state.holes)),
      slots_(std::move(state.slots)),
      blind_below_(state.blind_below),
      blind_promised_(state.blind_promised),
      voted_end_(settled_) {
  for (const auto& [position, slot] : slots_) {
    if (slot.ballot.round > 0) voted_end_ = position + 1;
  }
  Advance();
}

// Slots are kept at and above it.
uint64_t Acceptor::frontier() const {
  return std::max(learned_upto_, settled_);
}

uint64_t Acceptor::end() const {
  return slots_.empty() ? frontier() : slots_.rbegin()->first + 1;
}

bool Acceptor::InHole(uint64_t position) const {
  auto after = holes_.upper_bound(position);
  return after != holes_.begin() && position < std::prev(after)->second;
}

// Learned, and whole in Storage.
bool Acceptor::OnDisk(uint64_t position) const {
  return position < learned_upto_ || (position < settled_ && !InHole(position));
}

uint64_t Acceptor::damaged() const {
  uint64_t damaged = 0;
  for (const auto& [begin, end] : holes_) damaged += end - begin;
  for (const auto& [position, slot] : slots_) {
    if (slot.state == Slot::State::kFaulty) ++damaged;
  }
  return damaged;
}

std::optional<uint64_t> Acceptor::FirstDamaged(uint64_t from) const {
  for (const auto& [begin, end] : holes_) {
    if (end > from) return std::max(begin, from);
  }
  for (auto slot = slots_.lower_bound(from); slot != slots_.end(); ++slot) {
    if (slot->second.state == Slot::State::kFaulty) return slot->first;
  }
  return std::nullopt;
}

std::map<uint64_t, Slot> Acceptor::Unsettled() const {
  std::map<uint64_t, Slot> unsettled;
  for (const auto& [position, slot] : slots_) {
    if (slot.ballot.round > 0) unsettled[position] = slot;
  }
  return unsettled;
}

Outgoing& Acceptor::Answer(const MemberId& to,
                           std::vector<Outgoing>* out) const {
  // Everything known so far may show in the answer, so it waits for all of it.
  out->push_back({to, {}, writes_});
  return out->back();
}

DurableWrite& Acceptor::pending() {
  pending_.number = ++writes_;
  return pending_;
}

// Whether the next write has room for one more; it has for a first one.
bool Acceptor::HasRoom(const EntryProto& entry) const {
  return pending_.accepted.empty() ||
         pending_bytes_ + entry.ByteSizeLong() <= max_pending_bytes_;
}

void Acceptor::Vote(uint64_t position, const Slot& slot) {
  auto [vote, is_new] = pending().accepted.emplace(position, slot);
  if (!is_new) {
    pending_bytes_ -= vote->second.entry->ByteSizeLong();
    vote->second = slot;
  }
  pending_bytes_ += slot.entry->ByteSizeLong();
  voted_end_ = std::max(voted_end_, position + 1);
}

void Acceptor::Promised(const Ballot& ballot) {
  CHECK(promised_ < ballot);
  promised_ = ballot;
  pending().promised = ballot;
}

SlotProto Acceptor::Describe(uint64_t position) const {
  SlotProto described;
  if (position < base_) {
    described.set_state(SlotProto::TRUNCATED);
    described.set_base(base_);
    return described;
  }
  if (OnDisk(position)) {
    described.set_state(SlotProto::LEARNED);
    return described;
  }
  auto found = slots_.find(position);
  const bool blind = position < blind_below_ && !Planted(Bug::kDamagedIsNone);
  if (found == slots_.end()) {
    const bool unknown =
        blind || (InHole(position) && !Planted(Bug::kDamagedIsNone));
    described.set_state(unknown ? SlotProto::UNKNOWN : SlotProto::NONE);
    return described;
  }
  // A vote that the disk has lost may have come after this one.
  if (blind && found->second.state != Slot::State::kLearned &&
      found->second.ballot < blind_promised_) {
    described.set_state(SlotProto::UNKNOWN);
    return described;
  }
  const Slot& slot = found->second;
  if (slot.state == Slot::State::kFaulty) {
    if (Planted(Bug::kDamagedIsNone)) {
      described.set_state(SlotProto::NONE);
      return described;
    }
    described.set_state(SlotProto::FAULTY);
    described.set_hash(slot.hash);
  } else {
    described.set_state(slot.state == Slot::State::kLearned
                            ? SlotProto::LEARNED
                            : SlotProto::ACCEPTED);
    *described.mutable_entry() = *slot.entry;
  }
  if (slot.ballot.round > 0) *described.mutable_ballot() = ToProto(slot.ballot);
  return described;
}

void Acceptor::OnPromise(const MemberId& from, const Promise& request,
                         std::vector<Outgoing>* out) {
  const Ballot ballot = FromProto(request.ballot());
  const uint64_t before = writes_;
  Result result = OK;
  if (!voting_) {
    result = NOT_READY;
  } else if (ballot < promised_) {
    result = REJECT;
  } else if (promised_ < ballot) {
    Promised(ballot);
  }  // Asked again for the promise it holds, it answers again.
  Outgoing& answer = Answer(from, out);
  if (Planted(Bug::kPromiseBeforeDurable)) answer.after_write = before;
  PromiseReply& reply = *answer.message.mutable_promise_reply();
  *reply.mutable_ballot() = request.ballot();
  *reply.mutable_promised() = ToProto(promised_);
  reply.set_result(result);
  if (result != OK) return;
  reply.set_end(end());
  reply.set_blind_below(blind_below_);
  reply.set_from_position(request.from_position());
  *reply.mutable_slot() = Describe(request.from_position());
}

void Acceptor::OnSlotQuery(const MemberId& from, const SlotQuery& request,
                           std::vector<Outgoing>* out) {
  SlotReply& reply = *Answer(from, out).message.mutable_slot_reply();
  *reply.mutable_ballot() = request.ballot();
  *reply.mutable_promised() = ToProto(promised_);
  reply.set_position(request.position());
  // Only under the promise is the slot frozen for all lower ballots.
  const bool granted = FromProto(request.ballot()) == promised_;
  reply.set_result(granted ? OK : REJECT);
  if (granted) *reply.mutable_slot() = Describe(request.position());
}

Result Acceptor::Accept(const Ballot& ballot, uint64_t position,
                        Write* request) {
  if (!voting_) return NOT_READY;
  if (ballot < promised_) return REJECT;
  if (position < base_ || OnDisk(position)) return KNOWN;
  if (position >= frontier() + kMaxAhead) return NOT_READY;
  if (disk_full_ && request->entry().type() != TRUNCATE) return NOT_READY;
  // Of what was learned here and is damaged only the learned value will do.
  if (InHole(position)) return NOT_READY;
  auto found = slots_.find(position);
  if (found != slots_.end() && found->second.state == Slot::State::kLearned) {
    Slot& learned = found->second;
    if (!SameEntry(*learned.entry, request->entry())) return KNOWN;
    if (ballot <= learned.ballot) return OK;
    if (!HasRoom(*learned.entry)) return NOT_READY;
    // It was learned from elsewhere: the vote is new, and must outlive a crash.
    if (promised_ < ballot && !Planted(Bug::kAcceptKeepsPromise)) {
      Promised(ballot);
    }
    learned.ballot = ballot;
    Vote(position,
         {Slot::State::kAccepted, ballot, learned.entry, learned.hash});
    return OK;
  }
  const bool again = found != slots_.end() && found->second.ballot == ballot &&
                     found->second.state == Slot::State::kAccepted;
  if (!again && !HasRoom(request->entry())) return NOT_READY;
  if (promised_ < ballot && !Planted(Bug::kAcceptKeepsPromise)) {
    Promised(ballot);
  }
  if (again) return OK;
  auto entry =
      std::make_shared<EntryProto>(std::move(*request->mutable_entry()));
  std::string hash = EntryHash(*entry);
  Slot slot{Slot::State::kAccepted, ballot, std::move(entry), std::move(hash)};
  Vote(position, slot);
  slots_[position] = std::move(slot);
  return OK;
}

void Acceptor::OnWrite(const MemberId& from, Write* request,
                       std::vector<Outgoing>* out) {
  const Ballot ballot = FromProto(request->ballot());
  const uint64_t before = writes_;
  const Result result = Accept(ballot, request->position(), request);
  Outgoing& answer = Answer(from, out);
  if (Planted(Bug::kWriteAckBeforeDurable)) answer.after_write = before;
  WriteReply& reply = *answer.message.mutable_write_reply();
  *reply.mutable_ballot() = request->ballot();
  reply.set_position(request->position());
  reply.set_result(result);
  *reply.mutable_promised() = ToProto(promised_);
  if (disk_full_) reply.set_disk_full(true);
}

void Acceptor::OnHeartbeat(const MemberId& from, const Heartbeat& request,
                           std::vector<Outgoing>* out) {
  HeartbeatReply& reply = *Answer(from, out).message.mutable_heartbeat_reply();
  *reply.mutable_ballot() = request.ballot();
  *reply.mutable_promised() = ToProto(promised_);
  reply.set_sequence(request.sequence());
  reply.set_end(voted_end_);
  if (disk_full_) reply.set_disk_full(true);
  if (!voting_) reply.set_silent(true);
  if (const uint64_t count = damaged(); count > 0) reply.set_damaged(count);
}

void Acceptor::FillHole(uint64_t position) {
  auto hole = std::prev(holes_.upper_bound(position));
  const uint64_t begin = hole->first;
  const uint64_t end = hole->second;
  holes_.erase(hole);
  if (begin < position) holes_[begin] = position;
  if (position + 1 < end) holes_[position + 1] = end;
}

absl::Status Acceptor::OnLearned(uint64_t position, Entry entry,
                                 const std::string& hash) {
  if (position < base_ || OnDisk(position) ||
      position >= frontier() + kMaxAhead) {
    return absl::OkStatus();
  }
  if (InHole(position)) {
    FillHole(position);
    learned_.push_back({position, {}, std::move(entry)});
    Advance();
    return absl::OkStatus();
  }
  Slot& slot = slots_[position];
  if (slot.state == Slot::State::kLearned) {
    return slot.hash == hash ? absl::OkStatus() : TwoValues(position);
  }
  // The ballot stays what was accepted: it may not decrease, and what was
  // learned was chosen at an unknown one.
  slot.state = Slot::State::kLearned;
  slot.entry = std::move(entry);
  slot.hash = hash;
  learned_.push_back({position, slot.ballot, slot.entry});
  Advance();
  return absl::OkStatus();
}

absl::Status Acceptor::OnChosen(uint64_t position, const Ballot& ballot,
                                const std::string& hash) {
  auto found = slots_.find(position);
  if (found == slots_.end()) return absl::OkStatus();
  Slot& slot = found->second;
  if (slot.state == Slot::State::kLearned) {
    return slot.hash == hash ? absl::OkStatus() : TwoValues(position);
  }
  if (slot.state != Slot::State::kAccepted) return absl::OkStatus();
  const bool same = slot.ballot == ballot && slot.hash == hash;
  if (!same && !Planted(Bug::kLearnedWithoutHash)) return absl::OkStatus();
  slot.state = Slot::State::kLearned;
  learned_.push_back({position, slot.ballot, slot.entry});
  Advance();
  return absl::OkStatus();
}

// One ballot proposes one value at a position: what was accepted at it, and is
// chosen according to its proposer, is the chosen value. Below its epoch the
// proposer may have learned another value than its own from somebody else.
void Acceptor::OnCommit(const Ballot& ballot, uint64_t epoch, uint64_t commit) {
  for (auto it = slots_.lower_bound(epoch); it != slots_.end(); ++it) {
    auto& [position, slot] = *it;
    if (position >= commit) break;
    if (slot.state != Slot::State::kAccepted || slot.ballot != ballot) continue;
    slot.state = Slot::State::kLearned;
    learned_.push_back({position, slot.ballot, slot.entry});
  }
  Advance();
}

void Acceptor::AdoptBase(uint64_t base) {
  if (base <= base_) return;
  base_ = base;
  settled_ = std::max(settled_, base);
  learned_upto_ = std::max(learned_upto_, base);
  slots_.erase(slots_.begin(), slots_.lower_bound(frontier()));
  while (!holes_.empty() && holes_.begin()->first < base) {
    const uint64_t end = holes_.begin()->second;
    holes_.erase(holes_.begin());
    if (end > base) holes_[base] = end;
  }
  Advance();
}

void Acceptor::OnLeader(uint64_t position, const Ballot& ballot) {
  if (ballot <= blind_promised_) return;
  blind_below_ = std::min(blind_below_, position + 1);
}

void Acceptor::OnDamaged(uint64_t position) {
  if (position < base_ || position >= frontier() || InHole(position)) return;
  settled_ = frontier();
  holes_[position] = position + 1;
  learned_upto_ = std::min(learned_upto_, position);
}

// Takes what has become whole into the learned prefix. A hole in it stops
// nothing above.
void Acceptor::Advance() {
  settled_ = frontier();
  auto next = slots_.begin();
  while (next != slots_.end() && next->first == settled_ &&
         next->second.state == Slot::State::kLearned) {
    next = slots_.erase(next);
    ++settled_;
  }
  learned_upto_ = holes_.empty() ? settled_ : holes_.begin()->first;
}

uint64_t Acceptor::WholeUpto(uint64_t from) const {
  if (from >= settled_ || InHole(from)) return from;
  auto hole = holes_.lower_bound(from);
  return hole == holes_.end() ? settled_ : hole->first;
}

DurableWrite Acceptor::TakeWrite() {
  pending_bytes_ = 0;
  return std::exchange(pending_, DurableWrite());
}

std::vector<LearnedEntry> Acceptor::TakeLearned() {
  return std::exchange(learned_, {});
}

void Acceptor::CheckInvariants() const {
  CHECK_LE(base_, learned_upto_);
  for (const auto& [position, slot] : slots_) {
    CHECK_GE(position, frontier());
    CHECK(slot.entry != nullptr || slot.state == Slot::State::kFaulty);
    // Accepting must raise the promise.
    if (!Planted(Bug::kAcceptKeepsPromise)) CHECK(!(promised_ < slot.ballot));
  }
  if (!holes_.empty()) {
    CHECK_GE(holes_.begin()->first, learned_upto_);
    CHECK_LE(holes_.rbegin()->second, settled_);
  }
  if (auto first = slots_.find(settled_); first != slots_.end()) {
    CHECK(first->second.state != Slot::State::kLearned);
  }
}

}  // namespace quorate::log
