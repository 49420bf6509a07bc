#include "core/log/testing/explore_replicas.h"

#include <glog/logging.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"

namespace quorate::log::testing {
namespace {

Entry MakeEntry(EntryType type, const std::string& payload) {
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(type);
  entry->add_payload(payload);
  return entry;
}

Entry ConfigEntry(const std::string& letters) {
  Config config;
  for (char letter : letters) config.add_members()->set_id({letter});
  return MakeEntry(CONFIG, config.SerializeAsString());
}

std::vector<MemberId> MembersBy(const Entry& entry) {
  Config config;
  CHECK(config.ParseFromString(entry->payload(0)));
  return MembersOf(config);
}

void Add(const Ballot& ballot, std::string* text) {
  absl::StrAppend(text, ballot.round, ".", ballot.member, " ");
}

void Add(const std::map<uint64_t, Slot>& slots, std::string* text) {
  for (const auto& [position, slot] : slots) {
    absl::StrAppend(text, position, "=", static_cast<int>(slot.state), " ");
    Add(slot.ballot, text);
    absl::StrAppend(text, slot.hash, ";");
  }
}

}  // namespace

// A replica's machines and its disk. Copied, never changed once it has a
// number.
struct ReplicaTable::Replica {
  MemberId id;
  bool gone = false;
  ReplicaState disk;
  std::map<uint64_t, Entry> known;  // learned
  Acceptor acceptor;
  std::optional<Proposer> proposer;

  // Who votes at the first position that is not learned.
  std::vector<MemberId> Voters() const {
    std::vector<MemberId> voters;
    for (const auto& [position, entry] : known) {
      if (position >= acceptor.learned_upto()) break;
      if (entry->type() == CONFIG) voters = testing::MembersBy(entry);
    }
    if (!Planted(Bug::kConfigOnAccept)) return voters;
    for (const auto& [position, slot] : disk.slots) {
      if (slot.entry != nullptr && slot.entry->type() == CONFIG) {
        voters = testing::MembersBy(slot.entry);
      }
    }
    return voters;
  }
};

// All of a machine's state that matters to what it does from now on: equal
// texts are equal machines. What it only counts, or passes on for others'
// information, is left out.
struct MachineText {
  static void Add(const Acceptor& acceptor, std::string* text) {
    testing::Add(acceptor.promised_, text);
    absl::StrAppend(text, acceptor.base_, ",", acceptor.learned_upto_, ",",
                    acceptor.settled_, ",", acceptor.blind_below_, ",",
                    acceptor.voting_, acceptor.disk_full_, " ");
    for (const auto& [begin, end] : acceptor.holes_) {
      absl::StrAppend(text, begin, "-", end, " ");
    }
    testing::Add(acceptor.slots_, text);
    CHECK(acceptor.pending_.empty() && acceptor.learned_.empty());
  }
  static void Add(const Proposer& proposer, std::string* text) {
    absl::StrAppend(text, "P", static_cast<int>(proposer.phase_), "@",
                    proposer.position_, " ");
    testing::Add(proposer.ballot_, text);
    for (const MemberId& member : proposer.members_) *text += member;
    for (const auto& [member, promised] : proposer.promised_) {
      absl::StrAppend(text, " p", member, promised.end, ",",
                      promised.blind_below);
    }
    for (const auto& [member, slot] : proposer.slots_) {
      absl::StrAppend(text, " s", member, slot.SerializeAsString());
    }
    absl::StrAppend(text, " w", proposer.hash_, proposer.own_, proposer.chosen_,
                    proposer.duplicates_, proposer.previous_hash_, "e",
                    proposer.epoch_.value_or(0));
    for (const MemberId& member : proposer.accepted_) {
      absl::StrAppend(text, " a", member);
    }
  }
  static const std::set<MemberId>& Votes(const Proposer& proposer) {
    return proposer.accepted_;
  }
};

// One input to one replica, up to where nothing is left to do.
class ReplicaTable::Run {
 public:
  Run(ReplicaTable& table, const Replica& before)
      : table_(table), replica_(std::make_unique<Replica>(before)) {}

