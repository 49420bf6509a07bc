#include "io/coordination.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "io/contract/suites.h"

namespace quorate::io::contract {
namespace {

using absl::StatusCode;
using Names = std::vector<std::string>;
using CreateOptions = CoordinationSession::CreateOptions;

constexpr Duration kSessionTimeout = std::chrono::seconds(10);

// A session, what happened to it, and its operations as if they blocked.
class Client final : public CoordinationSession::Listener {
 public:
  Client(ContractWorld& world, int process,
         Duration session_timeout = kSessionTimeout,
         const std::string& credentials = "")
      : world_(world) {
    Coordination::Options options;
    options.servers = world.coordination_servers(process);
    options.session_timeout = session_timeout;
    options.credentials = credentials;
    in_call_ = true;
    auto session =
        world.environment(process).coordination().Connect(options, this);
    in_call_ = false;
    EXPECT_TRUE(session.ok()) << session.status();
    if (session.ok()) session_ = *std::move(session);
  }

  void OnConnected(int64_t session_id) override {
    EXPECT_FALSE(in_call_) << "OnConnected from inside a call";
    EXPECT_NE(session_id, 0);
    EXPECT_TRUE(id == 0 || id == session_id) << "another session";
    id = session_id;
    connected = true;
    ++connections;
    if (on_connected) on_connected();
  }
  void OnDisconnected() override {
    EXPECT_TRUE(connected);
    connected = false;
    if (on_disconnected) on_disconnected();
  }
  void OnExpired() override {
    EXPECT_FALSE(expired);
    connected = false;
    expired = true;
    if (on_expired) on_expired();
  }
  void OnAuthenticationFailed() override { ADD_FAILURE(); }

  bool Await(const std::function<bool()>& done) {
    const bool result = world_.RunUntil(done, kTimeout);
    EXPECT_TRUE(result) << "timed out";
    return result;
  }
  void AwaitConnected() {
    ASSERT_TRUE(Await([&] { return connected; }));
  }

  // An operation with a callback that takes a T, run to its end.
  template <typename T>
  T Do(const std::function<void(CoordinationSession&, std::function<void(T)>)>&
           begin) {
    std::optional<T> result;
    bool in_call = true;
    begin(*session_, [&](T value) {
      EXPECT_FALSE(in_call) << "done from inside the call";
      result.emplace(std::move(value));
    });
    in_call = false;
    if (!Await([&] { return result.has_value(); })) {
      return T(absl::DeadlineExceededError("no reply"));
    }
    return *std::move(result);
  }

  absl::StatusOr<std::string> Create(const std::string& path,
                                     const std::string& data = "",
                                     CreateOptions options = {}) {
    return Do<absl::StatusOr<std::string>>([&](auto& session, auto done) {
      session.Create(path, data, options, done);
    });
  }
  absl::StatusOr<Znode> Get(const std::string& path,
                            CoordinationSession::OnChange watch = nullptr) {
    return Do<absl::StatusOr<Znode>>(
        [&](auto& session, auto done) { session.Get(path, watch, done); });
  }
  absl::StatusOr<Names> Children(
      const std::string& path, CoordinationSession::OnChange watch = nullptr) {
    return Do<absl::StatusOr<Names>>([&](auto& session, auto done) {
      session.GetChildren(path, watch, done);
    });
  }
  StatusCode Set(const std::string& path, const std::string& data,
                 int32_t version = -1) {
    return Do<absl::Status>([&](auto& session, auto done) {
             session.Set(path, data, version, done);
           })
        .code();
  }
  StatusCode Delete(const std::string& path, int32_t version = -1) {
    return Do<absl::Status>([&](auto& session, auto done) {
             session.Delete(path, version, done);
           })
        .code();
  }
  // What this session sees is not older than what the others have written.
  void CatchUp() { (void)Create("/catch-up", "", {.sequential = true}); }

  CoordinationSession& session() { return *session_; }
  void Close() { session_.reset(); }

  int64_t id = 0;
  bool connected = false;
  int connections = 0;
  bool expired = false;
  std::function<void()> on_connected, on_disconnected, on_expired;

