#include "core/log/testing/explore.h"

#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/planted.h"
#include "core/log/testing/explore_replicas.h"

namespace quorate::log::testing {
namespace {

constexpr size_t kMaxReplicas = 5;
constexpr int kMaxPositions = 8;
constexpr uint32_t kNobody = ~uint32_t{0};

// Everything at one moment.
struct State {
  std::array<uint32_t, kMaxReplicas> replicas{};
  std::vector<uint16_t> messages;  // sorted
  std::vector<uint16_t> facts;     // sorted
  // What the bounds still allow.
  uint8_t rounds = 0;  // bits: those that are used
  uint8_t faces = 0;   // how many replicas have stood
  uint8_t appends = 0;
  uint8_t configurations = 0;
  uint8_t crashes = 0;
  uint8_t wipes = 0;
  uint8_t damages = 0;
  uint8_t truncations = 0;
};

std::string Key(const State& state) {
  std::string key;
  const auto add = [&key](const void* data, size_t bytes) {
    key.append(static_cast<const char*>(data), bytes);
  };
  add(state.replicas.data(), sizeof(state.replicas));
  const uint8_t left[] = {state.rounds,
                          state.faces,
                          state.appends,
                          state.configurations,
                          state.crashes,
                          state.wipes,
                          state.damages,
                          state.truncations,
                          static_cast<uint8_t>(state.messages.size())};
  add(left, sizeof(left));
  add(state.messages.data(), state.messages.size() * sizeof(uint16_t));
  add(state.facts.data(), state.facts.size() * sizeof(uint16_t));
  return key;
}

template <typename T>
bool Insert(T value, std::vector<T>* sorted) {
  auto place = std::lower_bound(sorted->begin(), sorted->end(), value);
  if (place != sorted->end() && *place == value) return false;
  sorted->insert(place, value);
  return true;
}

// What the votes at one position have led to, ballot by ballot.
struct Position {
  std::map<BallotNumber, uint8_t> proposed;
  std::map<std::pair<BallotNumber, uint8_t>, Replicas> votes;
  std::optional<uint8_t> learned;
};

class Judge {
 public:
  explicit Judge(const ReplicaTable& table) : table_(table) {}

  // What is wrong; empty when nothing is.
  std::string Check(const std::vector<uint16_t>& facts) {
    for (uint16_t number : facts) {
      const char* wrong = Add(table_.fact(number));
      if (wrong != nullptr) return wrong;
    }
    Replicas members = table_.genesis();
    for (int at = 1; at < kMaxPositions; ++at) {
      std::optional<uint8_t> chosen;
      if (std::string wrong = CheckChosen(positions_[at], members, &chosen);
          !wrong.empty()) {
        return wrong;
      }
      if (!chosen) return "";
      if (table_.MembersBy(*chosen) != 0) members = table_.MembersBy(*chosen);
    }
    return "";
  }

 private:
  const char* Add(const Fact& fact) {
    Position& at = positions_[fact.position];
    switch (fact.kind) {
      case Fact::Kind::kProposed:
        if (at.proposed.emplace(fact.ballot, fact.value).first->second !=
            fact.value) {
          return "one ballot proposes two values";
        }
        break;
      case Fact::Kind::kVoted:
        at.votes[{fact.ballot, fact.value}] |= 1 << fact.replica;
        break;
      case Fact::Kind::kLearned:
        if (at.learned.value_or(fact.value) != fact.value) {
          return "two values are learned";
        }
        at.learned = fact.value;
        break;
    }
    return nullptr;
  }

  static std::string CheckChosen(const Position& at, Replicas members,
                                 std::optional<uint8_t>* chosen) {
    const size_t quorum = WriteQuorum(__builtin_popcount(members));
    for (const auto& [vote, voters] : at.votes) {
      if (__builtin_popcount(voters & members) < static_cast<int>(quorum)) {
        continue;
      }
      if (chosen->value_or(vote.second) != vote.second) {
        return "two values are chosen";
      }
      *chosen = vote.second;
      for (const auto& [ballot, value] : at.proposed) {
        if (ballot > vote.first && value != vote.second) {
          return "a higher ballot proposes another value than the chosen one";
        }
      }
    }
    if (at.learned && *chosen != at.learned) {
      return "a value is learned that is not chosen";
    }
    return "";
  }

  const ReplicaTable& table_;
  std::array<Position, kMaxPositions> positions_;
};

class Search {
 public:
  explicit Search(const Bounds& bounds)
      : bounds_(bounds),
        table_(bounds),
        // A proposer, or a replica, may come back to where it was.
        keeps_all_(Planted(Bug::kBallotReused) || Planted(Bug::kWipedKeepsId) ||
                   Planted(Bug::kNotReadyCounts) ||
                   Planted(Bug::kDuplicateVotes)) {
    CHECK_LE(table_.replicas(), kMaxReplicas);
    CHECK_LT(bounds.last_position, static_cast<uint64_t>(kMaxPositions));
  }

