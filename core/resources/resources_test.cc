#include "core/resources/resources.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/api/json.h"
#include "core/api/mesos.pb.h"
#include "core/json/writer.h"
#include "core/resources/amount.h"
#include "core/resources/roles.h"

namespace quorate {
namespace {

using mesos::v1::TaskResourceLimitation;

Resources Parse(absl::string_view text, absl::string_view role = "*") {
  absl::StatusOr<Resources> resources = Resources::ParseText(text, role);
  EXPECT_TRUE(resources.ok()) << text << ": " << resources.status();
  return resources.ok() ? *std::move(resources) : Resources();
}

std::string TextError(absl::string_view text) {
  const absl::StatusOr<Resources> resources = Resources::ParseText(text);
  return resources.ok() ? "ok" : std::string(resources.status().message());
}

// Of a JSON array of v1 Resources, through FromProto.
absl::StatusOr<Resources> FromJson(absl::string_view json) {
  TaskResourceLimitation list;
  const absl::Status status =
      api::JsonToMessage(absl::StrCat("{\"resources\":", json, "}"), &list);
  EXPECT_TRUE(status.ok()) << status;
  return Resources::FromProto(list.resources());
}

std::string JsonError(absl::string_view json) {
  const absl::StatusOr<Resources> resources = FromJson(json);
  return resources.ok() ? "ok" : std::string(resources.status().message());
}

std::string ToJson(const Resources& resources, Resources::Form form) {
  TaskResourceLimitation list;
  resources.ToProto(list.mutable_resources(), form);
  const std::string text = api::MessageToJson(list);
  return text == "{}" ? "[]" : text.substr(13, text.size() - 14);
}

std::string Summary(const Resources& resources) {
  std::string text;
  json::JsonWriter writer(&text);
  resources.WriteSummary(writer);
  return text;
}

TEST(ResourcesTest, TextForm) {
  EXPECT_EQ(Parse("cpus:4;mem:8192;disk:10000;ports:[31000-32000]").ToText(),
            "cpus:4;disk:10000;mem:8192;ports:[31000-32000]");
  EXPECT_EQ(Parse(" cpus : 0.1 ; ports : [ 5-6 , 1-4,8-8 ];;").ToText(),
            "cpus:0.1;ports:[1-6, 8-8]");
  EXPECT_EQ(Parse("disks:{b, a};gpus:1").ToText(), "disks:{a, b};gpus:1");
  EXPECT_EQ(Parse("cpus:1;cpus:2;cpus(eng):3;cpus(eng):1").ToText(),
            "cpus:3;cpus(eng):4");
  EXPECT_EQ(Parse("cpus:0;ports:[];set:{}").ToText(), "");
  EXPECT_EQ(Parse("").ToText(), "");
}

TEST(ResourcesTest, TextFormRoundTrips) {
  const Resources resources =
      Parse("cpus:1.25;cpus(eng):2;mem(eng/ci):512;ports:[1-2, 4-5];s:{x, y}");
  EXPECT_EQ(Parse(resources.ToText()), resources);
}

TEST(ResourcesTest, DefaultRoleFillsWhatIsMissing) {
  const Resources resources = Parse("cpus:1;mem(ops):2;disk(*):3", "eng");
  EXPECT_EQ(resources.ToText(), "cpus(eng):1;disk:3;mem(ops):2");
  EXPECT_EQ(Parse(R"([{"name":"cpus","type":"SCALAR","scalar":{"value":1}},
                      {"name":"mem","type":"SCALAR","scalar":{"value":2},
                       "role":"*"}])",
                  "eng"),
            Parse("cpus(eng):1;mem:2"));
  EXPECT_FALSE(Resources::ParseText("cpus:1", "/bad").ok());
}

TEST(ResourcesTest, TextErrors) {
  EXPECT_EQ(TextError("cpus"),
            "expected resources like cpus:4;mem(role):512, not 'cpus'");
  EXPECT_EQ(TextError("cpus(eng:4"),
            "expected resources like cpus:4;mem(role):512, not 'cpus(eng:4'");
  EXPECT_EQ(TextError("cpus(eng)x:4"),
            "expected ':' after the role in 'cpus(eng)x:4'");
  EXPECT_EQ(TextError("cpus(/x):4"), "Role '/x' cannot start with a slash");
  EXPECT_EQ(TextError("cpus():4"), "Role '' cannot be empty");
  EXPECT_EQ(TextError(":4"), "resource '': expected a name");
  EXPECT_EQ(TextError("cpus:four"),
            "resource 'cpus': expected a number, [ranges] or {items}, not "
            "'four'");
  EXPECT_EQ(TextError("cpus:-1"),
            "resource 'cpus': expected a number from 0 to 1e+11, not -1");
  EXPECT_EQ(TextError("ports:[1-x]"),
            "resource 'ports': expected ranges like [1-5,7-7], not '[1-x]'");
  EXPECT_EQ(TextError("ports:[5-1]"),
            "resource 'ports': range 5-1 is backwards");
  EXPECT_EQ(TextError("ports:[1-5,5-9]"),
            "resource 'ports': range 5-9 overlaps another");
  EXPECT_EQ(TextError("s:{a,a}"), "resource 's': item 'a' is given twice");
  for (const char* text :
       {"cpus:nan", "cpus:inf", "cpus:1e12", "ports:[1", "ports:1-5", "s:{a",
        "[{\"name\":\"cpus\"}]", "[x"}) {
    EXPECT_NE(TextError(text), "ok") << text;
  }
}

