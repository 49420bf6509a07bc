#include "core/log/messages.h"

#include <algorithm>

#include "absl/strings/escaping.h"

namespace quorate::log {
namespace {

constexpr size_t kMaxAddressBytes = 64;

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

bool IsHash(const std::string& hash) { return hash.size() == kHashBytes; }

// The number of payloads that its type has, and what they say.
bool IsEntry(const EntryProto& entry) {
  switch (entry.type()) {
    case NOOP:
      return entry.payload_size() == 0;
    case APPEND:
      return entry.payload_size() > 0;
    case TRUNCATE: {
      Truncation truncation;
      return entry.payload_size() == 1 &&
             truncation.ParseFromString(entry.payload(0)) &&
             IsPosition(truncation.to());
    }
    case CONFIG: {
      Config config;
      return entry.payload_size() == 1 &&
             config.ParseFromString(entry.payload(0)) && IsConfig(config);
    }
    case LEADER: {
      BallotProto ballot;
      return entry.payload_size() == 2 && IsMemberId(entry.payload(0)) &&
             ballot.ParseFromString(entry.payload(1)) && IsBallot(ballot);
    }
  }
  return false;
}

bool IsSlot(const SlotProto& slot) {
  if (slot.has_ballot() && !IsBallot(slot.ballot())) return false;
  if (slot.has_entry() && !IsEntry(slot.entry())) return false;
  switch (slot.state()) {
    case SlotProto::ACCEPTED:
      return slot.has_entry() && slot.has_ballot();
    case SlotProto::FAULTY:
      return slot.has_ballot();
    case SlotProto::NONE:
    case SlotProto::UNKNOWN:
      return !slot.has_ballot();
    case SlotProto::LEARNED:
    case SlotProto::TRUNCATED:
      return true;
  }
  return false;
}

bool IsPromiseReply(const PromiseReply& reply) {
  if (!IsBallot(reply.ballot()) || !IsPromised(reply.promised())) return false;
  return reply.result() != OK ||
         (reply.has_slot() && IsSlot(reply.slot()) && reply.has_end() &&
          IsPosition(reply.end()) && reply.has_from_position() &&
          IsPosition(reply.blind_below()));
}

bool IsSlotReply(const SlotReply& reply) {
  return IsBallot(reply.ballot()) && IsPromised(reply.promised()) &&
         IsPosition(reply.position()) &&
         (reply.result() != OK || (reply.has_slot() && IsSlot(reply.slot())));
}

bool IsWrite(const Write& write) {
  if (write.acked_size() > kMaxMembers) return false;
  for (const MemberEnd& acked : write.acked()) {
    if (!IsMemberId(acked.id()) || !IsPosition(acked.end())) return false;
  }
  return IsBallot(write.ballot()) && IsPosition(write.position()) &&
         IsEntry(write.entry()) &&
         (!write.has_previous_hash() || IsHash(write.previous_hash()));
}

bool IsBase(const Base& base) {
  return IsPosition(base.position()) && IsConfig(base.config()) &&
         base.config_position() < base.position();
}

bool IsFetchReply(const FetchReply& reply) {
  for (const EntryProto& entry : reply.entries()) {
    if (!IsEntry(entry)) return false;
  }
  return IsPosition(reply.position()) &&
         (!reply.has_base() || IsBase(reply.base()));
}

bool IsHello(const Hello& hello) {
  return (hello.status() == FORMATTED || IsConfig(hello.members())) &&
         (!hello.has_promised() || IsPromised(hello.promised())) &&
         IsPosition(hello.end()) && hello.address().size() <= kMaxAddressBytes;
}

bool IsHelloReply(const HelloReply& reply) {
  return IsConfig(reply.genesis()) &&
         (!reply.seen().has_promised() ||
          IsPromised(reply.seen().promised())) &&
         (!reply.seen().has_promised_before() ||
          IsPromised(reply.seen().promised_before())) &&
         IsPosition(reply.seen().end()) &&
         IsPosition(reply.seen().end_before());
}

bool IsChange(const ChangeMembers& change) {
  const auto are_ids = [](const auto& ids) {
    return ids.size() <= kMaxMembers &&
           std::all_of(ids.begin(), ids.end(), IsMemberId);
  };
  return are_ids(change.add()) && are_ids(change.remove()) &&
         change.reason().size() <= kMaxReasonBytes;
}

bool IsVote(const LogMessage& message) {
  switch (message.kind_case()) {
    case LogMessage::kPromise:
      return IsBallot(message.promise().ballot()) &&
             IsPosition(message.promise().from_position());
    case LogMessage::kPromiseReply:
      return IsPromiseReply(message.promise_reply());
    case LogMessage::kSlotQuery:
      return IsBallot(message.slot_query().ballot()) &&
             IsPosition(message.slot_query().position());
    case LogMessage::kSlotReply:
      return IsSlotReply(message.slot_reply());
    case LogMessage::kWrite:
      return IsWrite(message.write());
    case LogMessage::kWriteReply:
      return IsBallot(message.write_reply().ballot()) &&
             IsPosition(message.write_reply().position()) &&
             IsPromised(message.write_reply().promised());
    default:
      return false;
  }
}

bool IsLearned(const Learned& learned) {
  return IsPosition(learned.position()) && IsHash(learned.hash()) &&
         (learned.has_entry() ? IsEntry(learned.entry())
                              : IsBallot(learned.ballot()));
}

bool IsKind(const LogMessage& message) {
  switch (message.kind_case()) {
    case LogMessage::kHello:
      return IsHello(message.hello());
    case LogMessage::kHelloReply:
      return IsHelloReply(message.hello_reply());
    case LogMessage::kPromise:
    case LogMessage::kPromiseReply:
    case LogMessage::kSlotQuery:
    case LogMessage::kSlotReply:
    case LogMessage::kWrite:
    case LogMessage::kWriteReply:
      return IsVote(message);
    case LogMessage::kLearned:
      return IsLearned(message.learned());
    case LogMessage::kHeartbeat:
      return IsBallot(message.heartbeat().ballot()) &&
             IsPosition(message.heartbeat().commit()) &&
             IsPosition(message.heartbeat().epoch()) &&
             message.heartbeat().address().size() <= kMaxAddressBytes;
    case LogMessage::kHeartbeatReply:
      return IsBallot(message.heartbeat_reply().ballot()) &&
             IsPromised(message.heartbeat_reply().promised()) &&
             IsPosition(message.heartbeat_reply().end()) &&
             IsPosition(message.heartbeat_reply().stored_upto()) &&
             message.heartbeat_reply().address().size() <= kMaxAddressBytes;
    case LogMessage::kFetch:
      return IsPosition(message.fetch().position()) &&
             IsPosition(message.fetch().end());
    case LogMessage::kFetchReply:
      return IsFetchReply(message.fetch_reply());
    case LogMessage::kPreVote:
      return message.pre_vote().round() < kMaxNumber;
    case LogMessage::kPreVoteReply:
      return IsPromised(message.pre_vote_reply().promised());
    case LogMessage::kTransfer:
      return IsBallot(message.transfer().ballot());
    case LogMessage::kAdminRequest:
      return !message.admin_request().has_change_members() ||
             IsChange(message.admin_request().change_members());
    case LogMessage::kAdminReply:
      return true;
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
         IsPosition(message->learned_upto()) &&
         IsPosition(message->config_position()) && IsKind(*message);
}

bool IsConfig(const Config& config) {
  if (config.members_size() == 0 || config.members_size() > kMaxMembers ||
      config.window() != 1 || config.reason().size() > kMaxReasonBytes ||
      config.removed_size() > kMaxRemoved ||
      !std::all_of(config.removed().begin(), config.removed().end(),
                   IsMemberId)) {
    return false;
  }
  for (int i = 0; i < config.members_size(); ++i) {
    const Member& member = config.members(i);
    if (!IsMemberId(member.id()) ||
        member.address().size() > kMaxAddressBytes ||
        (i > 0 && config.members(i - 1).id() >= member.id())) {
      return false;
    }
  }
  return true;
}

std::string ShortId(const MemberId& id) {
  return absl::BytesToHexString(absl::string_view(id).substr(0, 4));
}

}  // namespace quorate::log
