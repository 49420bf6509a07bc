// Messages to bytes.

#ifndef QUORATE_CORE_HTTP_SERIALIZE_H_
#define QUORATE_CORE_HTTP_SERIALIZE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "core/http/message.h"
#include "io/clock.h"

namespace quorate::http {

// "HTTP/1.1 200 OK" and CR LF.
std::string StatusLine(int status);

// "Date: Sat, 21 Nov 2026 03:38:01 GMT" and CR LF.
std::string DateField(io::WallTime now);

// Appends "<name>: <value>" and CR LF. Values may hold foreign text: what would
// end the line becomes a space.
void AppendField(absl::string_view name, absl::string_view value,
                 std::string* out);

// Appends all fields but those that describe the connection and the framing
// of the body, or that the sender always adds by itself.
void AppendFields(const Headers& headers, std::string* out);

// `bytes`, which are not empty, as one chunk of a chunked body.
std::string Chunk(absl::string_view bytes);

inline constexpr absl::string_view kLastChunk = "0\r\n\r\n";

// Whether any Connection field holds the word, as in "close".
bool ConnectionHas(const Headers& headers, absl::string_view word);

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_SERIALIZE_H_
