#include "core/log/acceptor.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"

namespace quorate::log {

Acceptor::Acceptor(MemberId me, State state)
    : me_(std::move(me)),
      promised_(std::move(state.promised)),
      learned_upto_(state.learned_upto),
      slots_(std::move(state.slots)) {}

uint64_t Acceptor::end() const {
  return slots_.empty() ? learned_upto_ : slots_.rbegin()->first + 1;
}

Outgoing& Acceptor::Answer(const MemberId& to,
                           std::vector<Outgoing>* out) const {
  // Everything known so far may show in the answer, so it waits for all of it.
  out->push_back({to, {}, writes_});
  return out->back();
}

void Acceptor::Promised(const Ballot& ballot) {
  CHECK(promised_ < ballot);
  promised_ = ballot;
  pending_.number = ++writes_;
  pending_.promised_changed = true;
  pending_.promised = ballot;
}

void Acceptor::Store(uint64_t position, Slot slot) {
  pending_.number = ++writes_;
  pending_.slots[position] = slot;
  slots_[position] = std::move(slot);
}

SlotProto Acceptor::Describe(uint64_t position) const {
  SlotProto slot;
  if (position < learned_upto_) {
    slot.set_state(SlotProto::LEARNED);
    return slot;
  }
  auto found = slots_.find(position);
  if (found == slots_.end()) {
    slot.set_state(SlotProto::NONE);
    return slot;
  }
  slot.set_state(found->second.learned ? SlotProto::LEARNED
                                       : SlotProto::ACCEPTED);
  *slot.mutable_ballot() = ToProto(found->second.ballot);
  *slot.mutable_entry() = found->second.entry;
  return slot;
}

void Acceptor::OnPromise(const MemberId& from, const Promise& request,
                         std::vector<Outgoing>* out) {
  const Ballot ballot = FromProto(request.ballot());
  const uint64_t before = writes_;
  // Asked again for the promise it holds, it answers again.
  const bool granted = !(ballot < promised_);
  if (promised_ < ballot) Promised(ballot);
  Outgoing& answer = Answer(from, out);
  if (Planted(Bug::kPromiseBeforeDurable)) answer.after_write = before;
  PromiseReply& reply = *answer.message.mutable_promise_reply();
  *reply.mutable_ballot() = request.ballot();
  *reply.mutable_promised() = ToProto(promised_);
  reply.set_result(granted ? OK : REJECT);
  if (!granted) return;
  reply.set_end(end());
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

void Acceptor::OnWrite(const MemberId& from, const Write& request,
                       std::vector<Outgoing>* out) {
  const Ballot ballot = FromProto(request.ballot());
  const uint64_t position = request.position();
  const uint64_t before = writes_;
  Result result = OK;
  if (ballot < promised_) {
    result = REJECT;
  } else if (position < learned_upto_) {
    result = KNOWN;
  } else if (position >= learned_upto_ + kMaxAhead) {
    result = NOT_READY;
  } else {
    auto found = slots_.find(position);
    if (found != slots_.end() && found->second.learned) {
      result = SameEntry(found->second.entry, request.entry()) ? OK : KNOWN;
    } else {
      if (promised_ < ballot && !Planted(Bug::kAcceptKeepsPromise)) {
        Promised(ballot);
      }
      if (found == slots_.end() || found->second.ballot != ballot) {
        Store(position, {ballot, false, request.entry()});
        pending_.accepted.insert(position);
      }
    }
  }
  Outgoing& answer = Answer(from, out);
  if (Planted(Bug::kWriteAckBeforeDurable)) answer.after_write = before;
  WriteReply& reply = *answer.message.mutable_write_reply();
  *reply.mutable_ballot() = request.ballot();
  reply.set_position(position);
  reply.set_result(result);
  *reply.mutable_promised() = ToProto(promised_);
}

void Acceptor::OnHeartbeat(const MemberId& from, const Heartbeat& request,
                           std::vector<Outgoing>* out) {
  HeartbeatReply& reply = *Answer(from, out).message.mutable_heartbeat_reply();
  *reply.mutable_ballot() = request.ballot();
  *reply.mutable_promised() = ToProto(promised_);
  reply.set_learned_upto(learned_upto_);
}

absl::Status Acceptor::OnLearned(uint64_t position, const EntryProto& entry) {
  if (position < learned_upto_ || position >= learned_upto_ + kMaxAhead) {
    return absl::OkStatus();
  }
  auto found = slots_.find(position);
  if (found != slots_.end() && found->second.learned) {
    if (SameEntry(found->second.entry, entry)) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("two values were learned at position ", position));
  }
  // The ballot stays what was accepted: it may not decrease, and what was
  // learned was chosen at an unknown one.
  const Ballot ballot = found == slots_.end() ? Ballot() : found->second.ballot;
  Store(position, {ballot, true, entry});
  for (auto next = slots_.find(learned_upto_);
       next != slots_.end() && next->first == learned_upto_ &&
       next->second.learned;
       next = slots_.find(learned_upto_)) {
    delivered_.push_back({next->first, std::move(next->second.entry)});
    slots_.erase(next);
    ++learned_upto_;
  }
  return absl::OkStatus();
}

DurableWrite Acceptor::TakeWrite() {
  return std::exchange(pending_, DurableWrite());
}

std::vector<Acceptor::Delivery> Acceptor::TakeDelivered() {
  return std::exchange(delivered_, {});
}

void Acceptor::CheckInvariants() const {
  for (const auto& [position, slot] : slots_) {
    CHECK_GE(position, learned_upto_);
    // D1 of the protocol's history: accepting must raise the promise.
    if (!Planted(Bug::kAcceptKeepsPromise)) CHECK(!(promised_ < slot.ballot));
  }
  auto first = slots_.find(learned_upto_);
  CHECK(first == slots_.end() || !first->second.learned);
}

}  // namespace quorate::log
