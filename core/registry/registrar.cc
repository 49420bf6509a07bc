#include "core/registry/registrar.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"

namespace quorate::registry {
namespace {

constexpr size_t kMaxBatch = 1000;
constexpr size_t kMaxBatchBytes = 4 << 20;
// A batch that is not full yet takes one more.
constexpr size_t kMaxOperationBytes = 8 << 20;
static_assert(kMaxBatchBytes + kMaxOperationBytes < log::kMaxEntryBytes);

Registrar::Options Fit(Registrar::Options options,
                       const log::LogOptions& log_options) {
  // A log with small segments takes small entries only.
  options.snapshot_part_bytes = std::min<uint64_t>(
      options.snapshot_part_bytes, log_options.segment_bytes / 4);
  return options;
}

}  // namespace

Registrar::Registrar(io::Environment& environment, Options options,
                     log::LogOptions log_options, OnLost on_lost,
                     OnLeader on_leader, OnVote on_vote)
    : environment_(environment),
      options_(Fit(options, log_options)),
      on_lost_(std::move(on_lost)),
      on_leader_(std::move(on_leader)),
      on_vote_(std::move(on_vote)),
      elects_itself_(log_options.builtin_election),
      log_(std::make_unique<log::LogNode>(environment, std::move(log_options),
                                          this)) {}

Registrar::~Registrar() = default;

void Registrar::Recover(const mesos::v1::MasterInfo& info, OnRecovered done) {
  info_ = info;
  recovered_ = std::move(done);
  if (elects_itself_) {
    if (elected_) Introduce(*std::exchange(elected_, std::nullopt));
    return;
  }
  fetch_timer_ = environment_.clock().RunAfter(options_.fetch_timeout, [this] {
    log_->Resign();
    FinishRecovery(absl::DeadlineExceededError(
        absl::StrCat("the registry could not be read in time: ",
                     log_->status().explanation)));
  });
  log_->Elect([this](absl::StatusOr<uint64_t> epoch) {
    if (!epoch.ok()) return FinishRecovery(epoch.status());
    Introduce(*epoch);
  });
}

void Registrar::OnLeading(uint64_t epoch) {
  if (recovered_) return Introduce(epoch);
  elected_ = epoch;
}

// The new leader's own introduction: durable before it acts.
void Registrar::Introduce(uint64_t epoch) {
  Operation operation;
  *operation.mutable_update_master()->mutable_info() = info_;
  leading_ = true;
  Enqueue(std::move(operation), [this, epoch](const absl::Status& status) {
    if (status.ok()) {
      FinishRecovery(epoch);
    } else {
      FinishRecovery(status);
    }
  });
}

void Registrar::FinishRecovery(absl::StatusOr<uint64_t> epoch) {
  if (!recovered_) return;
  fetch_timer_.Cancel();
  acting_ = epoch.ok();
  if (acting_ && options_.observer != nullptr) {
    options_.observer->OnState(applied_, state_);
  }
  OnRecovered done = std::move(recovered_);
  recovered_ = nullptr;
  done(std::move(epoch));
}

void Registrar::Apply(Operation operation, OnApplied done) {
  if (!acting_) {
    return done(
        absl::FailedPreconditionError("this master's registry is not leading"));
  }
  operation.DiscardUnknownFields();
  const size_t bytes = operation.ByteSizeLong();
  if (bytes > kMaxOperationBytes) {
    return done(absl::InvalidArgumentError(
        absl::StrCat("a change of the registry of ", bytes, " bytes; at most ",
                     kMaxOperationBytes, " are allowed")));
  }
  if (queue_.size() >= kMaxQueued || queued_bytes_ + bytes > kMaxQueuedBytes) {
    return done(absl::ResourceExhaustedError(
        "too many changes of the registry are waiting"));
  }
  Enqueue(std::move(operation), std::move(done));
}

void Registrar::Enqueue(Operation operation, OnApplied done) {
  Pending& pending = queue_.emplace_back();
  pending.bytes = operation.ByteSizeLong();
  queued_bytes_ += pending.bytes;
  pending.operation = std::move(operation);
  pending.done = std::move(done);
  if (options_.observer != nullptr) {
    pending.ticket = options_.observer->OnAsked(pending.operation);
  }
  if (Planted(Bug::kRegistryStale)) {
    pending.outcome = RegistryState(state_).Apply(pending.operation);
  }
  StoreNext();
}

void Registrar::Answer(const Pending& pending, const absl::Status& outcome) {
  if (options_.observer != nullptr) {
    options_.observer->OnAnswered(pending.ticket, outcome, pending.position,
                                  pending.index);
  }
  pending.done(outcome);
}

// One entry is under way at a time.
void Registrar::StoreNext() {
  if (!leading_ || !storing_.empty() || !parts_.empty()) return;
  if (SnapshotDue()) return BeginSnapshot();
  if (!queue_.empty()) StoreBatch();
}

// Everything that waits goes into one entry of the log.
void Registrar::StoreBatch() {
  Batch batch;
  size_t bytes = 0;
  while (!queue_.empty() && storing_.size() < kMaxBatch &&
         bytes < kMaxBatchBytes) {
    bytes += queue_.front().bytes;
    queued_bytes_ -= queue_.front().bytes;
    *batch.add_operations() = queue_.front().operation;
    storing_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  Store(batch);
}

void Registrar::Store(const Batch& batch) {
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
  if (!parts_.empty()) return OnPartStored(status);
  if (storing_.empty()) return;
  std::vector<Pending> stored;
  stored.swap(storing_);
  if (!status.ok()) leading_ = false;
  // OnCommitted has run for this entry and left each operation's outcome.
  for (const Pending& pending : stored) {
    Answer(pending, status.ok() ? pending.outcome : status);
  }
  if (!status.ok()) return Lose(status);
  StoreNext();
}

// Not before the introduction: nobody waits for a snapshot to be led.
bool Registrar::SnapshotDue() const {
  return acting_ &&
         operation_bytes_ >
             std::max<uint64_t>(options_.snapshot_threshold, snapshot_bytes_);
}

// Nothing is under way: the state is that of all operations in the log.
void Registrar::BeginSnapshot() {
  for (Snapshot& part : state_.ToParts(options_.snapshot_part_bytes)) {
    parts_.push_back(std::move(part));
  }
  StorePart();
}

void Registrar::StorePart() {
  Batch batch;
  *batch.mutable_snapshot() = std::move(parts_.front());
  Store(batch);
}

void Registrar::OnPartStored(const absl::Status& status) {
  if (!status.ok()) return Lose(status);
  parts_.pop_front();
  if (!parts_.empty()) return StorePart();
  GiveUpOldEntries();
  StoreNext();
}

void Registrar::GiveUpOldEntries() {
  LOG(INFO) << "wrote a snapshot of the registry, " << snapshot_bytes_
            << " bytes, at position " << assembly_position_ << " of the log";
  log_->Truncate(assembly_position_, [](absl::StatusOr<uint64_t> truncated) {
    if (truncated.ok()) return;
    LOG(INFO) << "the log was not truncated; after the next snapshot it may: "
              << truncated.status();
  });
}

void Registrar::Resign() {
  recovered_ = nullptr;
  fetch_timer_.Cancel();
  elected_.reset();
  acting_ = false;
  Lose(absl::AbortedError("leadership was given up"));
}

void Registrar::Lose(const absl::Status& reason) {
  leading_ = false;
  parts_.clear();
  // After a timeout the log may still lead: nobody would use that.
  log_->Resign();
  FailQueue(reason);
  if (recovered_) return FinishRecovery(reason);
  if (std::exchange(acting_, false)) on_lost_(reason);
}

void Registrar::FailQueue(const absl::Status& status) {
  std::deque<Pending> queue;
  queue.swap(queue_);
  queued_bytes_ = 0;
  for (const Pending& pending : queue) Answer(pending, status);
}

void Registrar::OnCommitted(uint64_t position, absl::string_view payload) {
  const absl::StatusOr<Batch> batch = ParseBatch(payload);
  if (!batch.ok()) {
    return environment_.Exit(
        io::kExitFailure,
        absl::StrCat("the registry's log at position ", position, ": ",
                     batch.status().message()));
  }
  if (!founded_) founded_ = log_->status().base == 0;
  applied_ = position;
  if (batch->has_snapshot()) {
    return OnSnapshotPart(position, batch->snapshot(), payload.size());
  }
  operation_bytes_ += payload.size();
  OnOperations(position, *batch);
}

void Registrar::OnOperations(uint64_t position, const Batch& batch) {
  // Whoever wrote the parts so far is not the leader any more.
  assembly_.Drop();
  if (!*founded_) {
    return environment_.Exit(
        io::kExitFailure,
        absl::StrCat("the registry's log was truncated, and holds no snapshot "
                     "before position ",
                     position));
  }
  // While this master leads, the log's only writer is itself, with one entry
  // under way: an entry that is committed then is the one being stored.
  const bool ours = leading_ && !storing_.empty();
  std::vector<absl::Status> outcomes;
  for (size_t i = 0; i < batch.operations_size(); ++i) {
    const Operation& operation = batch.operations(static_cast<int>(i));
    outcomes.push_back(state_.Apply(operation));
    if (operation.has_update_master()) introduced_ = position;
    if (!ours || i >= storing_.size()) continue;
    storing_[i].position = position;
    storing_[i].index = i;
    if (!Planted(Bug::kRegistryStale)) storing_[i].outcome = outcomes[i];
  }
  if (options_.observer != nullptr) {
    options_.observer->OnApplied(position, outcomes);
  }
  TellLeader();
}

// Also the leader takes it over: what a snapshot loses is lost by all alike.
void Registrar::OnSnapshotPart(uint64_t position, const Snapshot& part,
                               size_t bytes) {
  if (part.first()) {
    assembly_position_ = position;
    assembly_bytes_ = 0;
  }
  assembly_bytes_ += bytes;
  std::optional<RegistryState> state = assembly_.Add(part);
  if (!state) return;
  state_ = *std::move(state);
  founded_ = true;
  snapshot_bytes_ = assembly_bytes_;
  operation_bytes_ = 0;
  // Whoever wrote it had introduced itself before.
  introduced_ = position;
  if (options_.observer != nullptr) {
    options_.observer->OnState(position, state_);
  }
  TellLeader();
}

void Registrar::OnLeaderChanged(const std::string& address, uint64_t epoch) {
  leader_address_ = address;
  leader_epoch_ = epoch;
  TellLeader();
}

// A leader is known by its introduction, which follows the beginning of its
// reign in the log.
void Registrar::TellLeader() {
  if (!on_leader_) return;
  const std::optional<mesos::v1::MasterInfo>& info = state_.master();
  const bool known = !leader_address_.empty() && info &&
                     introduced_ > leader_epoch_ &&
                     io::Endpoint{info->address().ip(),
                                  static_cast<uint16_t>(info->address().port())}
                             .ToString() == leader_address_;
  std::string id = known ? info->id() : std::string();
  if (told_leader_ == id) return;
  told_leader_ = std::move(id);
  if (!known) return on_leader_(std::nullopt);
  on_leader_(Leader{*info, leader_epoch_});
}

void Registrar::OnVoting(bool voting) {
  if (on_vote_) on_vote_(voting);
}

void Registrar::OnBase(uint64_t) {
  state_ = RegistryState();
  assembly_.Drop();
  founded_ = false;
  snapshot_bytes_ = 0;
  operation_bytes_ = 0;
}

void Registrar::OnLostLeadership(const absl::Status& reason) {
  elected_.reset();
  Lose(absl::AbortedError(reason.message()));
}

}  // namespace quorate::registry
