// The half of LogNode::Core that leads, or tries to.

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/planted.h"
#include "core/log/log_core.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

// How long a candidate that was refused waits before its next ballot.
constexpr io::Duration kMinCandidatePause = std::chrono::milliseconds(50);
constexpr io::Duration kMaxCandidatePause = std::chrono::milliseconds(300);
// How long the members wait for the next write to tell them what was chosen.
constexpr io::Duration kNoticeDelay = std::chrono::milliseconds(1);

absl::Status NotLeading() {
  return absl::FailedPreconditionError("this replica does not lead");
}

}  // namespace

void LogNode::Core::Elect(OnElected done) {
  CHECK(!elect_done_ && !leading_) << "one election at a time";
  CHECK(!options_.builtin_election) << "it elects by itself";
  elect_done_ = std::move(done);
  if (ready_ && active()) {
    TryToLead();
    Settle();
  }
}

void LogNode::Core::TryToLead() {
  // Until everything that the disk holds is applied, it does not know who
  // votes.
  if (!active() || leading_ || proposer_ || !started_) return;
  if (!Votes(me()) || quarantined() || outdated()) {
    if (!elect_done_) return;
    OnElected done = std::exchange(elect_done_, nullptr);
    return done(absl::FailedPreconditionError(
        outdated()      ? Outdated()
        : quarantined() ? absl::StrCat("this replica does not vote any more: ",
                                       identity().reason())
                        : "this replica is not one of the log's members and "
                          "cannot lead"));
  }
  uint64_t round = std::max(acceptor_->promised().round, highest_round_) + 1;
  if (Planted(Bug::kBallotReused) && acceptor_->promised().member == me()) {
    round = acceptor_->promised().round;
  }
  ++elections_;
  stood_ = Now();
  proposer_.emplace(me(), MembersOf(config()), Ballot{round, me()}, applied_);
  if (Planted(Bug::kQuorumOfFlag)) proposer_->PlantQuorum(options_.quorum);
  LOG(INFO) << "trying to lead the log in round " << round;
  Proposer::Output output;
  proposer_->Start(&output);
  Carry(std::move(output));
}

// A deadline before the next tick has a timer of its own.
void LogNode::Core::WatchForLeader() {
  if (!election_ || leading_ || proposer_) return;
  Election::Output output;
  election_->OnTick(Now(), &output);
  StandByItself(output);
  const io::Duration wait = election_->deadline() - Now();
  if (wait >= options_.retry_interval) return;
  election_timer_ = environment_.clock().RunAfter(wait, [this] {
    if (!ready_ || failed_) return;
    WatchForLeader();
    Settle();
  });
}

// A candidate that reaches no quorum asks first when it is back, and does not
// bring down who was elected meanwhile.
void LogNode::Core::GiveUpUnheard() {
  if (!election_ || !proposer_ || leading_ ||
      proposer_->phase() != Proposer::Phase::kPromise ||
      Now() - stood_ < options_.max_election_timeout) {
    return;
  }
  OnDeposed(absl::UnavailableError("no quorum has answered"));
}

void LogNode::Core::StandByItself(const Election::Output& output) {
  if (output.ask && !proposer_) {
    const uint64_t round =
        std::max(acceptor_->promised().round, highest_round_) + 1;
    election_->OnAsked(round);
    for (const MemberId& member : MembersOf(config())) {
      if (member == me()) continue;
      Outgoing question{member, {}, 0};
      question.message.mutable_pre_vote()->set_round(round);
      Transmit(std::move(question));
    }
  }
  if (output.stand && acceptor_->voting()) TryToLead();
}

// The LEADER entry is chosen, and all below it is delivered: the reign begins.
void LogNode::Core::Lead() {
  if (leading_ || !proposer_ || !proposer_->leading() ||
      applied_ <= *proposer_->epoch()) {
    return;
  }
  leading_ = true;
  const io::Instant now = Now();
  const uint64_t epoch = *proposer_->epoch();
  leader_ = me();
  leader_ballot_ = proposer_->ballot();
  leader_address_ = options_.address.ToString();
  quorum_check_.emplace(me(), options_.check_quorum_timeout,
                        MembersOf(config()), now);
  reads_.emplace(me(), MembersOf(config()));
  Membership::Options membership;
  membership.declared_quorum = options_.quorum;
  membership.automatic = options_.automatic_membership;
  membership.gone_after = options_.member_gone_after;
  membership.timeout = options_.membership_timeout;
  membership.address = options_.address.ToString();
  membership_.emplace(me(), membership, config(), config_position(), applied_,
                      now);
  LOG(INFO) << "leading the log in epoch " << epoch;
  SendHeartbeat();
  if (options_.builtin_election) {
    listener_->OnLeading(epoch);
  } else {
    OnElected done = std::exchange(elect_done_, nullptr);
    done(epoch);
  }
}

