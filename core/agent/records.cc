#include "core/agent/records.h"

#include <google/protobuf/message.h>

#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"

namespace quorate::agent {
namespace {

constexpr size_t kHeaderBytes = 8;

uint32_t ReadU32(absl::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

void AppendU32(uint32_t value, std::string* out) {
  for (int i = 0; i < 4; ++i) {
    out->push_back(static_cast<char>(value & 0xff));
    value >>= 8;
  }
}

// The length that the record at the front states, if it is there as a whole.
// None is empty: zeros, which a crash may leave, are no record.
std::optional<size_t> LengthOf(absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const size_t length = ReadU32(bytes);
  if (length == 0 || length > kMaxRecordBytes ||
      length > bytes.size() - kHeaderBytes) {
    return std::nullopt;
  }
  return length;
}

bool IsIntact(absl::string_view bytes) {
  const std::optional<size_t> length = LengthOf(bytes);
  return length.has_value() && Crc32c(bytes.substr(kHeaderBytes, *length)) ==
                                   ReadU32(bytes.substr(4));
}

}  // namespace

std::string EncodeRecord(const google::protobuf::Message& message) {
  const std::string payload = message.SerializeAsString();
  std::string record;
  AppendU32(static_cast<uint32_t>(payload.size()), &record);
  AppendU32(Crc32c(payload), &record);
  return record + payload;
}

absl::Status DecodeRecord(absl::string_view file,
                          google::protobuf::Message* message) {
  if (!IsIntact(file) || kHeaderBytes + *LengthOf(file) != file.size()) {
    return absl::DataLossError("its length or checksum is wrong");
  }
  const absl::string_view payload = file.substr(kHeaderBytes);
  if (!message->ParseFromArray(payload.data(),
                               static_cast<int>(payload.size()))) {
    return absl::DataLossError(
        absl::StrCat("it is not a ", message->GetTypeName()));
  }
  return absl::OkStatus();
}

absl::Status SplitRecords(absl::string_view file, RecordLog* log) {
  absl::string_view rest = file;
  while (IsIntact(rest)) {
    const size_t length = *LengthOf(rest);
    log->payloads.push_back(rest.substr(kHeaderBytes, length));
    rest.remove_prefix(kHeaderBytes + length);
  }
  log->valid_bytes = file.size() - rest.size();
  // Nothing is appended before the record in front is durable. So an intact
  // record behind one that is not tells of damage, not of a crash.
  const std::optional<size_t> length = LengthOf(rest);
  if (length.has_value() && IsIntact(rest.substr(kHeaderBytes + *length))) {
    return absl::DataLossError(
        absl::StrCat("the record at offset ", log->valid_bytes, " is damaged"));
  }
  return absl::OkStatus();
}

}  // namespace quorate::agent
