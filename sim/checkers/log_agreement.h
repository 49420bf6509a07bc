// The log's safety, as seen from outside every replica.
//
// * Agreement: at each position every replica that ever learned an entry
//   learned the same one, which a quorum has voted for; and who votes from a
//   position on is the same for all.
// * Promises and votes: what a replica has made durable never decreases, over
//   crashes too.
// * Proposals: one ballot proposes one entry at a position; once a quorum of
//   the position's members has voted for an entry in one ballot, every higher
//   ballot proposes that entry.
// * Durability: an acknowledged entry is the one that is learned at its
//   position, by everybody, for ever; and it is there once.
// * Identity: a member whose disk was lost never votes again.

#ifndef QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_
#define QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/log/log_node.h"
#include "sim/world.h"

namespace quorate::sim {

class LogAgreement {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit LogAgreement(World& world);
  ~LogAgreement();

  // To be given to the replica with that disk in every life it has. A disk
  // that was wiped is another one.
  log::LogObserver* Observe(const std::string& disk);

  // A client was told that its entry is chosen at that position.
  void Acknowledged(uint64_t position, const std::string& payload);
  // That disk is gone: whoever had it must not vote any more. One that was
  // rolled back or copied may vote until it is found out: its promises and
  // votes are not held against it.
  void DiskLost(const std::string& disk);
  void DiskRolledBack(const std::string& disk);

  // Positions that anybody has learned.
  size_t learned() const { return learned_.size(); }
  size_t acknowledged() const { return acknowledged_.size(); }

 private:
  class Observer;
  using BallotKey = std::pair<uint64_t, std::string>;
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

  void Learned(const std::string& disk, uint64_t position,
               const std::string& entry);
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
  std::map<std::string, uint64_t> acknowledged_;  // payload -> position
  std::set<std::string> lost_;                    // disks
  std::set<std::string> dead_;                    // members without a disk
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_LOG_AGREEMENT_H_
