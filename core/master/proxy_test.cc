#include "core/master/proxy.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/http/gzip.h"
#include "core/http/testing/fakes.h"

namespace quorate::master {
namespace {

using http::Request;
using http::Responder;
using http::Response;
using http::testing::RawPeer;

// A client of a master that passes everything on to a leader. What the leader
// is asked waits in `asked_` and `answers_`.
class ProxyTest : public ::testing::Test {
 protected:
  ProxyTest() { Listen(); }

  void Listen() {
    acceptor_ = *network_.Listen(
        leader_, [this](std::unique_ptr<io::Connection> connection) {
          leading_.Adopt(std::move(connection), "");
        });
  }

  // The leader's end of the last connection is `raw_leader_`.
  void ListenRaw() {
    acceptor_ = nullptr;
    acceptor_ = *network_.Listen(
        leader_, [this](std::unique_ptr<io::Connection> connection) {
          raw_leader_ = std::make_unique<RawPeer>(std::move(connection));
        });
  }

  std::unique_ptr<RawPeer> Connect() {
    auto [client, server] = network_.MakePair();
    auto peer = std::make_unique<RawPeer>(std::move(client));
    following_.Adopt(std::move(server), "");
    return peer;
  }

  // What comes back for it so far.
  std::string Ask(RawPeer& peer, absl::string_view request) {
    peer.Send(request);
    clock_.Run();
    return peer.Take();
  }

  // What the leader was asked last.
  Responder TakeAnswer() {
    EXPECT_FALSE(answers_.empty());
    Responder answer = std::move(answers_.back());
    answers_.pop_back();
    return answer;
  }

  const io::Endpoint me_{"10.0.0.1", 5050};
  const io::Endpoint leader_{"10.0.0.2", 5050};
  http::testing::FakeClock clock_;
  http::testing::FakeNetwork network_{&clock_};
  std::vector<Request> asked_;
  std::vector<Responder> answers_;
  http::Server leading_{clock_, {}, [this](Request request, Responder answer) {
                          asked_.push_back(std::move(request));
                          answers_.push_back(std::move(answer));
                        }};
  LeaderProxy proxy_{clock_, network_, me_};
  http::Server following_{
      clock_, {}, [this](Request request, Responder answer) {
        proxy_.Forward(leader_, std::move(request), std::move(answer));
      }};
  std::unique_ptr<io::Acceptor> acceptor_;
  std::unique_ptr<RawPeer> raw_leader_;
};

TEST_F(ProxyTest, PassesTheRequestAndTheAnswerOn) {
  auto peer = Connect();
  EXPECT_EQ(
      Ask(*peer,
          "POST /master/api/v1?a=%20b HTTP/1.1\r\nHost: me\r\n"
          "Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n"
          "Accept: a/b\r\nVia: 1.0 fred\r\nContent-Length: 2\r\n\r\nhi"),
      "");
  ASSERT_EQ(asked_.size(), 1);
  const Request& asked = asked_[0];
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.target, "/master/api/v1?a=%20b");
  EXPECT_EQ(asked.body, "hi");
  EXPECT_EQ(asked.headers.Get("Host"), "10.0.0.2:5050");
  EXPECT_EQ(asked.headers.Get("Accept"), "a/b");
  EXPECT_EQ(asked.headers.GetJoined("Via"),
            "1.0 fred, 1.1 10.0.0.1:5050 (mesos-master)");
  EXPECT_FALSE(asked.headers.Has("X-Mine"));
  EXPECT_FALSE(asked.headers.Has("TE"));
  TakeAnswer().Send(
      {.status = 202, .headers = {{"Mesos-Stream-Id", "s"}}, .body = "done"});
  clock_.Run();
  const std::string answer = peer->Take();
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 202 Accepted\r\nDate: "));
  EXPECT_TRUE(absl::StrContains(answer, "\r\nMesos-Stream-Id: s\r\n"));
  EXPECT_TRUE(absl::EndsWith(answer, "Content-Length: 4\r\n\r\ndone"));
  EXPECT_EQ(proxy_.requests(), 0);
  // The connection is good for another one.
  Ask(*peer, "HEAD /state HTTP/1.1\r\n\r\n");
  TakeAnswer().Send(Response::Json("{}"));
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), "Content-Length: 2\r\n\r\n"));
}

