#include "core/log/storage.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/log/journal.h"
#include "core/log/records.h"
#include "core/log/superblock.h"

namespace quorate::log {
namespace {

constexpr absl::string_view kRecordsName = "records";
constexpr absl::string_view kSuperblockName = "superblock";
constexpr absl::string_view kReserveName = "reserve";
constexpr absl::string_view kLockName = "lock";
// Positions of which a replica that lost votes cannot say whether it voted:
// no further one is ever accepted (Acceptor::kMaxAhead).
constexpr uint64_t kBlindAhead = 10000;
// Of the journal, for a truncation on a full disk.
constexpr uint64_t kTruncationBytes = 32 << 10;
constexpr uint64_t kReserveStep = 1 << 20;

constexpr absl::string_view kRemedy =
    ". Move the directory away and start it empty: the replica joins as a new "
    "one";

void Merge(const Seen& seen, Seen* into) {
  if (into->incarnation < seen.incarnation) {
    into->incarnation = seen.incarnation;
    into->boot_nonce = seen.boot_nonce;
  }
  into->promised = std::max(into->promised, seen.promised);
  into->end = std::max(into->end, seen.end);
}

class DiskStorage final : public Storage {
 public:
  DiskStorage(io::Disk& disk, Options options)
      : disk_(disk), options_(std::move(options)) {}

  absl::Status Open();

  ReplicaState TakeState() override { return std::move(state_); }
  const SuperblockProto& identity() const override {
    return superblock_->content();
  }
  absl::Status SetIdentity(const SuperblockProto& identity) override;
  absl::Status Apply(const DurableWrite& write) override;
  JournalRoom room() const override;
  absl::Status Recycle(uint64_t settled,
                       const std::map<uint64_t, Slot>& unsettled) override;
  absl::Status SetBase(const Base& base) override;

  absl::Status Absorb(const std::vector<LearnedEntry>& entries) override {
    return records_->Absorb(entries);
  }
  absl::Status Checkpoint(const std::map<uint64_t, Slot>& unsettled) override {
    return records_->Checkpoint(unsettled);
  }
  absl::StatusOr<ReadResult> Read(uint64_t position, uint64_t end,
                                  size_t max_bytes) override {
    return records_->Read(position, end, max_bytes);
  }
  absl::Status DeleteBelow(uint64_t base) override {
    return records_->DeleteBelow(base);
  }
  absl::StatusOr<ScrubResult> Scrub(uint64_t position, uint64_t end,
                                    size_t max_bytes) override {
    return records_->Scrub(position, end, max_bytes);
  }
  absl::Status ReleaseReserve() override;
  absl::Status TakeReserve() override;
  absl::Status Reopen() override { return records_->Reopen(); }

 private:
  std::string PathOf(absl::string_view name) const {
    return absl::StrCat(options_.directory, "/", name);
  }
  absl::Status OpenSuperblock();
  absl::Status Format();
  absl::Status OpenFiles();
  // I/O errors are counted: a disk that has them again is not to be trusted.
  absl::Status NoteOutcome(const absl::Status& status);
  void Combine(Journal::Contents journal, Records::Contents records);
  absl::Status Update(const SuperblockProto& content);
  absl::Status SaveHead();

  io::Disk& disk_;
  const Options options_;
  std::unique_ptr<io::FileLock> lock_;
  std::unique_ptr<Superblock> superblock_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Records> records_;
  ReplicaState state_;
  std::map<MemberId, Seen> seen_;  // the journal half's
};

absl::Status DiskStorage::Open() {
  if (options_.inspect && !disk_.Stat(PathOf(kSuperblockName)).ok()) {
    return absl::NotFoundError(
        absl::StrCat(options_.directory, " holds no replica of a log"));
  }
  absl::Status status = disk_.MakeDirectories(options_.directory);
  if (!status.ok()) return status;
  auto lock = disk_.Lock(PathOf(kLockName));
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  status = OpenSuperblock();
  if (!status.ok()) return status;
  return NoteOutcome(OpenFiles());
}

absl::Status DiskStorage::OpenSuperblock() {
  auto opened = Superblock::Open(disk_, PathOf(kSuperblockName));
  if (opened.ok()) {
    superblock_ = *std::move(opened);
    if (options_.inspect) return absl::OkStatus();
    SuperblockProto content = superblock_->content();
    content.set_incarnation(content.incarnation() + 1);
    return Update(content);
  }
  return absl::IsNotFound(opened.status()) ? Format() : opened.status();
}

absl::Status DiskStorage::Format() {
  // Whoever forgot his promises must not go on under his old name.
  if (disk_.Stat(PathOf(kRecordsName)).ok() ||
      disk_.Stat(PathOf("journal.0")).ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.directory,
        " holds records of a log but not its superblock: the replica's "
        "identity is lost",
        kRemedy));
  }
  // The directory's own entry has to survive with it.
  for (std::string path = options_.directory; path.size() > 1;
       path = path.substr(0, path.rfind('/'))) {
    const std::string parent = path.substr(0, path.rfind('/'));
    absl::Status synced = disk_.SyncDirectory(parent.empty() ? "/" : parent);
    if (!synced.ok()) return synced;
  }
  absl::Status reserved = TakeReserve();
  if (!reserved.ok()) return reserved;
  SuperblockProto content;
  content.set_member_id(options_.fresh_id);
  content.set_incarnation(1);
  content.set_status(FORMATTED);
  auto created = Superblock::Create(disk_, PathOf(kSuperblockName), content);
  if (!created.ok()) return created.status();
  superblock_ = *std::move(created);
  return absl::OkStatus();
}

