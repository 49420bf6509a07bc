#include "core/json/writer.h"

#include <glog/logging.h>

#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace quorate::json {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The length of the UTF-8 sequence at the head of `text`, which is not empty;
// 0 if there is none. Table 3-7 of the Unicode standard.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  const auto in = [](uint8_t b, uint8_t low, uint8_t high) {
    return low <= b && b <= high;
  };
  const auto tail = [&](size_t i) { return in(byte(i), 0x80, 0xBF); };
  const uint8_t head = byte(0);
  if (head < 0x80) return 1;
  if (in(head, 0xC2, 0xDF)) return tail(1) ? 2 : 0;
  if (in(head, 0xE0, 0xEF)) {
    const bool second = head == 0xE0   ? in(byte(1), 0xA0, 0xBF)
                        : head == 0xED ? in(byte(1), 0x80, 0x9F)
                                       : tail(1);
    return second && tail(2) ? 3 : 0;
  }
  if (in(head, 0xF0, 0xF4)) {
    const bool second = head == 0xF0   ? in(byte(1), 0x90, 0xBF)
                        : head == 0xF4 ? in(byte(1), 0x80, 0x8F)
                                       : tail(1);
    return second && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool IsPlain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

void AppendControl(char c, std::string& out) {
  switch (c) {
    case '"':
    case '\\':
      out += '\\';
      out += c;
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      absl::StrAppend(&out, "\\u00", absl::Hex(c, absl::kZeroPad2));
  }
}

void AppendQuoted(absl::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && IsPlain(text[plain])) ++plain;
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;

    size_t used = 1;
    if (static_cast<uint8_t>(text[0]) < 0x80 && text[0] != 0x7F) {
      AppendControl(text[0], out);
    } else if (const size_t length = Utf8Length(text); length > 0) {
      out.append(text.data(), length);
      used = length;
    } else {
      out.append(kReplacement.data(), kReplacement.size());
    }
    text.remove_prefix(used);
  }
  out += '"';
}

}  // namespace

JsonWriter& JsonWriter::StartObject() {
  BeforeValue();
  out_ += '{';
  levels_.push_back({.is_object = true});
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  End(/*is_object=*/true);
  out_ += '}';
  return *this;
}

JsonWriter& JsonWriter::StartArray() {
  BeforeValue();
  out_ += '[';
  levels_.push_back({.is_object = false});
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  End(/*is_object=*/false);
  out_ += ']';
  return *this;
}

JsonWriter& JsonWriter::Key(absl::string_view key) {
  CHECK(!levels_.empty() && levels_.back().is_object);
  CHECK(!levels_.back().has_key) << "a key without a value";
  if (!levels_.back().is_empty) out_ += ',';
  levels_.back().is_empty = false;
  levels_.back().has_key = true;
  AppendQuoted(key, out_);
  out_ += ':';
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view value) {
  BeforeValue();
  AppendQuoted(value, out_);
  return *this;
}

JsonWriter& JsonWriter::Int(int64_t value) {
  BeforeValue();
  absl::StrAppend(&out_, value);
  return *this;
}

JsonWriter& JsonWriter::Uint(uint64_t value) {
  BeforeValue();
  absl::StrAppend(&out_, value);
  return *this;
}

JsonWriter& JsonWriter::Double(double value) {
  if (std::isnan(value)) return String("NaN");
  if (std::isinf(value)) return String(value > 0 ? "Infinity" : "-Infinity");
  BeforeValue();
  out_ += DoubleToText(value);
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) {
  BeforeValue();
  out_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::Null() {
  BeforeValue();
  out_ += "null";
  return *this;
}

JsonWriter& JsonWriter::Raw(absl::string_view json) {
  BeforeValue();
  out_.append(json.data(), json.size());
  return *this;
}

void JsonWriter::BeforeValue() {
  if (levels_.empty()) return;
  Level& level = levels_.back();
  if (level.is_object) {
    CHECK(level.has_key) << "a value without a key";
    level.has_key = false;
    return;
  }
  if (!level.is_empty) out_ += ',';
  level.is_empty = false;
}

void JsonWriter::End(bool is_object) {
  CHECK(!levels_.empty() && levels_.back().is_object == is_object);
  CHECK(!levels_.back().has_key) << "a key without a value";
  levels_.pop_back();
}

std::string DoubleToText(double value) {
  // Plain digits where they stay readable; 1e21 and beyond get an exponent.
  const double size = std::abs(value);
  const bool plain = value == 0 || (size >= 1e-6 && size < 1e21);
  char buffer[64];
  const auto result = std::to_chars(
      buffer, buffer + sizeof(buffer), value,
      plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer, result.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace quorate::json
