#include "core/log/election.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"

namespace quorate::log {
namespace {

// After the leader's link broke: enough for two members not to ask at once.
constexpr io::Duration kMinGoneWait = std::chrono::milliseconds(5);
constexpr io::Duration kMaxGoneWait = std::chrono::milliseconds(60);

}  // namespace

Election::Election(MemberId me, Options options, uint64_t seed)
    : me_(std::move(me)), options_(options), random_(seed) {}

void Election::OnConfig(std::vector<MemberId> members) {
  if (members == members_) return;
  members_ = std::move(members);
  // Others vote now than those that were asked.
  asked_round_ = 0;
}

bool Election::IsMember(const MemberId& id) const {
  return std::find(members_.begin(), members_.end(), id) != members_.end();
}

void Election::Arm(io::Instant from, io::Duration low, io::Duration high) {
  deadline_ = from + random_.Between(low, high);
  armed_ = true;
}

void Election::OnHeartbeat(io::Instant now, const MemberId&,
                           const Ballot& ballot) {
  if (ballot < ballot_) return;
  ballot_ = ballot;
  heard_ = now;
  asked_round_ = 0;
  Arm(now, options_.min_timeout, options_.max_timeout);
}

void Election::OnLeaderGone(io::Instant now) {
  heard_.reset();
  Arm(now, kMinGoneWait, kMaxGoneWait);
}

void Election::OnLost(io::Instant now) {
  asked_round_ = 0;
  Arm(now, options_.min_timeout, options_.max_timeout);
}

void Election::OnGranted(io::Instant now) {
  if (asked_round_ == 0) Arm(now, options_.min_timeout, options_.max_timeout);
}

void Election::OnPromised(io::Instant now) {
  asked_round_ = 0;
  Arm(now, options_.min_timeout, options_.max_timeout);
}

void Election::OnTransfer(Output* out) { out->stand = IsMember(me_); }

void Election::OnTick(io::Instant now, Output* out) {
  if (!armed_) {
    // At the start a leader may be about to be heard.
    return Arm(now, options_.min_timeout, options_.max_timeout);
  }
  if (now < deadline_) return;
  Arm(now, options_.min_timeout, options_.max_timeout);
  if (!IsMember(me_)) return;
  if (members_.size() == 1 || Planted(Bug::kNoPreVote)) {
    out->stand = true;
  } else {
    out->ask = true;
  }
}

void Election::OnAsked(uint64_t round) {
  asked_round_ = round;
  granted_ = {me_};
}

void Election::OnPreVoteReply(io::Instant, const MemberId& from, uint64_t round,
                              bool granted, Output* out) {
  if (asked_round_ == 0 || round != asked_round_ || !granted ||
      !IsMember(from)) {
    return;
  }
  granted_.insert(from);
  if (granted_.size() < PromiseQuorum(members_.size())) return;
  asked_round_ = 0;
  out->stand = true;
}

bool Election::Hears(io::Instant now) const {
  return heard_ && now - *heard_ < options_.min_timeout;
}

bool Election::Grants(io::Instant now, const MemberId& candidate,
                      uint64_t candidate_learned, uint64_t own_learned) const {
  return !Hears(now) && IsMember(candidate) &&
         candidate_learned + 1 >= own_learned;
}

QuorumCheck::QuorumCheck(MemberId me, io::Duration timeout,
                         std::vector<MemberId> members, io::Instant now)
    : me_(std::move(me)), timeout_(timeout) {
  OnConfig(std::move(members), now);
}

// Who is new has all the time to answer.
void QuorumCheck::OnConfig(std::vector<MemberId> members, io::Instant now) {
  members_ = std::move(members);
  for (const MemberId& id : members_) heard_.emplace(id, now);
}

void QuorumCheck::OnReply(const MemberId& from, io::Instant now) {
  heard_[from] = now;
}

std::string QuorumCheck::Lost(io::Instant now) const {
  const auto answer = static_cast<size_t>(std::count_if(
      members_.begin(), members_.end(), [this, now](const MemberId& id) {
        return id == me_ || now - heard_.at(id) < timeout_;
      }));
  if (answer >= WriteQuorum(members_.size())) return "";
  return absl::StrCat("only ", answer, " of ", members_.size(),
                      " members of the log answer");
}

}  // namespace quorate::log
