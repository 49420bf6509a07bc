// Writes JSON text.
//
//   std::string text;
//   json::JsonWriter writer(&text);
//   writer.StartObject();
//   writer.Key("name").String("hello");
//   writer.Key("cpus").Double(1);
//   writer.EndObject();                   // {"name":"hello","cpus":1.0}
//
// The text is valid JSON in UTF-8 whatever the strings hold. Calls that do not
// nest properly are bugs of the caller and end the process.

#ifndef QUORATE_CORE_JSON_WRITER_H_
#define QUORATE_CORE_JSON_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quorate::json {

class JsonWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit JsonWriter(std::string* out) : out_(*out) {}

  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  JsonWriter& StartObject();
  JsonWriter& EndObject();
  JsonWriter& StartArray();
  JsonWriter& EndArray();
  // In an object, before each value.
  JsonWriter& Key(absl::string_view key);

  // Bytes that are not UTF-8 are replaced by U+FFFD.
  JsonWriter& String(absl::string_view value);
  JsonWriter& Int(int64_t value);
  JsonWriter& Uint(uint64_t value);
  // The shortest text that reads back as `value`, always recognizable as a
  // fraction: 1.0, 0.1, 1795232274.654975. Infinity and NaN, which JSON lacks,
  // become the strings "Infinity", "-Infinity" and "NaN".
  JsonWriter& Double(double value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  // `json` must be one valid JSON value.
  JsonWriter& Raw(absl::string_view json);

 private:
  struct Level {
    bool is_object;
    bool is_empty = true;
    bool has_key = false;  // A key waits for its value.
  };

  void BeforeValue();
  void End(bool is_object);

  std::string& out_;
  std::vector<Level> levels_;
};

// The text that JsonWriter::Double writes for a finite number.
std::string DoubleToText(double value);

}  // namespace quorate::json

#endif  // QUORATE_CORE_JSON_WRITER_H_
