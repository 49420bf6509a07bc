#include "core/log/reads.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace quorate::log {

ReadIndex::ReadIndex(MemberId me, std::vector<MemberId> members)
    : me_(std::move(me)), members_(std::move(members)) {}

void ReadIndex::OnConfig(std::vector<MemberId> members) {
  members_ = std::move(members);
}

void ReadIndex::Read(uint64_t id) { waiting_.push_back(id); }

void ReadIndex::OnRound(uint64_t sequence, Output* out) {
  if (waiting_.empty()) return;
  if (rounds_.size() >= kMaxRounds) {
    std::vector<uint64_t>& late = rounds_.begin()->second.reads;
    waiting_.insert(waiting_.end(), late.begin(), late.end());
    rounds_.erase(rounds_.begin());
  }
  Round& round = rounds_[sequence];
  round.confirmed.insert(me_);
  round.reads = std::exchange(waiting_, {});
  Answer(out);
}

void ReadIndex::OnReply(const MemberId& from, uint64_t sequence, Output* out) {
  // Who confirms a round also confirms those before it: it began later.
  for (auto& [number, round] : rounds_) {
    if (number <= sequence) round.confirmed.insert(from);
  }
  Answer(out);
}

void ReadIndex::Answer(Output* out) {
  for (auto round = rounds_.begin(); round != rounds_.end();) {
    const std::set<MemberId>& confirmed = round->second.confirmed;
    const auto votes = static_cast<size_t>(
        std::count_if(members_.begin(), members_.end(),
                      [&](const MemberId& id) { return confirmed.count(id); }));
    if (votes < WriteQuorum(members_.size())) {
      ++round;
      continue;
    }
    const std::vector<uint64_t>& reads = round->second.reads;
    out->answered.insert(out->answered.end(), reads.begin(), reads.end());
    round = rounds_.erase(round);
  }
}

}  // namespace quorate::log