  Result Do(Input input) {
    const Ballot promised = replica_->acceptor.promised();
    Start(input);
    Settle();
    if (replica_->acceptor.promised() < promised &&
        input.kind != Input::Kind::kWipe) {
      Wrong("a promise is broken");
    }
    result_.next = table_.StateOf(std::move(replica_));
    return std::move(result_);
  }

 private:
  Replica& me() { return *replica_; }

  void Wrong(const std::string& what) { result_.violation = what; }

  void Start(Input input) {
    Proposer::Output output;
    switch (input.kind) {
      case Input::Kind::kDeliver:
        return Arrive(table_.parcel(input.what).from,
                      table_.parcel(input.what).message);
      case Input::Kind::kLearn: {
        const Fact& fact = table_.fact(input.what);
        return Learn(fact.position, table_.values_[fact.value]);
      }
      case Input::Kind::kElect:
        return Elect(input.what);
      case Input::Kind::kAppend:
        me().proposer->Propose(
            MakeEntry(APPEND, absl::StrCat("by ", me().proposer->ballot().round,
                                           " at ", me().proposer->position())),
            &output);
        break;
      case Input::Kind::kConfigure:
        for (char letter : table_.bounds_.configuration) {
          me().proposer->AskPromise({letter}, &output);
        }
        me().proposer->Propose(ConfigEntry(table_.bounds_.configuration),
                               &output);
        break;
      case Input::Kind::kRetry:
        me().proposer->OnRetry(&output);
        break;
      case Input::Kind::kReady:
        return me().acceptor.set_voting(true);
      case Input::Kind::kTruncate:
        me().disk.base = me().acceptor.learned_upto();
        return me().acceptor.AdoptBase(me().acceptor.learned_upto());
      case Input::Kind::kWipe:
        return Wipe();
      case Input::Kind::kDamage:
      case Input::Kind::kLose:
        Damage(input.what, input.kind == Input::Kind::kLose);
        return Restart(table_.bounds_.handshake);
      case Input::Kind::kCrash:
        return Restart(table_.bounds_.handshake);
    }
    Carry(std::move(output));
  }

  void Elect(uint64_t round) {
    me().proposer.emplace(me().id, me().Voters(), Ballot{round, me().id},
                          me().acceptor.learned_upto());
    Proposer::Output output;
    me().proposer->Start(&output);
    CHECK(output.messages.size() == 1 && output.messages[0].to == me().id);
    std::vector<Outgoing> answers;
    me().acceptor.OnPromise(me().id, output.messages[0].message.promise(),
                            &answers);
    output = {};
    me().proposer->OnPromiseReply(me().id, answers[0].message.promise_reply(),
                                  &output);
    Carry(std::move(output));
  }

  // Another one has its identity, or, for a test, still this one.
  void Wipe() {
    const auto genesis = *me().known.begin();
    if (!Planted(Bug::kWipedKeepsId)) me().gone = true;
    me().disk = {};
    me().known = {};
    me().disk.slots[0] = {
        Slot::State::kLearned, {}, genesis.second, EntryHash(*genesis.second)};
    me().known.insert(genesis);
    Restart(false);
  }

  void Damage(uint64_t position, bool without_trace) {
    auto slot = me().disk.slots.find(position);
    CHECK(slot != me().disk.slots.end());
    if (without_trace) {
      me().disk.slots.erase(slot);
      me().disk.blind_below = std::max(me().disk.blind_below, position + 1);
      me().disk.blind_promised = me().disk.promised;
    } else {
      slot->second.state = Slot::State::kFaulty;
      slot->second.entry.reset();
    }
  }

  // What was only learned is gone; what was voted for is there.
  void Restart(bool silent) {
    Replica next{
        me().id,     me().gone, me().disk, {}, Acceptor(me().id, me().disk),
        std::nullopt};
    for (const auto& [position, entry] : me().known) {
      if (position < next.acceptor.learned_upto()) {
        next.known[position] = entry;
      }
    }
    next.acceptor.set_voting(!silent);
    replica_ = std::make_unique<Replica>(std::move(next));
  }

