#include "core/log/testing/transcript.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace quorate::log::testing {
namespace {

std::string Text(const BallotProto& ballot) {
  return ballot.round() == 0
             ? "nothing"
             : absl::StrCat(ballot.round(), ".", ballot.member());
}

std::string Text(const EntryProto& entry) {
  switch (entry.type()) {
    case NOOP:
      return "noop";
    case APPEND:
      return entry.payload(0);
    case TRUNCATE:
      return "truncate";
    case CONFIG: {
      Config config;
      CHECK(config.ParseFromString(entry.payload(0)));
      return absl::StrCat("members ", absl::StrJoin(MembersOf(config), ""));
    }
    case LEADER:
      return absl::StrCat("leader ", entry.payload(0));
  }
  return "?";
}

std::string Text(const SlotProto& slot) {
  switch (slot.state()) {
    case SlotProto::NONE:
      return "none";
    case SlotProto::ACCEPTED:
      return absl::StrCat("accepted ", Text(slot.ballot()), " ",
                          Text(slot.entry()));
    case SlotProto::LEARNED:
      return absl::StrCat("learned ",
                          slot.has_entry() ? Text(slot.entry()) : "before");
    case SlotProto::FAULTY:
      return absl::StrCat("damaged ", Text(slot.ballot()));
    case SlotProto::UNKNOWN:
      return "unknown";
    case SlotProto::TRUNCATED:
      return "truncated";
  }
  return "?";
}

std::string Text(const PromiseReply& reply) {
  if (reply.result() == NOT_READY) return "does not vote";
  if (reply.result() == REJECT) {
    return absl::StrCat("refuses ", Text(reply.ballot()), ", has promised ",
                        Text(reply.promised()));
  }
  return absl::StrCat("promised ", Text(reply.ballot()), ", end ", reply.end(),
                      ", @", reply.from_position(), " is ", Text(reply.slot()));
}

std::string Text(const SlotReply& reply) {
  if (reply.result() == REJECT) {
    return absl::StrCat("refuses to tell @", reply.position(), " under ",
                        Text(reply.ballot()), ", has promised ",
                        Text(reply.promised()));
  }
  return absl::StrCat("@", reply.position(), " is ", Text(reply.slot()),
                      " under ", Text(reply.ballot()));
}

std::string Text(const WriteReply& reply) {
  switch (reply.result()) {
    case OK:
      return absl::StrCat("accepted @", reply.position(), " at ",
                          Text(reply.ballot()));
    case REJECT:
      return absl::StrCat("refuses @", reply.position(), " at ",
                          Text(reply.ballot()), ", has promised ",
                          Text(reply.promised()));
    case KNOWN:
      return absl::StrCat("knows @", reply.position());
    case NOT_READY:
      return absl::StrCat("is not ready for @", reply.position());
  }
  return "?";
}

std::string Text(const LogMessage& message) {
  switch (message.kind_case()) {
    case LogMessage::kPromise:
      return absl::StrCat("promise ", Text(message.promise().ballot()), " @",
                          message.promise().from_position());
    case LogMessage::kPromiseReply:
      return Text(message.promise_reply());
    case LogMessage::kSlotQuery:
      return absl::StrCat("what is @", message.slot_query().position(),
                          " under ", Text(message.slot_query().ballot()));
    case LogMessage::kSlotReply:
      return Text(message.slot_reply());
    case LogMessage::kWrite:
      return absl::StrCat("write ", Text(message.write().ballot()), " @",
                          message.write().position(), " ",
                          Text(message.write().entry()));
    case LogMessage::kWriteReply:
      return Text(message.write_reply());
    case LogMessage::kLearned:
      return absl::StrCat("learned @", message.learned().position(), " ",
                          Text(message.learned().entry()));
    case LogMessage::kFetch:
      return absl::StrCat("fetch @", message.fetch().position());
    case LogMessage::kFetchReply:
      return absl::StrCat(message.fetch_reply().entries_size(),
                          " entries from @", message.fetch_reply().position());
    default:
      return "?";
  }
}

Entry ConfigEntry(const std::vector<MemberId>& members) {
  Config config;
  for (const MemberId& id : members) config.add_members()->set_id(id);
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(CONFIG);
  entry->add_payload(config.SerializeAsString());
  return entry;
}

std::vector<MemberId> Ids(const std::string& letters) {
  std::vector<MemberId> ids;
  for (char letter : letters) ids.emplace_back(1, letter);
  return ids;
}

Slot LearnedSlot(const Entry& entry) {
  return {Slot::State::kLearned, {}, entry, EntryHash(*entry)};
}

}  // namespace

