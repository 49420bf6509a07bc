// The JSON form of the v1 messages.
//
// It is the JSON of proto2 as the Mesos APIs speak it, which differs from that
// of protobuf's own library:
//
// * Field names are those of the .proto file. Unknown fields are ignored, null
//   means unset, of repeated keys the last counts.
// * Enums are names. An unknown name leaves the field unset, or is an error if
//   the field is required. Bytes are base64.
// * 64-bit integers are numbers. A number may also be given as a string, a
//   double as "Infinity", "-Infinity" or "NaN".
// * Maps are objects, written in the order of their keys.
//   google.protobuf.Duration is {"seconds":600,"nanos":0}.
// * Fields are written in the order of the .proto file if they are set, or if
//   they declare a default and are not deprecated.

#ifndef QUORATE_CORE_API_JSON_H_
#define QUORATE_CORE_API_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}

namespace quorate::json {
class JsonWriter;
}

namespace quorate::api {

// Replaces `message`, which is unspecified after an error.
// InvalidArgument: `json` is not JSON or exceeds the limits of core/json
// ("syntax error at line 1 near: bad").
// FailedPrecondition: it is JSON, but not of this message ("Missing required
// fields: subscribe.framework_info.user").
absl::Status JsonToMessage(absl::string_view json,
                           google::protobuf::Message* message);

// On one line.
std::string MessageToJson(const google::protobuf::Message& message);

// The same as one value of a larger document.
void WriteMessage(const google::protobuf::Message& message,
                  json::JsonWriter& writer);

}  // namespace quorate::api

#endif  // QUORATE_CORE_API_JSON_H_
