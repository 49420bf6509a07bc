#include "core/api/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/api/agent.pb.h"
#include "core/api/executor.pb.h"
#include "core/api/master.pb.h"
#include "core/api/media.h"
#include "core/api/scheduler.pb.h"
#include "core/base/crc32c.h"

namespace quorate::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using mesos::v1::FrameworkInfo;
using mesos::v1::TaskInfo;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Call;

// The status of reading `json` as `message`, as text.
std::string Read(absl::string_view json, Message* message) {
  const absl::Status status = JsonToMessage(json, message);
  if (status.ok()) return "ok";
  return absl::StrCat(absl::IsInvalidArgument(status) ? "syntax: " : "shape: ",
                      status.message());
}

// Fills messages by reflection, with values that are hard to write.
class Filler {
 public:
  explicit Filler(uint32_t seed) : state_(seed) {}

  // Below `depth` levels only required fields are set, and those with a
  // default, which the JSON form always sets.
  void Fill(Message* message, int depth) {
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message->GetDescriptor()->field(i);
      if (depth <= 0 && !field->is_required() && !field->has_default_value()) {
        continue;
      }
      if (!field->is_repeated()) {
        FillOne(message, field, depth);
      } else if (field->is_map()) {
        FillMap(message, field, depth);
      } else {
        for (int n = Next(3); n >= 0; --n) FillOne(message, field, depth);
      }
    }
  }

 private:
  uint32_t Next(uint32_t bound) {
    state_ = state_ * 1664525 + 1013904223;
    return (state_ >> 16) % bound;
  }

  template <typename T>
  T Pick(std::vector<T> values) {
    return values[Next(values.size())];
  }

  template <typename T>
  T Whole() {
    return Pick<T>({0, 1, 42, std::numeric_limits<T>::min(),
                    std::numeric_limits<T>::max(),
                    std::numeric_limits<T>::max() - 1});
  }

  std::string Text(const FieldDescriptor* field) {
    if (field->type() == FieldDescriptor::TYPE_BYTES) {
      return Pick<std::string>({"", "a", std::string("\0\xFF\x80", 3), "abcd"});
    }
    return Pick<std::string>(
        {"", "*", "é€😀", "\"\\/\n\t", std::string("a\0b", 3), "\x7f"});
  }

  void FillMap(Message* message, const FieldDescriptor* field, int depth) {
    for (const char* key : {"cpus", "a\"b", "mem", ""}) {
      Message* entry = message->GetReflection()->AddMessage(message, field);
      FillOne(entry, field->message_type()->map_value(), depth - 1);
      entry->GetReflection()->SetString(entry, field->message_type()->map_key(),
                                        key);
    }
  }

  void FillOne(Message* m, const FieldDescriptor* f, int depth) {
    const Reflection* r = m->GetReflection();
    const bool add = f->is_repeated();
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return r->SetBool(m, f, Next(2) == 1);
      case FieldDescriptor::CPPTYPE_INT32:
        return r->SetInt32(m, f, Whole<int32_t>());
      case FieldDescriptor::CPPTYPE_INT64:
        return r->SetInt64(m, f, Whole<int64_t>());
      case FieldDescriptor::CPPTYPE_UINT32:
        return add ? r->AddUInt32(m, f, Whole<uint32_t>())
                   : r->SetUInt32(m, f, Whole<uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        return r->SetUInt64(m, f, Whole<uint64_t>());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return r->SetFloat(m, f, 0.5f);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return r->SetDouble(
            m, f,
            Pick<double>({0, 1, -0.0, 0.1, 1e-9, 1e300, 5e-324, 1795232274.65,
                          std::numeric_limits<double>::infinity(),
                          -std::numeric_limits<double>::infinity()}));
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto* value = f->enum_type()->value(
            Next(static_cast<uint32_t>(f->enum_type()->value_count())));
        return add ? r->AddEnum(m, f, value) : r->SetEnum(m, f, value);
      }
      case FieldDescriptor::CPPTYPE_STRING:
        return add ? r->AddString(m, f, Text(f)) : r->SetString(m, f, Text(f));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(add ? r->AddMessage(m, f) : r->MutableMessage(m, f),
                    depth - 1);
    }
  }

  uint32_t state_;
};

template <typename T>
void ExpectRoundTrips() {
  for (uint32_t seed = 0; seed < 8; ++seed) {
    T message;
    Filler(seed).Fill(&message, 2 + seed % 5);
    for (MediaType type : {MediaType::kJson, MediaType::kProtobuf}) {
      const std::string body = SerializeBody(type, message);
      T copy;
      const absl::Status status = ParseBody(type, body, &copy);
      ASSERT_TRUE(status.ok()) << status << "\n" << body;
      ASSERT_EQ(SerializeBody(MediaType::kProtobuf, copy),
                SerializeBody(MediaType::kProtobuf, message));
      ASSERT_EQ(MessageToJson(copy), MessageToJson(message));
    }
  }
}