void LogNode::Core::OnDeposed(const absl::Status& reason) {
  highest_round_ = std::max(highest_round_, proposer_->highest_round());
  proposer_.reset();
  const bool led = std::exchange(leading_, false);
  FailAppends(
      absl::AbortedError("leadership of the log was lost; the entry "
                         "may be in it or not"));
  FailRequests(absl::AbortedError("leadership of the log was lost"));
  if (led) {
    LOG(WARNING) << "no longer leading the log: " << reason;
    if (election_) election_->OnLost(Now());
    return listener_->OnLostLeadership(reason);
  }
  if (options_.builtin_election) {
    election_->OnLost(Now());
    return;
  }
  // Whoever asked for this election still wants it: a higher ballot, after a
  // random pause, so that two candidates do not chase each other.
  candidate_timer_ = environment_.clock().RunAfter(
      random_->Between(kMinCandidatePause, kMaxCandidatePause), [this] {
        if (!elect_done_ || failed_) return;
        TryToLead();
        Settle();
      });
}

void LogNode::Core::Resign() {
  candidate_timer_.Cancel();
  elect_done_ = nullptr;
  leading_ = false;
  proposer_.reset();
  if (election_) election_->OnLost(Now());
  FailAppends(absl::AbortedError("leadership was given up"));
  FailRequests(absl::AbortedError("leadership was given up"));
}

// To the member that has learned the most.
void LogNode::Core::TransferLeadership() {
  if (!leading_) return;
  const PeerFacts* best = nullptr;
  MemberId to;
  for (const auto& [id, facts] : facts_) {
    if (!Votes(id) || facts.silent || facts.disk_full) continue;
    if (best == nullptr || best->learned_upto < facts.learned_upto) {
      best = &facts;
      to = id;
    }
  }
  const Ballot ballot = proposer_->ballot();
  SendNotice();
  Resign();
  if (best == nullptr) return;
  Outgoing message{to, {}, 0};
  *message.message.mutable_transfer()->mutable_ballot() = ToProto(ballot);
  Transmit(std::move(message));
}

// Appends.

void LogNode::Core::Append(std::string payload, OnAppended done) {
  absl::Status refusal;
  if (!leading_) {
    refusal = NotLeading();
  } else if (payload.size() > max_entry_bytes()) {
    refusal = absl::InvalidArgumentError(
        absl::StrCat("an entry of ", payload.size(), " bytes; at most ",
                     max_entry_bytes(), " are allowed"));
  } else if (appends_.size() >= kMaxAppends) {
    refusal = absl::ResourceExhaustedError("too many appends are waiting");
  }
  if (!refusal.ok()) return done(refusal);
  appends_.push_back({APPEND, std::move(payload), std::move(done)});
  Settle();
}

void LogNode::Core::Truncate(uint64_t to, OnAppended done) {
  if (!leading_) return done(NotLeading());
  if (to > applied_) {
    return done(absl::OutOfRangeError(absl::StrCat(
        "position ", to, " is not committed; the log ends at ", applied_)));
  }
  Truncation truncation;
  truncation.set_to(to);
  appends_.push_back(
      {TRUNCATE, truncation.SerializeAsString(), std::move(done)});
  Settle();
}

// After OnCommitted, so that whoever is answered finds it applied.
void LogNode::Core::AnswerAppends() {
  if (!append_chosen_ || applied_ <= *append_chosen_) return;
  const uint64_t position = *append_chosen_;
  append_chosen_.reset();
  std::vector<OnAppended> answered;
  answered.swap(under_way_);
  appended_ += answered.size();
  // A callback may append again: it joins what goes out next.
  settling_ = true;
  for (OnAppended& done : answered) done(position);
  settling_ = false;
}

void LogNode::Core::NextEntry() {
  while (leading_ && proposer_->idle() && !append_chosen_ &&
         (!internal_.empty() || !appends_.empty())) {
    if (internal_.empty()) {
      NextAppend();
    } else {
      Proposer::Output output;
      Entry entry = std::move(internal_.front());
      internal_.pop_front();
      proposer_->Propose(std::move(entry), &output);
      Carry(std::move(output));
    }
    Settle();
  }
}

// Everything that waits shares one position.
void LogNode::Core::NextAppend() {
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(appends_.front().type);
  size_t bytes = 0;
  while (!appends_.empty() && under_way_.size() < kMaxBatch) {
    PendingAppend& append = appends_.front();
    const bool fits = under_way_.empty() ||
                      bytes + append.payload.size() <= max_batch_bytes();
    if (append.type != entry->type() || !fits) break;
    if (append.type == TRUNCATE && !under_way_.empty()) break;
    bytes += append.payload.size();
    entry->add_payload(std::move(append.payload));
    under_way_.push_back(std::move(append.done));
    appends_.pop_front();
  }
  ++batches_;
  Proposer::Output output;
  proposer_->Propose(std::move(entry), &output);
  Carry(std::move(output));
  if (!notice_timer_set_) {
    notice_timer_set_ = true;
    notice_timer_ = environment_.clock().RunAfter(kNoticeDelay, [this] {
      notice_timer_set_ = false;
      SendNotice();
    });
  }
}