// The first ones are the members; others are learners.
void Transcript::AddReplicas(const std::string& letters) {
  if (members_.empty()) genesis_ = ConfigEntry(Ids(letters));
  for (const MemberId& id : Ids(letters)) {
    members_.push_back(id);
    nodes_[id].disk.slots[0] = LearnedSlot(genesis_);
    Restart(id);
  }
}

std::vector<MemberId> Transcript::VotersAt(const MemberId& at) const {
  const Node& node = nodes_.at(at);
  std::vector<MemberId> voters;
  for (const auto& [position, entry] : node.known) {
    if (position >= node.acceptor->learned_upto()) break;
    if (entry->type() != CONFIG) continue;
    Config config;
    CHECK(config.ParseFromString(entry->payload(0)));
    voters = MembersOf(config);
  }
  return voters;
}

std::string Transcript::Run(absl::string_view script) {
  for (absl::string_view line : absl::StrSplit(script, '\n')) {
    if (!line.empty() && line[0] == ' ') continue;
    absl::StrAppend(&output_, output_.empty() ? "" : "\n", line);
    if (!line.empty() && line[0] != '#') Command(std::string(line));
  }
  return output_;
}

std::vector<std::pair<MemberId, MemberId>> Transcript::routes() const {
  std::vector<std::pair<MemberId, MemberId>> routes;
  for (const InFlight& flying : network_) {
    routes.emplace_back(flying.from, flying.message.to);
  }
  return routes;
}

uint64_t Transcript::NextRound(const MemberId& at) const {
  return nodes_.at(at).acceptor->promised().round + 1;
}

bool Transcript::CanAppend(const MemberId& at) const {
  const std::optional<Proposer>& proposer = nodes_.at(at).proposer;
  return proposer && proposer->leading() && proposer->idle();
}

void Transcript::Show(const std::string& text) {
  absl::StrAppend(&output_, "\n  ", text);
}

void Transcript::Command(const std::string& line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  if (words[0] == "replicas") return AddReplicas(words[1]);
  if (words[0] == "all") return DeliverAll();
  const std::string& route = words[words[0] == "drop" ? 1 : 0];
  if (route.size() == 3 && route[1] == '>') {
    const MemberId from(1, route[0]);
    const MemberId to(1, route[2]);
    if (words[0] != "drop") return Deliver(from, to, words.size() > 1);
    auto found = std::find_if(
        network_.begin(), network_.end(), [&](const InFlight& flying) {
          return flying.from == from && flying.message.to == to;
        });
    CHECK(found != network_.end()) << "nothing to drop for: " << line;
    network_.erase(found);
    return;
  }
  CHECK(nodes_.count(words[0]) != 0 && words.size() > 1) << line;
  CommandTo(words[0], words[1], words.size() > 2 ? words[2] : "");
}

void Transcript::CommandTo(const MemberId& at, const std::string& verb,
                           const std::string& what) {
  Node& node = nodes_.at(at);
  Proposer::Output output;
  if (verb == "elects") {
    uint64_t round = 0;
    CHECK(absl::SimpleAtoi(what, &round));
    const std::vector<MemberId> voters = VotersAt(at);
    if (std::count(voters.begin(), voters.end(), at) == 0) {
      return Show(absl::StrCat(at, " is no member"));
    }
    node.proposer.emplace(at, voters, Ballot{round, at},
                          node.acceptor->learned_upto());
    node.proposer->Start(&output);
  } else if (verb == "appends") {
    auto entry = std::make_shared<EntryProto>();
    entry->set_type(APPEND);
    entry->add_payload(what);
    CHECK(CanAppend(at));
    node.proposer->Propose(std::move(entry), &output);
  } else if (verb == "asks") {
    node.proposer->AskPromise(what, &output);
  } else if (verb == "makes") {
    CHECK(CanAppend(at));
    node.proposer->Propose(ConfigEntry(Ids(what)), &output);
  } else if (verb == "damages") {
    Damage(at, what);
  } else if (verb == "retries") {
    if (node.proposer) node.proposer->OnRetry(&output);
  } else if (verb == "waits") {
    node.waits = true;
  } else if (verb == "syncs") {
    node.waits = false;
    Sync(at);
  } else if (verb == "restarts") {
    Restart(at);
  } else if (verb == "leaves" || verb == "returns") {
    node.away = verb == "leaves";
  } else {
    LOG(FATAL) << "no such command: " << verb;
  }
  Carry(at, std::move(output));
  Settle(at);
}

