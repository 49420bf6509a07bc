#include "core/http/recordio.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace quorate::http {
namespace {

constexpr int kMaxLengthDigits = 16;

}  // namespace

std::string EncodeRecord(absl::string_view record) {
  return absl::StrCat(record.size(), "\n", record);
}

absl::StatusOr<bool> RecordDecoder::ReadLength(absl::string_view* bytes) {
  while (!bytes->empty()) {
    const char c = bytes->front();
    bytes->remove_prefix(1);
    if (c == '\n') {
      if (length_digits_ == 0 || length_ == 0) {
        return absl::InvalidArgumentError("RecordIO: a record without length");
      }
      if (length_ > max_record_bytes_) {
        return absl::InvalidArgumentError(
            absl::StrCat("RecordIO: a record of ", length_, " bytes; at most ",
                         max_record_bytes_, " are taken"));
      }
      return true;
    }
    if (c < '0' || c > '9' || ++length_digits_ > kMaxLengthDigits) {
      return absl::InvalidArgumentError("RecordIO: a length is not a number");
    }
    length_ = length_ * 10 + static_cast<size_t>(c - '0');
  }
  return false;
}

absl::Status RecordDecoder::Feed(
    absl::string_view bytes,
    const std::function<void(absl::string_view)>& on_record) {
  if (failed_) return absl::InvalidArgumentError("RecordIO: failed before");
  while (!bytes.empty()) {
    if (!in_record_) {
      absl::StatusOr<bool> complete = ReadLength(&bytes);
      failed_ = !complete.ok();
      if (failed_) return complete.status();
      in_record_ = *complete;
      continue;
    }
    const size_t wanted = length_ - buffer_.size();
    const absl::string_view piece = bytes.substr(0, wanted);
    bytes.remove_prefix(piece.size());
    if (!buffer_.empty() || piece.size() < wanted) {
      buffer_.append(piece.data(), piece.size());
      if (piece.size() < wanted) break;
    }
    // A record that came in one piece is not copied.
    const std::string record = std::move(buffer_);
    buffer_.clear();
    in_record_ = false;
    length_digits_ = 0;
    length_ = 0;
    on_record(record.empty() ? piece : record);
  }
  return absl::OkStatus();
}

absl::Status RecordDecoder::Finish() const {
  if (failed_) return absl::InvalidArgumentError("RecordIO: failed before");
  if (in_record_ || length_digits_ > 0) {
    return absl::InvalidArgumentError("RecordIO: ends inside a record");
  }
  return absl::OkStatus();
}

}  // namespace quorate::http