  void Arrive(uint8_t from_index, LogMessage message) {
    const MemberId& from = table_.names_[from_index];
    std::vector<Outgoing> answers;
    Proposer::Output output;
    std::optional<Proposer>& proposer = me().proposer;
    switch (message.kind_case()) {
      case LogMessage::kPromise:
        me().acceptor.OnPromise(from, message.promise(), &answers);
        break;
      case LogMessage::kSlotQuery:
        me().acceptor.OnSlotQuery(from, message.slot_query(), &answers);
        break;
      case LogMessage::kWrite:
        OnWrite(from, message.mutable_write(), &answers);
        break;
      case LogMessage::kPromiseReply:
        if (proposer) {
          proposer->OnPromiseReply(from, message.promise_reply(), &output);
        }
        break;
      case LogMessage::kSlotReply:
        if (proposer) {
          proposer->OnSlotReply(from, message.slot_reply(), &output);
        }
        break;
      case LogMessage::kWriteReply:
        if (proposer) {
          proposer->OnWriteReply(from, message.write_reply(), &output);
        }
        break;
      default:
        LOG(FATAL) << message.ShortDebugString();
    }
    for (Outgoing& answer : answers) Send(std::move(answer));
    Carry(std::move(output));
  }

  void OnWrite(const MemberId& from, Write* write,
               std::vector<Outgoing>* answers) {
    const Ballot ballot = FromProto(write->ballot());
    const uint64_t position = write->position();
    if (write->has_previous_hash() &&
        !me().acceptor.OnChosen(position - 1, ballot, write->previous_hash())
             .ok()) {
      Wrong("another value was learned before");
    }
    const uint8_t value =
        table_.ValueOf(std::make_shared<EntryProto>(write->entry()));
    me().acceptor.OnWrite(from, write, answers);
    if (answers->back().message.write_reply().result() != OK) return;
    Note({Fact::Kind::kVoted, static_cast<uint8_t>(position),
          table_.NumberOf(ballot), value, table_.IndexOf(me().id)});
  }

  void Note(const Fact& fact) { result_.facts.push_back(table_.FactOf(fact)); }

  void Send(Outgoing outgoing) {
    LogMessage& message = outgoing.message;
    if (message.has_write()) {
      Write& write = *message.mutable_write();
      if (write.position() > table_.bounds_.last_position) return;
      write.clear_acked();
      Note({Fact::Kind::kProposed, static_cast<uint8_t>(write.position()),
            table_.NumberOf(FromProto(write.ballot())),
            table_.ValueOf(std::make_shared<EntryProto>(write.entry())), 0});
    }
    // It could but depose the proposer.
    if (message.has_promise_reply() &&
        message.promise_reply().result() == REJECT) {
      return;
    }
    if (message.has_slot_reply() && message.slot_reply().result() == REJECT) {
      return;
    }
    if (message.has_write_reply() &&
        (message.write_reply().result() == REJECT ||
         message.write_reply().result() == KNOWN)) {
      return;
    }
    result_.messages.push_back(table_.ParcelOf(me().id, outgoing));
  }

  void Learn(uint64_t position, const Entry& entry) {
    if (me().acceptor.OnLearned(position, entry, EntryHash(*entry)).ok()) {
      return;
    }
    Wrong("another value was learned before");
  }

  void Carry(Proposer::Output output) {
    for (Outgoing& message : output.messages) Send(std::move(message));
    for (const Proposer::Chosen& chosen : output.chosen) {
      Note({Fact::Kind::kLearned, static_cast<uint8_t>(chosen.position), 0,
            table_.ValueOf(chosen.entry), 0});
      Learn(chosen.position, chosen.entry);
    }
  }

  void Settle() {
    for (const LearnedEntry& learned : me().acceptor.TakeLearned()) {
      me().known[learned.position] = learned.entry;
      Note({Fact::Kind::kLearned, static_cast<uint8_t>(learned.position), 0,
            table_.ValueOf(learned.entry), 0});
    }
    const DurableWrite write = me().acceptor.TakeWrite();
    if (write.promised) me().disk.promised = *write.promised;
    for (const auto& [position, slot] : write.accepted) {
      me().disk.slots[position] = slot;
    }
    me().acceptor.CheckInvariants();
    if (!me().proposer) return;
    const uint64_t learned_upto = me().acceptor.learned_upto();
    if (!me().proposer->deposed() && learned_upto > me().proposer->position()) {
      Proposer::Output output;
      me().proposer->OnLearned(learned_upto, me().Voters(), &output);
      Carry(std::move(output));
      return Settle();
    }
    me().proposer->CheckInvariants();
    if (me().proposer->deposed() ||
        me().proposer->position() > table_.bounds_.last_position) {
      me().proposer.reset();
    }
  }

