#include "io/network.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/contract/suites.h"

namespace quorate::io::contract {
namespace {

using absl::StatusCode;

// `size` bytes that look different at every offset.
std::string Bytes(size_t size, uint32_t seed = 1) {
  std::string bytes(size, '\0');
  for (char& c : bytes) {
    c = static_cast<char>(seed >> 24);
    seed = seed * 1664525 + 1013904223;
  }
  return bytes;
}

// One end of a connection, and all that happened to it.
struct Peer final : Connection::Listener {
  void OnData(absl::string_view bytes) override {
    EXPECT_FALSE(in_call) << "OnData from inside a call";
    EXPECT_FALSE(bytes.empty());
    EXPECT_FALSE(ended || closed.has_value());
    received.append(bytes.data(), bytes.size());
    ++deliveries;
    if (on_data) on_data();
  }
  void OnEnd() override {
    EXPECT_FALSE(in_call) << "OnEnd from inside a call";
    EXPECT_FALSE(ended || closed.has_value());
    ended = true;
    if (on_end) on_end();
  }
  void OnWritable() override {
    EXPECT_FALSE(in_call) << "OnWritable from inside a call";
    EXPECT_FALSE(closed.has_value());
    EXPECT_TRUE(waits_for_writable);
    EXPECT_LE(connection->queued_bytes(), Connection::kLowWaterBytes);
    waits_for_writable = false;
    ++writables;
    if (on_writable) on_writable();
  }
  void OnClosed(const absl::Status& reason) override {
    EXPECT_FALSE(in_call) << "OnClosed from inside a call";
    EXPECT_FALSE(closed.has_value()) << "closed twice";
    closed = reason;
    if (on_closed) on_closed();
  }

  void Start() {
    in_call = true;
    connection->Start(this);
    in_call = false;
  }
  bool Write(absl::string_view bytes) {
    in_call = true;
    const bool more = connection->Write(bytes);
    in_call = false;
    EXPECT_TRUE(more ||
                connection->queued_bytes() > Connection::kHighWaterBytes);
    if (!more) waits_for_writable = true;
    return more;
  }
  void CloseWrite() {
    in_call = true;
    connection->CloseWrite();
    in_call = false;
  }

  std::unique_ptr<Connection> connection;
  std::string received;
  int deliveries = 0;
  int writables = 0;
  bool ended = false;
  bool waits_for_writable = false;
  std::optional<absl::Status> closed;
  bool in_call = false;
  std::function<void()> on_data, on_end, on_writable, on_closed;
};

// Writes `bytes` as the peer takes them, then ends the stream.
class Sender {
 public:
  Sender(Peer* peer, std::string bytes)
      : peer_(peer), bytes_(std::move(bytes)) {
    peer_->on_writable = [this] { Send(); };
    Send();
  }

 private:
  static constexpr size_t kPiece = 100'000;
  void Send() {
    while (sent_ < bytes_.size()) {
      const std::string piece = bytes_.substr(sent_, kPiece);
      sent_ += piece.size();
      if (!peer_->Write(piece)) return;
    }
    peer_->CloseWrite();
  }
  Peer* peer_;
  std::string bytes_;
  size_t sent_ = 0;
};

// Process 0 is the client, process 1 the server.
class Pair {
 public:
  explicit Pair(ContractWorld& world) : world_(world) {}

  bool Await(const std::function<bool()>& done) {
    return world_.RunUntil(done, kTimeout);
  }
  Network& network(int process) {
    return world_.environment(process).network();
  }

  std::unique_ptr<Acceptor> Listen(Network::OnAccepted on_accepted) {
    auto acceptor =
        network(1).Listen({world_.ip(1), 0}, std::move(on_accepted));
    EXPECT_TRUE(acceptor.ok()) << acceptor.status();
    return acceptor.ok() ? *std::move(acceptor) : nullptr;
  }

  // One that puts what it accepts into `peer`.
  std::unique_ptr<Acceptor> ListenFor(Peer* peer, bool start = true) {
    return Listen([peer, start](std::unique_ptr<Connection> connection) {
      peer->connection = std::move(connection);
      if (start) peer->Start();
    });
  }

