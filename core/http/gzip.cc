#include "core/http/gzip.h"

#include <glog/logging.h>
#include <zlib.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace quorate::http {
namespace {

// zlib's way to say: 32 KiB of window, in a gzip wrapper.
constexpr int kGzipWindowBits = 15 + 16;
constexpr int kDefaultMemoryLevel = 8;
// One deflate or inflate step; zlib counts in 32 bits.
constexpr size_t kStepBytes = 64 << 10;
constexpr size_t kMaxInputStepBytes = 1 << 30;

// Ends an inflate stream whatever happens.
class Inflater {
 public:
  Inflater() { CHECK_EQ(inflateInit2(&stream_, kGzipWindowBits), Z_OK); }
  ~Inflater() { inflateEnd(&stream_); }
  z_stream* stream() { return &stream_; }
  int Step() { return inflate(&stream_, Z_NO_FLUSH); }

 private:
  z_stream stream_ = {};
};

void SetInput(absl::string_view bytes, size_t done, z_stream* stream) {
  const absl::string_view piece = bytes.substr(done, kMaxInputStepBytes);
  stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
  stream->avail_in = static_cast<uInt>(piece.size());
}

// Whether the parameters of a coding, as in "gzip;q=0", give it no weight.
bool IsRefused(absl::string_view parameters) {
  for (absl::string_view parameter : absl::StrSplit(parameters, ';')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(parameter, absl::MaxSplits('=', 1));
    double weight = 1;
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first), "q") &&
        absl::SimpleAtod(parts.second, &weight) && weight <= 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string Gzip(absl::string_view bytes) {
  z_stream stream = {};
  // The fastest: bodies are large and the event loop waits.
  CHECK_EQ(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindowBits,
                        kDefaultMemoryLevel, Z_DEFAULT_STRATEGY),
           Z_OK);
  std::string out;
  size_t done = 0;
  int result = Z_OK;
  while (result == Z_OK) {
    SetInput(bytes, done, &stream);
    const size_t given = stream.avail_in;
    const size_t filled = out.size();
    out.resize(filled + kStepBytes);
    stream.next_out = reinterpret_cast<Bytef*>(&out[filled]);
    stream.avail_out = kStepBytes;
    const bool last = done + given == bytes.size();
    result = deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
    done += given - stream.avail_in;
    out.resize(out.size() - stream.avail_out);
  }
  CHECK_EQ(result, Z_STREAM_END);
  deflateEnd(&stream);
  return out;
}

absl::StatusOr<std::string> Gunzip(absl::string_view bytes, size_t max_bytes) {
  Inflater inflater;
  std::string out;
  size_t done = 0;
  for (;;) {
    SetInput(bytes, done, inflater.stream());
    const size_t given = inflater.stream()->avail_in;
    const size_t filled = out.size();
    // One byte over the limit shows that there is more.
    const size_t room = std::min(kStepBytes, max_bytes - filled + 1);
    out.resize(filled + room);
    inflater.stream()->next_out = reinterpret_cast<Bytef*>(&out[filled]);
    inflater.stream()->avail_out = static_cast<uInt>(room);
    const int result = inflater.Step();
    done += given - inflater.stream()->avail_in;
    out.resize(out.size() - inflater.stream()->avail_out);
    if (out.size() > max_bytes) {
      return absl::ResourceExhaustedError("the unpacked body is too long");
    }
    if (result == Z_STREAM_END && done == bytes.size()) return out;
    // Z_BUF_ERROR: the input is used up before the end of the stream.
    if (result != Z_OK) {
      return absl::InvalidArgumentError("the body is not in gzip");
    }
  }
}

bool AcceptsGzip(const std::optional<std::string>& accept_encoding) {
  if (!accept_encoding) return false;
  bool by_wildcard = false;
  for (absl::string_view item : absl::StrSplit(*accept_encoding, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(item, absl::MaxSplits(';', 1));
    const absl::string_view coding = absl::StripAsciiWhitespace(parts.first);
    const bool accepted = !IsRefused(parts.second);
    if (absl::EqualsIgnoreCase(coding, "gzip") ||
        absl::EqualsIgnoreCase(coding, "x-gzip")) {
      return accepted;
    }
    if (coding == "*") by_wildcard = accepted;
  }
  return by_wildcard;
}

}  // namespace quorate::http
