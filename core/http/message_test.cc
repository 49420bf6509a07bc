// Messages as values and their encodings: targets, headers, RecordIO, gzip, and
// the router.

#include "core/http/message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/http/gzip.h"
#include "core/http/recordio.h"
#include "core/http/router.h"

namespace quorate::http {
namespace {

TEST(TargetTest, SplitsAndDecodes) {
  const auto target = ParseTarget(
      "/slave%281%29/files+x/read?path=%2Ftmp%2Fa+b&offset=0&"
      "offset=7&flag&=v");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/slave(1)/files+x/read");
  const std::map<std::string, std::string> query = {
      {"", "v"}, {"flag", ""}, {"offset", "7"}, {"path", "/tmp/a b"}};
  EXPECT_EQ(target->query, query);
  EXPECT_EQ(ParseTarget("/a?")->query.size(), 0);
  EXPECT_EQ(ParseTarget("/%2f")->path, "//");
}

TEST(TargetTest, RefusesWhatHasNoMeaning) {
  for (absl::string_view bad :
       {"", "a", "*", "?a=b", "/%", "/%4", "/%zz", "/%00", "/a?x=%", "/a?%0=1",
        "/a?x=%00", "http://host/"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseTarget(bad).status())) << bad;
  }
}

TEST(TargetTest, EncodingIsUndoneByDecoding) {
  std::string all;
  for (int c = 1; c < 256; ++c) all.push_back(static_cast<char>(c));
  EXPECT_EQ(ParseTarget("/" + PercentEncode(all))->path, "/" + all);
  EXPECT_EQ(ParseTarget("/?k=" + PercentEncode(all))->query["k"], all);
  EXPECT_EQ(PercentEncode("a b/ü~"), "a%20b%2F%C3%BC~");
}

TEST(HeadersTest, NamesCompareWithoutCase) {
  Headers headers = {{"Accept", "a"}, {"Host", "h"}, {"accept", "b"}};
  EXPECT_TRUE(headers.Has("ACCEPT"));
  EXPECT_EQ(headers.Get("accept"), "a");
  EXPECT_EQ(headers.GetJoined("Accept"), "a, b");
  EXPECT_EQ(headers.Get("Range"), std::nullopt);
  EXPECT_EQ(headers.GetJoined("Range"), std::nullopt);
  headers.Set("aCCEPT", "c");
  EXPECT_EQ(headers.GetJoined("Accept"), "c");
  EXPECT_EQ(headers.fields().size(), 2);
}

std::vector<std::string> Decode(absl::string_view bytes, size_t step,
                                absl::Status* status) {
  RecordDecoder decoder(100);
  std::vector<std::string> records;
  for (size_t i = 0; i < bytes.size() && status->ok(); i += step) {
    *status = decoder.Feed(bytes.substr(i, step), [&](absl::string_view r) {
      records.emplace_back(r);
    });
  }
  if (status->ok()) *status = decoder.Finish();
  return records;
}

TEST(RecordIoTest, RoundTripsHoweverItIsCut) {
  const std::vector<std::string> records = {
      "a", "\n", "12\n", "{}", std::string(100, 'x'), std::string(3, '\0')};
  std::string bytes;
  for (const std::string& record : records) bytes += EncodeRecord(record);
  for (size_t step = 1; step <= bytes.size(); ++step) {
    absl::Status status;
    EXPECT_EQ(Decode(bytes, step, &status), records);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(RecordIoTest, RefusesBadLengths) {
  for (absl::string_view bad :
       {"\n", "0\n", "000\n", "x", "-1\n", "+1\na", " 1\na", "1 \na", "1\r\na",
        "101\n", "00000000000000001", "9999999999999999\n", "1", "2\na",
        "1\na\n"}) {
    for (size_t step : {1, 100}) {
      absl::Status status;
      Decode(bad, step, &status);
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    }
  }
}

TEST(RecordIoTest, StaysDeadAfterAnError) {
  RecordDecoder decoder;
  int records = 0;
  const auto count = [&](absl::string_view) { ++records; };
  EXPECT_FALSE(decoder.Feed("1\naz", count).ok());
  EXPECT_FALSE(decoder.Feed("1\na", count).ok());
  EXPECT_EQ(records, 1);
}

TEST(GzipTest, RoundTrips) {
  std::string text;
  for (int i = 0; i < 50000; ++i) absl::StrAppend(&text, i, ",");
  for (const std::string& body : {std::string(), std::string("a"), text}) {
    const auto back = Gunzip(Gzip(body), body.size());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, body);
  }
  EXPECT_LT(Gzip(text).size(), text.size() / 2);
}

TEST(GzipTest, IsBoundedAndStrict) {
  const std::string bomb = Gzip(std::string(10 << 20, 'a'));
  EXPECT_LT(bomb.size(), 100 << 10);
  EXPECT_TRUE(absl::IsResourceExhausted(Gunzip(bomb, 1 << 20).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(Gunzip(bomb, (10 << 20) - 1).status()));
  const std::string good = Gzip("hello");
  for (const std::string& bad :
       {std::string(), std::string("hello"), good + "x", good + good,
        good.substr(0, good.size() - 1), good.substr(1)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Gunzip(bad, 1 << 20).status()));
  }
}

TEST(GzipTest, AcceptEncoding) {
  for (const char* yes : {"gzip", "GZIP", "x-gzip", "deflate, gzip;q=0.5", "*",
                          "gzip;q=1.0, *;q=0", "br;q=1.0,gzip; q=0.1"}) {
    EXPECT_TRUE(AcceptsGzip(yes)) << yes;
  }
  for (const char* no : {"", "identity", "gzip;q=0", "gzip; q=0.0, *", "*;q=0",
                         "deflate, br", "gzipped"}) {
    EXPECT_FALSE(AcceptsGzip(no)) << no;
  }
  EXPECT_FALSE(AcceptsGzip(std::nullopt));
}

// Keeps the answer.
class FakeSink final : public Responder::Sink {
 public:
  explicit FakeSink(Response* answer) : answer_(*answer) {}
  void Send(Response response) override { answer_ = std::move(response); }
  std::unique_ptr<Stream> StartStream(int, Headers,
                                      std::optional<uint64_t>) override {
    return nullptr;
  }

 private:
  Response& answer_;
};

Response Ask(const Router& router, std::string method, std::string path) {
  Response answer;
  router.Route({.method = std::move(method), .path = std::move(path)},
               Responder(std::make_unique<FakeSink>(&answer)));
  return answer;
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() : router_("slave(1)") {
    Add("GET", "/state", "state");
    Add("POST", "/api/v1", "call");
    Add("GET", "/slave(1)/own", "own");
    Add("GET", "/own", "not own");
    Add("PUT", "/weights", "put");
    Add("GET", "/weights", "get");
    Add("*", "/any", "any");
    Add("GET", "/", "root");
  }

  void Add(absl::string_view method, absl::string_view path, std::string text) {
    router_.Add(method, path, [text](Request, Responder responder) {
      responder.Send(Response::Text(200, text));
    });
  }

  Router router_;
};

TEST_F(RouterTest, FindsExactPathsAndDropsTheDelegate) {
  for (const char* path :
       {"/state", "/state/", "/slave(1)/state", "/slave(1)/state/"}) {
    EXPECT_EQ(Ask(router_, "GET", path).body, "state") << path;
  }
  EXPECT_EQ(Ask(router_, "POST", "/slave(1)/api/v1/").body, "call");
  EXPECT_EQ(Ask(router_, "GET", "/slave(1)/own").body, "own");
  EXPECT_EQ(Ask(router_, "GET", "/own").body, "not own");
  EXPECT_EQ(Ask(router_, "HEAD", "/state").body, "state");
  EXPECT_EQ(Ask(router_, "PATCH", "/any").body, "any");
  for (const char* path : {"/", "", "/slave(1)", "/slave(1)/"}) {
    EXPECT_EQ(Ask(router_, "GET", path).body, "root") << path;
  }
}

TEST_F(RouterTest, RefusesAsExistingClientsExpect) {
  for (const char* path :
       {"/stat", "/state/x", "/state//", "//state", "/slave(2)/state",
        "/slave(1)state", "/slave(1)/slave(1)/state", "/STATE"}) {
    const Response answer = Ask(router_, "GET", path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body, "404 Not Found.");
    EXPECT_EQ(answer.headers.Get("Content-Type"), "text/plain; charset=utf-8");
  }
  Response answer = Ask(router_, "PUT", "/api/v1");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.headers.Get("Allow"), "POST");
  EXPECT_EQ(answer.body,
            "405 Method Not Allowed. Expecting one of { 'POST' }, but received "
            "'PUT'.");
  answer = Ask(router_, "DELETE", "/weights");
  EXPECT_EQ(answer.headers.Get("Allow"), "GET, PUT");
  EXPECT_EQ(answer.body,
            "405 Method Not Allowed. Expecting one of { 'GET', 'PUT' }, but "
            "received 'DELETE'.");
}

}  // namespace
}  // namespace quorate::http
