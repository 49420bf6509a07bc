// The replicated log: one ordered sequence of entries, agreed on by the
// masters, each of which keeps a copy.
//
//   log::LogNode node(environment, {.directory = "/var/lib/mesos/log",
//                                   .quorum = 2, .address = self}, &listener);
//   node.Start();
//   node.SetPeers({...});             // whenever discovery learns more
//   node.Elect([&](auto epoch) {      // on the master that should lead
//     node.Append("hello", [](auto position) {...});
//   });
//
// Every node hears each committed client entry in order, leader or not, so
// that a standby is warm. The protocol is multi-Paxos with per-position
// membership; docs/replicated-log.md explains it. Members are those of the
// genesis entry; an empty node that finds no formed cluster helps to form one
// when exactly 2*quorum-1 nodes see each other.

#ifndef QUORATE_CORE_LOG_LOG_NODE_H_
#define QUORATE_CORE_LOG_LOG_NODE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/wire/link.h"
#include "io/environment.h"

namespace quorate::log {

// Sees what a replica promises and learns: for the simulator's checkers.
class LogObserver {
 public:
  virtual ~LogObserver() = default;
  // This promise is durable.
  virtual void OnPromised(uint64_t round, const std::string& member) = 0;
  // This entry is learned, in order of positions.
  virtual void OnLearned(uint64_t position, const std::string& entry) = 0;
};

struct LogOptions {
  // Created when missing; locked while the node lives.
  std::string directory;
  // What the operator declares: the log is formed by 2*quorum-1 members.
  // Never used to count votes afterwards.
  int quorum = 1;
  // Whether an empty node may take part in forming a new cluster.
  bool auto_initialize = true;
  // Where other members reach this one.
  io::Endpoint address;

  io::Duration heartbeat_interval = std::chrono::milliseconds(500);
  // A leader that a quorum has not answered for that long steps down.
  io::Duration check_quorum_timeout = std::chrono::seconds(2);
  io::Duration retry_interval = std::chrono::milliseconds(200);
  // How long exactly 2*quorum-1 empty nodes must have seen each other.
  io::Duration formation_delay = std::chrono::seconds(1);

  // Outlives the node; may be null.
  LogObserver* observer = nullptr;
};

inline constexpr size_t kMaxEntryBytes = 16 << 20;

// A view for operators and for the simulator's checkers.
struct LogStatus {
  std::string member_id;   // 16 bytes
  std::string cluster_id;  // 16 bytes, empty before genesis
  enum class State {
    kOpening,
    kForming,
    kJoining,
    kFollowing,
    kElecting,
    kLeading
  };
  State state = State::kOpening;
  uint64_t promised_round = 0;
  std::string promised_member;
  uint64_t epoch = 0;  // of the leader that this node knows or is; 0: none
  uint64_t learned_upto = 0;         // every position below is learned
  std::vector<std::string> members;  // ids, sorted
  // In words, why there is no progress ("waiting for 1 more member: ...").
  std::string explanation;
};

class LogNode {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // A client entry, chosen for ever. In order of positions, each once in a
    // process' life, from the first entry on.
    virtual void OnCommitted(uint64_t position, absl::string_view payload) = 0;
    // After a successful Elect: another has taken over, or a quorum is out of
    // reach. Pending appends were answered Aborted before. Electing again is
    // allowed.
    virtual void OnLostLeadership(const absl::Status& reason) = 0;
  };

  using OnElected = std::function<void(absl::StatusOr<uint64_t> epoch)>;
  using OnAppended = std::function<void(absl::StatusOr<uint64_t> position)>;

  // All arguments outlive the node. A disk failure ends the process
  // (kExitDiskFailure): nothing can be promised any more.
  LogNode(io::Environment& environment, LogOptions options, Listener* listener);
  ~LogNode();

  // Opens the disk and begins to answer.
  void Start();

  // Where other members may be; replaces the earlier list. Votes are never
  // attributed to addresses.
  void SetPeers(const std::vector<io::Endpoint>& addresses);

  // A link whose handshake said Purpose::kLog.
  void Accept(std::unique_ptr<wire::Link> link);
  wire::Handshake MyHandshake() const;

  // Tries until it leads: calls back with the epoch (the position of its own
  // first entry) after every entry below has been delivered to OnCommitted.
  // Whoever leads is deposed; a higher ballot in the way is answered, after a
  // random pause, with a yet higher one: who should try is the caller's
  // decision. FailedPrecondition, at once, when this replica is no member.
  // One election at a time.
  void Elect(OnElected done);

  // Gives up leadership, or an election under way, without OnLostLeadership
  // or OnElected; pending appends are answered Aborted.
  void Resign();

  // FailedPrecondition when not leading, InvalidArgument when too large,
  // ResourceExhausted when too many are queued, and Aborted when leadership
  // was lost while the entry was under way: it may be chosen or not.
  void Append(std::string payload, OnAppended done);

  LogStatus status() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_LOG_NODE_H_
