#include "core/log/handshake.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/log/messages.h"

namespace quorate::log {

Handshake::Handshake(MemberId me, Self self, std::vector<MemberId> members)
    : me_(std::move(me)),
      opened_(std::move(self)),
      self_(opened_),
      members_(std::move(members)),
      answered_({me_}) {
  CheckDone();
}

void Handshake::OnConfig(std::vector<MemberId> members) {
  members_ = std::move(members);
  CheckDone();
}

void Handshake::CheckDone() {
  const auto answered = static_cast<size_t>(std::count_if(
      members_.begin(), members_.end(),
      [this](const MemberId& id) { return answered_.count(id) != 0; }));
  const bool all =
      answered == members_.size() && !(members_.size() == 1 && opened_.others);
  done_ |= answered >= WriteQuorum(members_.size()) && (all || time_up_);
}

void Handshake::OnTimeUp() {
  time_up_ = true;
  CheckDone();
}

std::vector<MemberId> Handshake::Missing() const {
  std::vector<MemberId> missing;
  for (const MemberId& id : members_) {
    if (answered_.count(id) == 0) missing.push_back(id);
  }
  return missing;
}

void Handshake::OnProgress(const Ballot& promised, uint64_t end) {
  self_.promised = std::max(self_.promised, promised);
  self_.end = std::max(self_.end, end);
}

// That this disk is not the one it promised with; empty when there is none.
std::string Handshake::Evidence(const std::string& who,
                                const HelloReply& reply) const {
  const SeenProto& seen = reply.seen();
  if (reply.cloned() || (seen.incarnation() == self_.incarnation &&
                         seen.boot_nonce() != self_.boot_nonce)) {
    return absl::StrCat(
        who,
        " has heard of another process with the id of this replica: its "
        "directory was copied");
  }
  if (seen.incarnation() > self_.incarnation) {
    return absl::StrCat(
        who, " has seen start number ", seen.incarnation(),
        " of this replica, whose disk only knows of ", self_.incarnation,
        ": the directory was restored from a backup, or copied");
  }
  std::string forgotten =
      Forgotten(self_, FromProto(seen.promised()), seen.end());
  if (forgotten.empty()) {
    forgotten = Forgotten(opened_, FromProto(seen.promised_before()),
                          seen.end_before());
  }
  return forgotten.empty() ? "" : absl::StrCat(who, forgotten);
}

// What others have of it and it has not itself.
std::string Handshake::Forgotten(const Self& self, const Ballot& promised,
                                 uint64_t end) {
  if (self.promised < promised) {
    return absl::StrCat(" has a promise of this replica for round ",
                        promised.round, ", its disk one for ",
                        self.promised.round,
                        ": the directory was restored from a backup");
  }
  if (!self.blind && end > self.end) {
    return absl::StrCat(" has counted a vote of this replica for position ",
                        end - 1, ", its disk has none above ",
                        static_cast<int64_t>(self.end) - 1,
                        ": the directory was restored from a backup");
  }
  return "";
}

void Handshake::OnReply(const MemberId& from, const HelloReply& reply,
                        Output* out) {
  if (Planted(Bug::kWipedKeepsId)) {
    answered_.insert(from);
    return CheckDone();
  }
  out->quarantine = Evidence(absl::StrCat("replica ", ShortId(from)), reply);
  if (!out->quarantine.empty()) return;
  // Whoever was asked by an earlier life may have counted its votes since.
  if (reply.has_seen() && reply.seen().incarnation() < self_.incarnation) {
    return;
  }
  answered_.insert(from);
  CheckDone();
}

Acquaintances::Acquaintances(MemberId me, std::map<MemberId, Seen> seen)
    : me_(std::move(me)), seen_(std::move(seen)) {}

void Acquaintances::OnConfig(std::vector<MemberId> members) {
  members_ = std::move(members);
}

bool Acquaintances::IsMember(const MemberId& id) const {
  return std::find(members_.begin(), members_.end(), id) != members_.end();
}

// The one whose votes are the oldest. There is one: members are fewer.
void Acquaintances::ForgetStranger() {
  static_assert(kMax > kMaxMembers);
  auto oldest = seen_.end();
  for (auto it = seen_.begin(); it != seen_.end(); ++it) {
    if (IsMember(it->first)) continue;
    if (oldest == seen_.end() || it->second.end < oldest->second.end) {
      oldest = it;
    }
  }
  changed_.erase(oldest->first);
  latest_.erase(oldest->first);
  before_.erase(oldest->first);
  seen_.erase(oldest);
}

Seen* Acquaintances::Find(const MemberId& id) {
  auto found = seen_.find(id);
  if (found != seen_.end()) return &found->second;
  if (id == me_) return nullptr;
  if (!IsMember(id)) {
    return seen_.size() < kMaxStrangers ? &seen_[id] : nullptr;
  }
  if (seen_.size() >= kMax) ForgetStranger();
  return &seen_[id];
}

Acquaintances::Verdict Acquaintances::OnHeader(const MemberId& from,
                                               uint64_t incarnation,
                                               uint64_t boot_nonce) {
  if (cloned_.count(from) != 0) return Verdict::kCloned;
  Seen* const seen = Find(from);
  if (seen == nullptr || Planted(Bug::kWipedKeepsId)) return Verdict::kAccept;
  if (incarnation < seen->incarnation) return Verdict::kOlderLife;
  if (incarnation == seen->incarnation) {
    // Known by its votes only, which others have told of.
    if (seen->boot_nonce == boot_nonce) return Verdict::kAccept;
    if (seen->boot_nonce != 0) {
      cloned_.insert(from);
      return Verdict::kCloned;
    }
  }
  if (auto latest = latest_.find(from); latest != latest_.end()) {
    Life& before = before_[from];
    before.promised = std::max(before.promised, latest->second.promised);
    before.end = std::max(before.end, latest->second.end);
    latest_.erase(latest);
  }
  seen->incarnation = incarnation;
  seen->boot_nonce = boot_nonce;
  changed_.insert(from);
  return Verdict::kAccept;
}

void Acquaintances::OnPromised(const MemberId& id, const Ballot& promised) {
  Seen* const seen = Find(id);
  if (seen == nullptr) return;
  Life& life = latest_[id];
  life.promised = std::max(life.promised, promised);
  if (promised <= seen->promised) return;
  seen->promised = promised;
  changed_.insert(id);
}

void Acquaintances::OnVoted(const MemberId& id, uint64_t end) {
  OnOthersVote(id, end);
  if (Find(id) == nullptr) return;
  Life& life = latest_[id];
  life.end = std::max(life.end, end);
}

void Acquaintances::OnOthersVote(const MemberId& id, uint64_t end) {
  Seen* const seen = Find(id);
  if (seen == nullptr || end <= seen->end) return;
  seen->end = end;
  changed_.insert(id);
}

std::optional<SeenProto> Acquaintances::SeenOf(const MemberId& id) const {
  auto found = seen_.find(id);
  if (found == seen_.end()) return std::nullopt;
  SeenProto proto;
  proto.set_incarnation(found->second.incarnation);
  proto.set_boot_nonce(found->second.boot_nonce);
  if (found->second.promised.round > 0) {
    *proto.mutable_promised() = ToProto(found->second.promised);
  }
  proto.set_end(found->second.end);
  if (auto before = before_.find(id); before != before_.end()) {
    if (before->second.promised.round > 0) {
      *proto.mutable_promised_before() = ToProto(before->second.promised);
    }
    proto.set_end_before(before->second.end);
  }
  return proto;
}

std::map<MemberId, Seen> Acquaintances::TakeChanged() {
  std::map<MemberId, Seen> changed;
  for (const MemberId& id : std::exchange(changed_, {})) {
    changed[id] = seen_.at(id);
  }
  return changed;
}

}  // namespace quorate::log
