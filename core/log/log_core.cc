#include "core/log/log_core.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr io::Duration kHelloInterval = std::chrono::milliseconds(500);
constexpr io::Duration kFetchTimeout = std::chrono::seconds(1);

}  // namespace

LogNode::Core::Core(io::Environment& environment, LogOptions options,
                    LogNode::Listener* listener)
    : environment_(environment),
      options_(std::move(options)),
      listener_(listener),
      random_(environment.random().Split("log")),
      peers_(
          environment, [this] { return MyHandshake(); }, this),
      lane_(environment.NewLane("log")) {}

LogNode::Core::~Core() = default;

wire::Handshake LogNode::Core::MyHandshake() const {
  return {.purpose = wire::Purpose::kLog,
          .cluster_id = cluster_id_,
          .node_id = identity_.member_id(),
          .address = options_.address};
}

// Opening.

void LogNode::Core::Start() {
  const MemberId fresh_id = random_->UuidBytes();
  lane_->Run(
      [this, fresh_id] {
        auto storage =
            Storage::Open(environment_.disk(), options_.directory, fresh_id);
        open_status_ = storage.status();
        if (storage.ok()) storage_ = *std::move(storage);
      },
      [this] { OnOpened(); });
}

void LogNode::Core::OnOpened() {
  if (!open_status_.ok()) {
    const bool disk = absl::IsUnavailable(open_status_) ||
                      absl::IsResourceExhausted(open_status_);
    return Fail(disk ? io::kExitDiskFailure : io::kExitFailure, open_status_);
  }
  identity_ = storage_->identity();
  acceptor_.emplace(identity_.member_id(), storage_->TakeState());
  std::optional<Config> pinned;
  if (identity_.status() != FORMATTED) pinned = identity_.members();
  if (identity_.status() == ACTIVE) {
    cluster_id_ = identity_.cluster_id();
    members_.assign(identity_.members().members().begin(),
                    identity_.members().members().end());
  } else {
    formation_.emplace(
        identity_.member_id(),
        Formation::Options{.quorum = options_.quorum,
                           .auto_initialize = options_.auto_initialize,
                           .delay = options_.formation_delay},
        std::move(pinned));
  }
  LOG(INFO) << "replica " << ShortId(identity_.member_id()) << " of "
            << (active() ? "cluster " + ShortId(cluster_id_) : "no cluster yet")
            << ", incarnation " << identity_.incarnation() << ", "
            << acceptor_->learned_upto() << " positions learned";
  Replay(0);
}

// Delivers what was learned in earlier lives, a batch at a time.
void LogNode::Core::Replay(uint64_t position) {
  const uint64_t end = acceptor_->learned_upto();
  if (position >= end) return BeReady();
  auto entries = std::make_shared<absl::StatusOr<std::vector<EntryProto>>>();
  lane_->Run([this, entries, position,
              end] { *entries = storage_->Read(position, end, kFetchBytes); },
             [this, entries, position] {
               if (!entries->ok())
                 return Fail(io::kExitDiskFailure, entries->status());
               if ((*entries)->empty()) {
                 return Fail(io::kExitFailure, absl::DataLossError(absl::StrCat(
                                                   "position ", position,
                                                   " is missing on disk")));
               }
               uint64_t next = position;
               for (const EntryProto& entry : **entries) Deliver(next++, entry);
               Replay(next);
             });
}

void LogNode::Core::BeReady() {
  ready_ = true;
  if (active()) LearnGenesis();
  peers_.SetAddresses(addresses_);
  Tick();
  if (elect_done_) TryToLead();
  Settle();
}

// Position 0 holds the configuration, the same everywhere by construction. A
// crash may have come before it was written.
void LogNode::Core::LearnGenesis() {
  EntryProto genesis;
  genesis.set_type(CONFIG);
  genesis.set_payload(identity_.members().SerializeAsString());
  Learn(0, genesis);
}

void LogNode::Core::SetPeers(const std::vector<io::Endpoint>& addresses) {
  addresses_ = addresses;
  addresses_.erase(
      std::remove(addresses_.begin(), addresses_.end(), options_.address),
      addresses_.end());
  // Before the disk is open there is no name to go by.
  if (acceptor_) peers_.SetAddresses(addresses_);
}

bool LogNode::Core::IsMember(const MemberId& id) const {
  return std::find(members_.begin(), members_.end(), id) != members_.end();
}