TEST_F(ProxyTest, UnpacksBodiesAndPassesPackedAnswersOn) {
  auto peer = Connect();
  const std::string body(5000, 'b');
  const std::string packed = http::Gzip(body);
  Ask(*peer, absl::StrCat("POST /state HTTP/1.1\r\nAccept-Encoding: gzip\r\n"
                          "Content-Encoding: gzip\r\nContent-Length: ",
                          packed.size(), "\r\n\r\n", packed));
  ASSERT_EQ(asked_.size(), 1);
  EXPECT_EQ(asked_[0].body, body);
  EXPECT_FALSE(asked_[0].headers.Has("Content-Encoding"));
  EXPECT_EQ(asked_[0].headers.Get("Content-Length"), "5000");
  TakeAnswer().Send(Response::Json(std::string(5000, 'x')));
  clock_.Run();
  const std::string answer = peer->Take();
  EXPECT_TRUE(absl::StrContains(answer, "Content-Encoding: gzip\r\n"));
  EXPECT_LT(answer.size(), 1000);
}

// As clients want it that take chunks for a stream of events.
TEST_F(ProxyTest, ALongAnswerHasItsLength) {
  const std::string body(3 << 20, 'x');
  auto peer = Connect();
  for (const char* version : {"1.1", "1.0"}) {
    Ask(*peer, absl::StrCat("GET /state HTTP/", version,
                            "\r\nConnection: keep-alive\r\n\r\n"));
    TakeAnswer().Send(Response::Json(body));
    clock_.Run();
    const std::string answer = peer->Take();
    EXPECT_TRUE(absl::StrContains(
        answer, absl::StrCat("Content-Length: ", body.size(), "\r\n\r\n")));
    EXPECT_FALSE(absl::StrContains(answer, "Transfer-Encoding"));
    EXPECT_TRUE(absl::EndsWith(answer, absl::StrCat("\r\n\r\n", body)));
    EXPECT_FALSE(peer->ended());
    EXPECT_EQ(proxy_.requests(), 0);
  }
  // The connection is good for another one.
  Ask(*peer, "HEAD /state HTTP/1.1\r\n\r\n");
  TakeAnswer().Send(Response::Json(body));
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(
      peer->Take(), absl::StrCat("Content-Length: ", body.size(), "\r\n\r\n")));
  EXPECT_FALSE(peer->ended());
  EXPECT_EQ(proxy_.requests(), 0);
}

// Never a whole answer, nor one that seems to be.
TEST_F(ProxyTest, ALongAnswerThatFallsShortIsCut) {
  ListenRaw();
  for (const char* version : {"1.1", "1.0"}) {
    for (const bool stalls : {false, true}) {
      auto peer = Connect();
      Ask(*peer, absl::StrCat("GET /state HTTP/", version,
                              "\r\nConnection: keep-alive\r\n\r\n"));
      raw_leader_->Send("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n");
      raw_leader_->Send(std::string(2000000, 'x'));
      clock_.Advance(LeaderProxy::kTimeout / 2);
      raw_leader_->Send(std::string(999999, 'x'));
      clock_.Advance(LeaderProxy::kTimeout / 2);
      EXPECT_FALSE(peer->ended());
      if (stalls) {
        clock_.Advance(LeaderProxy::kTimeout / 2);
      } else {
        raw_leader_->CloseWrite();
        clock_.Run();
      }
      const std::string answer = peer->Take();
      EXPECT_TRUE(absl::StrContains(answer, "Content-Length: 3000000\r\n"));
      EXPECT_TRUE(
          absl::EndsWith(answer, "\r\n\r\n" + std::string(2999999, 'x')));
      EXPECT_TRUE(peer->ended());
      EXPECT_EQ(proxy_.requests(), 0);
    }
  }
}

