// Whether this master leads. Two things must be true: the masters have elected
// it, through ZooKeeper or by themselves, and the replicated log has chosen its
// epoch. The first makes masters agree quickly, the second makes it safe: what
// a former leader still tries to write is refused by a quorum.
//
// With ZooKeeper a third must be: the cluster that meets there is this one
// (election::ClusterRecord). Otherwise the master says so and ends; one that is
// elected without ZooKeeper goes on, and is not announced there until it is so.
//
// With ZooKeeper only a master that has a vote in the log stands for election:
// any other could not lead, and while it is first nobody else does.
//
// A master that leads, and then may not any more, ends its process at once, or
// becomes a standby whose registry stays warm (MasterOptions::
// on_lost_leadership).

#ifndef QUORATE_CORE_MASTER_LEADERSHIP_H_
#define QUORATE_CORE_MASTER_LEADERSHIP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/election/cluster_record.h"
#include "core/election/election.h"
#include "core/election/group.h"
#include "core/master/context.h"
#include "core/master/standing.h"
#include "core/registry/registrar.h"

namespace quorate::master {

class Leadership final : public RegistryWriter,
                         public election::Contender::Listener,
                         public election::Announcement::Listener,
                         public election::Group::Listener {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // This master may act.
    virtual void OnLeading(uint64_t epoch) = 0;
    // It may not any more. To be followed by Contend, at another turn of the
    // loop.
    virtual void OnStandby() = 0;
    // standing().leader has changed.
    virtual void OnLeaderKnown() = 0;
  };

  // All arguments outlive it.
  Leadership(io::Environment& environment, const MasterOptions& options,
             Listener* listener);
  ~Leadership() override;

  // Opens the log.
  void Start();
  // Puts this master forward, under that name.
  void Contend(const mesos::v1::MasterInfo& me);

  const Standing& standing() const { return standing_; }
  log::LogNode& log() { return registrar_.log(); }

  const registry::Registrar& registrar() const { return registrar_; }

  void Apply(registry::Operation operation, OnApplied done) override;
  const registry::RegistryState& state() const override {
    return registrar_.state();
  }

 private:
  void OnLeader(const std::optional<mesos::v1::MasterInfo>& leader) override;
  void OnElected() override;
  void OnDeposed(const absl::Status& reason) override;
  void OnElectionProblem(const std::string& words) override;

  void OnAnnouncementLost(const absl::Status& reason) override;

  // Of the masters' replicas of the log.
  void OnMembers(const std::optional<election::Members>& members) override;
  void OnJoined(int32_t sequence) override;
  void OnMembershipLost(const absl::Status& reason) override;

  // Which cluster this is, as ZooKeeper has it on record.
  void ReadRecord();
  void OnRecord(const std::optional<std::string>& content);
  void OnRecordChecked(const absl::Status& checked);
  // The leader's: writes it, or finds it there; then does `then`.
  void ClaimRecord(std::function<void()> then);
  void OnClaimed(const std::optional<std::string>& content,
                 const std::function<void()>& then);
  void OnForeignRecord(const absl::Status& why);
  // Of a leader that was elected without ZooKeeper.
  void Announce();
  void AnnounceAfter(io::Duration delay);

  // The log's word on whether this replica votes.
  void OnVoting(bool voting);
  // Puts this master forward, or not any more, as its vote has it.
  void UpdateCandidacy();
  void StopRecovering();
  void BeginToLead(uint64_t epoch);
  bool elects_itself() const { return !options_.masters.empty(); }
  void Recover();
  void OnRecovered(const absl::StatusOr<uint64_t>& epoch);
  void OnLogLeader(const std::optional<registry::Registrar::Leader>& leader);
  void OnLost(absl::string_view reason);
  void ForgetOwnReign();
  void SetProblem(std::string* problem, const std::string& words);
  void JoinReplicas();
  void SetPeers();
  std::string ReplicaName() const;
  election::GroupOptions ZooKeeperGroup() const;

  io::Environment& environment_;
  const MasterOptions& options_;
  Listener* const listener_;
  mesos::v1::MasterInfo me_;
  Standing standing_;
  registry::Registrar registrar_;
  // As ZooKeeper has them.
  std::vector<io::Endpoint> found_replicas_;
  std::unique_ptr<election::Group> replicas_;
  std::unique_ptr<election::ClusterRecord> record_;
  // The record is not that of another cluster.
  bool record_checked_ = false;
  bool contends_ = false;  // or is to, once the record is checked
  bool votes_ = false;     // in the log
  // Until the record is looked at, or claimed, again.
  io::Timer record_timer_;
  io::Timer claim_timer_;  // for how long it may take
  io::Timer candidacy_timer_;
  std::string record_problem_;
  std::string election_problem_;
  std::unique_ptr<election::Contender> contender_;
  bool stands_ = false;  // the contender puts this master forward
  std::unique_ptr<election::Announcement> announcement_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_LEADERSHIP_H_
