// RecordIO: any bytes survive the way through it, and what is read of any bytes
// does not depend on how they are cut.

#include "core/http/recordio.h"

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

constexpr size_t kMaxRecordBytes = 1000;

struct Decoded {
  std::vector<std::string> records;
  std::string status;

  friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded Decode(absl::string_view bytes, uint64_t seed) {
  http::RecordDecoder decoder(kMaxRecordBytes);
  Decoded decoded;
  absl::Status status;
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    if (!status.ok()) return;
    status = decoder.Feed(piece, [&](absl::string_view record) {
      decoded.records.emplace_back(record);
    });
  });
  if (status.ok()) status = decoder.Finish();
  decoded.status = status.ToString();
  return decoded;
}

void CheckRoundTrip(absl::string_view bytes, uint64_t seed) {
  std::vector<std::string> records;
  std::string encoded;
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    records.emplace_back(piece.substr(0, kMaxRecordBytes));
    encoded += http::EncodeRecord(records.back());
  });
  const Decoded decoded = Decode(encoded, seed + 1);
  CHECK(decoded.records == records);
  CHECK_EQ(decoded.status, "OK");
}

void CheckAll(absl::string_view bytes) {
  const Decoded whole = Decode(bytes, 0);
  for (uint64_t seed : kSeeds) {
    CHECK(Decode(bytes, seed) == whole);
    CheckRoundTrip(bytes, seed);
  }
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::CheckAll(quorate::fuzz::ToView(data, size));
  return 0;
}
