// JSON as a tree, for reading documents whose shape varies or is foreign:
// credentials, znodes, another process' /state.
//
//   absl::StatusOr<json::Value> state = json::Parse(body);
//   if (!state.ok()) return state.status();
//   absl::string_view leader = (*state)["leader_info"]["hostname"].AsString();
//
// Looking up what is not there yields null, so that a path needs one check at
// its end.

#ifndef QUORATE_CORE_JSON_VALUE_H_
#define QUORATE_CORE_JSON_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::json {

class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::map<std::string, Value, std::less<>>;

  // uint64_t only above the greatest int64_t.
  using Data = std::variant<std::monostate, bool, int64_t, uint64_t, double,
                            std::string, Array, Object>;

  Value() = default;  // null
  explicit Value(Data data) : data_(std::move(data)) {}

  bool is_null() const { return Is<std::monostate>(); }
  bool is_bool() const { return Is<bool>(); }
  bool is_number() const {
    return Is<int64_t>() || Is<uint64_t>() || Is<double>();
  }
  bool is_string() const { return Is<std::string>(); }
  bool is_array() const { return Is<Array>(); }
  bool is_object() const { return Is<Object>(); }

  // The fallback stands for a value of another type, or for a number that does
  // not fit or has a fraction.
  bool AsBool(bool fallback = false) const;
  int64_t AsInt(int64_t fallback = 0) const;
  uint64_t AsUint(uint64_t fallback = 0) const;
  double AsDouble(double fallback = 0) const;
  // Valid as long as this value.
  absl::string_view AsString(absl::string_view fallback = {}) const;

  // Empty for a value of another type.
  const Array& items() const;
  const Object& members() const;

  // Null when there is no such member or item.
  const Value& operator[](absl::string_view key) const;
  const Value& operator[](size_t index) const;

 private:
  template <typename T>
  bool Is() const {
    return std::holds_alternative<T>(data_);
  }

  Data data_;
};

// Errors as json::Read. Of repeated keys the last counts.
absl::StatusOr<Value> Parse(absl::string_view text);

}  // namespace quorate::json

#endif  // QUORATE_CORE_JSON_VALUE_H_
