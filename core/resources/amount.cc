#include "core/resources/amount.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace quorate {
namespace {

// Whether `b`, which does not begin before `a`, continues it without a gap.
bool Continues(const Range& a, const Range& b) {
  return b.first <= a.second || b.first - a.second == 1;
}

// Joins sorted ranges that overlap or touch.
std::vector<Range> Joined(const std::vector<Range>& sorted) {
  std::vector<Range> joined;
  for (const Range& range : sorted) {
    if (!joined.empty() && Continues(joined.back(), range)) {
      joined.back().second = std::max(joined.back().second, range.second);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

std::vector<Range> Union(const std::vector<Range>& a,
                         const std::vector<Range>& b) {
  std::vector<Range> all;
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return Joined(all);
}

// Requires that `a` contains `b`; both are sorted, with gaps.
std::vector<Range> Difference(const std::vector<Range>& a,
                              const std::vector<Range>& b) {
  std::vector<Range> left;
  auto cut = b.begin();
  for (Range range : a) {
    bool used_up = false;
    for (; cut != b.end() && cut->first <= range.second; ++cut) {
      if (range.first < cut->first) {
        left.emplace_back(range.first, cut->first - 1);
      }
      used_up = cut->second == range.second;
      range.first = used_up ? range.first : cut->second + 1;
    }
    if (!used_up) left.push_back(range);
  }
  return left;
}

bool ContainsRange(const std::vector<Range>& ranges, const Range& wanted) {
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), wanted.first,
      [](uint64_t begin, const Range& range) { return begin < range.first; });
  return after != ranges.begin() && wanted.second <= std::prev(after)->second;
}

}  // namespace

bool Amount::Contains(const Amount& other) const {
  return other.millis <= millis &&
         std::all_of(
             other.ranges.begin(), other.ranges.end(),
             [this](const Range& r) { return ContainsRange(ranges, r); }) &&
         std::includes(items.begin(), items.end(), other.items.begin(),
                       other.items.end());
}

void Amount::Add(const Amount& other) {
  millis += other.millis;
  if (!other.ranges.empty()) ranges = Union(ranges, other.ranges);
  if (!other.items.empty()) {
    std::vector<std::string> all;
    std::set_union(items.begin(), items.end(), other.items.begin(),
                   other.items.end(), std::back_inserter(all));
    items = std::move(all);
  }
}

void Amount::Subtract(const Amount& other) {
  millis -= other.millis;
  if (!other.ranges.empty()) ranges = Difference(ranges, other.ranges);
  if (!other.items.empty()) {
    std::vector<std::string> left;
    std::set_difference(items.begin(), items.end(), other.items.begin(),
                        other.items.end(), std::back_inserter(left));
    items = std::move(left);
  }
}

std::string Amount::ToText() const {
  if (!ranges.empty()) return RangesToText(ranges);
  if (!items.empty()) return absl::StrCat("{", absl::StrJoin(items, ", "), "}");
  return ScalarToText(scalar());
}

int64_t ToMillis(double value) { return std::llround(value * 1000); }

std::string ScalarToText(double value) {
  char buffer[512];  // More than the digits of any double.
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                    std::chars_format::fixed);
  return std::string(buffer, result.ptr);
}

std::string RangesToText(const std::vector<Range>& ranges) {
  return absl::StrCat(
      "[", absl::StrJoin(ranges, ", ", absl::PairFormatter("-")), "]");
}

absl::StatusOr<std::vector<Range>> ParseRanges(absl::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("expected ranges like [1-5,7-7], not '", text, "'"));
  absl::string_view inner = text;
  if (!absl::ConsumePrefix(&inner, "[") || !absl::ConsumeSuffix(&inner, "]")) {
    return bad;
  }
  std::vector<Range> ranges;
  for (absl::string_view item :
       absl::StrSplit(inner, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(item, absl::MaxSplits('-', 1));
    Range range;
    if (!absl::SimpleAtoi(ends.first, &range.first) ||
        !absl::SimpleAtoi(ends.second, &range.second)) {
      return bad;
    }
    ranges.push_back(range);
  }
  return ranges;
}

absl::StatusOr<std::vector<Range>> Coalesce(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].first > ranges[i].second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "range ", ranges[i].first, "-", ranges[i].second, " is backwards"));
    }
    if (i > 0 && ranges[i].first <= ranges[i - 1].second) {
      return absl::InvalidArgumentError(absl::StrCat("range ", ranges[i].first,
                                                     "-", ranges[i].second,
                                                     " overlaps another"));
    }
  }
  return Joined(ranges);
}

}  // namespace quorate
