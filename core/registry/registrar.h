// The cluster's durable state: operations folded over the replicated log. The
// leader writes a snapshot now and then, and truncates the log to it.
//
//   registrar.Recover(my_info, [&](auto epoch) {...});   // when elected
//   registrar.Apply(operation, [&](auto applied) {...});

#ifndef QUORATE_CORE_REGISTRY_REGISTRAR_H_
#define QUORATE_CORE_REGISTRY_REGISTRAR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/log_node.h"
#include "core/registry/registry.pb.h"
#include "io/environment.h"

namespace quorate::registry {

// An entry of the log. DataLoss: no registry wrote it. Unimplemented: a newer
// release did, and said more than this one knows, however deep inside; with
// what is left of it this replica's state would silently be another.
absl::StatusOr<Batch> ParseBatch(absl::string_view entry);

// The state as looked up by the master. Pure; used by the registrar and by
// tests.
class RegistryState {
 public:
  // OK when the operation changed the state. AlreadyExists (admitting a known
  // or gone id, anything for a framework that has ended), NotFound (an unknown
  // id) leave it as it was: part of an operation's outcome, the same on every
  // replica.
  absl::Status Apply(const Operation& operation);

  const std::map<std::string, Registry::Agent>& admitted() const {
    return admitted_;
  }
  const std::map<std::string, mesos::v1::TimeInfo>& unreachable() const {
    return unreachable_;
  }
  const std::map<std::string, mesos::v1::TimeInfo>& gone() const {
    return gone_;
  }
  const std::map<std::string, Registry::Framework>& frameworks() const {
    return frameworks_;
  }
  // Oldest first; as many as the latest EndFramework said.
  const std::deque<Registry::EndedFramework>& ended_frameworks() const {
    return ended_;
  }
  bool HasEnded(const std::string& framework_id) const {
    return ended_ids_.count(framework_id) != 0;
  }
  // The latest to introduce itself.
  const std::optional<mesos::v1::MasterInfo>& master() const { return master_; }
  Registry ToProto() const;

  // The parts of a snapshot, in order; as entries of the log at most `bytes`
  // each, unless one agent or framework alone is larger.
  std::vector<Snapshot> ToParts(size_t bytes) const;
  // Adds what a part holds.
  void Add(const Snapshot& part);

 private:
  static absl::Status Unknown(const std::string& id);
  absl::Status Admit(const AdmitAgent& admit);
  absl::Status MarkReachable(const MarkAgentReachable& mark);
  absl::Status MarkUnreachable(const MarkAgentUnreachable& mark);
  absl::Status MarkGone(const MarkAgentGone& mark);
  absl::Status Remove(const std::string& id);
  absl::Status Update(const UpdateAgent& update);
  absl::Status Forget(const Prune& prune);
  absl::Status Update(const UpdateFramework& update);
  absl::Status End(const EndFramework& end);
  absl::Status Forget(const ForgetFramework& forget);

  std::optional<mesos::v1::MasterInfo> master_;
  std::map<std::string, Registry::Agent> admitted_;  // by agent id
  std::map<std::string, mesos::v1::TimeInfo> unreachable_;
  std::map<std::string, mesos::v1::TimeInfo> gone_;
  std::map<std::string, Registry::Framework> frameworks_;  // by framework id
  std::deque<Registry::EndedFramework> ended_;
  std::set<std::string> ended_ids_;
};

// Puts the parts of a snapshot together again. Pure.
class SnapshotAssembly {
 public:
  // The state, when this is the last part and all before it have come.
  std::optional<RegistryState> Add(const Snapshot& part);
  // The rest does not come any more.
  void Drop() { staged_.reset(); }

 private:
  std::optional<RegistryState> staged_;
};

// Sees what one registrar is asked, what it answers, and what it takes from the
// log: for the simulator's checkers.
class RegistryObserver {
 public:
  virtual ~RegistryObserver() = default;
  // This is to be persisted. The ticket stands for it in OnAnswered.
  virtual uint64_t OnAsked(const Operation& operation) = 0;
  // The answer to that. If it is a durable fact, the operation is the
  // `index`-th of the batch at `position` of the log.
  virtual void OnAnswered(uint64_t ticket, const absl::Status& outcome,
                          uint64_t position, size_t index) = 0;
  // The operations of the batch at that position had these outcomes.
  virtual void OnApplied(uint64_t position,
                         const std::vector<absl::Status>& outcomes) = 0;
  // The state, with everything up to that position: taken over from a
  // snapshot, or what a new leader begins with.
  virtual void OnState(uint64_t position, const RegistryState& state) = 0;
};

class Registrar final : public log::LogNode::Listener {
 public:
  struct Options {
    io::Duration fetch_timeout = std::chrono::minutes(1);
    io::Duration store_timeout = std::chrono::seconds(20);
    // Operations of more bytes than this, and than the latest snapshot has,
    // are followed by a new one: it costs at most as much as they did.
    size_t snapshot_threshold = 4 << 20;
    // A snapshot is written in entries of about this size.
    size_t snapshot_part_bytes = 4 << 20;
    // Outlives the registrar; may be null.
    RegistryObserver* observer = nullptr;
  };
  struct Leader {
    mesos::v1::MasterInfo info;
    uint64_t epoch = 0;
  };
  using OnRecovered = std::function<void(absl::StatusOr<uint64_t> epoch)>;
  using OnApplied = std::function<void(const absl::Status&)>;
  // Leadership of the log was lost after Recover had succeeded. Recovering
  // again is allowed.
  using OnLost = std::function<void(const absl::Status&)>;
  // The log has another leader, or is heard to have none: then nullopt. Until
  // the leader has introduced itself it is not known who that is.
  using OnLeader = std::function<void(const std::optional<Leader>&)>;
  // This replica of the log has a vote, and gives it; or not any more. Not
  // before the first call.
  using OnVote = std::function<void(bool voting)>;

