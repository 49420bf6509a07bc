#include "core/log/formation.h"

#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace quorate::log {
namespace {

constexpr size_t kMaxPeers = 100;
constexpr size_t kClusterIdBytes = 16;

bool SameMembers(const Config& a, const Config& b) {
  return std::equal(a.members().begin(), a.members().end(),
                    b.members().begin(), b.members().end());
}

std::string Short(const MemberId& member) {
  return absl::BytesToHexString(member).substr(0, 8);
}

}  // namespace

std::string ClusterIdOf(const Config& members) {
  std::string text = "genesis";
  for (const MemberId& member : members.members()) {
    absl::StrAppend(&text, "/", absl::BytesToHexString(member));
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
  std::vector<MemberId> ids = {me_};
  for (const auto& [id, peer] : peers_) {
    if (peer.status != ACTIVE) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  for (const MemberId& id : ids) seen.add_members(id);
  return seen;
}

void Formation::OnHello(io::Instant now, const MemberId& from,
                        const std::string& cluster_id, const Hello& hello,
                        Output* out) {
  if (from == me_ || (peers_.size() >= kMaxPeers && peers_.count(from) == 0)) {
    return;
  }
  peers_[from] = {hello.status(), hello.members(), now};
  // A formed cluster: its genesis, unless this member has pinned another set,
  // which may have completed somewhere.
  if (hello.status() == ACTIVE && hello.members().members_size() > 0 &&
      ClusterIdOf(hello.members()) == cluster_id &&
      (!pinned_.has_value() || SameMembers(*pinned_, hello.members()))) {
    out->genesis = Output::Genesis{cluster_id, hello.members()};
    return;
  }
  OnTick(now, out);
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
  if (pinned_.has_value()) return CheckComplete(out);
  Config seen = Seen();
  if (!SameMembers(seen, seen_) || since_ == io::Instant()) {
    seen_ = std::move(seen);
    since_ = now;
  }
  const bool formed_elsewhere =
      std::any_of(peers_.begin(), peers_.end(), [](const auto& peer) {
        return peer.second.status == ACTIVE;
      });
  const int wanted = 2 * options_.quorum - 1;
  if (options_.auto_initialize && !formed_elsewhere &&
      seen_.members_size() == wanted &&
      // Nobody else can be meant when there is to be only one.
      (wanted == 1 || now - since_ >= options_.delay)) {
    out->pin = seen_;
  }
}

void Formation::OnPinned(const Config& members) { pinned_ = members; }

// Every single member, not a number of them, has to have pinned this set.
void Formation::CheckComplete(Output* out) const {
  for (const MemberId& member : pinned_->members()) {
    if (member == me_) continue;
    auto peer = peers_.find(member);
    if (peer == peers_.end() || peer->second.status == FORMATTED ||
        !SameMembers(peer->second.members, *pinned_)) {
      return;
    }
  }
  out->genesis = Output::Genesis{ClusterIdOf(*pinned_), *pinned_};
}

std::string Formation::Explain(io::Instant) const {
  const int wanted = 2 * options_.quorum - 1;
  if (pinned_.has_value()) {
    std::vector<std::string> missing;
    for (const MemberId& member : pinned_->members()) {
      auto peer = peers_.find(member);
      if (member != me_ &&
          (peer == peers_.end() || peer->second.status == FORMATTED)) {
        missing.push_back(Short(member));
      }
    }
    return absl::StrCat("forming a new log of ", wanted,
                        " members; waiting for ", absl::StrJoin(missing, ", "));
  }
  const Config seen = Seen();
  if (!options_.auto_initialize) {
    return "not part of a log, and --no-log_auto_initialize forbids to form "
           "one";
  }
  return absl::StrCat("forming a new log: ", seen.members_size(), " of ",
                      wanted, " members seen",
                      seen.members_size() > wanted
                          ? "; too many: --quorum does not fit the number of "
                            "masters"
                          : "");
}

}  // namespace quorate::log
