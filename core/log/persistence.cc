#include "core/log/persistence.h"

#include <glog/logging.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace quorate::log {
namespace {

constexpr io::Duration kDiskFullRetry = std::chrono::seconds(5);
// Entries that are stored without a sync before a checkpoint makes them
// durable; they are kept in memory until then.
constexpr uint64_t kCheckpointBytes = 16 << 20;
// Entries that are absorbed together.
constexpr uint64_t kGatheredBytes = 256 << 10;
constexpr io::Duration kGatherTime = std::chrono::milliseconds(10);

uint64_t BytesOf(const std::vector<LearnedEntry>& entries) {
  uint64_t bytes = 0;
  for (const LearnedEntry& learned : entries) {
    bytes += learned.entry->ByteSizeLong();
  }
  return bytes;
}

}  // namespace

Persistence::Persistence(io::Environment& environment, Storage::Options options,
                         Listener* listener)
    : environment_(environment),
      options_(std::move(options)),
      listener_(listener),
      records_(environment.NewLane("log records")),
      journal_(environment.NewLane("log journal")) {}

Persistence::~Persistence() = default;

void Persistence::Fail(const absl::Status& status) {
  if (std::exchange(failed_, true)) return;
  listener_->OnDiskFailed(status);
}

void Persistence::Open(OnOpened done) {
  struct Opened {
    absl::Status status;
    ReplicaState state;
  };
  auto opened = std::make_shared<Opened>();
  journal_->Run(
      [this, opened] {
        auto storage = Storage::Open(environment_.disk(), options_);
        opened->status = storage.status();
        if (!storage.ok()) return;
        storage_ = *std::move(storage);
        opened->state = storage_->TakeState();
      },
      [this, opened, done = std::move(done)] {
        if (absl::IsResourceExhausted(opened->status)) {
          return AwaitSpace(opened->status, done);
        }
        if (!opened->status.ok()) return done(opened->status);
        const bool waited = std::exchange(disk_full_, false);
        identity_ = storage_->identity();
        base_ = opened->state.base;
        stored_upto_ = opened->state.settled;
        room_ = storage_->room();
        const bool full = opened->state.disk_full;
        done(std::move(opened->state));
        if (full) {
          OnRecordsStatus(absl::ResourceExhaustedError("the reserve is used"));
        } else if (waited) {
          OnSpace();
        }
        if (room_.wants_checkpoint) Checkpoint();
      });
}

// Votes could be taken without the records; but LevelDB does not open without
// a write, and what is on disk is told as a whole.
void Persistence::AwaitSpace(const absl::Status& status, OnOpened done) {
  if (!std::exchange(disk_full_, true)) {
    LOG(ERROR) << "the disk of the log in " << options_.directory
               << " is full: this replica cannot start until there is space: "
               << status.message();
    listener_->OnDiskFull(true);
  }
  retry_ = environment_.clock().RunAfter(
      kDiskFullRetry,
      [this, done = std::move(done)]() mutable { Open(std::move(done)); });
}

bool Persistence::CanWrite(uint64_t bytes) const {
  return !busy_ && !failed_ &&
         bytes <= (disk_full_ ? room_.truncation_bytes : room_.free_bytes);
}

void Persistence::Write(DurableWrite write) {
  busy_ = true;
  ++writes_begun_;
  struct Work {
    DurableWrite write;
    absl::Status status;
    Storage::JournalRoom room;
  };
  auto work = std::make_shared<Work>();
  work->write = std::move(write);
  journal_->Run(
      [this, work] {
        work->status = storage_->Apply(work->write);
        work->room = storage_->room();
      },
      [this, work] {
        busy_ = false;
        if (!work->status.ok()) return Fail(work->status);
        ++writes_;
        room_ = work->room;
        listener_->OnDurable(work->write);
        if (room_.wants_checkpoint) Checkpoint();
      });
}

