#include "prod/contract_world.h"

#include <glog/logging.h>
#include <stdlib.h>

#include <future>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prod/environment.h"

namespace quorate::prod {
namespace {

constexpr io::Duration kTimeout = std::chrono::seconds(60);

// Stands between a process and the ZooKeeper server, to be cut. On a thread
// of its own, as closing a session waits for the server's answer.
class Proxy {
 public:
  Proxy(const std::string& ip, const io::Endpoint& server) : server_(server) {
    auto acceptor = network_.Listen(
        {ip, 0}, [this](auto accepted) { OnAccepted(std::move(accepted)); });
    CHECK(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
    address_ = acceptor_->local();
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~Proxy() {
    loop_.Post([this] { loop_.Stop(); });
    thread_.join();
  }

  const io::Endpoint& address() const { return address_; }

  // Of effect when the call returns.
  void SetCut(bool cut) {
    std::promise<void> done;
    loop_.Post([&] {
      cut_ = cut;
      if (cut) tunnels_.clear();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  struct Tunnel;
  // One end of a tunnel: hands on what it gets to the other one.
  struct End final : io::Connection::Listener {
    void OnData(absl::string_view bytes) override {
      other->connection->Write(bytes);
    }
    void OnEnd() override { other->connection->CloseWrite(); }
    void OnClosed(const absl::Status&) override { tunnels->erase(number); }

    std::unique_ptr<io::Connection> connection;
    End* other = nullptr;
    std::map<int, Tunnel>* tunnels = nullptr;
    int number = 0;
  };
  struct Tunnel {
    End client, server;
    std::unique_ptr<io::Connector> connector;
  };

  void OnAccepted(std::unique_ptr<io::Connection> accepted) {
    if (cut_) return;
    const int number = next_++;
    Tunnel& tunnel = tunnels_[number];
    for (End* end : {&tunnel.client, &tunnel.server}) {
      end->tunnels = &tunnels_;
      end->number = number;
    }
    tunnel.client.other = &tunnel.server;
    tunnel.server.other = &tunnel.client;
    tunnel.client.connection = std::move(accepted);
    tunnel.connector =
        network_.Connect(server_, kTimeout, [&tunnel](auto result) {
          CHECK(result.ok()) << result.status();
          tunnel.server.connection = *std::move(result);
          tunnel.client.connection->Start(&tunnel.client);
          tunnel.server.connection->Start(&tunnel.server);
        });
  }

  EventLoop loop_;
  TcpNetwork network_{&loop_};
  const io::Endpoint server_;
  std::unique_ptr<io::Acceptor> acceptor_;
  io::Endpoint address_;
  bool cut_ = false;
  int next_ = 0;
  std::map<int, Tunnel> tunnels_;
  std::thread thread_;
};

class World final : public io::contract::ContractWorld {
 public:
  World() {
    const char* parent = getenv("TEST_TMPDIR");
    std::string folder =
        absl::StrCat(parent == nullptr ? "/tmp" : parent, "/worldXXXXXX");
    PCHECK(mkdtemp(folder.data()) != nullptr);
    folder_ = PosixDisk().RealPath(folder).value();
    for (int i = 0; i < kProcesses; ++i) {
      CHECK(PosixDisk().MakeDirectories(directory(i)).ok());
      Restart(i);
    }
  }
  ~World() override { (void)PosixDisk().RemoveTree(folder_); }

  io::Environment& environment(int process) override {
    return *processes_[process].environment;
  }
  std::string ip(int process) override {
    return absl::StrCat("127.0.0.", process + 1);
  }
  std::string directory(int process) override {
    return absl::StrCat(folder_, "/process", process);
  }
  void Restart(int process) override {
    processes_[process].environment.reset();
    processes_[process].environment = std::make_unique<Environment>(
        &loop_, EnvironmentOptions{.container_folder = absl::StrCat(
                                       folder_, "/containers", process)});
  }

  bool RunUntil(const std::function<bool()>& done,
                io::Duration timeout) override {
    bool late = false;
    const io::Timer timer = loop_.RunAfter(timeout, [&] { late = true; });
    const auto over = [&] { return late || done(); };
    while (!over()) loop_.RunOnce(over);
    return !late;
  }

  std::vector<std::string> coordination_servers(int process) override {
    if (proxies_[process] == nullptr) StartProxies();
    const io::Endpoint& server = proxies_[process]->address();
    // One of them by name: all has to hold with names as well.
    if (process == 0) return {absl::StrCat("localhost:", server.port)};
    return {server.ToString()};
  }
  void CutCoordination(int process) override {
    proxies_[process]->SetCut(true);
  }
  void HealCoordination(int process) override {
    proxies_[process]->SetCut(false);
  }

 private:
  struct Process {
    std::unique_ptr<Environment> environment;
  };

  void StartProxies();

  EventLoop loop_;
  std::string folder_;
  Process processes_[kProcesses];
  std::unique_ptr<Proxy> proxies_[kProcesses];
};

// Removes all nodes but ZooKeeper's own.
class Wiper final : public io::CoordinationSession::Listener {
 public:
  Wiper(World* world, io::Coordination& coordination, std::string server)
      : world_(world) {
    auto session = coordination.Connect({.servers = {std::move(server)}}, this);
    CHECK(session.ok()) << session.status();
    session_ = *std::move(session);
    CHECK(world->RunUntil([this] { return connected_; }, kTimeout));
  }

  void OnConnected(int64_t) override { connected_ = true; }
  void OnDisconnected() override {}
  void OnExpired() override { LOG(FATAL) << "expired"; }
  void OnAuthenticationFailed() override { LOG(FATAL) << "refused"; }

  void RemoveUnder(const std::string& path) {
    std::optional<std::vector<std::string>> names;
    session_->GetChildren(path, nullptr,
                          [&](auto result) { names = result.value(); });
    CHECK(world_->RunUntil([&] { return names.has_value(); }, kTimeout));
    for (const std::string& name : *names) {
      const std::string child =
          absl::StrCat(path == "/" ? "" : path, "/", name);
      if (child == "/zookeeper") continue;
      RemoveUnder(child);
      bool done = false;
      // An ephemeral node may go by itself meanwhile.
      session_->Delete(child, -1, [&](const absl::Status& status) {
        CHECK(status.ok() || absl::IsNotFound(status)) << status;
        done = true;
      });
      CHECK(world_->RunUntil([&] { return done; }, kTimeout));
    }
  }

 private:
  World* const world_;
  bool connected_ = false;
  std::unique_ptr<io::CoordinationSession> session_;
};

void World::StartProxies() {
  const char* address = getenv("QUORATE_TEST_ZOOKEEPER");
  CHECK(address != nullptr) << "QUORATE_TEST_ZOOKEEPER is not set";
  const auto server = io::ParseEndpoint(address);
  CHECK(server.ok()) << server.status();
  for (int i = 0; i < kProcesses; ++i) {
    proxies_[i] = std::make_unique<Proxy>(ip(i), *server);
  }
  Wiper(this, environment(0).coordination(), address).RemoveUnder("/");
}

}  // namespace

std::unique_ptr<io::contract::ContractWorld> NewContractWorld() {
  return std::make_unique<World>();
}

}  // namespace quorate::prod