  ReplicaTable& table_;
  std::unique_ptr<Replica> replica_;
  Result result_;
};

ReplicaTable::ReplicaTable(const Bounds& bounds) : bounds_(bounds) {
  for (char letter : bounds.members + bounds.learners) {
    names_.emplace_back(1, letter);
  }
  CHECK_LE(names_.size(), size_t{1} << kReplicaBits);
  genesis_ = (1 << bounds.members.size()) - 1;
}

uint32_t ReplicaTable::Initial(int replica) {
  const MemberId& id = names_[replica];
  ReplicaState disk;
  const Entry genesis = ConfigEntry(bounds_.members);
  disk.slots[0] = {Slot::State::kLearned, {}, genesis, EntryHash(*genesis)};
  return StateOf(std::make_unique<Replica>(Replica{
      id, false, disk, {{0, genesis}}, Acceptor(id, disk), std::nullopt}));
}

const ReplicaTable::Result& ReplicaTable::Step(uint32_t state, Input input) {
  const uint64_t key = uint64_t{state} << 32 |
                       uint64_t{static_cast<uint8_t>(input.kind)} << 16 |
                       input.what;
  auto found = results_.find(key);
  if (found != results_.end()) return found->second;
  const std::shared_ptr<const Replica> before = states_[state];
  return results_.emplace(key, Run(*this, *before).Do(input)).first->second;
}

uint8_t ReplicaTable::IndexOf(const MemberId& id) const {
  return std::find(names_.begin(), names_.end(), id) - names_.begin();
}

BallotNumber ReplicaTable::NumberOf(const Ballot& ballot) const {
  if (ballot.round == 0) return 0;
  return ballot.round << kReplicaBits | IndexOf(ballot.member);
}

uint8_t ReplicaTable::ValueOf(const Entry& entry) {
  auto [found, fresh] =
      value_numbers_.emplace(EntryHash(*entry), values_.size());
  if (fresh) {
    values_.push_back(entry);
    Replicas members = 0;
    if (entry->type() == CONFIG) {
      for (const MemberId& id : testing::MembersBy(entry)) {
        members |= 1 << IndexOf(id);
      }
    }
    members_by_.push_back(members);
  }
  return found->second;
}

uint16_t ReplicaTable::FactOf(const Fact& fact) {
  const std::string key =
      absl::StrCat(static_cast<int>(fact.kind), " ", fact.position, " ",
                   fact.ballot, " ", fact.value, " ", fact.replica);
  auto [found, fresh] = fact_numbers_.emplace(key, facts_.size());
  if (fresh) facts_.push_back(fact);
  return found->second;
}

namespace {

template <typename Message>
void Describe(Parcel::Kind kind, const Message& message, Ballot* ballot,
              Parcel* parcel) {
  parcel->kind = kind;
  *ballot = FromProto(message.ballot());
}

}  // namespace

uint16_t ReplicaTable::ParcelOf(const MemberId& from,
                                const Outgoing& outgoing) {
  const LogMessage& message = outgoing.message;
  const std::string key =
      absl::StrCat(from, outgoing.to, message.SerializePartialAsString());
  auto [found, fresh] = parcel_numbers_.emplace(key, parcels_.size());
  if (!fresh) return found->second;
  CHECK_LT(parcels_.size(), size_t{1} << 16);
  Parcel parcel{Parcel::Kind::kPromise,
                IndexOf(from),
                IndexOf(outgoing.to),
                0,
                0,
                message};
  Ballot ballot;
  if (message.has_promise()) {
    Describe(Parcel::Kind::kPromise, message.promise(), &ballot, &parcel);
  } else if (message.has_promise_reply()) {
    Describe(Parcel::Kind::kPromiseReply, message.promise_reply(), &ballot,
             &parcel);
  } else if (message.has_slot_query()) {
    Describe(Parcel::Kind::kQuery, message.slot_query(), &ballot, &parcel);
    parcel.position = message.slot_query().position();
  } else if (message.has_slot_reply()) {
    Describe(Parcel::Kind::kQueryReply, message.slot_reply(), &ballot, &parcel);
    parcel.position = message.slot_reply().position();
  } else if (message.has_write()) {
    Describe(Parcel::Kind::kWrite, message.write(), &ballot, &parcel);
    parcel.position = message.write().position();
  } else {
    Describe(Parcel::Kind::kWriteReply, message.write_reply(), &ballot,
             &parcel);
    parcel.position = message.write_reply().position();
  }
  parcel.ballot = NumberOf(ballot);
  parcels_.push_back(std::move(parcel));
  return found->second;
}

uint32_t ReplicaTable::StateOf(std::unique_ptr<Replica> replica) {
  std::string text = absl::StrCat(replica->id, replica->gone);
  MachineText::Add(replica->acceptor, &text);
  text += "\ndisk ";
  Add(replica->disk.promised, &text);
  absl::StrAppend(&text, replica->disk.base, ",", replica->disk.blind_below);
  Add(replica->disk.blind_promised, &text);
  Add(replica->disk.slots, &text);
  for (const auto& [position, entry] : replica->known) {
    absl::StrAppend(&text, "\n", position, " ", EntryHash(*entry));
  }
  if (replica->proposer) MachineText::Add(*replica->proposer, &text);
  auto [found, fresh] = state_numbers_.emplace(std::move(text), states_.size());
  if (fresh) {
    summaries_.push_back(Summarize(*replica));
    states_.push_back(std::move(replica));
  }
  return found->second;
}

ReplicaTable::Summary ReplicaTable::Summarize(const Replica& replica) const {
  Summary summary;
  summary.gone = replica.gone;
  summary.voting = replica.acceptor.voting();
  summary.promised = NumberOf(replica.acceptor.promised());
  summary.learned_upto = replica.acceptor.learned_upto();
  const std::vector<MemberId> voters = replica.Voters();
  summary.member = std::count(voters.begin(), voters.end(), replica.id) != 0;
  for (const auto& [position, entry] : replica.known) {
    summary.learned |= 1u << position;
  }
  for (const auto& [position, slot] : replica.disk.slots) {
    if (slot.ballot.round > 0 && slot.state != Slot::State::kFaulty &&
        position >= replica.acceptor.settled()) {
      summary.voted |= 1u << position;
    }
  }
  if (!replica.proposer) return summary;
  const Proposer& proposer = *replica.proposer;
  summary.ballot = NumberOf(proposer.ballot());
  summary.phase = proposer.phase();
  summary.position = proposer.position();
  summary.can_append = proposer.leading() && proposer.idle();
  for (size_t i = 0; i < names_.size(); ++i) {
    if (proposer.HasPromised(names_[i])) summary.promises |= 1 << i;
    if (MachineText::Votes(proposer).count(names_[i]) != 0) {
      summary.votes |= 1 << i;
    }
  }
  return summary;
}

std::string ReplicaTable::Text(int replica, Input input) const {
  static constexpr const char* kNames[] = {
      "receives",   "learns",        "elects",  "appends",
      "configures", "retries",       "crashes", "is ready",
      "is wiped",   "is damaged at", "forgets", "truncates"};
  std::string text =
      absl::StrCat(names_[replica], " ", kNames[static_cast<int>(input.kind)]);
  if (input.kind == Input::Kind::kDeliver) {
    const Parcel& it = parcel(input.what);
    return absl::StrCat(text, " from ", names_[it.from], " ",
                        it.message.ShortDebugString());
  }
  if (input.kind == Input::Kind::kLearn) {
    const Fact& it = fact(input.what);
    return absl::StrCat(text, " @", it.position, " ",
                        values_[it.value]->ShortDebugString());
  }
  return absl::StrCat(text, " ", input.what);
}

}  // namespace quorate::log::testing
