// The role behind LogNode: it owns the machines, feeds them messages, timers
// and completed writes, and carries out what they ask for.

#ifndef QUORATE_CORE_LOG_LOG_CORE_H_
#define QUORATE_CORE_LOG_LOG_CORE_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/log/acceptor.h"
#include "core/log/election.h"
#include "core/log/formation.h"
#include "core/log/handshake.h"
#include "core/log/log_node.h"
#include "core/log/membership.h"
#include "core/log/peers.h"
#include "core/log/persistence.h"
#include "core/log/proposer.h"
#include "core/log/reads.h"
#include "io/random.h"

namespace quorate::log {

class LogNode::Core final : public Peers::Listener,
                            public Persistence::Listener {
 public:
  Core(io::Environment& environment, LogOptions options,
       LogNode::Listener* listener);
  ~Core() override;

  void Start();
  void Elect(OnElected done);
  void Resign();
  void TransferLeadership();
  void Append(std::string payload, OnAppended done);
  void Truncate(uint64_t to, OnAppended done);
  void Read(uint64_t from, uint64_t to, LogNode::OnRead done);
  void Barrier(OnDone done);
  void ChangeMembers(const MemberChange& change, OnDone done);
  LogStatus status() const;
  size_t queued_appends() const { return appends_.size(); }
  wire::Handshake MyHandshake() const;
  Peers& peers() { return peers_; }
  void CheckRecord(std::string cluster_id, OnDone done);
  void SetPeers(const std::vector<io::Endpoint>& addresses);

  void OnPeerUp() override;
  void OnPeerDown(const MemberId& member) override;
  void OnMessage(absl::string_view payload, MemberId* from) override;

  void OnDurable(const DurableWrite& write) override;
  void OnDiskFailed(const absl::Status& status) override;
  void OnDiskFull(bool full) override;
  std::map<uint64_t, Slot> Unsettled() override;
  uint64_t SettledUpto() override;

 private:
  // One append, or a truncation: those are written alone.
  struct PendingAppend {
    EntryType type = APPEND;
    std::string payload;
    OnAppended done;
  };
  // What is known of another replica, from its own messages.
  struct PeerFacts {
    io::Instant heard;
    io::Instant said_hello;  // good or not
    std::string address;
    uint64_t learned_upto = 0;
    int declared_quorum = 0;
    bool silent = false;
    bool disk_full = false;
    uint64_t damaged = 0;
    MemberStatus status = ACTIVE;
    bool admitted = false;  // a Hello of it was good enough
  };

  // The largest bytes of entries in one answer to Fetch, or in one Read.
  static constexpr size_t kFetchBytes = 4 << 20;
  static constexpr size_t kMaxFetches = 64;
  // Entries that were fetched and are not stored yet; more are asked for when
  // there are fewer.
  static constexpr uint64_t kMaxBacklogBytes = 32 << 20;
  static constexpr size_t kMaxWaiting = 10000;
  static constexpr size_t kMaxAppends = kMaxQueuedAppends;
  // Appends that share a position.
  static constexpr size_t kMaxBatch = 4096;
  static constexpr size_t kMaxBatchBytes = 2 << 20;
  // A vote for them has to fit into a segment of the journal.
  size_t max_batch_bytes() const {
    return std::min<uint64_t>(kMaxBatchBytes, options_.segment_bytes / 8);
  }
  size_t max_entry_bytes() const {
    return std::min<uint64_t>(kMaxEntryBytes, options_.segment_bytes / 2);
  }
  static constexpr size_t kMaxPeerFacts = 200;
  static constexpr size_t kMaxRequests = 100;

  const SuperblockProto& identity() const { return persistence_.identity(); }
  const MemberId& me() const { return identity().member_id(); }
  bool active() const { return !cluster_id_.empty(); }
  bool quarantined() const { return identity().status() == QUARANTINED; }
  std::string Outdated() const;
  // A later generation of this log was heard of.
  bool outdated() const { return newest_generation_ > identity().generation(); }
  // Of the next position to be applied.
  const Config& config() const { return configs_.rbegin()->second; }
  uint64_t config_position() const { return configs_.rbegin()->first; }
  bool Votes(const MemberId& id) const;
  // This one has a vote, and gives it.
  bool Voting() const;
  MemberId FreshId();
  // What can be delivered next is below.
  uint64_t WholeUpto() const { return acceptor_->WholeUpto(applied_); }
  // Learned below, whatever happens to the power.
  uint64_t StoredUpto() const;
  io::Instant Now() const { return environment_.clock().Now(); }

  // Opening (log_core.cc).
  void AnswerRecord();
  void OnOpened(ReplicaState state);
  void BecomeActive();
  void UpdateVoting();
  void BeReady();
  void LearnGenesis();
  void OnFormation(Formation::Output output);
  void SaveIdentity(SuperblockProto identity, std::function<void()> done);
  void Fail(int code, const absl::Status& status);
  void Tick();
  void NoteSight();
  void WatchForLeader();
  void GiveUpUnheard();

  // Messages (log_messages.cc).
  void Handle(LogMessage* message);
  void OnOtherGeneration(const LogMessage& message);
  bool Admit(const LogMessage& message);
  void HandleActive(LogMessage* message);
  void HandleReply(const LogMessage& message);
  void OnHello(const LogMessage& message);
  void OnHelloReply(const LogMessage& message);
  void OnWrite(const MemberId& from, Write* write,
               std::vector<Outgoing>* answers);
  void OnLearnedMessage(const MemberId& from, const Learned& learned);
  void OnHeartbeat(const MemberId& from, const Heartbeat& heartbeat);
  void OnHeartbeatReply(const LogMessage& message);
  void OnPreVote(const LogMessage& message);
  void OnPromise(const MemberId& from, const Promise& promise,
                 std::vector<Outgoing>* answers);
  void OnTransfer(const Transfer& transfer);
  void SendHello();
  void AnswerHello(const MemberId& to, bool refused);
  HelloReply WhatIsSeenOf(const MemberId& id) const;
  void TellEach(const MemberId& id, bool cloned);
  void Stamp(LogMessage* message) const;
  void Transmit(Outgoing outgoing);
  void Release();
  void Broadcast(LogMessage message);
  void Quarantine(const std::string& reason);

  // Entries from elsewhere, and repair (log_catch_up.cc).
  void ServeFetch(const MemberId& from, const Fetch& fetch);
  bool FetchFrom(const MemberId& from, uint64_t position, uint64_t end);
  void AskAnother();
  void NoteDamaged(uint64_t position);
  void OnFetchReply(const MemberId& from, FetchReply* reply);
  void AdoptBase(const Base& base);
  Base BaseInForce() const;
  void CatchUp();
  void Repair();
  void Scrub();
  void NoteCommit(uint64_t commit, const MemberId& from);

  // Machines (log_core.cc).
  void Settle();
  void Absorb();
  bool Apply();
  void ReadAhead();
  void ApplyEntry(uint64_t position, const EntryProto& entry);
  void ApplyConfig(uint64_t position, const EntryProto& entry);
  void OnConfigInForce(uint64_t position);
  void StoreConfig();
  void ApplyTruncation(uint64_t position, const EntryProto& entry);
  void TruncateTo(uint64_t to);
  void Check(const absl::Status& learned);
  void Carry(Proposer::Output output);
  void ObserveOpened();
  void Observe(const Outgoing& message);
  void Flush();
  void TellLeader();
  void TellVoting();

  // Leading (log_leading.cc).
  void TryToLead();
  void StandByItself(const Election::Output& output);
  void OnDeposed(const absl::Status& reason);
  void NextEntry();
  void NextAppend();
  void AnswerAppends();
  void FailAppends(const absl::Status& status);
  void Lead();
  void CheckQuorum();
  void SendHeartbeat();
  void CarryMembership(Membership::Output output);
  void CarryReads(ReadIndex::Output output);
  void FailRequests(const absl::Status& status);
  void SendNotice();

  // For operators (log_status.cc).
  Explanation Explain() const;
  std::string ExplainElecting() const;
  std::string ExplainFollowing() const;
  std::string ExplainHandshake() const;
  // Empty when nobody leads, as far as it is known here.
  absl::string_view LeaderAddress() const;
  LogStatus::State State() const;
  LogStatus::Peer Describe(const MemberId& id, const PeerFacts& facts) const;
  std::map<std::string, double> Metrics() const;
  void OnAdmin(const MemberId& from, AdminRequest* request);
  void AnswerAdmin(const MemberId& to, uint64_t id, const absl::Status& status,
                   AdminReply reply);
  LogStatusProto StatusProto() const;

  io::Environment& environment_;
  const LogOptions options_;
  LogNode::Listener* const listener_;
  std::unique_ptr<io::Random> random_;
  const uint64_t boot_nonce_;
  Peers peers_;
  std::vector<io::Endpoint> addresses_;
  Persistence persistence_;

  std::string cluster_id_;  // empty before genesis
  // Of whoever has checked the record, and waits for the disk.
  std::string recorded_;
  OnDone record_done_;
  io::Timer record_timer_;
  // Input is handled: the disk is open, and no identity is being written.
  bool ready_ = false;
  // Everything that the disk held at the start is delivered.
  bool started_ = false;
  bool failed_ = false;

  std::optional<Acceptor> acceptor_;
  std::optional<Formation> formation_;
  std::optional<Handshake> handshake_;
  std::optional<Acquaintances> acquaintances_;
  std::optional<Election> election_;
  std::optional<Proposer> proposer_;

  uint64_t flushed_write_ = 0;  // given to the disk
  uint64_t durable_write_ = 0;
  std::deque<Outgoing> waiting_;  // for durable_write_
  std::deque<LogMessage> local_;  // to ourselves
  bool settling_ = false;

  // Every entry below was delivered.
  uint64_t applied_ = 0;
  std::map<uint64_t, Entry> fresh_;  // learned, at and above applied_
  bool reading_ = false;
  // By the position of the entry; since the base.
  std::map<uint64_t, Config> configs_;

  // Following.
  Ballot leader_ballot_;
  MemberId leader_;
  std::string leader_address_;
  uint64_t leader_epoch_ = 0;
  // As the listener knows them.
  std::string told_address_;
  uint64_t told_epoch_ = 0;
  bool told_voting_ = false;
  // The highest that anybody has told, and who.
  uint64_t commit_seen_ = 0;
  MemberId commit_member_;
  std::optional<io::Instant> fetch_sent_;
  size_t fetches_served_ = 0;
  uint64_t repair_next_ = 0;
  uint64_t scrub_next_ = 0;
  bool scrubbing_ = false;
  io::Instant scrubbed_;
  std::map<MemberId, PeerFacts> facts_;

  // Leading, or trying to.
  OnElected elect_done_;
  bool leading_ = false;
  io::Instant stood_;  // the latest candidacy began
  uint64_t highest_round_ = 0;
  std::optional<QuorumCheck> quorum_check_;
  std::optional<Membership> membership_;
  std::optional<ReadIndex> reads_;
  uint64_t heartbeat_sequence_ = 0;
  std::map<uint64_t, OnDone> barriers_;
  std::map<uint64_t, OnDone> changes_;
  uint64_t next_request_ = 1;
  std::deque<Entry> internal_;  // of the role itself: CONFIG, NOOP
  std::deque<PendingAppend> appends_;
  std::vector<OnAppended> under_way_;
  std::optional<uint64_t> append_chosen_;
  std::optional<Learned> notice_;  // chosen, and nobody was told yet
  io::Timer notice_timer_;
  bool notice_timer_set_ = false;
  io::Timer handshake_timer_;
  io::Timer candidate_timer_;
  io::Timer election_timer_;

  // Counted for the metrics.
  uint64_t appended_ = 0;
  uint64_t batches_ = 0;
  uint64_t elections_ = 0;
  uint64_t fetched_ = 0;
  uint64_t repaired_ = 0;
  uint64_t damaged_found_ = 0;
  uint64_t foreign_ = 0;
  uint32_t newest_generation_ = 0;  // of those that others are of

  io::Instant last_heartbeat_;
  io::Instant last_hello_;
  io::Timer tick_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_LOG_CORE_H_
