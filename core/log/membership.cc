#include "core/log/membership.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/planted.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

// Replicas that may report at once; more are ignored.
constexpr size_t kMaxPeers = 100;

size_t Count(const Config& config,
             const std::function<bool(const MemberId&)>& holds) {
  size_t count = 0;
  for (const Member& member : config.members()) count += holds(member.id());
  return count;
}

std::string Seconds(io::Duration time) {
  return absl::StrCat(
      std::chrono::duration_cast<std::chrono::seconds>(time).count(), " s");
}

bool Contains(const std::vector<MemberId>& ids, const MemberId& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool SameChange(const std::optional<Membership::Change>& a,
                const std::optional<Membership::Change>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || (a->add == b->add && a->remove == b->remove);
}

}  // namespace

Membership::Membership(MemberId me, Options options, Config config,
                       uint64_t config_position, uint64_t learned_upto,
                       io::Instant now)
    : me_(std::move(me)),
      options_(std::move(options)),
      config_(std::move(config)),
      config_position_(config_position),
      learned_upto_(learned_upto),
      began_(now),
      promised_({me_}) {}

void Membership::OnPeer(io::Instant now, const PeerReport& report) {
  if (peers_.count(report.id) == 0) {
    if (peers_.size() >= kMaxPeers) MakeRoom(now);
    if (peers_.size() >= kMaxPeers && !IsMember(config_, report.id)) return;
  }
  Peer& peer = peers_[report.id];
  if (peer.heard != io::Instant() && report.learned_upto >= peer.target) {
    peer.caught_up = now;
  }
  peer.report = report;
  peer.heard = now;
  peer.target = learned_upto_;
}

// Newcomers that went away again; members are always heard.
void Membership::MakeRoom(io::Instant now) {
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    if (Recent(now, peer->first) || IsMember(config_, peer->first)) {
      ++peer;
    } else {
      peer = peers_.erase(peer);
    }
  }
}

void Membership::OnPromised(const MemberId& id) { promised_.insert(id); }

bool Membership::Recent(io::Instant now, const MemberId& id) const {
  if (id == me_) return true;
  auto peer = peers_.find(id);
  return peer != peers_.end() && now - peer->second.heard <= options_.recent;
}

// It answers, and its answers count.
bool Membership::Votes(io::Instant now, const MemberId& id) const {
  if (!Recent(now, id)) return false;
  if (id == me_) return true;
  const PeerReport& report = peers_.at(id).report;
  return !report.silent && !report.disk_full;
}

bool Membership::CaughtUp(io::Instant now, const MemberId& id) const {
  if (id == me_) return true;
  auto peer = peers_.find(id);
  return peer != peers_.end() && peer->second.caught_up &&
         now - *peer->second.caught_up <= options_.recent;
}

// As a new member: it answers, votes, and holds everything.
bool Membership::Fit(io::Instant now, const MemberId& id) const {
  return WhyNotFit(now, id).empty();
}

std::string Membership::WhyNotFit(io::Instant now, const MemberId& id) const {
  if (id == me_) return "";
  auto found = peers_.find(id);
  const std::string who = absl::StrCat("replica ", ShortId(id));
  if (found == peers_.end()) {
    return absl::StrCat(who,
                        " has not been heard of: start it, and let it "
                        "find the others");
  }
  const Peer& peer = found->second;
  if (!Recent(now, id)) {
    return absl::StrCat(who, " has not answered for ",
                        Seconds(now - peer.heard),
                        ": start it, or leave it out");
  }
  if (peer.report.silent) {
    return absl::StrCat(who,
                        " does not vote: its start handshake is not "
                        "over, or it is quarantined");
  }
  if (peer.report.disk_full) return absl::StrCat(who, "'s disk is full");
  if (peer.report.damaged > 0) {
    return absl::StrCat(who, " is repairing ", peer.report.damaged,
                        " damaged records");
  }
  if (!CaughtUp(now, id)) {
    return absl::StrCat(who, " is still catching up: it has learned ",
                        peer.report.learned_upto, " of ", learned_upto_,
                        " positions");
  }
  return "";
}

