#include "core/master/master.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/election/announcer.h"
#include "core/election/news.pb.h"
#include "core/files/files.h"
#include "core/http/server.h"
#include "core/master/agents.h"
#include "core/master/context.h"
#include "core/master/endpoints.h"
#include "core/master/frameworks.h"
#include "core/master/leadership.h"
#include "core/master/limits.h"
#include "core/master/master_metrics.h"
#include "core/master/offers.h"
#include "core/master/operator_api.h"
#include "core/master/proxy.h"
#include "core/master/scheduler_api.h"
#include "core/master/subscriber.h"
#include "core/master/tasks.h"
#include "core/wire/port.h"

namespace quorate::master {
namespace {

using mesos::v1::MasterInfo;

// The bytes of an IPv4 address as they lie in memory in network order.
// InvalidArgument when it is none.
absl::StatusOr<uint32_t> NetworkOrder(const std::string& ip) {
  uint32_t value = 0;
  int parts = 0;
  for (absl::string_view part : absl::StrSplit(ip, '.')) {
    uint32_t byte = 0;
    if (parts == 4 || !absl::SimpleAtoi(part, &byte) || byte > 255) {
      parts = 0;
      break;
    }
    value |= byte << (8 * parts++);
  }
  if (parts == 4) return value;
  return absl::InvalidArgumentError(
      absl::StrCat("'", ip, "' is not an IPv4 address"));
}

MasterInfo MakeInfo(const MasterOptions& options, const std::string& id,
                    uint32_t ip) {
  const std::string& hostname =
      options.hostname.empty() ? options.advertise.ip : options.hostname;
  MasterInfo info;
  info.set_id(id);
  info.set_ip(ip);
  info.set_port(options.advertise.port);
  info.set_pid(absl::StrCat("master@", options.advertise.ToString()));
  info.set_hostname(hostname);
  info.set_version(kVersion);
  info.mutable_address()->set_hostname(hostname);
  info.mutable_address()->set_ip(options.advertise.ip);
  info.mutable_address()->set_port(options.advertise.port);
  for (auto capability : {MasterInfo::Capability::AGENT_UPDATE,
                          MasterInfo::Capability::AGENT_DRAINING,
                          MasterInfo::Capability::QUOTA_V2}) {
    info.add_capabilities()->set_type(capability);
  }
  return info;
}

MasterOptions Completed(MasterOptions options) {
  if (options.advertise.ip.empty()) options.advertise = options.bind;
  return options;
}

}  // namespace

// What a master knows of the cluster and does with it. A master that stands
// down, and stays, gets a new one: it has another id then, and knows nothing
// but what the registry holds.
struct Office {
  Office(io::Environment& environment, const MasterOptions& options,
         uint32_t ip, Leadership& leadership, LeaderProxy* proxy,
         files::Files& files)
      : context(environment, options),
        offers(context),
        tasks(context),
        frameworks(context, offers, tasks),
        agents(context, offers, tasks, frameworks),
        scheduler_api(context, offers, tasks, frameworks),
        operator_api(context, agents, frameworks, files),
        endpoints(
            context, leadership.standing(),
            [this, &leadership] {
              return MakeQuorumReport(leadership.log().status(),
                                      leadership.standing(), context.info);
            },
            proxy, scheduler_api, operator_api, files) {
    context.registry = &leadership;
    context.info = MakeInfo(options, environment.random().Uuid(), ip);
    RegisterMetrics(context, [&leadership] {
      return leadership.standing().phase == Standing::Phase::kLeading;
    });
    for (const std::string& name : log::LogNode::MetricNames()) {
      context.metrics.AddGauge(name, [&leadership, name] {
        return leadership.log().status().metrics.at(name);
      });
    }
  }

