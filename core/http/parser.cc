#include "core/http/parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace quorate::http {
namespace {

namespace beast = boost::beast;

// Before a request line; some clients end a body with a line feed too many.
constexpr int kMaxEmptyLines = 2;
constexpr int kMaxChunkSizeDigits = 16;
constexpr size_t kMaxChunkExtensionBytes = 1 << 10;
constexpr size_t kMaxTrailerBytes = 8 << 10;

bool IsControl(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

// Beast's tokenizer, fed with the bytes of one whole head: what it accepts of
// an incomplete one depends on where the bytes are cut, and its chunk decoder
// is not bounded. The body is read by Parser itself.
template <bool kIsRequest>
class HeadTokenizer : public beast::http::basic_parser<kIsRequest> {
 public:
  HeadTokenizer(size_t max_headers, Head* head)
      : max_headers_(max_headers), head_(*head) {
    this->body_limit(std::numeric_limits<uint64_t>::max());
  }

  // True when all of `block` is one well-formed head.
  bool Tokenize(absl::string_view block) {
    this->header_limit(static_cast<uint32_t>(block.size() + 1));
    beast::error_code error;
    const size_t used =
        this->put(boost::asio::buffer(block.data(), block.size()), error);
    if (error || used != block.size() || !this->is_header_done()) return false;
    head_.keep_alive = this->keep_alive();
    return true;
  }

  bool too_many_headers() const { return too_many_headers_; }

 private:
  using string_view = beast::string_view;
  using error_code = beast::error_code;

  void on_request_impl(beast::http::verb, string_view method,
                       string_view target, int version, error_code&) override {
    head_.method.assign(method.data(), method.size());
    head_.target.assign(target.data(), target.size());
    head_.minor_version = version % 10;
  }

  void on_response_impl(int status, string_view, int version,
                        error_code&) override {
    head_.status = status;
    head_.minor_version = version % 10;
  }

  void on_field_impl(beast::http::field, string_view name, string_view value,
                     error_code& error) override {
    if (head_.headers.fields().size() >= max_headers_) {
      too_many_headers_ = true;
      error = beast::http::error::header_limit;
      return;
    }
    head_.headers.Add(absl::string_view(name.data(), name.size()),
                      absl::string_view(value.data(), value.size()));
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&,
                         error_code&) override {}
  size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view, error_code&) override {
    return 0;
  }
  void on_finish_impl(error_code&) override {}

  const size_t max_headers_;
  Head& head_;
  bool too_many_headers_ = false;
};

// "HTTP/2.0" and the like, which is well-formed but not for us.
bool IsForeignVersion(absl::string_view version) {
  return version.size() == 8 && absl::StartsWith(version, "HTTP/") &&
         absl::ascii_isdigit(version[5]) && version[6] == '.' &&
         absl::ascii_isdigit(version[7]) && version != "HTTP/1.0" &&
         version != "HTTP/1.1";
}

size_t CountFields(const Headers& headers, absl::string_view name) {
  size_t count = 0;
  for (const auto& field : headers.fields()) {
    if (absl::EqualsIgnoreCase(field.first, name)) ++count;
  }
  return count;
}

// Digits only, in contrast to SimpleAtoi.
bool ParseLength(absl::string_view text, uint64_t* length) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, length);
}

// Other protocols begin with a line as well, and then wait for us.
bool MayBeResponse(absl::string_view beginning) {
  constexpr absl::string_view kName = "HTTP/";
  while (absl::StartsWith(beginning, "\r\n")) beginning.remove_prefix(2);
  return absl::StartsWith(kName, beginning.substr(0, kName.size())) ||
         beginning == "\r";
}

}  // namespace

void LineScanner::Reset(bool has_start_line, const ParserLimits& limits) {
  *this = LineScanner();
  in_start_line_ = has_start_line;
  max_start_line_bytes_ = limits.max_start_line_bytes;
  max_header_bytes_ = limits.max_header_bytes;
}

LineScanner::Result LineScanner::Fail(int status, const char* error) {
  error_status_ = status;
  error_ = error;
  return Result::kError;
}

LineScanner::Result LineScanner::Scan(absl::string_view* input) {
  for (size_t i = 0; i < input->size(); ++i) {
    const Result result = OnByte((*input)[i]);
    if (result == Result::kNeedMore) continue;
    input->remove_prefix(i + 1);
    return result;
  }
  input->remove_prefix(input->size());
  return Result::kNeedMore;
}

LineScanner::Result LineScanner::OnByte(char c) {
  started_ = true;
  if (after_cr_) {
    if (c != '\n') return Fail(400, "a carriage return without line feed");
    return OnLineEnd();
  }
  if (c == '\r') {
    after_cr_ = true;
    return Result::kNeedMore;
  }
  if (c == '\n') return Fail(400, "a line feed without carriage return");
  if (IsControl(c)) return Fail(400, "a control character in the header");
  if (line_bytes_ == 0 && (c == ' ' || c == '\t')) {
    return Fail(400, "a line begins with a space");
  }
  ++line_bytes_;
  if (in_start_line_) {
    if (line_bytes_ > max_start_line_bytes_) {
      return Fail(414, "the first line is too long");
    }
  } else if (++header_bytes_ > max_header_bytes_) {
    return Fail(431, "the header is too long");
  }
  return Result::kNeedMore;
}

