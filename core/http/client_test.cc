// The client against scripted answers, and against our own server.

#include "core/http/client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/http/server.h"
#include "core/http/testing/fakes.h"

namespace quorate::http {
namespace {

using std::chrono::seconds;
using testing::FakeClock;
using testing::FakeNetwork;
using testing::RawPeer;

constexpr absl::string_view kOk =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() : network_(&clock_) {
    Listen([this](std::unique_ptr<io::Connection> connection) {
      peers_.push_back(std::make_unique<RawPeer>(std::move(connection)));
    });
    client_ = std::make_unique<ClientConnection>(clock_, network_, at_,
                                                 ClientOptions());
  }

  void Listen(io::Network::OnAccepted on_accepted) {
    acceptor_ = nullptr;
    acceptor_ = *network_.Listen(at_, std::move(on_accepted));
  }

  // Notes the outcome in `outcomes_`, and runs.
  void Send(Request request) {
    client_->Send(std::move(request), [this](
                                          absl::StatusOr<Response> response) {
      Note(response.ok() ? absl::StrCat(response->status, " ", response->body)
                         : absl::StatusCodeToString(response.status().code()));
    });
    clock_.Run();
  }

  void SendForStream(Request request) {
    client_->SendForStream(
        std::move(request),
        {.on_head = [this](const Response& r) { Note(absl::StrCat(r.status)); },
         .on_data = [this](absl::string_view d) { Note(std::string(d)); },
         .on_closed =
             [this](const absl::Status& s) {
               Note(absl::StrCat("end ", absl::StatusCodeToString(s.code())));
             }});
    clock_.Run();
  }

  void Note(std::string outcome) {
    outcomes_.push_back(std::move(outcome));
    if (on_outcome_) on_outcome_();
  }

  // The server's side sends these bytes.
  void Answer(absl::string_view bytes) {
    peers_.back()->Send(bytes);
    clock_.Run();
  }

  std::vector<std::string> Outcomes() { return std::exchange(outcomes_, {}); }

  using Strings = std::vector<std::string>;

