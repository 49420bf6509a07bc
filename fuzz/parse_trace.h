// What http::Parser makes of bytes, as text.

#ifndef QUORATE_FUZZ_PARSE_TRACE_H_
#define QUORATE_FUZZ_PARSE_TRACE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/http/parser.h"

namespace quorate::fuzz {

struct ParsedMessage {
  http::Head head;
  std::string body;
  absl::string_view bytes;  // Of the input.
};

struct ParseResult {
  std::string trace;
  std::vector<ParsedMessage> messages;  // The complete ones.
};

// Parses `bytes`, cut as FeedInPieces does, and then the end of the stream.
ParseResult ParseInPieces(http::Parser::Kind kind, absl::string_view bytes,
                          uint64_t seed);

}  // namespace quorate::fuzz

#endif  // QUORATE_FUZZ_PARSE_TRACE_H_