// One line for each message, field and enum value.
void Describe(const google::protobuf::EnumDescriptor& type, std::string& out) {
  for (int i = 0; i < type.value_count(); ++i) {
    absl::StrAppend(&out, type.value(i)->full_name(), " ",
                    type.value(i)->number(), "\n");
  }
}

void Describe(const google::protobuf::Descriptor& type, std::string& out) {
  // The JSON form of an empty message lists the defaults.
  const Message* empty =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(
          &type);
  absl::StrAppend(&out, type.full_name(), " ", MessageToJson(*empty), "\n");
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const auto* message = field.message_type();
    const auto* values = field.enum_type();
    absl::StrAppend(&out, field.full_name(), " ", field.number(), " ",
                    field.type_name(), " ", field.label(), " ",
                    message != nullptr  ? message->full_name()
                    : values != nullptr ? values->full_name()
                                        : "",
                    " ", field.has_default_value(),
                    field.options().deprecated(), "\n");
  }
  for (int i = 0; i < type.nested_type_count(); ++i) {
    Describe(*type.nested_type(i), out);
  }
  for (int i = 0; i < type.enum_type_count(); ++i) {
    Describe(*type.enum_type(i), out);
  }
}

// Changes when any message, field, number, type, presence, default or enum
// value of the v1 API does: only additions may, and never of a required field.
TEST(ApiProtoTest, WireFormatIsFrozen) {
  std::string text;
  for (const char* name :
       {"common", "container", "resource", "mesos", "statistics", "scheduler",
        "executor", "agent", "allocator", "maintenance", "quota", "master"}) {
    const auto* file =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(
            absl::StrCat("core/api/", name, ".proto"));
    ASSERT_NE(file, nullptr) << name;
    for (int i = 0; i < file->message_type_count(); ++i) {
      Describe(*file->message_type(i), text);
    }
    for (int i = 0; i < file->enum_type_count(); ++i) {
      Describe(*file->enum_type(i), text);
    }
  }
  EXPECT_EQ(Crc32c(text), 3460751637u);
}

TEST(ApiJsonTest, EveryFieldRoundTrips) {
  ExpectRoundTrips<mesos::v1::scheduler::Call>();
  ExpectRoundTrips<mesos::v1::scheduler::Event>();
  ExpectRoundTrips<mesos::v1::executor::Call>();
  ExpectRoundTrips<mesos::v1::executor::Event>();
  ExpectRoundTrips<mesos::v1::agent::Call>();
  ExpectRoundTrips<mesos::v1::agent::Response>();
  ExpectRoundTrips<mesos::v1::agent::ProcessIO>();
  ExpectRoundTrips<mesos::v1::master::Call>();
  ExpectRoundTrips<mesos::v1::master::Response>();
  ExpectRoundTrips<mesos::v1::master::Event>();
}

TEST(ApiJsonTest, WritesDeclaredDefaultsUnlessDeprecated) {
  FrameworkInfo framework;
  framework.set_user("root");
  framework.set_name("golden");
  framework.add_roles("*");
  EXPECT_EQ(MessageToJson(framework),
            R"({"user":"root","name":"golden","failover_timeout":0.0,)"
            R"("checkpoint":false,"roles":["*"]})");
  framework.set_role("*");
  EXPECT_NE(MessageToJson(framework).find(R"("role":"*")"), std::string::npos);
}

TEST(ApiJsonTest, WritesAsExistingClientsExpect) {
  TaskStatus status;
  status.mutable_task_id()->set_value("t1");
  status.set_state(mesos::v1::TASK_STARTING);
  status.set_source(TaskStatus::SOURCE_EXECUTOR);
  status.set_timestamp(1795232286.718328);
  status.set_uuid(
      "\x1c\xdf\xc1\x81\x85\xaa\x40\x4a\xb2\x0c\xf3\x8f\x0b\x27"
      "\x4f\x97");
  EXPECT_EQ(MessageToJson(status),
            R"({"task_id":{"value":"t1"},"state":"TASK_STARTING",)"
            R"("source":"SOURCE_EXECUTOR","timestamp":1795232286.718328,)"
            R"("uuid":"HN/BgYWqQEqyDPOPCydPlw=="})");

  mesos::v1::TimeInfo time;
  time.set_nanoseconds(1795232262538123008);
  EXPECT_EQ(MessageToJson(time), R"({"nanoseconds":1795232262538123008})");

  TaskInfo task;
  (*task.mutable_limits())["mem"].set_value(64);
  (*task.mutable_limits())["cpus"].set_value(
      std::numeric_limits<double>::infinity());
  EXPECT_EQ(MessageToJson(task),
            R"({"limits":{"cpus":{"value":"Infinity"},"mem":{"value":64.0}}})");
}

