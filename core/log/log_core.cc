#include "core/log/log_core.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr io::Duration kHelloInterval = std::chrono::milliseconds(500);
// How long a start waits for members that may remember more than a quorum.
constexpr io::Duration kHandshakeTime = std::chrono::milliseconds(500);

Storage::Options StorageOptions(const LogOptions& options,
                                const MemberId& fresh_id) {
  Storage::Options storage;
  storage.directory = options.directory;
  storage.fresh_id = fresh_id;
  storage.segment_bytes = options.segment_bytes;
  storage.reserve_bytes = options.reserve_bytes;
  return storage;
}

}  // namespace

LogNode::Core::Core(io::Environment& environment, LogOptions options,
                    LogNode::Listener* listener)
    : environment_(environment),
      options_(std::move(options)),
      listener_(listener),
      random_(environment.random().Split("log")),
      boot_nonce_(random_->Next()),
      peers_(
          environment, [this] { return MyHandshake(); }, this),
      persistence_(environment, StorageOptions(options_, FreshId()), this) {}

MemberId LogNode::Core::FreshId() {
  MemberId id = random_->UuidBytes();
  if (Planted(Bug::kWipedKeepsId)) {
    id = options_.address.ToString();
    id.resize(kMemberIdBytes, '.');
  }
  return id;
}

LogNode::Core::~Core() = default;

wire::Handshake LogNode::Core::MyHandshake() const {
  return {.purpose = wire::Purpose::kLog,
          .versions = options_.protocol,
          .cluster_id = cluster_id_,
          .node_id = me(),
          .address = options_.address};
}

bool LogNode::Core::Votes(const MemberId& id) const {
  return active() && IsMember(config(), id);
}

bool LogNode::Core::Voting() const {
  return acceptor_ && active() && acceptor_->voting() && Votes(me());
}

uint64_t LogNode::Core::StoredUpto() const {
  return std::min(acceptor_->learned_upto(), persistence_.stored_upto());
}

// Opening.

void LogNode::Core::Start() {
  persistence_.Open([this](absl::StatusOr<ReplicaState> state) {
    if (state.ok()) return OnOpened(*std::move(state));
    const bool disk = absl::IsUnavailable(state.status());
    Fail(disk ? io::kExitDiskFailure : io::kExitFailure, state.status());
  });
}

void LogNode::Core::OnOpened(ReplicaState state) {
  acquaintances_.emplace(me(), state.seen);
  acceptor_.emplace(me(), std::move(state));
  acceptor_->set_max_pending_bytes(max_entry_bytes());
  applied_ = acceptor_->base();
  ObserveOpened();
  damaged_found_ = acceptor_->damaged();
  LOG(INFO) << "replica " << ShortId(me()) << " of "
            << (identity().cluster_id().empty()
                    ? "no cluster yet"
                    : "cluster " + ShortId(identity().cluster_id()))
            << ", incarnation " << identity().incarnation() << ", "
            << acceptor_->learned_upto() << " positions learned";
  if (quarantined()) {
    LOG(WARNING) << "this replica does not vote: " << identity().reason();
  }
  if (const uint64_t damaged = acceptor_->damaged(); damaged > 0) {
    LOG(WARNING) << damaged << " records of the log in " << options_.directory
                 << " are damaged; they will be fetched from other members";
  }
  if (!identity().cluster_id().empty()) {
    BecomeActive();
  } else {
    std::optional<Config> pinned;
    if (identity().status() == PINNED) pinned = identity().members();
    formation_.emplace(
        me(),
        Formation::Options{.quorum = options_.quorum,
                           .auto_initialize = options_.auto_initialize,
                           .record = options_.record,
                           .delay = options_.formation_delay},
        std::move(pinned));
  }
  ready_ = true;
  AnswerRecord();
  Settle();
  if (!active() || applied_ == WholeUpto()) BeReady();
}

void LogNode::Core::CheckRecord(std::string cluster_id, OnDone done) {
  recorded_ = std::move(cluster_id);
  record_done_ = std::move(done);
  // Not from inside the call.
  record_timer_ = environment_.clock().RunAfter(io::Duration::zero(),
                                                [this] { AnswerRecord(); });
}