  Context context;
  Offers offers;
  Tasks tasks;
  Frameworks frameworks;
  Agents agents;
  SchedulerApi scheduler_api;
  OperatorApi operator_api;
  Endpoints endpoints;
};

class Master::Core final : public Leadership::Listener {
 public:
  Core(io::Environment& environment, MasterOptions options)
      : environment_(environment),
        options_(Completed(std::move(options))),
        leadership_(environment, options_, this),
        announcer_(environment.clock()),
        proxy_(environment.clock(), environment.network(), options_.advertise),
        files_(environment),
        server_(environment.clock(), {},
                [this](http::Request request, http::Responder responder) {
                  office_->endpoints.Route(std::move(request),
                                           std::move(responder));
                }) {
    if (!options_.log_file.empty()) {
      files_.Attach("/master/log", options_.log_file);
    }
  }

  absl::Status Start() {
    const absl::StatusOr<uint32_t> ip = NetworkOrder(options_.advertise.ip);
    if (!ip.ok()) return ip.status();
    ip_ = *ip;
    start_time_ = environment_.clock().WallNow();
    OpenOffice();
    auto port = wire::OpenPort(
        environment_.clock(), environment_.network(), options_.bind,
        {.on_http =
             [this](std::unique_ptr<io::Connection> connection,
                    std::string first) {
               server_.Adopt(std::move(connection), first);
             },
         .on_link = [this](auto link) { OnLink(std::move(link)); },
         .handshake = [this](const auto& peer) { return Introduce(peer); }});
    if (!port.ok()) return port.status();
    port_ = *std::move(port);
    LOG(INFO) << "master " << id() << " at " << options_.advertise.ToString();
    leadership_.Start();
    leadership_.Contend(office_->context.info);
    return absl::OkStatus();
  }

  View view() const {
    View view;
    view.elected = leads();
    view.epoch = epoch();
    view.id = id();
    view.election_problem = leadership_.standing().election_problem;
    for (const auto& [id, agent] : cluster().agents()) {
      view.agents[id] = agent->connected();
    }
    return view;
  }

  const std::string& id() const { return office_->context.id(); }
  const Cluster& cluster() const { return office_->context.cluster; }
  const registry::RegistryState& registry() const {
    return leadership_.state();
  }
  std::vector<QueueSize> queues() const;

  void CheckInvariants() const {
    cluster().CheckInvariants();
    office_->frameworks.CheckInvariants();
  }
  bool leads() const {
    return leadership_.standing().phase == Standing::Phase::kLeading;
  }
  uint64_t epoch() const { return leadership_.standing().epoch; }

 private:
  void OpenOffice() {
    office_ = std::make_unique<Office>(
        environment_, options_, ip_, leadership_,
        options_.proxy_to_leader ? &proxy_ : nullptr, files_);
    office_->context.start_time = start_time_;
  }

  absl::StatusOr<wire::Handshake> Introduce(const wire::Handshake& peer) {
    if (peer.purpose == wire::Purpose::kLog) {
      return leadership_.log().MyHandshake();
    }
    // Agents are not wanted before this master leads: they try the next.
    if (peer.purpose == wire::Purpose::kAgent && !leads()) {
      return absl::UnavailableError("this master does not lead");
    }
    wire::Handshake mine;
    mine.purpose = peer.purpose;
    mine.versions = options_.protocol;
    mine.cluster_id = leadership_.log().status().cluster_id;
    mine.node_id = id();
    mine.address = options_.advertise;
    return mine;
  }

  void OnLink(std::unique_ptr<wire::Link> link) {
    switch (link->peer().purpose) {
      case wire::Purpose::kLog:
        return leadership_.log().Accept(std::move(link));
      case wire::Purpose::kAgent:
        if (leads()) office_->agents.Accept(std::move(link));
        return;
      case wire::Purpose::kDetector:
        return announcer_.Accept(std::move(link));
    }
  }

  void OnLeading(uint64_t epoch) override {
    Context& context = office_->context;
    context.elected_time = context.clock().WallNow();
    const log::LogStatus log = leadership_.log().status();
    context.reign.set_cluster_id(log.cluster_id);
    context.reign.set_generation(log.generation);
    context.reign.set_epoch(epoch);
    office_->frameworks.Start();
    office_->agents.Start();
    office_->offers.Start();
  }

