// Whether this master leads. Two things must be true: the masters have elected
// it, through ZooKeeper or by themselves, and the replicated log has chosen its
// epoch. The first makes masters agree quickly, the second makes it safe: what
// a former leader still tries to write is refused by a quorum.
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

#include "core/election/election.h"
#include "core/election/group.h"
#include "core/master/context.h"
#include "core/master/standing.h"
#include "core/registry/registrar.h"

namespace quorate::master {

class Leadership final : public RegistryWriter,
                         public election::Contender::Listener,
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

  // Of the masters' replicas of the log.
  void OnMembers(const std::optional<election::Members>& members) override;
  void OnJoined(int32_t sequence) override;
  void OnMembershipLost(const absl::Status& reason) override;

  bool elects_itself() const { return !options_.masters.empty(); }
  void Recover();
  void OnRecovered(const absl::StatusOr<uint64_t>& epoch);
  void OnLogLeader(const std::optional<registry::Registrar::Leader>& leader);
  void OnLost(absl::string_view reason);
  void JoinReplicas();
  void SetPeers();
  std::string ReplicaName() const;

  io::Environment& environment_;
  const MasterOptions& options_;
  Listener* const listener_;
  mesos::v1::MasterInfo me_;
  Standing standing_;
  registry::Registrar registrar_;
  // As ZooKeeper has them.
  std::vector<io::Endpoint> found_replicas_;
  std::unique_ptr<election::Group> replicas_;
  std::unique_ptr<election::Contender> contender_;
  std::unique_ptr<election::Announcement> announcement_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_LEADERSHIP_H_
