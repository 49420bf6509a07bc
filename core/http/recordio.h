// RecordIO: "<decimal length>\n<bytes>", repeated.

#ifndef QUORATE_CORE_HTTP_RECORDIO_H_
#define QUORATE_CORE_HTTP_RECORDIO_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::http {

std::string EncodeRecord(absl::string_view record);

// Incremental; memory grows with the bytes received, not with the length
// announced.
class RecordDecoder {
 public:
  static constexpr size_t kMaxRecordBytes = 16 << 20;

  explicit RecordDecoder(size_t max_record_bytes = kMaxRecordBytes)
      : max_record_bytes_(max_record_bytes) {}

  // Calls `on_record` for each complete record. InvalidArgument for a length
  // that is not 1 to 16 decimal digits, zero or too large: the decoder is then
  // dead, and whatever it is fed fails alike. `on_record` may not destroy the
  // decoder or feed it.
  absl::Status Feed(absl::string_view bytes,
                    const std::function<void(absl::string_view)>& on_record);

  // InvalidArgument when the stream ends inside a record.
  absl::Status Finish() const;

 private:
  // Takes what it needs from the front of `bytes`. True at the end of a length.
  absl::StatusOr<bool> ReadLength(absl::string_view* bytes);

  size_t max_record_bytes_;
  int length_digits_ = 0;
  size_t length_ = 0;
  bool in_record_ = false;  // The length has been read.
  std::string buffer_;      // The beginning of the record.
  bool failed_ = false;
};

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_RECORDIO_H_
