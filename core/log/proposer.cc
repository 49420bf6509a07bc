#include "core/log/proposer.h"

#include <glog/logging.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/planted.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

bool IsDamaged(const SlotProto& slot) {
  return slot.state() == SlotProto::FAULTY ||
         slot.state() == SlotProto::UNKNOWN;
}

bool IsUntold(const SlotProto& slot) {
  return slot.state() == SlotProto::LEARNED && !slot.has_entry();
}

Entry MakeEntry(EntryType type) {
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(type);
  return entry;
}

}  // namespace

Decision Decide(const std::map<MemberId, SlotProto>& slots, size_t members) {
  Decision decision;
  const size_t promise_quorum = PromiseQuorum(members);
  size_t known = 0;
  std::map<Ballot, const SlotProto*, std::greater<>> voted;
  for (const auto& [member, slot] : slots) {
    if (slot.state() == SlotProto::UNKNOWN) continue;
    ++known;
    if (!slot.has_ballot() || slot.state() == SlotProto::NONE) continue;
    const SlotProto*& best = voted[FromProto(slot.ballot())];
    if (best == nullptr || best->state() == SlotProto::FAULTY) best = &slot;
  }
  if (known < promise_quorum) return decision;
  for (const auto& [ballot, slot] : voted) {
    if (slot->state() != SlotProto::FAULTY) {
      decision.kind = Decision::Kind::kForced;
      decision.slot = slot;
      return decision;
    }
    // Only damaged copies are known. Was it chosen? Not if so many did not
    // vote for it, and never will, that the others are no quorum.
    size_t nacks = 0;
    for (const auto& [member, other] : slots) {
      if (other.state() == SlotProto::NONE ||
          (other.has_ballot() && FromProto(other.ballot()) < ballot)) {
        ++nacks;
      }
    }
    const bool passed = nacks >= members - WriteQuorum(members) + 1;
    if (!passed && !Planted(Bug::kNackTestSkipped)) {
      decision.damaged = ballot;
      return decision;
    }
  }
  decision.kind = Decision::Kind::kFree;
  return decision;
}

Proposer::Proposer(MemberId me, std::vector<MemberId> members, Ballot ballot,
                   uint64_t learned_upto)
    : me_(std::move(me)),
      members_(std::move(members)),
      ballot_(std::move(ballot)),
      position_(learned_upto) {
  CHECK(std::count(members_.begin(), members_.end(), me_) == 1);
  CHECK(ballot_.round > 0 && ballot_.member == me_);
}

bool Proposer::Counts(const MemberId& from) const {
  return Planted(Bug::kForeignVotes) ||
         std::find(members_.begin(), members_.end(), from) != members_.end();
}

size_t Proposer::CountPromised() const {
  if (Planted(Bug::kForeignVotes)) return promised_.size();
  return std::count_if(members_.begin(), members_.end(),
                       [this](const MemberId& m) { return HasPromised(m); });
}

size_t Proposer::CountRefused() const {
  return std::count_if(
      members_.begin(), members_.end(),
      [this](const MemberId& m) { return refused_.count(m) != 0; });
}

void Proposer::Start(Output* out) { SendPromise(me_, out); }

void Proposer::SendPromise(const MemberId& to, Output* out) const {
  Outgoing message{to, {}, 0};
  Promise& promise = *message.message.mutable_promise();
  *promise.mutable_ballot() = ToProto(ballot_);
  promise.set_from_position(position_);
  out->messages.push_back(std::move(message));
}

void Proposer::AskPromise(const MemberId& member, Output* out) {
  CHECK(leading());
  if (!HasPromised(member)) SendPromise(member, out);
}

void Proposer::Refused(const MemberId& from, const BallotProto& promised,
                       size_t needed, Output* out) {
  highest_round_ = std::max(highest_round_, promised.round());
  refused_.insert(from);
  if (members_.size() - CountRefused() < needed || from == me_) Depose(out);
}

void Proposer::Depose(Output* out) {
  phase_ = Phase::kDeposed;
  out->deposed = true;
}

