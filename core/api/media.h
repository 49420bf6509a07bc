// Content negotiation of the v1 APIs: messages come and go as JSON or as
// binary protobuf.
//
//   api::Negotiation input =
//       api::NegotiateContentType(request.headers.Get("Content-Type"));
//   if (!input.type) return refuse(input.http_status, input.error);
//   absl::Status status = api::ParseBody(*input.type, request.body, &call);
//   if (!status.ok()) return refuse(400, status.message());

#ifndef QUORATE_CORE_API_MEDIA_H_
#define QUORATE_CORE_API_MEDIA_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}

namespace quorate::api {

enum class MediaType {
  kJson,      // application/json
  kProtobuf,  // application/x-protobuf
  kRecordIo,  // application/recordio: a stream of such messages
};

// "application/json".
absl::string_view MediaTypeName(MediaType type);

// What a header asks for, or how to refuse it.
struct Negotiation {
  std::optional<MediaType> type;
  // Without a type: 400, 406 or 415 and the text of the answer.
  int http_status = 200;
  std::string error;
};

// Whether streams of messages are taken as well; the agent's operator API does.
enum class Streams { kRefused, kAllowed };

// From the request's Content-Type. Letter case and parameters
// ("; charset=utf-8") do not matter.
Negotiation NegotiateContentType(const std::optional<std::string>& content_type,
                                 Streams streams = Streams::kRefused);

// The type of the answer, from all Accept fields of the request joined by
// commas; never kRecordIo. JSON if it is acceptable or nothing is asked for;
// weights (q=) do not matter.
Negotiation NegotiateAccept(const std::optional<std::string>& accept);

// Replaces `message`, which is unspecified after an error. InvalidArgument with
// the text of a 400 answer, which names the type of the message. `type` is not
// kRecordIo.
absl::Status ParseBody(MediaType type, absl::string_view body,
                       google::protobuf::Message* message);

// The same bytes for the same message, in every run. `type` is not kRecordIo.
std::string SerializeBody(MediaType type,
                          const google::protobuf::Message& message);

}  // namespace quorate::api

#endif  // QUORATE_CORE_API_MEDIA_H_