// Tells what was chosen to those who have accepted it, and the others that
// there is something to fetch.
void LogNode::Core::SendNotice() {
  if (!notice_) return;
  LogMessage message;
  *message.mutable_learned() = std::move(*notice_);
  notice_.reset();
  Broadcast(std::move(message));
}

void LogNode::Core::FailAppends(const absl::Status& status) {
  std::deque<PendingAppend> appends;
  appends.swap(appends_);
  std::vector<OnAppended> under_way;
  under_way.swap(under_way_);
  append_chosen_.reset();
  internal_.clear();
  notice_.reset();
  for (OnAppended& done : under_way) done(status);
  for (PendingAppend& append : appends) append.done(status);
}

// The quorum, reads and members.

// Tells the members who leads, and steps down when too few of them answer.
void LogNode::Core::CheckQuorum() {
  if (!leading_) return;
  const io::Instant now = Now();
  if (const std::string lost = quorum_check_->Lost(now); !lost.empty()) {
    return OnDeposed(absl::UnavailableError(lost));
  }
  if (now - last_heartbeat_ >= options_.heartbeat_interval) SendHeartbeat();
}

void LogNode::Core::SendHeartbeat() {
  last_heartbeat_ = Now();
  ++heartbeat_sequence_;
  LogMessage message;
  Heartbeat& heartbeat = *message.mutable_heartbeat();
  *heartbeat.mutable_ballot() = ToProto(proposer_->ballot());
  heartbeat.set_epoch(*proposer_->epoch());
  heartbeat.set_commit(applied_);
  heartbeat.set_sequence(heartbeat_sequence_);
  heartbeat.set_address(options_.address.ToString());
  Broadcast(std::move(message));
  ReadIndex::Output output;
  reads_->OnRound(heartbeat_sequence_, &output);
  CarryReads(std::move(output));
}

void LogNode::Core::Barrier(OnDone done) {
  if (!leading_) return done(NotLeading());
  if (barriers_.size() >= kMaxAppends) {
    return done(absl::ResourceExhaustedError("too many reads are waiting"));
  }
  if (Planted(Bug::kReadWithoutQuorum)) return done(absl::OkStatus());
  const uint64_t id = next_request_++;
  barriers_[id] = std::move(done);
  reads_->Read(id);
  SendHeartbeat();
}

void LogNode::Core::CarryReads(ReadIndex::Output output) {
  for (uint64_t id : output.answered) {
    auto barrier = barriers_.find(id);
    if (barrier == barriers_.end()) continue;
    OnDone done = std::move(barrier->second);
    barriers_.erase(barrier);
    done(absl::OkStatus());
  }
}

void LogNode::Core::ChangeMembers(const MemberChange& change, OnDone done) {
  if (!leading_) return done(NotLeading());
  if (changes_.size() >= kMaxRequests) {
    return done(absl::ResourceExhaustedError("too many changes are waiting"));
  }
  if (change.reason.size() > kMaxReasonBytes) {
    return done(absl::InvalidArgumentError(absl::StrCat(
        "the reason for a change has at most ", kMaxReasonBytes, " bytes")));
  }
  Membership::Change request;
  request.add = change.add;
  request.remove = change.remove;
  request.bulk = change.bulk;
  request.reason = change.reason;
  const uint64_t id = next_request_++;
  changes_[id] = std::move(done);
  Membership::Output output;
  membership_->Request(Now(), id, request, &output);
  CarryMembership(std::move(output));
  Settle();
}

void LogNode::Core::CarryMembership(Membership::Output output) {
  Proposer::Output asked;
  for (const MemberId& id : output.ask_promise) {
    if (!leading_) break;
    proposer_->AskPromise(id, &asked);
    // It may have been asked before it led.
    if (proposer_->HasPromised(id)) membership_->OnPromised(id);
  }
  Carry(std::move(asked));
  if (output.propose) {
    auto entry = std::make_shared<EntryProto>();
    entry->set_type(CONFIG);
    entry->add_payload(output.propose->SerializeAsString());
    internal_.push_back(std::move(entry));
  }
  if (output.barrier) {
    auto entry = std::make_shared<EntryProto>();
    entry->set_type(NOOP);
    internal_.push_back(std::move(entry));
  }
  for (const Membership::Finished& finished : output.finished) {
    auto change = changes_.find(finished.id);
    if (change == changes_.end()) continue;
    OnDone done = std::move(change->second);
    changes_.erase(change);
    done(finished.status);
  }
  if (output.resign && leading_) {
    OnDeposed(absl::FailedPreconditionError(
        "this replica was removed from the log's members"));
  }
}

void LogNode::Core::FailRequests(const absl::Status& status) {
  std::map<uint64_t, OnDone> barriers;
  barriers.swap(barriers_);
  std::map<uint64_t, OnDone> changes;
  changes.swap(changes_);
  membership_.reset();
  reads_.reset();
  quorum_check_.reset();
  for (auto& [id, done] : barriers) done(status);
  for (auto& [id, done] : changes) done(status);
}

}  // namespace quorate::log
