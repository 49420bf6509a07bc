// Two simulated hosts that talk, for tests.

#ifndef QUORATE_SIM_TESTING_TALK_H_
#define QUORATE_SIM_TESTING_TALK_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {

inline Process& StartIdle(Host& host) {
  return host.Start(
      "idle", [](io::Environment&) { return std::make_unique<Program>(); });
}

class Sink final : public io::Connection::Listener {
 public:
  void OnData(absl::string_view bytes) override {
    received.append(bytes.data(), bytes.size());
    last = bytes.size();
  }
  void OnEnd() override { ended = true; }
  void OnClosed(const absl::Status& reason) override { closed = reason; }

  std::string received;
  size_t last = 0;
  bool ended = false;
  std::optional<absl::Status> closed;
};

// A server on one host, a client on another, one connection between them.
class Talk {
 public:
  explicit Talk(uint64_t seed, NetworkOptions options = {})
      : world(seed),
        network(world, options),
        a(world, network, "a", "10.0.0.1"),
        b(world, network, "b", "10.0.0.2"),
        client(StartIdle(a)),
        server(StartIdle(b)) {
    acceptor =
        *server.network().Listen({"10.0.0.2", 80}, [this](auto accepted) {
          server_end = std::move(accepted);
          server_end->Start(&server_sink);
        });
    connector = client.network().Connect(
        {"10.0.0.2", 80}, std::chrono::seconds(5), [this](auto connected) {
          EXPECT_TRUE(connected.ok());
          if (!connected.ok()) return;
          client_end = *std::move(connected);
          client_end->Start(&client_sink);
        });
    EXPECT_TRUE(world.RunUntil([&] { return client_end && server_end; },
                               std::chrono::seconds(1)));
  }
  ~Talk() {
    connector.reset();
    client_end.reset();
    server_end.reset();
    acceptor.reset();
  }

  // One more connection; nobody listens to its server end unless `starts`.
  struct Pair {
    std::unique_ptr<Sink> client_sink = std::make_unique<Sink>();
    std::unique_ptr<Sink> server_sink = std::make_unique<Sink>();
    std::unique_ptr<io::Connection> client, server;
  };
  Pair Connect(bool starts = true) {
    Pair pair;
    const io::Endpoint at{"10.0.0.2", next_port_++};
    auto acceptor = *server.network().Listen(at, [&](auto accepted) {
      pair.server = std::move(accepted);
      if (starts) pair.server->Start(pair.server_sink.get());
    });
    auto connector = client.network().Connect(
        at, std::chrono::seconds(5), [&](auto connected) {
          pair.client = *std::move(connected);
          pair.client->Start(pair.client_sink.get());
        });
    EXPECT_TRUE(world.RunUntil([&] { return pair.client && pair.server; },
                               std::chrono::seconds(5)));
    return pair;
  }

  uint64_t Count(Fault fault) const { return world.faults().of(fault); }

  World world;
  Network network;
  Host a, b;
  Process& client;
  Process& server;
  Sink client_sink, server_sink;
  std::unique_ptr<io::Acceptor> acceptor;
  std::unique_ptr<io::Connector> connector;
  std::unique_ptr<io::Connection> client_end, server_end;

 private:
  uint16_t next_port_ = 81;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_TESTING_TALK_H_