TEST(ResourcesTest, ProtoErrors) {
  const auto error = [](absl::string_view fields) {
    return JsonError(
        absl::StrCat(R"([{"name":"r","type":"SCALAR",)", fields, "}]"));
  };
  EXPECT_EQ(error(R"("scalar":{"value":1})"), "ok");
  EXPECT_EQ(error(R"("scalar":{"value":"NaN"})"),
            "resource 'r': expected a number from 0 to 1e+11, not nan");
  EXPECT_EQ(error(R"("scalar":{"value":-0.001})"),
            "resource 'r': expected a number from 0 to 1e+11, not -0.001");
  EXPECT_EQ(error(R"("ranges":{})"),
            "resource 'r': expected exactly a value of type SCALAR, RANGES or "
            "SET, as 'type' says, which is SCALAR");
  EXPECT_NE(error(R"("scalar":{"value":1},"set":{})"), "ok");
  EXPECT_NE(JsonError(R"([{"name":"r","type":"TEXT"}])"), "ok");
  EXPECT_NE(JsonError(R"([{"name":"","type":"SCALAR","scalar":{"value":1}}])"),
            "ok");
  EXPECT_EQ(error(R"("scalar":{"value":1},"shared":{})"),
            "resource 'r': sharing is not supported");
  EXPECT_EQ(error(R"("scalar":{"value":1},"disk":{"volume":
                     {"mode":"RW","container_path":"p"}})"),
            "resource 'r': 'disk' is only for disk space");
  EXPECT_EQ(JsonError(R"([{"name":"c","type":"SCALAR","scalar":{"value":6e10}},
                          {"name":"c","type":"SCALAR","scalar":{"value":6e10}}
                         ])"),
            "resource 'c': too large in sum");
}

// One cpu with these further fields.
std::string Cpu(absl::string_view fields) {
  return absl::StrCat(
      R"([{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},)", fields,
      "}]");
}

TEST(ResourcesTest, BothFormsOfReservationsMeanTheSame) {
  const std::string classic_static = Cpu(R"("role":"eng")");
  const std::string refined_static =
      Cpu(R"("reservations":[{"type":"STATIC","role":"eng"}])");
  EXPECT_EQ(FromJson(classic_static).value(), Parse("cpus(eng):1"));
  EXPECT_EQ(FromJson(refined_static).value(), Parse("cpus(eng):1"));

  const std::string classic_dynamic =
      Cpu(R"("role":"eng","reservation":{"principal":"p"})");
  const std::string refined_dynamic = Cpu(
      R"("reservations":[{"type":"DYNAMIC","role":"eng","principal":"p"}])");
  const Resources dynamic = FromJson(classic_dynamic).value();
  EXPECT_EQ(dynamic, FromJson(refined_dynamic).value());
  EXPECT_EQ(dynamic.ToText(), "cpus(dynamic eng):1");

  EXPECT_EQ(ToJson(dynamic, Resources::Form::kRefined), refined_dynamic);
  EXPECT_EQ(ToJson(dynamic, Resources::Form::kClassic), classic_dynamic);
  EXPECT_EQ(ToJson(Parse("cpus(eng):1"), Resources::Form::kRefined),
            refined_static);
  EXPECT_EQ(ToJson(Parse("cpus(eng):1"), Resources::Form::kClassic),
            classic_static);
  EXPECT_EQ(ToJson(Parse("cpus:1"), Resources::Form::kClassic),
            Cpu(R"("role":"*")"));
  EXPECT_EQ(ToJson(Parse("ports:[1-2]"), Resources::Form::kRefined),
            R"([{"name":"ports","type":"RANGES",)"
            R"("ranges":{"range":[{"begin":1,"end":2}]}}])");
}

