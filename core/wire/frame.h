// The framing of a wire::Link, without I/O.

#ifndef QUORATE_CORE_WIRE_FRAME_H_
#define QUORATE_CORE_WIRE_FRAME_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/wire/link.h"

namespace quorate::wire {

// Length and checksum in front of the payload.
inline constexpr size_t kFrameHeaderBytes = 8;

std::string EncodeFrame(absl::string_view payload);

// Incremental. Memory grows with the bytes received, not with the length
// announced.
class FrameDecoder {
 public:
  explicit FrameDecoder(size_t max_frame_bytes = kMaxFrameBytes)
      : max_frame_bytes_(max_frame_bytes) {}

  void set_max_frame_bytes(size_t bytes) { max_frame_bytes_ = bytes; }
  void Add(absl::string_view bytes) {
    buffer_.append(bytes.data(), bytes.size());
  }

  // Moves the next frame's payload to `*payload` and says true; false when it
  // is not complete yet. DataLoss for a bad length or checksum: the stream
  // cannot be trusted any more.
  absl::StatusOr<bool> Next(std::string* payload);

 private:
  size_t max_frame_bytes_;
  std::string buffer_;
  size_t begin_ = 0;  // What is before it has been taken.
};

std::string EncodeHandshake(const Handshake& handshake);
// InvalidArgument when it is not one.
absl::StatusOr<Handshake> DecodeHandshake(absl::string_view payload);

}  // namespace quorate::wire

#endif  // QUORATE_CORE_WIRE_FRAME_H_
