// The half of LogNode::Core that talks to other replicas.

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/log/log_core.h"
#include "core/log/messages.h"

namespace quorate::log {

void LogNode::Core::OnPeerUp() {
  if (ready_) SendHello();
}

void LogNode::Core::OnPeerDown(const MemberId& member) {
  if (!election_ || member.empty() || member != leader_) return;
  election_->OnLeaderGone(Now());
  if (!ready_ || failed_) return;
  WatchForLeader();
  TellLeader();
}

void LogNode::Core::OnMessage(absl::string_view payload, MemberId* from) {
  if (!ready_ || failed_) return;
  LogMessage message;
  if (!ParseMessage(payload, &message)) {
    LOG(WARNING) << "dropping what is no message of the log";
    return;
  }
  *from = message.from();
  Handle(&message);
  Settle();
}

void LogNode::Core::Handle(LogMessage* message) {
  // A tool belongs to no cluster.
  if (message->has_admin_request()) {
    return OnAdmin(message->from(), message->mutable_admin_request());
  }
  if (!message->to().empty() && message->to() != me()) return;
  // A newcomer takes the generation of the log that it joins.
  const bool newcomer = formation_ || message->cluster_id().empty();
  if (message->generation() != identity().generation() &&
      !(message->has_hello() && newcomer)) {
    return OnOtherGeneration(*message);
  }
  if (message->has_hello()) return OnHello(*message);
  if (!active() || message->cluster_id() != cluster_id_) {
    if (active() && !message->cluster_id().empty()) ++foreign_;
    return;
  }
  if (message->from() == me() || !Admit(*message)) return;
  HandleActive(message);
}

// Replicas that `mesos-log force` or `restore` has left behind go on beside the
// new generation, if they are let: somebody has to stop them.
void LogNode::Core::OnOtherGeneration(const LogMessage& message) {
  if (!active() || message.cluster_id() != cluster_id_) return;
  ++foreign_;
  newest_generation_ = std::max(newest_generation_, message.generation());
  if (outdated() && acceptor_->voting()) {
    UpdateVoting();
    if (proposer_) OnDeposed(absl::FailedPreconditionError(Outdated()));
  }
  if (!message.has_hello()) return;
  LOG_EVERY_N(WARNING, 100)
      << "replica " << ShortId(message.from()) << " at "
      << message.hello().address() << " belongs to generation "
      << message.generation() << " of this log, this one to generation "
      << identity().generation() << ": only the highest may run";
}

// Whether it comes from the latest life of that replica, and the only one.
bool LogNode::Core::Admit(const LogMessage& message) {
  switch (acquaintances_->OnHeader(message.from(), message.incarnation(),
                                   message.boot_nonce())) {
    case Acquaintances::Verdict::kAccept:
      break;
    // An answer is not answered: the other side may think the same of us.
    case Acquaintances::Verdict::kOlderLife:
      if (!message.has_hello_reply()) TellEach(message.from(), false);
      return false;
    case Acquaintances::Verdict::kCloned:
      if (!message.has_hello_reply()) TellEach(message.from(), true);
      return false;
  }
  auto facts = facts_.find(message.from());
  if (facts == facts_.end()) {
    if (facts_.size() >= kMaxPeerFacts) return true;
    facts = facts_.emplace(message.from(), PeerFacts()).first;
  }
  facts->second.heard = Now();
  facts->second.learned_upto = message.learned_upto();
  NoteCommit(message.learned_upto(), message.from());
  return true;
}

void LogNode::Core::HandleActive(LogMessage* message) {
  std::vector<Outgoing> answers;
  const MemberId& from = message->from();
  switch (message->kind_case()) {
    case LogMessage::kPromise:
      OnPromise(from, message->promise(), &answers);
      break;
    case LogMessage::kSlotQuery:
      acceptor_->OnSlotQuery(from, message->slot_query(), &answers);
      break;
    case LogMessage::kWrite:
      OnWrite(from, message->mutable_write(), &answers);
      break;
    case LogMessage::kLearned:
      OnLearnedMessage(from, message->learned());
      break;
    case LogMessage::kHeartbeat:
      acceptor_->OnHeartbeat(from, message->heartbeat(), &answers);
      answers.back().message.mutable_heartbeat_reply()->set_declared_quorum(
          options_.quorum);
      answers.back().message.mutable_heartbeat_reply()->set_address(
          options_.address.ToString());
      answers.back().message.mutable_heartbeat_reply()->set_stored_upto(
          StoredUpto());
      OnHeartbeat(from, message->heartbeat());
      break;
    case LogMessage::kFetch:
      ServeFetch(from, message->fetch());
      break;
    case LogMessage::kFetchReply:
      OnFetchReply(from, message->mutable_fetch_reply());
      break;
    case LogMessage::kHelloReply:
      OnHelloReply(*message);
      break;
    case LogMessage::kPreVote:
      OnPreVote(*message);
      break;
    case LogMessage::kTransfer:
      OnTransfer(message->transfer());
      break;
    default:
      HandleReply(*message);
  }
  for (Outgoing& answer : answers) Transmit(std::move(answer));
}

// What a candidate or leader has asked for.
void LogNode::Core::HandleReply(const LogMessage& message) {
  const MemberId& from = message.from();
  Proposer::Output output;
  switch (message.kind_case()) {
    case LogMessage::kPromiseReply:
      acquaintances_->OnPromised(from,
                                 FromProto(message.promise_reply().promised()));
      if (!proposer_) break;
      proposer_->OnPromiseReply(from, message.promise_reply(), &output);
      if (membership_ && proposer_->HasPromised(from)) {
        membership_->OnPromised(from);
      }
      break;
    case LogMessage::kSlotReply:
      if (!proposer_) break;
      proposer_->OnSlotReply(from, message.slot_reply(), &output);
      break;
    case LogMessage::kWriteReply:
      if (message.write_reply().result() == OK) {
        acquaintances_->OnVoted(from, message.write_reply().position() + 1);
      }
      if (!proposer_) break;
      proposer_->OnWriteReply(from, message.write_reply(), &output);
      break;
    case LogMessage::kHeartbeatReply:
      OnHeartbeatReply(message);
      break;
    case LogMessage::kPreVoteReply: {
      if (!election_) break;
      Election::Output stand;
      election_->OnPreVoteReply(Now(), from, message.pre_vote_reply().round(),
                                message.pre_vote_reply().granted(), &stand);
      highest_round_ =
          std::max(highest_round_, message.pre_vote_reply().promised().round());
      StandByItself(stand);
      break;
    }
    default:
      break;
  }
  Carry(std::move(output));
}

// Hello: who is there, before and after there is a cluster.

void LogNode::Core::SendHello() {
  last_hello_ = Now();
  LogMessage message;
  Hello& hello = *message.mutable_hello();
  hello.set_status(identity().status());
  if (identity().status() != FORMATTED) {
    *hello.mutable_members() = identity().members();
  }
  hello.set_declared_quorum(options_.quorum);
  *hello.mutable_promised() = ToProto(acceptor_->promised());
  hello.set_end(acceptor_->voted_end());
  hello.set_address(options_.address.ToString());
  // A member has nothing to show: its token is not for whoever connects.
  if (!Votes(me())) hello.set_join_token(options_.join_token);
  Broadcast(std::move(message));
}

void LogNode::Core::OnHello(const LogMessage& message) {
  const Hello& hello = message.hello();
  const MemberId& from = message.from();
  if (from == me()) return;
  if (formation_.has_value()) {
    Formation::Output output;
    formation_->OnHello(Now(), from,
                        {message.cluster_id(), message.generation()}, hello,
                        &output);
    return OnFormation(std::move(output));
  }
  const bool known = message.cluster_id() == cluster_id_;
  if (!known && !message.cluster_id().empty()) {
    ++foreign_;
    LOG_EVERY_N(WARNING, 100)
        << "replica " << ShortId(from) << " at " << hello.address()
        << " belongs to another cluster (" << ShortId(message.cluster_id())
        << "); this one is " << ShortId(cluster_id_);
    return;
  }
  if (!Votes(from) && hello.join_token() != options_.join_token) {
    LOG_EVERY_N(WARNING, 100)
        << "replica " << ShortId(from) << " at " << hello.address()
        << " wants to join without the token of this log";
    return AnswerHello(from, true);
  }
  if (!known) return SendHello();
  const bool admitted = Admit(message);
  // Of one whose directory is not what it was, it is told at least.
  if (auto facts = facts_.find(from); facts != facts_.end()) {
    facts->second.said_hello = Now();
    facts->second.status = hello.status();
    facts->second.address = hello.address();
    if (!admitted) return;
    facts->second.declared_quorum = hello.declared_quorum();
    facts->second.admitted = true;
  }
  if (!admitted) return;
  AnswerHello(from, false);
}

HelloReply LogNode::Core::WhatIsSeenOf(const MemberId& id) const {
  HelloReply reply;
  if (auto seen = acquaintances_->SeenOf(id)) *reply.mutable_seen() = *seen;
  *reply.mutable_genesis() = identity().members();
  return reply;
}

void LogNode::Core::AnswerHello(const MemberId& to, bool refused) {
  Outgoing answer{to, {}, 0};
  HelloReply& reply = *answer.message.mutable_hello_reply();
  reply = WhatIsSeenOf(to);
  if (refused) reply.set_refused(true);
  Transmit(std::move(answer));
}

// Each process that uses the id, whichever link leads to it: the one that is
// meant may be a copy.
void LogNode::Core::TellEach(const MemberId& id, bool cloned) {
  LogMessage answer;
  HelloReply& reply = *answer.mutable_hello_reply();
  reply = WhatIsSeenOf(id);
  if (cloned) reply.set_cloned(true);
  Stamp(&answer);
  answer.set_to(id);
  peers_.SendToEach(id, answer.SerializeAsString());
}

void LogNode::Core::OnHelloReply(const LogMessage& message) {
  if (Planted(Bug::kHandshakeSkipped)) return;
  Handshake::Output output;
  handshake_->OnProgress(acceptor_->promised(), acceptor_->voted_end());
  handshake_->OnReply(message.from(), message.hello_reply(), &output);
  if (!output.quarantine.empty()) return Quarantine(output.quarantine);
  UpdateVoting();
}

// From now on, and in every later life, it does not vote.
void LogNode::Core::Quarantine(const std::string& reason) {
  if (quarantined()) return;
  LOG(ERROR) << "this replica of the log does not vote any more: " << reason
             << ". Move " << options_.directory
             << " away and start it empty: it joins as a new member, and takes "
                "the place of this one (mesos-log members replace)";
  acceptor_->set_voting(false);
  if (proposer_) OnDeposed(absl::FailedPreconditionError(reason));
  SuperblockProto identity = this->identity();
  identity.set_status(QUARANTINED);
  identity.set_reason(reason);
  // A request to lead is refused then.
  SaveIdentity(identity, [] {});
}

// Votes and what is learned.

void LogNode::Core::OnWrite(const MemberId& from, Write* write,
                            std::vector<Outgoing>* answers) {
  const Ballot ballot = FromProto(write->ballot());
  if (write->has_previous_hash() && write->position() > 0) {
    Check(acceptor_->OnChosen(write->position() - 1, ballot,
                              write->previous_hash()));
    NoteCommit(write->position(), from);
  }
  for (const MemberEnd& acked : write->acked()) {
    if (acked.id() == from) acquaintances_->OnVoted(from, acked.end());
    if (acked.id() != me()) {
      acquaintances_->OnOthersVote(acked.id(), acked.end());
    }
  }
  if (Planted(Bug::kConfigOnAccept) && write->entry().type() == CONFIG &&
      configs_[write->position()].ParseFromString(write->entry().payload(0))) {
    OnConfigInForce(write->position());
  }
  acceptor_->OnWrite(from, write, answers);
}

void LogNode::Core::OnLearnedMessage(const MemberId& from,
                                     const Learned& learned) {
  if (learned.has_entry()) {
    auto entry = std::make_shared<EntryProto>(learned.entry());
    std::string hash = EntryHash(*entry);
    if (hash != learned.hash()) return;
    Check(acceptor_->OnLearned(learned.position(), std::move(entry), hash));
  } else {
    Check(acceptor_->OnChosen(learned.position(), FromProto(learned.ballot()),
                              learned.hash()));
  }
  NoteCommit(learned.position() + 1, from);
}

void LogNode::Core::OnHeartbeat(const MemberId& from,
                                const Heartbeat& heartbeat) {
  const Ballot ballot = FromProto(heartbeat.ballot());
  if (!(ballot < leader_ballot_)) {
    leader_ballot_ = ballot;
    leader_ = from;
    leader_address_ = heartbeat.address();
    if (election_) election_->OnHeartbeat(Now(), from, ballot);
  }
  acceptor_->OnCommit(ballot, heartbeat.epoch(), heartbeat.commit());
  NoteCommit(heartbeat.commit(), from);
}

void LogNode::Core::OnHeartbeatReply(const LogMessage& message) {
  const HeartbeatReply& reply = message.heartbeat_reply();
  const MemberId& from = message.from();
  const Ballot promised = FromProto(reply.promised());
  acquaintances_->OnPromised(from, promised);
  acquaintances_->OnVoted(from, reply.end());
  if (auto facts = facts_.find(from); facts != facts_.end()) {
    facts->second.declared_quorum = reply.declared_quorum();
    facts->second.address = reply.address();
    facts->second.silent = reply.silent();
    facts->second.disk_full = reply.disk_full();
    facts->second.damaged = reply.damaged();
    if (!facts->second.admitted && !Votes(from)) return;
  }
  if (!leading_ || FromProto(reply.ballot()) != proposer_->ballot()) return;
  // A member that has promised a higher ballot is no part of our quorum.
  if (proposer_->ballot() < promised) return;
  // Whoever does not vote may have forgotten a promise.
  if (!reply.silent()) quorum_check_->OnReply(from, Now());
  Membership::PeerReport report;
  report.id = from;
  report.address = reply.address();
  report.learned_upto = message.learned_upto();
  report.stored_upto = reply.stored_upto();
  report.declared_quorum = reply.declared_quorum();
  report.silent = reply.silent();
  report.disk_full = reply.disk_full();
  report.damaged = reply.damaged();
  membership_->OnPeer(Now(), report);
  if (promised != proposer_->ballot() || reply.silent()) return;
  ReadIndex::Output output;
  reads_->OnReply(from, reply.sequence(), &output);
  CarryReads(std::move(output));
}

// Elections without a coordination service.

void LogNode::Core::OnPromise(const MemberId& from, const Promise& promise,
                              std::vector<Outgoing>* answers) {
  const Ballot before = acceptor_->promised();
  acceptor_->OnPromise(from, promise, answers);
  if (election_ && from != me() && before < acceptor_->promised()) {
    election_->OnPromised(Now());
  }
}

void LogNode::Core::OnPreVote(const LogMessage& message) {
  if (!election_) return;
  const uint64_t round = message.pre_vote().round();
  Outgoing answer{message.from(), {}, 0};
  PreVoteReply& reply = *answer.message.mutable_pre_vote_reply();
  reply.set_round(round);
  *reply.mutable_promised() = ToProto(acceptor_->promised());
  reply.set_granted(acceptor_->voting() &&
                    round > acceptor_->promised().round && !leading_ &&
                    election_->Grants(Now(), message.from(),
                                      message.learned_upto(), applied_));
  if (reply.granted()) election_->OnGranted(Now());
  Transmit(std::move(answer));
}

void LogNode::Core::OnTransfer(const Transfer& transfer) {
  if (!election_ || FromProto(transfer.ballot()) != leader_ballot_) return;
  Election::Output output;
  election_->OnTransfer(&output);
  StandByItself(output);
}

// Sending.

void LogNode::Core::Stamp(LogMessage* message) const {
  message->set_cluster_id(cluster_id_);
  message->set_generation(identity().generation());
  message->set_from(me());
  message->set_incarnation(identity().incarnation());
  message->set_boot_nonce(boot_nonce_);
  message->set_learned_upto(applied_);
  message->set_config_position(active() ? config_position() : 0);
}

// Leaves at once, or when the write that it depends on is durable.
void LogNode::Core::Transmit(Outgoing outgoing) {
  if (outgoing.after_write > durable_write_) {
    // Dropped as the network might have done: whoever asked asks again.
    if (waiting_.size() < kMaxWaiting) waiting_.push_back(std::move(outgoing));
    return;
  }
  LogMessage& message = outgoing.message;
  Stamp(&message);
  message.set_to(outgoing.to);
  if (outgoing.to == me()) {
    local_.push_back(std::move(message));
  } else {
    peers_.Send(outgoing.to, message.SerializeAsString());
  }
}

void LogNode::Core::Release() {
  std::deque<Outgoing> waiting;
  waiting.swap(waiting_);
  for (Outgoing& outgoing : waiting) Transmit(std::move(outgoing));
}

void LogNode::Core::Broadcast(LogMessage message) {
  Stamp(&message);
  message.set_to("");
  peers_.SendToAll(message.SerializeAsString());
}

}  // namespace quorate::log