absl::Status Membership::Refusal(const Change& change) const {
  if (change.add.empty() && change.remove.empty()) {
    return absl::InvalidArgumentError("the change names no member");
  }
  // One that nobody asked for gives way while it can.
  if (pending_ && (pending_->request || pending_->step != Step::kPreparing)) {
    return absl::FailedPreconditionError(
        "another change of the members is under way; try again when it is "
        "over");
  }
  const std::set<MemberId> added(change.add.begin(), change.add.end());
  const std::set<MemberId> removed(change.remove.begin(), change.remove.end());
  if (added.size() != change.add.size() ||
      removed.size() != change.remove.size()) {
    return absl::InvalidArgumentError("a member is named twice");
  }
  for (const MemberId& id : change.add) {
    if (IsMember(config_, id)) {
      return absl::AlreadyExistsError(
          absl::StrCat(ShortId(id), " is a member already"));
    }
  }
  for (const MemberId& id : change.remove) {
    if (!IsMember(config_, id)) {
      return absl::NotFoundError(absl::StrCat(ShortId(id), " is no member"));
    }
  }
  if (!change.bulk && (change.add.size() > 1 || change.remove.size() > 1)) {
    return absl::InvalidArgumentError(
        "more than one addition, removal or swap at once: make them one by "
        "one, or say --bulk");
  }
  const size_t size =
      config_.members_size() + change.add.size() - change.remove.size();
  if (size == 0) {
    return absl::InvalidArgumentError("the log needs at least one member");
  }
  if (size > kMaxMembers) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", kMaxMembers, " members are allowed"));
  }
  return absl::OkStatus();
}

Config Membership::Changed(const Change& change) const {
  std::map<MemberId, std::string> members;
  for (const Member& member : config_.members()) {
    if (!Contains(change.remove, member.id())) {
      members[member.id()] = member.address();
    }
  }
  for (const MemberId& id : change.add) members[id] = "";
  Config config;
  for (auto& [id, address] : members) {
    auto peer = peers_.find(id);
    if (id == me_) {
      address = options_.address;
    } else if (peer != peers_.end() && !peer->second.report.address.empty()) {
      address = peer->second.report.address;
    }
    Member& member = *config.add_members();
    member.set_id(id);
    if (!address.empty()) member.set_address(address);
  }
  if (!change.reason.empty()) config.set_reason(change.reason);
  std::vector<MemberId> removed;
  for (const MemberId& id : config_.removed()) {
    if (!Contains(change.add, id)) removed.push_back(id);
  }
  if (!change.automatic) {
    removed.insert(removed.end(), change.remove.begin(), change.remove.end());
  }
  const size_t kept = std::min<size_t>(removed.size(), kMaxRemoved);
  for (auto id = removed.end() - static_cast<ptrdiff_t>(kept);
       id != removed.end(); ++id) {
    config.add_removed(*id);
  }
  return config;
}

void Membership::Begin(io::Instant now, std::optional<uint64_t> request,
                       const Change& change) {
  pending_ = Pending{};
  pending_->request = request;
  pending_->target = Changed(change);
  pending_->added = change.add;
  pending_->since = now;
}

// Whether a removal has been asked for before and is decided.
bool Membership::IsRepeated(const Change& change) const {
  const auto added = [this](const MemberId& id) {
    return IsMember(config_, id);
  };
  const auto removed = [this](const MemberId& id) {
    return std::count(config_.removed().begin(), config_.removed().end(), id) !=
           0;
  };
  return !pending_ && !change.remove.empty() &&
         std::all_of(change.add.begin(), change.add.end(), added) &&
         std::all_of(change.remove.begin(), change.remove.end(), removed);
}

void Membership::Request(io::Instant now, uint64_t id, const Change& change,
                         Output* out) {
  if (IsRepeated(change)) {
    // The answer may have been lost with a leader that removed itself. Whether
    // the removed may be stopped has to be found out anew.
    pending_ = Pending{.request = id,
                       .target = config_,
                       .added = {},
                       .step = Step::kSettling,
                       .since = now,
                       .position = config_position_};
    return Advance(now, out);
  }
  if (absl::Status refusal = Refusal(change); !refusal.ok()) {
    out->finished.push_back({id, refusal});
    return;
  }
  Begin(now, id, change);
  Advance(now, out);
}

