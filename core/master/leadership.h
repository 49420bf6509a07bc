// Whether this master leads. Two things must be true: ZooKeeper has elected
// it, and the replicated log has chosen its epoch. The first makes masters
// agree quickly, the second makes it safe: what a former leader still tries to
// write is refused by a quorum.
//
// A master that leads, and then may not any more, ends its process at once.

#ifndef QUORATE_CORE_MASTER_LEADERSHIP_H_
#define QUORATE_CORE_MASTER_LEADERSHIP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

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
  // `on_leading` is called once, when this master may act.
  Leadership(Context& context, std::function<void(uint64_t epoch)> on_leading);
  ~Leadership() override;

  // Opens the log and begins to contend.
  void Start();

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

  void OnRecovered(const absl::StatusOr<uint64_t>& epoch);
  void OnLost(const absl::Status& reason);
  std::string ReplicaName() const;

  Context& context_;
  const std::function<void(uint64_t)> on_leading_;
  Standing standing_;
  registry::Registrar registrar_;
  std::unique_ptr<election::Group> replicas_;
  std::unique_ptr<election::Contender> contender_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_LEADERSHIP_H_