 private:
  ContractWorld& world_;
  bool in_call_ = false;
  std::unique_ptr<CoordinationSession> session_;
};

// ---- Nodes ----

TEST_P(CoordinationContract, ConnectRefusesBadOptions) {
  struct Ignore final : CoordinationSession::Listener {
    void OnConnected(int64_t) override { ADD_FAILURE(); }
    void OnDisconnected() override { ADD_FAILURE(); }
    void OnExpired() override { ADD_FAILURE(); }
    void OnAuthenticationFailed() override { ADD_FAILURE(); }
  } listener;
  Coordination& coordination = environment().coordination();
  const auto code = [&](const Coordination::Options& options) {
    return coordination.Connect(options, &listener).status().code();
  };
  const Names servers = world().coordination_servers(0);
  EXPECT_EQ(code({}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.servers = {"localhost"}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.servers = {"localhost:99999"}}),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.servers = {"a:1,b:2"}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.servers = servers, .session_timeout = Duration(0)}),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.servers = servers, .credentials = "user"}),
            StatusCode::kInvalidArgument);
}

TEST_P(CoordinationContract, NodesAreCreatedOnce) {
  Client client(world(), 0);
  client.AwaitConnected();
  EXPECT_EQ(client.connections, 1);
  EXPECT_EQ(client.Create("/a").value(), "/a");
  EXPECT_EQ(client.Create("/a").status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(client.Create("/a/b").value(), "/a/b");
  EXPECT_EQ(client.Create("/missing/b").status().code(), StatusCode::kNotFound);
  for (const char* path : {"", "a", "/a/", "/a//b", "/a/../b"}) {
    EXPECT_EQ(client.Create(path).status().code(), StatusCode::kInvalidArgument)
        << path;
  }
  EXPECT_EQ(client.Get("no-slash").status().code(),
            StatusCode::kInvalidArgument);
}

TEST_P(CoordinationContract, DataHasVersions) {
  Client client(world(), 0);
  client.AwaitConnected();
  const std::string binary("\0\xff\n\0", 4);
  ASSERT_TRUE(client.Create("/a", binary).ok());
  auto node = client.Get("/a");
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->data, binary);
  EXPECT_EQ(node->version, 0);
  EXPECT_EQ(node->ephemeral_owner, 0);
  EXPECT_EQ(client.Set("/a", "one", 0), StatusCode::kOk);
  EXPECT_EQ(client.Set("/a", "two", 0), StatusCode::kFailedPrecondition);
  EXPECT_EQ(client.Set("/a", "", -1), StatusCode::kOk);
  node = client.Get("/a");
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->data, "");
  EXPECT_EQ(node->version, 2);
  const std::string large(100'000, 'x');
  EXPECT_EQ(client.Set("/a", large), StatusCode::kOk);
  EXPECT_EQ(client.Get("/a")->data, large);
  EXPECT_EQ(client.Set("/missing", ""), StatusCode::kNotFound);
  EXPECT_EQ(client.Get("/missing").status().code(), StatusCode::kNotFound);
}

TEST_P(CoordinationContract, DeleteNeedsTheVersionAndNoChildren) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  ASSERT_TRUE(client.Create("/a/b").ok());
  EXPECT_EQ(client.Delete("/a"), StatusCode::kFailedPrecondition);
  EXPECT_EQ(client.Delete("/a/b", 1), StatusCode::kFailedPrecondition);
  EXPECT_EQ(client.Delete("/a/b", 0), StatusCode::kOk);
  EXPECT_EQ(client.Delete("/a/b"), StatusCode::kNotFound);
  EXPECT_EQ(client.Delete("/a"), StatusCode::kOk);
  EXPECT_EQ(client.Get("/a").status().code(), StatusCode::kNotFound);
}

TEST_P(CoordinationContract, ChildrenAreNamesInOrder) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  EXPECT_EQ(client.Children("/a").value(), Names());
  for (const char* path : {"/a/z", "/a/b", "/a/B", "/a/b/c"}) {
    ASSERT_TRUE(client.Create(path).ok()) << path;
  }
  EXPECT_EQ(client.Children("/a").value(), (Names{"B", "b", "z"}));
  EXPECT_EQ(client.Children("/missing").status().code(), StatusCode::kNotFound);
}