void LogNode::Core::Fail(int code, const absl::Status& status) {
  failed_ = true;
  environment_.Exit(code, absl::StrCat("replicated log in ", options_.directory,
                                       ": ", status.message()));
}

// Messages.

void LogNode::Core::OnPeerUp() {
  if (ready_) SendHello();
}

void LogNode::Core::OnMessage(absl::string_view payload, MemberId* from) {
  if (!ready_ || failed_) return;
  LogMessage message;
  if (!ParseMessage(payload, &message)) {
    LOG(WARNING) << "dropping what is no message of the log";
    return;
  }
  *from = message.from();
  Handle(message);
  Settle();
}

void LogNode::Core::Handle(const LogMessage& message) {
  if (message.generation() != identity_.generation() ||
      (!message.to().empty() && message.to() != identity_.member_id())) {
    return;
  }
  if (message.kind_case() == LogMessage::kHello) {
    const bool theirs_is_formed = message.hello().status() == ACTIVE;
    if (formation_.has_value()) {
      Formation::Output output;
      formation_->OnHello(environment_.clock().Now(), message.from(),
                          message.cluster_id(), message.hello(), &output);
      OnFormation(std::move(output));
    } else if (!theirs_is_formed) {
      SendHello();
    }
    return;
  }
  if (!active() || message.cluster_id() != cluster_id_) return;
  HandleActive(message);
}

void LogNode::Core::HandleActive(const LogMessage& message) {
  std::vector<Outgoing> answers;
  Proposer::Output output;
  const MemberId& from = message.from();
  switch (message.kind_case()) {
    case LogMessage::kPromise:
      acceptor_->OnPromise(from, message.promise(), &answers);
      break;
    case LogMessage::kSlotQuery:
      acceptor_->OnSlotQuery(from, message.slot_query(), &answers);
      break;
    case LogMessage::kWrite:
      acceptor_->OnWrite(from, message.write(), &answers);
      break;
    case LogMessage::kPromiseReply:
      if (proposer_) {
        proposer_->OnPromiseReply(from, message.promise_reply(), &output);
      }
      break;
    case LogMessage::kSlotReply:
      if (proposer_)
        proposer_->OnSlotReply(from, message.slot_reply(), &output);
      break;
    case LogMessage::kWriteReply:
      if (proposer_) {
        proposer_->OnWriteReply(from, message.write_reply(), &output);
      }
      break;
    case LogMessage::kLearned:
      Learn(message.learned().position(), message.learned().entry());
      break;
    case LogMessage::kHeartbeat:
      acceptor_->OnHeartbeat(from, message.heartbeat(), &answers);
      OnHeartbeat(from, message.heartbeat());
      break;
    case LogMessage::kHeartbeatReply:
      OnHeartbeatReply(from, message.heartbeat_reply());
      break;
    case LogMessage::kFetch:
      ServeFetch(from, message.fetch().position());
      break;
    case LogMessage::kFetchReply: {
      fetch_sent_.reset();
      uint64_t position = message.fetch_reply().position();
      for (const EntryProto& entry : message.fetch_reply().entries()) {
        Learn(position++, entry);
      }
      if (message.fetch_reply().entries_size() > 0) CatchUp();
      break;
    }
    case LogMessage::kHello:
    case LogMessage::KIND_NOT_SET:
      break;
  }
  for (Outgoing& answer : answers) Transmit(std::move(answer));
  Carry(std::move(output));
}

void LogNode::Core::SendHello() {
  LogMessage message;
  Hello& hello = *message.mutable_hello();
  hello.set_status(identity_.status());
  if (identity_.status() != FORMATTED) {
    *hello.mutable_members() = identity_.members();
  }
  hello.set_declared_quorum(options_.quorum);
  Broadcast(std::move(message));
}

// Leaves at once, or when the write that it depends on is durable.
void LogNode::Core::Transmit(Outgoing outgoing) {
  LogMessage& message = outgoing.message;
  message.set_cluster_id(cluster_id_);
  message.set_generation(identity_.generation());
  message.set_from(identity_.member_id());
  message.set_to(outgoing.to);
  message.set_incarnation(identity_.incarnation());
  if (outgoing.after_write > durable_write_) {
    // Dropped as the network might have done: whoever asked asks again.
    if (waiting_.size() < kMaxWaiting) waiting_.push_back(std::move(outgoing));
    return;
  }
  if (outgoing.to == identity_.member_id()) {
    local_.push_back(std::move(message));
  } else {
    peers_.Send(outgoing.to, message.SerializeAsString());
  }
}

