// The faults of the model ensemble. What it promises without them is in
// io/contract/coordination.cc, which a real server passes as well.

#include "sim/coordination.h"

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "sim/machine.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

using absl::StatusCode;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Names = std::vector<std::string>;

constexpr io::Duration kTimeout = 6s;

class Client final : public io::CoordinationSession::Listener {
 public:
  explicit Client(Host& host, const std::string& credentials = "")
      : world_(host.world()),
        process(host.Start("client", [](io::Environment&) {
          return std::make_unique<Program>();
        })) {
    session = *process.coordination().Connect({.servers = {"10.0.1.1:2181"},
                                               .session_timeout = kTimeout,
                                               .credentials = credentials},
                                              this);
    EXPECT_TRUE(world_.RunUntil([this] { return connected; }, 30s));
  }
  // As the end of a program that does not close its session.
  ~Client() override {
    process.Kill();
    session.reset();
  }

  void OnConnected(int64_t session_id) override {
    connected = true;
    id = session_id;
  }
  void OnDisconnected() override { connected = false; }
  void OnExpired() override {
    connected = false;
    expired = true;
  }
  void OnAuthenticationFailed() override { ADD_FAILURE(); }

  absl::StatusOr<std::string> Create(
      const std::string& path,
      io::CoordinationSession::CreateOptions options = {}) {
    std::optional<absl::StatusOr<std::string>> result;
    session->Create(path, "", options, [&](auto made) { result = made; });
    return Await(result);
  }
  StatusCode Set(const std::string& path, const std::string& data) {
    std::optional<absl::StatusOr<int>> result;
    session->Set(path, data, -1, [&](const absl::Status& status) {
      result = status.ok() ? absl::StatusOr<int>(0) : status;
    });
    return Await(result).status().code();
  }
  std::string Get(const std::string& path,
                  io::CoordinationSession::OnChange watch = nullptr) {
    std::optional<absl::StatusOr<io::Znode>> result;
    session->Get(path, std::move(watch), [&](auto got) { result = got; });
    const auto got = Await(result);
    return got.ok() ? got->data : absl::StatusCodeToString(got.status().code());
  }
  std::optional<Names> Children(const std::string& path) {
    std::optional<absl::StatusOr<Names>> result;
    session->GetChildren(path, nullptr, [&](auto got) { result = got; });
    const auto got = Await(result);
    if (!got.ok()) return std::nullopt;
    return *got;
  }
  bool Exists(const std::string& path) { return Get(path) != "NOT_FOUND"; }

 private:
  template <typename T>
  absl::StatusOr<T> Await(const std::optional<absl::StatusOr<T>>& result) {
    if (world_.RunUntil([&] { return result.has_value(); }, 60s)) {
      return *result;
    }
    ADD_FAILURE() << "no reply";
    return absl::DeadlineExceededError("");
  }

  World& world_;

 public:
  Process& process;
  bool connected = false;
  bool expired = false;
  int64_t id = 0;
  std::unique_ptr<io::CoordinationSession> session;
};

struct Service {
  explicit Service(uint64_t seed = 1) : world(seed) {
    for (Host* host : {&a, &b}) host->ensemble = &ensemble;
  }
  uint64_t count(Fault fault) const { return world.faults().of(fault); }
  void CutOff(const Host& host, const Host& server) {
    network.Cut(host.ip(), server.ip());
    network.Cut(server.ip(), host.ip());
  }

  World world;
  Network network{world, {}};
  Host z1{world, network, "z1", "10.0.1.1"};
  Host z2{world, network, "z2", "10.0.1.2"};
  Host z3{world, network, "z3", "10.0.1.3"};
  Ensemble ensemble{world, {&z1, &z2, &z3}};
  Host a{world, network, "a", "10.0.0.1"};
  Host b{world, network, "b", "10.0.0.2"};
};

// ---- Servers that lag ----

TEST(LaggingServerTest, AnswersFromThePastButNotFromBeforeWhatIsKnown) {
  uint64_t stale = 0;
  uint64_t behind = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Service service(seed);
    Client writer(service.a);
    Client reader(service.b);
    ASSERT_TRUE(writer.Create("/n").ok());
    service.ensemble.faults.max_lag = 500ms;
    int last = 0;
    for (int i = 1; i <= 30; ++i) {
      ASSERT_EQ(writer.Set("/n", absl::StrCat(i)), StatusCode::kOk);
      // A session sees what it wrote.
      ASSERT_EQ(writer.Get("/n"), absl::StrCat(i));
      if (i % 5 == 0) service.ensemble.BreakConnectionsOf(service.b);
      const std::string got = reader.Get("/n");
      if (got == "UNAVAILABLE" || got.empty() || got == "NOT_FOUND") continue;
      const int seen = std::stoi(got);
      // Time does not run backwards, on whatever server.
      ASSERT_GE(seen, last);
      last = seen;
      behind += seen < i ? 1 : 0;
    }
    stale += service.count(Fault::kStaleRead);
  }
  EXPECT_GT(behind, 20u);
  EXPECT_GE(stale, behind);
}

