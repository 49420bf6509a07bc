#include "core/api/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/json/reader.h"
#include "core/json/writer.h"

namespace quorate::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMapValue = 2;  // The field's number in a map's entry.

// Whether `number` is exactly one of the values of T.
template <typename T, typename Number>
bool Fits(Number number) {
  if constexpr (std::is_same_v<Number, double>) {
    // The ends are powers of two, so doubles hold them exactly.
    const double end = std::ldexp(1, std::numeric_limits<T>::digits);
    const double begin = std::is_signed_v<T> ? -end : 0;
    return number >= begin && number < end && number == std::floor(number);
  } else {
    return std::in_range<T>(number);
  }
}

bool ParseDouble(absl::string_view text, double* value) {
  if (!absl::SimpleAtod(text, value)) return false;
  // An infinity must be spelt: 1e999 is a mistake.
  return !std::isinf(*value) || text.find_first_of("0123456789") == text.npos;
}

absl::string_view Expected(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return "a whole number that fits";
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a whole number, not negative, that fits";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "the name of a value";
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_BYTES ? "base64 text"
                                                         : "a string";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a JSON object";
  }
  return "";
}

// Fills a message from the events of one JSON value. The first mismatch is
// kept, and the rest of the text still read: a syntax error there counts more.
class Decoder : public json::Handler {
 public:
  explicit Decoder(Message* root) : root_(root) {}

  const absl::Status& status() const { return status_; }

  void OnNull() override {
    if (Ignoring()) return;
    if (frames_.empty()) Fail("Expecting a JSON object");
    // Otherwise what is not given.
  }

  void OnBool(bool value) override {
    Slot slot;
    if (!TakeSlot(&slot)) return;
    if (slot.field->cpp_type() != FieldDescriptor::CPPTYPE_BOOL) {
      return Mismatch(*slot.field);
    }
    Put(slot, &Reflection::SetBool, &Reflection::AddBool, value);
  }

  void OnInt(int64_t value) override { OnNumber(value); }
  void OnUint(uint64_t value) override { OnNumber(value); }
  void OnDouble(double value) override { OnNumber(value); }

  void OnString(absl::string_view text) override {
    Slot slot;
    if (!TakeSlot(&slot)) return;
    switch (slot.field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return PutText(slot, text);
      case FieldDescriptor::CPPTYPE_ENUM:
        return PutEnum(slot, text);
      case FieldDescriptor::CPPTYPE_BOOL:
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Mismatch(*slot.field);
      default:
        return PutNumberText(slot, text);
    }
  }

  void OnStartObject() override {
    if (frames_.empty() && status_.ok()) {
      return frames_.push_back({Frame::kMessage, root_});
    }
    if (Ignoring()) {
      ++ignored_levels_;
      return;
    }
    Frame& frame = frames_.back();
    if (frame.kind == Frame::kMessage && frame.field->is_map()) {
      Clear(frame);
      return frames_.push_back({Frame::kMap, frame.message, frame.field});
    }
    Slot slot;
    if (!TakeSlot(&slot)) return;
    if (slot.field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      return Mismatch(*slot.field);
    }
    const Reflection& reflection = *slot.message->GetReflection();
    Message* child = slot.field->is_repeated()
                         ? reflection.AddMessage(slot.message, slot.field)
                         : reflection.MutableMessage(slot.message, slot.field);
    child->Clear();  // The key may have occurred before.
    frames_.push_back({Frame::kMessage, child});
  }

  void OnKey(absl::string_view key) override {
    if (ignored_levels_ > 0 || !status_.ok()) return;
    Frame& frame = frames_.back();
    if (frame.kind == Frame::kMap) {
      frame.key = std::string(key);
    } else {
      frame.field =
          frame.message->GetDescriptor()->FindFieldByName(std::string(key));
    }
  }

  void OnEndObject() override { End(); }

  void OnStartArray() override {
    if (frames_.empty()) return Fail("Expecting a JSON object");
    if (Ignoring()) {
      ++ignored_levels_;
      return;
    }
    Frame& frame = frames_.back();
    if (frame.kind != Frame::kMessage || !frame.field->is_repeated() ||
        frame.field->is_map()) {
      return Mismatch(*frame.field);
    }
    Clear(frame);
    frames_.push_back({Frame::kArray, frame.message, frame.field});
  }

  void OnEndArray() override { End(); }

 private:
  // An object or array that is open.
  struct Frame {
    enum Kind { kMessage, kArray, kMap };
    Kind kind;
    // The message that is filled; it holds `field`.
    Message* message;
    // kMessage: that of the last key, null if it is unknown.
    const FieldDescriptor* field = nullptr;
    std::string key;  // kMap: the last key.
  };

  // Where a value goes. A repeated field is appended to.
  struct Slot {
    Message* message;
    const FieldDescriptor* field;
  };

  // Whether the next value is of no interest: inside an ignored one, of an
  // unknown field, or after an error.
  bool Ignoring() const {
    if (!status_.ok() || ignored_levels_ > 0) return true;
    return !frames_.empty() && frames_.back().kind == Frame::kMessage &&
           frames_.back().field == nullptr;
  }