absl::Status DiskStorage::OpenFiles() {
  const SuperblockProto& identity = superblock_->content();
  Journal::Options journal;
  journal.directory = options_.directory;
  journal.segment_bytes = options_.segment_bytes;
  journal.incarnation = identity.incarnation();
  journal.from = identity.journal_from();
  journal.head = identity.journal_head();
  Journal::Contents votes;
  auto opened = Journal::Open(disk_, journal, &votes);
  if (!opened.ok()) return opened.status();
  journal_ = *std::move(opened);
  records_ = std::make_unique<Records>(disk_, options_.directory,
                                       identity.cluster_id());
  absl::Status status = records_->Open();
  if (!status.ok()) return status;
  auto entries =
      records_->Load(identity.base().position(), identity.settled());
  if (!entries.ok()) return entries.status();
  status = disk_.SyncDirectory(options_.directory);
  if (!status.ok()) return status;
  Combine(std::move(votes), *std::move(entries));
  if (options_.inspect) return absl::OkStatus();
  // From here on it is proven that what was found was all there was; and of
  // what is damaged the identifiers are kept.
  std::map<uint64_t, Slot> faulty;
  for (const auto& [position, slot] : state_.slots) {
    if (slot.state == Slot::State::kFaulty) faulty[position] = slot;
  }
  status = journal_->CarryOver(faulty);
  if (absl::IsResourceExhausted(status)) return absl::OkStatus();
  return status.ok() ? SaveHead() : status;
}

absl::Status DiskStorage::NoteOutcome(const absl::Status& status) {
  SuperblockProto content = superblock_->content();
  if (status.ok()) {
    if (content.failed_opens() == 0 || options_.inspect) return status;
    content.clear_failed_opens();
    return Update(content);
  }
  if (!absl::IsUnavailable(status) || options_.inspect) return status;
  content.set_failed_opens(content.failed_opens() + 1);
  if (content.failed_opens() > 1) {
    content.set_status(QUARANTINED);
    content.set_reason(
        absl::StrCat("its disk fails: ", status.message()));
  }
  // The first error is what counts.
  absl::Status noted = Update(content);
  LOG_IF(ERROR, !noted.ok()) << "the superblock cannot be written: " << noted;
  return status;
}

void DiskStorage::Combine(Journal::Contents journal,
                          Records::Contents records) {
  const SuperblockProto& identity = superblock_->content();
  if (identity.has_promised()) state_.promised = FromProto(identity.promised());
  state_.base = identity.base().position();
  state_.settled = std::max(records.settled, state_.base);
  state_.holes = std::move(records.holes);
  state_.slots = std::move(records.slots);
  for (auto& [position, vote] : journal.slots) {
    if (position < state_.settled) continue;
    auto [kept, is_new] = state_.slots.emplace(position, vote);
    if (is_new || kept->second.state == Slot::State::kLearned) continue;
    // A vote that is whole in either place is there.
    if (kept->second.ballot < vote.ballot) kept->second = std::move(vote);
  }
  for (const auto& [position, slot] : state_.slots) {
    // Cannot be: the promise is durable before what was accepted under it.
    if (state_.promised < slot.ballot) state_.promised = slot.ballot;
  }
  if (journal.blind) state_.blind_below = state_.settled + kBlindAhead;
  for (const auto& member : identity.seen()) {
    const SeenProto& seen = member.seen();
    Merge({seen.incarnation(), seen.boot_nonce(), FromProto(seen.promised()),
           seen.end()},
          &state_.seen[member.id()]);
  }
  for (const auto& [id, seen] : journal.seen) Merge(seen, &state_.seen[id]);
  seen_ = state_.seen;
}

