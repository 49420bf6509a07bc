// The life of offers: made from what the allocation grants, accepted,
// declined, rescinded. An offer is gone as soon as anything happens to it.

#ifndef QUORATE_CORE_MASTER_OFFERS_H_
#define QUORATE_CORE_MASTER_OFFERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/api/scheduler.pb.h"
#include "core/master/allocation.h"
#include "core/master/context.h"

namespace quorate::master {

class Offers {
 public:
  explicit Offers(Context& context);

  // Makes offers from now on: each allocation interval, and soon after
  // resources have become available.
  void Start();
  // Soon: at the next turn of the loop.
  void Poke();

  // Unknown offers, and those of others, are ignored.
  void Decline(Framework& framework,
               const mesos::v1::scheduler::Call::Decline& call);
  // No roles means all of the framework's.
  void Revive(Framework& framework, const std::vector<std::string>& roles);
  void Suppress(Framework& framework, const std::vector<std::string>& roles);

  // The rest of an accepted offer, or a declined one, is not offered again for
  // so many seconds, as v1 Filters say.
  void Refuse(const Offer& offer, const Resources& refused, double seconds);

  // Take offers away: with an event to their framework or without.
  void Rescind(const std::string& offer_id);
  void RescindAll(Agent& agent);
  void Discard(const std::string& offer_id);
  void DiscardAll(Framework& framework);

  // Offers of roles that the framework has no more.
  void RescindForeign(Framework& framework);

  size_t refusals() const { return allocation_.refusals(); }
  // Forgets refusals.
  void Forget(const Framework& framework);
  // Also what it has: nothing of it is offered until that changes.
  void Forget(const Agent& agent);

 private:
  void Run();
  void UpdateSupplies();
  std::vector<Demand> Demands() const;
  Offer& Make(const Grant& grant);
  mesos::v1::Offer ToProto(const Offer& offer) const;

  Context& context_;
  Allocation allocation_;
  uint64_t next_offer_ = 0;
  // What the allocation knows of the cluster: as of so many changes.
  uint64_t seen_changes_ = 0;
  bool started_ = false;
  io::Timer interval_timer_;
  bool poked_ = false;
  io::Timer poke_timer_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_OFFERS_H_