LineScanner::Result LineScanner::OnLineEnd() {
  after_cr_ = false;
  if (line_bytes_ > 0) {
    if (!in_start_line_) header_bytes_ += 2;
    in_start_line_ = false;
    line_bytes_ = 0;
    return Result::kNeedMore;
  }
  if (!in_start_line_) return Result::kComplete;
  if (++empty_lines_ > kMaxEmptyLines) return Fail(400, "empty lines");
  started_ = false;
  return Result::kNeedMore;
}

Parser::Parser(Kind kind, const ParserLimits& limits)
    : kind_(kind), limits_(limits) {
  StartMessage();
}

void Parser::StartMessage() {
  state_ = State::kHead;
  scanner_.Reset(/*has_start_line=*/true, limits_);
  buffer_ = std::string();  // Idle connections hold no memory.
  left_ = 0;
  body_bytes_ = 0;
}

Parser::Event Parser::Fail(int status, absl::string_view error) {
  state_ = State::kFailed;
  error_status_ = status;
  error_ = std::string(error);
  return Event::kError;
}

Parser::Event Parser::Next(absl::string_view* input) {
  Event event = Event::kNeedMore;
  do {
    switch (state_) {
      case State::kHead:
        event = ReadHead(input);
        break;
      case State::kLength:
        event = ReadBody(input, &left_, State::kEnd);
        break;
      case State::kUntilClose:
        event = ReadUntilClose(input);
        break;
      case State::kChunkData:
        event = ReadBody(input, &left_, State::kChunkDataCr);
        break;
      case State::kTrailers:
        event = ReadTrailers(input);
        break;
      case State::kEnd:
        StartMessage();
        return Event::kEnd;
      case State::kFailed:
        return Event::kError;
      default:
        if (input->empty()) return Event::kNeedMore;
        event = ReadChunkByte(input->front());
        input->remove_prefix(1);
        break;
    }
  } while (event == Event::kNeedMore &&
           (!input->empty() || state_ == State::kEnd));
  return event;
}

Parser::Event Parser::Finish() {
  if (state_ == State::kFailed) return Event::kError;
  if (between_messages()) return Event::kNeedMore;
  if (state_ == State::kUntilClose || state_ == State::kEnd) {
    StartMessage();
    return Event::kEnd;
  }
  return Fail(400, "the message is incomplete");
}

Parser::Event Parser::ReadHead(absl::string_view* input) {
  const absl::string_view before = *input;
  const LineScanner::Result result = scanner_.Scan(input);
  absl::string_view head = before.substr(0, before.size() - input->size());
  // Most heads arrive whole, and are not copied.
  const bool complete = result == LineScanner::Result::kComplete;
  if (!complete || !buffer_.empty()) {
    buffer_.append(head.data(), head.size());
    head = buffer_;
  }
  if (kind_ == Kind::kResponse && !MayBeResponse(head)) {
    return Fail(400, "this is no HTTP");
  }
  if (result == LineScanner::Result::kError) {
    return Fail(scanner_.error_status(), scanner_.error());
  }
  return complete ? OnHeadComplete(head) : Event::kNeedMore;
}

