#include "core/resources/attributes.h"

#include <gtest/gtest.h>

#include <string>

#include "core/api/mesos.pb.h"
#include "core/json/writer.h"

namespace quorate {
namespace {

using mesos::v1::Value;

std::string ErrorOf(absl::string_view text) {
  Attributes attributes;
  const absl::Status status = ParseAttributes(text, &attributes);
  return status.ok() ? "ok" : std::string(status.message());
}

TEST(AttributesTest, TextFormRoundTrips) {
  Attributes attributes;
  ASSERT_TRUE(
      ParseAttributes("rack:abc; zone : us east;level:10;keys:[7-9,1-5];rack:x;"
                      "url:http://h:80;odd:nan;f:-0.5;",
                      &attributes)
          .ok());
  ASSERT_EQ(attributes.size(), 8);
  EXPECT_EQ(attributes[0].type(), Value::TEXT);
  EXPECT_EQ(attributes[1].text().value(), "us east");
  EXPECT_EQ(attributes[2].scalar().value(), 10);
  EXPECT_EQ(attributes[3].ranges().range_size(), 2);
  EXPECT_EQ(attributes[6].type(), Value::TEXT);
  EXPECT_EQ(AttributesToText(attributes),
            "rack:abc;zone:us east;level:10;keys:[1-5, 7-9];rack:x;"
            "url:http://h:80;odd:nan;f:-0.5");
}

TEST(AttributesTest, AsInState) {
  Attributes attributes;
  std::string text;
  json::JsonWriter writer(&text);
  ASSERT_TRUE(
      ParseAttributes("rack:abc;level:10;keys:[1-5];rack:x", &attributes).ok());
  WriteAttributes(attributes, writer);
  EXPECT_EQ(text, R"({"keys":"[1-5]","level":10.0,"rack":"x"})");
}

TEST(AttributesTest, Errors) {
  EXPECT_EQ(ErrorOf(""), "ok");
  EXPECT_EQ(ErrorOf("rack"),
            "expected attributes like rack:abc;level:10, not 'rack'");
  EXPECT_EQ(ErrorOf(":abc"),
            "expected attributes like rack:abc;level:10, not ':abc'");
  EXPECT_EQ(ErrorOf("rack:"),
            "expected attributes like rack:abc;level:10, not 'rack:'");
  EXPECT_EQ(ErrorOf("keys:[5-1]"), "attribute 'keys': range 5-1 is backwards");
  EXPECT_EQ(ErrorOf("keys:[1"),
            "attribute 'keys': expected ranges like [1-5,7-7], not '[1'");
}

}  // namespace
}  // namespace quorate