void LogNode::Core::AnswerRecord() {
  if (!record_done_ || !acceptor_) return;
  record_timer_.Cancel();
  if (formation_) formation_->OnRecord(recorded_);
  const std::string& mine = identity().cluster_id();
  const OnDone done = std::exchange(record_done_, nullptr);
  if (mine.empty() || recorded_.empty() || mine == recorded_) {
    return done(absl::OkStatus());
  }
  done(absl::FailedPreconditionError(absl::StrCat(
      options_.record, " names cluster ", absl::BytesToHexString(recorded_),
      ", and the log in ", options_.directory, " is of cluster ",
      absl::BytesToHexString(mine))));
}

// It has a cluster: its genesis, or what is left of it after a truncation.
void LogNode::Core::BecomeActive() {
  cluster_id_ = identity().cluster_id();
  if (identity().has_base()) {
    configs_[identity().base().config_position()] = identity().base().config();
  } else {
    configs_[0] = identity().members();
  }
  Handshake::Self self;
  self.incarnation = identity().incarnation();
  self.boot_nonce = boot_nonce_;
  self.promised = acceptor_->promised();
  self.end = acceptor_->voted_end();
  self.blind = acceptor_->blind_below() > acceptor_->settled();
  self.others = !addresses_.empty();
  handshake_.emplace(me(), self, MembersOf(config()));
  handshake_timer_ = environment_.clock().RunAfter(kHandshakeTime, [this] {
    handshake_->OnTimeUp();
    UpdateVoting();
    Settle();
  });
  acquaintances_->OnConfig(MembersOf(config()));
  if (options_.builtin_election) {
    election_.emplace(me(),
                      Election::Options{options_.min_election_timeout,
                                        options_.max_election_timeout},
                      random_->Next());
    election_->OnConfig(MembersOf(config()));
  }
  UpdateVoting();
  LearnGenesis();
}

// Not before others have said what they remember of this replica.
void LogNode::Core::UpdateVoting() {
  const bool told = handshake_->done() || Planted(Bug::kHandshakeSkipped);
  acceptor_->set_voting(told && !quarantined() && !outdated());
}

// Position 0 holds the configuration, the same everywhere by construction. A
// crash may have come before it was written.
void LogNode::Core::LearnGenesis() {
  if (acceptor_->base() > 0) return;
  auto genesis = std::make_shared<EntryProto>();
  genesis->set_type(CONFIG);
  genesis->add_payload(identity().members().SerializeAsString());
  std::string hash = EntryHash(*genesis);
  Check(acceptor_->OnLearned(0, std::move(genesis), hash));
}

// Everything that the disk holds is delivered: others may talk to it.
void LogNode::Core::BeReady() {
  if (started_) return;
  started_ = true;
  peers_.SetAddresses(addresses_);
  Tick();
  if (elect_done_) TryToLead();
  Settle();
}

void LogNode::Core::SetPeers(const std::vector<io::Endpoint>& addresses) {
  addresses_ = addresses;
  addresses_.erase(
      std::remove(addresses_.begin(), addresses_.end(), options_.address),
      addresses_.end());
  // Before the disk is open there is no name to go by.
  if (started_) peers_.SetAddresses(addresses_);
}

void LogNode::Core::Fail(int code, const absl::Status& status) {
  failed_ = true;
  environment_.Exit(code, absl::StrCat("replicated log in ", options_.directory,
                                       ": ", status.message()));
}

void LogNode::Core::OnFormation(Formation::Output output) {
  SuperblockProto identity = this->identity();
  if (output.genesis) {
    identity.set_status(ACTIVE);
    identity.set_cluster_id(output.genesis->cluster_id);
    identity.set_generation(output.genesis->generation);
    *identity.mutable_members() = output.genesis->members;
    formation_.reset();
    SaveIdentity(identity, [this] {
      BecomeActive();
      LOG(INFO) << "the log of cluster " << ShortId(cluster_id_)
                << " began with " << config().members_size()
                << " members; this replica is "
                << (Votes(me()) ? "one of them" : "not one of them");
      SendHello();
    });
  } else if (output.pin) {
    identity.set_status(PINNED);
    *identity.mutable_members() = *output.pin;
    SaveIdentity(identity, [this] {
      formation_->OnPinned(this->identity().members());
      SendHello();
      Formation::Output next;
      formation_->OnTick(Now(), &next);
      OnFormation(std::move(next));
    });
  }
}