  Exploration Run() {
    result_.complete = true;
    Enter(First(), kNobody, 0, {});
    for (std::vector<Reached> level = std::move(next_);
         !level.empty() && result_.violation.empty();
         level = std::exchange(next_, {})) {
      for (const Reached& reached : level) {
        at_ = reached.number;
        Expand(reached.state);
        if (!result_.violation.empty()) break;
        if (origins_.size() < bounds_.max_states) continue;
        result_.complete = false;
        return Finished();
      }
    }
    return Finished();
  }

 private:
  struct Reached {
    uint32_t number;
    State state;
  };
  struct Origin {
    uint32_t from;
    int replica;
    Input input;
  };

  Exploration Finished() {
    result_.states = origins_.size();
    result_.machine_steps = table_.machine_steps();
    return std::move(result_);
  }

  State First() {
    State state;
    for (size_t i = 0; i < table_.replicas(); ++i) {
      state.replicas[i] = table_.Initial(i);
    }
    state.appends = bounds_.appends;
    state.configurations = bounds_.configuration.empty() ? 0 : 1;
    state.crashes = bounds_.crashes;
    state.wipes = bounds_.wipes;
    state.damages = bounds_.damages;
    state.truncations = bounds_.truncations;
    if (bounds_.led_round != 0) Lead(&state);
    return state;
  }

  // The first member leads, elected with the last one's help.
  void Lead(State* state) {
    state->rounds |= 1 << bounds_.led_round;
    const int helper = bounds_.members.size() - 1;
    Do(state, 0,
       {Input::Kind::kElect, static_cast<uint16_t>(bounds_.led_round)});
    for (size_t i = 0; i < state->messages.size();) {
      const uint16_t message = state->messages[i];
      const int to = table_.parcel(message).to;
      const bool heard = to == 0 || to == helper;
      state->messages.erase(state->messages.begin() + i);
      if (!heard) continue;
      Do(state, to, {Input::Kind::kDeliver, message});
      i = 0;
    }
    for (size_t replica = 1; replica < table_.replicas(); ++replica) {
      for (uint16_t fact : std::vector<uint16_t>(state->facts)) {
        if (table_.fact(fact).kind == Fact::Kind::kLearned) {
          Do(state, replica, {Input::Kind::kLearn, fact});
        }
      }
    }
    CHECK(table_.summary(state->replicas[0]).can_append);
  }

  // False when it changes nothing.
  bool Do(State* state, int replica, Input input) {
    ++result_.steps;
    const ReplicaTable::Result& result =
        table_.Step(state->replicas[replica], input);
    bool changed = state->replicas[replica] != result.next;
    state->replicas[replica] = result.next;
    for (uint16_t message : result.messages) {
      changed |= Insert(message, &state->messages);
    }
    for (uint16_t fact : result.facts) changed |= Insert(fact, &state->facts);
    wrong_ = result.violation;
    return changed || !wrong_.empty();
  }

  void Try(const State& from, int replica, Input input,
           uint8_t State::* spends = nullptr) {
    if (!result_.violation.empty()) return;
    State state = from;
    if (!Do(&state, replica, input)) return;
    if (spends != nullptr) --(state.*spends);
    if (input.kind == Input::Kind::kElect) {
      state.rounds |= 1 << input.what;
      state.faces = std::max<uint8_t>(state.faces, replica + 1);
    }
    Enter(std::move(state), at_, replica, input);
  }

  void Enter(State state, uint32_t from, int replica, Input input) {
    std::string wrong = std::exchange(wrong_, "");
    if (wrong.empty()) wrong = Judge(table_).Check(state.facts);
    auto& messages = state.messages;
    messages.erase(
        std::remove_if(messages.begin(), messages.end(),
                       [&](uint16_t message) { return Dead(state, message); }),
        messages.end());
    auto [found, fresh] = numbers_.emplace(Key(state), origins_.size());
    if (!fresh && wrong.empty()) return;
    origins_.push_back({from, replica, input});
    if (!wrong.empty()) return Report(wrong);
    next_.push_back({found->second, std::move(state)});
  }

  void Report(const std::string& wrong) {
    result_.violation = wrong;
    result_.complete = false;
    for (uint32_t at = origins_.size() - 1; origins_[at].from != kNobody;
         at = origins_[at].from) {
      result_.trace.push_back(
          table_.Text(origins_[at].replica, origins_[at].input));
    }
    std::reverse(result_.trace.begin(), result_.trace.end());
  }

