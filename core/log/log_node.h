// The replicated log: one ordered sequence of entries, agreed on by its
// members, each of which keeps a copy.
//
//   log::LogNode node(environment, {.directory = "/var/lib/mesos/log",
//                                   .quorum = 2, .address = self}, &listener);
//   node.Start();
//   node.SetPeers({...});             // whenever discovery learns more
//   node.Elect([&](auto epoch) {      // on the one that should lead
//     node.Append("hello", [](auto position) {...});
//   });
//
// Every node hears each committed client entry in order, leader or not, so
// that a standby is warm. The protocol is multi-Paxos with per-position
// membership; docs/replicated-log.md explains it. Members are decided in the
// log itself; an empty node that finds a formed log follows it as a learner,
// and an empty node that finds none helps to form one when exactly 2*quorum-1
// nodes see each other.

#ifndef QUORATE_CORE_LOG_LOG_NODE_H_
#define QUORATE_CORE_LOG_LOG_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate::log {

// Sees what a replica promises, votes for, proposes and learns: for the
// simulator's checkers. Ids and hashes are 16 bytes.
class LogObserver {
 public:
  virtual ~LogObserver() = default;
  // The replica's disk is open: who it is.
  virtual void OnOpened(const std::string& /*member_id*/) {}
  // This promise is durable.
  virtual void OnPromised(uint64_t round, const std::string& member) = 0;
  // This vote is durable, or was found on the disk when it was opened.
  virtual void OnVoted(uint64_t /*position*/, uint64_t /*round*/,
                       const std::string& /*member*/,
                       const std::string& /*hash*/) {}
  // This entry is about to be sent to `members`, who vote at the position.
  virtual void OnProposed(uint64_t /*position*/, uint64_t /*round*/,
                          const std::string& /*member*/,
                          const std::string& /*hash*/,
                          const std::vector<std::string>& /*members*/) {}
  // This entry is learned, in order of positions; from the first on in each
  // life of the process.
  virtual void OnLearned(uint64_t position, const std::string& entry) = 0;
  // These vote from that position on.
  virtual void OnConfig(uint64_t /*position*/,
                        const std::vector<std::string>& /*members*/) {}
};

struct LogOptions {
  // Created when missing; locked while the node lives.
  std::string directory;
  // What the operator declares: the log should have 2*quorum-1 members. Never
  // used to count votes.
  int quorum = 1;
  // Whether an empty node may take part in forming a new cluster.
  bool auto_initialize = true;
  // Where it is on record, outside of the log, which cluster this is: in words.
  // Empty: nowhere. Otherwise nothing is formed or joined before CheckRecord.
  std::string record;
  // Where other members reach this one.
  io::Endpoint address;
  // What this release speaks; another range only where releases are simulated.
  wire::Versions protocol;
  // Not empty: newcomers have to show the same one.
  std::string join_token;
  // Stands for leadership by itself, without Elect.
  bool builtin_election = false;
  // Whether the leader changes the members by itself when all of them declare
  // another --quorum.
  bool automatic_membership = true;
  // An automatic change drops a member only after that long a silence.
  io::Duration member_gone_after = std::chrono::minutes(10);

  io::Duration heartbeat_interval = std::chrono::milliseconds(200);
  // A leader that a quorum has not answered for that long steps down.
  io::Duration check_quorum_timeout = std::chrono::seconds(2);
  io::Duration retry_interval = std::chrono::milliseconds(200);
  // Without a leader's heartbeat for a random time between the two, a member
  // stands for leadership (builtin_election).
  io::Duration min_election_timeout = std::chrono::milliseconds(600);
  io::Duration max_election_timeout = std::chrono::milliseconds(900);
  // How long exactly 2*quorum-1 empty nodes must have seen each other.
  io::Duration formation_delay = std::chrono::seconds(1);
  // How long a change of the members may take before it is given up.
  io::Duration membership_timeout = std::chrono::seconds(60);
  // Every record is read, and repaired from a peer if damaged, that often.
  io::Duration scrub_interval = std::chrono::hours(24);

  // On disk: two journal segments, and space set aside for truncation.
  uint64_t segment_bytes = uint64_t{32} << 20;
  uint64_t reserve_bytes = uint64_t{64} << 20;

  // Outlives the node; may be null.
  LogObserver* observer = nullptr;
};

// And at most half of a segment of the journal.
inline constexpr size_t kMaxEntryBytes = 16 << 20;
// Appends that wait to be proposed; more are refused.
inline constexpr size_t kMaxQueuedAppends = 100000;

// A view for operators and for the simulator's checkers.
struct LogStatus {
  std::string member_id;    // 16 bytes
  std::string cluster_id;   // 16 bytes, empty before genesis
  uint32_t generation = 0;  // `mesos-log force` and `restore` count it up
  enum class State {
    kOpening,
    kForming,
    kJoining,  // follows without a vote
    kFollowing,
    kElecting,
    kLeading,
    kQuarantined,  // its disk is not what it promised with
  };
  State state = State::kOpening;
  uint64_t promised_round = 0;
  std::string promised_member;
  uint64_t epoch = 0;  // of the leader that this node knows or is; 0: none
  std::string leader_address;        // empty: not known
  std::string leader_id;             // the same
  uint64_t base = 0;                 // positions below are truncated
  uint64_t learned_upto = 0;         // every position below is learned
  std::vector<std::string> members;  // ids, sorted
  uint64_t config_position = 0;
  bool voting = false;  // Its votes are given: the start handshake is over.
  // In words, why there is no progress ("waiting for 1 more member: ...").
  std::string explanation;
  // What an operator does about it; empty: nothing more is known.
  std::string remedy;