void Proposer::OnPromiseReply(const MemberId& from, const PromiseReply& reply,
                              Output* out) {
  if (deposed() || FromProto(reply.ballot()) != ballot_) return;
  // Whoever is asked before it is a member does not stand in the way.
  if (reply.result() == REJECT && Counts(from)) {
    return Refused(from, reply.promised(), promise_quorum(), out);
  }
  if (reply.result() == NOT_READY) not_ready_.insert(from);
  if (reply.result() != OK &&
      !(Planted(Bug::kNotReadyCounts) && reply.result() == NOT_READY)) {
    return;
  }
  not_ready_.erase(from);
  if (phase_ == Phase::kSelf) {
    if (from != me_) return;
    phase_ = Phase::kPromise;
    for (const MemberId& member : members_) {
      if (member != me_) SendPromise(member, out);
    }
  }
  if (!promised_.emplace(from, Promised{reply.end(), reply.blind_below()})
           .second) {
    return;
  }
  if (!Counts(from)) return;
  if (reply.has_slot() && reply.from_position() == position_) {
    slots_[from] = reply.slot();
  }
  if (phase_ == Phase::kPromise && CountPromised() >= promise_quorum()) {
    NextPosition(out);
  } else if (phase_ == Phase::kRecover) {
    Query(out);
    Decide(out);
  }
}

// With the promises of a quorum: what is at position_?
void Proposer::NextPosition(Output* out) {
  if (CountPromised() < promise_quorum() &&
      !Planted(Bug::kNoPromiseAfterConfig)) {
    // The configuration has changed; its members have not promised yet.
    phase_ = Phase::kPromise;
    for (const MemberId& member : members_) {
      if (!HasPromised(member)) SendPromise(member, out);
    }
    return;
  }
  phase_ = Phase::kRecover;
  Query(out);
  Decide(out);
}

// What the members that promised have told, and what follows from it: at and
// above the end that came with the promise only this ballot can have written.
std::map<MemberId, SlotProto> Proposer::KnownSlots() const {
  std::map<MemberId, SlotProto> known;
  for (const auto& [member, promised] : promised_) {
    if (!Counts(member)) continue;
    auto told = slots_.find(member);
    if (told != slots_.end()) {
      known[member] = told->second;
    } else if (position_ >= promised.end && position_ >= promised.blind_below) {
      known[member].set_state(SlotProto::NONE);
    }
  }
  if (Planted(Bug::kNoPromiseAfterConfig)) {
    for (const MemberId& member : members_) {
      if (!HasPromised(member)) known[member].set_state(SlotProto::NONE);
    }
  }
  return known;
}

// Asks those who promised and whose slot at position_ is not known.
void Proposer::Query(Output* out) {
  const std::map<MemberId, SlotProto> known = KnownSlots();
  for (const auto& [member, promised] : promised_) {
    if (!Counts(member) || known.count(member) != 0) continue;
    Outgoing message{member, {}, 0};
    SlotQuery& query = *message.message.mutable_slot_query();
    *query.mutable_ballot() = ToProto(ballot_);
    query.set_position(position_);
    out->messages.push_back(std::move(message));
  }
}

void Proposer::OnSlotReply(const MemberId& from, const SlotReply& reply,
                           Output* out) {
  if (deposed() || FromProto(reply.ballot()) != ballot_ || !HasPromised(from) ||
      !Counts(from)) {
    return;
  }
  if (reply.result() == REJECT) {
    Refused(from, reply.promised(), write_quorum(), out);
    return;
  }
  if (phase_ != Phase::kRecover || reply.position() != position_) return;
  slots_[from] = reply.slot();
  Decide(out);
}

// What somebody has learned is taken as it is. True when that is under way.
bool Proposer::Take(const std::map<MemberId, SlotProto>& slots, Output* out) {
  const MemberId* knows = nullptr;
  for (const auto& [member, slot] : slots) {
    if (slot.state() == SlotProto::LEARNED && slot.has_entry()) {
      auto entry = std::make_shared<EntryProto>(slot.entry());
      std::string hash = EntryHash(*entry);
      out->chosen.push_back(
          {position_, std::move(entry), std::move(hash), false});
      return true;  // OnLearned goes on.
    }
    if (slot.state() == SlotProto::LEARNED ||
        (slot.state() == SlotProto::TRUNCATED &&
         !Planted(Bug::kTruncatedIsNone))) {
      knows = &member;
    }
  }
  if (knows != nullptr) out->fetch = {*knows, position_};
  return knows != nullptr;
}