TEST(LaggingServerTest, TellsOfChangesInTheirOrderAndBeforeTheirEffects) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Service service(seed);
    Client writer(service.a);
    Client reader(service.b);
    for (const char* path : {"/x", "/y"}) {
      ASSERT_TRUE(writer.Create(path).ok());
    }
    ASSERT_TRUE(reader.Create("/caught-up").ok());
    service.ensemble.faults.max_lag = 2s;
    std::string order;
    reader.Get("/x", [&] { order += "x"; });
    reader.Get("/y", [&] { order += "y"; });
    ASSERT_EQ(writer.Set("/y", "1"), StatusCode::kOk);
    ASSERT_EQ(writer.Set("/x", "1"), StatusCode::kOk);
    while (reader.Get("/x") != "1") service.world.RunFor(50ms);
    EXPECT_EQ(order, "yx");
  }
}

TEST(LaggingServerTest, OpensSessionsWhenItHasHeardOfThem) {
  Service service;
  service.ensemble.faults.max_lag = 3s;
  Client first(service.a);
  Client second(service.b);
  EXPECT_GT(service.world.elapsed(), 500ms);
  EXPECT_NE(first.id, second.id);
}

// ---- Connections ----

TEST(ConnectionTest, ASessionMoves) {
  Service service;
  Client client(service.a);
  const int64_t id = client.id;
  ASSERT_TRUE(client.Create("/e", {.ephemeral = true}).ok());
  service.ensemble.BreakConnectionsOf(service.b);
  service.world.RunFor(1s);
  EXPECT_EQ(service.count(Fault::kSessionMoved), 0u);
  service.ensemble.BreakConnectionsOf(service.a);
  EXPECT_TRUE(service.world.RunUntil([&] { return !client.connected; }, 100ms));
  EXPECT_TRUE(service.world.RunUntil([&] { return client.connected; }, 1s));
  EXPECT_EQ(service.count(Fault::kSessionMoved), 1u);
  EXPECT_EQ(client.id, id);
  EXPECT_TRUE(client.Exists("/e"));
}

