#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/json/reader.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace quorate::json {
namespace {

std::string Written(void (*write)(JsonWriter&)) {
  std::string text;
  JsonWriter writer(&text);
  write(writer);
  return text;
}

std::string ErrorOf(absl::string_view text) {
  const absl::StatusOr<Value> value = Parse(text);
  return value.ok() ? "ok" : std::string(value.status().message());
}

std::string Repeat(absl::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) absl::StrAppend(&text, part);
  return text;
}

TEST(JsonWriterTest, NestsAndSeparates) {
  EXPECT_EQ(Written([](JsonWriter& w) {
              w.StartObject();
              w.Key("a").StartArray();
              w.Int(-1).Uint(18446744073709551615u).Bool(true).Null();
              w.StartObject().EndObject().StartArray().EndArray().EndArray();
              w.Key("b").Raw("{\"c\":1}").Key("d").String("");
              w.EndObject();
            }),
            R"({"a":[-1,18446744073709551615,true,null,{},[]],)"
            R"("b":{"c":1},"d":""})");
}

TEST(JsonWriterTest, WritesDoublesAsShortFractions) {
  EXPECT_EQ(DoubleToText(1), "1.0");
  EXPECT_EQ(DoubleToText(0), "0.0");
  EXPECT_EQ(DoubleToText(-0.0), "-0.0");
  EXPECT_EQ(DoubleToText(0.1), "0.1");
  EXPECT_EQ(DoubleToText(8192000), "8192000.0");
  EXPECT_EQ(DoubleToText(1795232274.654975), "1795232274.654975");
  EXPECT_EQ(DoubleToText(1e20), "100000000000000000000.0");
  EXPECT_EQ(DoubleToText(1e300), "1e+300");
  EXPECT_EQ(DoubleToText(-2.5e-9), "-2.5e-09");
  EXPECT_EQ(Written([](JsonWriter& w) {
              const double infinity = std::numeric_limits<double>::infinity();
              w.StartArray().Double(infinity).Double(-infinity);
              w.Double(std::nan("")).Double(2.5).EndArray();
            }),
            R"(["Infinity","-Infinity","NaN",2.5])");
}

TEST(JsonWriterTest, EscapesStrings) {
  EXPECT_EQ(Written([](JsonWriter& w) {
              w.String(absl::string_view("a\"\\\b\f\n\r\t\x01\0/\x7f", 12));
            }),
            "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u0000/\x7f\"");
  EXPECT_EQ(Written([](JsonWriter& w) { w.String("é€😀"); }), "\"é€😀\"");
}