// Makes the identity durable, then `done`. No input is handled in between.
void LogNode::Core::SaveIdentity(SuperblockProto identity,
                                 std::function<void()> done) {
  ready_ = false;
  persistence_.SetIdentity(std::move(identity), [this, done = std::move(done)] {
    ready_ = true;
    done();
    // Somebody may have asked meanwhile.
    if (elect_done_ && ready_ && active()) TryToLead();
    Settle();
  });
}

void LogNode::Core::Tick() {
  if (failed_) return;
  tick_ = environment_.clock().RunAfter(options_.retry_interval,
                                        [this] { Tick(); });
  if (!ready_) return;
  const io::Instant now = Now();
  if (formation_ || !handshake_->Missing().empty() || !Votes(me()) ||
      !acceptor_->voting()) {
    if (now - last_hello_ >= kHelloInterval) SendHello();
  }
  if (formation_) {
    Formation::Output output;
    formation_->OnTick(now, &output);
    return OnFormation(std::move(output));
  }
  if (proposer_) {
    Proposer::Output output;
    proposer_->OnRetry(&output);
    Carry(std::move(output));
    GiveUpUnheard();
  }
  CheckQuorum();
  if (membership_) {
    Membership::Output output;
    membership_->OnStored(StoredUpto());
    membership_->OnTick(now, &output);
    CarryMembership(std::move(output));
  }
  WatchForLeader();
  if (acquaintances_->changed()) acceptor_->RequestWrite();
  NoteSight();
  if (!ready_) return;
  Repair();
  Scrub();
  CatchUp();
  Settle();
  if (ready_ && !failed_) StoreConfig();
}

// What a leader's entry has told about lost votes outlives the process.
void LogNode::Core::NoteSight() {
  const uint64_t blind_below = identity().blind_below();
  if (blind_below <= acceptor_->settled() ||
      blind_below <= acceptor_->blind_below()) {
    return;
  }
  SuperblockProto identity = this->identity();
  identity.set_blind_below(acceptor_->blind_below());
  SaveIdentity(std::move(identity), [] {});
}

// Those who leave the members may be stopped when the others have stored what
// was decided with them; what was fetched is otherwise stored in no hurry.
void LogNode::Core::StoreConfig() {
  const uint64_t needed = config_position() + 2;
  if (config_position() == 0 || applied_ < needed || StoredUpto() >= needed) {
    return;
  }
  persistence_.Checkpoint();
}

// Machines.

// Carries on until nothing is left to do but to wait.
void LogNode::Core::Settle() {
  if (settling_ || failed_ || !ready_) return;
  settling_ = true;
  while (!failed_ && ready_) {
    if (!local_.empty()) {
      LogMessage message = std::move(local_.front());
      local_.pop_front();
      HandleActive(&message);
      continue;
    }
    Absorb();
    if (!Apply()) break;
    if (membership_) membership_->OnLearned(applied_);
    if (proposer_) {
      Proposer::Output output;
      proposer_->OnLearned(applied_, MembersOf(config()), &output);
      Carry(std::move(output));
    }
  }
  settling_ = false;
  if (failed_ || !ready_) return;
  acceptor_->CheckInvariants();
  if (proposer_) proposer_->CheckInvariants();
  if (!started_ && (!active() || applied_ == WholeUpto())) {
    return BeReady();
  }
  // Its own vote is another's now: it confirms no read any more.
  if (leading_ && proposer_->ballot() < acceptor_->promised()) {
    OnDeposed(absl::AbortedError("another member was elected"));
  }
  Lead();
  AnswerAppends();
  NextEntry();
  Flush();
  TellLeader();
  TellVoting();
}

// Until everything that the disk holds is applied, it does not know who votes.
void LogNode::Core::TellVoting() {
  const bool voting = started_ && Voting();
  if (std::exchange(told_voting_, voting) != voting)
    listener_->OnVoting(voting);
}

void LogNode::Core::TellLeader() {
  const absl::string_view address = LeaderAddress();
  if (address == told_address_ && leader_epoch_ == told_epoch_) return;
  told_address_ = std::string(address);
  told_epoch_ = leader_epoch_;
  listener_->OnLeaderChanged(told_address_, told_epoch_);
}