  // For the next value, unless it is ignored or misplaced.
  bool TakeSlot(Slot* slot) {
    if (Ignoring()) return false;
    if (frames_.empty()) {
      Fail("Expecting a JSON object");
      return false;
    }
    const Frame& frame = frames_.back();
    if (frame.kind == Frame::kMap) {
      *slot = AddMapEntry(frame);
      return true;
    }
    if (frame.kind == Frame::kMessage && frame.field->is_repeated()) {
      Fail(absl::StrCat("Expecting a JSON ",
                        frame.field->is_map() ? "object" : "array", " for '",
                        Path(), "'"));
      return false;
    }
    *slot = {frame.message, frame.field};
    return true;
  }

  static Slot AddMapEntry(const Frame& frame) {
    Message* entry =
        frame.message->GetReflection()->AddMessage(frame.message, frame.field);
    const Descriptor& descriptor = *entry->GetDescriptor();
    entry->GetReflection()->SetString(entry, descriptor.map_key(), frame.key);
    return {entry, descriptor.FindFieldByNumber(kMapValue)};
  }

  template <typename T, typename V>
  static void Put(const Slot& slot,
                  void (Reflection::*set)(Message*, const FieldDescriptor*, T)
                      const,
                  void (Reflection::*add)(Message*, const FieldDescriptor*, T)
                      const,
                  V&& value) {
    const Reflection* reflection = slot.message->GetReflection();
    (reflection->*(slot.field->is_repeated() ? add : set))(
        slot.message, slot.field, std::forward<V>(value));
  }

  template <typename Number>
  void OnNumber(Number value) {
    Slot slot;
    if (TakeSlot(&slot)) PutNumber(slot, value);
  }

  template <typename Number>
  void PutNumber(const Slot& slot, Number value) {
    switch (slot.field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return Put(slot, &Reflection::SetDouble, &Reflection::AddDouble,
                   static_cast<double>(value));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return Put(slot, &Reflection::SetFloat, &Reflection::AddFloat,
                   static_cast<float>(value));
      case FieldDescriptor::CPPTYPE_INT32:
        if (!Fits<int32_t>(value)) break;
        return Put(slot, &Reflection::SetInt32, &Reflection::AddInt32,
                   static_cast<int32_t>(value));
      case FieldDescriptor::CPPTYPE_INT64:
        if (!Fits<int64_t>(value)) break;
        return Put(slot, &Reflection::SetInt64, &Reflection::AddInt64,
                   static_cast<int64_t>(value));
      case FieldDescriptor::CPPTYPE_UINT32:
        if (!Fits<uint32_t>(value)) break;
        return Put(slot, &Reflection::SetUInt32, &Reflection::AddUInt32,
                   static_cast<uint32_t>(value));
      case FieldDescriptor::CPPTYPE_UINT64:
        if (!Fits<uint64_t>(value)) break;
        return Put(slot, &Reflection::SetUInt64, &Reflection::AddUInt64,
                   static_cast<uint64_t>(value));
      default:
        break;
    }
    Mismatch(*slot.field);
  }

  void PutNumberText(const Slot& slot, absl::string_view text) {
    const bool is_fraction =
        slot.field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE ||
        slot.field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
    double fraction;
    int64_t whole;
    uint64_t large;
    if (is_fraction && ParseDouble(text, &fraction)) {
      PutNumber(slot, fraction);
    } else if (!is_fraction && absl::SimpleAtoi(text, &whole)) {
      PutNumber(slot, whole);
    } else if (!is_fraction && absl::SimpleAtoi(text, &large)) {
      PutNumber(slot, large);
    } else {
      Mismatch(*slot.field);
    }
  }

  void PutText(const Slot& slot, absl::string_view text) {
    std::string value;
    if (slot.field->type() != FieldDescriptor::TYPE_BYTES) {
      value = std::string(text);
    } else if (!absl::Base64Unescape(text, &value)) {
      return Mismatch(*slot.field);
    }
    Put(slot, &Reflection::SetString, &Reflection::AddString, std::move(value));
  }

  void PutEnum(const Slot& slot, absl::string_view name) {
    const EnumValueDescriptor* value =
        slot.field->enum_type()->FindValueByName(std::string(name));
    if (value != nullptr) {
      Put(slot, &Reflection::SetEnum, &Reflection::AddEnum, value);
    } else if (slot.field->is_required()) {
      Fail(absl::StrCat("Unknown value '", name, "' for '", Path(), "'"));
    }
  }

  static void Clear(const Frame& frame) {
    frame.message->GetReflection()->ClearField(frame.message, frame.field);
  }

  void End() {
    if (!status_.ok()) return;
    if (ignored_levels_ > 0) {
      --ignored_levels_;
    } else {
      frames_.pop_back();
    }
  }

  void Mismatch(const FieldDescriptor& field) {
    Fail(absl::StrCat("Expecting ", Expected(field), " for '", Path(), "'"));
  }

