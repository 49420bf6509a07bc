// The server over an in-memory connection, in fake time.

#include "core/http/server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/http/gzip.h"
#include "core/http/testing/fakes.h"

namespace quorate::http {
namespace {

using std::chrono::seconds;
using testing::FakeClock;
using testing::FakeNetwork;
using testing::RawPeer;

constexpr absl::string_view kDate = "Date: Sat, 21 Nov 2026 03:38:01 GMT\r\n";
constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string Get(absl::string_view path, absl::string_view headers = "") {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\n", headers, "\r\n");
}

std::string Post(absl::string_view body, absl::string_view headers = "") {
  return absl::StrCat("POST / HTTP/1.1\r\nContent-Length: ", body.size(),
                      "\r\n", headers, "\r\n", body);
}

std::string Ok(absl::string_view body) {
  return absl::StrCat("HTTP/1.1 200 OK\r\n", kDate,
                      "Content-Type: text/plain; charset=utf-8\r\n"
                      "Content-Length: ",
                      body.size(), "\r\n\r\n", body);
}

Response Text(absl::string_view text) { return Response::Text(200, text); }

// Requests wait in `requests` and `responders` unless their path begins with
// "/now", which answers at once with what came in.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : network_(&clock_) { NewServer({}); }

  void NewServer(const ServerOptions& options) {
    server_ = std::make_unique<Server>(
        clock_, options, [this](Request request, Responder responder) {
          if (absl::StartsWith(request.path, "/now")) {
            responder.Send(Text(absl::StrCat(request.path, request.body)));
            return;
          }
          requests_.push_back(std::move(request));
          responders_.push_back(std::move(responder));
        });
  }

  std::unique_ptr<RawPeer> Connect(absl::string_view first_bytes = "") {
    auto [client, server] = network_.MakePair();
    auto peer = std::make_unique<RawPeer>(std::move(client));
    server_->Adopt(std::move(server), first_bytes);
    return peer;
  }

  // What the server answers to these bytes.
  std::string Exchange(RawPeer& peer, absl::string_view bytes) {
    peer.Send(bytes);
    clock_.Run();
    return peer.Take();
  }

  Responder TakeResponder() {
    Responder responder = std::move(responders_.front());
    responders_.pop_front();
    return responder;
  }

  std::unique_ptr<Stream> Subscribe(RawPeer& peer,
                                    absl::string_view headers = "") {
    Exchange(peer, Get("/stream", headers));
    return TakeResponder().StartStream(200,
                                       {{"Content-Type", "application/json"}});
  }

