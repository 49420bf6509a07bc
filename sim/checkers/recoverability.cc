#include "sim/checkers/recoverability.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

bool IsMember(const std::vector<std::string>& members,
              const KnownReplica& replica) {
  return std::count(members.begin(), members.end(), replica.member) != 0;
}

bool HasHeld(const LogAgreement& agreement, const KnownReplica& replica,
             uint64_t position) {
  return agreement.HasHeld(replica.disk, position) ||
         agreement.HasHeld(replica.copy_of, position);
}

// Its disk may hold the entry, as far as one knows.
bool MayHold(const LogAgreement& agreement, const KnownReplica& replica,
             uint64_t position) {
  return replica.state != DiskState::kLost &&
         HasHeld(agreement, replica, position);
}

// It says, asked for the entry, that it has voted for it or does not know. What
// it has only learned it need not miss when its disk has lost it.
bool Confirms(const LogAgreement& agreement, const KnownReplica& replica,
              uint64_t position) {
  if (replica.state == DiskState::kDoubtful) return false;
  if (replica.state == DiskState::kWhole) {
    return HasHeld(agreement, replica, position);
  }
  return agreement.HasVoted(replica.disk, position);
}

// The lowest chosen position whose entry is on no disk that runs.
std::optional<uint64_t> MissingPosition(
    const LogAgreement& agreement, const std::vector<KnownReplica>& replicas,
    uint64_t truncated) {
  for (const uint64_t position : agreement.Chosen()) {
    // The genesis is part of everybody's identity.
    if (position == 0 || position < truncated) continue;
    const bool held = std::any_of(
        replicas.begin(), replicas.end(), [&](const KnownReplica& replica) {
          return replica.runs && MayHold(agreement, replica, position);
        });
    if (!held) return position;
  }
  return std::nullopt;
}

}  // namespace

const char* ToString(Recovery recovery) {
  switch (recovery) {
    case Recovery::kMust:
      return "must go on";
    case Recovery::kMay:
      return "may go on";
    case Recovery::kMustNot:
      return "must halt";
  }
  return "";
}

Prognosis Foresee(const LogAgreement& agreement,
                  const std::vector<KnownReplica>& replicas, uint64_t truncated,
                  bool members_settled) {
  const std::vector<std::string>& members = agreement.members();
  if (members.empty()) return {Recovery::kMay, "there is no log yet", {}, {}};
  const size_t quorum = members.size() / 2 + 1;
  std::set<std::string> possible;
  std::set<std::string> sure;
  bool all_whole = true;
  for (const KnownReplica& replica : replicas) {
    const bool whole = replica.runs && !replica.disturbed &&
                       replica.state == DiskState::kWhole;
    all_whole = all_whole && whole;
    if (!replica.runs || !IsMember(members, replica)) continue;
    possible.insert(replica.member);
    if (whole) sure.insert(replica.member);
  }
  if (sure.size() >= quorum && (members_settled || all_whole)) {
    return {Recovery::kMust, "a majority of whole disks runs", {}, {}};
  }
  if (!members_settled) {
    return {Recovery::kMay, "whose votes count is not known", {}, {}};
  }
  if (possible.size() < quorum) {
    Prognosis halts{Recovery::kMustNot, "", {}, {}};
    for (const std::string& member : members) {
      if (possible.count(member) == 0) halts.missing_members.push_back(member);
    }
    halts.reason = absl::StrCat(halts.missing_members.size(), " of ",
                                members.size(), " members are gone");
    return halts;
  }
  if (auto missing = MissingPosition(agreement, replicas, truncated)) {
    return {Recovery::kMustNot,
            absl::StrCat("no disk holds position ", *missing),
            {},
            missing};
  }
  return {Recovery::kMay,
          "a majority needs disks that may have lost votes",
          {},
          {}};
}

bool MayForget(const LogAgreement& agreement,
               const std::vector<KnownReplica>& replicas, size_t forgetful,
               uint64_t truncated) {
  const std::vector<std::string>& members = agreement.members();
  for (const uint64_t position : agreement.Chosen()) {
    if (position == 0 || position < truncated) continue;
    std::set<std::string> deniers;
    for (size_t i = 0; i < replicas.size(); ++i) {
      const KnownReplica& replica = replicas[i];
      if (!IsMember(members, replica)) continue;
      if (i == forgetful || !Confirms(agreement, replica, position)) {
        deniers.insert(replica.member);
      }
    }
    if (deniers.size() >= members.size() / 2 + 1) return false;
  }
  return true;
}

}  // namespace quorate::sim