TEST(JsonWriterTest, ReplacesWhatIsNotUtf8) {
  // A stray tail, an overlong form, a surrogate, beyond Unicode, a cut end.
  for (absl::string_view bad :
       {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE2\x82"}) {
    std::string text;
    JsonWriter(&text).String(absl::StrCat("<", bad, ">"));
    const absl::StatusOr<Value> value = Parse(text);
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(text.substr(0, 5), "\"<\xEF\xBF\xBD");
    EXPECT_EQ(text.substr(text.size() - 2), ">\"");
  }
}

TEST(JsonWriterDeathTest, RefusesBadNesting) {
  std::string text;
  EXPECT_DEATH(JsonWriter(&text).StartObject().Int(1), "without a key");
  EXPECT_DEATH(JsonWriter(&text).StartObject().Key("a").EndObject(),
               "without a value");
  EXPECT_DEATH(JsonWriter(&text).StartArray().EndObject(), "is_object");
}

TEST(JsonValueTest, ReadsATree) {
  const absl::StatusOr<Value> parsed = Parse(R"( {
      "leader": {"hostname": "a", "port": 5050, "up": true},
      "numbers": [1, -1, 18446744073709551615, 1.5, 2e3, -9223372036854775808],
      "null": null } )");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const Value& value = *parsed;
  EXPECT_EQ(value["leader"]["hostname"].AsString(), "a");
  EXPECT_EQ(value["leader"]["port"].AsInt(), 5050);
  EXPECT_TRUE(value["leader"]["up"].AsBool());
  EXPECT_EQ(value["leader"]["up"]["deeper"].AsString("none"), "none");
  EXPECT_TRUE(value["null"].is_null());
  EXPECT_EQ(value.members().size(), 3);

  const Value& numbers = value["numbers"];
  ASSERT_EQ(numbers.items().size(), 6);
  EXPECT_EQ(numbers[0].AsDouble(), 1.0);
  EXPECT_EQ(numbers[1].AsUint(7), 7);
  EXPECT_EQ(numbers[2].AsUint(), 18446744073709551615u);
  EXPECT_EQ(numbers[2].AsInt(7), 7);
  EXPECT_EQ(numbers[3].AsInt(7), 7);
  EXPECT_EQ(numbers[4].AsInt(), 2000);
  EXPECT_EQ(numbers[5].AsInt(), std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(numbers[6].is_null());
}

TEST(JsonValueTest, LastOfRepeatedKeysCounts) {
  const absl::StatusOr<Value> value = Parse(R"({"a":1,"a":{"b":2},"a":[3]})");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ((*value)["a"][0].AsInt(), 3);
}

TEST(JsonValueTest, DoublesSurviveTextExactly) {
  double value = 1.0 / 3;
  for (int i = 0; i < 2000; ++i) {
    value = std::fmod(value * 1234567.891, 1e9) * (i % 3 == 0 ? 1e-9 : 1e3);
    const absl::StatusOr<Value> read = Parse(DoubleToText(value));
    ASSERT_TRUE(read.ok());
    ASSERT_EQ(read->AsDouble(), value);
  }
}

TEST(JsonValueTest, ZeroIsZeroHoweverItIsWritten) {
  for (absl::string_view zero :
       {"0", "-0", "0.0", "-0.0", "0e-40", "-0e-40", "0e5", "0.000e-300",
        "0.00000000000000000000000000000000000", "1e-400"}) {
    const absl::StatusOr<Value> read = Parse(zero);
    ASSERT_TRUE(read.ok()) << zero;
    EXPECT_EQ(read->AsDouble(-1), 0) << zero;
  }
}

TEST(JsonReaderTest, NamesLineAndPlace) {
  EXPECT_EQ(ErrorOf("{bad"), "syntax error at line 1 near: bad");
  EXPECT_EQ(ErrorOf(""), "syntax error at line 1 near: ");
  EXPECT_EQ(ErrorOf("{\"a\":1,\n\"b\" 2}\n"),
            "syntax error at line 2 near: 2}");
  EXPECT_EQ(ErrorOf("[1] x"), "syntax error at line 1 near: x");
  EXPECT_EQ(ErrorOf(std::string("[\x01\xFFz\0]", 6)),
            "syntax error at line 1 near: z]");
}

TEST(JsonReaderTest, RefusesWhatIsNotJson) {
  for (absl::string_view text :
       {"{", "[1,]", "{\"a\":1,}", "nul", "01", "1.", "+1", "'a'", "\"a",
        "\"\n\"", "\"\\x\"", "\"\\ud800\"", "\"\xFF\"", "\"\xC0\xAF\"",
        "// a\n1", "NaN", "1e999", "[1][2]", "{1:2}"}) {
    EXPECT_NE(ErrorOf(text), "ok") << text;
  }
  // A NUL does not hide what follows it.
  EXPECT_NE(ErrorOf(absl::string_view("1\0x", 3)), "ok");
  EXPECT_EQ(ErrorOf("\"\\u0000\""), "ok");
}

TEST(JsonReaderTest, BoundsDepth) {
  const auto nested = [](int depth) {
    return absl::StrCat(Repeat("[", depth), Repeat("]", depth));
  };
  EXPECT_EQ(ErrorOf(nested(kMaxDepth)), "ok");
  EXPECT_EQ(ErrorOf(nested(kMaxDepth + 1)).substr(0, 27),
            "nested too deeply at line 1");
  EXPECT_NE(ErrorOf(Repeat("{\"a\":", 100000)), "ok");
}

TEST(JsonReaderTest, BoundsNodes) {
  const auto items = [](size_t count) {
    return absl::StrCat("[0", Repeat(",0", count - 1), "]");
  };
  EXPECT_EQ(ErrorOf(items(kMaxNodes - 1)), "ok");
  EXPECT_EQ(ErrorOf(items(kMaxNodes)).substr(0, 25),
            "too many values at line 1");
}

}  // namespace
}  // namespace quorate::json