  FakeClock clock_;
  FakeNetwork network_;
  std::deque<Request> requests_;
  std::deque<Responder> responders_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersOneAfterTheOther) {
  auto peer = Connect();
  EXPECT_EQ(Exchange(*peer, Get("/now")), Ok("/now"));
  clock_.Advance(seconds(1));
  EXPECT_TRUE(absl::StrContains(Exchange(*peer, Get("/now2")),
                                "Date: Sat, 21 Nov 2026 03:38:02 GMT"));
  EXPECT_FALSE(peer->ended());
}

TEST_F(ServerTest, ServesBytesThatWereReadBefore) {
  auto peer = Connect(Get("/now1") + "GET /now2 ");
  EXPECT_EQ(Exchange(*peer, "HTTP/1.1\r\n\r\n"), Ok("/now1") + Ok("/now2"));
}

TEST_F(ServerTest, TellsTheHandlerAboutTheRequest) {
  auto peer = Connect();
  Exchange(
      *peer,
      "PUT http://host:80/a%20b?c=d HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
  ASSERT_EQ(requests_.size(), 1);
  const Request& request = requests_.front();
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, "/a%20b?c=d");
  EXPECT_EQ(request.path, "/a b");
  EXPECT_EQ(request.query.at("c"), "d");
  EXPECT_EQ(request.headers.Get("host"), "h");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(request.peer.ToString(), "10.0.0.9:40000");
}

TEST_F(ServerTest, KeepsTheOrderOfRequests) {
  auto peer = Connect();
  EXPECT_EQ(Exchange(*peer, Get("/1") + Get("/2") + Get("/now3")), "");
  ASSERT_EQ(responders_.size(), 2);
  responders_[1].Send(Text("2"));
  clock_.Run();
  EXPECT_EQ(peer->Take(), "");
  responders_[0].Send(Text("1"));
  clock_.Run();
  EXPECT_EQ(peer->Take(), Ok("1") + Ok("2") + Ok("/now3"));
}

TEST_F(ServerTest, BoundsPipelining) {
  NewServer({.max_pipelined_requests = 3});
  auto peer = Connect();
  std::string requests;
  for (int i = 0; i < 10; ++i) requests += Get(absl::StrCat("/", i));
  Exchange(*peer, requests);
  EXPECT_EQ(requests_.size(), 3);
  for (int i = 0; i < 10; ++i) {
    ASSERT_FALSE(responders_.empty());
    // The next handler does not run from inside this one's Send.
    const size_t before = requests_.size();
    TakeResponder().Send(Text(absl::StrCat(i)));
    EXPECT_EQ(requests_.size(), before);
    clock_.Run();
    EXPECT_EQ(peer->Take(), Ok(absl::StrCat(i)));
  }
  EXPECT_EQ(requests_.size(), 10);
}

TEST_F(ServerTest, ReadsNoRequestsWhileAnswersAreNotTaken) {
  auto peer = Connect();
  peer->PauseReading();
  Exchange(*peer, Get("/"));
  TakeResponder().Send(Text(std::string(3 << 20, 'x')));
  Exchange(*peer, Get("/now"));
  EXPECT_EQ(Exchange(*peer, Get("/other")), "");
  EXPECT_EQ(requests_.size(), 1);
  peer->ResumeReading();
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), "/now"));
  EXPECT_EQ(requests_.size(), 2);
}

TEST_F(ServerTest, AnswersHeadWithoutBody) {
  auto peer = Connect();
  EXPECT_EQ(Exchange(*peer, "HEAD /now HTTP/1.1\r\n\r\n" + Get("/now")),
            Ok("/now").substr(0, Ok("/now").size() - 4) + Ok("/now"));
  Exchange(*peer, "HEAD /stream HTTP/1.1\r\n\r\n");
  auto stream = TakeResponder().StartStream(200, {});
  bool closed = false;
  stream->OnClosed([&] { closed = true; });
  stream->Write("dropped");
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), "\r\n\r\n"));
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, HeadersCannotBeInjected) {
  auto peer = Connect();
  Exchange(*peer, Get("/"));
  TakeResponder().Send({.status = 307,
                        .headers = {{"Location", "//a\r\nX: y"},
                                    {"Content-Length", "99"},
                                    {"transfer-encoding", "chunked"}}});
  clock_.Run();
  EXPECT_EQ(peer->Take(),
            absl::StrCat("HTTP/1.1 307 Temporary Redirect\r\n", kDate,
                         "Location: //a  X: y\r\nContent-Length: 0\r\n\r\n"));
}

TEST_F(ServerTest, NoContentHasNoLength) {
  auto peer = Connect();
  Exchange(*peer, Get("/"));
  TakeResponder().Send({.status = 204, .body = "dropped"});
  clock_.Run();
  EXPECT_EQ(peer->Take(),
            absl::StrCat("HTTP/1.1 204 No Content\r\n", kDate, "\r\n"));
}

TEST_F(ServerTest, ClosesWhenAsked) {
  for (const char* request : {"GET /now HTTP/1.1\r\nConnection: close\r\n\r\n",
                              "GET /now HTTP/1.0\r\n\r\n"}) {
    auto peer = Connect();
    const std::string answer =
        Exchange(*peer, absl::StrCat(request, Get("/ignored")));
    EXPECT_TRUE(absl::StrContains(answer, "\r\nConnection: close\r\n"));
    EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\n/now")) << answer;
    EXPECT_TRUE(peer->ended());
    peer->CloseWrite();
    clock_.Run();
    EXPECT_EQ(server_->connections(), 0);
  }
  auto peer = Connect();
  Exchange(*peer, Get("/"));
  Response response = Text("bye");
  response.headers.Set("Connection", "close");
  TakeResponder().Send(std::move(response));
  clock_.Run();
  EXPECT_TRUE(peer->ended());
}

