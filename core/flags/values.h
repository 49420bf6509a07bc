// The text forms of flag values.

#ifndef QUORATE_CORE_FLAGS_VALUES_H_
#define QUORATE_CORE_FLAGS_VALUES_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quorate::flags {

using Duration = std::chrono::nanoseconds;

// A size in bytes, "2GB" as text.
struct Bytes {
  uint64_t count = 0;

  friend bool operator==(Bytes, Bytes) = default;
};

// Each parses the whole text and leaves `value` alone on error. The error is
// InvalidArgument and says what was expected.
absl::Status ParseValue(absl::string_view text, std::string* value);
absl::Status ParseValue(absl::string_view text, bool* value);  // true, false
absl::Status ParseValue(absl::string_view text, int32_t* value);
absl::Status ParseValue(absl::string_view text, int64_t* value);
absl::Status ParseValue(absl::string_view text, uint16_t* value);
absl::Status ParseValue(absl::string_view text, uint32_t* value);
absl::Status ParseValue(absl::string_view text, uint64_t* value);
absl::Status ParseValue(absl::string_view text, double* value);
// A number, perhaps with a fraction, and one of ns, us, ms, secs, mins, hrs,
// days, weeks: "10ms", "1.5hrs".
absl::Status ParseValue(absl::string_view text, Duration* value);
// A whole number and one of B, KB, MB, GB, TB, which are powers of 1024.
absl::Status ParseValue(absl::string_view text, Bytes* value);

// As ParseValue reads it, in the largest unit that needs no fraction: "15secs",
// "1weeks", "90secs", "0ns", "2GB".
std::string ValueToText(const std::string& value);
std::string ValueToText(bool value);
std::string ValueToText(int32_t value);
std::string ValueToText(int64_t value);
std::string ValueToText(uint16_t value);
std::string ValueToText(uint32_t value);
std::string ValueToText(uint64_t value);
std::string ValueToText(double value);
std::string ValueToText(Duration value);
std::string ValueToText(Bytes value);

}  // namespace quorate::flags

#endif  // QUORATE_CORE_FLAGS_VALUES_H_