// What was learned goes to the disk, and waits to be delivered.
void LogNode::Core::Absorb() {
  std::vector<LearnedEntry> learned = acceptor_->TakeLearned();
  for (const LearnedEntry& entry : learned) {
    if (entry.position >= applied_) fresh_[entry.position] = entry.entry;
  }
  persistence_.Absorb(std::move(learned));
}

// Delivers what may be delivered; whether anything was.
bool LogNode::Core::Apply() {
  const uint64_t before = applied_;
  while (applied_ < WholeUpto() && !failed_) {
    auto fresh = fresh_.find(applied_);
    if (fresh == fresh_.end()) {
      ReadAhead();
      break;
    }
    const Entry entry = std::move(fresh->second);
    fresh_.erase(fresh_.begin(), std::next(fresh));
    ApplyEntry(applied_, *entry);
  }
  return applied_ != before;
}

// The next entries are on disk only: of an earlier life, or repaired around.
void LogNode::Core::ReadAhead() {
  if (std::exchange(reading_, true)) return;
  const uint64_t position = applied_;
  uint64_t end = WholeUpto();
  if (auto next = fresh_.upper_bound(position); next != fresh_.end()) {
    end = std::min(end, next->first);
  }
  persistence_.Read(position, end, kFetchBytes,
                    [this, position](Storage::ReadResult read) {
                      reading_ = false;
                      uint64_t at = position;
                      for (Entry& entry : read.entries) {
                        if (at >= applied_) fresh_[at] = std::move(entry);
                        ++at;
                      }
                      if (read.damaged && persistence_.disk_full()) {
                        // It goes on when there is space: see OnDiskFull.
                        if (read.entries.empty()) return;
                      } else if (read.damaged) {
                        NoteDamaged(at);
                      }
                      Settle();
                    });
}

void LogNode::Core::ApplyEntry(uint64_t position, const EntryProto& entry) {
  applied_ = position + 1;
  if (options_.observer != nullptr) {
    options_.observer->OnLearned(position, entry.SerializeAsString());
  }
  switch (entry.type()) {
    case NOOP:
      break;
    case APPEND:
      for (const std::string& payload : entry.payload()) {
        listener_->OnCommitted(position, payload);
      }
      break;
    case TRUNCATE:
      ApplyTruncation(position, entry);
      break;
    case CONFIG:
      ApplyConfig(position, entry);
      break;
    case LEADER: {
      leader_epoch_ = position;
      BallotProto ballot;
      CHECK(ballot.ParseFromString(entry.payload(1)));
      acceptor_->OnLeader(position, FromProto(ballot));
      break;
    }
  }
}

void LogNode::Core::ApplyConfig(uint64_t position, const EntryProto& entry) {
  Config config;
  CHECK(config.ParseFromString(entry.payload(0)));
  configs_[position] = std::move(config);
  OnConfigInForce(position);
}

void LogNode::Core::OnConfigInForce(uint64_t position) {
  const std::vector<MemberId> members = MembersOf(config());
  if (options_.observer != nullptr) {
    options_.observer->OnConfig(position + 1, members);
  }
  if (position > 0) {
    LOG(INFO) << "from position " << position + 1 << " on the log has "
              << members.size() << " members; this replica is "
              << (Votes(me()) ? "one of them" : "not one of them")
              << (config().reason().empty() ? "" : ": " + config().reason());
  }
  handshake_->OnConfig(members);
  UpdateVoting();
  acquaintances_->OnConfig(members);
  if (election_) election_->OnConfig(members);
  if (quorum_check_) quorum_check_->OnConfig(members, Now());
  if (reads_) reads_->OnConfig(members);
  if (membership_) {
    Membership::Output output;
    membership_->OnChosenConfig(Now(), position, config(), &output);
    CarryMembership(std::move(output));
  }
}

void LogNode::Core::ApplyTruncation(uint64_t position,
                                    const EntryProto& entry) {
  Truncation truncation;
  CHECK(truncation.ParseFromString(entry.payload(0)));
  TruncateTo(std::min(truncation.to(), position));
}

