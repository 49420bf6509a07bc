#include "core/master/leadership.h"

#include <glog/logging.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quorate::master {
namespace {

// What a replica of the log is called in ZooKeeper, before its address.
constexpr absl::string_view kReplicaPrefix = "log-replica(1)@";

log::LogOptions LogOptionsOf(const MasterOptions& options) {
  log::LogOptions log;
  log.protocol = options.protocol;
  log.directory = absl::StrCat(options.work_dir, "/replicated_log");
  log.quorum = options.quorum;
  log.auto_initialize = options.log_auto_initialize;
  log.address = options.advertise;
  log.observer = options.log_observer;
  if (options.log_segment_bytes > 0) {
    log.segment_bytes = options.log_segment_bytes;
    log.reserve_bytes = options.log_reserve_bytes;
  }
  return log;
}

}  // namespace

Leadership::Leadership(Context& context,
                       std::function<void(uint64_t epoch)> on_leading)
    : context_(context),
      on_leading_(std::move(on_leading)),
      registrar_(context.environment,
                 {.fetch_timeout = context.options.registry_fetch_timeout,
                  .store_timeout = context.options.registry_store_timeout,
                  .observer = context.options.registry_observer},
                 LogOptionsOf(context.options),
                 [this](const absl::Status& reason) { OnLost(reason); }) {}

Leadership::~Leadership() = default;

void Leadership::Start() {
  registrar_.log().Start();
  const auto& zk = context_.options.zk;
  if (!zk) {
    registrar_.log().SetPeers({});
    contender_ = election::NewStandaloneContender(context_.environment,
                                                  context_.info, this);
    return;
  }
  const io::Duration timeout = context_.options.zk_session_timeout;
  election::ZooKeeperUrl replicas = *zk;
  replicas.path += "/log_replicas";
  replicas_ = std::make_unique<election::Group>(
      context_.environment,
      election::GroupOptions{.url = std::move(replicas),
                             .session_timeout = timeout},
      "", this);
  replicas_->Start();
  replicas_->Join(ReplicaName());
  contender_ = election::NewZooKeeperContender(
      context_.environment, {.url = *zk, .session_timeout = timeout},
      context_.info, this);
}

std::string Leadership::ReplicaName() const {
  return absl::StrCat(kReplicaPrefix, context_.options.advertise.ToString());
}

void Leadership::OnMembers(const std::optional<election::Members>& members) {
  // Not known: those of before are the best guess, and harmless.
  if (!members) return;
  std::vector<io::Endpoint> peers;
  for (const auto& [sequence, content] : *members) {
    absl::string_view address = content;
    absl::ConsumePrefix(&address, kReplicaPrefix);
    absl::StatusOr<io::Endpoint> peer = io::ParseEndpoint(address);
    if (!peer.ok()) {
      LOG(WARNING) << "ignoring the log replica with sequence " << sequence
                   << ": " << peer.status();
      continue;
    }
    if (*peer != context_.options.advertise) peers.push_back(*peer);
  }
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
}

void Leadership::OnElected() {
  LOG(INFO) << "elected; recovering the registry";
  standing_.phase = Standing::Phase::kRecovering;
  registrar_.Recover(context_.info, [this](absl::StatusOr<uint64_t> epoch) {
    OnRecovered(epoch);
  });
}

void Leadership::OnRecovered(const absl::StatusOr<uint64_t>& epoch) {
  if (absl::IsAborted(epoch.status())) {
    return context_.environment.Exit(
        io::kExitLostLeadership,
        absl::StrCat("another master took over the replicated log while this "
                     "one was recovering: ",
                     epoch.status().message()));
  }
  if (!epoch.ok()) {
    return context_.environment.Exit(
        io::kExitFailure, absl::StrCat("cannot recover the registry: ",
                                       epoch.status().message()));
  }
  standing_.phase = Standing::Phase::kLeading;
  standing_.epoch = *epoch;
  LOG(INFO) << "leading, in epoch " << *epoch;
  on_leading_(*epoch);
}

void Leadership::OnDeposed(const absl::Status& reason) {
  context_.environment.Exit(
      io::kExitLostLeadership,
      absl::StrCat("lost leadership: ", reason.message()));
}

void Leadership::OnLost(const absl::Status& reason) {
  context_.environment.Exit(
      io::kExitLostLeadership,
      absl::StrCat("lost leadership of the replicated log: ",
                   reason.message()));
}

void Leadership::Apply(registry::Operation operation, OnApplied done) {
  registrar_.Apply(std::move(operation), [this, done = std::move(done)](
                                             const absl::Status& outcome) {
    // What became of it cannot be known here; a successor will see.
    if (absl::IsDeadlineExceeded(outcome)) {
      return context_.environment.Exit(
          io::kExitFailure,
          absl::StrCat("cannot write the registry: ", outcome.message()));
    }
    if (outcome.ok() || absl::IsAlreadyExists(outcome) ||
        absl::IsNotFound(outcome)) {
      return done(outcome);
    }
    OnLost(outcome);
  });
}

}  // namespace quorate::master