  Registrar(io::Environment& environment, Options options,
            log::LogOptions log_options, OnLost on_lost,
            OnLeader on_leader = nullptr, OnVote on_vote = nullptr);
  ~Registrar() override;

  log::LogNode& log() { return *log_; }
  const log::LogNode& log() const { return *log_; }

  // Leads the log and writes `info` as the leading master. DeadlineExceeded
  // after fetch_timeout; Aborted when another master took over before the
  // introduction was written; FailedPrecondition when this one is not among
  // the log's members. With log::LogOptions::builtin_election it waits, for as
  // long as it takes, until the log has elected this replica.
  void Recover(const mesos::v1::MasterInfo& info, OnRecovered done);

  // Leads no more, and does not try to: what waits is answered Aborted, a
  // Recover under way not at all.
  void Resign();

  // Applies and persists; answers in order. OK and the outcomes of
  // RegistryState::Apply are durable facts. Aborted: leadership lost, outcome
  // unknown. DeadlineExceeded after store_timeout, outcome unknown. Not tried
  // at all, and said from inside the call: FailedPrecondition (not leading),
  // ResourceExhausted (too many wait), InvalidArgument (too large). What this
  // release does not know is left out: the log holds nothing that its writer
  // cannot read.
  // Operations that wait share one log entry; they also wait for a snapshot
  // that is being written, each entry of which may take store_timeout.
  void Apply(Operation operation, OnApplied done);

  // Operations that wait for an entry, and how many may.
  size_t queued() const { return queue_.size(); }
  size_t queued_bytes() const { return queued_bytes_; }
  static constexpr size_t kMaxQueued = 100000;
  static constexpr size_t kMaxQueuedBytes = 256 << 20;

  // Every committed operation so far; on a standby it trails the leader's.
  const RegistryState& state() const { return state_; }

  void OnCommitted(uint64_t position, absl::string_view payload) override;
  void OnBase(uint64_t base) override;
  void OnLostLeadership(const absl::Status& reason) override;
  void OnLeading(uint64_t epoch) override;
  void OnLeaderChanged(const std::string& address, uint64_t epoch) override;
  void OnVoting(bool voting) override;

 private:
  struct Pending {
    Operation operation;
    OnApplied done;
    absl::Status outcome;
    // Where the operation lies in the log, once it does.
    uint64_t position = 0;
    size_t index = 0;
    uint64_t ticket = 0;  // the observer's
    size_t bytes = 0;
  };

  void Introduce(uint64_t epoch);
  void FinishRecovery(absl::StatusOr<uint64_t> epoch);
  void TellLeader();
  void Enqueue(Operation operation, OnApplied done);
  void Answer(const Pending& pending, const absl::Status& outcome);
  void StoreNext();
  void StoreBatch();
  void Store(const Batch& batch);
  void OnStored(const absl::Status& status);
  bool SnapshotDue() const;
  void BeginSnapshot();
  void StorePart();
  void OnPartStored(const absl::Status& status);
  void GiveUpOldEntries();
  void OnOperations(uint64_t position, const Batch& batch);
  void OnSnapshotPart(uint64_t position, const Snapshot& part, size_t bytes);
  void FailQueue(const absl::Status& status);
  void Lose(const absl::Status& reason);

  io::Environment& environment_;
  const Options options_;
  const OnLost on_lost_;
  const OnLeader on_leader_;
  const OnVote on_vote_;
  const bool elects_itself_;  // The log.
  RegistryState state_;
  uint64_t applied_ = 0;  // the last position that holds anything of ours
  // Operations count from here on: the log begins at 0, or a snapshot has
  // come. Not known before the first entry.
  std::optional<bool> founded_;
  SnapshotAssembly assembly_;
  uint64_t assembly_position_ = 0;  // of the latest first part
  uint64_t assembly_bytes_ = 0;
  uint64_t snapshot_bytes_ = 0;   // of the latest whole snapshot
  uint64_t operation_bytes_ = 0;  // committed since
  mesos::v1::MasterInfo info_;    // To be introduced.
  OnRecovered recovered_;
  // Leads since then, and nobody has asked for it yet.
  std::optional<uint64_t> elected_;
  // The log's leader, and where the latest introduction lies.
  std::string leader_address_;
  uint64_t leader_epoch_ = 0;
  uint64_t introduced_ = 0;
  std::optional<std::string> told_leader_;  // Its id; empty for none.
  bool leading_ = false;                    // The log.
  bool acting_ = false;                     // Leading, and introduced.
  std::deque<Pending> queue_;
  size_t queued_bytes_ = 0;
  std::vector<Pending> storing_;  // In the log, not committed yet.
  // Of the snapshot being written; the first is in the log.
  std::deque<Snapshot> parts_;
  io::Timer fetch_timer_;
  io::Timer store_timer_;
  // Last: it calls back.
  std::unique_ptr<log::LogNode> log_;
};

}  // namespace quorate::registry

#endif  // QUORATE_CORE_REGISTRY_REGISTRAR_H_