  // What it had in hand may be in the middle of something now.
  void OnStandby() override {
    new_office_ = environment_.clock().RunAfter(io::Duration::zero(), [this] {
      OpenOffice();
      leadership_.Contend(office_->context.info);
    });
  }

  void OnLeaderKnown() override {
    const Standing& standing = leadership_.standing();
    election::LeaderNews news;
    if (standing.leader) {
      *news.mutable_leader() = *standing.leader;
      auto leader = AddressOf(*standing.leader);
      if (leader.ok()) proxy_.OnLeader(*leader);
      if (standing.leader->id() == standing.log_leader_id &&
          standing.log_leader_epoch > 0) {
        news.set_generation(leadership_.log().status().generation);
        news.set_epoch(standing.log_leader_epoch);
      }
    }
    announcer_.Announce(news);
  }

  io::Environment& environment_;
  const MasterOptions options_;
  uint32_t ip_ = 0;
  io::WallTime start_time_;
  Leadership leadership_;
  election::Announcer announcer_;
  LeaderProxy proxy_;
  files::Files files_;
  std::unique_ptr<Office> office_;
  http::Server server_;
  std::unique_ptr<wire::Port> port_;
  io::Timer new_office_;
};

std::vector<QueueSize> Master::Core::queues() const {
  const Cluster& cluster = this->cluster();
  size_t unread = 0, completed = 0, unreachable = 0, roles = 0;
  for (const auto& [id, framework] : cluster.frameworks()) {
    if (framework->connected()) {
      unread = std::max(unread, framework->subscriber->queued_bytes());
    }
    completed = std::max(completed, framework->completed_tasks.size());
    unreachable = std::max(unreachable, framework->unreachable_tasks.size());
    roles += std::max<size_t>(1, framework->roles().size());
  }
  double most_offers = 0;
  for (const auto& [id, agent] : cluster.agents()) {
    most_offers += agent->total.Scalar("cpus") / kMinOfferedCpus +
                   agent->total.Scalar("mem") / kMinOfferedMem;
  }
  const registry::Registrar& registrar = leadership_.registrar();
  return {
      {"unread events", unread, kMaxSubscriberQueueBytes, true},
      {"completed tasks", completed, options_.max_completed_tasks_per_framework,
       true},
      {"unreachable tasks", unreachable, kMaxUnreachableTasksPerFramework,
       true},
      {"completed frameworks", cluster.completed_frameworks().size(),
       options_.max_completed_frameworks, true},
      {"offers", cluster.offers().size(), static_cast<size_t>(most_offers)},
      {"refusals", office_->offers.refusals(),
       kMaxFiltersPerAgent * roles * cluster.agents().size()},
      {"unregistered links", office_->agents.unregistered(),
       kMaxUnregisteredLinks},
      {"detectors", announcer_.listeners(), election::kMaxDetectors},
      {"HTTP connections", server_.connections(),
       http::ServerOptions{}.max_connections},
      {"forwarded requests", proxy_.requests(), LeaderProxy::kMaxRequests},
      {"registry operations", registrar.queued(),
       registry::Registrar::kMaxQueued},
      {"bytes of registry operations", registrar.queued_bytes(),
       registry::Registrar::kMaxQueuedBytes},
      {"log appends", registrar.log().queued_appends(), log::kMaxQueuedAppends},
  };
}

Master::Master(io::Environment& environment, MasterOptions options)
    : core_(std::make_unique<Core>(environment, std::move(options))) {}
Master::~Master() = default;

absl::Status Master::Start() { return core_->Start(); }

Master::View Master::view() const { return core_->view(); }
bool Master::leads() const { return core_->leads(); }
uint64_t Master::epoch() const { return core_->epoch(); }
const std::string& Master::id() const { return core_->id(); }
const Cluster& Master::cluster() const { return core_->cluster(); }
const registry::RegistryState& Master::registry() const {
  return core_->registry();
}
std::vector<QueueSize> Master::queues() const { return core_->queues(); }

void Master::CheckInvariants() const { core_->CheckInvariants(); }

}  // namespace quorate::master