  struct Peer {
    std::string id;
    std::string address;
    bool member = false;
    // Of the leader's view: "ok", "behind", "silent", "not voting",
    // "disk full", "damaged", "learner"; of others' "up" or "silent".
    std::string state;
    io::Duration silent{};  // since it was heard
    uint64_t learned_upto = 0;
    int declared_quorum = 0;
    uint32_t protocol_version = 0;  // of the link to it; 0: there is none
  };
  std::vector<Peer> peers;
  // Who answers where another replica was looked for, and is none of this log:
  // another program, a replica of another log, an incompatible release.
  struct Refusal {
    std::string address;
    std::string reason;
  };
  std::vector<Refusal> refusals;
  int declared_quorum = 0;  // by this replica
  // By the names under which they are published, "log/..." .
  std::map<std::string, double> metrics;
};
const char* ToString(LogStatus::State state);

// A change of the members. Ids are 16 bytes.
struct MemberChange {
  std::vector<std::string> add;
  std::vector<std::string> remove;
  // More than one addition, removal or swap at once.
  bool bulk = false;
  std::string reason;
};

class LogNode {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // A client entry, chosen for ever. In order; appends that were written
    // together share a position. From the base on, each once in a process'
    // life.
    virtual void OnCommitted(uint64_t position, absl::string_view payload) = 0;
    // What is below was truncated before this node had it: whoever builds a
    // state from the entries starts over with what follows. The snapshot that
    // the truncation relied on is at or above `base`.
    virtual void OnBase(uint64_t /*base*/) {}
    // After a successful Elect, or one by builtin_election: another has taken
    // over, or a quorum is out of reach. Pending appends were answered Aborted
    // before. Electing again is allowed.
    virtual void OnLostLeadership(const absl::Status& reason) = 0;
    // builtin_election only: this node leads, with that epoch.
    virtual void OnLeading(uint64_t /*epoch*/) {}
    // LogStatus::leader_address and LogStatus::epoch have changed to these. The
    // epoch may be an earlier leader's until this node has learned the entry
    // that begins the new one.
    virtual void OnLeaderChanged(const std::string& /*address*/,
                                 uint64_t /*epoch*/) {}
    // LogStatus::voting has changed to this; false before the first call.
    virtual void OnVoting(bool /*voting*/) {}
  };

  using OnElected = std::function<void(absl::StatusOr<uint64_t> epoch)>;
  using OnAppended = std::function<void(absl::StatusOr<uint64_t> position)>;
  using OnDone = std::function<void(const absl::Status&)>;
  struct Committed {
    uint64_t position = 0;
    std::string payload;
  };
  struct Range {
    std::vector<Committed> entries;
    uint64_t next = 0;  // where to read on
  };
  using OnRead = std::function<void(absl::StatusOr<Range>)>;

  // All arguments outlive the node. A disk failure ends the process
  // (kExitDiskFailure): nothing can be promised any more.
  LogNode(io::Environment& environment, LogOptions options, Listener* listener);
  ~LogNode();

  // Opens the disk and begins to answer.
  void Start();

  // Where other members may be; replaces the earlier list. Votes are never
  // attributed to addresses.
  void SetPeers(const std::vector<io::Endpoint>& addresses);

  // What the record says: the cluster's id, 16 bytes, or empty when there is
  // none yet. Answers when the disk is open: FailedPrecondition, in words, when
  // this replica's log is of another cluster; OK when it is of that one, or of
  // none. May be told again; then only the last one is answered.
  void CheckRecord(std::string cluster_id, OnDone done);

  // A link whose handshake said Purpose::kLog.
  void Accept(std::unique_ptr<wire::Link> link);
  wire::Handshake MyHandshake() const;

  // Tries until it leads: calls back with the epoch (the position of its own
  // first entry) after every entry below has been delivered to OnCommitted.
  // Whoever leads is deposed; a higher ballot in the way is answered, after a
  // random pause, with a yet higher one: who should try is the caller's
  // decision. FailedPrecondition, at once, when this replica is no member or
  // quarantined. One election at a time; not with builtin_election.
  void Elect(OnElected done);

  // Gives up leadership, or an election under way, without OnLostLeadership
  // or OnElected; pending appends are answered Aborted.
  void Resign();
  // As Resign, after asking the member that is furthest to stand at once.
  void TransferLeadership();

  // FailedPrecondition when not leading, InvalidArgument when too large,
  // ResourceExhausted when too many are queued, and Aborted when leadership
  // was lost while the entry was under way: it may be chosen or not. Appends
  // that wait share the next position, in order.
  void Append(std::string payload, OnAppended done);

  // Gives up the entries below `to`, for ever and on every member. Whatever
  // is needed to rebuild a state has to be in the log at or above `to`.
  // OutOfRange when `to` is not a committed position; otherwise as Append.
  void Truncate(uint64_t to, OnAppended done);

  // Client entries of [from, to), from this node's disk; as many as fit into
  // a bounded answer. OutOfRange below the base or above what is learned;
  // DataLoss while damage is repaired, Unavailable while the disk is full. Not
  // linearizable: see Barrier.
  void Read(uint64_t from, uint64_t to, OnRead done);

  // Linearizable reads: answers OK, with everything delivered that was
  // committed when it was called, once a quorum has confirmed, after the
  // call, that this node leads. FailedPrecondition or Aborted otherwise.
  void Barrier(OnDone done);

  // On the leader. Answers OK when the change is decided and the removed
  // members may be stopped; otherwise says what is missing.
  void ChangeMembers(const MemberChange& change, OnDone done);

  LogStatus status() const;
  size_t queued_appends() const;
  // The names in LogStatus::metrics, also while the disk is being opened.
  static std::vector<std::string> MetricNames();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_LOG_NODE_H_
