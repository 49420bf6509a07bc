// Amounts of resources: scalars, ranges and sets, and their text.

#ifndef QUORATE_CORE_RESOURCES_AMOUNT_H_
#define QUORATE_CORE_RESOURCES_AMOUNT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate {

using Range = std::pair<uint64_t, uint64_t>;  // Both ends inclusive.

// An amount is of one kind: the other two are empty.
struct Amount {
  // Scalars have three decimals, so that sums are exact.
  int64_t millis = 0;
  std::vector<Range> ranges;       // Sorted, with gaps between them.
  std::vector<std::string> items;  // Sorted, without duplicates.

  bool empty() const { return millis == 0 && ranges.empty() && items.empty(); }
  double scalar() const { return static_cast<double>(millis) / 1000; }

  bool Contains(const Amount& other) const;
  // Ranges and items that both hold are held once in the sum.
  void Add(const Amount& other);
  // Requires Contains(other).
  void Subtract(const Amount& other);

  // "0.5", "[31000-31999, 33000-33000]", "{a, b}".
  std::string ToText() const;

  friend bool operator==(const Amount&, const Amount&) = default;
};

// Rounds to three decimals. `value` is below 9e15.
int64_t ToMillis(double value);

// "8192", "0.5": a number without an exponent or needless decimals.
std::string ScalarToText(double value);

// "[1-5, 7-7]".
std::string RangesToText(const std::vector<Range>& ranges);

// As written, of "[1-5,7-7]". InvalidArgument for bad syntax.
absl::StatusOr<std::vector<Range>> ParseRanges(absl::string_view text);

// Sorts, and joins what overlaps or touches. InvalidArgument for a range that
// is backwards or overlaps another.
absl::StatusOr<std::vector<Range>> Coalesce(std::vector<Range> ranges);

}  // namespace quorate

#endif  // QUORATE_CORE_RESOURCES_AMOUNT_H_
