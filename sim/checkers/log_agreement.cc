#include "sim/checkers/log_agreement.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/log/log.pb.h"
#include "core/log/types.h"

namespace quorate::sim {

class LogAgreement::Observer final : public log::LogObserver {
 public:
  Observer(LogAgreement& checker, std::string disk)
      : checker_(checker), disk_(std::move(disk)) {}

  void OnOpened(const std::string& member_id) override { member_ = member_id; }

  void OnPromised(uint64_t round, const std::string& member) override {
    Live("promised");
    const BallotKey promised{round, member};
    if (promised < promised_) {
      checker_.world_.Fail(absl::StrCat(disk_, " promised round ",
                                        promised_.first, " and then ", round));
    }
    promised_ = promised;
    highest_promise_ = std::max(highest_promise_, promised);
  }

  void OnVoted(uint64_t position, uint64_t round, const std::string& member,
               const std::string& hash) override {
    Live("voted");
    const BallotKey ballot{round, member};
    BallotKey& highest = voted_[position];
    if (ballot < highest) {
      checker_.world_.Fail(absl::StrCat(disk_, " voted at position ", position,
                                        " in round ", highest.first,
                                        " and then in ", round));
    }
    highest = ballot;
    votes_.emplace(position, hash);
    checker_.Voted(member_, position, ballot, hash);
  }

  void OnProposed(uint64_t position, uint64_t round, const std::string& member,
                  const std::string& hash,
                  const std::vector<std::string>& members) override {
    checker_.Proposed(position, {round, member}, hash, members);
  }

  void OnLearned(uint64_t position, const std::string& entry) override {
    learned_.insert(position);
    log::EntryProto parsed;
    log::BallotProto ballot;
    if (parsed.ParseFromString(entry) && parsed.type() == log::LEADER &&
        ballot.ParseFromString(parsed.payload(1))) {
      leader_ = {ballot.round(), ballot.member()};
    }
    checker_.Learned(disk_, position, parsed, entry);
  }

  void OnConfig(uint64_t position,
                const std::vector<std::string>& members) override {
    checker_.Configured(disk_, position, members);
  }

  void RolledBack() {
    promised_ = {};
    voted_.clear();
  }
  const std::string& member() const { return member_; }
  const std::set<uint64_t>& learned() const { return learned_; }
  bool HasVoted(uint64_t position, const std::string& hash) const {
    return votes_.count({position, hash}) != 0;
  }
  const BallotKey& promised() const { return highest_promise_; }
  const BallotKey& leader() const { return leader_; }

 private:
  void Live(const char* deed) {
    if (checker_.dead_.count(member_) == 0) return;
    checker_.world_.Fail(
        absl::StrCat(disk_, " ", deed, " as a member whose disk was lost"));
  }

