#include "core/log/proposer.h"

#include <glog/logging.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace quorate::log {

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
  return std::find(members_.begin(), members_.end(), from) != members_.end();
}

void Proposer::Start(Output* out) { SendPromise(me_, out); }

void Proposer::SendPromise(const MemberId& to, Output* out) const {
  Outgoing message{to, {}, 0};
  Promise& promise = *message.message.mutable_promise();
  *promise.mutable_ballot() = ToProto(ballot_);
  promise.set_from_position(position_);
  out->messages.push_back(std::move(message));
}

void Proposer::Refused(const MemberId& from, const BallotProto& promised,
                       size_t needed, Output* out) {
  highest_round_ = std::max(highest_round_, promised.round());
  refused_.insert(from);
  if (members_.size() - refused_.size() < needed || from == me_) Depose(out);
}

void Proposer::Depose(Output* out) {
  phase_ = Phase::kDeposed;
  out->deposed = true;
}

void Proposer::OnPromiseReply(const MemberId& from, const PromiseReply& reply,
                              Output* out) {
  if (deposed() || !Counts(from) || FromProto(reply.ballot()) != ballot_) {
    return;
  }
  if (reply.result() != OK) {
    if (reply.result() == REJECT) {
      Refused(from, reply.promised(), promise_quorum(), out);
    }
    return;
  }
  if (phase_ == Phase::kSelf) {
    if (from != me_) return;
    phase_ = Phase::kPromise;
    for (const MemberId& member : members_) {
      if (member != me_) SendPromise(member, out);
    }
  }
  if (!promised_.insert(from).second) return;
  end_ = std::max(end_, reply.end());
  if (reply.from_position() == position_) slots_[from] = reply.slot();
  if (phase_ == Phase::kPromise && promised_.size() >= promise_quorum()) {
    NextPosition(out);
  } else if (phase_ == Phase::kRecover) {
    Query(out);
    Decide(out);
  }
}

// Decides what to do at position_: finish it if anything may be there, else
// write the LEADER entry, or wait for work.
void Proposer::NextPosition(Output* out) {
  if (position_ < end_) {
    phase_ = Phase::kRecover;
    Query(out);
    return Decide(out);
  }
  if (!epoch_.has_value()) {
    EntryProto leader;
    leader.set_type(LEADER);
    leader.set_payload(me_);
    return WriteEntry(std::move(leader), true, out);
  }
  phase_ = Phase::kIdle;
}

// Asks those who promised and whose slot at position_ is not known.
void Proposer::Query(Output* out) {
  for (const MemberId& member : promised_) {
    if (slots_.count(member) != 0) continue;
    Outgoing message{member, {}, 0};
    SlotQuery& query = *message.message.mutable_slot_query();
    *query.mutable_ballot() = ToProto(ballot_);
    query.set_position(position_);
    out->messages.push_back(std::move(message));
  }
}

void Proposer::OnSlotReply(const MemberId& from, const SlotReply& reply,
                           Output* out) {
  if (deposed() || FromProto(reply.ballot()) != ballot_ ||
      promised_.count(from) == 0) {
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

// The rule of Paxos: what may have been chosen at a lower ballot is what has
// to be written; with nothing accepted in a quorum the position is free.
void Proposer::Decide(Output* out) {
  const SlotProto* best = nullptr;
  const MemberId* knows = nullptr;
  for (const auto& [member, slot] : slots_) {
    if (slot.state() == SlotProto::LEARNED && slot.has_entry()) {
      out->chosen.push_back({position_, slot.entry(), false});
      return;  // OnLearned goes on.
    }
    if (slot.state() == SlotProto::LEARNED) knows = &member;
    if (slot.state() == SlotProto::ACCEPTED &&
        (best == nullptr ||
         FromProto(best->ballot()) < FromProto(slot.ballot()))) {
      best = &slot;
    }
  }
  if (knows != nullptr) {
    out->fetch = {*knows, position_};
    return;
  }
  if (slots_.size() < promise_quorum()) return;
  if (best != nullptr) return WriteEntry(best->entry(), false, out);
  EntryProto nothing;
  nothing.set_type(NOOP);
  WriteEntry(std::move(nothing), false, out);
}

void Proposer::WriteEntry(EntryProto entry, bool own, Output* out) {
  phase_ = Phase::kWrite;
  entry_ = std::move(entry);
  own_ = own;
  accepted_.clear();
  chosen_ = false;
  for (const MemberId& member : members_) SendWrite(member, out);
}

void Proposer::SendWrite(const MemberId& to, Output* out) const {
  Outgoing message{to, {}, 0};
  Write& write = *message.message.mutable_write();
  *write.mutable_ballot() = ToProto(ballot_);
  write.set_position(position_);
  *write.mutable_entry() = entry_;
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
  if (reply.result() != OK) return;
  accepted_.insert(from);
  if (accepted_.size() < write_quorum()) return;
  chosen_ = true;
  const bool elected = own_ && !epoch_.has_value();
  if (elected) epoch_ = position_;
  out->chosen.push_back({position_, entry_, own_});
  if (elected) out->elected = epoch_;
}

void Proposer::OnLearned(uint64_t learned_upto, Output* out) {
  if (deposed() || learned_upto <= position_) return;
  const bool by_us =
      std::exchange(chosen_, false) && learned_upto == position_ + 1;
  if (leading() && !by_us) return Depose(out);
  position_ = learned_upto;
  slots_.clear();
  if (phase_ == Phase::kRecover || phase_ == Phase::kWrite) NextPosition(out);
}

void Proposer::OnRetry(Output* out) {
  switch (phase_) {
    case Phase::kSelf:
      return SendPromise(me_, out);
    case Phase::kPromise:
      for (const MemberId& member : members_) {
        if (promised_.count(member) == 0) SendPromise(member, out);
      }
      return;
    case Phase::kRecover:
      // Who has learned the entry without telling it may be gone by now: the
      // others' slots decide as well, if they are enough.
      for (auto slot = slots_.begin(); slot != slots_.end();) {
        const bool untold = slot->second.state() == SlotProto::LEARNED &&
                            !slot->second.has_entry();
        slot = untold ? slots_.erase(slot) : std::next(slot);
      }
      for (const MemberId& member : members_) {
        if (promised_.count(member) == 0) SendPromise(member, out);
      }
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

void Proposer::Propose(EntryProto entry, Output* out) {
  CHECK(leading() && idle());
  WriteEntry(std::move(entry), true, out);
}

std::vector<MemberId> Proposer::Unheard() const {
  std::vector<MemberId> unheard;
  if (phase_ == Phase::kIdle || phase_ == Phase::kDeposed) return unheard;
  const std::set<MemberId>& heard =
      phase_ == Phase::kWrite ? accepted_ : promised_;
  for (const MemberId& member : members_) {
    if (heard.count(member) == 0) unheard.push_back(member);
  }
  return unheard;
}

void Proposer::CheckInvariants() const {
  CHECK_LE(accepted_.size(), members_.size());
  for (const MemberId& member : accepted_) CHECK(Counts(member));
  if (phase_ == Phase::kRecover || phase_ == Phase::kWrite ||
      phase_ == Phase::kIdle) {
    CHECK_GE(promised_.size(), promise_quorum());
  }
}

}  // namespace quorate::log