TEST(ResourcesTest, RefinedReservationsHaveNoClassicForm) {
  const std::string json =
      Cpu(R"("reservations":[{"type":"STATIC","role":"eng"},)"
          R"({"type":"DYNAMIC","role":"eng/ci"}])");
  const Resources resources = FromJson(json).value();
  EXPECT_EQ(resources.ToText(), "cpus(eng, dynamic eng/ci):1");
  EXPECT_EQ(ToJson(resources, Resources::Form::kRefined), json);
  EXPECT_EQ(ToJson(resources, Resources::Form::kClassic), "[]");
  EXPECT_EQ(resources.Reserved().begin()->first, "eng/ci");
}

TEST(ResourcesTest, RefusesMixedOrImpossibleReservations) {
  EXPECT_EQ(JsonError(Cpu(R"("role":"eng","reservations":[
                {"type":"STATIC","role":"eng"}])")),
            "resource 'cpus': 'reservations' excludes 'role' and "
            "'reservation'");
  EXPECT_EQ(JsonError(Cpu(R"("reservation":{"principal":"p"})")),
            "resource 'cpus': a dynamic reservation needs a role other than "
            "'*'");
  EXPECT_EQ(JsonError(Cpu(R"("role":"e","reservation":{"type":"DYNAMIC"})")),
            "resource 'cpus': 'reservation' cannot have a type or role of its "
            "own");
  const auto stack = [](absl::string_view reservations) {
    return JsonError(
        Cpu(absl::StrCat("\"reservations\":[", reservations, "]")));
  };
  EXPECT_EQ(stack(R"({"role":"eng"})"),
            "resource 'cpus': a reservation needs a type, STATIC or DYNAMIC");
  EXPECT_EQ(stack(R"({"type":"STATIC","role":"*"})"),
            "resource 'cpus': '*' cannot hold a reservation");
  EXPECT_EQ(stack(R"({"type":"STATIC","role":"a b"})"),
            "resource 'cpus': Role 'a b' cannot contain whitespace or "
            "backspace");
  EXPECT_EQ(stack(R"({"type":"STATIC","role":"eng"},
                     {"type":"DYNAMIC","role":"engine"})"),
            "resource 'cpus': a reservation for 'engine' cannot refine one for "
            "'eng'");
  EXPECT_EQ(stack(R"({"type":"DYNAMIC","role":"eng"},
                     {"type":"STATIC","role":"eng/ci"})"),
            "resource 'cpus': a static reservation cannot refine another");
}

TEST(ResourcesTest, IdentitiesNeverMix) {
  const Resources total = Parse("cpus:1;cpus(eng):2");
  EXPECT_FALSE(total.Contains(Parse("cpus:2")));
  EXPECT_FALSE(total.Contains(Parse("cpus(ops):1")));
  EXPECT_TRUE(total.Contains(Parse("cpus:1;cpus(eng):2")));
  EXPECT_EQ((total - Parse("cpus(eng):2")).ToText(), "cpus:1");
  EXPECT_EQ(total.Scalar("cpus"), 3);
  EXPECT_EQ(total.Unreserved(), Parse("cpus:1"));
  ASSERT_EQ(total.Reserved().size(), 1);
  EXPECT_EQ(total.Reserved()["eng"], Parse("cpus(eng):2"));
}

TEST(ResourcesTest, ScalarsAreExactToThreeDecimals) {
  Resources sum;
  for (int i = 0; i < 10; ++i) sum += Parse("cpus:0.1");
  EXPECT_EQ(sum, Parse("cpus:1"));
  for (int i = 0; i < 10; ++i) sum -= Parse("cpus:0.1");
  EXPECT_TRUE(sum.empty());
  EXPECT_EQ(Parse("cpus:0.0014").ToText(), "cpus:0.001");
  EXPECT_EQ(Parse("cpus:0.0016").ToText(), "cpus:0.002");
}

TEST(ResourcesTest, AllocationMarksAndMerges) {
  Resources a = Parse("cpus:1;ports:[1-2]");
  Resources b = a;
  a.Allocate("eng");
  EXPECT_NE(a, b);
  EXPECT_FALSE(a.Contains(b));
  b.Allocate("ops");
  b.Allocate("eng");
  EXPECT_EQ(a, b);
  b = Parse("cpus:1");
  b.Allocate("ops");
  a += b;
  EXPECT_EQ(a.ToText(), "cpus:1;cpus:1;ports:[1-2]");
  a.Unallocate();
  EXPECT_EQ(a, Parse("cpus:2;ports:[1-2]"));

  EXPECT_EQ(FromJson(Cpu(R"("allocation_info":{},"disk":{})")).value(),
            Parse("cpus:1"));
  Resources allocated = Parse("cpus:1");
  allocated.Allocate("*");
  EXPECT_EQ(FromJson(Cpu(R"("allocation_info":{"role":"*"})")).value(),
            allocated);
}

