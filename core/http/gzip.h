// Bodies in gzip.

#ifndef QUORATE_CORE_HTTP_GZIP_H_
#define QUORATE_CORE_HTTP_GZIP_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::http {

std::string Gzip(absl::string_view bytes);

// InvalidArgument when `bytes` are not exactly one gzip stream;
// ResourceExhausted when they unpack to more than `max_bytes`, of which no more
// than that are held in memory.
absl::StatusOr<std::string> Gunzip(absl::string_view bytes, size_t max_bytes);

// Whether a message with these Accept-Encoding fields, joined by commas, may be
// answered in gzip.
bool AcceptsGzip(const std::optional<std::string>& accept_encoding);

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_GZIP_H_