TEST_P(CoordinationContract, SequentialNodesCountUp) {
  Client one(world(), 0);
  Client two(world(), 1);
  one.AwaitConnected();
  two.AwaitConnected();
  ASSERT_TRUE(one.Create("/s").ok());
  const CreateOptions sequential{.sequential = true};
  EXPECT_EQ(one.Create("/s/n_", "", sequential).value(), "/s/n_0000000000");
  EXPECT_EQ(two.Create("/s/n_", "", sequential).value(), "/s/n_0000000001");
  // The counter is the parent's: names do not matter, removals neither.
  EXPECT_EQ(one.Delete("/s/n_0000000001"), StatusCode::kOk);
  EXPECT_EQ(one.Create("/s/", "", sequential).value(), "/s/0000000002");
  EXPECT_EQ(
      one.Create("/s/m", "", {.ephemeral = true, .sequential = true}).value(),
      "/s/m0000000003");
}

TEST_P(CoordinationContract, OperationsAreCarriedOutInOrder) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/a", "x").ok());
  std::vector<std::string> replies;
  CoordinationSession& session = client.session();
  session.Set("/a", "1", -1, [&](const auto&) { replies.push_back("set"); });
  session.Get("/a", nullptr,
              [&](const auto& node) { replies.push_back(node->data); });
  session.GetChildren("/a", nullptr,
                      [&](const auto&) { replies.push_back("children"); });
  session.Set("/a", "2", -1, [&](const auto&) { replies.push_back("set"); });
  session.Get("bad path", nullptr, [](const auto&) {});
  session.Get("/a", nullptr,
              [&](const auto& node) { replies.push_back(node->data); });
  EXPECT_TRUE(replies.empty());
  ASSERT_TRUE(Await([&] { return replies.size() == 5; }));
  EXPECT_EQ(replies, (Names{"set", "1", "children", "set", "2"}));
}

// Also nodes that are gone, and those without a number, have been counted.
TEST_P(CoordinationContract, SequenceNumbersAreNotGivenTwice) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/q").ok());
  const auto next = [&](const std::string& prefix, bool ephemeral = false) {
    return client
        .Create("/q/" + prefix, "",
                {.ephemeral = ephemeral, .sequential = true})
        .value();
  };
  EXPECT_EQ(next("a"), "/q/a0000000000");
  EXPECT_EQ(next("b", true), "/q/b0000000001");
  EXPECT_EQ(next(""), "/q/0000000002");
  ASSERT_TRUE(client.Create("/q/plain").ok());
  EXPECT_EQ(client.Delete("/q/b0000000001"), StatusCode::kOk);
  EXPECT_EQ(client.Create("/q/plain").status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(next("a"), "/q/a0000000004");
  // Each node counts its own children.
  ASSERT_TRUE(client.Create("/q/a0000000000/x").ok());
  EXPECT_EQ(next("a"), "/q/a0000000005");
}