  // It has no effect in this state, nor in any that follows.
  bool Dead(const State& state, uint16_t number) const {
    const Parcel& it = table_.parcel(number);
    const auto& to = table_.summary(state.replicas[it.to]);
    if (to.gone) return true;
    if (keeps_all_) return false;
    const auto& from = table_.summary(state.replicas[it.from]);
    switch (it.kind) {
      case Parcel::Kind::kPromise:
        return from.ballot != it.ballot || to.promised > it.ballot ||
               (from.promises >> it.to & 1) != 0;
      case Parcel::Kind::kQuery:
        return from.ballot != it.ballot || from.position != it.position ||
               from.phase != Proposer::Phase::kRecover ||
               to.promised > it.ballot;
      case Parcel::Kind::kWrite:
        return to.promised > it.ballot;
      case Parcel::Kind::kPromiseReply:
        return to.ballot != it.ballot || (to.promises >> it.from & 1) != 0 ||
               NotReady(it);
      case Parcel::Kind::kQueryReply:
        return to.ballot != it.ballot || to.position != it.position ||
               to.phase != Proposer::Phase::kRecover;
      case Parcel::Kind::kWriteReply:
        return to.ballot != it.ballot || to.position != it.position ||
               (to.votes >> it.from & 1) != 0 || NotReady(it);
    }
    return false;
  }

  static bool NotReady(const Parcel& it) {
    return it.kind == Parcel::Kind::kWriteReply
               ? it.message.write_reply().result() == NOT_READY
               : it.message.promise_reply().result() == NOT_READY;
  }

  void Expand(const State& state) {
    for (uint16_t message : state.messages) {
      Try(state, table_.parcel(message).to, {Input::Kind::kDeliver, message});
    }
    for (size_t replica = 0; replica < table_.replicas(); ++replica) {
      if (table_.summary(state.replicas[replica]).gone) continue;
      Tell(state, replica);
      Stand(state, replica);
      Steer(state, replica);
      Break(state, replica);
    }
  }

  void Tell(const State& state, int replica) {
    const ReplicaTable::Summary it = table_.summary(state.replicas[replica]);
    for (uint16_t number : state.facts) {
      const Fact fact = table_.fact(number);
      if (fact.kind != Fact::Kind::kLearned) continue;
      if ((it.learned >> fact.position & 1) != 0) continue;
      Try(state, replica, {Input::Kind::kLearn, number});
    }
  }

  void Stand(const State& state, int replica) {
    const ReplicaTable::Summary it = table_.summary(state.replicas[replica]);
    if (!it.member || !it.voting || it.learned_upto > bounds_.last_position) {
      return;
    }
    const bool alike = bounds_.led_round == 0 && bounds_.configuration.empty();
    if (alike && replica > state.faces) return;
    const int promised = it.promised >> kReplicaBits;
    for (int round = 1; round <= static_cast<int>(bounds_.rounds); ++round) {
      const bool again = Planted(Bug::kBallotReused) && it.ballot == 0 &&
                         it.promised == (round << kReplicaBits | replica);
      const bool used = (state.rounds >> round & 1) != 0;
      if (!again && (used || round <= promised)) continue;
      Try(state, replica, {Input::Kind::kElect, static_cast<uint16_t>(round)});
    }
  }

  // A proposer, by who owns it.
  void Steer(const State& state, int replica) {
    const ReplicaTable::Summary it = table_.summary(state.replicas[replica]);
    if (it.ballot != 0) Try(state, replica, {Input::Kind::kRetry});
    if (!it.can_append || it.position > bounds_.last_position) return;
    if (state.appends > 0) {
      Try(state, replica, {Input::Kind::kAppend}, &State::appends);
    }
    if (state.configurations > 0) {
      Try(state, replica, {Input::Kind::kConfigure}, &State::configurations);
    }
  }

  void Break(const State& state, int replica) {
    const ReplicaTable::Summary it = table_.summary(state.replicas[replica]);
    if (!it.voting) Try(state, replica, {Input::Kind::kReady});
    if (state.crashes > 0) {
      Try(state, replica, {Input::Kind::kCrash}, &State::crashes);
    }
    if (state.wipes > 0) {
      Try(state, replica, {Input::Kind::kWipe}, &State::wipes);
    }
    if (state.truncations > 0 && it.learned_upto > 1) {
      Try(state, replica, {Input::Kind::kTruncate}, &State::truncations);
    }
    if (state.damages == 0) return;
    for (uint16_t at = 1; at <= bounds_.last_position; ++at) {
      if ((it.voted >> at & 1) == 0) continue;
      Try(state, replica, {Input::Kind::kDamage, at}, &State::damages);
      Try(state, replica, {Input::Kind::kLose, at}, &State::damages);
    }
  }

  const Bounds bounds_;
  ReplicaTable table_;
  const bool keeps_all_;
  std::unordered_map<std::string, uint32_t> numbers_;
  std::vector<Origin> origins_;
  std::vector<Reached> next_;
  uint32_t at_ = 0;  // the state that is expanded
  std::string wrong_;
  Exploration result_;
};

}  // namespace

Exploration Explore(const Bounds& bounds) { return Search(bounds).Run(); }

}  // namespace quorate::log::testing