void LogNode::Core::Release() {
  std::deque<Outgoing> waiting;
  waiting.swap(waiting_);
  for (Outgoing& outgoing : waiting) Transmit(std::move(outgoing));
}

void LogNode::Core::Broadcast(LogMessage message) {
  message.set_cluster_id(cluster_id_);
  message.set_generation(identity_.generation());
  message.set_from(identity_.member_id());
  message.set_to("");
  message.set_incarnation(identity_.incarnation());
  peers_.SendToAll(message.SerializeAsString());
}

void LogNode::Core::ServeFetch(const MemberId& from, uint64_t position) {
  const uint64_t end = acceptor_->learned_upto();
  if (position >= end || fetches_served_ >= kMaxFetches) return;
  ++fetches_served_;
  auto entries = std::make_shared<absl::StatusOr<std::vector<EntryProto>>>();
  lane_->Run([this, entries, position,
              end] { *entries = storage_->Read(position, end, kFetchBytes); },
             [this, entries, from, position] {
               --fetches_served_;
               if (!entries->ok())
                 return Fail(io::kExitDiskFailure, entries->status());
               Outgoing answer{from, {}, 0};
               FetchReply& reply = *answer.message.mutable_fetch_reply();
               reply.set_position(position);
               for (EntryProto& entry : **entries) {
                 *reply.add_entries() = std::move(entry);
               }
               Transmit(std::move(answer));
               Settle();
             });
}

void LogNode::Core::FetchFrom(const MemberId& from, uint64_t position) {
  fetch_sent_ = environment_.clock().Now();
  Outgoing message{from, {}, 0};
  message.message.mutable_fetch()->set_position(position);
  Transmit(std::move(message));
}

void LogNode::Core::OnHeartbeat(const MemberId& from,
                                const Heartbeat& heartbeat) {
  const Ballot ballot = FromProto(heartbeat.ballot());
  if (!(ballot < leader_ballot_)) {
    leader_ballot_ = ballot;
    leader_epoch_ = heartbeat.epoch();
  }
  commit_seen_ = std::max(commit_seen_, heartbeat.commit());
  commit_member_ = from;
  CatchUp();
}

void LogNode::Core::CatchUp() {
  const io::Instant now = environment_.clock().Now();
  const bool asked = fetch_sent_ && now - *fetch_sent_ < kFetchTimeout;
  if (commit_seen_ > acceptor_->learned_upto() && !asked) {
    FetchFrom(commit_member_, acceptor_->learned_upto());
  }
}

void LogNode::Core::OnHeartbeatReply(const MemberId& from,
                                     const HeartbeatReply& reply) {
  if (!leading_ || !IsMember(from) ||
      FromProto(reply.ballot()) != proposer_->ballot()) {
    return;
  }
  // A member that has promised a higher ballot is no part of our quorum.
  if (!(proposer_->ballot() < FromProto(reply.promised()))) {
    heard_[from] = environment_.clock().Now();
  }
}

// Machines.

// Carries on until nothing is left to do but to wait.
void LogNode::Core::Settle() {
  if (settling_ || failed_ || !ready_) return;
  settling_ = true;
  while (!failed_) {
    if (!local_.empty()) {
      LogMessage message = std::move(local_.front());
      local_.pop_front();
      Handle(message);
      continue;
    }
    std::vector<Acceptor::Delivery> delivered = acceptor_->TakeDelivered();
    if (delivered.empty()) break;
    for (const Acceptor::Delivery& delivery : delivered) {
      Deliver(delivery.position, delivery.entry);
    }
    if (proposer_) {
      Proposer::Output output;
      proposer_->OnLearned(acceptor_->learned_upto(), &output);
      Carry(std::move(output));
    }
  }
  settling_ = false;
  if (failed_) return;
  acceptor_->CheckInvariants();
  if (proposer_) proposer_->CheckInvariants();
  Lead();
  AnswerAppend();
  NextAppend();
  Flush();
}

void LogNode::Core::Deliver(uint64_t position, const EntryProto& entry) {
  if (entry.type() == LEADER) leader_epoch_ = position;
  if (options_.observer != nullptr) {
    options_.observer->OnLearned(position, entry.SerializeAsString());
  }
  if (entry.type() == APPEND) listener_->OnCommitted(position, entry.payload());
}