TEST_P(CoordinationContract, TheRootIsANode) {
  Client client(world(), 0);
  client.AwaitConnected();
  EXPECT_EQ(client.Create("/").status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(client.Get("/")->ephemeral_owner, 0);
  // The server has nodes of its own.
  EXPECT_EQ(client.Children("/").value(), Names{"zookeeper"});
  ASSERT_TRUE(client.Create("/a").ok());
  EXPECT_EQ(client.Children("/").value(), (Names{"a", "zookeeper"}));
}

// ---- Sessions ----

TEST_P(CoordinationContract, EphemeralNodesGoWithTheirSession) {
  Client owner(world(), 0);
  Client other(world(), 1);
  owner.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(owner.Create("/e", "here", {.ephemeral = true}).ok());
  ASSERT_TRUE(owner.Create("/p", "stays").ok());
  other.CatchUp();
  bool changed = false;
  const auto node = other.Get("/e", [&] { changed = true; });
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->ephemeral_owner, owner.id);
  EXPECT_NE(owner.id, other.id);
  EXPECT_EQ(owner.Create("/e/child").status().code(),
            StatusCode::kFailedPrecondition);
  owner.Close();
  // At once: not after the session's timeout.
  ASSERT_TRUE(world().RunUntil([&] { return changed; }, kSessionTimeout / 2));
  EXPECT_EQ(other.Get("/e").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(other.Get("/p")->data, "stays");
}

TEST_P(CoordinationContract, AShortCutDoesNotEndTheSession) {
  Client client(world(), 0);
  Client other(world(), 1);
  client.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(client.Create("/e", "0", {.ephemeral = true}).ok());
  int changes = 0;
  ASSERT_TRUE(client.Get("/e", [&] { ++changes; }).ok());
  world().CutCoordination(0);
  ASSERT_TRUE(Await([&] { return !client.connected; }));
  EXPECT_EQ(other.Set("/e", "1"), StatusCode::kOk);
  EXPECT_EQ(changes, 0);
  world().HealCoordination(0);
  ASSERT_TRUE(Await([&] { return client.connected; }));
  // The watch was kept, and tells of what it missed.
  ASSERT_TRUE(Await([&] { return changes == 1; }));
  EXPECT_EQ(client.connections, 2);
  EXPECT_EQ(client.Get("/e")->data, "1");
  EXPECT_EQ(client.Get("/e")->ephemeral_owner, client.id);
  EXPECT_EQ(changes, 1);
  EXPECT_FALSE(client.expired);
}

TEST_P(CoordinationContract, OperationsFailWhenTheConnectionIsLost) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  world().CutCoordination(0);
  EXPECT_EQ(client.Set("/a", "x"), StatusCode::kUnavailable);
  EXPECT_FALSE(client.expired);
  world().HealCoordination(0);
  client.AwaitConnected();
  EXPECT_EQ(client.Set("/a", "y"), StatusCode::kOk);
}

TEST_P(CoordinationContract, SessionsThatStayAwayExpire) {
  constexpr Duration kShort = std::chrono::seconds(2);
  Client client(world(), 0, kShort);
  Client other(world(), 1);
  client.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(client.Create("/e", "", {.ephemeral = true}).ok());
  bool changed = false;
  other.CatchUp();
  ASSERT_TRUE(other.Get("/e", [&] { changed = true; }).ok());
  world().CutCoordination(0);
  ASSERT_TRUE(Await([&] { return changed; }));
  EXPECT_EQ(other.Get("/e").status().code(), StatusCode::kNotFound);
  // Only a server's word ends a session.
  EXPECT_FALSE(client.expired);
  EXPECT_FALSE(client.connected);
  world().HealCoordination(0);
  ASSERT_TRUE(Await([&] { return client.expired; }));
  EXPECT_EQ(client.connections, 1);
  EXPECT_EQ(client.Get("/catch-up").status().code(), StatusCode::kAborted);
  EXPECT_EQ(client.Create("/e").status().code(), StatusCode::kAborted);
}

TEST_P(CoordinationContract, AnIdleSessionLivesOn) {
  constexpr Duration kShort = std::chrono::seconds(2);
  Client client(world(), 0, kShort);
  client.AwaitConnected();
  bool over = false;
  const Timer timer =
      environment().clock().RunAfter(kShort * 2, [&] { over = true; });
  ASSERT_TRUE(Await([&] { return over; }));
  EXPECT_EQ(client.connections, 1);
  EXPECT_TRUE(client.connected);
}

TEST_P(CoordinationContract, AClosedSessionIsSilent) {
  Client client(world(), 0);
  Client other(world(), 1);
  client.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  bool called = false;
  ASSERT_TRUE(client.Get("/a", [&] { called = true; }).ok());
  client.session().Get("/a", nullptr, [&](const auto&) { called = true; });
  client.Close();
  EXPECT_EQ(other.Set("/a", "x"), StatusCode::kOk);
  Settle();
  EXPECT_FALSE(called);
  EXPECT_EQ(client.connections, 1);
}

