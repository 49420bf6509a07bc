#include "core/master/master.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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

class Master::Core {
 public:
  Core(io::Environment& environment, MasterOptions options)
      : options_(Completed(std::move(options))),
        context_(environment, options_),
        leadership_(context_, [this](uint64_t epoch) { OnLeading(epoch); }),
        offers_(context_),
        tasks_(context_),
        frameworks_(context_, offers_, tasks_),
        agents_(context_, offers_, tasks_, frameworks_),
        files_(environment),
        scheduler_api_(context_, offers_, tasks_, frameworks_),
        operator_api_(context_, frameworks_, files_),
        endpoints_(context_, leadership_.standing(), scheduler_api_,
                   operator_api_, files_),
        server_(environment.clock(), {},
                [this](http::Request request, http::Responder responder) {
                  endpoints_.Route(std::move(request), std::move(responder));
                }) {
    RegisterMetrics(context_, [this] { return IsLeading(); });
    for (const std::string& name : log::LogNode::MetricNames()) {
      context_.metrics.AddGauge(name, [this, name] {
        return leadership_.log().status().metrics.at(name);
      });
    }
    if (!options_.log_file.empty()) {
      files_.Attach("/master/log", options_.log_file);
    }
  }

  absl::Status Start() {
    const absl::StatusOr<uint32_t> ip = NetworkOrder(options_.advertise.ip);
    if (!ip.ok()) return ip.status();
    context_.registry = &leadership_;
    context_.start_time = context_.clock().WallNow();
    context_.info =
        MakeInfo(options_, context_.environment.random().Uuid(), *ip);
    auto port = wire::OpenPort(
        context_.clock(), context_.environment.network(), options_.bind,
        {.on_http =
             [this](std::unique_ptr<io::Connection> connection,
                    std::string first) {
               server_.Adopt(std::move(connection), first);
             },
         .on_link = [this](auto link) { OnLink(std::move(link)); },
         .handshake = [this](const auto& peer) { return Introduce(peer); }});
    if (!port.ok()) return port.status();
    port_ = *std::move(port);
    LOG(INFO) << "master " << context_.id() << " at "
              << options_.advertise.ToString();
    leadership_.Start();
    return absl::OkStatus();
  }

  View view() const {
    View view;
    view.elected = IsLeading();
    view.epoch = leadership_.standing().epoch;
    view.id = context_.id();
    for (const auto& [id, agent] : context_.cluster.agents()) {
      view.agents[id] = agent->connected();
    }
    return view;
  }

  const std::string& id() const { return context_.id(); }
  const Cluster& cluster() const { return context_.cluster; }
  const registry::RegistryState& registry() const {
    return leadership_.state();
  }
  std::vector<QueueSize> queues() const;

  void CheckInvariants() const { context_.cluster.CheckInvariants(); }
  bool leads() const { return IsLeading(); }
  uint64_t epoch() const { return leadership_.standing().epoch; }

 private:
  bool IsLeading() const {
    return leadership_.standing().phase == Standing::Phase::kLeading;
  }

  // Agents are not wanted before this master leads: they try the next.
  absl::StatusOr<wire::Handshake> Introduce(const wire::Handshake& peer) {
    if (peer.purpose == wire::Purpose::kLog) {
      return leadership_.log().MyHandshake();
    }
    if (!IsLeading()) {
      return absl::UnavailableError("this master does not lead");
    }
    wire::Handshake mine;
    mine.purpose = peer.purpose;
    mine.versions = options_.protocol;
    mine.cluster_id = context_.reign.cluster_id();
    mine.node_id = context_.id();
    mine.address = options_.advertise;
    return mine;
  }

  void OnLink(std::unique_ptr<wire::Link> link) {
    if (link->peer().purpose == wire::Purpose::kLog) {
      return leadership_.log().Accept(std::move(link));
    }
    if (IsLeading()) agents_.Accept(std::move(link));
  }

  void OnLeading(uint64_t epoch) {
    context_.elected_time = context_.clock().WallNow();
    const log::LogStatus log = leadership_.log().status();
    context_.reign.set_cluster_id(log.cluster_id);
    context_.reign.set_generation(log.generation);
    context_.reign.set_epoch(epoch);
    agents_.Start();
    offers_.Start();
  }

  const MasterOptions options_;
  Context context_;
  Leadership leadership_;
  Offers offers_;
  Tasks tasks_;
  Frameworks frameworks_;
  Agents agents_;
  files::Files files_;
  SchedulerApi scheduler_api_;
  OperatorApi operator_api_;
  Endpoints endpoints_;
  http::Server server_;
  std::unique_ptr<wire::Port> port_;
};

std::vector<QueueSize> Master::Core::queues() const {
  const Cluster& cluster = context_.cluster;
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
      {"refusals", offers_.refusals(),
       kMaxFiltersPerAgent * roles * cluster.agents().size()},
      {"unregistered links", agents_.unregistered(), kMaxUnregisteredLinks},
      {"HTTP connections", server_.connections(),
       http::ServerOptions{}.max_connections},
      {"registry operations", registrar.queued(),
       registry::Registrar::kMaxQueued},
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