// For as long as the client does not read, the leader is not to blame.
TEST_F(ProxyTest, ALongAnswerWaitsForItsReader) {
  ListenRaw();
  auto peer = Connect();
  Ask(*peer, "GET /state HTTP/1.1\r\n\r\n");
  peer->PauseReading();
  const std::string megabyte(1 << 20, 'x');
  raw_leader_->Send(absl::StrCat(
      "HTTP/1.1 200 OK\r\nContent-Length: ", 10 * megabyte.size(), "\r\n\r\n"));
  for (int i = 0; i < 9; ++i) {
    raw_leader_->Send(megabyte);
    clock_.Run();
  }
  clock_.Advance(2 * LeaderProxy::kTimeout);
  EXPECT_EQ(proxy_.requests(), 1);
  peer->ResumeReading();
  clock_.Run();
  raw_leader_->Send(megabyte);
  clock_.Run();
  const std::string answer = peer->Take();
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 10 * megabyte.size());
  EXPECT_EQ(proxy_.requests(), 0);
  EXPECT_FALSE(peer->ended());
}

TEST_F(ProxyTest, StreamsGoOnAsTheyCome) {
  auto peer = Connect();
  Ask(*peer, "POST /api/v1/scheduler HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  auto stream = TakeAnswer().StartStream(200, {{"Mesos-Stream-Id", "s"}});
  clock_.Run();
  EXPECT_TRUE(absl::EndsWith(peer->Take(), "chunked\r\n\r\n"));
  stream->Write("event");
  clock_.Run();
  EXPECT_EQ(peer->Take(), "5\r\nevent\r\n");
  clock_.Advance(std::chrono::hours(1));
  stream->Write("another");
  clock_.Run();
  EXPECT_EQ(peer->Take(), "7\r\nanother\r\n");
  stream->Close();
  clock_.Run();
  EXPECT_EQ(peer->Take(), "0\r\n\r\n");
  EXPECT_FALSE(peer->ended());
  EXPECT_EQ(proxy_.requests(), 0);
}

TEST_F(ProxyTest, TheLeaderLearnsThatTheClientHasLeft) {
  auto peer = Connect();
  Ask(*peer, "GET /a HTTP/1.1\r\n\r\n");
  auto stream = TakeAnswer().StartStream(200, {});
  bool left = false;
  stream->OnClosed([&] { left = true; });
  clock_.Run();
  peer->Drop();
  clock_.Run();
  EXPECT_TRUE(left);
  EXPECT_EQ(proxy_.requests(), 0);
}

TEST_F(ProxyTest, AStreamIsCutWithItsConnectionToTheLeader) {
  auto peer = Connect();
  Ask(*peer, "GET /a HTTP/1.1\r\n\r\n");
  auto stream = TakeAnswer().StartStream(200, {});
  stream->Write("event");
  clock_.Run();
  peer->Take();
  stream = nullptr;
  clock_.Run();
  EXPECT_EQ(peer->Take(), "");  // No last chunk.
  EXPECT_TRUE(peer->ended());
  EXPECT_EQ(proxy_.requests(), 0);
}

TEST_F(ProxyTest, AStreamIsCutWhenAnotherLeads) {
  auto peer = Connect();
  Ask(*peer, "GET /a HTTP/1.1\r\n\r\n");
  auto stream = TakeAnswer().StartStream(200, {});
  auto waiting = Connect();
  Ask(*waiting, "GET /b HTTP/1.1\r\n\r\n");
  peer->Take();
  proxy_.OnLeader(leader_);
  clock_.Run();
  EXPECT_FALSE(peer->ended());
  proxy_.OnLeader({"10.0.0.3", 5050});
  clock_.Run();
  EXPECT_EQ(peer->Take(), "");
  EXPECT_TRUE(peer->ended());
  EXPECT_TRUE(absl::StartsWith(waiting->Take(), "HTTP/1.1 502 "));
  EXPECT_EQ(proxy_.requests(), 0);
}

// A client that does not read stops the leader, not this master's memory.
TEST_F(ProxyTest, BackPressureReachesTheLeader) {
  auto peer = Connect();
  Ask(*peer, "GET /a HTTP/1.1\r\n\r\n");
  auto stream = TakeAnswer().StartStream(200, {});
  clock_.Run();
  peer->Take();
  peer->PauseReading();
  const std::string megabyte(1 << 20, 'x');
  int written = 0;
  for (; written < 100 && stream->Write(megabyte); ++written) clock_.Run();
  EXPECT_LT(written, 10);
  EXPECT_GT(stream->queued_bytes(), 0);
  peer->ResumeReading();
  clock_.Run();
  EXPECT_EQ(stream->queued_bytes(), 0);
  EXPECT_GE(peer->Take().size(), (written + 1) * megabyte.size());
}

TEST_F(ProxyTest, SaysWhyTheLeaderDoesNotAnswer) {
  acceptor_ = nullptr;
  auto peer = Connect();
  std::string answer = Ask(*peer, "GET /a HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 502 Bad Gateway\r\n"));
  EXPECT_TRUE(absl::StrContains(answer, "leading one, at 10.0.0.2:5050: "));
  Listen();
  EXPECT_EQ(Ask(*peer, "GET /a HTTP/1.1\r\n\r\n"), "");
  clock_.Advance(LeaderProxy::kTimeout);
  EXPECT_TRUE(absl::StartsWith(peer->Take(), "HTTP/1.1 502 Bad Gateway\r\n"));
  EXPECT_EQ(proxy_.requests(), 0);
}