Parser::Event Parser::OnHeadComplete(absl::string_view block) {
  while (absl::StartsWith(block, "\r\n")) block.remove_prefix(2);
  head_ = Head();
  if (!TokenizeHead(block) || !DecideFraming()) return Event::kError;
  if (head_.framing == Framing::kLength &&
      head_.content_length > limits_.max_body_bytes) {
    return Fail(413, "the body is too long");
  }
  buffer_ = std::string();
  expect_no_body_ = false;
  switch (head_.framing) {
    case Framing::kNone:
      state_ = State::kEnd;
      break;
    case Framing::kLength:
      left_ = head_.content_length;
      state_ = left_ > 0 ? State::kLength : State::kEnd;
      break;
    case Framing::kChunked:
      chunk_digits_ = 0;
      state_ = State::kChunkSize;
      break;
    case Framing::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
  return Event::kHead;
}

bool Parser::TokenizeHead(absl::string_view block) {
  const absl::string_view line = block.substr(0, block.find('\r'));
  const absl::string_view version = kind_ == Kind::kRequest
                                        ? line.substr(line.rfind(' ') + 1)
                                        : line.substr(0, line.find(' '));
  if (IsForeignVersion(version)) {
    Fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    return false;
  }
  bool well_formed = false;
  bool too_many_headers = false;
  if (kind_ == Kind::kRequest) {
    HeadTokenizer<true> tokenizer(limits_.max_headers, &head_);
    well_formed = tokenizer.Tokenize(block);
    too_many_headers = tokenizer.too_many_headers();
  } else {
    HeadTokenizer<false> tokenizer(limits_.max_headers, &head_);
    well_formed = tokenizer.Tokenize(block);
    too_many_headers = tokenizer.too_many_headers();
  }
  if (too_many_headers) {
    Fail(431, "too many header fields");
  } else if (!well_formed) {
    Fail(400, "not an HTTP message");
  }
  return well_formed;
}

bool Parser::DecideFraming() {
  const size_t lengths = CountFields(head_.headers, "Content-Length");
  const size_t encodings = CountFields(head_.headers, "Transfer-Encoding");
  if (lengths + encodings > 1) {
    Fail(400, "more than one of Content-Length and Transfer-Encoding");
    return false;
  }
  if (encodings > 0) {
    if (!absl::EqualsIgnoreCase(*head_.headers.Get("Transfer-Encoding"),
                                "chunked")) {
      Fail(501, "a Transfer-Encoding other than chunked");
      return false;
    }
    if (head_.minor_version == 0) {
      Fail(400, "Transfer-Encoding in HTTP/1.0");
      return false;
    }
    head_.framing = Framing::kChunked;
  } else if (lengths > 0) {
    if (!ParseLength(*head_.headers.Get("Content-Length"),
                     &head_.content_length)) {
      Fail(400, "bad Content-Length");
      return false;
    }
    head_.framing = Framing::kLength;
  } else if (kind_ == Kind::kResponse) {
    head_.framing = Framing::kUntilClose;
  }
  if (kind_ == Kind::kResponse &&
      (expect_no_body_ || head_.status / 100 == 1 || head_.status == 204 ||
       head_.status == 304)) {
    head_.framing = Framing::kNone;
  }
  return true;
}

Parser::Event Parser::ReadBody(absl::string_view* input, uint64_t* left,
                               State after) {
  if (input->empty()) return Event::kNeedMore;
  body_ = input->substr(0, std::min<uint64_t>(*left, input->size()));
  input->remove_prefix(body_.size());
  *left -= body_.size();
  if (*left == 0) state_ = after;
  return Event::kBody;
}

Parser::Event Parser::ReadUntilClose(absl::string_view* input) {
  if (input->empty()) return Event::kNeedMore;
  const uint64_t room = limits_.max_body_bytes - body_bytes_;
  if (room == 0) return Fail(413, "the body is too long");
  body_ = input->substr(0, std::min<uint64_t>(room, input->size()));
  input->remove_prefix(body_.size());
  body_bytes_ += body_.size();
  return Event::kBody;
}

Parser::Event Parser::ReadChunkByte(char c) {
  switch (state_) {
    case State::kChunkSize:
      if (absl::ascii_isxdigit(c)) return OnChunkSizeDigit(c);
      if (chunk_digits_ == 0 || (c != ';' && c != '\r')) {
        return Fail(400, "bad chunk size");
      }
      extension_bytes_ = 0;
      state_ = c == ';' ? State::kChunkExtension : State::kChunkSizeLf;
      return Event::kNeedMore;
    case State::kChunkExtension:
      if (c == '\r') {
        state_ = State::kChunkSizeLf;
      } else if (IsControl(c) || ++extension_bytes_ > kMaxChunkExtensionBytes) {
        return Fail(400, "bad chunk extension");
      }
      return Event::kNeedMore;
    case State::kChunkSizeLf:
      if (c != '\n') return Fail(400, "bad end of a chunk size");
      return OnChunkSizeEnd();
    case State::kChunkDataCr:
      if (c != '\r') return Fail(400, "bad end of a chunk");
      state_ = State::kChunkDataLf;
      return Event::kNeedMore;
    default:  // kChunkDataLf
      if (c != '\n') return Fail(400, "bad end of a chunk");
      chunk_digits_ = 0;
      left_ = 0;
      state_ = State::kChunkSize;
      return Event::kNeedMore;
  }
}

Parser::Event Parser::OnChunkSizeDigit(char c) {
  if (++chunk_digits_ > kMaxChunkSizeDigits) {
    return Fail(400, "bad chunk size");
  }
  const int digit =
      absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
  left_ = left_ * 16 + static_cast<uint64_t>(digit);
  return Event::kNeedMore;
}

Parser::Event Parser::OnChunkSizeEnd() {
  if (left_ == 0) {
    ParserLimits limits;
    limits.max_header_bytes = kMaxTrailerBytes;
    scanner_.Reset(/*has_start_line=*/false, limits);
    state_ = State::kTrailers;
    return Event::kNeedMore;
  }
  if (left_ > limits_.max_body_bytes - body_bytes_) {
    return Fail(413, "the body is too long");
  }
  body_bytes_ += left_;
  state_ = State::kChunkData;
  return Event::kNeedMore;
}

Parser::Event Parser::ReadTrailers(absl::string_view* input) {
  switch (scanner_.Scan(input)) {
    case LineScanner::Result::kNeedMore:
      return Event::kNeedMore;
    case LineScanner::Result::kComplete:
      state_ = State::kEnd;
      return Event::kNeedMore;
    case LineScanner::Result::kError:
      break;
  }
  return Fail(scanner_.error_status(), scanner_.error());
}

}  // namespace quorate::http