TEST_P(CoordinationContract, ASessionMayGoAwayInAnyCallback) {
  {
    Client client(world(), 0);
    client.on_connected = [&] { client.Close(); };
    client.AwaitConnected();
  }
  {
    Client client(world(), 0);
    client.AwaitConnected();
    int replies = 0;
    for (int i = 0; i < 3; ++i) {
      client.session().Get("/", nullptr, [&](const auto&) {
        ++replies;
        client.Close();
      });
    }
    ASSERT_TRUE(Await([&] { return replies > 0; }));
    Settle();
    EXPECT_EQ(replies, 1);
  }
  {
    Client client(world(), 0);
    client.AwaitConnected();
    ASSERT_TRUE(client.Create("/a").ok());
    bool changed = false;
    ASSERT_TRUE(client
                    .Get("/a",
                         [&] {
                           changed = true;
                           client.Close();
                         })
                    .ok());
    bool replied = false;
    client.session().Set("/a", "x", -1, [&](const auto&) { replied = true; });
    ASSERT_TRUE(Await([&] { return changed; }));
    Settle();
    EXPECT_FALSE(replied);
  }
  {
    Client client(world(), 0);
    client.AwaitConnected();
    client.on_disconnected = [&] { client.Close(); };
    world().CutCoordination(0);
    ASSERT_TRUE(Await([&] { return !client.connected; }));
    world().HealCoordination(0);
    Settle();
    EXPECT_EQ(client.connections, 1);
  }
}

// ---- Watches ----

TEST_P(CoordinationContract, AWatchFiresOnceBeforeTheReplyThatShowsTheChange) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  std::vector<std::string> events;
  ASSERT_TRUE(client.Get("/a", [&] { events.push_back("changed"); }).ok());
  EXPECT_TRUE(events.empty());
  for (int i = 0; i < 2; ++i) {
    client.session().Set("/a", "x", -1,
                         [&](const auto&) { events.push_back("set"); });
  }
  ASSERT_TRUE(Await([&] { return events.size() == 3; }));
  EXPECT_EQ(events, (Names{"changed", "set", "set"}));
}

TEST_P(CoordinationContract, EachWatchFiresForItself) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  int first = 0;
  int second = 0;
  ASSERT_TRUE(client.Get("/a", [&] { ++first; }).ok());
  ASSERT_TRUE(client.Get("/a", [&] { ++second; }).ok());
  EXPECT_EQ(client.Delete("/a"), StatusCode::kOk);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

TEST_P(CoordinationContract, ChildrenWatches) {
  Client client(world(), 0);
  Client other(world(), 1);
  client.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(client.Create("/d").ok());
  int changes = 0;
  const auto watch = [&] { ++changes; };
  const auto count = [&] {
    client.CatchUp();
    return changes;
  };
  ASSERT_TRUE(client.Children("/d", watch).ok());
  other.CatchUp();
  // The data of the node, its children's data and grandchildren are not it.
  ASSERT_TRUE(other.Set("/d", "data") == StatusCode::kOk);
  EXPECT_EQ(count(), 0);
  ASSERT_TRUE(other.Create("/d/a").ok());
  EXPECT_EQ(count(), 1);
  ASSERT_TRUE(other.Create("/d/b").ok());
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(client.Children("/d", watch).value(), (Names{"a", "b"}));
  ASSERT_TRUE(other.Set("/d/a", "data") == StatusCode::kOk);
  ASSERT_TRUE(other.Create("/d/a/c").ok());
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(other.Delete("/d/b"), StatusCode::kOk);
  EXPECT_EQ(count(), 2);
  EXPECT_EQ(other.Delete("/d/a/c"), StatusCode::kOk);
  EXPECT_EQ(other.Delete("/d/a"), StatusCode::kOk);
  EXPECT_EQ(client.Children("/d", watch).value(), Names());
  EXPECT_EQ(other.Delete("/d"), StatusCode::kOk);
  EXPECT_EQ(count(), 3);
}