absl::Status DiskStorage::Update(const SuperblockProto& content) {
  return superblock_->Update(content);
}

// In which file to look for the latest votes.
absl::Status DiskStorage::SaveHead() {
  const SuperblockProto& identity = superblock_->content();
  if (identity.journal_head() == journal_->head() &&
      identity.journal_from() == journal_->from()) {
    return absl::OkStatus();
  }
  SuperblockProto content = identity;
  content.set_journal_head(journal_->head());
  content.set_journal_from(journal_->from());
  return Update(content);
}

absl::Status DiskStorage::SetIdentity(const SuperblockProto& identity) {
  SuperblockProto content = superblock_->content();
  content.set_status(identity.status());
  content.set_cluster_id(identity.cluster_id());
  content.set_generation(identity.generation());
  *content.mutable_members() = identity.members();
  content.set_reason(identity.reason());
  absl::Status status = Update(content);
  // Nothing is stored before there is a cluster, so that nobody looks.
  if (status.ok()) records_->set_cluster_id(identity.cluster_id());
  return status;
}

absl::Status DiskStorage::Apply(const DurableWrite& write) {
  if (write.promised) {
    SuperblockProto content = superblock_->content();
    *content.mutable_promised() = ToProto(*write.promised);
    absl::Status status = Update(content);
    if (!status.ok()) return status;
  }
  for (const auto& [id, seen] : write.seen) Merge(seen, &seen_[id]);
  if (write.accepted.empty() && write.seen.empty()) return absl::OkStatus();
  absl::Status status = journal_->Append(write.accepted, write.seen);
  return status.ok() ? SaveHead() : status;
}

Storage::JournalRoom DiskStorage::room() const {
  JournalRoom room;
  room.wants_checkpoint = journal_->wants_recycle();
  const uint64_t free = journal_->free_bytes();
  room.truncation_bytes = free;
  room.free_bytes = free > kTruncationBytes ? free - kTruncationBytes : 0;
  return room;
}

absl::Status DiskStorage::Recycle(uint64_t settled,
                                  const std::map<uint64_t, Slot>& unsettled) {
  absl::Status status = journal_->CarryOver(unsettled);
  if (!status.ok()) return status;
  journal_->Recycle();
  SuperblockProto content = superblock_->content();
  content.set_settled(std::max(settled, content.settled()));
  content.set_journal_head(journal_->head());
  content.set_journal_from(journal_->from());
  content.clear_seen();
  for (const auto& [id, seen] : seen_) {
    auto& member = *content.add_seen();
    member.set_id(id);
    member.mutable_seen()->set_incarnation(seen.incarnation);
    member.mutable_seen()->set_boot_nonce(seen.boot_nonce);
    if (seen.promised.round > 0) {
      *member.mutable_seen()->mutable_promised() = ToProto(seen.promised);
    }
    member.mutable_seen()->set_end(seen.end);
  }
  return Update(content);
}

absl::Status DiskStorage::SetBase(const Base& base) {
  SuperblockProto content = superblock_->content();
  *content.mutable_base() = base;
  content.set_settled(std::max(base.position(), content.settled()));
  return Update(content);
}

absl::Status DiskStorage::TakeReserve() {
  const std::string path = PathOf(kReserveName);
  if (disk_.Stat(path).ok()) return absl::OkStatus();
  const std::string temporary = absl::StrCat(path, ".new");
  auto file = disk_.Open(temporary, io::Disk::Mode::kCreateEmpty);
  if (!file.ok()) return file.status();
  const std::string zeros(kReserveStep, '\0');
  absl::Status status;
  for (uint64_t at = 0; at < options_.reserve_bytes && status.ok();
       at += kReserveStep) {
    const uint64_t size = std::min(kReserveStep, options_.reserve_bytes - at);
    status = (*file)->WriteAt(at, absl::string_view(zeros).substr(0, size));
  }
  if (status.ok()) status = disk_.Rename(temporary, path);
  if (!status.ok()) {
    // What was written would only fill the disk further.
    absl::Status removed = disk_.Remove(temporary);
    LOG_IF(WARNING, !removed.ok()) << removed;
  }
  return status;
}

absl::Status DiskStorage::ReleaseReserve() {
  absl::Status removed = disk_.Remove(PathOf(kReserveName));
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(io::Disk& disk,
                                                       const Options& options) {
  auto storage = std::make_unique<DiskStorage>(disk, options);
  absl::Status status = storage->Open();
  if (!status.ok()) return status;
  return storage;
}

}  // namespace quorate::log