  void Fail(absl::string_view message) {
    if (status_.ok()) status_ = absl::FailedPreconditionError(message);
  }

  // Of the value being read: "accept.operations.launch.task_infos.name".
  std::string Path() const {
    std::vector<absl::string_view> names;
    for (const Frame& frame : frames_) {
      if (frame.kind == Frame::kMessage) names.push_back(frame.field->name());
      if (frame.kind == Frame::kMap) names.push_back(frame.key);
    }
    return absl::StrJoin(names, ".");
  }

  Message* root_;
  std::vector<Frame> frames_;
  int ignored_levels_ = 0;
  absl::Status status_;
};

// Writes one value of `field`: the one, or that at `index` if it is repeated.
// This and WriteMessage call each other once per level of the message.
void WriteValue(const Message& message, const FieldDescriptor* field, int index,
                json::JsonWriter& writer) {
  const Reflection& get = *message.GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      writer.Bool(repeated ? get.GetRepeatedBool(message, field, index)
                           : get.GetBool(message, field));
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      writer.Int(repeated ? get.GetRepeatedInt32(message, field, index)
                          : get.GetInt32(message, field));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      writer.Int(repeated ? get.GetRepeatedInt64(message, field, index)
                          : get.GetInt64(message, field));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      writer.Uint(repeated ? get.GetRepeatedUInt32(message, field, index)
                           : get.GetUInt32(message, field));
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      writer.Uint(repeated ? get.GetRepeatedUInt64(message, field, index)
                           : get.GetUInt64(message, field));
      return;
    case FieldDescriptor::CPPTYPE_FLOAT:
      writer.Double(repeated ? get.GetRepeatedFloat(message, field, index)
                             : get.GetFloat(message, field));
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      writer.Double(repeated ? get.GetRepeatedDouble(message, field, index)
                             : get.GetDouble(message, field));
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      writer.String((repeated ? get.GetRepeatedEnum(message, field, index)
                              : get.GetEnum(message, field))
                        ->name());
      return;
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& text =
          repeated
              ? get.GetRepeatedStringReference(message, field, index, &scratch)
              : get.GetStringReference(message, field, &scratch);
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        writer.String(absl::Base64Escape(text));
      } else {
        writer.String(text);
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      WriteMessage(repeated ? get.GetRepeatedMessage(message, field, index)
                            : get.GetMessage(message, field),
                   writer);
      return;
  }
}

// In the order of the keys: a map's own order differs between runs.
void WriteMap(const Message& message, const FieldDescriptor* field,
              json::JsonWriter& writer) {
  const Reflection& get = *message.GetReflection();
  const FieldDescriptor* key = field->message_type()->map_key();
  const FieldDescriptor* value = field->message_type()->map_value();
  std::vector<std::pair<std::string, const Message*>> entries;
  for (int i = 0; i < get.FieldSize(message, field); ++i) {
    const Message& entry = get.GetRepeatedMessage(message, field, i);
    entries.emplace_back(entry.GetReflection()->GetString(entry, key), &entry);
  }
  // Seen as a list, a map that was read may hold a key twice: the last counts.
  std::stable_sort(
      entries.begin(), entries.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  writer.StartObject();
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto& [name, entry] = entries[i];
    if (i + 1 < entries.size() && entries[i + 1].first == name) continue;
    writer.Key(name);
    WriteValue(*entry, value, 0, writer);
  }
  writer.EndObject();
}

void WriteArray(const Message& message, const FieldDescriptor* field, int size,
                json::JsonWriter& writer) {
  writer.StartArray();
  for (int i = 0; i < size; ++i) WriteValue(message, field, i, writer);
  writer.EndArray();
}

}  // namespace

absl::Status JsonToMessage(absl::string_view json, Message* message) {
  message->Clear();
  Decoder decoder(message);
  absl::Status status = json::Read(json, decoder);
  if (!status.ok()) return status;
  if (!decoder.status().ok()) return decoder.status();
  if (message->IsInitialized()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "Missing required fields: ", message->InitializationErrorString()));
}

void WriteMessage(const Message& message, json::JsonWriter& writer) {
  const Descriptor& descriptor = *message.GetDescriptor();
  const Reflection& get = *message.GetReflection();
  writer.StartObject();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* field = descriptor.field(i);
    if (field->is_repeated()) {
      const int size = get.FieldSize(message, field);
      if (size == 0) continue;
      writer.Key(field->name());
      if (field->is_map()) {
        WriteMap(message, field, writer);
      } else {
        WriteArray(message, field, size, writer);
      }
    } else if (get.HasField(message, field) ||
               (field->has_default_value() && !field->options().deprecated())) {
      writer.Key(field->name());
      WriteValue(message, field, 0, writer);
    }
  }
  writer.EndObject();
}

std::string MessageToJson(const Message& message) {
  std::string text;
  json::JsonWriter writer(&text);
  WriteMessage(message, writer);
  return text;
}

}  // namespace quorate::api