  const io::Endpoint at_{"10.0.0.1", 5050};
  FakeClock clock_;
  FakeNetwork network_;
  std::unique_ptr<io::Acceptor> acceptor_;
  std::vector<std::unique_ptr<RawPeer>> peers_;
  std::vector<std::string> outcomes_;
  std::function<void()> on_outcome_;
  std::unique_ptr<ClientConnection> client_;
};

TEST_F(ClientTest, WritesRequests) {
  Send({.target = "/a"});
  EXPECT_EQ(peers_[0]->Take(),
            "GET /a HTTP/1.1\r\nHost: 10.0.0.1:5050\r\n\r\n");
  Answer(kOk);
  Send({.method = "POST",
        .target = "/b",
        .headers = {{"Host", "h"}, {"X", "a\r\nb"}, {"Content-Length", "9"}},
        .body = "hi"});
  EXPECT_EQ(
      peers_[0]->Take(),
      "POST /b HTTP/1.1\r\nHost: h\r\nX: a  b\r\nContent-Length: 2\r\n\r\n"
      "hi");
  Answer(kOk);
  Send({.method = "POST"});
  EXPECT_TRUE(absl::EndsWith(peers_[0]->Take(), "Content-Length: 0\r\n\r\n"));
  EXPECT_EQ(network_.connects(), 1);
}

TEST_F(ClientTest, RefusesToWriteOtherThings) {
  for (const char* target : {"", "/a b", "/a\r\nX: y", "/\x7f"}) {
    Send({.target = target});
  }
  Send({.method = "GET /x HTTP/1.1\r\nX:"});
  Send({.headers = {{"A\r\nB", "c"}}});
  EXPECT_EQ(Outcomes(), Strings(6, "INVALID_ARGUMENT"));
  EXPECT_EQ(network_.connects(), 0);
}

TEST_F(ClientTest, SendsOneAfterTheOther) {
  Send({.target = "/1"});
  Send({.target = "/2"});
  EXPECT_FALSE(absl::StrContains(peers_[0]->Take(), "/2"));
  Answer(
      "HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\n");
  EXPECT_TRUE(absl::StrContains(peers_[0]->Take(), "/2"));
  Answer(kOk);
  EXPECT_EQ(Outcomes(), (Strings{"503 abc", "200 ok"}));
}

TEST_F(ClientTest, SkipsInformationalAnswers) {
  Send({});
  Answer(
      absl::StrCat("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 X\r\n\r\n", kOk));
  EXPECT_EQ(Outcomes(), Strings{"200 ok"});
  Send({.method = "HEAD"});
  Answer("HTTP/1.1 100 Continue\r\n\r\n");
  Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(Outcomes(), Strings{"200 "});
  EXPECT_EQ(network_.connects(), 1);
  Send({});
  Answer("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  EXPECT_EQ(Outcomes(), Strings{"INTERNAL"});
}

TEST_F(ClientTest, ReadsToTheEndOfTheConnection) {
  Send({});
  Answer("HTTP/1.0 200 OK\r\n\r\nall ");
  Answer("there is");
  EXPECT_EQ(Outcomes(), Strings{});
  peers_[0]->CloseWrite();
  clock_.Run();
  EXPECT_EQ(Outcomes(), Strings{"200 all there is"});
}

TEST_F(ClientTest, ConnectsAnewWhenTheServerClosed) {
  Send({});
  Answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  Send({});
  Answer(kOk);
  EXPECT_EQ(network_.connects(), 2);
  peers_[1]->CloseWrite();  // While nothing is asked.
  clock_.Run();
  Send({});
  Answer(kOk);
  peers_[2]->Drop();
  clock_.Run();
  Send({});
  Answer(kOk);
  EXPECT_EQ(network_.connects(), 4);
  EXPECT_EQ(Outcomes(), (Strings{"200 ", "200 ok", "200 ok", "200 ok"}));
}

TEST_F(ClientTest, DoesNotRepeatWhatMayHaveBeenSent) {
  Send({.target = "/1"});
  Send({.target = "/2"});
  peers_[0]->Drop();
  clock_.Run();
  EXPECT_EQ(Outcomes(), Strings{"UNAVAILABLE"});
  EXPECT_TRUE(absl::StrContains(peers_[1]->Take(), "/2"));
  Answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
  peers_[1]->CloseWrite();
  clock_.Run();
  EXPECT_EQ(Outcomes(), Strings{"UNAVAILABLE"});
}

TEST_F(ClientTest, DropsAConnectionThatSaysMoreThanItWasAsked) {
  Send({.target = "/1"});
  Answer(absl::StrCat(kOk, kOk));
  Send({.target = "/2"});
  Answer(kOk);
  EXPECT_EQ(Outcomes(), (Strings{"200 ok", "200 ok"}));
  EXPECT_EQ(network_.connects(), 2);
  Answer(kOk);
  Send({.target = "/3"});
  EXPECT_EQ(network_.connects(), 3);
}

TEST_F(ClientTest, FailsAllWhenItCannotConnect) {
  acceptor_ = nullptr;
  client_->Send({}, [this](auto) { Note("1"); });
  client_->Send({}, [this](auto response) {
    EXPECT_TRUE(absl::IsUnavailable(response.status()));
    Note("2");
  });
  EXPECT_EQ(Outcomes(), Strings{});
  clock_.Run();
  EXPECT_EQ(Outcomes(), (Strings{"1", "2"}));
  EXPECT_EQ(network_.connects(), 1);
}

TEST_F(ClientTest, DoesNotWaitForever) {
  Send({.target = "/1"});
  Send({.target = "/2"});
  Answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  clock_.Advance(seconds(29));
  EXPECT_EQ(Outcomes(), Strings{});
  clock_.Advance(seconds(1));
  EXPECT_EQ(Outcomes(), Strings{"DEADLINE_EXCEEDED"});
  EXPECT_TRUE(peers_[0]->ended());
  Answer(kOk);
  EXPECT_EQ(Outcomes(), Strings{"200 ok"});
}

TEST_F(ClientTest, BoundsWhatItTakes) {
  client_ = std::make_unique<ClientConnection>(
      clock_, network_, at_,
      ClientOptions{.max_header_bytes = 100,
                    .max_body_bytes = 10,
                    .max_queued_requests = 2});
  Send({});
  Send({});
  Send({});
  EXPECT_EQ(Outcomes(), Strings{"RESOURCE_EXHAUSTED"});
  Answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(Outcomes(), Strings{"RESOURCE_EXHAUSTED"});
  Answer(absl::StrCat("HTTP/1.1 200 OK\r\nX: ", std::string(100, 'a')));
  EXPECT_EQ(Outcomes(), Strings{"RESOURCE_EXHAUSTED"});
  Send({});
  Answer("SSH-2.0\r\n\r\n");
  EXPECT_EQ(Outcomes(), Strings{"INTERNAL"});
}

TEST_F(ClientTest, Streams) {
  SendForStream({.method = "POST", .body = "{}"});
  Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(Outcomes(), Strings{"200"});
  Answer("1\r\na\r\n");
  Answer("2\r\nbc\r\n");
  EXPECT_EQ(Outcomes(), (Strings{"a", "bc"}));
  Answer("0\r\n\r\n");
  EXPECT_EQ(Outcomes(), Strings{"end OK"});
}

TEST_F(ClientTest, AStreamCanBePaused) {
  SendForStream({});
  Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  EXPECT_EQ(Outcomes(), (Strings{"200", "a"}));
  client_->PauseStream();
  Answer("1\r\nb\r\n");
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(Outcomes(), Strings());
  client_->ResumeStream();
  clock_.Run();
  EXPECT_EQ(Outcomes(), Strings{"b"});
}

TEST_F(ClientTest, StreamsEndBadly) {
  SendForStream({});
  clock_.Advance(seconds(30));
  EXPECT_EQ(Outcomes(), Strings{"end DEADLINE_EXCEEDED"});
  SendForStream({});
  Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  peers_.back()->CloseWrite();
  clock_.Run();
  EXPECT_EQ(Outcomes(), (Strings{"200", "a", "end UNAVAILABLE"}));
  SendForStream({.target = "a b"});
  EXPECT_EQ(Outcomes(), Strings{"end INVALID_ARGUMENT"});
}

TEST_F(ClientTest, AStreamMayBeLongerThanABody) {
  client_ = std::make_unique<ClientConnection>(
      clock_, network_, at_, ClientOptions{.max_body_bytes = 10});
  SendForStream({});
  Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 100; ++i) Answer("a\r\n0123456789\r\n");
  EXPECT_EQ(Outcomes().size(), 101);
}

// At each of its callbacks, the client is destroyed.
TEST_F(ClientTest, MayBeDestroyedInAnyCallback) {
  for (size_t when = 1; when <= 3; ++when) {
    client_ = std::make_unique<ClientConnection>(clock_, network_, at_,
                                                 ClientOptions());
    on_outcome_ = [&] {
      if (outcomes_.size() == when) client_ = nullptr;
    };
    SendForStream({});
    Answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    EXPECT_EQ(Outcomes().size(), when);
    client_ = std::make_unique<ClientConnection>(clock_, network_, at_,
                                                 ClientOptions());
    for (int i = 0; i < 4; ++i) {
      client_->Send({}, [this](auto) { Note("done"); });
    }
    acceptor_ = nullptr;
    clock_.Run();
    EXPECT_EQ(Outcomes().size(), when);
    Listen([this](std::unique_ptr<io::Connection> connection) {
      peers_.push_back(std::make_unique<RawPeer>(std::move(connection)));
    });
  }
}

TEST_F(ClientTest, ACallbackMaySendAgain) {
  on_outcome_ = [&] {
    if (outcomes_.size() < 3) Send({});
  };
  Send({});
  for (int i = 0; i < 3; ++i) Answer(kOk);
  EXPECT_EQ(Outcomes(), Strings(3, "200 ok"));
}

TEST_F(ClientTest, TalksToOurServer) {
  std::unique_ptr<Stream> stream;
  Server server(clock_, {}, [&](Request request, Responder responder) {
    if (request.path == "/stream") {
      stream = responder.StartStream(200, {});
    } else {
      responder.Send(
          Response::Text(200, absl::StrCat(request.method, request.body)));
    }
  });
  Listen([&](std::unique_ptr<io::Connection> connection) {
    server.Adopt(std::move(connection), "");
  });
  Send({.target = "/"});
  Send({.method = "POST", .target = "/", .body = std::string(2 << 20, 'x')});
  Send({.method = "HEAD", .target = "/"});
  EXPECT_EQ(
      Outcomes(),
      (Strings{"200 GET", absl::StrCat("200 POST", std::string(2 << 20, 'x')),
               "200 "}));
  SendForStream({.target = "/stream"});
  stream->Write("a");
  clock_.Run();
  stream->Close();
  clock_.Run();
  EXPECT_EQ(Outcomes(), (Strings{"200", "a", "end OK"}));
  EXPECT_EQ(network_.connects(), 1);
}

}  // namespace
}  // namespace quorate::http