void Persistence::SetIdentity(SuperblockProto identity,
                              std::function<void()> done) {
  auto status = std::make_shared<absl::Status>();
  journal_->Run(
      [this, status, identity] { *status = storage_->SetIdentity(identity); },
      [this, status, identity, done = std::move(done)] {
        if (!status->ok()) return Fail(*status);
        identity_ = identity;
        done();
      });
}

void Persistence::Truncate(Base base) {
  StoreGathered();
  auto status = std::make_shared<absl::Status>();
  const uint64_t position = base.position();
  base_ = position;
  // A checkpoint under way counts them.
  if (!checkpointing_) {
    absorbed_.erase(std::remove_if(absorbed_.begin(), absorbed_.end(),
                                   [position](const LearnedEntry& entry) {
                                     return entry.position < position;
                                   }),
                    absorbed_.end());
    absorbed_bytes_ = BytesOf(absorbed_);
  }
  journal_->Run([this, status,
                 base = std::move(base)] { *status = storage_->SetBase(base); },
                [this, status, position] {
                  if (!status->ok()) return Fail(*status);
                  auto deleted = std::make_shared<absl::Status>();
                  // On a full disk the reserve is what makes room for the
                  // deletion.
                  const bool full = disk_full_;
                  records_->Run(
                      [this, deleted, position, full] {
                        if (full) {
                          *deleted = storage_->ReleaseReserve();
                          if (deleted->ok()) *deleted = storage_->Reopen();
                        }
                        if (deleted->ok())
                          *deleted = storage_->DeleteBelow(position);
                        if (full && deleted->ok())
                          *deleted = storage_->TakeReserve();
                      },
                      [this, deleted] { OnRecordsStatus(*deleted); });
                });
}

void Persistence::Absorb(std::vector<LearnedEntry> entries) {
  if (entries.empty()) return;
  const uint64_t bytes = BytesOf(entries);
  absorbed_bytes_ += bytes;
  backlog_bytes_ += bytes;
  gathered_bytes_ += bytes;
  absorbed_.insert(absorbed_.end(), entries.begin(), entries.end());
  const bool first = gathered_.empty();
  gathered_.insert(gathered_.end(), std::make_move_iterator(entries.begin()),
                   std::make_move_iterator(entries.end()));
  if (gathered_bytes_ >= kGatheredBytes) return StoreGathered();
  if (!first) return;
  gather_timer_ =
      environment_.clock().RunAfter(kGatherTime, [this] { StoreGathered(); });
}

// Nobody waits for it: one write for many is less work for the machine.
void Persistence::StoreGathered() {
  gather_timer_.Cancel();
  if (gathered_.empty()) return;
  const uint64_t bytes = std::exchange(gathered_bytes_, 0);
  auto status = std::make_shared<absl::Status>();
  records_->Run(
      [this, status, entries = std::exchange(gathered_, {})] {
        *status = storage_->Absorb(entries);
      },
      [this, status, bytes] {
        backlog_bytes_ -= bytes;
        OnRecordsStatus(*status);
        if (absorbed_bytes_ >= kCheckpointBytes) Checkpoint();
      });
}

void Persistence::Checkpoint() {
  if (checkpointing_ || disk_full_ || failed_) return;
  checkpointing_ = true;
  StoreGathered();
  struct Work {
    std::map<uint64_t, Slot> unsettled;
    absl::Status status;
  };
  auto work = std::make_shared<Work>();
  const uint64_t settled = listener_->SettledUpto();
  work->unsettled = listener_->Unsettled();
  const size_t absorbed = absorbed_.size();
  const uint64_t begun = writes_begun_;
  records_->Run(
      [this, work] { work->status = storage_->Checkpoint(work->unsettled); },
      [this, work, settled, absorbed, begun] {
        OnCheckpoint(settled, std::move(work->unsettled), work->status,
                     absorbed, begun);
      });
}

