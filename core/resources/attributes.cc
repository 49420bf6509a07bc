#include "core/resources/attributes.h"

#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/api/mesos.pb.h"
#include "core/json/writer.h"
#include "core/resources/amount.h"

namespace quorate {
namespace {

using mesos::v1::Attribute;
using mesos::v1::Value;

// Names like "infinity" and "nan" are text.
bool ParseNumber(absl::string_view text, double* number) {
  return text.find_first_of("0123456789") != text.npos &&
         absl::SimpleAtod(text, number) && std::isfinite(*number);
}

absl::Status SetValue(absl::string_view text, Attribute& attribute) {
  double number;
  if (absl::StartsWith(text, "[")) {
    absl::StatusOr<std::vector<Range>> ranges = ParseRanges(text);
    if (ranges.ok()) ranges = Coalesce(*std::move(ranges));
    if (!ranges.ok()) return ranges.status();
    attribute.set_type(Value::RANGES);
    for (const auto& [begin, end] : *ranges) {
      Value::Range& range = *attribute.mutable_ranges()->add_range();
      range.set_begin(begin);
      range.set_end(end);
    }
  } else if (ParseNumber(text, &number)) {
    attribute.set_type(Value::SCALAR);
    attribute.mutable_scalar()->set_value(number);
  } else {
    attribute.set_type(Value::TEXT);
    attribute.mutable_text()->set_value(std::string(text));
  }
  return absl::OkStatus();
}

std::string ValueText(const Attribute& attribute) {
  switch (attribute.type()) {
    case Value::SCALAR:
      return ScalarToText(attribute.scalar().value());
    case Value::RANGES: {
      std::vector<Range> ranges;
      for (const Value::Range& range : attribute.ranges().range()) {
        ranges.emplace_back(range.begin(), range.end());
      }
      return RangesToText(ranges);
    }
    case Value::SET:
      return absl::StrCat("{", absl::StrJoin(attribute.set().item(), ", "),
                          "}");
    case Value::TEXT:
      return attribute.text().value();
  }
  return "";
}

}  // namespace

absl::Status ParseAttributes(absl::string_view text, Attributes* attributes) {
  for (absl::string_view item :
       absl::StrSplit(text, ';', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(item, absl::MaxSplits(':', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(parts.first);
    const absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    if (name.empty() || value.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "expected attributes like rack:abc;level:10, not '", item, "'"));
    }
    Attribute attribute;
    attribute.set_name(std::string(name));
    const absl::Status status = SetValue(value, attribute);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("attribute '", name, "': ", status.message()));
    }
    *attributes->Add() = std::move(attribute);
  }
  return absl::OkStatus();
}

std::string AttributesToText(const Attributes& attributes) {
  return absl::StrJoin(
      attributes, ";", [](std::string* out, const Attribute& attribute) {
        absl::StrAppend(out, attribute.name(), ":", ValueText(attribute));
      });
}

void WriteAttributes(const Attributes& attributes, json::JsonWriter& writer) {
  std::map<std::string, const Attribute*> last;
  for (const Attribute& attribute : attributes) {
    last[attribute.name()] = &attribute;
  }
  writer.StartObject();
  for (const auto& [name, attribute] : last) {
    writer.Key(name);
    if (attribute->type() == Value::SCALAR) {
      writer.Double(attribute->scalar().value());
    } else {
      writer.String(ValueText(*attribute));
    }
  }
  writer.EndObject();
}

}  // namespace quorate
