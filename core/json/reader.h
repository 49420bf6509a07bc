// Reads JSON text as a sequence of events, for callers that want no tree.

#ifndef QUORATE_CORE_JSON_READER_H_
#define QUORATE_CORE_JSON_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quorate::json {

inline constexpr int kMaxDepth = 64;
inline constexpr size_t kMaxNodes = 1000000;

// Texts are valid only during the call.
class Handler {
 public:
  virtual ~Handler() = default;

  virtual void OnNull() = 0;
  virtual void OnBool(bool value) = 0;
  // A number without fraction or exponent that fits.
  virtual void OnInt(int64_t value) = 0;
  // Such a number above the greatest int64_t.
  virtual void OnUint(uint64_t value) = 0;
  // Any other number; always finite.
  virtual void OnDouble(double value) = 0;
  virtual void OnString(absl::string_view value) = 0;
  virtual void OnStartObject() = 0;
  // Keys may repeat within an object.
  virtual void OnKey(absl::string_view key) = 0;
  virtual void OnEndObject() = 0;
  virtual void OnStartArray() = 0;
  virtual void OnEndArray() = 0;
};

// Reads one JSON value that fills `text`, apart from whitespace. On error the
// handler has seen a prefix of the value.
// InvalidArgument, with a message like "syntax error at line 1 near: bad": the
// text is not JSON, not UTF-8, holds a number that no double can hold, is
// nested deeper than kMaxDepth or has more than kMaxNodes values.
absl::Status Read(absl::string_view text, Handler& handler);

}  // namespace quorate::json

#endif  // QUORATE_CORE_JSON_READER_H_
