#include "core/master/leadership.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quorate::master {
namespace {

// While there is no log yet, or while it is of another cluster, the record is
// looked at that often: an operator may delete it.
constexpr io::Duration kRecordInterval = std::chrono::seconds(5);
// Before a leader is announced again.
constexpr io::Duration kAnnounceDelay = std::chrono::seconds(1);

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
          [this](const auto& leader) { OnLogLeader(leader); },
          [this](bool voting) { OnVoting(voting); }) {}

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
      [this](const auto& content) { OnRecord(content); },
      [this](const std::string& words) {
        SetProblem(&record_problem_, words);
      });
}

void Leadership::OnRecord(const std::optional<std::string>& content) {
  record_.reset();
  const absl::StatusOr<std::string> id =
      election::ParseClusterRecord(*options_.zk, content);
  if (!id.ok()) return OnForeignRecord(id.status());
  registrar_.log().CheckRecord(
      *id, [this](const absl::Status& checked) { OnRecordChecked(checked); });
}

void Leadership::OnRecordChecked(const absl::Status& checked) {
  if (!checked.ok()) return OnForeignRecord(checked);
  SetProblem(&record_problem_, "");
  if (!std::exchange(record_checked_, true)) UpdateCandidacy();
  if (!registrar_.log().status().cluster_id.empty()) return;
  record_timer_ = environment_.clock().RunAfter(kRecordInterval, [this] {
    if (registrar_.log().status().cluster_id.empty()) ReadRecord();
  });
}

void Leadership::ClaimRecord(std::function<void()> then) {
  record_ = std::make_unique<election::ClusterRecord>(
      environment_, ZooKeeperGroup(),
      absl::BytesToHexString(registrar_.log().status().cluster_id),
      [this, then = std::move(then)](const auto& content) {
        // It holds this.
        const auto claimed = std::move(record_);
        OnClaimed(content, then);
      },
      [this](const std::string& words) {
        SetProblem(&record_problem_, words);
      });
}

void Leadership::OnClaimed(const std::optional<std::string>& content,
                           const std::function<void()>& then) {
  claim_timer_.Cancel();
  const std::string mine = registrar_.log().status().cluster_id;
  const absl::StatusOr<std::string> id =
      election::ParseClusterRecord(*options_.zk, content);
  if (!id.ok()) return OnForeignRecord(id.status());
  if (*id != mine) {
    return OnForeignRecord(absl::FailedPreconditionError(absl::StrCat(
        "ZooKeeper's znode ", election::ClusterRecordPath(*options_.zk),
        " names cluster ", *content, ", and this master's log in ",
        options_.work_dir, " is of cluster ", absl::BytesToHexString(mine))));
  }
  SetProblem(&record_problem_, "");
  then();
}

// Masters of two clusters at one path: agents would be sent from one to the
// other.
void Leadership::OnForeignRecord(const absl::Status& why) {
  const std::string words = absl::StrCat(
      why.message(),
      ". Give this master the --zk path of its own cluster; or, to give the "
      "other cluster up for this one, stop its masters and delete that znode");
  if (!elects_itself()) return environment_.Exit(io::kExitFailure, words);
  SetProblem(&record_problem_,
             absl::StrCat(words,
                          ". Until then this master is not announced "
                          "there"));
  if (standing_.phase == Standing::Phase::kLeading) {
    return AnnounceAfter(kRecordInterval);
  }
  record_timer_ =
      environment_.clock().RunAfter(kRecordInterval, [this] { ReadRecord(); });
}

// The record comes first: ZooKeeper may have lost it, with all its data.
void Leadership::Announce() {
  announcement_.reset();
  ClaimRecord([this] {
    announcement_ = election::NewZooKeeperAnnouncement(
        environment_, ZooKeeperGroup(), me_, this);
  });
}

void Leadership::AnnounceAfter(io::Duration delay) {
  record_timer_ = environment_.clock().RunAfter(delay, [this] { Announce(); });
}

