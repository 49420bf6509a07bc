#include "fuzz/parse_trace.h"

#include "absl/strings/str_cat.h"
#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

using Event = http::Parser::Event;

// Small, so that inputs come to the limits.
constexpr http::ParserLimits kLimits = {.max_start_line_bytes = 200,
                                        .max_header_bytes = 1000,
                                        .max_headers = 20,
                                        .max_body_bytes = 300};

class Tracer {
 public:
  Tracer(http::Parser::Kind kind, absl::string_view bytes)
      : bytes_(bytes), parser_(kind, kLimits) {}

  void Feed(absl::string_view piece) {
    Event event = Event::kNeedMore;
    do {
      const size_t before = piece.size();
      event = parser_.Next(&piece);
      taken_ += before - piece.size();
      OnEvent(event);
    } while (event != Event::kNeedMore && event != Event::kError);
  }

  ParseResult Finish() {
    if (!failed_) OnEvent(parser_.Finish());
    return std::move(result_);
  }

 private:
  void OnEvent(Event event) {
    switch (event) {
      case Event::kNeedMore:
        return;
      case Event::kHead:
        message_ = {.head = parser_.TakeHead()};
        return TraceHead();
      case Event::kBody:
        message_.body.append(parser_.body().data(), parser_.body().size());
        return;
      case Event::kEnd:
        absl::StrAppend(&result_.trace, "body ", message_.body, "\nend at ",
                        taken_, "\n");
        message_.bytes = bytes_.substr(begin_, taken_ - begin_);
        result_.messages.push_back(std::move(message_));
        begin_ = taken_;
        return;
      case Event::kError:
        if (std::exchange(failed_, true)) return;
        absl::StrAppend(&result_.trace, "error ", parser_.error_status(), " ",
                        parser_.error(), "\n");
        return;
    }
  }

  void TraceHead() {
    const http::Head& head = message_.head;
    absl::StrAppend(&result_.trace, "head ", head.method, " ", head.target, " ",
                    head.status, " ", head.minor_version, " ", head.keep_alive,
                    " ", head.content_length, "\n");
    for (const auto& [name, value] : head.headers.fields()) {
      absl::StrAppend(&result_.trace, name, "=", value, "\n");
    }
  }

  const absl::string_view bytes_;
  http::Parser parser_;
  size_t taken_ = 0;
  size_t begin_ = 0;
  bool failed_ = false;
  ParsedMessage message_;
  ParseResult result_;
};

}  // namespace

ParseResult ParseInPieces(http::Parser::Kind kind, absl::string_view bytes,
                          uint64_t seed) {
  Tracer tracer(kind, bytes);
  FeedInPieces(bytes, seed,
               [&](absl::string_view piece) { tracer.Feed(piece); });
  return tracer.Finish();
}

}  // namespace quorate::fuzz