TEST(ConnectionTest, AReplyGetsLostAfterTheDeed) {
  Service service;
  Client client(service.a);
  Client other(service.b);
  service.ensemble.faults.reply_lost = 1;
  EXPECT_EQ(client.Create("/n").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(service.count(Fault::kReplyLost), 1u);
  // What failed anyway, and reads, are answered.
  service.world.RunFor(1s);
  EXPECT_EQ(client.Create("/n").status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(other.Get("/n"), "");
  EXPECT_EQ(service.count(Fault::kReplyLost), 1u);
}

TEST(ConnectionTest, WatchesAreToldAfterTheNextConnection) {
  Service service;
  Client client(service.a);
  Client other(service.b);
  ASSERT_TRUE(client.Create("/n").ok());
  int changes = 0;
  client.Get("/n", [&] { ++changes; });
  for (Host* server : {&service.z1, &service.z2, &service.z3}) {
    service.CutOff(service.a, *server);
  }
  ASSERT_EQ(other.Set("/n", "x"), StatusCode::kOk);
  service.world.RunFor(5s);
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(service.count(Fault::kWatchLate), 0u);
  service.network.MendAll();
  service.world.RunFor(500ms);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(service.count(Fault::kWatchLate), 1u);
}

// ---- Sessions ----

TEST(SessionTest, IsExpiredByTheServersThoughTheClientIsWell) {
  Service service;
  Client client(service.a);
  Client other(service.b);
  ASSERT_TRUE(client.Create("/e", {.ephemeral = true}).ok());
  service.ensemble.ExpireSessionsOf(service.a);
  EXPECT_EQ(service.count(Fault::kSessionExpired), 1u);
  EXPECT_FALSE(other.Exists("/e"));
  EXPECT_TRUE(service.world.RunUntil([&] { return client.expired; }, 1s));
  EXPECT_FALSE(other.expired);
}

TEST(SessionTest, NodesOutliveTheirProcess) {
  Service service;
  Client other(service.b);
  {
    Client client(service.a);
    ASSERT_TRUE(client.Create("/e", {.ephemeral = true}).ok());
  }
  EXPECT_EQ(service.count(Fault::kEphemeralLinger), 1u);
  service.world.RunFor(kTimeout - 1s);
  EXPECT_TRUE(other.Exists("/e"));
  service.world.RunFor(2s);
  EXPECT_FALSE(other.Exists("/e"));
  {
    Client idle(service.a);
  }
  EXPECT_EQ(service.count(Fault::kEphemeralLinger), 1u);
}

TEST(SessionTest, EndsWithAProcessThatExits) {
  Service service;
  Client other(service.b);
  {
    Client client(service.a);
    ASSERT_TRUE(client.Create("/e", {.ephemeral = true}).ok());
    client.process.Run([&] { client.process.Exit(io::kExitOk, "done"); });
  }
  service.world.RunFor(1s);
  EXPECT_FALSE(other.Exists("/e"));
  EXPECT_EQ(service.count(Fault::kEphemeralLinger), 0u);
}

TEST(SessionTest, NoMajorityServesNobody) {
  Service service;
  Client client(service.a);
  service.z1.LosePower();
  service.world.RunFor(10s);
  EXPECT_EQ(service.count(Fault::kEnsembleHalted), 0u);
  service.z2.LosePower();
  service.world.RunFor(30s);
  EXPECT_FALSE(client.connected);
  EXPECT_FALSE(client.expired);
  EXPECT_EQ(service.count(Fault::kEnsembleHalted), 1u);
  service.z1.Boot();
  service.world.RunFor(3s);
  EXPECT_TRUE(client.connected);
}

// ---- Data ----

TEST(DataTest, WhoMayNotWriteIsToldSo) {
  Service service;
  Client client(service.a, "user:secret");
  ASSERT_TRUE(client.Create("/n").ok());
  EXPECT_EQ(client.Set("/n", "x"), StatusCode::kOk);
  EXPECT_EQ(service.count(Fault::kAccessDenied), 0u);
  service.ensemble.Restrict("/n", "somebody:else");
  EXPECT_EQ(client.Set("/n", "y"), StatusCode::kPermissionDenied);
  EXPECT_EQ(client.Create("/n/child").status().code(),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(service.count(Fault::kAccessDenied), 2u);
  EXPECT_EQ(client.Get("/n"), "x");
}

TEST(DataTest, SequenceNumbersOverflow) {
  Service service;
  Client client(service.a);
  ASSERT_TRUE(client.Create("/q").ok());
  service.ensemble.SetSequence("/q", std::numeric_limits<int32_t>::max() - 1);
  const auto next = [&] { return client.Create("/q/n", {.sequential = true}); };
  EXPECT_EQ(*next(), "/q/n2147483646");
  EXPECT_EQ(*next(), "/q/n2147483647");
  EXPECT_EQ(service.count(Fault::kSequenceOverflow), 0u);
  EXPECT_EQ(*next(), "/q/n-2147483648");
  EXPECT_EQ(*next(), "/q/n-2147483647");
  EXPECT_EQ(service.count(Fault::kSequenceOverflow), 2u);
}

TEST(DataTest, OlderDataComesBack) {
  Service service;
  Client stays(service.a);
  ASSERT_TRUE(stays.Create("/n").ok());
  auto gone = std::make_unique<Client>(service.b);
  ASSERT_TRUE(gone->Create("/e", {.ephemeral = true}).ok());
  const Ensemble::Backup backup = service.ensemble.BackUp();
  gone.reset();
  ASSERT_EQ(stays.Set("/n", "new"), StatusCode::kOk);
  service.world.RunFor(2 * kTimeout);
  EXPECT_FALSE(stays.Exists("/e"));
  Client young(service.b);

  service.ensemble.RollBack(backup);
  EXPECT_EQ(service.count(Fault::kEnsembleRolledBack), 1u);
  EXPECT_TRUE(service.world.RunUntil([&] { return young.expired; }, 2s));
  service.world.RunFor(1s);
  EXPECT_TRUE(stays.connected);
  EXPECT_EQ(stays.Get("/n"), "");
  // The dead one's node as well, for another timeout.
  EXPECT_TRUE(stays.Exists("/e"));
  service.world.RunFor(2 * kTimeout);
  EXPECT_FALSE(stays.Exists("/e"));
}

// Who knows more than all servers is let in by none, and not told why.
TEST(DataTest, OlderServersRefuseClientsThatKnowMore) {
  Service service;
  const Ensemble::Backup backup = service.ensemble.BackUp();
  for (int i = 0; i < 2; ++i) {
    service.z1.LosePower();
    service.z2.LosePower();
    service.world.RunFor(1s);
    service.z1.Boot();
    service.z2.Boot();
    service.world.RunFor(1s);
  }
  Client client(service.a);
  ASSERT_TRUE(client.Create("/n").ok());
  service.ensemble.RollBack(backup);
  service.world.RunFor(5 * kTimeout);
  EXPECT_FALSE(client.connected);
  EXPECT_FALSE(client.expired);
  Client another(service.b);
  EXPECT_FALSE(another.Exists("/n"));
}

}  // namespace
}  // namespace quorate::sim
