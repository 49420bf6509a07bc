#include "core/api/media.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/api/scheduler.pb.h"

namespace quorate::api {
namespace {

using mesos::v1::scheduler::Call;

// "json", "protobuf", "recordio", or status and text of the refusal.
std::string Outcome(const Negotiation& negotiation) {
  if (!negotiation.type) {
    return absl::StrCat(negotiation.http_status, " ", negotiation.error);
  }
  switch (*negotiation.type) {
    case MediaType::kJson:
      return "json";
    case MediaType::kProtobuf:
      return "protobuf";
    case MediaType::kRecordIo:
      return "recordio";
  }
  return "";
}

std::string ContentType(const std::optional<std::string>& value,
                        Streams streams = Streams::kRefused) {
  return Outcome(NegotiateContentType(value, streams));
}

std::string Accept(const std::optional<std::string>& value) {
  return Outcome(NegotiateAccept(value));
}

TEST(MediaTest, ContentType) {
  EXPECT_EQ(ContentType("application/json"), "json");
  EXPECT_EQ(ContentType("application/json; charset=utf-8"), "json");
  EXPECT_EQ(ContentType(" Application/JSON;charset=utf-8"), "json");
  EXPECT_EQ(ContentType("application/x-protobuf"), "protobuf");
  EXPECT_EQ(ContentType(std::nullopt),
            "400 Expecting 'Content-Type' to be present");
  const std::string refusal =
      "415 Expecting 'Content-Type' of application/json or "
      "application/x-protobuf";
  EXPECT_EQ(ContentType("text/plain"), refusal);
  EXPECT_EQ(ContentType(""), refusal);
  EXPECT_EQ(ContentType("application/jsonx"), refusal);
  EXPECT_EQ(ContentType("application/recordio"), refusal);
}

TEST(MediaTest, ContentTypeOfStreams) {
  EXPECT_EQ(ContentType("application/recordio", Streams::kAllowed), "recordio");
  EXPECT_EQ(ContentType("application/json", Streams::kAllowed), "json");
  EXPECT_EQ(ContentType("text/plain", Streams::kAllowed),
            "415 Expecting 'Content-Type' of application/json or "
            "application/x-protobuf or application/recordio");
}

TEST(MediaTest, AcceptPrefersJson) {
  EXPECT_EQ(Accept(std::nullopt), "json");
  EXPECT_EQ(Accept(""), "json");
  EXPECT_EQ(Accept("*/*"), "json");
  EXPECT_EQ(Accept("application/*"), "json");
  EXPECT_EQ(Accept("application/json"), "json");
  EXPECT_EQ(Accept("application/x-protobuf"), "protobuf");
  EXPECT_EQ(Accept("application/x-protobuf, application/json;q=0.1"), "json");
  EXPECT_EQ(Accept("text/html,application/x-protobuf;q=0.9"), "protobuf");
  EXPECT_EQ(Accept("text/html, */*; q=0.2"), "json");
}

TEST(MediaTest, AcceptRefuses) {
  const std::string refusal =
      "406 Expecting 'Accept' to allow 'application/x-protobuf' or "
      "'application/json'";
  EXPECT_EQ(Accept("text/html"), refusal);
  EXPECT_EQ(Accept("application/recordio"), refusal);
  EXPECT_EQ(Accept("text/*, ,"), refusal);
}

std::string Parse(MediaType type, absl::string_view body) {
  Call call;
  const absl::Status status = ParseBody(type, body, &call);
  return status.ok() ? "ok" : std::string(status.message());
}

TEST(MediaTest, NamesWhatIsWrongWithABody) {
  EXPECT_EQ(Parse(MediaType::kJson, "{bad"),
            "Failed to parse body into JSON: syntax error at line 1 near: bad");
  EXPECT_EQ(Parse(MediaType::kJson, ""),
            "Failed to parse body into JSON: syntax error at line 1 near: ");
  EXPECT_EQ(Parse(MediaType::kJson, "[1]"),
            "Failed to convert JSON into Call protobuf: Expecting a JSON "
            "object");
  EXPECT_EQ(Parse(MediaType::kJson,
                  R"({"subscribe":{"framework_info":{"name":"a"}}})"),
            "Failed to convert JSON into Call protobuf: Missing required "
            "fields: subscribe.framework_info.user");
  EXPECT_EQ(Parse(MediaType::kProtobuf, "garbage"),
            "Failed to parse body into Call protobuf");
  // framework_id without its value.
  EXPECT_EQ(Parse(MediaType::kProtobuf, absl::string_view("\x0a\x00", 2)),
            "Failed to parse body into Call protobuf");
  EXPECT_EQ(Parse(MediaType::kProtobuf, ""), "ok");
}

TEST(MediaTest, BoundsTheDepthOfProtobufs) {
  const auto nested = [](int depth) {
    mesos::v1::ContainerID id;
    mesos::v1::ContainerID* inner = &id;
    for (int i = 0; i < depth; ++i) {
      inner->set_value("c");
      inner = inner->mutable_parent();
    }
    inner->set_value("c");
    const std::string body = SerializeBody(MediaType::kProtobuf, id);
    return ParseBody(MediaType::kProtobuf, body, &id).ok();
  };
  EXPECT_TRUE(nested(60));
  EXPECT_FALSE(nested(70));
}

TEST(MediaTest, MapsSerializeTheSameEveryTime) {
  const auto serialized = [](bool backwards) {
    mesos::v1::TaskInfo task;
    for (int i = 0; i < 50; ++i) {
      const int n = backwards ? 49 - i : i;
      (*task.mutable_limits())[absl::StrCat("r", n)].set_value(n);
    }
    return SerializeBody(MediaType::kProtobuf, task);
  };
  EXPECT_EQ(serialized(false), serialized(true));
}

}  // namespace
}  // namespace quorate::api