void Proposer::Decide(Output* out) {
  std::map<MemberId, SlotProto> slots = KnownSlots();
  if (Take(slots, out)) return;
  if (Planted(Bug::kTruncatedIsNone)) {
    for (auto& [member, slot] : slots) {
      if (slot.state() == SlotProto::TRUNCATED) {
        slot.set_state(SlotProto::NONE);
      }
    }
  }
  const size_t members =
      planted_quorum_ > 0 ? 2 * planted_quorum_ - 1 : members_.size();
  const Decision decision = log::Decide(slots, members);
  switch (decision.kind) {
    case Decision::Kind::kWait:
      return;
    case Decision::Kind::kForced:
      return WriteEntry(std::make_shared<EntryProto>(decision.slot->entry()),
                        false, out);
    case Decision::Kind::kFree:
      break;
  }
  const bool beyond = std::any_of(
      promised_.begin(), promised_.end(), [this](const auto& promised) {
        return Counts(promised.first) && position_ < promised.second.end;
      });
  if (beyond) return WriteEntry(MakeEntry(NOOP), false, out);
  if (epoch_.has_value()) {
    phase_ = Phase::kIdle;
    return;
  }
  auto leader = std::make_shared<EntryProto>();
  leader->set_type(LEADER);
  leader->add_payload(me_);
  leader->add_payload(ToProto(ballot_).SerializeAsString());
  WriteEntry(std::move(leader), true, out);
}

std::string Proposer::Blocked() const {
  if (phase_ != Phase::kRecover) return "";
  const std::map<MemberId, SlotProto> slots = KnownSlots();
  if (slots.size() < promise_quorum()) return "";
  const bool damaged =
      std::any_of(slots.begin(), slots.end(),
                  [](const auto& slot) { return IsDamaged(slot.second); });
  if (!damaged ||
      log::Decide(slots, members_.size()).kind != Decision::Kind::kWait) {
    return "";
  }
  // Somebody's record is damaged; or its disk has lost votes, perhaps for
  // nothing.
  const bool record =
      std::any_of(slots.begin(), slots.end(), [](const auto& slot) {
        return slot.second.state() == SlotProto::FAULTY;
      });
  if (record) {
    return absl::StrCat("every copy of position ", position_,
                        " that is reachable is damaged");
  }
  std::vector<std::string> waiting;
  for (const MemberId& member : members_) {
    if (slots.count(member) == 0) waiting.push_back(ShortId(member));
  }
  return absl::StrCat("whether there is an entry at position ", position_,
                      " is not known: a disk has lost votes; waiting for ",
                      waiting.empty() ? "nobody" : absl::StrJoin(waiting, ", "),
                      ", who may tell");
}

void Proposer::WriteEntry(Entry entry, bool own, Output* out) {
  phase_ = Phase::kWrite;
  hash_ = EntryHash(*entry);
  entry_ = std::move(entry);
  own_ = own;
  accepted_.clear();
  duplicates_ = 0;
  chosen_ = false;
  for (const MemberId& member : members_) SendWrite(member, out);
}

void Proposer::SendWrite(const MemberId& to, Output* out) const {
  Outgoing message{to, {}, 0};
  Write& write = *message.message.mutable_write();
  *write.mutable_ballot() = ToProto(ballot_);
  write.set_position(position_);
  *write.mutable_entry() = *entry_;
  if (!previous_hash_.empty()) write.set_previous_hash(previous_hash_);
  for (const auto& [member, end] : acked_) {
    MemberEnd& acked = *write.add_acked();
    acked.set_id(member);
    acked.set_end(end);
  }
  out->messages.push_back(std::move(message));
}