TEST_F(ServerTest, KeepsAnHttp10ConnectionWhenAsked) {
  auto peer = Connect();
  const std::string request =
      "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(absl::StrContains(Exchange(*peer, request),
                                  "\r\nConnection: keep-alive\r\n"));
  }
  EXPECT_FALSE(peer->ended());
}

TEST_F(ServerTest, AnswersAPeerThatOnlyListensOn) {
  auto peer = Connect();
  peer->Send(Get("/") + Get("/now"));
  peer->CloseWrite();
  clock_.Run();
  EXPECT_FALSE(peer->ended());
  TakeResponder().Send(Text("1"));
  clock_.Run();
  EXPECT_EQ(peer->Take(), Ok("1") + Ok("/now"));
  EXPECT_TRUE(peer->ended());
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(ServerTest, AnUnansweredRequestGets500) {
  auto peer = Connect();
  Exchange(*peer, Get("/"));
  responders_.clear();
  clock_.Run();
  EXPECT_TRUE(absl::StartsWith(peer->Take(), "HTTP/1.1 500 "));
}

TEST_F(ServerTest, Continues) {
  auto peer = Connect();
  const absl::string_view head =
      "POST /now HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(Exchange(*peer, head), kContinue);
  EXPECT_EQ(Exchange(*peer, "hi"), Ok("/nowhi"));
  // With the body at hand there is nothing to wait for.
  EXPECT_TRUE(
      absl::EndsWith(Exchange(*peer, absl::StrCat(head, "hi")), Ok("/nowhi")));
  // Not before the answers to earlier requests.
  EXPECT_EQ(Exchange(*peer, absl::StrCat(Get("/slow"), head)), "");
  clock_.Advance(seconds(100));
  TakeResponder().Send(Text("slow"));
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), absl::StrCat("slow", kContinue)));
  EXPECT_TRUE(absl::EndsWith(Exchange(*peer, "hi"), "/nowhi"));
}

TEST_F(ServerTest, UnpacksBodies) {
  auto peer = Connect();
  const std::string body = "hello, hello, hello";
  for (const char* coding : {"gzip", "X-GZIP"}) {
    Exchange(*peer, Post(Gzip(body),
                         absl::StrCat("Content-Encoding: ", coding, "\r\n")));
    ASSERT_FALSE(requests_.empty());
    EXPECT_EQ(requests_.back().body, body);
  }
  Exchange(*peer, Post(body, "Content-Encoding: identity\r\n"));
  EXPECT_EQ(requests_.back().body, body);
}

TEST_F(ServerTest, PacksLongAnswers) {
  auto peer = Connect();
  const std::string body(1024, 'x');
  const auto answer_to = [&](absl::string_view accept, absl::string_view text) {
    Exchange(*peer, Get("/", accept));
    TakeResponder().Send(Text(text));
    clock_.Run();
    return peer->Take();
  };
  const std::string packed =
      answer_to("Accept-Encoding: deflate, gzip\r\n", body);
  EXPECT_TRUE(absl::StrContains(packed, "\r\nContent-Encoding: gzip\r\n"));
  const size_t end = packed.find("\r\n\r\n") + 4;
  EXPECT_EQ(*Gunzip(packed.substr(end), 1024), body);
  EXPECT_TRUE(absl::StrContains(
      packed, absl::StrCat("Content-Length: ", packed.size() - end, "\r\n")));
  EXPECT_EQ(answer_to("", body), Ok(body));
  EXPECT_EQ(answer_to("Accept-Encoding: gzip\r\n", body.substr(1)),
            Ok(body.substr(1)));
}

// Bad input: a status, then the end, whatever else was sent.

struct BadInput {
  std::string bytes;
  int status;
};

