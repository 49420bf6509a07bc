// JSON of the v1 API: what was read once, written, and read again is the same.

#include "core/api/json.h"

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/api/agent.pb.h"
#include "core/api/scheduler.pb.h"
#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

template <typename Message>
void Check(absl::string_view json) {
  Message message;
  if (!api::JsonToMessage(json, &message).ok()) return;
  CHECK(message.IsInitialized());
  const std::string once = api::MessageToJson(message);
  Message again;
  const absl::Status status = api::JsonToMessage(once, &again);
  CHECK(status.ok()) << status << " " << once;
  CHECK_EQ(api::MessageToJson(again), once);
  // The binary form, which frameworks may use instead, holds the same.
  std::string binary;
  CHECK(message.SerializeToString(&binary));
  CHECK(again.ParseFromString(binary));
  CHECK_EQ(api::MessageToJson(again), once);
}

void CheckAll(absl::string_view json) {
  Check<mesos::v1::scheduler::Call>(json);
  Check<mesos::v1::agent::Call>(json);
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::CheckAll(quorate::fuzz::ToView(data, size));
  return 0;
}
