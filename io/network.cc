#include "io/network.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::io {

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not ip:port, such as 10.0.0.1:5050"));
  const auto colon = text.rfind(':');
  if (colon == absl::string_view::npos) return bad;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return bad;
  }
  const absl::string_view ip = text.substr(0, colon);
  int parts = 0;
  for (absl::string_view part : absl::StrSplit(ip, '.')) {
    uint32_t byte = 0;
    if (part.size() > 3 || !absl::SimpleAtoi(part, &byte) || byte > 255) {
      return bad;
    }
    ++parts;
  }
  if (parts != 4) return bad;
  return Endpoint{std::string(ip), static_cast<uint16_t>(port)};
}

}  // namespace quorate::io