std::vector<BadInput> BadInputs() {
  const std::string big(70 << 10, 'a');
  return {
      {"\x16\x03\x01\x02\x01\x01\xfc\x03\x03", 400},
      {"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
      {"QRT/1\n", 400},
      {std::string(100, '\0'), 400},
      {"GET / HTTP/1.1\n\n", 400},
      {Get("nopath"), 400},
      {Get("*"), 400},
      {Get("/%"), 400},
      {Get("/%00"), 400},
      {Get("/", "Host: a\r\nHost: b\r\n"), 400},
      {Get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
      {Get("/", "Transfer-Encoding: chunked\r\n") + "x\r\n", 400},
      {Post("not gzip", "Content-Encoding: gzip\r\n"), 400},
      {Get("/", "Content-Length: 67108865\r\n"), 413},
      {Get("/", "Expect: 100-continue\r\nContent-Length: 67108865\r\n"), 413},
      {Get("/", "Transfer-Encoding: chunked\r\n") + "4000001\r\n", 413},
      {Post(Gzip(std::string((64 << 20) + 1, 'a')),
            "Content-Encoding: gzip\r\n"),
       413},
      {Get("/" + big), 414},
      {Post("x", "Content-Encoding: br\r\n"), 415},
      {Get("/", "Expect: tea\r\n"), 417},
      {Get("/", "X: " + big + "\r\n"), 431},
      {big.substr(0, 8 << 10) + "a", 414},
      {Get("/", "Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
  };
}

TEST_F(ServerTest, RefusesBadInput) {
  for (const BadInput& bad : BadInputs()) {
    auto peer = Connect();
    const std::string answer = Exchange(*peer, bad.bytes + Get("/now"));
    const std::string shown = bad.bytes.substr(0, 80);
    EXPECT_TRUE(
        absl::StartsWith(answer, absl::StrCat("HTTP/1.1 ", bad.status, " ")))
        << shown << ": " << answer;
    EXPECT_TRUE(absl::StrContains(answer, "\r\nConnection: close\r\n"));
    EXPECT_FALSE(absl::StrContains(answer, "/now")) << shown;
    EXPECT_TRUE(requests_.empty()) << shown;
    EXPECT_TRUE(peer->ended()) << shown;
    EXPECT_EQ(Exchange(*peer, Get("/now")), "");
  }
  clock_.Advance(seconds(10));
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(ServerTest, AnErrorWaitsForEarlierAnswers) {
  auto peer = Connect();
  EXPECT_EQ(Exchange(*peer, Get("/1") + "\x16garbage"), "");
  TakeResponder().Send(Text("1"));
  clock_.Run();
  EXPECT_TRUE(
      absl::StartsWith(peer->Take(), Ok("1") + "HTTP/1.1 400 Bad Request"));
  EXPECT_TRUE(peer->ended());
}

TEST_F(ServerTest, TruncatedRequestsAreRefused) {
  const std::string whole = Post("hello");
  for (size_t length = 1; length < whole.size(); ++length) {
    auto peer = Connect();
    peer->Send(whole.substr(0, length));
    peer->CloseWrite();
    clock_.Run();
    EXPECT_TRUE(absl::StartsWith(peer->Take(), "HTTP/1.1 400 ")) << length;
    EXPECT_EQ(server_->connections(), 0);
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(ServerTest, RefusesMoreConnectionsThanAllowed) {
  NewServer({.max_connections = 2});
  auto a = Connect();
  auto b = Connect();
  auto c = Connect(Get("/now"));
  clock_.Run();
  EXPECT_TRUE(c->ended());
  EXPECT_EQ(c->Take(), "");
  a->Drop();
  clock_.Run();
  auto d = Connect(Get("/now"));
  clock_.Run();
  EXPECT_EQ(d->Take(), Ok("/now"));
}

// Time limits.

TEST_F(ServerTest, SlowHeadersEnd) {
  auto peer = Connect();
  Exchange(*peer, "GET / HTTP/1.1\r\n");
  // However lively the client is.
  for (int i = 0; i < 9; ++i) {
    clock_.Advance(seconds(1));
    EXPECT_EQ(Exchange(*peer, absl::StrCat("X-", i, ": a\r\n")), "");
  }
  clock_.Advance(seconds(1));
  EXPECT_TRUE(absl::StartsWith(peer->Take(), "HTTP/1.1 408 "));
  EXPECT_TRUE(peer->ended());
  clock_.Advance(seconds(6));
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(ServerTest, TheHeaderLimitIsPerRequest) {
  auto peer = Connect();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Exchange(*peer, "GET /now"), "");
    clock_.Advance(seconds(8));
    EXPECT_NE(Exchange(*peer, " HTTP/1.1\r\n\r\n"), "");
  }
  EXPECT_FALSE(peer->ended());
}

TEST_F(ServerTest, SlowBodiesEnd) {
  const std::string head =
      "POST /now HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
  auto slow = Connect(head);
  auto steady = Connect(head);
  for (int i = 0; i < 50; ++i) {
    slow->Send("a");
    steady->Send(std::string(2000, 'a'));
    clock_.Advance(seconds(1));
  }
  EXPECT_TRUE(absl::StartsWith(slow->Take(), "HTTP/1.1 408 "));
  EXPECT_TRUE(slow->ended());
  EXPECT_TRUE(absl::StartsWith(steady->Take(), "HTTP/1.1 200 "));
}

TEST_F(ServerTest, IdleConnectionsEnd) {
  auto silent = Connect();
  auto used = Connect();
  auto waiting = Connect(Get("/slow"));
  clock_.Advance(seconds(200));
  EXPECT_EQ(Exchange(*used, Get("/now")).empty(), false);
  clock_.Advance(seconds(101));
  EXPECT_TRUE(silent->ended());
  EXPECT_EQ(silent->Take(), "");
  EXPECT_FALSE(used->ended());
  clock_.Advance(seconds(200));
  EXPECT_TRUE(used->ended());
  // A handler may take any time.
  EXPECT_FALSE(waiting->ended());
  TakeResponder().Send(Text("at last"));
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(waiting->Take(), "at last"));
}

TEST_F(ServerTest, ReadersWhoDoNotReadAreCutOff) {
  auto peer = Connect(Get("/"));
  peer->PauseReading();
  clock_.Run();
  TakeResponder().Send(Text(std::string(5 << 20, 'x')));
  clock_.Advance(seconds(301));
  EXPECT_EQ(server_->connections(), 0);
}

// Streams.

TEST_F(ServerTest, StreamsOneChunkPerWrite) {
  auto peer = Connect();
  auto stream = Subscribe(*peer, "Accept-Encoding: gzip\r\n");
  clock_.Run();
  EXPECT_EQ(peer->Take(), absl::StrCat("HTTP/1.1 200 OK\r\n", kDate,
                                       "Content-Type: application/json\r\n"
                                       "Transfer-Encoding: chunked\r\n\r\n"));
  EXPECT_TRUE(stream->Write("2\n{}"));
  EXPECT_TRUE(stream->Write(""));
  EXPECT_TRUE(stream->Write(std::string(2000, 'a')));
  clock_.Run();
  EXPECT_EQ(peer->Take(), absl::StrCat("4\r\n2\n{}\r\n7d0\r\n",
                                       std::string(2000, 'a'), "\r\n"));
  clock_.Advance(std::chrono::hours(24));
  EXPECT_EQ(Exchange(*peer, Get("/now")), "");
  stream->Close();
  stream->Write("dropped");
  clock_.Run();
  EXPECT_TRUE(absl::StartsWith(peer->Take(), "0\r\n\r\nHTTP/1.1 200 OK"));
  EXPECT_FALSE(peer->ended());
}

TEST_F(ServerTest, AStreamOutlivesConnectionClose) {
  auto peer = Connect();
  auto stream = Subscribe(*peer, "Connection: close\r\n");
  clock_.Advance(std::chrono::hours(1));
  EXPECT_FALSE(peer->ended());
  EXPECT_TRUE(absl::StrContains(peer->Take(), "\r\nConnection: close\r\n"));
  stream->Write("a");
  clock_.Run();
  EXPECT_EQ(peer->Take(), "1\r\na\r\n");
  stream->Close();
  clock_.Run();
  EXPECT_EQ(peer->Take(), "0\r\n\r\n");
  EXPECT_TRUE(peer->ended());
}

TEST_F(ServerTest, StreamsToHttp10WithoutChunks) {
  auto peer = Connect();
  Exchange(*peer, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  auto stream = TakeResponder().StartStream(200, {});
  stream->Write("a");
  stream->Write("b");
  clock_.Run();
  EXPECT_EQ(peer->Take(), absl::StrCat("HTTP/1.1 200 OK\r\n", kDate,
                                       "Connection: close\r\n\r\nab"));
  stream->Close();
  clock_.Run();
  EXPECT_TRUE(peer->ended());
}

TEST_F(ServerTest, StreamsOfAKnownLength) {
  auto peer = Connect();
  for (const bool whole : {true, false}) {
    Exchange(*peer, Get("/s"));
    auto stream = TakeResponder().StartStream(200, {}, 3);
    stream->Write("a");
    if (whole) stream->Write("bc");
    stream->Close();
    clock_.Run();
    EXPECT_EQ(peer->Take(),
              absl::StrCat("HTTP/1.1 200 OK\r\n", kDate,
                           "Content-Length: 3\r\n\r\na", whole ? "bc" : ""));
    EXPECT_EQ(peer->ended(), !whole);
  }
  // One that understands no chunks; the connection is used on.
  peer = Connect();
  Exchange(*peer, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  auto stream = TakeResponder().StartStream(200, {}, 1);
  stream->Write("a");
  stream->Close();
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), "Content-Length: 1\r\n\r\na"));
  EXPECT_FALSE(peer->ended());
  // To HEAD its length is all.
  Exchange(*peer, "HEAD /s HTTP/1.1\r\n\r\n" + Get("/now"));
  TakeResponder().StartStream(200, {}, 7)->Close();
  clock_.Run();
  EXPECT_TRUE(absl::StrContains(peer->Take(),
                                "Content-Length: 7\r\n\r\nHTTP/1.1 200 "));
  EXPECT_FALSE(peer->ended());
}

TEST_F(ServerTest, ADestroyedStreamLooksTruncated) {
  auto peer = Connect();
  auto stream = Subscribe(*peer);
  stream->Write("a");
  stream = nullptr;
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), "\r\n\r\n1\r\na\r\n"));
  EXPECT_TRUE(peer->ended());
}

TEST_F(ServerTest, StreamsKnowWhatIsQueued) {
  auto peer = Connect();
  auto stream = Subscribe(*peer);
  clock_.Run();
  peer->PauseReading();
  const std::string megabyte(1 << 20, 'x');
  EXPECT_FALSE(stream->Write(megabyte));
  EXPECT_GE(stream->queued_bytes(), megabyte.size());
  peer->ResumeReading();
  clock_.Run();
  EXPECT_EQ(stream->queued_bytes(), 0);
  EXPECT_TRUE(stream->Write("a"));
  // Behind another request's answer as well.
  Exchange(*peer, Get("/2"));
  auto second = TakeResponder().StartStream(200, {});
  EXPECT_FALSE(second->Write(megabyte));
  EXPECT_GE(second->queued_bytes(), megabyte.size());
}

TEST_F(ServerTest, StreamsLearnThatThereIsRoomAgain) {
  auto peer = Connect();
  auto stream = Subscribe(*peer);
  int told = 0;
  stream->OnWritable([&] { ++told; });
  const std::string megabyte(1 << 20, 'x');
  for (int i = 1; i <= 2; ++i) {
    peer->PauseReading();
    EXPECT_FALSE(stream->Write(megabyte));
    clock_.Run();
    EXPECT_EQ(told, i - 1);
    peer->ResumeReading();
    clock_.Run();
    EXPECT_EQ(told, i);
  }
  // One that waits behind another request's answer.
  Exchange(*peer, Get("/2"));
  auto second = TakeResponder().StartStream(200, {});
  int told_second = 0;
  second->OnWritable([&] { ++told_second; });
  EXPECT_FALSE(second->Write(megabyte));
  clock_.Run();
  EXPECT_EQ(told_second, 0);
  stream->Close();
  clock_.Run();
  EXPECT_EQ(told_second, 1);
  second = nullptr;
  clock_.Run();
  EXPECT_EQ(told, 2);
}

TEST_F(ServerTest, StreamsLearnOfTheEnd) {
  const auto end_by = [this](const std::function<void(RawPeer&)>& end) {
    auto peer = Connect();
    auto stream = Subscribe(*peer);
    int closed = 0;
    stream->OnClosed([&] { ++closed; });
    end(*peer);
    clock_.Run();
    EXPECT_EQ(closed, 1);
    EXPECT_TRUE(stream->Write("dropped"));
    EXPECT_EQ(stream->queued_bytes(), 0);
    stream->Close();
    EXPECT_EQ(server_->connections(), 0);
  };
  end_by([](RawPeer& peer) { peer.Drop(); });
  end_by([](RawPeer& peer) { peer.CloseWrite(); });
}

TEST_F(ServerTest, AStreamThatBeginsTooLateLearnsOfTheEnd) {
  for (const bool half : {false, true}) {
    auto peer = Connect(Get("/"));
    half ? peer->CloseWrite() : peer->Drop();
    clock_.Run();
    auto stream = TakeResponder().StartStream(200, {});
    stream->Write("dropped");
    int closed = 0;
    stream->OnClosed([&] { ++closed; });
    EXPECT_EQ(closed, 0);
    clock_.Run();
    EXPECT_EQ(closed, 1);
  }
}

TEST_F(ServerTest, AClosedOrDestroyedStreamIsNotCalled) {
  auto peer = Connect(Get("/1") + Get("/2") + Get("/3"));
  int closed = 0;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(TakeResponder().StartStream(200, {}));
    streams.back()->OnClosed([&] {
      ++closed;
      // The first to be called destroys all, and itself.
      streams.clear();
    });
  }
  streams[0]->Close();
  peer->Drop();
  clock_.Run();
  EXPECT_EQ(closed, 1);
}