TEST_P(CoordinationContract, DataWatches) {
  Client client(world(), 0);
  client.AwaitConnected();
  ASSERT_TRUE(client.Create("/d").ok());
  int changes = 0;
  const auto watch = [&] { ++changes; };
  ASSERT_TRUE(client.Get("/d", watch).ok());
  // Children are not data; and what fails changes nothing.
  ASSERT_TRUE(client.Create("/d/a").ok());
  EXPECT_EQ(client.Delete("/d/a"), StatusCode::kOk);
  EXPECT_EQ(client.Set("/d", "x", 7), StatusCode::kFailedPrecondition);
  EXPECT_EQ(changes, 0);
  // The same data is a change.
  EXPECT_EQ(client.Set("/d", ""), StatusCode::kOk);
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(client.Set("/d", ""), StatusCode::kOk);
  EXPECT_EQ(changes, 1);
  ASSERT_TRUE(client.Get("/d", watch).ok());
  EXPECT_EQ(client.Delete("/d"), StatusCode::kOk);
  EXPECT_EQ(changes, 2);
}

// In the order of what happened, over all that a session watches.
TEST_P(CoordinationContract, WatchesFireInOrder) {
  Client client(world(), 0);
  Client other(world(), 1);
  client.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(client.Create("/a").ok());
  ASSERT_TRUE(client.Create("/b").ok());
  std::string order;
  ASSERT_TRUE(client.Get("/a", [&] { order += "a"; }).ok());
  ASSERT_TRUE(client.Children("/b", [&] { order += "b"; }).ok());
  ASSERT_TRUE(client.Get("/b", [&] { order += "B"; }).ok());
  other.CatchUp();
  EXPECT_EQ(other.Set("/b", "x"), StatusCode::kOk);
  ASSERT_TRUE(other.Create("/b/c").ok());
  EXPECT_EQ(other.Set("/a", "x"), StatusCode::kOk);
  client.CatchUp();
  EXPECT_EQ(order, "Bba");
}

// What changed while nobody could tell is told after the next connection; what
// did not change is not.
TEST_P(CoordinationContract, WatchesOfAllKindsOutliveAConnection) {
  Client client(world(), 0);
  Client other(world(), 1);
  client.AwaitConnected();
  other.AwaitConnected();
  for (const char* path : {"/gone", "/child", "/again", "/still"}) {
    ASSERT_TRUE(client.Create(path).ok());
  }
  std::vector<std::string> changed;
  const auto note = [&](const std::string& what) {
    return [&changed, what] { changed.push_back(what); };
  };
  ASSERT_TRUE(client.Get("/gone", note("gone")).ok());
  ASSERT_TRUE(client.Children("/child", note("child")).ok());
  ASSERT_TRUE(client.Get("/child", note("!")).ok());
  ASSERT_TRUE(client.Get("/again", note("again")).ok());
  ASSERT_TRUE(client.Get("/still", note("!")).ok());
  ASSERT_TRUE(client.Children("/still", note("!")).ok());
  other.CatchUp();
  world().CutCoordination(0);
  ASSERT_TRUE(Await([&] { return !client.connected; }));
  EXPECT_EQ(other.Delete("/gone"), StatusCode::kOk);
  ASSERT_TRUE(other.Create("/child/x").ok());
  EXPECT_EQ(other.Delete("/again"), StatusCode::kOk);
  ASSERT_TRUE(other.Create("/again").ok());
  world().HealCoordination(0);
  client.AwaitConnected();
  ASSERT_TRUE(Await([&] { return changed.size() >= 3; }));
  client.CatchUp();
  std::sort(changed.begin(), changed.end());
  EXPECT_EQ(changed, (Names{"again", "child", "gone"}));
}

TEST_P(CoordinationContract, AnExpiredSessionsNodesGoAsIfRemoved) {
  constexpr Duration kShort = std::chrono::seconds(2);
  Client owner(world(), 0, kShort);
  Client other(world(), 1);
  owner.AwaitConnected();
  other.AwaitConnected();
  ASSERT_TRUE(owner.Create("/d").ok());
  ASSERT_TRUE(owner.Create("/d/e", "", {.ephemeral = true}).ok());
  other.CatchUp();
  int changes = 0;
  const auto watch = [&] { ++changes; };
  ASSERT_TRUE(other.Get("/d/e", watch).ok());
  ASSERT_TRUE(other.Children("/d/e", watch).ok());
  ASSERT_TRUE(other.Children("/d", watch).ok());
  world().CutCoordination(0);
  ASSERT_TRUE(Await([&] { return changes == 3; }));
  EXPECT_EQ(other.Children("/d").value(), Names());
}