std::string Membership::Unprepared(io::Instant now) const {
  const Config& target = pending_->target;
  for (const MemberId& id : pending_->added) {
    if (std::string why = WhyNotFit(now, id); !why.empty()) return why;
  }
  const size_t members = target.members_size();
  const size_t promised =
      Count(target, [this](const MemberId& id) { return promised_.count(id); });
  if (promised < PromiseQuorum(members)) {
    return absl::StrCat("only ", promised, " of the ", members,
                        " new members have promised to follow this leader");
  }
  const size_t voting =
      Count(target, [this, now](const MemberId& id) { return Votes(now, id); });
  if (voting < WriteQuorum(members)) {
    return absl::StrCat("only ", voting, " of the ", members,
                        " new members answer and vote: start them, or choose "
                        "others");
  }
  const size_t caught_up = Count(
      target, [this, now](const MemberId& id) { return CaughtUp(now, id); });
  if (caught_up < WriteQuorum(members)) {
    return absl::StrCat("only ", caught_up, " of the ", members,
                        " new members hold all that was decided; the others "
                        "are catching up");
  }
  return "";
}

// What was decided below and at the first position of the new members has to
// be on the disks of a quorum of them.
std::string Membership::Unsettled() const {
  const uint64_t needed = pending_->position + 2;
  if (learned_upto_ < needed) {
    return "the new members have not decided anything yet";
  }
  const Config& target = pending_->target;
  const size_t hold = Count(target, [this, needed](const MemberId& id) {
    if (id == me_) return stored_upto_ >= needed;
    auto peer = peers_.find(id);
    return peer != peers_.end() && peer->second.report.stored_upto >= needed;
  });
  if (hold >= WriteQuorum(target.members_size())) return "";
  return absl::StrCat("only ", hold, " of the ", target.members_size(),
                      " new members hold all that was decided; do not stop the "
                      "removed ones yet");
}

void Membership::Finish(absl::Status status, Output* out) {
  if (pending_->request) {
    out->finished.push_back({*pending_->request, std::move(status)});
    pending_->request.reset();
  }
}

void Membership::Prepare(io::Instant now, Output* out) {
  for (const Member& member : pending_->target.members()) {
    if (promised_.count(member.id()) == 0) {
      out->ask_promise.push_back(member.id());
    }
  }
  const std::string missing = Unprepared(now);
  if (missing.empty() || Planted(Bug::kConfigUnprepared)) {
    out->propose = pending_->target;
    pending_->step = Step::kProposed;
  } else if (now - pending_->since > options_.timeout) {
    Finish(absl::DeadlineExceededError(
               absl::StrCat("the members were not changed: ", missing)),
           out);
    pending_.reset();
  }
}

void Membership::Conclude(io::Instant now, Output* out) {
  const std::string missing = Unsettled();
  if (missing.empty()) {
    Finish(absl::OkStatus(), out);
    out->resign = !IsMember(pending_->target, me_);
    pending_.reset();
  } else if (now - pending_->since > options_.timeout) {
    Finish(absl::DeadlineExceededError(
               absl::StrCat("the members were changed at position ",
                            pending_->position, ", but ", missing)),
           out);
  }
}

void Membership::Advance(io::Instant now, Output* out) {
  switch (pending_->step) {
    case Step::kPreparing:
      return Prepare(now, out);
    case Step::kProposed:
      // It cannot be taken back.
      if (now - pending_->since > options_.timeout) {
        Finish(absl::DeadlineExceededError(
                   "the change is proposed, and not decided yet: it may still "
                   "happen"),
               out);
      }
      return;
    case Step::kSettling:
      return Conclude(now, out);
  }
}

void Membership::OnChosenConfig(io::Instant now, uint64_t position,
                                const Config& config, Output* out) {
  config_ = config;
  config_position_ = position;
  if (!pending_ || pending_->step != Step::kProposed) return;
  pending_->step = Step::kSettling;
  pending_->position = position;
  out->barrier = true;
  Advance(now, out);
}

