#include "core/master/leadership.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quorate::master {
namespace {

// While there is no log yet, the record is looked at that often: an operator
// may delete it.
constexpr io::Duration kRecordInterval = std::chrono::seconds(5);

// What a replica of the log is called in ZooKeeper, before its address.
constexpr absl::string_view kReplicaPrefix = "log-replica(1)@";

log::LogOptions LogOptionsOf(const MasterOptions& options) {
  log::LogOptions log;
  log.protocol = options.protocol;
  log.directory = absl::StrCat(options.work_dir, "/replicated_log");
  log.quorum = options.quorum;
  log.auto_initialize = options.log_auto_initialize;
  log.address = options.advertise;
  if (options.zk) {
    log.record = absl::StrCat("ZooKeeper's znode ",
                              election::ClusterRecordPath(*options.zk));
  }
  log.builtin_election = !options.masters.empty();
  log.observer = options.log_observer;
  if (options.log_segment_bytes > 0) {
    log.segment_bytes = options.log_segment_bytes;
    log.reserve_bytes = options.log_reserve_bytes;
  }
  return log;
}

}  // namespace

Leadership::Leadership(io::Environment& environment,
                       const MasterOptions& options, Listener* listener)
    : environment_(environment),
      options_(options),
      listener_(listener),
      registrar_(
          environment,
          {.fetch_timeout = options.registry_fetch_timeout,
           .store_timeout = options.registry_store_timeout,
           .observer = options.registry_observer},
          LogOptionsOf(options),
          [this](const absl::Status& reason) {
            OnLost(absl::StrCat("lost leadership of the replicated log: ",
                                reason.message()));
          },
          [this](const auto& leader) { OnLogLeader(leader); }) {}

Leadership::~Leadership() = default;

void Leadership::Start() {
  registrar_.log().Start();
  SetPeers();
  if (!options_.zk) return;
  JoinReplicas();
  ReadRecord();
}

void Leadership::ReadRecord() {
  record_ = std::make_unique<election::ClusterRecord>(
      environment_, ZooKeeperGroup(), "",
      [this](const std::string& id) { OnRecord(id); });
}

void Leadership::OnRecord(const std::string& id) {
  record_.reset();
  std::string bytes = absl::HexStringToBytes(id);
  if (absl::BytesToHexString(bytes) != id) {
    return OnForeignRecord(absl::FailedPreconditionError(absl::StrCat(
        "ZooKeeper's znode ", election::ClusterRecordPath(*options_.zk),
        " holds '", absl::CHexEscape(id), "', which is no cluster's id")));
  }
  registrar_.log().CheckRecord(
      std::move(bytes),
      [this](const absl::Status& checked) { OnRecordChecked(checked); });
}

void Leadership::OnRecordChecked(const absl::Status& checked) {
  if (!checked.ok()) return OnForeignRecord(checked);
  if (!std::exchange(record_checked_, true) && contends_) JoinElection();
  if (!registrar_.log().status().cluster_id.empty()) return;
  record_timer_ = environment_.clock().RunAfter(kRecordInterval, [this] {
    if (registrar_.log().status().cluster_id.empty()) ReadRecord();
  });
}

void Leadership::ClaimRecord(std::function<void()> then) {
  const std::string mine =
      absl::BytesToHexString(registrar_.log().status().cluster_id);
  record_ = std::make_unique<election::ClusterRecord>(
      environment_, ZooKeeperGroup(), mine,
      [this, mine, then = std::move(then)](const std::string& id) {
        // It holds this.
        const auto claimed = std::move(record_);
        if (id == mine) return then();
        OnForeignRecord(absl::FailedPreconditionError(absl::StrCat(
            "ZooKeeper's znode ", election::ClusterRecordPath(*options_.zk),
            " names cluster ", id, ", and this master's log in ",
            options_.work_dir, " is of cluster ", mine)));
      });
}

// Masters of two clusters at one path: agents would be sent from one to the
// other.
void Leadership::OnForeignRecord(const absl::Status& why) {
  const std::string words = absl::StrCat(
      why.message(),
      ". Give this master the --zk path of its own cluster; or, to give the "
      "other cluster up for this one, stop its masters and delete that znode");
  if (!elects_itself()) return environment_.Exit(io::kExitFailure, words);
  LOG(ERROR) << words << ". Until then this master is not announced there";
}

void Leadership::JoinReplicas() {
  election::ZooKeeperUrl replicas = *options_.zk;
  replicas.path += "/log_replicas";
  replicas_ = std::make_unique<election::Group>(
      environment_,
      election::GroupOptions{.url = std::move(replicas),
                             .session_timeout = options_.zk_session_timeout},
      "", this);
  replicas_->Start();
  replicas_->Join(ReplicaName());
}

void Leadership::Contend(const mesos::v1::MasterInfo& me) {
  me_ = me;
  contender_.reset();
  announcement_.reset();
  if (elects_itself()) return Recover();
  if (!options_.zk) {
    contender_ = election::NewStandaloneContender(environment_, me_, this);
    return;
  }
  contends_ = true;
  if (record_checked_) JoinElection();
}

void Leadership::JoinElection() {
  contender_ = election::NewZooKeeperContender(environment_, ZooKeeperGroup(),
                                               me_, this);
}

