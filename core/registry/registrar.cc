#include "core/registry/registrar.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::registry {
namespace {

constexpr size_t kMaxBatch = 1000;
constexpr size_t kMaxQueued = 100000;
constexpr size_t kMaxBatchBytes = 4 << 20;
// A batch that is not full yet takes one more.
constexpr size_t kMaxOperationBytes = 8 << 20;
static_assert(kMaxBatchBytes + kMaxOperationBytes < log::kMaxEntryBytes);

}  // namespace

Registrar::Registrar(io::Environment& environment, Options options,
                     log::LogOptions log_options, OnLost on_lost)
    : environment_(environment),
      options_(options),
      on_lost_(std::move(on_lost)),
      log_(std::make_unique<log::LogNode>(environment, std::move(log_options),
                                          this)) {}

Registrar::~Registrar() = default;

void Registrar::Recover(const mesos::v1::MasterInfo& info, OnRecovered done) {
  recovered_ = std::move(done);
  fetch_timer_ = environment_.clock().RunAfter(options_.fetch_timeout, [this] {
    log_->Resign();
    FinishRecovery(absl::DeadlineExceededError(
        absl::StrCat("the registry could not be read in time: ",
                     log_->status().explanation)));
  });
  log_->Elect([this, info](absl::StatusOr<uint64_t> epoch) {
    if (!epoch.ok()) return FinishRecovery(epoch.status());
    // The new leader's own introduction: durable before it acts.
    Operation operation;
    *operation.mutable_update_master()->mutable_info() = info;
    leading_ = true;
    Enqueue(std::move(operation), [this, epoch](const absl::Status& status) {
      if (status.ok()) {
        FinishRecovery(epoch);
      } else {
        FinishRecovery(status);
      }
    });
  });
}

void Registrar::FinishRecovery(absl::StatusOr<uint64_t> epoch) {
  if (!recovered_) return;
  fetch_timer_.Cancel();
  acting_ = epoch.ok();
  OnRecovered done = std::move(recovered_);
  recovered_ = nullptr;
  done(std::move(epoch));
}

void Registrar::Apply(Operation operation, OnApplied done) {
  if (!acting_) {
    return done(
        absl::FailedPreconditionError("this master's registry is not leading"));
  }
  if (operation.ByteSizeLong() > kMaxOperationBytes) {
    return done(absl::InvalidArgumentError(
        absl::StrCat("a change of the registry of ", operation.ByteSizeLong(),
                     " bytes; at most ", kMaxOperationBytes, " are allowed")));
  }
  if (queue_.size() >= kMaxQueued) {
    return done(absl::ResourceExhaustedError(
        "too many changes of the registry are waiting"));
  }
  Enqueue(std::move(operation), std::move(done));
}

void Registrar::Enqueue(Operation operation, OnApplied done) {
  queue_.push_back({std::move(operation), std::move(done), absl::OkStatus()});
  StoreNext();
}

// Everything that waits goes into one entry of the log.
void Registrar::StoreNext() {
  if (!leading_ || !storing_.empty() || queue_.empty()) return;
  Batch batch;
  size_t bytes = 0;
  while (!queue_.empty() && storing_.size() < kMaxBatch &&
         bytes < kMaxBatchBytes) {
    bytes += queue_.front().operation.ByteSizeLong();
    *batch.add_operations() = queue_.front().operation;
    storing_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  store_timer_ = environment_.clock().RunAfter(options_.store_timeout, [this] {
    OnStored(absl::DeadlineExceededError(
        "the registry could not be written in time: no quorum of the masters "
        "answers"));
  });
  log_->Append(batch.SerializeAsString(),
               [this](absl::StatusOr<uint64_t> position) {
                 OnStored(position.status());
               });
}

void Registrar::OnStored(const absl::Status& status) {
  store_timer_.Cancel();
  if (storing_.empty()) return;
  std::vector<Pending> stored;
  stored.swap(storing_);
  if (!status.ok()) leading_ = false;
  // OnCommitted has run for this entry and left each operation's outcome.
  for (Pending& pending : stored) {
    pending.done(status.ok() ? pending.outcome : status);
  }
  if (!status.ok()) return Lose(status);
  StoreNext();
}

void Registrar::Lose(const absl::Status& reason) {
  leading_ = false;
  // After a timeout the log may still lead: nobody would use that.
  log_->Resign();
  FailQueue(reason);
  if (recovered_) return FinishRecovery(reason);
  if (std::exchange(acting_, false)) on_lost_(reason);
}

void Registrar::FailQueue(const absl::Status& status) {
  std::deque<Pending> queue;
  queue.swap(queue_);
  for (Pending& pending : queue) pending.done(status);
}

void Registrar::OnCommitted(uint64_t position, absl::string_view payload) {
  Batch batch;
  if (!batch.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return environment_.Exit(
        io::kExitFailure, absl::StrCat("the registry's log holds at position ",
                                       position, " what no registry wrote"));
  }
  // While this master leads, the log's only writer is itself, with one entry
  // under way: an entry that is committed then is the one being stored.
  const bool ours = leading_ && !storing_.empty();
  for (int i = 0; i < batch.operations_size(); ++i) {
    const absl::Status outcome = state_.Apply(batch.operations(i));
    if (absl::IsUnimplemented(outcome)) {
      return environment_.Exit(io::kExitFailure, outcome.message());
    }
    if (ours && i < static_cast<int>(storing_.size())) {
      storing_[i].outcome = outcome;
    }
  }
}

void Registrar::OnLostLeadership(const absl::Status& reason) {
  Lose(absl::AbortedError(reason.message()));
}

}  // namespace quorate::registry