void LogNode::Core::Learn(uint64_t position, const EntryProto& entry) {
  absl::Status status = acceptor_->OnLearned(position, entry);
  // Two values at one position: the protocol was broken somewhere, and
  // nothing that this process does now can be trusted.
  if (!status.ok()) Fail(io::kExitFailure, status);
}

void LogNode::Core::Carry(Proposer::Output output) {
  for (Outgoing& message : output.messages) Transmit(std::move(message));
  for (const Proposer::Chosen& chosen : output.chosen) {
    Learn(chosen.position, chosen.entry);
    LogMessage message;
    message.mutable_learned()->set_position(chosen.position);
    *message.mutable_learned()->mutable_entry() = chosen.entry;
    Broadcast(std::move(message));
    if (chosen.own && chosen.entry.type() == APPEND) {
      append_chosen_ = chosen.position;
    }
  }
  const io::Instant now = environment_.clock().Now();
  if (output.fetch && !(fetch_sent_ && now - *fetch_sent_ < kFetchTimeout)) {
    FetchFrom(output.fetch->first, output.fetch->second);
  }
  if (output.deposed) {
    OnDeposed(absl::AbortedError("another member holds a higher ballot"));
  }
}

// One write at a time; what comes meanwhile shares the next.
void LogNode::Core::Flush() {
  if (writing_ || failed_) return;
  DurableWrite write = acceptor_->TakeWrite();
  if (write.empty()) return;
  writing_ = true;
  auto status = std::make_shared<absl::Status>();
  auto shared = std::make_shared<DurableWrite>(std::move(write));
  lane_->Run([this, status, shared] { *status = storage_->Apply(*shared); },
             [this, status, shared] {
               writing_ = false;
               if (!status->ok()) return Fail(io::kExitDiskFailure, *status);
               durable_write_ = shared->number;
               if (options_.observer != nullptr && shared->promised_changed) {
                 options_.observer->OnPromised(shared->promised.round,
                                               shared->promised.member);
               }
               Release();
               Settle();
             });
}

void LogNode::Core::OnFormation(Formation::Output output) {
  if (output.genesis) {
    SuperblockProto identity = identity_;
    identity.set_status(ACTIVE);
    identity.set_cluster_id(output.genesis->cluster_id);
    *identity.mutable_members() = output.genesis->members;
    formation_.reset();
    SaveIdentity(identity, [this] {
      cluster_id_ = identity_.cluster_id();
      members_.assign(identity_.members().members().begin(),
                      identity_.members().members().end());
      LOG(INFO) << "the log of cluster " << ShortId(cluster_id_) << " has "
                << members_.size() << " members; this replica is "
                << (IsMember(identity_.member_id()) ? "one of them"
                                                    : "not one of them");
      LearnGenesis();
      SendHello();
      if (elect_done_) TryToLead();
      Settle();
    });
  } else if (output.pin) {
    SuperblockProto identity = identity_;
    identity.set_status(PINNED);
    *identity.mutable_members() = *output.pin;
    SaveIdentity(identity, [this] {
      formation_->OnPinned(identity_.members());
      SendHello();
      Formation::Output next;
      formation_->OnTick(environment_.clock().Now(), &next);
      OnFormation(std::move(next));
    });
  }
}

// Makes the identity durable, then `done`. No formation input is handled in
// between.
void LogNode::Core::SaveIdentity(SuperblockProto identity,
                                 std::function<void()> done) {
  ready_ = false;
  auto status = std::make_shared<absl::Status>();
  lane_->Run(
      [this, status, identity] { *status = storage_->SetIdentity(identity); },
      [this, status, identity, done = std::move(done)] {
        if (!status->ok()) return Fail(io::kExitDiskFailure, *status);
        identity_ = identity;
        ready_ = true;
        done();
      });
}

void LogNode::Core::Tick() {
  if (failed_) return;
  tick_ = environment_.clock().RunAfter(options_.retry_interval,
                                        [this] { Tick(); });
  if (!ready_) return;
  const io::Instant now = environment_.clock().Now();
  if (formation_) {
    if (now - last_hello_ >= kHelloInterval) {
      last_hello_ = now;
      SendHello();
    }
    Formation::Output output;
    formation_->OnTick(now, &output);
    OnFormation(std::move(output));
    return;
  }
  if (proposer_) {
    Proposer::Output output;
    proposer_->OnRetry(&output);
    Carry(std::move(output));
    CheckQuorum();
  }
  Settle();
}

}  // namespace quorate::log
