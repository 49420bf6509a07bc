#include "core/api/media.h"

#include <glog/logging.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/api/json.h"

namespace quorate::api {
namespace {

using google::protobuf::Message;

// As deep as JSON may be.
constexpr int kMaxProtobufDepth = 64;

// "text/html; q=0.5" is "text/html".
absl::string_view WithoutParameters(absl::string_view media) {
  return absl::StripAsciiWhitespace(media.substr(0, media.find(';')));
}

bool Names(absl::string_view media, MediaType type) {
  return absl::EqualsIgnoreCase(media, MediaTypeName(type));
}

// Whether `media`, an item of an Accept field, allows `type`.
bool Allows(absl::string_view media, MediaType type) {
  return media == "*/*" || absl::EqualsIgnoreCase(media, "application/*") ||
         Names(media, type);
}

bool ParseProtobuf(absl::string_view body, Message* message) {
  if (body.size() > std::numeric_limits<int>::max()) return false;
  google::protobuf::io::ArrayInputStream array(body.data(),
                                               static_cast<int>(body.size()));
  google::protobuf::io::CodedInputStream input(&array);
  input.SetRecursionLimit(kMaxProtobufDepth);
  // Partial, then checked: otherwise protobuf logs what a peer gets wrong.
  message->Clear();
  return message->MergePartialFromCodedStream(&input) &&
         input.ConsumedEntireMessage() && message->IsInitialized();
}

std::string SerializeProtobuf(const Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream string(&bytes);
  google::protobuf::io::CodedOutputStream output(&string);
  // A map's own order differs between runs.
  output.SetSerializationDeterministic(true);
  CHECK(message.SerializePartialToCodedStream(&output));
  output.Trim();
  return bytes;
}

}  // namespace

absl::string_view MediaTypeName(MediaType type) {
  switch (type) {
    case MediaType::kJson:
      return "application/json";
    case MediaType::kProtobuf:
      return "application/x-protobuf";
    case MediaType::kRecordIo:
      return "application/recordio";
  }
  return "";
}

Negotiation NegotiateContentType(const std::optional<std::string>& content_type,
                                 Streams streams) {
  if (!content_type) {
    return {.http_status = 400,
            .error = "Expecting 'Content-Type' to be present"};
  }
  const absl::string_view media = WithoutParameters(*content_type);
  if (Names(media, MediaType::kJson)) return {.type = MediaType::kJson};
  if (Names(media, MediaType::kProtobuf)) return {.type = MediaType::kProtobuf};
  std::string error = absl::StrCat("Expecting 'Content-Type' of ",
                                   MediaTypeName(MediaType::kJson), " or ",
                                   MediaTypeName(MediaType::kProtobuf));
  if (streams == Streams::kAllowed) {
    if (Names(media, MediaType::kRecordIo)) {
      return {.type = MediaType::kRecordIo};
    }
    absl::StrAppend(&error, " or ", MediaTypeName(MediaType::kRecordIo));
  }
  return {.http_status = 415, .error = std::move(error)};
}

Negotiation NegotiateAccept(const std::optional<std::string>& accept) {
  if (!accept || absl::StripAsciiWhitespace(*accept).empty()) {
    return {.type = MediaType::kJson};
  }
  bool protobuf = false;
  for (absl::string_view item : absl::StrSplit(*accept, ',')) {
    const absl::string_view media = WithoutParameters(item);
    if (Allows(media, MediaType::kJson)) return {.type = MediaType::kJson};
    protobuf = protobuf || Allows(media, MediaType::kProtobuf);
  }
  if (protobuf) return {.type = MediaType::kProtobuf};
  return {.http_status = 406,
          .error = absl::StrCat("Expecting 'Accept' to allow '",
                                MediaTypeName(MediaType::kProtobuf), "' or '",
                                MediaTypeName(MediaType::kJson), "'")};
}

absl::Status ParseBody(MediaType type, absl::string_view body,
                       Message* message) {
  CHECK(type != MediaType::kRecordIo);
  const std::string& name = message->GetDescriptor()->name();
  if (type == MediaType::kProtobuf) {
    if (ParseProtobuf(body, message)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to parse body into ", name, " protobuf"));
  }
  const absl::Status status = JsonToMessage(body, message);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::IsInvalidArgument(status)
          ? absl::StrCat("Failed to parse body into JSON: ", status.message())
          : absl::StrCat("Failed to convert JSON into ", name,
                         " protobuf: ", status.message()));
}

std::string SerializeBody(MediaType type, const Message& message) {
  CHECK(type != MediaType::kRecordIo);
  return type == MediaType::kJson ? MessageToJson(message)
                                  : SerializeProtobuf(message);
}

}  // namespace quorate::api
