#include "core/log/formation.h"

#include <openssl/sha.h>

#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/planted.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr size_t kMaxPeers = kMaxMembers;
constexpr size_t kClusterIdBytes = 16;

bool SameMembers(const Config& a, const Config& b) {
  return MembersOf(a) == MembersOf(b);
}

}  // namespace

std::string ClusterIdOf(const Config& members) {
  std::string text = "genesis";
  for (const Member& member : members.members()) {
    absl::StrAppend(&text, "/", absl::BytesToHexString(member.id()));
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         digest);
  return std::string(reinterpret_cast<char*>(digest), kClusterIdBytes);
}

Formation::Formation(MemberId me, Options options, std::optional<Config> pinned)
    : me_(std::move(me)),
      options_(options),
      pinned_(std::move(pinned)),
      seen_(Seen()) {}

Config Formation::Seen() const {
  Config seen;
  std::set<MemberId> ids = {me_};
  for (const auto& [id, peer] : peers_) {
    if (peer.status == FORMATTED || peer.status == PINNED) ids.insert(id);
  }
  // Without addresses: every member has to pin the same bytes.
  for (const MemberId& id : ids) seen.add_members()->set_id(id);
  return seen;
}

void Formation::OnHello(io::Instant now, const MemberId& from,
                        const Cluster& cluster, const Hello& hello,
                        Output* out) {
  if (from == me_ || (peers_.size() >= kMaxPeers && peers_.count(from) == 0)) {
    return;
  }
  const Config& theirs = hello.members();
  peers_[from] = {hello.status(), theirs, hello.declared_quorum(), now};
  if (hello.status() != ACTIVE || cluster.id.empty()) return OnTick(now, out);
  const bool named = IsMember(theirs, me_);
  if (!pinned_.has_value() && named && !Planted(Bug::kWipedKeepsId)) {
    forgotten_ = true;
  } else if (!pinned_.has_value() || (SameMembers(*pinned_, theirs) &&
                                      cluster.id == ClusterIdOf(*pinned_))) {
    // Not if another set is pinned: it may have completed somewhere.
    HearGenesis(now, {cluster.id, cluster.generation, theirs}, out);
  }
}

// After a forced recovery members of two generations may run.
void Formation::HearGenesis(io::Instant now, Output::Genesis genesis,
                            Output* out) {
  if (pinned_.has_value()) {
    if (MayBe(genesis.cluster_id)) out->genesis = std::move(genesis);
    return;
  }
  if (!heard_) {
    heard_since_ = now;
    heard_ = std::move(genesis);
  } else if (heard_->cluster_id == genesis.cluster_id &&
             heard_->generation < genesis.generation) {
    heard_ = std::move(genesis);
  }
}

void Formation::Forget(io::Instant now) {
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    if (now - peer->second.heard > options_.forget) {
      peer = peers_.erase(peer);
    } else {
      ++peer;
    }
  }
}

void Formation::OnTick(io::Instant now, Output* out) {
  Forget(now);
  if (heard_ && now - heard_since_ >= options_.delay &&
      MayBe(heard_->cluster_id)) {
    out->genesis = heard_;
    return;
  }
  if (pinned_.has_value()) return CheckComplete(out);
  Config seen = Seen();
  if (!SameMembers(seen, seen_) || since_ == io::Instant()) {
    seen_ = std::move(seen);
    since_ = now;
  }
  // Nobody else can be meant when there is to be only one.
  const bool settled = options_.quorum == 1 || now - since_ >= options_.delay;
  if (settled && Obstacle().why.empty()) out->pin = seen_;
}

void Formation::OnPinned(const Config& members) { pinned_ = members; }

bool Formation::HasPinned(const Peer& peer, const Config& members) const {
  return peer.status != FORMATTED && SameMembers(peer.members, members);
}

// Every single member, not a number of them, has to have pinned this set.
void Formation::CheckComplete(Output* out) const {
  for (const MemberId& member : MembersOf(*pinned_)) {
    if (member == me_) continue;
    auto peer = peers_.find(member);
    if (peer == peers_.end() || !HasPinned(peer->second, *pinned_)) return;
  }
  const std::string id = ClusterIdOf(*pinned_);
  if (MayBe(id)) out->genesis = Output::Genesis{id, 0, *pinned_};
}