void Leadership::OnAnnouncementLost(const absl::Status& reason) {
  SetProblem(&election_problem_,
             absl::StrCat("this master leads and is not announced in "
                          "ZooKeeper any more: ",
                          reason.message()));
  AnnounceAfter(kAnnounceDelay);
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
  UpdateCandidacy();
}

// Not from inside what the log or a contender is doing.
void Leadership::OnVoting(bool voting) {
  votes_ = voting;
  candidacy_timer_ = environment_.clock().RunAfter(
      io::Duration::zero(), [this] { UpdateCandidacy(); });
}

void Leadership::UpdateCandidacy() {
  if (!contends_ || !record_checked_) return;
  if (contender_ != nullptr && stands_ == votes_) return;
  // The log ends the reign itself, when its own removal is done.
  if (standing_.phase == Standing::Phase::kLeading) return;
  StopRecovering();
  stands_ = votes_;
  LOG_IF(INFO, !stands_) << "does not stand for election: this replica of the "
                            "log has no vote";
  std::optional<mesos::v1::MasterInfo> candidate;
  if (stands_) candidate = me_;
  contender_ = election::NewZooKeeperContender(environment_, ZooKeeperGroup(),
                                               candidate, this);
}

void Leadership::StopRecovering() {
  if (standing_.phase != Standing::Phase::kRecovering) return;
  standing_.phase = Standing::Phase::kFollowing;
  record_.reset();
  claim_timer_.Cancel();
  SetProblem(&record_problem_, "");
  registrar_.Resign();
  ForgetOwnReign();
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
  const bool elected_there = options_.zk && !elects_itself();
  // It was a member when it was elected, as far as it knew.
  if (absl::IsFailedPrecondition(epoch.status()) && elected_there &&
      !registrar_.log().status().voting) {
    LOG(WARNING) << "elected in vain: " << epoch.status().message();
    return OnVoting(false);
  }
  if (!epoch.ok()) {
    return environment_.Exit(io::kExitFailure,
                             absl::StrCat("cannot recover the registry: ",
                                          epoch.status().message()));
  }
  if (!elected_there) return BeginToLead(*epoch);
  claim_timer_ =
      environment_.clock().RunAfter(options_.registry_fetch_timeout, [this] {
        environment_.Exit(
            io::kExitFailure,
            absl::StrCat("cannot lead: which cluster this is was not on record "
                         "in time: ",
                         record_problem_.empty()
                             ? election::DoesNotAnswer(*options_.zk)
                             : record_problem_));
      });
  ClaimRecord([this, epoch = *epoch] { BeginToLead(epoch); });
}

void Leadership::BeginToLead(uint64_t epoch) {
  standing_.phase = Standing::Phase::kLeading;
  standing_.epoch = epoch;
  LOG(INFO) << "leading, in epoch " << epoch;
  if (elects_itself() && options_.zk) Announce();
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
  claim_timer_.Cancel();
  SetProblem(&record_problem_, "");
  contends_ = false;
  if (elects_itself()) {
    // It has nothing to announce.
    announcement_.reset();
    record_timer_.Cancel();
    SetProblem(&election_problem_, "");
  }
  ForgetOwnReign();
  if (options_.on_lost_leadership == LostLeadership::kExit) {
    return environment_.Exit(io::kExitLostLeadership, reason);
  }
  LOG(WARNING) << reason << "; standing by";
  registrar_.Resign();
  listener_->OnStandby();
}

// Who leads now is told later, perhaps much later: until then nobody does.
void Leadership::ForgetOwnReign() {
  if (standing_.leader && standing_.leader->id() == me_.id()) {
    OnLeader(std::nullopt);
  }
}

void Leadership::OnElectionProblem(const std::string& words) {
  SetProblem(&election_problem_, words);
}

void Leadership::SetProblem(std::string* problem, const std::string& words) {
  if (*problem == words) return;
  *problem = words;
  LOG_IF(WARNING, !words.empty()) << words;
  standing_.election_problem = record_problem_;
  if (!election_problem_.empty() && election_problem_ != record_problem_) {
    absl::StrAppend(&standing_.election_problem,
                    record_problem_.empty() ? "" : "; ", election_problem_);
  }
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