void Persistence::OnCheckpoint(uint64_t settled,
                               std::map<uint64_t, Slot> unsettled,
                               const absl::Status& status, size_t absorbed,
                               uint64_t begun) {
  OnRecordsStatus(status);
  if (!status.ok()) {
    checkpointing_ = false;
    return;
  }
  absorbed_.erase(absorbed_.begin(),
                  absorbed_.begin() + static_cast<ptrdiff_t>(absorbed));
  absorbed_bytes_ = BytesOf(absorbed_);
  struct Work {
    std::map<uint64_t, Slot> unsettled;
    absl::Status status;
    Storage::JournalRoom room;
  };
  auto work = std::make_shared<Work>();
  work->unsettled = std::move(unsettled);
  journal_->Run(
      [this, work, settled] {
        work->status = storage_->Recycle(settled, work->unsettled);
        work->room = storage_->room();
      },
      [this, work, settled, begun] {
        checkpointing_ = false;
        if (!work->status.ok()) return Fail(work->status);
        ++checkpoints_;
        stored_upto_ = std::max(stored_upto_, settled);
        room_ = work->room;
        // Whoever waited for room is told as for a write.
        listener_->OnDurable({});
        // Votes that came meanwhile kept the full segment. If they have filled
        // the other one, no write will ask for the next checkpoint.
        const bool outdated = writes_begun_ != begun;
        if (room_.wants_checkpoint && outdated && !busy_) Checkpoint();
      });
}

// A full disk is waited for; any other error means that nothing is known.
void Persistence::OnRecordsStatus(const absl::Status& status) {
  if (status.ok()) return;
  if (!absl::IsResourceExhausted(status)) return Fail(status);
  if (std::exchange(disk_full_, true)) return;
  LOG(ERROR) << "the disk of the log in " << options_.directory
             << " is full: this replica accepts no entries until there is "
                "space, or the log is truncated: "
             << status.message();
  listener_->OnDiskFull(true);
  retry_ =
      environment_.clock().RunAfter(kDiskFullRetry, [this] { TryAgain(); });
}

void Persistence::TryAgain() {
  StoreGathered();
  auto status = std::make_shared<absl::Status>();
  records_->Run(
      [this, status, entries = absorbed_, base = base_] {
        *status = storage_->Reopen();
        if (status->ok()) *status = storage_->DeleteBelow(base);
        if (status->ok()) *status = storage_->Absorb(entries);
        if (status->ok()) *status = storage_->TakeReserve();
      },
      [this, status] {
        if (absl::IsResourceExhausted(*status)) {
          retry_ = environment_.clock().RunAfter(kDiskFullRetry,
                                                 [this] { TryAgain(); });
          return;
        }
        if (!status->ok()) return Fail(*status);
        disk_full_ = false;
        OnSpace();
        Checkpoint();
      });
}

void Persistence::OnSpace() {
  LOG(INFO) << "the disk of the log in " << options_.directory
            << " has space again";
  listener_->OnDiskFull(false);
}

void Persistence::Read(uint64_t position, uint64_t end, size_t max_bytes,
                       OnRead done) {
  StoreGathered();
  auto result = std::make_shared<absl::StatusOr<Storage::ReadResult>>();
  records_->Run(
      [this, result, position, end, max_bytes] {
        *result = storage_->Read(position, end, max_bytes);
      },
      [this, result, done = std::move(done)] {
        if (!result->ok()) return Fail(result->status());
        done(*std::move(*result));
      });
}

void Persistence::Scrub(uint64_t position, uint64_t end, size_t max_bytes,
                        OnScrubbed done) {
  StoreGathered();
  auto result = std::make_shared<absl::StatusOr<Storage::ScrubResult>>();
  records_->Run(
      [this, result, position, end, max_bytes] {
        *result = storage_->Scrub(position, end, max_bytes);
      },
      [this, result, done = std::move(done)] {
        if (!result->ok()) return Fail(result->status());
        done(*std::move(*result));
      });
}

}  // namespace quorate::log