TEST(ResourcesTest, WholeDisksAreNeitherMergedNorSplit) {
  const auto volume = [](absl::string_view id, int size) {
    return FromJson(absl::StrCat(
                        R"([{"name":"disk","type":"SCALAR","scalar":{"value":)",
                        size, R"(},"disk":{"persistence":{"id":")", id,
                        R"("}}}])"))
        .value();
  };
  const Resources total = volume("a", 10) + volume("a", 10) + volume("b", 5);
  EXPECT_EQ(total.ToText(), "disk:10;disk:10;disk:5");
  EXPECT_TRUE(total.Contains(volume("a", 10) + volume("a", 10)));
  EXPECT_FALSE(total.Contains(volume("a", 20)));
  EXPECT_FALSE(total.Contains(volume("b", 4)));
  EXPECT_FALSE(volume("a", 10).Contains(volume("a", 10) + volume("a", 10)));
  EXPECT_EQ(total - volume("a", 10), volume("b", 5) + volume("a", 10));
}

// Ranges within 0..15 as sets of bits, the plain model of their algebra.
Resources OfBits(uint32_t bits) {
  std::vector<Range> ranges;
  for (uint64_t i = 0; i < 16; ++i) {
    if (((bits >> i) & 1) != 0) ranges.emplace_back(i, i);
  }
  return Parse(absl::StrCat("ports:", RangesToText(ranges)));
}

TEST(ResourcesTest, RangesFollowTheModelOfSets) {
  uint32_t state = 1;
  const auto next = [&state] {
    state = state * 1664525 + 1013904223;
    return (state >> 16) & (state >> 8) & 0xFFFF;
  };
  for (int i = 0; i < 300; ++i) {
    const uint32_t a = next();
    const uint32_t b = i % 3 == 0 ? a & next() : next();
    ASSERT_EQ(OfBits(a) + OfBits(b), OfBits(a | b));
    ASSERT_EQ(OfBits(a).Contains(OfBits(b)), (a & b) == b);
    ASSERT_EQ(OfBits(a | b) - OfBits(b), OfBits(a & ~b));
  }
}

TEST(ResourcesTest, RangesReachTheEndsOfTheirType) {
  const std::string all = "[0-18446744073709551615]";
  EXPECT_EQ(Parse("r:" + all).ToText(), "r:" + all);
  EXPECT_EQ((Parse("r:" + all) - Parse("r:[5-18446744073709551615]")).ToText(),
            "r:[0-4]");
  EXPECT_EQ((Parse("r:[18446744073709551615-18446744073709551615]") +
             Parse("r:[0-18446744073709551614]"))
                .ToText(),
            "r:" + all);
}

TEST(ResourcesTest, SetsFollowTheirAlgebra) {
  const Resources total = Parse("s:{a,b,c}");
  EXPECT_EQ(total - Parse("s:{b}"), Parse("s:{a,c}"));
  EXPECT_EQ(total + Parse("s:{c,d}"), Parse("s:{a,b,c,d}"));
  EXPECT_FALSE(total.Contains(Parse("s:{d}")));
  EXPECT_TRUE((total - total).empty());
}

TEST(ResourcesTest, SelfArithmetic) {
  Resources a = Parse("cpus:1;ports:[1-2]");
  a += a;
  EXPECT_EQ(a, Parse("cpus:2;ports:[1-2]"));
  a -= a;
  EXPECT_TRUE(a.empty());
}

TEST(ResourcesDeathTest, SubtractingWhatIsNotThere) {
  EXPECT_DEATH(Parse("cpus:1") - Parse("cpus:2"), "does not contain cpus:2");
}

TEST(ResourcesTest, SummaryAsInState) {
  EXPECT_EQ(Summary(Resources()),
            R"({"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0})");
  EXPECT_EQ(Summary(Parse("cpus:2;cpus(eng):0.1;mem:1024;"
                          "ports:[31000-31001,31003-32000];bugs:{b,a};x:1")),
            R"({"disk":0.0,"mem":1024.0,"gpus":0.0,"cpus":2.1,)"
            R"("bugs":"{a, b}","ports":"[31000-31001, 31003-32000]","x":1.0})");
}

TEST(RolesTest, Validation) {
  for (const char* role : {"*", "eng", "eng/ci", "a.b", "a-b", "...", "é"}) {
    EXPECT_TRUE(ValidateRole(role).ok()) << role;
  }
  for (const char* role : {"", "/bad", "bad/", "a//b", ".", "a/..", "a/*", "-a",
                           "a/-b", "a b", "a\tb", "a\bb"}) {
    EXPECT_FALSE(ValidateRole(role).ok()) << role;
  }
  EXPECT_EQ(ValidateRole("/bad").message(),
            "Role '/bad' cannot start with a slash");
}

}  // namespace
}  // namespace quorate
