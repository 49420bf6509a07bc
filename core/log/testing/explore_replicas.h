// The replicas of an exploration, as numbers: each state that a replica has
// ever been in, each message, and what each input does to each state.

#ifndef QUORATE_CORE_LOG_TESTING_EXPLORE_REPLICAS_H_
#define QUORATE_CORE_LOG_TESTING_EXPLORE_REPLICAS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/log/acceptor.h"
#include "core/log/proposer.h"
#include "core/log/testing/explore.h"

namespace quorate::log::testing {

// Bits: a replica for each.
using Replicas = uint8_t;
// Round and replica: ordered as ballots are.
using BallotNumber = uint16_t;
constexpr int kReplicaBits = 3;

// What happened, for the properties. Never forgotten.
struct Fact {
  enum class Kind : uint8_t { kProposed, kVoted, kLearned };
  Kind kind;
  uint8_t position;
  BallotNumber ballot;  // 0 for kLearned
  uint8_t value;
  uint8_t replica;  // that voted
};

// What can be done to a replica.
struct Input {
  enum class Kind : uint8_t {
    kDeliver,  // the message with that number
    kLearn,    // the kLearned fact with that number
    kElect,    // with that round
    kAppend,
    kConfigure,
    kRetry,
    kCrash,
    kReady,
    kWipe,
    kDamage,  // the vote at that position
    kLose,    // the same, without a trace
    kTruncate,
  };
  Kind kind;
  uint16_t what = 0;
};

struct Parcel {
  enum class Kind : uint8_t {
    kPromise,
    kQuery,
    kWrite,
    kPromiseReply,
    kQueryReply,
    kWriteReply
  };
  Kind kind;
  uint8_t from;
  uint8_t to;
  uint8_t position;
  BallotNumber ballot;
  LogMessage message;
};

class ReplicaTable {
 public:
  explicit ReplicaTable(const Bounds& bounds);

  // What the exploration has to know of a replica's state.
  struct Summary {
    bool gone = false;
    bool voting = true;
    BallotNumber promised = 0;
    uint8_t learned_upto = 0;
    bool member = false;      // of the configuration at learned_upto
    BallotNumber ballot = 0;  // of its proposer; 0: none
    Proposer::Phase phase = Proposer::Phase::kDeposed;
    uint8_t position = 0;   // of the proposer
    Replicas promises = 0;  // the proposer's
    Replicas votes = 0;
    bool can_append = false;
    uint32_t learned = 0;  // bits: positions
    uint32_t voted = 0;    // and whole
  };
  struct Result {
    uint32_t next = 0;
    std::vector<uint16_t> messages;
    std::vector<uint16_t> facts;
    std::string violation;
  };

  size_t replicas() const { return names_.size(); }
  // The number of a replica's first state.
  uint32_t Initial(int replica);
  const Result& Step(uint32_t state, Input input);

  const Summary& summary(uint32_t state) const { return summaries_[state]; }
  const Parcel& parcel(uint16_t message) const { return parcels_[message]; }
  const Fact& fact(uint16_t number) const { return facts_[number]; }
  // The members that an entry makes; 0 if it is no CONFIG.
  Replicas MembersBy(uint8_t value) const { return members_by_[value]; }
  Replicas genesis() const { return genesis_; }
  uint64_t machine_steps() const { return results_.size(); }
  std::string Text(int replica, Input input) const;

 private:
  struct Replica;
  class Run;

  uint8_t IndexOf(const MemberId& id) const;
  BallotNumber NumberOf(const Ballot& ballot) const;
  uint8_t ValueOf(const Entry& entry);
  uint16_t FactOf(const Fact& fact);
  uint16_t ParcelOf(const MemberId& from, const Outgoing& outgoing);
  uint32_t StateOf(std::unique_ptr<Replica> replica);
  Summary Summarize(const Replica& replica) const;

  const Bounds bounds_;
  std::vector<MemberId> names_;
  Replicas genesis_ = 0;
  std::map<std::string, uint32_t> state_numbers_;
  std::vector<std::shared_ptr<const Replica>> states_;
  std::vector<Summary> summaries_;
  std::map<std::string, uint16_t> parcel_numbers_;
  std::vector<Parcel> parcels_;
  std::map<std::string, uint16_t> fact_numbers_;
  std::vector<Fact> facts_;
  std::map<std::string, uint8_t> value_numbers_;
  std::vector<Entry> values_;
  std::vector<Replicas> members_by_;
  std::unordered_map<uint64_t, Result> results_;
};

}  // namespace quorate::log::testing

#endif  // QUORATE_CORE_LOG_TESTING_EXPLORE_REPLICAS_H_