void Transcript::Deliver(const MemberId& from, const MemberId& to, bool keep) {
  auto found = std::find_if(
      network_.begin(), network_.end(), [&](const InFlight& flying) {
        return flying.from == from && flying.message.to == to;
      });
  CHECK(found != network_.end()) << "nothing on its way " << from << ">" << to;
  LogMessage message = found->message.message;
  if (!keep) network_.erase(found);
  const bool lost = nodes_.at(from).away || nodes_.at(to).away;
  if (from == to || !lost) Arrive(from, to, std::move(message));
}

void Transcript::DeliverAll() {
  show_messages_ = false;
  while (!network_.empty()) {
    const MemberId from = network_.front().from;
    const MemberId to = network_.front().message.to;
    Deliver(from, to, false);
  }
  show_messages_ = true;
}

void Transcript::Arrive(const MemberId& from, const MemberId& to,
                        LogMessage message) {
  Node& node = nodes_.at(to);
  std::vector<Outgoing> answers;
  Proposer::Output output;
  switch (message.kind_case()) {
    case LogMessage::kPromise:
      node.acceptor->OnPromise(from, message.promise(), &answers);
      break;
    case LogMessage::kSlotQuery:
      node.acceptor->OnSlotQuery(from, message.slot_query(), &answers);
      break;
    case LogMessage::kWrite:
      node.acceptor->OnWrite(from, message.mutable_write(), &answers);
      break;
    case LogMessage::kLearned:
      Learn(to, message.learned().position(),
            std::make_shared<EntryProto>(message.learned().entry()));
      break;
    case LogMessage::kFetch:
      ServeFetch(to, from, message.fetch().position());
      break;
    case LogMessage::kFetchReply: {
      uint64_t position = message.fetch_reply().position();
      for (const EntryProto& entry : message.fetch_reply().entries()) {
        Learn(to, position++, std::make_shared<EntryProto>(entry));
      }
      break;
    }
    default:
      break;
  }
  if (node.proposer && message.has_promise_reply()) {
    node.proposer->OnPromiseReply(from, message.promise_reply(), &output);
  } else if (node.proposer && message.has_slot_reply()) {
    node.proposer->OnSlotReply(from, message.slot_reply(), &output);
  } else if (node.proposer && message.has_write_reply()) {
    node.proposer->OnWriteReply(from, message.write_reply(), &output);
  }
  for (Outgoing& answer : answers) Send(to, std::move(answer));
  Carry(to, std::move(output));
  Settle(to);
}

void Transcript::Send(const MemberId& from, Outgoing message) {
  Node& node = nodes_.at(from);
  const bool held = message.after_write > node.durable && node.waits;
  const bool lost =
      message.to != from && (node.away || nodes_.at(message.to).away);
  if (show_messages_ && !lost) {
    Show(absl::StrCat(from, ">", message.to, " ", Text(message.message),
                      held ? ", when durable" : ""));
  }
  if (held) {
    node.held.push_back(std::move(message));
  } else if (!lost) {
    network_.push_back({from, std::move(message)});
  }
}

void Transcript::Carry(const MemberId& at, Proposer::Output output) {
  for (Outgoing& message : output.messages) Send(at, std::move(message));
  for (const Proposer::Chosen& chosen : output.chosen) {
    Learn(at, chosen.position, chosen.entry);
    for (const MemberId& member : members_) {
      if (member == at) continue;
      Outgoing learned{member, {}, 0};
      learned.message.mutable_learned()->set_position(chosen.position);
      *learned.message.mutable_learned()->mutable_entry() = *chosen.entry;
      Send(at, std::move(learned));
    }
  }
  if (output.fetch) {
    Outgoing fetch{output.fetch->first, {}, 0};
    fetch.message.mutable_fetch()->set_position(output.fetch->second);
    Send(at, std::move(fetch));
  }
  if (output.elected) {
    Show(absl::StrCat(at, " leads in epoch ", *output.elected));
  }
  if (output.deposed) Show(absl::StrCat(at, " is deposed"));
}