election::GroupOptions Leadership::ZooKeeperGroup() const {
  return {.url = *options_.zk, .session_timeout = options_.zk_session_timeout};
}

std::string Leadership::ReplicaName() const {
  return absl::StrCat(kReplicaPrefix, options_.advertise.ToString());
}

void Leadership::OnMembers(const std::optional<election::Members>& members) {
  // Not known: those of before are the best guess, and harmless.
  if (!members) return;
  found_replicas_.clear();
  for (const auto& [sequence, content] : *members) {
    absl::string_view address = content;
    absl::ConsumePrefix(&address, kReplicaPrefix);
    absl::StatusOr<io::Endpoint> peer = io::ParseEndpoint(address);
    if (!peer.ok()) {
      LOG(WARNING) << "ignoring the log replica with sequence " << sequence
                   << ": " << peer.status();
      continue;
    }
    found_replicas_.push_back(*peer);
  }
  SetPeers();
}

void Leadership::SetPeers() {
  std::vector<io::Endpoint> peers = options_.masters;
  peers.insert(peers.end(), found_replicas_.begin(), found_replicas_.end());
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  peers.erase(std::remove(peers.begin(), peers.end(), options_.advertise),
              peers.end());
  registrar_.log().SetPeers(peers);
}

void Leadership::OnJoined(int32_t) {}

void Leadership::OnMembershipLost(const absl::Status&) {
  replicas_->Join(ReplicaName());
}

void Leadership::OnLeader(const std::optional<mesos::v1::MasterInfo>& leader) {
  standing_.leader = leader;
  LOG(INFO) << (leader ? absl::StrCat("the leading master is ", leader->pid())
                       : std::string("no master leads"));
  listener_->OnLeaderKnown();
}

// With ZooKeeper the log only adds the epoch to what ZooKeeper tells.
void Leadership::OnLogLeader(
    const std::optional<registry::Registrar::Leader>& leader) {
  standing_.log_leader_id = leader ? leader->info.id() : "";
  standing_.log_leader_epoch = leader ? leader->epoch : 0;
  if (!elects_itself()) return listener_->OnLeaderKnown();
  std::optional<mesos::v1::MasterInfo> info;
  if (leader) info = leader->info;
  OnLeader(info);
}

void Leadership::OnElected() {
  LOG(INFO) << "elected; recovering the registry";
  standing_.phase = Standing::Phase::kRecovering;
  Recover();
}

void Leadership::Recover() {
  registrar_.Recover(
      me_, [this](absl::StatusOr<uint64_t> epoch) { OnRecovered(epoch); });
}

void Leadership::OnRecovered(const absl::StatusOr<uint64_t>& epoch) {
  if (absl::IsAborted(epoch.status())) {
    // Nobody was promised anything: this one waits for its next turn.
    if (elects_itself()) return Recover();
    return OnLost(
        absl::StrCat("another master took over the replicated log while this "
                     "one was recovering: ",
                     epoch.status().message()));
  }
  if (!epoch.ok()) {
    return environment_.Exit(io::kExitFailure,
                             absl::StrCat("cannot recover the registry: ",
                                          epoch.status().message()));
  }
  const bool elected_there = options_.zk && !elects_itself();
  if (!elected_there) return BeginToLead(*epoch);
  ClaimRecord([this, epoch = *epoch] { BeginToLead(epoch); });
}

void Leadership::BeginToLead(uint64_t epoch) {
  standing_.phase = Standing::Phase::kLeading;
  standing_.epoch = epoch;
  LOG(INFO) << "leading, in epoch " << epoch;
  if (elects_itself() && options_.zk) {
    ClaimRecord([this] {
      announcement_ = election::NewZooKeeperAnnouncement(environment_,
                                                         ZooKeeperGroup(), me_);
    });
  }
  listener_->OnLeading(epoch);
}

void Leadership::OnDeposed(const absl::Status& reason) {
  OnLost(absl::StrCat("lost leadership: ", reason.message()));
}

void Leadership::OnLost(absl::string_view reason) {
  if (standing_.phase == Standing::Phase::kFollowing) return;
  standing_.phase = Standing::Phase::kFollowing;
  standing_.epoch = 0;
  record_.reset();
  contends_ = false;
  if (options_.on_lost_leadership == LostLeadership::kExit) {
    return environment_.Exit(io::kExitLostLeadership, reason);
  }
  LOG(WARNING) << reason << "; standing by";
  registrar_.Resign();
  listener_->OnStandby();
}

void Leadership::Apply(registry::Operation operation, OnApplied done) {
  registrar_.Apply(std::move(operation), [this, done = std::move(done)](
                                             const absl::Status& outcome) {
    // What became of it cannot be known here; a successor will see.
    if (absl::IsDeadlineExceeded(outcome)) {
      return environment_.Exit(
          io::kExitFailure,
          absl::StrCat("cannot write the registry: ", outcome.message()));
    }
    if (absl::IsAborted(outcome) || absl::IsFailedPrecondition(outcome)) {
      return OnLost(absl::StrCat("lost leadership of the replicated log: ",
                                 outcome.message()));
    }
    done(outcome);
  });
}

}  // namespace quorate::master
