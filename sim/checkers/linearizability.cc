#include "sim/checkers/linearizability.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

using Kind = LinearizabilityVerdict::Kind;

// Between two questions whether to give up.
constexpr uint64_t kStepsAtOnce = 4096;

// A set of calls, by number.
class Bits {
 public:
  explicit Bits(size_t size) : words_((size + 63) / 64) {}

  void Set(size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  void Clear(size_t i) { words_[i / 64] &= ~(uint64_t{1} << (i % 64)); }
  uint64_t Hash() const {
    uint64_t hash = 0xcbf29ce484222325;
    for (const uint64_t word : words_) {
      hash = (hash ^ word) * 0x9e3779b97f4a7c15;
      hash ^= hash >> 29;
    }
    return hash;
  }
  friend bool operator==(const Bits& a, const Bits& b) {
    return a.words_ == b.words_;
  }

 private:
  std::vector<uint64_t> words_;
};

// Pairs of calls taken and state reached.
class Tried {
 public:
  // False if it was there.
  bool Insert(const Bits& taken, const std::string& state) {
    const uint64_t hash =
        taken.Hash() * 31 + std::hash<std::string_view>()(state);
    auto [at, end] = known_.equal_range(hash);
    for (; at != end; ++at) {
      if (at->second.first == taken && at->second.second == state) return false;
    }
    known_.emplace(hash, std::make_pair(taken, state));
    return true;
  }

 private:
  std::unordered_multimap<uint64_t, std::pair<Bits, std::string>> known_;
};

// The search in the calls of one key. Their begins and ends form a list in
// order of time, from which a call that is taken is lifted.
class Search {
 public:
  Search(const SequentialModel& model, std::vector<const Call*> calls,
         const LinearizabilityOptions& options);

  Kind Run();
  // Of a violation: the call whose end could not be passed when most calls had
  // been taken.
  const Call& stuck_at() const { return *calls_[stuck_at_]; }
  size_t most_taken() const { return most_taken_; }

 private:
  static constexpr size_t kNone = SIZE_MAX;

  // The list's entries: 2i is the begin of call i, 2i + 1 its end; the head is
  // last.
  struct Entry {
    size_t previous = kNone;
    size_t next = kNone;
  };
  struct Taken {
    size_t call;
    std::string state_before;
  };

  size_t head() const { return entries_.size() - 1; }
  bool HasEnd(size_t call) const {
    return calls_[call]->end && calls_[call]->result;
  }
  void Link(const std::vector<size_t>& order);
  void Lift(size_t call);
  void Unlift(size_t call);
  void Remove(size_t entry);
  void Insert(size_t entry);
  bool Take(size_t call);
  // The entry to go on with; kNone: there is none.
  size_t Untake();

  const SequentialModel& model_;
  const std::vector<const Call*> calls_;
  const LinearizabilityOptions& options_;
  std::vector<Entry> entries_;
  std::vector<Taken> taken_;
  Bits set_;
  Tried tried_;
  std::string state_;
  size_t missing_ = 0;  // answered calls that are not taken
  size_t most_taken_ = 0;
  size_t stuck_at_ = 0;
};

Search::Search(const SequentialModel& model, std::vector<const Call*> calls,
               const LinearizabilityOptions& options)
    : model_(model),
      calls_(std::move(calls)),
      options_(options),
      entries_(2 * calls_.size() + 1),
      set_(calls_.size()),
      state_(model.initial) {
  std::vector<size_t> order;
  for (size_t i = 0; i < calls_.size(); ++i) {
    order.push_back(2 * i);
    if (!HasEnd(i)) continue;
    order.push_back(2 * i + 1);
    ++missing_;
  }
  // At the same time begins come first: the calls overlap.
  const auto key = [this](size_t entry) {
    const Call& call = *calls_[entry / 2];
    return std::make_tuple(entry % 2 == 0 ? call.begin : *call.end, entry % 2,
                           entry);
  };
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return key(a) < key(b); });
  Link(order);
}

void Search::Link(const std::vector<size_t>& order) {
  size_t last = head();
  for (const size_t entry : order) {
    entries_[last].next = entry;
    entries_[entry].previous = last;
    last = entry;
  }
}

void Search::Remove(size_t entry) {
  const Entry& gone = entries_[entry];
  entries_[gone.previous].next = gone.next;
  if (gone.next != kNone) entries_[gone.next].previous = gone.previous;
}

void Search::Insert(size_t entry) {
  const Entry& back = entries_[entry];
  entries_[back.previous].next = entry;
  if (back.next != kNone) entries_[back.next].previous = entry;
}

void Search::Lift(size_t call) {
  Remove(2 * call);
  if (HasEnd(call)) Remove(2 * call + 1);
}

void Search::Unlift(size_t call) {
  if (HasEnd(call)) Insert(2 * call + 1);
  Insert(2 * call);
}

bool Search::Take(size_t call) {
  std::string next;
  if (!model_.step(state_, *calls_[call], &next)) return false;
  set_.Set(call);
  if (!tried_.Insert(set_, next)) {
    set_.Clear(call);
    return false;
  }
  taken_.push_back({call, std::exchange(state_, std::move(next))});
  Lift(call);
  if (HasEnd(call)) --missing_;
  return true;
}

size_t Search::Untake() {
  if (taken_.empty()) return kNone;
  Taken last = std::move(taken_.back());
  taken_.pop_back();
  set_.Clear(last.call);
  state_ = std::move(last.state_before);
  Unlift(last.call);
  if (HasEnd(last.call)) ++missing_;
  return entries_[2 * last.call].next;
}

Kind Search::Run() {
  size_t at = entries_[head()].next;
  for (uint64_t steps = 1; missing_ > 0; ++steps) {
    if (steps % kStepsAtOnce == 0 && options_.give_up && options_.give_up()) {
      return Kind::kUnknown;
    }
    // An answered call is missing, so its end lies ahead.
    if (at % 2 == 0) {
      at = Take(at / 2) ? entries_[head()].next : entries_[at].next;
      continue;
    }
    if (taken_.size() >= most_taken_) {
      most_taken_ = taken_.size();
      stuck_at_ = at / 2;
    }
    at = Untake();
    if (at == kNone) return Kind::kViolation;
  }
  return Kind::kLinearizable;
}

}  // namespace

LinearizabilityVerdict CheckLinearizable(
    const SequentialModel& model, const std::vector<Call>& calls,
    const LinearizabilityOptions& options) {
  std::map<std::string, std::vector<const Call*>> by_key;
  for (const Call& call : calls) by_key[call.key].push_back(&call);
  LinearizabilityVerdict verdict;
  for (auto& [key, of_key] : by_key) {
    const size_t count = of_key.size();
    Search search(model, std::move(of_key), options);
    switch (search.Run()) {
      case Kind::kLinearizable:
        break;
      case Kind::kViolation:
        return {Kind::kViolation,
                absl::StrCat("key ", key, ": of ", count, " calls at most ",
                             search.most_taken(),
                             " have an order; then this one has no place: ",
                             ToString(search.stuck_at()))};
      case Kind::kUnknown:
        verdict = {Kind::kUnknown,
                   absl::StrCat("key ", key, ": no answer in time for ", count,
                                " calls")};
        break;
    }
  }
  return verdict;
}

}  // namespace quorate::sim
