#include "sim/checkers/durability.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::sim {

void Durability::Acknowledged(uint64_t position, const std::string& payload) {
  auto [before, is_new] = positions_.emplace(payload, position);
  if (!is_new) {
    return world_.Fail(absl::StrCat("one append was acknowledged at positions ",
                                    before->second, " and ", position));
  }
  payloads_.emplace(position, payload);
  if (!agreement_.Holds(position, payload)) {
    world_.Fail(absl::StrCat("position ", position,
                             " was acknowledged and holds something else"));
  }
}

void Durability::MayTruncate(uint64_t to) {
  may_be_truncated_ = std::max(may_be_truncated_, to);
}

void Durability::BeginsAt(const std::string& who, uint64_t base) {
  if (base <= may_be_truncated_) return;
  world_.Fail(absl::StrCat(who, " begins at position ", base,
                           ", and nothing above ", may_be_truncated_,
                           " was given up"));
}

void Durability::Read(const std::string& who, uint64_t from, uint64_t to,
                      const std::vector<log::LogNode::Committed>& entries) {
  std::set<std::pair<uint64_t, std::string>> found;
  for (const log::LogNode::Committed& entry : entries) {
    found.emplace(entry.position, entry.payload);
    if (agreement_.Holds(entry.position, entry.payload)) continue;
    world_.Fail(absl::StrCat(who, " reads at position ", entry.position,
                             " what nobody has learned there"));
  }
  const auto end = payloads_.lower_bound(to);
  for (auto at = payloads_.lower_bound(from); at != end; ++at) {
    if (found.count(*at) != 0) continue;
    world_.Fail(absl::StrCat(who, " reads at position ", at->first,
                             " something else than the append that was "
                             "acknowledged there"));
  }
}

void Durability::EndsAt(const std::string& who, uint64_t end) {
  if (payloads_.empty() || highest() < end) return;
  world_.Fail(absl::StrCat(who, " ends at position ", end, ", and position ",
                           highest(), " was acknowledged"));
}

}  // namespace quorate::sim
