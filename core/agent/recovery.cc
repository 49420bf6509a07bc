#include "core/agent/recovery.h"

#include <glog/logging.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/resources/attributes.h"
#include "core/resources/resources.h"

namespace quorate::agent {
namespace {

using mesos::v1::AgentInfo;

std::string ResourcesText(const AgentInfo& info) {
  const auto resources = Resources::FromProto(info.resources());
  return resources.ok() ? resources->ToText() : "?";
}

}  // namespace

absl::Status CheckCompatible(const AgentInfo& before, const AgentInfo& now) {
  std::vector<std::string> differences;
  const auto compare = [&](absl::string_view flag, const std::string& was,
                           const std::string& is) {
    if (was == is) return;
    differences.push_back(
        absl::StrCat("--", flag, " was '", was, "', now it is '", is, "'"));
  };
  compare("hostname", before.hostname(), now.hostname());
  compare("port", absl::StrCat(before.port()), absl::StrCat(now.port()));
  compare("resources", ResourcesText(before), ResourcesText(now));
  compare("attributes", AttributesToText(before.attributes()),
          AttributesToText(now.attributes()));
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "Incompatible agent info detected: ", absl::StrJoin(differences, "; ")));
}

Recovery::Recovery(io::Environment& environment, const AgentOptions& options,
                   const AgentInfo& info, Store& store, Executors& executors,
                   Listener* listener)
    : environment_(environment),
      options_(options),
      info_(info),
      store_(store),
      executors_(executors),
      listener_(listener) {}

void Recovery::Start() {
  using Read = absl::StatusOr<std::optional<RecoveredAgent>>;
  auto read = std::make_shared<Read>(std::nullopt);
  store_.Try(
      [read, strict = options_.strict](Checkpoints& checkpoints) {
        const absl::Status locked = checkpoints.Lock();
        *read = locked.ok() ? checkpoints.Recover(strict) : Read(locked);
        return absl::OkStatus();
      },
      [this, read](const absl::Status&) { OnRead(*read); });
}

// Of a disk that fails, or is full, the message need not say where.
void Recovery::OnUnreadable(const absl::Status& why) {
  const bool disk = absl::IsUnavailable(why) || absl::IsResourceExhausted(why);
  if (!disk) {
    return listener_->OnRecoveryFailed(io::kExitFailure,
                                       std::string(why.message()));
  }
  listener_->OnRecoveryFailed(
      io::kExitDiskFailure,
      absl::StrCat("cannot recover from ", store_.paths().Meta(), ": ",
                   why.message()));
}

void Recovery::OnRead(
    const absl::StatusOr<std::optional<RecoveredAgent>>& read) {
  if (!read.ok()) return OnUnreadable(read.status());
  recovered_ = *read;
  if (recovered_.has_value()) {
    for (const std::string& error : recovered_->errors) LOG(ERROR) << error;
    errors_ = static_cast<int>(recovered_->errors.size());
    rebooted_ =
        !options_.boot_id.empty() && recovered_->boot_id != options_.boot_id;
    const absl::Status compatible =
        CheckCompatible(recovered_->record.info(), info_);
    if (!compatible.ok() && rebooted_) {
      // Nothing runs any more: a new agent loses nothing.
      LOG(WARNING) << compatible.message() << "; registering as a new agent";
      recovered_.reset();
    } else if (!compatible.ok()) {
      return listener_->OnRecoveryFailed(
          io::kExitFailure,
          absl::StrCat(compatible.message(),
                       ". Restart the agent as it was, or give up its tasks "
                       "and its id: rm -f ",
                       store_.paths().MetaAgents(), "/latest"));
    }
  }
  step_ = Step::kListing;
  environment_.containers().List(
      [this, alive = std::weak_ptr<bool>(alive_)](const auto& running) {
        if (!alive.expired()) OnListed(running);
      });
}

void Recovery::OnListed(
    const absl::StatusOr<std::vector<io::ContainerInfo>>& running) {
  if (!running.ok()) {
    return listener_->OnRecoveryFailed(io::kExitFailure,
                                       std::string(running.status().message()));
  }
  if (recovered_.has_value()) {
    executors_.SetAgentId(recovered_->record.info().id().value());
  }
  executors_.Restore(recovered_.value_or(RecoveredAgent()), *running,
                     rebooted_);
  step_ = Step::kReconnecting;
  listener_->OnReconnecting();
  if (!executors_.AwaitsExecutors() || !options_.reconnect) return Finish();
  patience_ = environment_.clock().RunAfter(
      options_.executor_reregistration_timeout, [this] { Finish(); });
}

void Recovery::OnSubscribed() {
  if (step_ == Step::kReconnecting && !executors_.AwaitsExecutors()) Finish();
}

void Recovery::Finish() {
  step_ = Step::kDone;
  patience_.Cancel();
  executors_.GiveUpMissing();
  // The process before may have died between writing the reign and syncing it:
  // what was read is not durable yet, and this agent is about to rely on it.
  std::optional<std::pair<std::string, wire::Reign>> reign;
  if (recovered_.has_value() && recovered_->reign.has_value()) {
    reign.emplace(recovered_->record.info().id().value(), *recovered_->reign);
  }
  store_.Write(
      [boot_id = options_.boot_id, reign](Checkpoints& checkpoints) {
        const absl::Status status = checkpoints.WriteBootId(boot_id);
        if (!status.ok() || !reign.has_value()) return status;
        return checkpoints.WriteReign(reign->first, reign->second);
      },
      [this] {
        Registration::Identity identity;
        if (recovered_.has_value()) {
          identity.agent_id = recovered_->record.info().id().value();
          identity.cluster_id = recovered_->record.cluster_id();
          identity.reign.set_cluster_id(identity.cluster_id);
          identity.reign.set_epoch(0);
          if (recovered_->reign.has_value())
            identity.reign = *recovered_->reign;
        }
        recovered_.reset();
        listener_->OnRecovered(std::move(identity));
      });
}

}  // namespace quorate::agent
