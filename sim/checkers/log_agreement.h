// C1: the log's safety, as seen from outside every replica.
//
//   LogAgreement agreement(world);
//   options.observer = agreement.Observe("replica0/disk0");
//
// * Agreement: at each position every replica that ever learned an entry
//   learned the same one, which a quorum has voted for; and who votes from a
//   position on is the same for all.
// * Promises and votes: what a replica has made durable never decreases, over
//   crashes too.
// * Proposals: one ballot proposes one entry at a position; once a quorum of
//   the position's members has voted for an entry in one ballot, every higher
//   ballot proposes that entry.
// * Each client entry is in the log once, where clients append nothing twice.
// * Identity: a member whose disk was lost never votes again.

#ifndef QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_
#define QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/log/log_node.h"
#include "sim/world.h"

namespace quorate::log {
class EntryProto;
}

namespace quorate::sim {

class LogAgreement {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit LogAgreement(World& world);
  ~LogAgreement();

  // To be given to the replica with that disk in every life it has. A disk
  // that was wiped is another one.
  log::LogObserver* Observe(const std::string& disk);

  // Whether no client appends the same bytes twice.
  bool appends_differ = true;
  // Told of each entry when somebody first learns it, in order of positions.
  std::function<void(uint64_t position, const log::EntryProto& entry)> on_entry;

  // That disk is gone: whoever had it must not vote any more. One that was
  // rolled back or copied may vote until it is found out: the promises and
  // votes that it has given by now are not held against it, later ones are.
  void DiskLost(const std::string& disk);
  void DiskRolledBack(const std::string& disk);
  // A backup of that member's disk is put back, which may have been lost since.
  void DiskRestored(const std::string& member) { dead_.erase(member); }
  // Whoever runs from the copy is the same member, once it runs.
  void DiskCopied(const std::string& from, const std::string& to);

  // Positions that anybody has learned.
  size_t learned() const { return learned_.size(); }
  // Of what was learned there: whether it holds that client entry; whether it
  // is the first entry of a leader.
  bool Holds(uint64_t position, const std::string& payload) const;
  bool IsEpoch(uint64_t position) const;
  // The members that decide what comes next, as far as anybody has learned;
  // empty before there are any.
  const std::vector<std::string>& members() const;
  // Who has, or had, that disk; empty before it was opened.
  std::string MemberOn(const std::string& disk) const;
  // The positions at which an entry was chosen, learned by anybody or not.
  std::set<uint64_t> Chosen() const;
  // Whether that disk has ever held a vote for what is chosen at the position,
  // or the entry itself as learned.
  bool HasHeld(const std::string& disk, uint64_t position) const;
  // The vote alone.
  bool HasVoted(const std::string& disk, uint64_t position) const;
  // The highest promise that was ever durable on that disk.
  using BallotKey = std::pair<uint64_t, std::string>;
  BallotKey Promised(const std::string& disk) const;
  // The ballot of the latest leader's entry that the disk's replica has
  // learned; {} if none.
  BallotKey LeaderLearned(const std::string& disk) const;

 private:
  class Observer;
  struct Proposal {
    std::string hash;
    std::vector<std::string> members;
    std::set<std::string> votes;  // of members
  };
  struct Position {
    std::map<BallotKey, Proposal> proposals;
    // Of the lowest ballot that was chosen; empty: none yet.
    BallotKey chosen_at;
    std::string chosen;
  };

  const Observer* Find(const std::string& disk) const;
  void Learned(const std::string& disk, uint64_t position,
               const log::EntryProto& parsed, const std::string& entry);
  void Proposed(uint64_t position, const BallotKey& ballot,
                const std::string& hash,
                const std::vector<std::string>& members);
  void Voted(const std::string& member, uint64_t position,
             const BallotKey& ballot, const std::string& hash);
  void Configured(const std::string& disk, uint64_t position,
                  const std::vector<std::string>& members);

  World& world_;
  std::map<std::string, std::unique_ptr<Observer>> observers_;
  std::map<uint64_t, std::string> learned_;
  std::set<std::string> payloads_;  // each is appended once
  std::map<uint64_t, std::vector<std::string>> configs_;
  std::map<uint64_t, Position> positions_;
  std::set<std::string> lost_;  // disks
  std::set<std::string> dead_;  // members without a disk
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_
