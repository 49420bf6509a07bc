#include "sim/checkers/linearizability.h"

#include <algorithm>
#include <map>
#include <tuple>
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
  bool Has(size_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  bool IsPartOf(const Bits& other) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      if ((words_[i] & ~other.words_[i]) != 0) return false;
    }
    return true;
  }
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

// What the search has come to: the calls taken, those with an answer apart from
// those without, and the state.
struct Reached {
  Bits answered;
  Bits open;
  std::string state;
};

// What was come to before.
class Tried {
 public:
  // False if it was there, or the same with less of the open calls used: those
  // can be taken later, or never, so that leads to whatever this does.
  bool Insert(const Reached& reached) {
    const uint64_t hash = reached.answered.Hash() * 31 +
                          std::hash<std::string_view>()(reached.state);
    auto [at, end] = known_.equal_range(hash);
    for (; at != end; ++at) {
      if (at->second.answered == reached.answered &&
          at->second.state == reached.state &&
          at->second.open.IsPartOf(reached.open)) {
        return false;
      }
    }
    known_.emplace(hash, reached);
    return true;
  }

 private:
  std::unordered_multimap<uint64_t, Reached> known_;
};

// The search in the calls of one key. The begins and ends of answered calls
// form a list in order of time, from which a call that is taken is lifted. Open
// calls are taken only when no answered one can be, which is soonest right.
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
  // What to try next: the entry; when that is an end, the open call.
  struct Cursor {
    size_t entry = kNone;
    size_t open = 0;
  };
  struct Taken {
    size_t call;
    std::string state_before;
    Cursor next;  // after it was taken back
  };

  size_t head() const { return entries_.size() - 1; }
  bool IsOpen(size_t call) const {
    return !calls_[call]->end || !calls_[call]->result;
  }
  void Link(const std::vector<size_t>& order);
  void Remove(size_t entry);
  void Insert(size_t entry);
  bool TakeAnswered(size_t call);
  bool TakeOpen(size_t call);
  // False when nothing is left to take back.
  bool TakeBack();

  const SequentialModel& model_;
  const std::vector<const Call*> calls_;
  const LinearizabilityOptions& options_;
  std::vector<Entry> entries_;
  std::vector<size_t> open_;  // calls, by their begin
  std::vector<Taken> taken_;
  Reached reached_;
  Tried tried_;
  Cursor at_;
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
      reached_{Bits(calls_.size()), Bits(calls_.size()), model.initial} {
  std::vector<size_t> order;
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (IsOpen(i)) {
      open_.push_back(i);
      continue;
    }
    order.push_back(2 * i);
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
  std::stable_sort(open_.begin(), open_.end(), [this](size_t a, size_t b) {
    return calls_[a]->begin < calls_[b]->begin;
  });
  Link(order);
  at_.entry = entries_[head()].next;
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

bool Search::TakeAnswered(size_t call) {
  std::string next;
  if (!model_.step(reached_.state, *calls_[call], &next)) return false;
  std::swap(reached_.state, next);
  reached_.answered.Set(call);
  if (!tried_.Insert(reached_)) {
    reached_.answered.Clear(call);
    std::swap(reached_.state, next);
    return false;
  }
  taken_.push_back({call, std::move(next), {}});
  Remove(2 * call);
  Remove(2 * call + 1);
  --missing_;
  at_ = {entries_[head()].next, 0};
  return true;
}

bool Search::TakeOpen(size_t call) {
  if (reached_.open.Has(call)) return false;
  std::string next;
  // One that changes nothing leads nowhere.
  if (!model_.step(reached_.state, *calls_[call], &next) ||
      next == reached_.state) {
    return false;
  }
  std::swap(reached_.state, next);
  reached_.open.Set(call);
  if (!tried_.Insert(reached_)) {
    reached_.open.Clear(call);
    std::swap(reached_.state, next);
    return false;
  }
  taken_.push_back({call, std::move(next), {at_.entry, at_.open + 1}});
  at_ = {entries_[head()].next, 0};
  return true;
}

bool Search::TakeBack() {
  if (taken_.empty()) return false;
  Taken last = std::move(taken_.back());
  taken_.pop_back();
  reached_.state = std::move(last.state_before);
  at_ = last.next;
  if (IsOpen(last.call)) {
    reached_.open.Clear(last.call);
    return true;
  }
  reached_.answered.Clear(last.call);
  Insert(2 * last.call + 1);
  Insert(2 * last.call);
  at_.entry = entries_[2 * last.call].next;
  ++missing_;
  return true;
}

Kind Search::Run() {
  for (uint64_t steps = 1; missing_ > 0; ++steps) {
    if (steps % kStepsAtOnce == 0 && options_.give_up && options_.give_up()) {
      return Kind::kUnknown;
    }
    // An answered call is missing, so its end lies ahead.
    const size_t call = at_.entry / 2;
    if (at_.entry % 2 == 0) {
      if (!TakeAnswered(call)) at_ = {entries_[at_.entry].next, 0};
      continue;
    }
    if (taken_.size() >= most_taken_) {
      most_taken_ = taken_.size();
      stuck_at_ = call;
    }
    if (at_.open < open_.size() &&
        calls_[open_[at_.open]]->begin <= *calls_[call]->end) {
      if (!TakeOpen(open_[at_.open])) ++at_.open;
    } else if (!TakeBack()) {
      return Kind::kViolation;
    }
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