TEST(ApiJsonTest, WritesAndReadsDurationAsPlainMessage) {
  mesos::v1::master::Call call;
  call.mutable_drain_agent()->mutable_agent_id()->set_value("S0");
  call.mutable_drain_agent()->mutable_max_grace_period()->set_seconds(600);
  call.mutable_drain_agent()->mutable_max_grace_period()->set_nanos(0);
  const std::string text = MessageToJson(call);
  EXPECT_EQ(Read(R"({"drain_agent":{"agent_id":{"value":"S0"},)"
                 R"("max_grace_period":{"seconds":600,"nanos":0}}})",
                 &call),
            "ok");
  EXPECT_EQ(call.drain_agent().max_grace_period().seconds(), 600);
  EXPECT_EQ(MessageToJson(call), text);
}

TEST(ApiJsonTest, NullMeansUnsetAndUnknownIsIgnored) {
  Call call;
  EXPECT_EQ(Read(R"({"type":"SUBSCRIBE","framework_id":null,"accept":null,
                     "novel":{"a":[{"type":1}],"type":{}},"other":[[1],{}],
                     "subscribe":{"suppressed_roles":null,
                       "framework_info":{"user":"root","name":"","id":null,
                         "roles":["a",null,"b"],"checkpoint":null,
                         "novel":null}}})",
                 &call),
            "ok");
  EXPECT_EQ(call.type(), Call::SUBSCRIBE);
  EXPECT_FALSE(call.has_framework_id());
  EXPECT_FALSE(call.has_accept());
  EXPECT_EQ(call.subscribe().framework_info().roles_size(), 2);
  EXPECT_FALSE(call.subscribe().framework_info().has_checkpoint());

  TaskInfo task;
  task.mutable_limits();
  EXPECT_EQ(Read(R"({"name":"","task_id":{"value":""},"agent_id":{"value":""},
                     "limits":{"cpus":null,"mem":{"value":1}}})",
                 &task),
            "ok");
  EXPECT_EQ(task.limits().size(), 1);
}

TEST(ApiJsonTest, LastOfRepeatedKeysCounts) {
  Call call;
  EXPECT_EQ(Read(R"({"framework_id":{"value":"a"},"framework_id":{"value":"b"},
                     "type":"KILL","type":"REVIVE",
                     "decline":{"offer_ids":[{"value":"1"},{"value":"2"}],
                                "offer_ids":[{"value":"3"}]}})",
                 &call),
            "ok");
  EXPECT_EQ(call.framework_id().value(), "b");
  EXPECT_EQ(call.type(), Call::REVIVE);
  EXPECT_EQ(call.decline().offer_ids_size(), 1);
  EXPECT_EQ(Read(R"({"framework_id":{"value":"a"},"framework_id":{}})", &call),
            "shape: Missing required fields: framework_id.value");

  mesos::v1::OfferFilters::ResourceQuantities quantities;
  EXPECT_EQ(Read(R"({"quantities":{"b":{"value":1},"a":{"value":2},)"
                 R"("b":{"value":3}}})",
                 &quantities),
            "ok");
  EXPECT_EQ(MessageToJson(quantities),
            R"({"quantities":{"a":{"value":2.0},"b":{"value":3.0}}})");
  EXPECT_EQ(quantities.quantities().at("b").value(), 3);
}

TEST(ApiJsonTest, UnknownEnumNames) {
  Call call;
  EXPECT_EQ(Read(R"({"type":"BOGUS"})", &call), "ok");
  EXPECT_FALSE(call.has_type());

  mesos::v1::CapabilityInfo capabilities;
  EXPECT_EQ(Read(R"({"capabilities":["CHOWN","BOGUS","KILL"]})", &capabilities),
            "ok");
  EXPECT_EQ(capabilities.capabilities_size(), 2);

  TaskStatus status;
  EXPECT_EQ(Read(R"({"task_id":{"value":"t"},"state":"TASK_BOGUS"})", &status),
            "shape: Unknown value 'TASK_BOGUS' for 'state'");
  EXPECT_EQ(Read(R"({"task_id":{"value":"t"},"state":1})", &status),
            "shape: Expecting the name of a value for 'state'");
}