TEST_F(ProxyTest, ALeaderThatHoldsTheEndBackIsGivenUp) {
  ListenRaw();
  auto peer = Connect();
  Ask(*peer, "GET /a HTTP/1.1\r\n\r\n");
  raw_leader_->Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
  clock_.Advance(LeaderProxy::kTimeout);
  EXPECT_TRUE(absl::StartsWith(peer->Take(), "HTTP/1.1 502 "));
  EXPECT_EQ(proxy_.requests(), 0);
}

TEST_F(ProxyTest, ForwardsNothingTwice) {
  auto peer = Connect();
  const std::string answer =
      Ask(*peer,
          "GET /a HTTP/1.1\r\nVia: 1.1 10.0.0.2:5050 (mesos-master)\r\n\r\n");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 503 "));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ProxyTest, BoundsWhatItHolds) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (size_t i = 0; i < LeaderProxy::kMaxRequests; ++i) {
    peers.push_back(Connect());
    EXPECT_EQ(Ask(*peers.back(), "GET /a HTTP/1.1\r\n\r\n"), "");
  }
  auto peer = Connect();
  EXPECT_TRUE(
      absl::StartsWith(Ask(*peer, "GET /a HTTP/1.1\r\n\r\n"), "HTTP/1.1 503 "));
  TakeAnswer().Send({});
  clock_.Run();
  EXPECT_EQ(Ask(*peer, "GET /a HTTP/1.1\r\n\r\n"), "");
}

TEST_F(ProxyTest, BoundsTheBodiesItHolds) {
  const std::string body(60 << 20, 'x');
  const std::string post = absl::StrCat(
      "POST /a HTTP/1.1\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(Connect());
    EXPECT_EQ(Ask(*peers.back(), post), "");
  }
  auto peer = Connect();
  EXPECT_TRUE(absl::StartsWith(Ask(*peer, post), "HTTP/1.1 503 "));
  TakeAnswer().Send({});
  clock_.Run();
  EXPECT_EQ(Ask(*peer, post), "");
}

}  // namespace
}  // namespace quorate::master