  void Connect(const Endpoint& to, Peer* peer) {
    bool done = false;
    const auto connector = network(0).Connect(to, kTimeout, [&](auto result) {
      done = true;
      ASSERT_TRUE(result.ok()) << result.status();
      peer->connection = *std::move(result);
      peer->Start();
    });
    EXPECT_FALSE(done) << "called from inside Connect";
    ASSERT_TRUE(Await([&] { return done; }));
  }

  // Both ends are there and, unless told otherwise, started.
  void Open(bool start_server = true) {
    acceptor = ListenFor(&server, start_server);
    Connect(acceptor->local(), &client);
    ASSERT_TRUE(Await([&] { return server.connection != nullptr; }));
  }

  // A message to and fro on another connection: time enough for what happens
  // by itself, if it does.
  void RoundTrip() {
    Peer here, there;
    const auto acceptor = ListenFor(&there);
    there.on_data = [&] { there.Write("pong"); };
    Connect(acceptor->local(), &here);
    here.Write("ping");
    ASSERT_TRUE(Await([&] { return here.received == "pong"; }));
    Settle(world_);
  }

  std::unique_ptr<Acceptor> acceptor;
  Peer client, server;

 private:
  ContractWorld& world_;
};

// ---- Listening and connecting ----

TEST_P(NetworkContract, BothEndsKnowTheirAddresses) {
  Pair pair(world());
  pair.Open();
  const Endpoint listening = pair.acceptor->local();
  EXPECT_EQ(listening.ip, world().ip(1));
  EXPECT_NE(listening.port, 0);
  EXPECT_EQ(pair.client.connection->peer(), listening);
  EXPECT_EQ(pair.server.connection->local(), listening);
  EXPECT_EQ(pair.client.connection->local(), pair.server.connection->peer());
}

TEST_P(NetworkContract, APortIsTakenOnce) {
  Pair pair(world());
  pair.Open();
  const Endpoint at = pair.acceptor->local();
  const auto ignore = [](std::unique_ptr<Connection>) {};
  EXPECT_EQ(pair.network(1).Listen(at, ignore).status().code(),
            StatusCode::kAlreadyExists);
  // Free again at once, though a connection of it lives on.
  pair.acceptor.reset();
  EXPECT_TRUE(pair.network(1).Listen(at, ignore).ok());
}

TEST_P(NetworkContract, AddressesThatAreNone) {
  Network& network = environment().network();
  const auto ignore = [](std::unique_ptr<Connection>) {};
  for (const char* ip : {"", "localhost", "10.0.0.256", "::1"}) {
    EXPECT_EQ(network.Listen({ip, 0}, ignore).status().code(),
              StatusCode::kInvalidArgument)
        << ip;
    std::optional<absl::Status> status;
    const auto connector = network.Connect(
        {ip, 80}, kTimeout, [&](auto result) { status = result.status(); });
    EXPECT_FALSE(status.has_value()) << "called from inside Connect";
    ASSERT_TRUE(Await([&] { return status.has_value(); }));
    EXPECT_EQ(status->code(), StatusCode::kInvalidArgument) << ip;
  }
}

TEST_P(NetworkContract, NobodyListens) {
  Pair pair(world());
  auto acceptor = pair.Listen([](std::unique_ptr<Connection>) {});
  const Endpoint closed = acceptor->local();
  acceptor.reset();
  std::optional<absl::Status> status;
  const auto connector = pair.network(0).Connect(
      closed, kTimeout, [&](auto result) { status = result.status(); });
  EXPECT_FALSE(status.has_value()) << "called from inside Connect";
  ASSERT_TRUE(Await([&] { return status.has_value(); }));
  EXPECT_EQ(status->code(), StatusCode::kUnavailable) << *status;
}

TEST_P(NetworkContract, AConnectorThatGoesAwayIsSilent) {
  Pair pair(world());
  const auto acceptor = pair.Listen([](std::unique_ptr<Connection>) {});
  bool called = false;
  {
    const auto connector = pair.network(0).Connect(
        acceptor->local(), kTimeout, [&](auto) { called = true; });
  }
  pair.RoundTrip();
  EXPECT_FALSE(called);
}

TEST_P(NetworkContract, AConnectorMayGoAwayInItsCallback) {
  Pair pair(world());
  const auto acceptor = pair.Listen([](std::unique_ptr<Connection>) {});
  const std::string text(100, 'x');
  std::string after;
  std::unique_ptr<Connector> connector;
  connector = pair.network(0).Connect(acceptor->local(), kTimeout,
                                      [&, text](auto result) {
                                        EXPECT_TRUE(result.ok());
                                        connector.reset();
                                        after = text;
                                      });
  ASSERT_TRUE(Await([&] { return !after.empty(); }));
}

TEST_P(NetworkContract, AnAcceptorMayGoAwayInItsCallback) {
  Pair pair(world());
  std::unique_ptr<Connection> accepted;
  pair.acceptor = pair.Listen([&](std::unique_ptr<Connection> connection) {
    pair.acceptor.reset();
    accepted = std::move(connection);
  });
  pair.Connect(pair.acceptor->local(), &pair.client);
  ASSERT_TRUE(Await([&] { return accepted != nullptr; }));
  // What was accepted lives on.
  pair.server.connection = std::move(accepted);
  pair.server.Start();
  pair.client.Write("hello");
  EXPECT_TRUE(Await([&] { return pair.server.received == "hello"; }));
}

TEST_P(NetworkContract, AnAcceptorThatIsGoneAcceptsNothing) {
  Pair pair(world());
  bool accepted = false;
  auto acceptor =
      pair.Listen([&](std::unique_ptr<Connection>) { accepted = true; });
  bool called = false;
  const auto connector = pair.network(0).Connect(acceptor->local(), kTimeout,
                                                 [&](auto) { called = true; });
  acceptor.reset();
  ASSERT_TRUE(Await([&] { return called; }));
  pair.RoundTrip();
  EXPECT_FALSE(accepted);
}

TEST_P(NetworkContract, ManyConnections) {
  constexpr int kConnections = 100;
  Pair pair(world());
  std::map<int, Peer> servers;
  std::map<int, Peer> clients;
  const auto acceptor = pair.Listen([&](std::unique_ptr<Connection> accepted) {
    Peer& peer = servers[servers.size()];
    peer.connection = std::move(accepted);
    peer.on_end = [&peer] {
      peer.Write(peer.received);
      peer.CloseWrite();
    };
    peer.Start();
  });
  std::vector<std::unique_ptr<Connector>> connectors;
  for (int i = 0; i < kConnections; ++i) {
    connectors.push_back(pair.network(0).Connect(
        acceptor->local(), kTimeout, [&clients, i](auto result) {
          ASSERT_TRUE(result.ok()) << result.status();
          Peer& peer = clients[i];
          peer.connection = *std::move(result);
          peer.Start();
          peer.Write("client " + std::to_string(i));
          peer.CloseWrite();
        }));
  }
  ASSERT_TRUE(Await([&] {
    if (clients.size() != kConnections) return false;
    for (const auto& [i, peer] : clients) {
      if (!peer.closed.has_value()) return false;
    }
    return true;
  }));
  for (const auto& [i, peer] : clients) {
    EXPECT_EQ(peer.received, "client " + std::to_string(i));
    EXPECT_TRUE(peer.closed->ok()) << *peer.closed;
  }
}

// ---- The stream ----

TEST_P(NetworkContract, KeepsEveryByteBothWays) {
  Pair pair(world());
  pair.Open();
  const std::string up = Bytes(8 << 20, 1);
  const std::string down = Bytes(5'000'001, 2);
  const Sender up_sender(&pair.client, up);
  const Sender down_sender(&pair.server, down);
  ASSERT_TRUE(Await([&] {
    return pair.client.closed.has_value() && pair.server.closed.has_value();
  }));
  EXPECT_TRUE(pair.server.received == up);
  EXPECT_TRUE(pair.client.received == down);
  EXPECT_TRUE(pair.client.ended && pair.server.ended);
  EXPECT_TRUE(pair.client.closed->ok()) << *pair.client.closed;
  EXPECT_TRUE(pair.server.closed->ok()) << *pair.server.closed;
  EXPECT_GT(pair.client.writables, 0);
}

TEST_P(NetworkContract, NothingIsReadBeforeStart) {
  Pair pair(world());
  pair.Open(/*start_server=*/false);
  pair.client.Write("early ");
  pair.RoundTrip();
  EXPECT_EQ(pair.server.deliveries, 0);
  pair.server.Start();
  pair.client.Write("late");
  pair.client.CloseWrite();
  ASSERT_TRUE(Await([&] { return pair.server.ended; }));
  EXPECT_EQ(pair.server.received, "early late");
}

TEST_P(NetworkContract, StartMayReplaceTheListener) {
  Pair pair(world());
  pair.Open();
  Peer upgraded;
  pair.server.on_data = [&] {
    upgraded.connection = std::move(pair.server.connection);
    upgraded.Start();
    upgraded.Write("switched");
  };
  pair.client.Write("upgrade");
  ASSERT_TRUE(Await([&] { return pair.client.received == "switched"; }));
  pair.client.Write("more");
  pair.client.CloseWrite();
  ASSERT_TRUE(Await([&] { return upgraded.ended; }));
  EXPECT_EQ(pair.server.received, "upgrade");
  EXPECT_EQ(upgraded.received, "more");
}

// ---- Half-close, close ----

TEST_P(NetworkContract, AHalfClosedStreamStillCarriesTheOtherDirection) {
  Pair pair(world());
  pair.Open();
  pair.client.Write("question");
  pair.client.CloseWrite();
  pair.client.Write("dropped");
  ASSERT_TRUE(Await([&] { return pair.server.ended; }));
  EXPECT_EQ(pair.server.received, "question");
  pair.RoundTrip();
  EXPECT_FALSE(pair.server.closed.has_value());
  EXPECT_FALSE(pair.client.ended);

  const std::string answer = Bytes(3'000'000);
  const Sender sender(&pair.server, answer);
  ASSERT_TRUE(Await([&] {
    return pair.client.closed.has_value() && pair.server.closed.has_value();
  }));
  EXPECT_TRUE(pair.client.received == answer);
  EXPECT_TRUE(pair.client.ended);
  EXPECT_TRUE(pair.client.closed->ok()) << *pair.client.closed;
  EXPECT_TRUE(pair.server.closed->ok()) << *pair.server.closed;
  EXPECT_EQ(pair.server.received, "question");
}

TEST_P(NetworkContract, ADestroyedPeerIsNoticed) {
  Pair pair(world());
  pair.Open();
  pair.server.connection.reset();
  ASSERT_TRUE(Await(
      [&] { return pair.client.ended || pair.client.closed.has_value(); }));
  // The other direction is gone too, as whoever writes learns.
  for (int i = 0; i < 100 && !pair.client.closed.has_value(); ++i) {
    pair.client.Write("is anybody there?");
    pair.RoundTrip();
  }
  ASSERT_TRUE(pair.client.closed.has_value());
  EXPECT_EQ(pair.client.closed->code(), StatusCode::kUnavailable)
      << *pair.client.closed;
  // Of no effect, and harmless.
  EXPECT_TRUE(pair.client.Write("hello?"));
  EXPECT_EQ(pair.client.connection->queued_bytes(), 0);
  pair.client.CloseWrite();
  pair.client.connection->PauseReading();
  pair.client.connection->ResumeReading();
  pair.RoundTrip();
}

TEST_P(NetworkContract, AKilledPeerIsNoticed) {
  Pair pair(world());
  pair.Open();
  pair.server.connection.reset();
  pair.acceptor.reset();
  world().Restart(1);
  ASSERT_TRUE(Await(
      [&] { return pair.client.ended || pair.client.closed.has_value(); }));
}

TEST_P(NetworkContract, ADestroyedConnectionIsSilent) {
  Pair pair(world());
  pair.Open();
  pair.server.Write(Bytes(2 << 20));
  pair.server.CloseWrite();
  ASSERT_TRUE(Await([&] { return pair.client.deliveries > 0; }));
  pair.client.connection.reset();
  const int deliveries = pair.client.deliveries;
  pair.RoundTrip();
  EXPECT_EQ(pair.client.deliveries, deliveries);
  EXPECT_FALSE(pair.client.ended || pair.client.closed.has_value());
}

TEST_P(NetworkContract, AConnectionMayGoAwayInOnData) {
  Pair pair(world());
  pair.Open();
  pair.client.on_data = [&] { pair.client.connection.reset(); };
  pair.server.Write(Bytes(2 << 20));
  ASSERT_TRUE(Await([&] { return pair.client.connection == nullptr; }));
  pair.RoundTrip();
  EXPECT_EQ(pair.client.deliveries, 1);
  EXPECT_FALSE(pair.client.ended || pair.client.closed.has_value());
}

TEST_P(NetworkContract, AConnectionMayGoAwayInOnEnd) {
  Pair pair(world());
  pair.Open();
  pair.client.on_end = [&] { pair.client.connection.reset(); };
  pair.client.CloseWrite();
  pair.server.CloseWrite();
  ASSERT_TRUE(Await([&] { return pair.client.ended; }));
  pair.RoundTrip();
  EXPECT_FALSE(pair.client.closed.has_value());
}

TEST_P(NetworkContract, AConnectionMayGoAwayInOnWritable) {
  Pair pair(world());
  pair.Open();
  pair.client.on_writable = [&] { pair.client.connection.reset(); };
  while (pair.client.Write(Bytes(1 << 16))) {
  }
  ASSERT_TRUE(Await([&] { return pair.client.writables == 1; }));
  pair.RoundTrip();
  EXPECT_FALSE(pair.client.closed.has_value());
}

TEST_P(NetworkContract, AConnectionMayGoAwayInOnClosed) {
  Pair pair(world());
  pair.Open();
  pair.client.on_closed = [&] { pair.client.connection.reset(); };
  pair.client.CloseWrite();
  pair.server.CloseWrite();
  ASSERT_TRUE(Await([&] { return pair.client.closed.has_value(); }));
  EXPECT_TRUE(pair.client.ended);
  pair.RoundTrip();
}

// ---- Back-pressure ----

TEST_P(NetworkContract, APausedReaderStopsTheWriter) {
  Pair pair(world());
  pair.Open();
  int after_pause = -1;
  pair.server.on_data = [&] {
    if (++after_pause == 0) pair.server.connection->PauseReading();
  };
  std::string sent;
  const std::string piece = Bytes(1 << 16);
  // Fill the pipe until it takes no more even when it has time to.
  do {
    while (!pair.client.waits_for_writable) {
      sent += piece;
      pair.client.Write(piece);
      ASSERT_LT(sent.size(), 256 << 20) << "no back-pressure";
    }
    pair.RoundTrip();
  } while (!pair.client.waits_for_writable);
  EXPECT_LE(after_pause, 1);
  EXPECT_GT(pair.client.connection->queued_bytes(), Connection::kLowWaterBytes);

  pair.server.on_data = nullptr;
  pair.server.connection->ResumeReading();
  ASSERT_TRUE(Await([&] { return !pair.client.waits_for_writable; }));
  pair.client.CloseWrite();
  ASSERT_TRUE(Await([&] { return pair.server.ended; }));
  EXPECT_TRUE(pair.server.received == sent);
}

TEST_P(NetworkContract, TheEndWaitsWhilePaused) {
  Pair pair(world());
  pair.Open();
  pair.server.connection->PauseReading();
  pair.client.Write("bytes");
  pair.client.CloseWrite();
  pair.server.CloseWrite();
  pair.RoundTrip();
  EXPECT_LE(pair.server.deliveries, 1);
  EXPECT_FALSE(pair.server.ended || pair.server.closed.has_value());
  pair.server.connection->ResumeReading();
  ASSERT_TRUE(Await([&] { return pair.server.closed.has_value(); }));
  EXPECT_EQ(pair.server.received, "bytes");
  EXPECT_TRUE(pair.server.ended);
  EXPECT_TRUE(pair.server.closed->ok()) << *pair.server.closed;
}

TEST_P(NetworkContract, WritableIsToldOncePerRefusal) {
  Pair pair(world());
  pair.Open();
  pair.client.Write("small");
  pair.RoundTrip();
  EXPECT_EQ(pair.client.writables, 0);
  EXPECT_FALSE(pair.client.Write(Bytes(Connection::kHighWaterBytes * 4)));
  EXPECT_FALSE(pair.client.Write(Bytes(Connection::kHighWaterBytes)));
  ASSERT_TRUE(Await([&] { return pair.client.writables == 1; }));
  pair.client.CloseWrite();
  ASSERT_TRUE(Await([&] { return pair.server.ended; }));
  EXPECT_EQ(pair.client.writables, 1);
  EXPECT_EQ(pair.server.received.size(), 5 + Connection::kHighWaterBytes * 5);
}

}  // namespace
}  // namespace quorate::io::contract
