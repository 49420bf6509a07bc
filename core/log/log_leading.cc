// The half of LogNode::Core that leads, or tries to.

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/log/log_core.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

// How long a candidate that was refused waits before its next ballot.
constexpr io::Duration kMinCandidatePause = std::chrono::milliseconds(50);
constexpr io::Duration kMaxCandidatePause = std::chrono::milliseconds(300);

}  // namespace

void LogNode::Core::Elect(OnElected done) {
  CHECK(!elect_done_ && !leading_) << "one election at a time";
  elect_done_ = std::move(done);
  if (ready_ && active()) {
    TryToLead();
    Settle();
  }
}

void LogNode::Core::TryToLead() {
  if (!active() || leading_ || proposer_) return;
  if (!IsMember(identity_.member_id())) {
    OnElected done = std::exchange(elect_done_, nullptr);
    return done(absl::FailedPreconditionError(
        "this replica is not one of the log's members and cannot lead"));
  }
  const uint64_t round =
      std::max(acceptor_->promised().round, highest_round_) + 1;
  proposer_.emplace(identity_.member_id(), members_,
                    Ballot{round, identity_.member_id()},
                    acceptor_->learned_upto());
  LOG(INFO) << "trying to lead the log in round " << round;
  Proposer::Output output;
  proposer_->Start(&output);
  Carry(std::move(output));
}

// The LEADER entry is chosen, and all below it is delivered: the reign begins.
void LogNode::Core::Lead() {
  if (leading_ || !proposer_ || !proposer_->leading() ||
      acceptor_->learned_upto() <= *proposer_->epoch()) {
    return;
  }
  leading_ = true;
  const io::Instant now = environment_.clock().Now();
  heard_.clear();
  for (const MemberId& member : members_) heard_[member] = now;
  LOG(INFO) << "leading the log in epoch " << *proposer_->epoch();
  OnElected done = std::exchange(elect_done_, nullptr);
  done(*proposer_->epoch());
}

void LogNode::Core::OnDeposed(const absl::Status& reason) {
  highest_round_ = std::max(highest_round_, proposer_->highest_round());
  proposer_.reset();
  const bool led = std::exchange(leading_, false);
  FailAppends(
      absl::AbortedError("leadership of the log was lost; the entry "
                         "may be in it or not"));
  if (led) {
    LOG(WARNING) << "no longer leading the log: " << reason;
    return listener_->OnLostLeadership(reason);
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
  FailAppends(absl::AbortedError("leadership was given up"));
}

void LogNode::Core::Append(std::string payload, OnAppended done) {
  absl::Status refusal;
  if (!leading_) {
    refusal = absl::FailedPreconditionError("this replica does not lead");
  } else if (payload.size() > kMaxEntryBytes) {
    refusal = absl::InvalidArgumentError(
        absl::StrCat("an entry of ", payload.size(), " bytes; at most ",
                     kMaxEntryBytes, " are allowed"));
  } else if (appends_.size() >= kMaxAppends) {
    refusal = absl::ResourceExhaustedError("too many appends are waiting");
  }
  if (!refusal.ok()) return done(refusal);
  appends_.push_back({std::move(payload), std::move(done)});
  Settle();
}

// After OnCommitted, so that whoever is answered finds it applied.
void LogNode::Core::AnswerAppend() {
  if (!append_chosen_ || acceptor_->learned_upto() <= *append_chosen_) return;
  const uint64_t position = *append_chosen_;
  append_chosen_.reset();
  OnAppended done = std::move(*append_under_way_);
  append_under_way_.reset();
  done(position);
}

void LogNode::Core::NextAppend() {
  while (leading_ && proposer_->idle() && !appends_.empty()) {
    EntryProto entry;
    entry.set_type(APPEND);
    entry.set_payload(std::move(appends_.front().payload));
    append_under_way_ = std::move(appends_.front().done);
    appends_.pop_front();
    Proposer::Output output;
    proposer_->Propose(std::move(entry), &output);
    Carry(std::move(output));
    Settle();
  }
}

void LogNode::Core::FailAppends(const absl::Status& status) {
  std::deque<PendingAppend> appends;
  appends.swap(appends_);
  std::optional<OnAppended> under_way = std::move(append_under_way_);
  append_under_way_.reset();
  append_chosen_.reset();
  if (under_way) (*under_way)(status);
  for (PendingAppend& append : appends) append.done(status);
}

// Tells the members who leads, and steps down when too few of them answer.
void LogNode::Core::CheckQuorum() {
  if (!leading_) return;
  const io::Instant now = environment_.clock().Now();
  heard_[identity_.member_id()] = now;
  size_t recent = 0;
  for (const MemberId& member : members_) {
    if (now - heard_[member] < options_.check_quorum_timeout) ++recent;
  }
  if (proposer_->ballot() < acceptor_->promised()) {
    return OnDeposed(absl::AbortedError("another member was elected"));
  }
  if (recent < WriteQuorum(members_.size())) {
    return OnDeposed(absl::UnavailableError(
        absl::StrCat("only ", recent, " of ", members_.size(),
                     " members of the log answer")));
  }
  if (now - last_heartbeat_ < options_.heartbeat_interval) return;
  last_heartbeat_ = now;
  LogMessage message;
  Heartbeat& heartbeat = *message.mutable_heartbeat();
  *heartbeat.mutable_ballot() = ToProto(proposer_->ballot());
  heartbeat.set_epoch(*proposer_->epoch());
  heartbeat.set_commit(acceptor_->learned_upto());
  Broadcast(std::move(message));
}

std::string LogNode::Core::ExplainElection() const {
  std::vector<std::string> unheard;
  for (const MemberId& member : proposer_->Unheard()) {
    unheard.push_back(ShortId(member));
  }
  return absl::StrCat(
      "trying to lead, which needs the answers of ",
      WriteQuorum(members_.size()), " of ", members_.size(),
      " members; waiting for ",
      unheard.empty() ? "nobody" : absl::StrJoin(unheard, ", "));
}

LogStatus LogNode::Core::status() const {
  LogStatus status;
  status.member_id = identity_.member_id();
  status.cluster_id = cluster_id_;
  status.members = members_;
  status.epoch = leader_epoch_;
  if (!acceptor_) {
    status.explanation = "opening the disk";
    return status;
  }
  status.promised_round = acceptor_->promised().round;
  status.promised_member = acceptor_->promised().member;
  status.learned_upto = acceptor_->learned_upto();
  if (formation_ || !active()) {
    status.state = LogStatus::State::kForming;
    if (formation_) status.explanation = formation_->Explain();
  } else if (leading_) {
    status.state = LogStatus::State::kLeading;
  } else if (proposer_) {
    status.state = LogStatus::State::kElecting;
    status.explanation = ExplainElection();
  } else {
    status.state = IsMember(identity_.member_id())
                       ? LogStatus::State::kFollowing
                       : LogStatus::State::kJoining;
    if (status.state == LogStatus::State::kJoining) {
      status.explanation =
          "follows the log without a vote: it is not one of "
          "its members";
    }
  }
  return status;
}

}  // namespace quorate::log