TEST_P(CoordinationContract, NoWatchIsLeftOnAMissingNode) {
  Client client(world(), 0);
  client.AwaitConnected();
  bool called = false;
  const auto watch = [&] { called = true; };
  EXPECT_EQ(client.Get("/a", watch).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(client.Children("/a", watch).status().code(),
            StatusCode::kNotFound);
  ASSERT_TRUE(client.Create("/a").ok());
  ASSERT_TRUE(client.Create("/a/b").ok());
  EXPECT_EQ(client.Set("/a", "x"), StatusCode::kOk);
  client.CatchUp();
  EXPECT_FALSE(called);
}

// ---- Access ----

TEST_P(CoordinationContract, CredentialsProtectWhatTheyCreated) {
  Client owner(world(), 0, kSessionTimeout, "user:secret:with:colons");
  Client same(world(), 1, kSessionTimeout, "user:secret:with:colons");
  Client stranger(world(), 1);
  Client wrong(world(), 1, kSessionTimeout, "user:guess");
  for (Client* client : {&owner, &same, &stranger, &wrong}) {
    client->AwaitConnected();
  }
  ASSERT_TRUE(owner.Create("/a", "data").ok());
  for (Client* client : {&stranger, &wrong}) {
    client->CatchUp();
    EXPECT_EQ(client->Get("/a")->data, "data");
    EXPECT_EQ(client->Children("/a").value(), Names());
    EXPECT_EQ(client->Set("/a", "x"), StatusCode::kPermissionDenied);
    EXPECT_EQ(client->Create("/a/b").status().code(),
              StatusCode::kPermissionDenied);
  }
  EXPECT_EQ(same.Set("/a", "new"), StatusCode::kOk);
  ASSERT_TRUE(same.Create("/a/b").ok());
  EXPECT_EQ(stranger.Delete("/a/b"), StatusCode::kPermissionDenied);
  EXPECT_EQ(owner.Delete("/a/b"), StatusCode::kOk);
  // Without credentials: open to all.
  ASSERT_TRUE(stranger.Create("/open").ok());
  EXPECT_EQ(wrong.Set("/open", "x"), StatusCode::kOk);
}

TEST_P(CoordinationContract, EachNodeHasItsOwnWriters) {
  Client owner(world(), 0, kSessionTimeout, "user:secret");
  Client stranger(world(), 1);
  owner.AwaitConnected();
  stranger.AwaitConnected();
  ASSERT_TRUE(stranger.Create("/open").ok());
  ASSERT_TRUE(stranger.Create("/open/theirs", "").ok());
  stranger.CatchUp();
  ASSERT_TRUE(owner.Create("/open/mine").ok());
  ASSERT_TRUE(owner.Create("/closed").ok());
  stranger.CatchUp();
  EXPECT_EQ(stranger.Set("/open/mine", "x"), StatusCode::kPermissionDenied);
  // To remove a child is to write to its parent.
  EXPECT_EQ(stranger.Delete("/open/mine"), StatusCode::kOk);
  EXPECT_EQ(owner.Set("/open/theirs", "x"), StatusCode::kOk);
  // Who may not write does not learn what there is, nor its version.
  EXPECT_EQ(stranger.Delete("/closed/missing"), StatusCode::kPermissionDenied);
  EXPECT_EQ(stranger.Set("/closed", "x", 7), StatusCode::kPermissionDenied);
  EXPECT_EQ(
      stranger.Create("/closed/x", "", {.sequential = true}).status().code(),
      StatusCode::kPermissionDenied);
  EXPECT_EQ(stranger.Delete("/missing/x"), StatusCode::kNotFound);
  EXPECT_EQ(stranger.Set("/closed/missing", ""), StatusCode::kNotFound);
}

}  // namespace
}  // namespace quorate::io::contract