TEST(ApiJsonTest, NumbersInEveryForm) {
  mesos::v1::Value::Scalar scalar;
  const auto value = [&scalar](absl::string_view text) {
    const absl::Status status =
        JsonToMessage(absl::StrCat("{\"value\":", text, "}"), &scalar);
    return status.ok() ? scalar.value() : -999;
  };
  EXPECT_EQ(value("32"), 32);
  EXPECT_EQ(value("-0.5"), -0.5);
  EXPECT_EQ(value("\"0.25\""), 0.25);
  EXPECT_EQ(value("\"Infinity\""), std::numeric_limits<double>::infinity());
  EXPECT_EQ(value("\"-Infinity\""), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(value("\"NaN\"")));
  EXPECT_EQ(value("18446744073709551615"), 18446744073709551615.0);
  for (const char* bad : {"\"1e999\"", "\"\"", "\"1x\"", "true", "[1]", "{}"}) {
    EXPECT_EQ(value(bad), -999) << bad;
  }

  mesos::v1::Value::Range range;  // uint64
  EXPECT_EQ(Read(R"({"begin":"31000","end":18446744073709551615})", &range),
            "ok");
  EXPECT_EQ(range.begin(), 31000);
  EXPECT_EQ(range.end(), 18446744073709551615u);
  EXPECT_EQ(Read(R"({"begin":31000.0,"end":3.2e4})", &range), "ok");
  EXPECT_EQ(range.end(), 32000);
  for (const char* bad : {"-1", "1.5", "1e20", "\"-1\"", "\"1.5\"", "false"}) {
    EXPECT_EQ(Read(absl::StrCat("{\"begin\":0,\"end\":", bad, "}"), &range),
              "shape: Expecting a whole number, not negative, that fits for "
              "'end'")
        << bad;
  }

  mesos::v1::Address address;  // int32
  EXPECT_EQ(Read(R"({"port":-2147483648})", &address), "ok");
  EXPECT_EQ(Read(R"({"port":2147483648})", &address),
            "shape: Expecting a whole number that fits for 'port'");
  mesos::v1::TimeInfo time;  // int64
  EXPECT_EQ(Read(R"({"nanoseconds":-9223372036854775808})", &time), "ok");
  EXPECT_NE(Read(R"({"nanoseconds":9223372036854775808})", &time), "ok");
}

TEST(ApiJsonTest, NamesWhatIsWrong) {
  Call call;
  EXPECT_EQ(Read(R"({"type":"SUBSCRIBE","subscribe":{"framework_info":)"
                 R"({"name":"a"}}})",
                 &call),
            "shape: Missing required fields: subscribe.framework_info.user");
  for (const char* text : {"[]", "1", "null", "\"a\"", "[{}]", "true"}) {
    EXPECT_EQ(Read(text, &call), "shape: Expecting a JSON object") << text;
  }
  EXPECT_EQ(Read(R"({"accept":{"operations":[{"launch":{"task_infos":)"
                 R"([{"name":{}}]}}]}})",
                 &call),
            "shape: Expecting a string for "
            "'accept.operations.launch.task_infos.name'");
  EXPECT_EQ(Read(R"({"accept":{"operations":{}}})", &call),
            "shape: Expecting a JSON array for 'accept.operations'");
  EXPECT_EQ(Read(R"({"accept":[]})", &call),
            "shape: Expecting a JSON object for 'accept'");
  EXPECT_EQ(Read(R"({"accept":{"offer_ids":[[]]}})", &call),
            "shape: Expecting a JSON object for 'accept.offer_ids'");
  EXPECT_EQ(Read(R"({"acknowledge":{"uuid":"!"}})", &call),
            "shape: Expecting base64 text for 'acknowledge.uuid'");

  TaskInfo task;
  EXPECT_EQ(Read(R"({"limits":[]})", &task),
            "shape: Expecting a JSON object for 'limits'");
  EXPECT_EQ(Read(R"({"limits":{"cpus":1}})", &task),
            "shape: Expecting a JSON object for 'limits.cpus'");
  EXPECT_EQ(Read(R"({"command":{"shell":"true"}})", &task),
            "shape: Expecting true or false for 'command.shell'");
}

TEST(ApiJsonTest, SyntaxErrorsCountMore) {
  Call call;
  EXPECT_EQ(Read("{bad", &call), "syntax: syntax error at line 1 near: bad");
  EXPECT_EQ(Read(R"({"type":[], "accept":3, bad)", &call),
            "syntax: syntax error at line 1 near: bad");
  EXPECT_EQ(Read("[[[", &call), "syntax: syntax error at line 1 near: ");
}

TEST(ApiJsonTest, ReplacesTheMessage) {
  Call call;
  call.mutable_kill()->mutable_task_id()->set_value("t");
  EXPECT_EQ(Read("{}", &call), "ok");
  EXPECT_FALSE(call.has_kill());
}

TEST(ApiJsonTest, BoundsRecursionOfMessages) {
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, R"({"parent":)");
  mesos::v1::ContainerID container;
  EXPECT_EQ(Read(text, &container).substr(0, 27),
            "syntax: nested too deeply a");
}

}  // namespace
}  // namespace quorate::api