  LogAgreement& checker_;
  const std::string disk_;
  std::string member_;
  BallotKey promised_;
  std::map<uint64_t, BallotKey> voted_;
  // Whatever became of it since.
  BallotKey highest_promise_;
  std::set<std::pair<uint64_t, std::string>> votes_;
  std::set<uint64_t> learned_;
  BallotKey leader_;
};

LogAgreement::LogAgreement(World& world) : world_(world) {}
LogAgreement::~LogAgreement() = default;

log::LogObserver* LogAgreement::Observe(const std::string& disk) {
  auto& observer = observers_[disk];
  if (observer == nullptr) {
    observer = std::make_unique<Observer>(*this, disk);
  }
  return observer.get();
}

void LogAgreement::DiskLost(const std::string& disk) {
  auto observer = observers_.find(disk);
  if (observer == observers_.end() || observer->second->member().empty()) {
    return;
  }
  const std::string& member = observer->second->member();
  lost_.insert(disk);
  // A clone of the disk may be there yet.
  const bool elsewhere =
      std::any_of(observers_.begin(), observers_.end(), [&](const auto& other) {
        return lost_.count(other.first) == 0 &&
               other.second->member() == member;
      });
  if (!elsewhere) dead_.insert(member);
}

void LogAgreement::DiskRolledBack(const std::string& disk) {
  auto observer = observers_.find(disk);
  if (observer != observers_.end()) observer->second->RolledBack();
}

void LogAgreement::DiskCopied(const std::string& from, const std::string& to) {
  auto original = observers_.find(from);
  if (original == observers_.end() || original->second->member().empty()) {
    return;
  }
  Observe(to)->OnOpened(original->second->member());
}

void LogAgreement::Learned(const std::string& disk, uint64_t position,
                           const log::EntryProto& parsed,
                           const std::string& entry) {
  auto [known, is_new] = learned_.emplace(position, entry);
  if (!is_new) {
    if (known->second == entry) return;
    return world_.Fail(absl::StrCat("at position ", position, " ", disk,
                                    " learned another entry than others did"));
  }
  if (!parsed.IsInitialized()) {
    return world_.Fail(absl::StrCat("position ", position, " holds no entry"));
  }
  // The genesis is nobody's vote.
  const Position& at = positions_[position];
  if (position > 0 && at.chosen != log::EntryHash(parsed)) {
    world_.Fail(absl::StrCat("at position ", position, " ", disk,
                             " learned what no quorum has voted for"));
  }
  if (appends_differ && parsed.type() == log::APPEND) {
    for (const std::string& payload : parsed.payload()) {
      if (payloads_.insert(payload).second) continue;
      world_.Fail(absl::StrCat("'", payload, "' is in the log twice, again at ",
                               position));
    }
  }
  if (on_entry) on_entry(position, parsed);
}

void LogAgreement::Configured(const std::string& disk, uint64_t position,
                              const std::vector<std::string>& members) {
  auto [known, is_new] = configs_.emplace(position, members);
  if (is_new || known->second == members) return;
  world_.Fail(absl::StrCat("from position ", position, " on ", disk,
                           " counts other members than others do"));
}

void LogAgreement::Proposed(uint64_t position, const BallotKey& ballot,
                            const std::string& hash,
                            const std::vector<std::string>& members) {
  Position& at = positions_[position];
  auto [proposal, is_new] =
      at.proposals.emplace(ballot, Proposal{hash, members, {}});
  if (!is_new && proposal->second.hash != hash) {
    world_.Fail(absl::StrCat("round ", ballot.first,
                             " proposed two entries at position ", position));
  }
  if (!at.chosen.empty() && at.chosen_at < ballot && at.chosen != hash) {
    world_.Fail(absl::StrCat("round ", ballot.first,
                             " proposed another entry at position ", position,
                             " than the one that round ", at.chosen_at.first,
                             " has chosen"));
  }
}

void LogAgreement::Voted(const std::string& member, uint64_t position,
                         const BallotKey& ballot, const std::string& hash) {
  Position& at = positions_[position];
  auto proposal = at.proposals.find(ballot);
  if (proposal == at.proposals.end() || proposal->second.hash != hash) {
    return world_.Fail(absl::StrCat("a vote at position ", position,
                                    " for what round ", ballot.first,
                                    " has not proposed"));
  }
  const std::vector<std::string>& members = proposal->second.members;
  if (std::count(members.begin(), members.end(), member) == 0) return;
  std::set<std::string>& votes = proposal->second.votes;
  votes.insert(member);
  if (votes.size() < members.size() / 2 + 1) return;
  if (at.chosen.empty()) {
    at.chosen = hash;
    at.chosen_at = ballot;
  } else if (at.chosen != hash) {
    world_.Fail(absl::StrCat("two entries were chosen at position ", position,
                             ", in rounds ", at.chosen_at.first, " and ",
                             ballot.first));
  }
  at.chosen_at = std::min(at.chosen_at, ballot);
}

bool LogAgreement::Holds(uint64_t position, const std::string& payload) const {
  auto known = learned_.find(position);
  log::EntryProto entry;
  if (known == learned_.end() || !entry.ParseFromString(known->second)) {
    return false;
  }
  return entry.type() == log::APPEND &&
         std::count(entry.payload().begin(), entry.payload().end(), payload) >
             0;
}

bool LogAgreement::IsEpoch(uint64_t position) const {
  auto known = learned_.find(position);
  log::EntryProto entry;
  return known != learned_.end() && entry.ParseFromString(known->second) &&
         entry.type() == log::LEADER;
}

const std::vector<std::string>& LogAgreement::members() const {
  static const auto& none = *new std::vector<std::string>;
  return configs_.empty() ? none : configs_.rbegin()->second;
}

const LogAgreement::Observer* LogAgreement::Find(
    const std::string& disk) const {
  auto observer = observers_.find(disk);
  return observer == observers_.end() ? nullptr : observer->second.get();
}

std::string LogAgreement::MemberOn(const std::string& disk) const {
  const Observer* observer = Find(disk);
  return observer == nullptr ? "" : observer->member();
}

std::set<uint64_t> LogAgreement::Chosen() const {
  std::set<uint64_t> chosen;
  for (const auto& [position, entry] : learned_) chosen.insert(position);
  for (const auto& [position, at] : positions_) {
    if (!at.chosen.empty()) chosen.insert(position);
  }
  return chosen;
}

bool LogAgreement::HasHeld(const std::string& disk, uint64_t position) const {
  const Observer* observer = Find(disk);
  return observer != nullptr &&
         (observer->learned().count(position) != 0 || HasVoted(disk, position));
}

bool LogAgreement::HasVoted(const std::string& disk, uint64_t position) const {
  const Observer* observer = Find(disk);
  auto at = positions_.find(position);
  return observer != nullptr && at != positions_.end() &&
         observer->HasVoted(position, at->second.chosen);
}

LogAgreement::BallotKey LogAgreement::Promised(const std::string& disk) const {
  const Observer* observer = Find(disk);
  return observer == nullptr ? BallotKey() : observer->promised();
}

LogAgreement::BallotKey LogAgreement::LeaderLearned(
    const std::string& disk) const {
  const Observer* observer = Find(disk);
  return observer == nullptr ? BallotKey() : observer->leader();
}

}  // namespace quorate::sim
