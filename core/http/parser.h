// Reads HTTP/1.x messages from bytes, strictly: whatever another parser might
// read in a second way (both Content-Length and Transfer-Encoding, bare line
// feeds, folded lines, ...) is an error.
//
//   Parser parser(Parser::Kind::kRequest, {});
//   for (;;) {
//     switch (parser.Next(&input)) {
//       case Parser::Event::kNeedMore: return;  // All of `input` is taken.
//       case Parser::Event::kHead:     head = parser.TakeHead();  break;
//       case Parser::Event::kBody:     body.append(parser.body());  break;
//       case Parser::Event::kEnd:      handle(head, body);  break;
//       case Parser::Event::kError:    refuse(parser.error());  return;
//     }
//   }
//
// What is read does not depend on how the bytes are cut into inputs.

#ifndef QUORATE_CORE_HTTP_PARSER_H_
#define QUORATE_CORE_HTTP_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/http/message.h"

namespace quorate::http {

struct ParserLimits {
  size_t max_start_line_bytes = 8 << 10;
  size_t max_header_bytes = 64 << 10;  // Without the start line.
  size_t max_headers = 100;
  uint64_t max_body_bytes = 64 << 20;  // After chunks are joined.
};

// How the end of a body is found.
enum class Framing { kNone, kLength, kChunked, kUntilClose };

// A message without its body.
struct Head {
  std::string method;  // Of a request.
  std::string target;
  int status = 0;  // Of a response.
  int minor_version = 1;
  Headers headers;
  // Whether the connection may carry another message after this one.
  bool keep_alive = true;
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;  // For kLength.
};

// Finds the end of a block of lines, the last of which is empty.
class LineScanner {
 public:
  enum class Result { kNeedMore, kComplete, kError };

  // Takes bytes from the front of `input`, up to and with the empty line.
  Result Scan(absl::string_view* input);
  void Reset(bool has_start_line, const ParserLimits& limits);

  // Apart from empty lines before the start line.
  bool started() const { return started_; }
  int error_status() const { return error_status_; }
  const char* error() const { return error_; }

 private:
  Result Fail(int status, const char* error);
  Result OnByte(char c);
  Result OnLineEnd();

  bool in_start_line_ = false;
  bool started_ = false;
  bool after_cr_ = false;
  int empty_lines_ = 0;
  size_t line_bytes_ = 0;
  size_t header_bytes_ = 0;
  size_t max_start_line_bytes_ = 0;
  size_t max_header_bytes_ = 0;
  int error_status_ = 0;
  const char* error_ = "";
};

class Parser {
 public:
  enum class Kind { kRequest, kResponse };
  enum class Event { kNeedMore, kHead, kBody, kEnd, kError };

  Parser(Kind kind, const ParserLimits& limits);

  // Takes bytes from the front of `input` until something is known. The events
  // of a message are kHead, any number of kBody, kEnd; then the next begins.
  // After kError nothing more is read.
  Event Next(absl::string_view* input);

  // The stream has ended: kEnd when this ends the message, kNeedMore when no
  // message had begun, kError inside a message.
  Event Finish();

  // The next response answers a HEAD request.
  void ExpectNoBody() { expect_no_body_ = true; }

  // With kHead.
  const Head& head() const { return head_; }
  Head TakeHead() { return std::move(head_); }
  // With kBody: a piece of the input.
  absl::string_view body() const { return body_; }
  // With kError: the status with which a server refuses.
  int error_status() const { return error_status_; }
  const std::string& error() const { return error_; }

  // No byte of a message has been read since the last one ended.
  bool between_messages() const {
    return state_ == State::kHead && !scanner_.started();
  }
  bool in_head() const { return state_ == State::kHead && scanner_.started(); }

 private:
  enum class State {
    kHead,
    kLength,
    kUntilClose,
    kChunkSize,
    kChunkExtension,
    kChunkSizeLf,
    kChunkData,
    kChunkDataCr,
    kChunkDataLf,
    kTrailers,
    kEnd,
    kFailed,
  };

  Event Fail(int status, absl::string_view error);
  void StartMessage();
  Event ReadHead(absl::string_view* input);
  Event OnHeadComplete(absl::string_view block);
  bool TokenizeHead(absl::string_view block);
  bool DecideFraming();
  Event ReadBody(absl::string_view* input, uint64_t* left, State after);
  Event ReadUntilClose(absl::string_view* input);
  Event ReadChunkByte(char c);
  Event OnChunkSizeDigit(char c);
  Event OnChunkSizeEnd();
  Event ReadTrailers(absl::string_view* input);

  const Kind kind_;
  const ParserLimits limits_;
  State state_ = State::kHead;
  bool expect_no_body_ = false;
  LineScanner scanner_;
  std::string buffer_;  // The beginning of a head.
  Head head_;
  absl::string_view body_;
  uint64_t left_ = 0;        // Of the body or the chunk.
  uint64_t body_bytes_ = 0;  // Announced or, without announcement, received.
  int chunk_digits_ = 0;
  size_t extension_bytes_ = 0;
  int error_status_ = 0;
  std::string error_;
};

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_PARSER_H_
