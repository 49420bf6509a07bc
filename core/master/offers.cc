#include "core/master/offers.h"

#include <glog/logging.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/master/events.h"
#include "core/master/subscriber.h"

namespace quorate::master {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;

}  // namespace

Offers::Offers(Context& context)
    : context_(context),
      allocation_({.interval = context.options.allocation_interval}) {
  context_.cluster.OnAvailable([this] { Poke(); });
}

void Offers::Start() {
  started_ = true;
  Run();
}

void Offers::Poke() {
  if (!started_ || std::exchange(poked_, true)) return;
  poke_timer_ =
      context_.clock().RunAfter(io::Duration::zero(), [this] { Run(); });
}

void Offers::Run() {
  poked_ = false;
  std::map<std::string, Event> events;
  UpdateSupplies();
  for (const Grant& grant :
       allocation_.Run(Demands(), context_.clock().Now())) {
    const Offer& offer = Make(grant);
    *events[offer.framework_id].mutable_offers()->add_offers() = ToProto(offer);
  }
  for (auto& [framework_id, event] : events) {
    event.set_type(Event::OFFERS);
    LOG(INFO) << "sending " << event.offers().offers_size()
              << " offers to framework " << framework_id;
    context_.cluster.FindFramework(framework_id)->subscriber->Send(event);
  }
  interval_timer_ = context_.clock().RunAfter(
      context_.options.allocation_interval, [this] { Run(); });
}

void Offers::UpdateSupplies() {
  const Cluster& cluster = context_.cluster;
  for (const Agent* agent : cluster.ChangedSince(seen_changes_)) {
    if (!agent->connected()) {
      allocation_.RemoveSupply(agent->id);
      continue;
    }
    allocation_.SetSupply({.agent_id = agent->id,
                           .available = Cluster::Available(*agent),
                           .has_gpus = agent->total.Scalar("gpus") > 0});
  }
  seen_changes_ = cluster.changes();
}

std::vector<Demand> Offers::Demands() const {
  std::vector<Demand> demands;
  for (const auto& [id, framework] : context_.cluster.frameworks()) {
    if (!framework->connected()) continue;
    const bool takes_gpus =
        framework->Has(FrameworkInfo::Capability::GPU_RESOURCES);
    for (std::string& role : framework->roles()) {
      if (framework->suppressed_roles.count(role) > 0) continue;
      demands.push_back({id, std::move(role), takes_gpus});
    }
  }
  return demands;
}

Offer& Offers::Make(const Grant& grant) {
  Offer offer;
  offer.id = absl::StrCat(context_.id(), "-O", next_offer_++);
  offer.framework_id = grant.framework_id;
  offer.agent_id = grant.agent_id;
  offer.role = grant.role;
  offer.resources = grant.resources;
  offer.resources.Allocate(grant.role);
  Offer& made = context_.cluster.AddOffer(std::move(offer));
  if (context_.options.offer_timeout) {
    made.timeout = context_.clock().RunAfter(
        *context_.options.offer_timeout,
        [this, id = made.id] { Rescind(std::string(id)); });
  }
  return made;
}

mesos::v1::Offer Offers::ToProto(const Offer& offer) const {
  const Agent& agent = *context_.cluster.FindAgent(offer.agent_id);
  const Framework& framework =
      *context_.cluster.FindFramework(offer.framework_id);
  mesos::v1::Offer proto;
  proto.mutable_id()->set_value(offer.id);
  proto.mutable_framework_id()->set_value(offer.framework_id);
  proto.mutable_agent_id()->set_value(offer.agent_id);
  proto.set_hostname(agent.info.hostname());
  mesos::v1::URL& url = *proto.mutable_url();
  url.set_scheme("http");
  url.mutable_address()->set_hostname(agent.info.hostname());
  url.mutable_address()->set_ip(agent.address.ip);
  url.mutable_address()->set_port(agent.address.port);
  url.set_path("/slave(1)");
  *proto.mutable_attributes() = agent.info.attributes();
  if (agent.info.has_domain()) *proto.mutable_domain() = agent.info.domain();

  Resources resources = offer.resources;
  if (framework.Has(FrameworkInfo::Capability::MULTI_ROLE)) {
    proto.mutable_allocation_info()->set_role(offer.role);
  } else {
    resources.Unallocate();
  }
  resources.ToProto(
      proto.mutable_resources(),
      framework.Has(FrameworkInfo::Capability::RESERVATION_REFINEMENT)
          ? Resources::Form::kRefined
          : Resources::Form::kClassic);
  auto executors = agent.executors.find(framework.id);
  if (executors != agent.executors.end()) {
    for (const auto& [id, executor] : executors->second) {
      proto.add_executor_ids()->set_value(id);
    }
  }
  return proto;
}

void Offers::Decline(Framework& framework, const Call::Decline& call) {
  for (const mesos::v1::OfferID& id : call.offer_ids()) {
    const Offer* offer = context_.cluster.FindOffer(id.value());
    if (offer == nullptr || offer->framework_id != framework.id) continue;
    Refuse(*offer, offer->resources, call.filters().refuse_seconds());
    Discard(id.value());
  }
}

void Offers::Refuse(const Offer& offer, const Resources& refused,
                    double seconds) {
  Resources unmarked = refused;
  unmarked.Unallocate();
  allocation_.Refuse(offer.framework_id, offer.role, offer.agent_id, unmarked,
                     seconds, context_.clock().Now());
}

void Offers::Revive(Framework& framework,
                    const std::vector<std::string>& roles) {
  for (const std::string& role : roles.empty() ? framework.roles() : roles) {
    framework.suppressed_roles.erase(role);
    allocation_.Revive(framework.id, role);
  }
  Poke();
}

void Offers::Suppress(Framework& framework,
                      const std::vector<std::string>& roles) {
  const std::vector<std::string> all = framework.roles();
  const std::set<std::string> known(all.begin(), all.end());
  for (const std::string& role : roles.empty() ? all : roles) {
    if (known.count(role) > 0) framework.suppressed_roles.insert(role);
  }
}

void Offers::Rescind(const std::string& offer_id) {
  const Offer* offer = context_.cluster.FindOffer(offer_id);
  if (offer == nullptr) return;
  SendRescind(*context_.cluster.FindFramework(offer->framework_id), offer_id);
  Discard(offer_id);
}

void Offers::RescindAll(Agent& agent) {
  const std::set<std::string> ids = agent.offers;
  for (const std::string& id : ids) Rescind(id);
}

void Offers::Discard(const std::string& offer_id) {
  context_.cluster.RemoveOffer(offer_id);
}

void Offers::DiscardAll(Framework& framework) {
  const std::set<std::string> ids = framework.offers;
  for (const std::string& id : ids) Discard(id);
}

void Offers::RescindForeign(Framework& framework) {
  const std::vector<std::string> all = framework.roles();
  const std::set<std::string> known(all.begin(), all.end());
  const std::set<std::string> ids = framework.offers;
  for (const std::string& id : ids) {
    if (known.count(context_.cluster.FindOffer(id)->role) == 0) Rescind(id);
  }
}

void Offers::Forget(const Framework& framework) {
  allocation_.ForgetFramework(framework.id);
}

void Offers::Forget(const Agent& agent) {
  allocation_.RemoveSupply(agent.id);
  allocation_.ForgetAgent(agent.id);
}

}  // namespace quorate::master
