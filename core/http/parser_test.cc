#include "core/http/parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace quorate::http {
namespace {

using Kind = Parser::Kind;

constexpr absl::string_view kGet = "GET / HTTP/1.1\r\n";

// What a parser says of `bytes`, fed in pieces of `step`, and then of the end
// of the stream: "[POST /x|body]" for each message, then "E400" or "...".
std::string Trace(Kind kind, absl::string_view bytes, size_t step,
                  const ParserLimits& limits = {}) {
  Parser parser(kind, limits);
  std::string trace;
  bool failed = false;
  const auto note = [&](Parser::Event event) {
    switch (event) {
      case Parser::Event::kNeedMore:
        return false;
      case Parser::Event::kHead:
        absl::StrAppend(&trace, "[", parser.head().method,
                        parser.head().method.empty() ? "" : " ",
                        parser.head().target);
        if (kind == Kind::kResponse) {
          absl::StrAppend(&trace, parser.head().status);
        }
        absl::StrAppend(&trace, "|");
        return true;
      case Parser::Event::kBody:
        absl::StrAppend(&trace, parser.body());
        return true;
      case Parser::Event::kEnd:
        absl::StrAppend(&trace, "]");
        return true;
      case Parser::Event::kError:
        absl::StrAppend(&trace, "E", parser.error_status());
        failed = true;
        return false;
    }
    return false;
  };
  for (size_t i = 0; i < bytes.size() && !failed; i += step) {
    absl::string_view input = bytes.substr(i, step);
    while (note(parser.Next(&input))) {
    }
  }
  // Inside a message, its end is an error unless the message lasts to the end.
  if (!failed && !parser.between_messages()) {
    absl::StrAppend(&trace,
                    parser.Finish() == Parser::Event::kEnd ? "]" : "...");
  }
  return trace;
}

// The trace, which must not depend on how the bytes are cut.
std::string TraceOf(Kind kind, absl::string_view bytes,
                    const ParserLimits& limits = {}) {
  const std::string trace = Trace(kind, bytes, bytes.size() + 1, limits);
  for (size_t step : {1, 2, 3, 7}) {
    EXPECT_EQ(Trace(kind, bytes, step, limits), trace) << step << " " << bytes;
  }
  return trace;
}

std::string Requests(absl::string_view bytes, const ParserLimits& limits = {}) {
  return TraceOf(Kind::kRequest, bytes, limits);
}

std::string Responses(absl::string_view bytes,
                      const ParserLimits& limits = {}) {
  return TraceOf(Kind::kResponse, bytes, limits);
}

// A request with one more header line.
std::string With(absl::string_view line) {
  return Requests(absl::StrCat("POST /x HTTP/1.1\r\n", line, "\r\n\r\n"));
}

std::string Chunked(absl::string_view body) {
  return Requests(absl::StrCat(
      "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", body));
}

TEST(ParserTest, ReadsRequests) {
  EXPECT_EQ(Requests("GET / HTTP/1.1\r\n\r\n"), "[GET /|]");
  EXPECT_EQ(Requests("PUT /a?b=c HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"
                     "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"),
            "[PUT /a?b=c|abc][GET /2|]");
  EXPECT_EQ(With("Content-Length: 0"), "[POST /x|]");
  EXPECT_EQ(Chunked("5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n"),
            "[POST /x|hello!]");
  EXPECT_EQ(Chunked("A\r\n0123456789\r\n000\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            "[POST /x|0123456789][GET /|]");
  EXPECT_EQ(With("transfer-encoding: Chunked"), "[POST /x|...");
}

TEST(ParserTest, KeepsHeadersAsTheyCame) {
  Parser parser(Kind::kRequest, {});
  absl::string_view input =
      "GET / HTTP/1.1\r\nAccept: a\r\nX:\r\nY: \t b c \t\r\naccept:b\r\n\r\n";
  ASSERT_EQ(parser.Next(&input), Parser::Event::kHead);
  const std::vector<std::pair<std::string, std::string>> fields = {
      {"Accept", "a"}, {"X", ""}, {"Y", "b c"}, {"accept", "b"}};
  EXPECT_EQ(parser.head().headers.fields(), fields);
  EXPECT_TRUE(parser.head().keep_alive);
}

TEST(ParserTest, KnowsWhetherTheConnectionLasts) {
  const auto keep_alive = [](absl::string_view version,
                             absl::string_view line) {
    Parser parser(Kind::kRequest, {});
    const std::string bytes =
        absl::StrCat("GET / HTTP/", version, "\r\n", line, "\r\n");
    absl::string_view input = bytes;
    EXPECT_EQ(parser.Next(&input), Parser::Event::kHead);
    return parser.head().keep_alive;
  };
  EXPECT_TRUE(keep_alive("1.1", ""));
  EXPECT_FALSE(keep_alive("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keep_alive("1.1", "Connection: TE, Close\r\n"));
  EXPECT_FALSE(keep_alive("1.0", ""));
  EXPECT_TRUE(keep_alive("1.0", "Connection: keep-alive\r\n"));
}

TEST(ParserTest, ReadsResponses) {
  EXPECT_EQ(Responses("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "[200|ok]");
  EXPECT_EQ(Responses("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"
                      "2\r\nok\r\n0\r\n\r\n"),
            "[200|ok]");
  EXPECT_EQ(Responses("HTTP/1.0 200 OK\r\n\r\nuntil the end"),
            "[200|until the end]");
  EXPECT_EQ(Responses("HTTP/1.1 100 Continue\r\n\r\n"
                      "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
                      "HTTP/1.1 304 Not Modified\r\n\r\n"),
            "[100|][204|][304|]");
  EXPECT_EQ(Responses("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
            "[200|ok...");
}

TEST(ParserTest, AnswersToHeadHaveNoBody) {
  Parser parser(Kind::kResponse, {});
  parser.ExpectNoBody();
  absl::string_view input =
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  EXPECT_EQ(parser.Next(&input), Parser::Event::kHead);
  EXPECT_EQ(parser.Next(&input), Parser::Event::kEnd);
  EXPECT_EQ(parser.Next(&input), Parser::Event::kHead);
  EXPECT_EQ(parser.Next(&input), Parser::Event::kBody);
}

TEST(ParserTest, RefusesWhatCouldBeReadInTwoWays) {
  const struct {
    absl::string_view line;
    absl::string_view trace;
  } cases[] = {
      {"Content-Length: 1\r\nTransfer-Encoding: chunked", "E400"},
      {"Transfer-Encoding: chunked\r\nContent-Length: 1", "E400"},
      {"Transfer-Encoding: identity\r\nContent-Length: 1", "E400"},
      {"Content-Length: 1\r\nContent-Length: 1", "E400"},
      {"Content-Length: 1\r\ncontent-length: 2", "E400"},
      {"Content-Length: 1, 1", "E400"},
      {"Content-Length: +1", "E400"},
      {"Content-Length: -1", "E400"},
      {"Content-Length: 0x1", "E400"},
      {"Content-Length: 1 1", "E400"},
      {"Content-Length:", "E400"},
      {"Content-Length: 18446744073709551616", "E400"},
      {"Content-Length: 18446744073709551615", "E413"},
      {"Transfer-Encoding: gzip, chunked", "E501"},
      {"Transfer-Encoding: chunked, gzip", "E501"},
      {"Transfer-Encoding: chunked, chunked", "E501"},
      {"Transfer-Encoding: xchunked", "E501"},
      {"Transfer-Encoding: \"chunked\"", "E501"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "E400"},
      {"Transfer-Encoding:\x0b chunked", "E400"},
      {"Transfer-Encoding : chunked", "E400"},
      {"Content-Length : 1", "E400"},
      {" Content-Length: 1", "E400"},
      {"X: a\r\n Content-Length: 1", "E400"},
      {"X: a\r\n\tfolded", "E400"},
      {"X: a\nContent-Length: 1", "E400"},
      {"X: a\rContent-Length: 1", "E400"},
      {"X: a\r\r\nContent-Length: 1", "E400"},
      {"No-Colon", "E400"},
      {": empty name", "E400"},
      {"Bad Name: x", "E400"},
      {"B\x80"
       "d: x",
       "E400"},
      {"X: \x01", "E400"},
      {"X: \x7f", "E400"},
      {absl::string_view("X: a\0b", 6), "E400"},
      {absl::string_view("X\0: a", 5), "E400"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(With(test.line), test.trace) << test.line;
  }
  EXPECT_EQ(Requests("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "E400");
}

TEST(ParserTest, RefusesBadRequestLines) {
  const struct {
    absl::string_view line;
    absl::string_view trace;
  } cases[] = {
      {"GET /", "E400"},
      {"GET", "E400"},
      {"GET  / HTTP/1.1", "E400"},
      {"GET / HTTP/1.1 ", "E400"},
      {"GET / x HTTP/1.1", "E400"},
      {" GET / HTTP/1.1", "E400"},
      {"GET\t/ HTTP/1.1", "E400"},
      {"G(T / HTTP/1.1", "E400"},
      {"GET / http/1.1", "E400"},
      {"GET / HTTP/1.", "E400"},
      {"GET / HTTP/11", "E400"},
      {"GET / HTTP/1.1x", "E400"},
      {"GET / HTTP/2.0", "E505"},
      {"PRI * HTTP/2.0", "E505"},
      {"GET / HTTP/1.2", "E505"},
      {"GET / HTTP/0.9", "E505"},
      {"GET /\x01 HTTP/1.1", "E400"},
      {absl::string_view("GET /\0 HTTP/1.1", 15), "E400"},
      {"\x16\x03\x01\x02", "E400"},
      {"* OK IMAP4rev1", "E400"},
      {"HTTP/1.1 200 OK", "E400"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(Requests(absl::StrCat(test.line, "\r\n\r\n")), test.trace)
        << test.line;
  }
  EXPECT_EQ(Requests("\x16"), "E400");
  EXPECT_EQ(Requests("\n"), "E400");
  EXPECT_EQ(Requests("GET / HTTP/1.1\n\n"), "E400");
}

TEST(ParserTest, ForgivesFewEmptyLinesBeforeARequest) {
  EXPECT_EQ(Requests("\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n"), "[GET /|]");
  EXPECT_EQ(Requests("\r\n\r\n\r\n"), "E400");
  EXPECT_EQ(Requests("\r\n"), "");
}

TEST(ParserTest, RefusesBadChunks) {
  for (absl::string_view bad : {
           "\r\n",                        // No size.
           "x\r\n",                       //
           "-1\r\n",                      //
           "0x5\r\nhello",                //
           " 5\r\nhello",                 //
           "5 \r\nhello",                 //
           "5\nhello",                    //
           "5\rhello",                    //
           "5;a\nhello",                  // The end of line in an extension.
           "5;a=\"\r\n\"\r\nhello\x01",   //
           "5;\x01\r\nhello",             //
           "5\r\nhello5\r\nhello",        // The chunk is longer than its size.
           "5\r\nhello\n0\r\n\r\n",       //
           "00000000000000005\r\nhello",  // 17 digits.
           "0\r\nX: a\n\r\n",             // In trailers.
           "0\r\n X: a\r\n\r\n",          //
       }) {
    const std::string trace = Chunked(bad);
    EXPECT_EQ(trace.substr(trace.size() - 4), "E400") << bad;
  }
  EXPECT_EQ(Chunked("ffffffffffffffff\r\n"), "[POST /x|E413");
  EXPECT_EQ(Chunked(absl::StrCat("1;", std::string(1025, 'a'), "\r\n")),
            "[POST /x|E400");
  EXPECT_EQ(Chunked("5\r\nhel"), "[POST /x|hel...");
}

TEST(ParserTest, IgnoresTrailers) {
  EXPECT_EQ(Chunked("1\r\na\r\n0\r\nContent-Length: 9\r\n"
                    "Transfer-Encoding: gzip\r\nno colon\r\n\r\n"
                    "GET / HTTP/1.1\r\n\r\n"),
            "[POST /x|a][GET /|]");
  EXPECT_EQ(Chunked(absl::StrCat("0\r\nX: ", std::string(8 << 10, 'a'))),
            "[POST /x|E431");
}

TEST(ParserTest, KeepsItsLimits) {
  const ParserLimits limits = {.max_start_line_bytes = 20,
                               .max_header_bytes = 30,
                               .max_headers = 3,
                               .max_body_bytes = 5};
  // As long as is allowed, and one byte more.
  EXPECT_EQ(Requests("GET /234567 HTTP/1.1\r\n\r\n", limits), "[GET /234567|]");
  EXPECT_EQ(Requests("GET /2345678 HTTP/1.1\r\n\r\n", limits), "E414");
  EXPECT_EQ(Requests(std::string(21, 'A'), limits), "E414");
  EXPECT_EQ(
      Requests(absl::StrCat(kGet, "X: ", std::string(25, 'a'), "\r\n\r\n"),
               limits),
      "[GET /|]");
  EXPECT_EQ(Requests(absl::StrCat(kGet, "X: ", std::string(28, 'a')), limits),
            "E431");
  EXPECT_EQ(Requests(absl::StrCat(kGet, "A:\r\nB:\r\nC:\r\n\r\n"), limits),
            "[GET /|]");
  EXPECT_EQ(
      Requests(absl::StrCat(kGet, "A:\r\nB:\r\nC:\r\nD:\r\n\r\n"), limits),
      "E431");
  EXPECT_EQ(
      Requests(absl::StrCat(kGet, "Content-Length: 5\r\n\r\nhello"), limits),
      "[GET /|hello]");
  EXPECT_EQ(Requests(absl::StrCat(kGet, "Content-Length: 6\r\n\r\n"), limits),
            "E413");
  const std::string chunked =
      absl::StrCat(kGet, "Transfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(Requests(absl::StrCat(chunked, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
                     limits),
            "[GET /|hello]");
  EXPECT_EQ(Requests(absl::StrCat(chunked, "3\r\nhel\r\n3\r\n"), limits),
            "[GET /|helE413");
  EXPECT_EQ(Responses("HTTP/1.0 200 OK\r\n\r\nhello!", limits),
            "[200|helloE413");
}

TEST(ParserTest, RefusesBadResponses) {
  for (absl::string_view bad :
       {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n", "HTTP 200 OK\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\nX: a\n\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    EXPECT_EQ(Responses(bad), "E400") << bad;
  }
  EXPECT_EQ(Responses("HTTP/2.0 200 OK\r\n\r\n"), "E505");
  // Before the end of what would be its head, which may never come.
  EXPECT_EQ(Responses("SSH-2.0-OpenSSH\r\n"), "E400");
}

TEST(ParserTest, ReadsNothingAfterAnError) {
  Parser parser(Kind::kRequest, {});
  absl::string_view input = "\x16GET / HTTP/1.1\r\n\r\n";
  EXPECT_EQ(parser.Next(&input), Parser::Event::kError);
  EXPECT_EQ(parser.Next(&input), Parser::Event::kError);
  EXPECT_EQ(parser.Finish(), Parser::Event::kError);
  EXPECT_FALSE(parser.between_messages());
}

}  // namespace
}  // namespace quorate::http
