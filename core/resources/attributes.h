// Attributes: what an agent says about itself for frameworks to choose by.

#ifndef QUORATE_CORE_RESOURCES_ATTRIBUTES_H_
#define QUORATE_CORE_RESOURCES_ATTRIBUTES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}

namespace mesos::v1 {
class Attribute;
}

namespace quorate::json {
class JsonWriter;
}

namespace quorate {

using Attributes = google::protobuf::RepeatedPtrField<mesos::v1::Attribute>;

// Appends the attributes of the --attributes flag, like
// "rack:abc;level:10;keys:[1000-1500]": numbers are scalars, brackets ranges,
// all else text. A name may occur several times; the order is kept.
// InvalidArgument for a missing name or colon, an empty value, bad ranges.
absl::Status ParseAttributes(absl::string_view text, Attributes* attributes);

// The same form.
std::string AttributesToText(const Attributes& attributes);

// One JSON object, as /state shows attributes: scalars as numbers, the others
// as text. Of a repeated name the last is written.
void WriteAttributes(const Attributes& attributes, json::JsonWriter& writer);

}  // namespace quorate

#endif  // QUORATE_CORE_RESOURCES_ATTRIBUTES_H_
