#include "core/log/messages.h"

#include "absl/strings/escaping.h"

namespace quorate::log {
namespace {

bool IsMemberId(const std::string& id) { return id.size() == kMemberIdBytes; }

bool IsPosition(uint64_t position) { return position < kMaxNumber; }

bool IsBallot(const BallotProto& ballot) {
  return ballot.round() > 0 && ballot.round() < kMaxNumber &&
         IsMemberId(ballot.member());
}

// What was promised may be nothing yet.
bool IsPromised(const BallotProto& ballot) {
  return (ballot.round() == 0 && ballot.member().empty()) || IsBallot(ballot);
}

bool IsSlot(const SlotProto& slot) {
  return slot.state() != SlotProto::ACCEPTED ||
         (slot.has_entry() && IsBallot(slot.ballot()));
}

// Sorted, so that each set of members is written in one way.
bool AreMembers(const Config& config) {
  if (config.members_size() == 0 || config.members_size() > kMaxMembers) {
    return false;
  }
  for (int i = 0; i < config.members_size(); ++i) {
    if (!IsMemberId(config.members(i)) ||
        (i > 0 && config.members(i - 1) >= config.members(i))) {
      return false;
    }
  }
  return true;
}

bool IsPromiseReply(const PromiseReply& reply) {
  if (!IsBallot(reply.ballot()) || !IsPromised(reply.promised())) return false;
  return reply.result() != OK ||
         (reply.has_slot() && IsSlot(reply.slot()) && reply.has_end() &&
          IsPosition(reply.end()) && reply.has_from_position());
}

bool IsSlotReply(const SlotReply& reply) {
  return IsBallot(reply.ballot()) && IsPromised(reply.promised()) &&
         (reply.result() != OK || (reply.has_slot() && IsSlot(reply.slot())));
}

bool IsKind(const LogMessage& message) {
  switch (message.kind_case()) {
    case LogMessage::kHello:
      return message.hello().status() == FORMATTED ||
             AreMembers(message.hello().members());
    case LogMessage::kPromise:
      return IsBallot(message.promise().ballot()) &&
             IsPosition(message.promise().from_position());
    case LogMessage::kPromiseReply:
      return IsPromiseReply(message.promise_reply());
    case LogMessage::kSlotQuery:
      return IsBallot(message.slot_query().ballot());
    case LogMessage::kSlotReply:
      return IsSlotReply(message.slot_reply());
    case LogMessage::kWrite:
      return IsBallot(message.write().ballot()) &&
             IsPosition(message.write().position());
    case LogMessage::kWriteReply:
      return IsBallot(message.write_reply().ballot()) &&
             IsPromised(message.write_reply().promised());
    case LogMessage::kLearned:
      return IsPosition(message.learned().position());
    case LogMessage::kHeartbeat:
      return IsBallot(message.heartbeat().ballot());
    case LogMessage::kHeartbeatReply:
      return IsBallot(message.heartbeat_reply().ballot()) &&
             IsPromised(message.heartbeat_reply().promised());
    case LogMessage::kFetch:
      return true;
    case LogMessage::kFetchReply:
      return IsPosition(message.fetch_reply().position());
    case LogMessage::KIND_NOT_SET:
      return false;
  }
  return false;
}

}  // namespace

bool ParseMessage(absl::string_view bytes, LogMessage* message) {
  // What is missing is no reason for protobuf to log an error for each.
  return message->ParsePartialFromArray(bytes.data(),
                                        static_cast<int>(bytes.size())) &&
         message->IsInitialized() && IsMemberId(message->from()) &&
         (message->to().empty() || IsMemberId(message->to())) &&
         IsKind(*message);
}

std::string ShortId(const MemberId& id) {
  return absl::BytesToHexString(absl::string_view(id).substr(0, 4));
}

}  // namespace quorate::log
