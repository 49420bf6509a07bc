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
#include "core/log/formation.h"
#include "core/log/log_node.h"
#include "core/log/peers.h"
#include "core/log/proposer.h"
#include "core/log/storage.h"
#include "io/random.h"

namespace quorate::log {

class LogNode::Core final : public Peers::Listener {
 public:
  Core(io::Environment& environment, LogOptions options,
       LogNode::Listener* listener);
  ~Core() override;

  void Start();
  void Elect(OnElected done);
  void Resign();
  void Append(std::string payload, OnAppended done);
  LogStatus status() const;
  wire::Handshake MyHandshake() const;
  Peers& peers() { return peers_; }
  void SetPeers(const std::vector<io::Endpoint>& addresses);

  void OnPeerUp() override;
  void OnMessage(absl::string_view payload, MemberId* from) override;

 private:
  struct PendingAppend {
    std::string payload;
    OnAppended done;
  };
  // The largest bytes of entries in one answer to Fetch.
  static constexpr size_t kFetchBytes = 1 << 20;
  static constexpr size_t kMaxFetches = 64;
  static constexpr size_t kMaxWaiting = 10000;
  static constexpr size_t kMaxAppends = 10000;

  bool active() const { return !cluster_id_.empty(); }
  bool IsMember(const MemberId& id) const;

  // Opening.
  void OnOpened();
  void Replay(uint64_t position);
  void BeReady();
  void LearnGenesis();

  // Messages.
  void Handle(const LogMessage& message);
  void HandleActive(const LogMessage& message);
  void SendHello();
  void Transmit(Outgoing outgoing);
  void Release();
  void Broadcast(LogMessage message);
  void ServeFetch(const MemberId& from, uint64_t position);
  void FetchFrom(const MemberId& from, uint64_t position);
  void CatchUp();
  void OnHeartbeat(const MemberId& from, const Heartbeat& heartbeat);
  void OnHeartbeatReply(const MemberId& from, const HeartbeatReply& reply);

  // Machines.
  void Settle();
  void Learn(uint64_t position, const EntryProto& entry);
  void Deliver(uint64_t position, const EntryProto& entry);
  void Carry(Proposer::Output output);
  void Flush();
  void OnFormation(Formation::Output output);
  void SaveIdentity(SuperblockProto identity, std::function<void()> done);

  // Leading.
  void TryToLead();
  void OnDeposed(const absl::Status& reason);
  void NextAppend();
  void AnswerAppend();
  void FailAppends(const absl::Status& status);
  void Lead();
  void CheckQuorum();
  std::string ExplainElection() const;

  void Tick();
  void Fail(int code, const absl::Status& status);

  io::Environment& environment_;
  const LogOptions options_;
  LogNode::Listener* const listener_;
  std::unique_ptr<io::Random> random_;
  Peers peers_;
  std::vector<io::Endpoint> addresses_;

  // The lane's, once opened; touched there only.
  std::unique_ptr<Storage> storage_;
  absl::Status open_status_;

  SuperblockProto identity_;
  std::string cluster_id_;  // empty before genesis
  std::vector<MemberId> members_;
  bool ready_ = false;
  bool failed_ = false;

  std::optional<Acceptor> acceptor_;
  std::optional<Formation> formation_;
  std::optional<Proposer> proposer_;

  bool writing_ = false;
  uint64_t durable_write_ = 0;
  std::deque<Outgoing> waiting_;  // for durable_write_
  std::deque<LogMessage> local_;  // to ourselves
  bool settling_ = false;
  size_t fetches_served_ = 0;

  // Following.
  Ballot leader_ballot_;
  uint64_t leader_epoch_ = 0;
  // The highest that a leader has told, and who.
  uint64_t commit_seen_ = 0;
  MemberId commit_member_;
  std::optional<io::Instant> fetch_sent_;

  // Leading, or trying to.
  OnElected elect_done_;
  bool leading_ = false;
  uint64_t highest_round_ = 0;
  std::map<MemberId, io::Instant> heard_;
  std::deque<PendingAppend> appends_;
  std::optional<OnAppended> append_under_way_;
  std::optional<uint64_t> append_chosen_;
  io::Timer candidate_timer_;

  io::Instant last_heartbeat_;
  io::Instant last_hello_;
  io::Timer tick_;
  // Last: destroyed first, so that no work outlives what it touches.
  std::unique_ptr<io::Lane> lane_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_LOG_CORE_H_
