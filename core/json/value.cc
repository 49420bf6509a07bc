#include "core/json/value.h"

#include <cmath>
#include <limits>

#include "core/json/reader.h"

namespace quorate::json {
namespace {

const Value& Null() {
  static const Value null;
  return null;
}

// Builds the tree. Values under construction are kept aside, and moved into
// their parent when they are complete.
class Builder : public Handler {
 public:
  void OnNull() override { Done(Value()); }
  void OnBool(bool value) override { Done(Value(value)); }
  void OnInt(int64_t value) override { Done(Value(value)); }
  void OnUint(uint64_t value) override { Done(Value(value)); }
  void OnDouble(double value) override { Done(Value(value)); }
  void OnString(absl::string_view value) override {
    Done(Value(std::string(value)));
  }
  void OnStartObject() override { open_.emplace_back(); }
  void OnKey(absl::string_view key) override {
    open_.back().key = std::string(key);
  }
  void OnEndObject() override {
    Value::Object members = std::move(open_.back().members);
    open_.pop_back();
    Done(Value(std::move(members)));
  }
  void OnStartArray() override {
    open_.emplace_back();
    open_.back().is_array = true;
  }
  void OnEndArray() override {
    Value::Array items = std::move(open_.back().items);
    open_.pop_back();
    Done(Value(std::move(items)));
  }

  Value Take() { return std::move(root_); }

 private:
  struct Open {
    bool is_array = false;
    Value::Array items;
    Value::Object members;
    std::string key;
  };

  void Done(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& open = open_.back(); open.is_array) {
      open.items.push_back(std::move(value));
    } else {
      open.members[std::move(open.key)] = std::move(value);
    }
  }

  std::vector<Open> open_;
  Value root_;
};

// Whether `value` is a whole number in [low, 2^bits).
bool IsWhole(double value, double low, int bits) {
  return value >= low && value < std::ldexp(1, bits) &&
         value == std::floor(value);
}

}  // namespace

bool Value::AsBool(bool fallback) const {
  const bool* value = std::get_if<bool>(&data_);
  return value != nullptr ? *value : fallback;
}

int64_t Value::AsInt(int64_t fallback) const {
  if (const int64_t* value = std::get_if<int64_t>(&data_)) return *value;
  const double* value = std::get_if<double>(&data_);
  if (value == nullptr || !IsWhole(*value, -std::ldexp(1, 63), 63)) {
    return fallback;
  }
  return static_cast<int64_t>(*value);
}

uint64_t Value::AsUint(uint64_t fallback) const {
  if (const uint64_t* value = std::get_if<uint64_t>(&data_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&data_)) {
    return *value >= 0 ? static_cast<uint64_t>(*value) : fallback;
  }
  const double* value = std::get_if<double>(&data_);
  if (value == nullptr || !IsWhole(*value, 0, 64)) return fallback;
  return static_cast<uint64_t>(*value);
}

double Value::AsDouble(double fallback) const {
  if (const double* value = std::get_if<double>(&data_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&data_)) {
    return static_cast<double>(*value);
  }
  const uint64_t* value = std::get_if<uint64_t>(&data_);
  return value != nullptr ? static_cast<double>(*value) : fallback;
}

absl::string_view Value::AsString(absl::string_view fallback) const {
  const std::string* value = std::get_if<std::string>(&data_);
  return value != nullptr ? *value : fallback;
}

const Value::Array& Value::items() const {
  static const Array none;
  const Array* items = std::get_if<Array>(&data_);
  return items != nullptr ? *items : none;
}

const Value::Object& Value::members() const {
  static const Object none;
  const Object* members = std::get_if<Object>(&data_);
  return members != nullptr ? *members : none;
}

const Value& Value::operator[](absl::string_view key) const {
  const auto found = members().find(key);
  return found != members().end() ? found->second : Null();
}

const Value& Value::operator[](size_t index) const {
  return index < items().size() ? items()[index] : Null();
}

absl::StatusOr<Value> Parse(absl::string_view text) {
  Builder builder;
  absl::Status status = Read(text, builder);
  if (!status.ok()) return status;
  return builder.Take();
}

}  // namespace quorate::json
