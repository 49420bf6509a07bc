#include "core/flags/values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace quorate::flags {
namespace {

struct Unit {
  absl::string_view name;
  int64_t size;
};

constexpr int64_t kSecond = 1000000000;  // In nanoseconds.
constexpr int64_t kDay = 24 * 60 * 60 * kSecond;

// Smallest first.
constexpr std::array<Unit, 8> kDurationUnits = {{
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000 * 1000},
    {"secs", kSecond},
    {"mins", 60 * kSecond},
    {"hrs", 60 * 60 * kSecond},
    {"days", kDay},
    {"weeks", 7 * kDay},
}};

// In bytes, smallest first.
constexpr std::array<Unit, 5> kByteUnits = {{
    {"B", 1},
    {"KB", 1LL << 10},
    {"MB", 1LL << 20},
    {"GB", 1LL << 30},
    {"TB", 1LL << 40},
}};

absl::Status Expected(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", what, ", not '", text, "'"));
}

// The unit that `text` ends with, after a number, which is left in `number`.
template <size_t N>
const Unit* SplitUnit(absl::string_view text, const std::array<Unit, N>& units,
                      absl::string_view* number) {
  const size_t end = text.find_first_not_of("0123456789.");
  if (end == 0 || end == text.npos) return nullptr;
  *number = text.substr(0, end);
  for (const Unit& unit : units) {
    if (unit.name == text.substr(end)) return &unit;
  }
  return nullptr;
}

// In the largest unit that needs no fraction.
template <size_t N>
std::string WithUnit(int64_t count, const std::array<Unit, N>& units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (count != 0 && count % unit.size == 0) best = &unit;
  }
  return absl::StrCat(count / best->size, best->name);
}

template <typename Integer>
absl::Status ParseInteger(absl::string_view text, Integer* value) {
  const char* end = text.data() + text.size();
  Integer parsed;
  const auto result = std::from_chars(text.data(), end, parsed);
  if (result.ec != std::errc() || result.ptr != end) {
    using Limits = std::numeric_limits<Integer>;
    return Expected(absl::StrCat("a whole number from ", Limits::min(), " to ",
                                 Limits::max()),
                    text);
  }
  *value = parsed;
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseValue(absl::string_view text, std::string* value) {
  *value = std::string(text);
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, bool* value) {
  if (text != "true" && text != "1" && text != "false" && text != "0") {
    return Expected("true or false", text);
  }
  *value = text == "true" || text == "1";
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, int32_t* value) {
  return ParseInteger(text, value);
}
absl::Status ParseValue(absl::string_view text, int64_t* value) {
  return ParseInteger(text, value);
}
absl::Status ParseValue(absl::string_view text, uint16_t* value) {
  return ParseInteger(text, value);
}
absl::Status ParseValue(absl::string_view text, uint32_t* value) {
  return ParseInteger(text, value);
}
absl::Status ParseValue(absl::string_view text, uint64_t* value) {
  return ParseInteger(text, value);
}

absl::Status ParseValue(absl::string_view text, double* value) {
  double parsed;
  if (!absl::SimpleAtod(text, &parsed) || !std::isfinite(parsed)) {
    return Expected("a number", text);
  }
  *value = parsed;
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, Duration* value) {
  absl::string_view number;
  const Unit* unit = SplitUnit(text, kDurationUnits, &number);
  int64_t count;
  int64_t nanos;
  double fraction;
  if (unit == nullptr) {
    // Falls through to the error.
  } else if (absl::SimpleAtoi(number, &count)) {
    if (!__builtin_mul_overflow(count, unit->size, &nanos)) {
      *value = Duration(nanos);
      return absl::OkStatus();
    }
  } else if (absl::SimpleAtod(number, &fraction) &&
             fraction * unit->size < std::ldexp(1, 62)) {
    *value = Duration(std::llround(fraction * unit->size));
    return absl::OkStatus();
  }
  return Expected(
      "a duration like 500ms, 15secs, 10mins, 2hrs, 1days or 2weeks", text);
}

absl::Status ParseValue(absl::string_view text, Bytes* value) {
  absl::string_view number;
  const Unit* unit = SplitUnit(text, kByteUnits, &number);
  int64_t count;
  int64_t bytes;
  if (unit == nullptr || !absl::SimpleAtoi(number, &count) ||
      __builtin_mul_overflow(count, unit->size, &bytes)) {
    return Expected("a size like 512B, 64KB, 16MB, 2GB or 1TB", text);
  }
  value->count = static_cast<uint64_t>(bytes);
  return absl::OkStatus();
}

std::string ValueToText(const std::string& value) { return value; }
std::string ValueToText(bool value) { return value ? "true" : "false"; }
std::string ValueToText(int32_t value) { return absl::StrCat(value); }
std::string ValueToText(int64_t value) { return absl::StrCat(value); }
std::string ValueToText(uint16_t value) { return absl::StrCat(value); }
std::string ValueToText(uint32_t value) { return absl::StrCat(value); }
std::string ValueToText(uint64_t value) { return absl::StrCat(value); }

std::string ValueToText(double value) {
  char buffer[512];  // More than the digits of any double.
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                    std::chars_format::fixed);
  return std::string(buffer, result.ptr);
}

std::string ValueToText(Duration value) {
  return WithUnit(value.count(), kDurationUnits);
}

std::string ValueToText(Bytes value) {
  return WithUnit(static_cast<int64_t>(value.count), kByteUnits);
}

}  // namespace quorate::flags
