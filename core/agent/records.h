// Records in files: little-endian u32 length, u32 CRC-32C of the payload,
// payload (a protobuf).

#ifndef QUORATE_CORE_AGENT_RECORDS_H_
#define QUORATE_CORE_AGENT_RECORDS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}

namespace quorate::agent {

inline constexpr size_t kMaxRecordBytes = 128 << 20;

std::string EncodeRecord(const google::protobuf::Message& message);

// A file of one record. DataLoss says what is wrong with it.
absl::Status DecodeRecord(absl::string_view file,
                          google::protobuf::Message* message);

// A file to which records are appended, each of them synced before the next.
struct RecordLog {
  std::vector<absl::string_view> payloads;
  // Of the prefix that holds whole records; what follows is the record that a
  // crash has torn.
  size_t valid_bytes = 0;
};
// DataLoss when a record is damaged that others follow.
absl::Status SplitRecords(absl::string_view file, RecordLog* log);

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_RECORDS_H_