// Lifetimes.

TEST_F(ServerTest, AnswersAfterTheConnectionAreDropped) {
  auto peer = Connect(Get("/1") + Get("/2") + Get("/3"));
  peer->Drop();
  TakeResponder().Send(Text("dropped"));
  clock_.Run();
  EXPECT_EQ(server_->connections(), 0);
  TakeResponder().Send(Text("dropped"));
  server_ = nullptr;
  responders_.clear();
}

TEST_F(ServerTest, AnswersAfterTheServerAreDropped) {
  auto peer = Connect(Get("/1") + Get("/2") + Get("/3"));
  auto stream = TakeResponder().StartStream(200, {});
  bool closed = false;
  stream->OnClosed([&] { closed = true; });
  server_ = nullptr;
  stream->Write("dropped");
  stream->OnClosed([&] { closed = true; });
  TakeResponder().Send(Text("dropped"));
  auto late = TakeResponder().StartStream(200, {});
  late->OnClosed([&] { closed = true; });
  late->Write("dropped");
  late->Close();
  clock_.Run();
  EXPECT_TRUE(peer->ended());
  EXPECT_FALSE(closed);
}

TEST_F(ServerTest, AHandlerMayDestroyTheServer) {
  server_ = std::make_unique<Server>(clock_, ServerOptions(),
                                     [this](Request, Responder responder) {
                                       server_ = nullptr;
                                       responder.Send(Text("dropped"));
                                     });
  auto peer = Connect();
  peer->Send(Get("/1") + Get("/2"));
  clock_.Run();
  EXPECT_EQ(peer->Take(), "");
  EXPECT_TRUE(peer->ended());
}

TEST_F(ServerTest, ACallbackMayDestroyTheServer) {
  auto peer = Connect(Get("/1") + Get("/2"));
  auto first = TakeResponder().StartStream(200, {});
  auto second = TakeResponder().StartStream(200, {});
  int closed = 0;
  for (Stream* stream : {first.get(), second.get()}) {
    stream->OnClosed([&] {
      ++closed;
      server_ = nullptr;
    });
  }
  peer->Drop();
  clock_.Run();
  EXPECT_EQ(closed, 1);
}

TEST_F(ServerTest, ARespondersReplacementAnswersForBoth) {
  auto peer = Connect(Get("/1") + Get("/2"));
  Responder responder = TakeResponder();
  responder = TakeResponder();
  responder.Send(Text("2"));
  clock_.Run();
  const std::string answers = peer->Take();
  EXPECT_TRUE(absl::StartsWith(answers, "HTTP/1.1 500 ")) << answers;
  EXPECT_TRUE(absl::EndsWith(answers, Ok("2"))) << answers;
}

}  // namespace
}  // namespace quorate::http