void Transcript::Learn(const MemberId& at, uint64_t position,
                       const Entry& entry) {
  absl::Status status =
      nodes_.at(at).acceptor->OnLearned(position, entry, EntryHash(*entry));
  if (status.ok()) return;
  disagreement_ = true;
  Show(absl::StrCat(at, " stops: ", status.message()));
}

void Transcript::Settle(const MemberId& at) {
  Node& node = nodes_.at(at);
  for (const LearnedEntry& learned : node.acceptor->TakeLearned()) {
    node.known[learned.position] = learned.entry;
  }
  for (; node.told < node.acceptor->learned_upto(); ++node.told) {
    const std::string text = Text(*node.known.at(node.told));
    Show(absl::StrCat(at, " learns @", node.told, " ", text));
    auto known = learned_.emplace(node.told, text).first;
    if (known->second == text) continue;
    disagreement_ = true;
    Show(absl::StrCat("others have learned ", known->second, " there"));
  }
  if (node.proposer) {
    Proposer::Output output;
    node.proposer->OnLearned(node.acceptor->learned_upto(), VotersAt(at),
                             &output);
    Carry(at, std::move(output));
  }
  if (node.told < node.acceptor->learned_upto()) return Settle(at);
  node.acceptor->CheckInvariants();
  if (node.proposer) node.proposer->CheckInvariants();
  DurableWrite write = node.acceptor->TakeWrite();
  if (!write.empty()) node.writes.push_back(std::move(write));
  if (!node.waits) Sync(at);
}

void Transcript::Sync(const MemberId& at) {
  Node& node = nodes_.at(at);
  for (const DurableWrite& write : std::exchange(node.writes, {})) {
    if (write.promised) node.disk.promised = *write.promised;
    for (const auto& [position, slot] : write.accepted) {
      node.disk.slots[position] = slot;
    }
    node.durable = write.number;
  }
  // Stored without a sync of its own, some time after it was learned.
  for (const auto& [position, entry] : node.known) {
    Slot& slot = node.disk.slots[position];
    slot.state = Slot::State::kLearned;
    slot.entry = entry;
    slot.hash = EntryHash(*entry);
  }
  for (Outgoing& message : std::exchange(node.held, {})) {
    Send(at, std::move(message));
  }
}

// What it only learned since the last sync is gone; what it voted for is there,
// as accepted.
void Transcript::Restart(const MemberId& at) {
  Node& node = nodes_.at(at);
  node.proposer.reset();
  node.writes.clear();
  node.held.clear();
  node.waits = false;
  node.durable = 0;
  node.acceptor.emplace(at, node.disk);
  node.known.clear();
  for (const auto& [position, slot] : node.disk.slots) {
    if (slot.state == Slot::State::kLearned) node.known[position] = slot.entry;
  }
  node.told = std::min(node.told, node.acceptor->learned_upto());
}

// The record of that position is unreadable from now on, over a restart.
void Transcript::Damage(const MemberId& at, const std::string& position) {
  uint64_t damaged = 0;
  CHECK(absl::SimpleAtoi(position, &damaged));
  Node& node = nodes_.at(at);
  auto slot = node.disk.slots.find(damaged);
  CHECK(slot != node.disk.slots.end());
  if (slot->second.ballot.round > 0) {
    slot->second.state = Slot::State::kFaulty;
    slot->second.entry.reset();
  } else {
    node.disk.slots.erase(slot);
  }
  Restart(at);
}

void Transcript::ServeFetch(const MemberId& at, const MemberId& to,
                            uint64_t position) {
  Node& node = nodes_.at(at);
  Outgoing answer{to, {}, 0};
  FetchReply& reply = *answer.message.mutable_fetch_reply();
  reply.set_position(position);
  for (auto known = node.known.find(position);
       known != node.known.end() && known->first == position;
       ++known, ++position) {
    *reply.add_entries() = *known->second;
  }
  Send(at, std::move(answer));
}

}  // namespace quorate::log::testing