void LogNode::Core::TruncateTo(uint64_t to) {
  // Of an earlier life, read again.
  if (to <= acceptor_->base()) return;
  auto in_force = std::prev(configs_.lower_bound(to));
  Base base;
  base.set_position(to);
  base.set_config_position(in_force->first);
  *base.mutable_config() = Planted(Bug::kTruncationForgetsConfig)
                               ? identity().members()
                               : in_force->second;
  configs_.erase(configs_.begin(), in_force);
  acceptor_->AdoptBase(to);
  persistence_.Truncate(std::move(base));
}

// Two values at one position: the protocol was broken somewhere, and nothing
// that this process does now can be trusted.
void LogNode::Core::Check(const absl::Status& learned) {
  if (!learned.ok()) Fail(io::kExitFailure, learned);
}

// A vote that was durable when the process ended was told to nobody. What is
// learned is told as such, and what is not known to be the latest vote not.
void LogNode::Core::ObserveOpened() {
  LogObserver* const observer = options_.observer;
  if (observer == nullptr) return;
  observer->OnOpened(me());
  for (const auto& [position, slot] : acceptor_->Unsettled()) {
    if (acceptor_->Describe(position).state() != SlotProto::ACCEPTED) continue;
    observer->OnVoted(position, slot.ballot.round, slot.ballot.member,
                      slot.hash);
  }
}

void LogNode::Core::Observe(const Outgoing& message) {
  if (options_.observer == nullptr || !message.message.has_write()) return;
  const Write& write = message.message.write();
  options_.observer->OnProposed(write.position(), write.ballot().round(),
                                write.ballot().member(),
                                EntryHash(write.entry()), MembersOf(config()));
}

void LogNode::Core::Carry(Proposer::Output output) {
  for (Outgoing& message : output.messages) {
    Observe(message);
    if (message.message.write().has_previous_hash()) notice_.reset();
    Transmit(std::move(message));
  }
  for (Proposer::Chosen& chosen : output.chosen) {
    if (chosen.own && chosen.entry->type() != LEADER) {
      append_chosen_ = chosen.position;
    }
    // The next write tells it, or a message of its own if there is none soon.
    notice_.emplace();
    notice_->set_position(chosen.position);
    notice_->set_hash(chosen.hash);
    *notice_->mutable_ballot() = ToProto(proposer_->ballot());
    Check(acceptor_->OnLearned(chosen.position, std::move(chosen.entry),
                               chosen.hash));
  }
  if (output.fetch) {
    // The election waits for it.
    if (commit_member_ != output.fetch->first) fetch_sent_.reset();
    commit_member_ = output.fetch->first;
    FetchFrom(output.fetch->first, output.fetch->second, 0);
  }
  if (output.deposed) {
    OnDeposed(absl::AbortedError("another member holds a higher ballot"));
  }
}

// One write at a time; what comes meanwhile shares the next.
void LogNode::Core::Flush() {
  if (acceptor_->writes() == flushed_write_ ||
      !persistence_.CanWrite(acceptor_->pending_bytes())) {
    return;
  }
  flushed_write_ = acceptor_->writes();
  DurableWrite write = acceptor_->TakeWrite();
  // What was seen of the others travels along: it trails by a vote at most.
  write.seen = acquaintances_->TakeChanged();
  persistence_.Write(std::move(write));
}

void LogNode::Core::OnDurable(const DurableWrite& write) {
  durable_write_ = std::max(durable_write_, write.number);
  if (LogObserver* observer = options_.observer; observer != nullptr) {
    if (write.promised) {
      observer->OnPromised(write.promised->round, write.promised->member);
    }
    for (const auto& [position, slot] : write.accepted) {
      observer->OnVoted(position, slot.ballot.round, slot.ballot.member,
                        slot.hash);
    }
  }
  Release();
  Settle();
}

void LogNode::Core::OnDiskFailed(const absl::Status& status) {
  Fail(io::kExitDiskFailure, status);
}

void LogNode::Core::OnDiskFull(bool full) {
  if (!acceptor_) return;  // It waits for space to open.
  acceptor_->set_disk_full(full);
  Settle();
}

std::map<uint64_t, Slot> LogNode::Core::Unsettled() {
  return acceptor_->Unsettled();
}

uint64_t LogNode::Core::SettledUpto() { return acceptor_->settled(); }

}  // namespace quorate::log