void Proposer::OnWriteReply(const MemberId& from, const WriteReply& reply,
                            Output* out) {
  if (deposed() || !Counts(from) || FromProto(reply.ballot()) != ballot_) {
    return;
  }
  if (reply.result() == REJECT) {
    Refused(from, reply.promised(), write_quorum(), out);
    return;
  }
  if (phase_ != Phase::kWrite || chosen_ || reply.position() != position_) {
    return;
  }
  if (reply.result() == KNOWN) {
    out->fetch = {from, position_};
    return;
  }
  if (reply.result() == NOT_READY) not_ready_.insert(from);
  if (reply.result() != OK && !Planted(Bug::kNotReadyCounts)) return;
  not_ready_.erase(from);
  const bool again = !accepted_.insert(from).second;
  if (again && Planted(Bug::kDuplicateVotes)) ++duplicates_;
  acked_[from] = position_ + 1;
  if (accepted_.size() + duplicates_ < write_quorum()) return;
  chosen_ = true;
  const bool elected = own_ && !epoch_.has_value();
  if (elected) epoch_ = position_;
  out->chosen.push_back({position_, entry_, hash_, own_});
  if (elected) out->elected = epoch_;
}

void Proposer::OnLearned(uint64_t learned_upto,
                         const std::vector<MemberId>& members, Output* out) {
  if (deposed() || learned_upto <= position_) return;
  const bool by_us =
      std::exchange(chosen_, false) && learned_upto == position_ + 1;
  if (leading() && !by_us) return Depose(out);
  // Whoever is removed before its reign begins disturbs nobody.
  if (!leading() &&
      std::find(members.begin(), members.end(), me_) == members.end()) {
    return Depose(out);
  }
  previous_hash_ = by_us ? hash_ : "";
  position_ = learned_upto;
  members_ = members;
  slots_.clear();
  accepted_.clear();
  if (phase_ != Phase::kSelf) NextPosition(out);
}

void Proposer::OnRetry(Output* out) {
  // A quorum without those that refuse may never answer: a higher ballot is
  // the way on.
  if (!leading() && CountRefused() > 0) return Depose(out);
  const auto promise_again = [this, out] {
    for (const MemberId& member : members_) {
      if (!HasPromised(member)) SendPromise(member, out);
    }
  };
  switch (phase_) {
    case Phase::kSelf:
      return SendPromise(me_, out);
    case Phase::kPromise:
      return promise_again();
    case Phase::kRecover:
      // Who has learned the entry without telling it may be gone by now: the
      // others' slots decide as well, if they are enough. And a damaged record
      // may have been repaired.
      for (auto slot = slots_.begin(); slot != slots_.end();) {
        const bool stale = IsUntold(slot->second) || IsDamaged(slot->second) ||
                           slot->second.state() == SlotProto::TRUNCATED;
        slot = stale ? slots_.erase(slot) : std::next(slot);
      }
      promise_again();
      Query(out);
      return Decide(out);
    case Phase::kWrite:
      for (const MemberId& member : members_) {
        if (accepted_.count(member) == 0) SendWrite(member, out);
      }
      return;
    case Phase::kIdle:
    case Phase::kDeposed:
      return;
  }
}

void Proposer::Propose(Entry entry, Output* out) {
  CHECK(leading() && idle());
  WriteEntry(std::move(entry), true, out);
}

std::vector<MemberId> Proposer::Unheard() const {
  std::vector<MemberId> unheard;
  if (phase_ == Phase::kIdle || phase_ == Phase::kDeposed) return unheard;
  for (const MemberId& member : members_) {
    const bool heard = phase_ == Phase::kWrite ? accepted_.count(member) != 0
                                               : HasPromised(member);
    if (!heard) unheard.push_back(member);
  }
  return unheard;
}

void Proposer::CheckInvariants() const {
  for (const MemberId& member : accepted_) CHECK(Counts(member));
  if (phase_ == Phase::kRecover || phase_ == Phase::kWrite ||
      phase_ == Phase::kIdle) {
    CHECK(CountPromised() >= promise_quorum() ||
          Planted(Bug::kNoPromiseAfterConfig));
  }
}

}  // namespace quorate::log