void Membership::OnTick(io::Instant now, Output* out) {
  if (!pending_ && options_.automatic) ConsiderAutomatic(now);
  if (pending_) Advance(now, out);
}

std::optional<int> Membership::Declared(io::Instant now) const {
  for (const auto& [id, peer] : peers_) {
    const bool matters = IsMember(config_, id) || CaughtUp(now, id);
    if (matters && Recent(now, id) &&
        peer.report.declared_quorum != options_.declared_quorum) {
      return std::nullopt;
    }
  }
  return options_.declared_quorum;
}

bool Membership::QuorumMismatch(io::Instant now) const {
  const std::optional<int> declared = Declared(now);
  // Of an even number a quorum is one more than of the odd one below.
  return !declared ||
         WriteQuorum(config_.members_size()) != static_cast<size_t>(*declared);
}

// One step towards the set of all who are there, if it has the declared size.
std::optional<Membership::Change> Membership::NextAutomatic(
    io::Instant now) const {
  const std::optional<int> declared = Declared(now);
  if (!declared) return std::nullopt;
  std::vector<MemberId> gone;
  size_t suitable = 0;
  for (const Member& member : config_.members()) {
    if (Recent(now, member.id())) {
      ++suitable;
      continue;
    }
    auto peer = peers_.find(member.id());
    const io::Instant heard =
        peer == peers_.end() ? began_ : peer->second.heard;
    if (now - heard < options_.gone_after) continue;
    gone.push_back(member.id());
  }
  std::vector<MemberId> learners;
  for (const auto& [id, peer] : peers_) {
    const bool unwanted =
        std::count(config_.removed().begin(), config_.removed().end(), id) != 0;
    if (!IsMember(config_, id) && !unwanted && Fit(now, id)) {
      learners.push_back(id);
    }
  }
  suitable += learners.size();
  const auto wanted = static_cast<size_t>(2 * *declared - 1);
  const auto size = static_cast<size_t>(config_.members_size());
  if (suitable != wanted || wanted > kMaxMembers ||
      (learners.empty() && gone.empty())) {
    return std::nullopt;
  }
  Change change;
  change.automatic = true;
  change.reason = absl::StrCat("all declare --quorum=", *declared);
  if (!learners.empty() && size < wanted) {
    change.add = {learners.front()};
  } else if (!gone.empty() && size > wanted) {
    change.remove = {gone.front()};
  } else if (!gone.empty() && !learners.empty()) {
    change.add = {learners.front()};
    change.remove = {gone.front()};
  } else {
    return std::nullopt;
  }
  return change;
}

void Membership::ConsiderAutomatic(io::Instant now) {
  std::optional<Change> next = NextAutomatic(now);
  if (!SameChange(next, wanted_)) {
    wanted_ = std::move(next);
    wanted_since_ = now;
  }
  if (!wanted_ || now - wanted_since_ < options_.agree_for) return;
  Begin(now, std::nullopt, *wanted_);
  wanted_.reset();
}

std::string Membership::Explain(io::Instant now) const {
  if (pending_) {
    std::string missing;
    if (pending_->step == Step::kPreparing) missing = Unprepared(now);
    if (pending_->step == Step::kSettling) missing = Unsettled();
    return absl::StrCat("a change of the members is under way",
                        missing.empty() ? "" : ": ", missing);
  }
  if (!QuorumMismatch(now)) return "";
  std::vector<std::string> declared = {
      absl::StrCat(ShortId(me_), " --quorum=", options_.declared_quorum)};
  for (const auto& [id, peer] : peers_) {
    if (!Recent(now, id)) continue;
    declared.push_back(
        absl::StrCat(ShortId(id), " --quorum=", peer.report.declared_quorum));
  }
  return absl::StrCat("--quorum does not fit the ", config_.members_size(),
                      " members: ", absl::StrJoin(declared, ", "),
                      "; votes are counted by the members alone");
}

}  // namespace quorate::log
