#include "core/json/reader.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rapidjson/memorystream.h"
#include "rapidjson/reader.h"

namespace quorate::json {
namespace {

constexpr size_t kMaxNearBytes = 80;

// Hands RapidJSON's events on, within the limits.
class Events {
 public:
  explicit Events(Handler& handler) : handler_(handler) {}

  const char* limit_exceeded() const { return limit_exceeded_; }

  bool Null() {
    if (!Count()) return false;
    handler_.OnNull();
    return true;
  }
  bool Bool(bool value) {
    if (!Count()) return false;
    handler_.OnBool(value);
    return true;
  }
  // A number of JSON's grammar. RapidJSON's own conversion reads 0e-40 as
  // something else than zero.
  bool RawNumber(const char* data, rapidjson::SizeType size, bool) {
    if (!Count()) return false;
    const absl::string_view text(data, size);
    int64_t integer = 0;
    uint64_t large = 0;
    double real = 0;
    const bool is_whole = text.find_first_of(".eE") == text.npos;
    if (is_whole && absl::SimpleAtoi(text, &integer)) {
      handler_.OnInt(integer);
    } else if (is_whole && absl::SimpleAtoi(text, &large)) {
      handler_.OnUint(large);
    } else if (absl::SimpleAtod(text, &real) && std::isfinite(real)) {
      handler_.OnDouble(real);
    } else {
      return false;
    }
    return true;
  }
  // Numbers come as text, whatever they are.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }
  bool String(const char* data, rapidjson::SizeType size, bool) {
    if (!Count()) return false;
    handler_.OnString({data, size});
    return true;
  }
  bool StartObject() {
    if (!Enter()) return false;
    handler_.OnStartObject();
    return true;
  }
  bool Key(const char* data, rapidjson::SizeType size, bool) {
    handler_.OnKey({data, size});
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    --depth_;
    handler_.OnEndObject();
    return true;
  }
  bool StartArray() {
    if (!Enter()) return false;
    handler_.OnStartArray();
    return true;
  }
  bool EndArray(rapidjson::SizeType) {
    --depth_;
    handler_.OnEndArray();
    return true;
  }

 private:
  bool Count() {
    if (++nodes_ <= kMaxNodes) return true;
    limit_exceeded_ = "too many values";
    return false;
  }
  // RapidJSON recurses: this bounds its stack.
  bool Enter() {
    if (!Count()) return false;
    if (++depth_ <= kMaxDepth) return true;
    limit_exceeded_ = "nested too deeply";
    return false;
  }

  Handler& handler_;
  int depth_ = 0;
  size_t nodes_ = 0;
  const char* limit_exceeded_ = nullptr;
};

absl::Status ErrorAt(absl::string_view problem, absl::string_view text,
                     size_t offset) {
  offset = std::min(offset, text.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + offset, '\n');
  std::string near;
  for (char c : text.substr(offset, kMaxNearBytes)) {
    if (c == '\n') break;
    if (c >= ' ' && c <= '~') near += c;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(problem, " at line ", line, " near: ", near));
}

}  // namespace

absl::Status Read(absl::string_view text, Handler& handler) {
  constexpr unsigned kFlags = rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  Events events(handler);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, events);
  if (events.limit_exceeded() != nullptr) {
    return ErrorAt(events.limit_exceeded(), text, result.Offset());
  }
  if (result.IsError()) {
    return ErrorAt("syntax error", text, result.Offset());
  }
  // The stream shows its end as a NUL, and a NUL as its end.
  if (stream.Tell() != text.size()) {
    return ErrorAt("syntax error", text, stream.Tell());
  }
  return absl::OkStatus();
}

}  // namespace quorate::json
