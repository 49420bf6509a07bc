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
// The superblock names a position that no vote reaches, so that a replica that
// loses votes knows how far they can have been. It is raised in such steps.
constexpr uint64_t kHorizonStep = 16384;
// Notes on other members that fit into the superblock.
constexpr size_t kMaxSeen = 40;
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
  absl::Status OpenFiles(bool tolerant);
  absl::Status OnFailedOpen(const absl::Status& failed);
  absl::Status OpenRecords(bool tolerant, Records::Contents* contents);
  void Combine(Journal::Contents journal, Records::Contents records);
  absl::Status Begin(bool blind, bool tolerant);
  absl::Status Update(const SuperblockProto& content) {
    return superblock_->Update(content);
  }
  absl::Status Promise(const DurableWrite& write);
  void PutSeen(SuperblockProto* content) const;

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
  if (options_.inspect &&
      absl::IsNotFound(disk_.Stat(PathOf(kSuperblockName)).status())) {
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
  status = OpenFiles(false);
  if (!absl::IsUnavailable(status) || options_.inspect) return status;
  return OnFailedOpen(status);
}

// A disk that fails once may have hiccuped. One that fails again is not to be
// trusted: the replica says so, and does not vote.
absl::Status DiskStorage::OnFailedOpen(const absl::Status& failed) {
  SuperblockProto content = superblock_->content();
  content.set_failed_opens(content.failed_opens() + 1);
  const bool again = content.failed_opens() > 1;
  if (again) {
    content.set_status(QUARANTINED);
    content.set_reason(absl::StrCat("its disk fails: ", failed.message()));
  }
  absl::Status noted = Update(content);
  LOG_IF(ERROR, !noted.ok()) << "the superblock cannot be written: " << noted;
  if (!again || !noted.ok()) return failed;
  return OpenFiles(true);
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
  for (absl::string_view name :
       {kRecordsName, absl::string_view("journal.0")}) {
    const absl::Status there = disk_.Stat(PathOf(name)).status();
    if (absl::IsNotFound(there)) continue;
    if (!there.ok()) return there;
    return absl::FailedPreconditionError(absl::StrCat(
        options_.directory,
        " holds records of a log but not its superblock: the replica's "
        "identity is lost",
        kRemedy));
  }
  if (options_.directory.empty() || options_.directory[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("the log's directory '", options_.directory,
                     "' must be an absolute path"));
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

absl::Status DiskStorage::OpenFiles(bool tolerant) {
  const SuperblockProto& identity = superblock_->content();
  Journal::Options journal;
  journal.directory = options_.directory;
  journal.member = identity.member_id();
  journal.segment_bytes = options_.segment_bytes;
  journal.incarnation = identity.incarnation();
  journal.from = identity.journal_from();
  journal.upto = identity.journal_upto();
  journal.blind_through = identity.blind_through();
  journal.settled = identity.settled();
  journal.tolerant = tolerant;
  Journal::Contents votes;
  auto opened = Journal::Open(disk_, journal, &votes);
  if (!opened.ok()) return opened.status();
  journal_ = *std::move(opened);
  Records::Contents entries;
  absl::Status status = OpenRecords(tolerant, &entries);
  if (!status.ok()) return status;
  status = disk_.SyncDirectory(options_.directory);
  if (!status.ok()) return status;
  const bool blind = votes.blind;
  Combine(std::move(votes), std::move(entries));
  if (options_.inspect) return absl::OkStatus();
  status = Begin(blind, tolerant);
  if (!status.ok()) return status;
  status = TakeReserve();
  state_.disk_full = absl::IsResourceExhausted(status);
  return state_.disk_full || tolerant ? absl::OkStatus() : status;
}

absl::Status DiskStorage::OpenRecords(bool tolerant,
                                      Records::Contents* contents) {
  const SuperblockProto& identity = superblock_->content();
  const uint64_t base = identity.base().position();
  records_ = std::make_unique<Records>(disk_, options_.directory,
                                       identity.cluster_id());
  absl::Status status = records_->Open();
  if (absl::IsResourceExhausted(status)) {
    // LevelDB cannot start without writing. The role takes the reserve again
    // when there is space.
    LOG(WARNING) << "the disk is full: the log's reserve is used";
    status = ReleaseReserve();
    if (status.ok()) status = records_->Open();
  }
  if (status.ok()) {
    auto loaded = records_->Load(base, identity.settled());
    status = loaded.status();
    if (status.ok()) *contents = *std::move(loaded);
  }
  if (status.ok() || !tolerant || !absl::IsUnavailable(status)) return status;
  LOG(ERROR) << "the records cannot be read: " << status;
  records_->set_tolerant();
  *contents = {};
  contents->settled = std::max(base, identity.settled());
  if (base < contents->settled) contents->holes[base] = contents->settled;
  return absl::OkStatus();
}

void DiskStorage::Combine(Journal::Contents journal,
                          Records::Contents records) {
  const SuperblockProto& identity = superblock_->content();
  state_ = {};
  if (identity.has_promised()) state_.promised = FromProto(identity.promised());
  state_.base = identity.base().position();
  state_.settled = records.settled;
  state_.holes = std::move(records.holes);
  state_.slots = std::move(records.slots);
  // A learned entry may be stored before the vote for it is: it was not given.
  for (auto& [position, slot] : state_.slots) {
    if (slot.state == Slot::State::kLearned && state_.promised < slot.ballot) {
      slot.ballot = {};
    }
  }
  for (auto& [position, vote] : journal.slots) {
    if (position < state_.settled) continue;
    auto [kept, is_new] = state_.slots.emplace(position, vote);
    const Slot& slot = kept->second;
    if (is_new || slot.state == Slot::State::kLearned) continue;
    // A vote that is whole in either place is there.
    const bool same = slot.ballot == vote.ballot && slot.hash == vote.hash;
    if (slot.ballot < vote.ballot || (slot.ballot == vote.ballot && !same) ||
        (same && slot.state == Slot::State::kFaulty)) {
      kept->second = std::move(vote);
    }
  }
  for (const auto& member : identity.seen()) {
    const SeenProto& seen = member.seen();
    Merge({seen.incarnation(), seen.boot_nonce(), FromProto(seen.promised()),
           seen.end()},
          &state_.seen[member.id()]);
  }
  for (const auto& [id, seen] : journal.seen) Merge(seen, &state_.seen[id]);
  seen_ = state_.seen;
}

// From here on it is durable that what was found was all there was, and what
// is missing.
absl::Status DiskStorage::Begin(bool blind, bool tolerant) {
  SuperblockProto content = superblock_->content();
  std::map<uint64_t, Slot> faulty;
  for (const auto& [position, slot] : state_.slots) {
    if (slot.state == Slot::State::kFaulty) faulty[position] = slot;
    if (slot.state == Slot::State::kLearned || slot.ballot <= state_.promised) {
      continue;
    }
    // The promise is durable before what was accepted under it.
    state_.promised = slot.ballot;
    *content.mutable_promised() = ToProto(slot.ballot);
    content.set_status(QUARANTINED);
    content.set_reason(
        "its superblock is older than its journal: parts of the directory come "
        "from a backup");
  }
  if (blind) {
    content.set_blind_below(content.horizon());
    content.set_blind_through(journal_->upto());
    *content.mutable_blind_promised() = ToProto(state_.promised);
  }
  if (content.blind_below() > state_.settled) {
    state_.blind_below = content.blind_below();
    state_.blind_promised = FromProto(content.blind_promised());
  }
  absl::Status status = journal_->Begin(faulty);
  if (!status.ok() && !(tolerant && absl::IsUnavailable(status))) return status;
  content.set_settled(state_.settled);
  content.set_journal_upto(journal_->upto());
  if (content.journal_from() == 0) content.set_journal_from(journal_->from());
  if (!tolerant) content.clear_failed_opens();
  return Update(content);
}

absl::Status DiskStorage::SetIdentity(const SuperblockProto& identity) {
  SuperblockProto content = superblock_->content();
  content.set_status(identity.status());
  content.set_cluster_id(identity.cluster_id());
  content.set_generation(identity.generation());
  *content.mutable_members() = identity.members();
  content.set_reason(identity.reason());
  content.set_blind_below(
      std::min(content.blind_below(), identity.blind_below()));
  // Nothing is stored before there is a cluster, so that nobody looks.
  const bool joins =
      content.cluster_id() != superblock_->content().cluster_id();
  absl::Status status = Update(content);
  if (status.ok() && joins) records_->set_cluster_id(identity.cluster_id());
  return status;
}

// What the superblock has to say before the votes are written: a promise that
// covers them, and a horizon beyond them.
absl::Status DiskStorage::Promise(const DurableWrite& write) {
  const SuperblockProto& identity = superblock_->content();
  Ballot promised = FromProto(identity.promised());
  if (write.promised) promised = std::max(promised, *write.promised);
  if (!Planted(Bug::kAcceptKeepsPromise)) {
    for (const auto& [position, slot] : write.accepted) {
      promised = std::max(promised, slot.ballot);
    }
  }
  uint64_t horizon = identity.horizon();
  if (!write.accepted.empty() && write.accepted.rbegin()->first >= horizon) {
    horizon = write.accepted.rbegin()->first + kHorizonStep;
  }
  if (promised == FromProto(identity.promised()) &&
      horizon == identity.horizon()) {
    return absl::OkStatus();
  }
  SuperblockProto content = identity;
  *content.mutable_promised() = ToProto(promised);
  content.set_horizon(horizon);
  content.set_journal_upto(journal_->upto());
  return Update(content);
}

absl::Status DiskStorage::Apply(const DurableWrite& write) {
  absl::Status status = Promise(write);
  if (!status.ok()) return status;
  for (const auto& [id, seen] : write.seen) Merge(seen, &seen_[id]);
  if (write.accepted.empty() && write.seen.empty()) return absl::OkStatus();
  status = journal_->Append(write.accepted, write.seen);
  if (!status.ok()) return status;
  // Another file has its turn: that there are votes in it must be known even
  // if it gets lost.
  const SuperblockProto& identity = superblock_->content();
  if (journal_->first() <= identity.journal_upto()) return status;
  SuperblockProto content = identity;
  content.set_journal_upto(journal_->upto());
  return Update(content);
}

Storage::JournalRoom DiskStorage::room() const {
  JournalRoom room;
  room.wants_checkpoint = journal_->wants_recycle();
  room.truncation_bytes = journal_->truncation_bytes();
  room.free_bytes = journal_->free_bytes();
  return room;
}

absl::Status DiskStorage::Recycle(uint64_t settled,
                                  const std::map<uint64_t, Slot>& unsettled) {
  absl::Status status = journal_->Prepare(settled, unsettled);
  if (!status.ok()) return status;
  SuperblockProto content = superblock_->content();
  content.set_settled(std::max(settled, content.settled()));
  content.set_journal_upto(journal_->upto());
  content.set_journal_from(std::max(content.journal_from(), journal_->from()));
  PutSeen(&content);
  status = Update(content);
  if (status.ok()) journal_->Recycle();
  return status;
}

// As many as fit: those that voted last.
void DiskStorage::PutSeen(SuperblockProto* content) const {
  std::vector<std::pair<uint64_t, MemberId>> latest;
  for (const auto& [id, seen] : seen_) latest.emplace_back(seen.end, id);
  std::sort(latest.rbegin(), latest.rend());
  if (latest.size() > kMaxSeen) latest.resize(kMaxSeen);
  content->clear_seen();
  for (const auto& [end, id] : latest) {
    const Seen& seen = seen_.at(id);
    auto& member = *content->add_seen();
    member.set_id(id);
    member.mutable_seen()->set_incarnation(seen.incarnation);
    member.mutable_seen()->set_boot_nonce(seen.boot_nonce);
    if (seen.promised.round > 0) {
      *member.mutable_seen()->mutable_promised() = ToProto(seen.promised);
    }
    member.mutable_seen()->set_end(seen.end);
  }
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