bool Formation::MayBe(const std::string& cluster_id) const {
  if (options_.record.empty()) return true;
  return recorded_ && (recorded_->empty() || *recorded_ == cluster_id);
}

Explanation Formation::RecordedObstacle() const {
  if (options_.record.empty() || recorded_ == "") return {};
  if (!recorded_) {
    return {absl::StrCat("waits to be told whether ", options_.record,
                         " names one"),
            "see that ZooKeeper runs, and that this master reaches it"};
  }
  return {
      absl::StrCat(
          options_.record, " names cluster ",
          absl::BytesToHexString(*recorded_),
          heard_ && heard_->cluster_id != *recorded_
              ? absl::StrCat(", and who answers here belongs to cluster ",
                             absl::BytesToHexString(heard_->cluster_id))
              : ", and none of its masters answers"),
      absl::StrCat("start those that hold its log; if all of their disks are "
                   "lost, restore a backup ('mesos-log restore'); to give that "
                   "cluster up and begin a new one, delete ",
                   options_.record)};
}

Explanation Formation::Obstacle() const {
  if (forgotten_) {
    return {
        "it has belonged to one, but what its disk holds is older, as "
        "after restoring a backup",
        "move its directory away and start it empty: it joins as a new "
        "one"};
  }
  if (Explanation obstacle = RecordedObstacle(); !obstacle.why.empty()) {
    return obstacle;
  }
  if (!options_.auto_initialize) {
    return {"--no-log_auto_initialize forbids to form one",
            "'mesos-log initialize', or start it without that flag"};
  }
  return ObstacleSeen();
}

Explanation Formation::ObstacleSeen() const {
  constexpr char kSameQuorum[] = "start all masters with the same --quorum";
  const Config seen = Seen();
  for (const auto& [id, peer] : peers_) {
    if (peer.status == ACTIVE) {
      return {
          absl::StrCat("replica ", ShortId(id), " belongs to a log already"),
          ""};
    }
    if (peer.quorum != options_.quorum) {
      return {absl::StrCat("replica ", ShortId(id),
                           " runs with --quorum=", peer.quorum,
                           ", this one with --quorum=", options_.quorum),
              kSameQuorum};
    }
    if (peer.status == PINNED && !SameMembers(peer.members, seen)) {
      return {absl::StrCat("replica ", ShortId(id),
                           " waits for others than those that are here"),
              "start those; if one of them is lost, move the directory of the "
              "replica that waits away and start it empty"};
    }
  }
  const int wanted = 2 * options_.quorum - 1;
  if (seen.members_size() == wanted) return {};
  const bool more = seen.members_size() > wanted;
  return {
      absl::StrCat(seen.members_size(), " of ", wanted, " members seen",
                   more ? "; --quorum does not fit the number of masters" : ""),
      more
          ? absl::StrCat("stop all but ", wanted,
                         " masters, or start all with the --quorum that "
                         "fits their number")
          : absl::StrCat(kSameQuorum, ", ", options_.quorum, ", for ", wanted)};
}

Explanation Formation::ExplainPinned() const {
  std::vector<std::string> waiting;
  for (const MemberId& member : MembersOf(*pinned_)) {
    if (member == me_) continue;
    auto peer = peers_.find(member);
    if (peer == peers_.end()) {
      waiting.push_back(absl::StrCat(ShortId(member), " (not heard of)"));
    } else if (peer->second.status == FORMATTED) {
      waiting.push_back(absl::StrCat(ShortId(member), " (has not agreed yet)"));
    } else if (!SameMembers(peer->second.members, *pinned_)) {
      waiting.push_back(
          absl::StrCat(ShortId(member), " (has agreed with others)"));
    }
  }
  const std::string id = ClusterIdOf(*pinned_);
  if (!MayBe(id)) return RecordedObstacle();
  const std::string chosen =
      absl::StrCat(pinned_->members_size(), " members have been chosen");
  if (waiting.empty()) return {chosen, ""};
  return {absl::StrCat(chosen, "; waiting for ", absl::StrJoin(waiting, ", ")),
          "start those; if one of them is lost, move this one's directory away "
          "and start it empty"};
}

Explanation Formation::Explain() const {
  Explanation found = pinned_.has_value() ? ExplainPinned() : Obstacle();
  if (found.why.empty()) found.why = "all members are here";
  found.why = absl::StrCat("not part of a log yet: ", found.why);
  return found;
}

}  // namespace quorate::log
