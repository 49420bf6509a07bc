// Masters as whole roles: with their log, their port and ZooKeeper.

#include "core/master/master.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/http/client.h"
#include "core/json/value.h"
#include "core/resources/resources.h"
#include "core/wire/agent.pb.h"
#include "core/wire/link.h"
#include "sim/coordination.h"
#include "sim/file_system.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint16_t kPort = 5050;

class MasterProgram final : public Program {
 public:
  MasterProgram(io::Environment& environment,
                const master::MasterOptions& options)
      : master(environment, options) {
    const absl::Status started = master.Start();
    if (!started.ok()) {
      environment.Exit(io::kExitFailure, started.message());
    }
  }

  master::Master master;
};

// Registers with one master, again and again after each loss; remembers its id
// as an agent would on its disk.
class ScriptedAgent final : public Program, private wire::Dialer::Listener {
 public:
  ScriptedAgent(io::Environment& environment, io::Endpoint master,
                std::string* id)
      : id_(*id) {
    wire::Handshake mine;
    mine.purpose = wire::Purpose::kAgent;
    mine.address = {"10.0.1.1", 5051};
    dialer_ = wire::NewDialer(
        environment.clock(), environment.network(), std::move(master),
        [mine] { return mine; }, {}, environment.random().Next(), this);
  }

 private:
  void OnUp(const wire::Handshake&) override {
    mesos::v1::AgentInfo info;
    info.set_hostname("agent");
    Resources::ParseText("cpus:2;mem:1024")->ToProto(info.mutable_resources());
    wire::AgentMessage message;
    if (id_.empty()) {
      *message.mutable_register_agent()->mutable_agent_info() = info;
      message.mutable_register_agent()->set_version(master::kVersion);
    } else {
      info.mutable_id()->set_value(id_);
      *message.mutable_reregister_agent()->mutable_agent_info() = info;
      message.mutable_reregister_agent()->set_version(master::kVersion);
    }
    dialer_->Send(message.SerializeAsString());
  }
  void OnMessage(absl::string_view payload) override {
    wire::AgentMessage message;
    ASSERT_TRUE(message.ParseFromArray(payload.data(),
                                       static_cast<int>(payload.size())));
    if (message.has_agent_registered()) {
      id_ = message.agent_registered().agent_id().value();
    }
    if (!message.has_ping()) return;
    message.mutable_pong();
    dialer_->Send(message.SerializeAsString());
  }
  void OnDown(const absl::Status&) override {}

  std::string& id_;
  std::unique_ptr<wire::Dialer> dialer_;
};

// Three masters, each on a host with a ZooKeeper server; one agent's host.
class MasterWorld {
 public:
  explicit MasterWorld(uint64_t seed)
      : world(seed), network(world, NetworkOptions{}) {
    for (int i = 0; i < 3; ++i) {
      hosts.push_back(std::make_unique<Host>(world, network,
                                             absl::StrCat("master", i),
                                             absl::StrCat("10.0.0.", i + 1)));
    }
    agent_host = std::make_unique<Host>(world, network, "agent", "10.0.1.1");
    ensemble = std::make_unique<Ensemble>(
        world,
        std::vector<Host*>{hosts[0].get(), hosts[1].get(), hosts[2].get()});
    for (auto& host : hosts) host->ensemble = ensemble.get();
    processes.resize(hosts.size());
    world.AfterEachEvent([this] {
      for (int i = 0; i < 3; ++i) {
        if (master(i) != nullptr) master(i)->CheckInvariants();
      }
    });
  }

  // Sessions end before their servers.
  ~MasterWorld() {
    for (auto& host : hosts) host->LosePower();
  }

  master::MasterOptions Options(int i) const {
    master::MasterOptions options;
    options.bind = {hosts[i]->ip(), kPort};
    options.work_dir = "/work";
    options.zk = election::ZooKeeperUrl{
        .servers = {"10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181"},
        .path = "/mesos"};
    options.quorum = 2;
    return options;
  }
  void Start(int i) { Start(i, Options(i)); }
  void Start(int i, const master::MasterOptions& options) {
    processes[i] =
        &hosts[i]->Start("master", [options](io::Environment& environment) {
          return std::make_unique<MasterProgram>(environment, options);
        });
  }
  void StartAll() {
    for (int i = 0; i < 3; ++i) Start(i);
  }

  // Null while it is down.
  master::Master* master(int i) {
    if (processes[i] == nullptr || !processes[i]->alive() ||
        processes[i]->program() == nullptr) {
      return nullptr;
    }
    return &static_cast<MasterProgram*>(processes[i]->program())->master;
  }

  std::optional<int> AwaitLeader(int other_than = -1) {
    std::optional<int> leader;
    RunUntil([&] {
      for (int i = 0; i < 3; ++i) {
        if (i != other_than && master(i) != nullptr &&
            master(i)->view().elected) {
          leader = i;
        }
      }
      return leader.has_value();
    });
    return leader;
  }

  bool RunUntil(const std::function<bool()>& condition,
                io::Duration at_most = minutes(2)) {
    const bool ran = world.RunUntil(condition, at_most);
    EXPECT_FALSE(world.failure().has_value()) << *world.failure();
    return ran;
  }

  void StartAgent(int master) {
    if (agent_process != nullptr) agent_process->Kill();
    agent_process = &agent_host->Start(
        absl::StrCat("agent-of-", master),
        [this, master](io::Environment& environment) {
          return std::make_unique<ScriptedAgent>(
              environment, io::Endpoint{hosts[master]->ip(), kPort}, &agent_id);
        });
  }

  bool AwaitAgent(int i) {
    return RunUntil([&] {
      return !agent_id.empty() && master(i) != nullptr &&
             master(i)->view().agents.count(agent_id) > 0;
    });
  }

  // Asks a master from the agent's host.
  http::Response Get(int i, const std::string& target) {
    struct Client final : Program {
      Client(io::Environment& environment, io::Endpoint to)
          : connection(environment.clock(), environment.network(),
                       std::move(to), {}) {}
      http::ClientConnection connection;
    };
    const io::Endpoint to{hosts[i]->ip(), kPort};
    Process& process = agent_host->Start(
        absl::StrCat("client", ++clients), [&](io::Environment& environment) {
          return std::make_unique<Client>(environment, to);
        });
    std::optional<absl::StatusOr<http::Response>> response;
    RunUntil([&] { return process.program() != nullptr; });
    process.Run([&] {
      http::Request request;
      request.target = target;
      static_cast<Client*>(process.program())
          ->connection.Send(std::move(request),
                            [&](auto answer) { response = std::move(answer); });
    });
    RunUntil([&] { return response.has_value(); });
    process.Kill();
    EXPECT_TRUE(response->ok()) << response->status();
    return response->ok() ? **response : http::Response{.status = 0};
  }

  World world;
  Network network;
  std::vector<std::unique_ptr<Host>> hosts;
  std::unique_ptr<Host> agent_host;
  std::unique_ptr<Ensemble> ensemble;
  std::vector<Process*> processes;
  Process* agent_process = nullptr;
  std::string agent_id;
  int clients = 0;
};

TEST(MasterTest, AloneItLeads) {
  MasterWorld w(1);
  w.Start(0, {.bind = {"10.0.0.1", kPort}, .work_dir = "/work"});
  ASSERT_EQ(w.AwaitLeader(), 0);
  w.StartAgent(0);
  ASSERT_TRUE(w.AwaitAgent(0));
  const auto state = json::Parse(w.Get(0, "/state").body);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ((*state)["activated_slaves"].AsDouble(), 1);
  EXPECT_EQ((*state)["slaves"][0]["pid"].AsString(), "slave(1)@10.0.1.1:5051");
}

TEST(MasterTest, AloneItRemembersItsAgents) {
  MasterWorld w(1);
  const master::MasterOptions options{.bind = {"10.0.0.1", kPort},
                                      .work_dir = "/work"};
  w.Start(0, options);
  ASSERT_EQ(w.AwaitLeader(), 0);
  w.StartAgent(0);
  ASSERT_TRUE(w.AwaitAgent(0));
  const uint64_t epoch = w.master(0)->view().epoch;
  w.processes[0]->Kill();
  w.agent_process->Kill();
  w.world.RunFor(seconds(1));
  w.Start(0, options);
  ASSERT_EQ(w.AwaitLeader(), 0);
  EXPECT_GT(w.master(0)->view().epoch, epoch);
  const auto state = json::Parse(w.Get(0, "/state").body);
  EXPECT_EQ((*state)["recovered_slaves"][0]["id"].AsString(), w.agent_id);
}

TEST(MasterTest, OneOfThreeLeadsAndTheOthersRedirect) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    MasterWorld w(seed);
    w.StartAll();
    const std::optional<int> leader = w.AwaitLeader();
    ASSERT_TRUE(leader.has_value()) << seed;
    EXPECT_EQ(w.Get(*leader, "/state").status, 200);
    const int follower = (*leader + 1) % 3;
    EXPECT_EQ(w.Get(follower, "/health").status, 200);
    const http::Response response = w.Get(follower, "/state?x=1");
    EXPECT_EQ(response.status, 307);
    EXPECT_EQ(response.headers.Get("Location"),
              absl::StrCat("//10.0.0.", *leader + 1, ":5050/master/state?x=1"));
  }
}

TEST(MasterTest, AnotherTakesOverAndKnowsTheAgents) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    MasterWorld w(seed);
    w.StartAll();
    const std::optional<int> leader = w.AwaitLeader();
    ASSERT_TRUE(leader.has_value()) << seed;
    w.StartAgent(*leader);
    ASSERT_TRUE(w.AwaitAgent(*leader)) << seed;
    const std::string id = w.agent_id;
    const uint64_t epoch = w.master(*leader)->view().epoch;
    w.processes[*leader]->Kill();
    const std::optional<int> next = w.AwaitLeader();
    ASSERT_TRUE(next.has_value()) << seed;
    EXPECT_GT(w.master(*next)->view().epoch, epoch);
    w.StartAgent(*next);
    ASSERT_TRUE(w.AwaitAgent(*next)) << seed;
    EXPECT_EQ(w.agent_id, id);
  }
}

TEST(MasterTest, ALeaderOnTheMinoritySideStepsDown) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    MasterWorld w(seed);
    w.StartAll();
    const std::optional<int> leader = w.AwaitLeader();
    ASSERT_TRUE(leader.has_value()) << seed;
    for (int i = 0; i < 3; ++i) {
      if (i == *leader) continue;
      w.network.Cut(w.hosts[*leader]->ip(), w.hosts[i]->ip());
      w.network.Cut(w.hosts[i]->ip(), w.hosts[*leader]->ip());
    }
    const std::optional<int> next = w.AwaitLeader(*leader);
    ASSERT_TRUE(next.has_value()) << seed;
    ASSERT_TRUE(w.RunUntil([&] { return !w.processes[*leader]->alive(); }))
        << seed;
    EXPECT_EQ(w.processes[*leader]->ended()->code, io::kExitLostLeadership)
        << w.processes[*leader]->ended()->message;
    w.network.MendAll();
    w.Start(*leader);
    w.world.RunFor(seconds(30));
    EXPECT_TRUE(w.master(*next)->view().elected);
    ASSERT_NE(w.master(*leader), nullptr);
    EXPECT_FALSE(w.master(*leader)->view().elected);
  }
}

// With --on_lost_leadership=standby. It does not send clients to itself, nor
// forward to itself, while it hears of nobody else.
TEST(MasterTest, AFormerLeaderThatHearsNobodyKnowsNoLeader) {
  for (const bool proxy : {false, true}) {
    MasterWorld w(1);
    for (int i = 0; i < 3; ++i) {
      master::MasterOptions options = w.Options(i);
      options.on_lost_leadership = master::LostLeadership::kStandby;
      options.proxy_to_leader = proxy;
      w.Start(i, options);
    }
    const std::optional<int> leader = w.AwaitLeader();
    ASSERT_TRUE(leader.has_value());
    EXPECT_EQ(w.master(*leader)->view().election_problem, "");
    for (int i = 0; i < 3; ++i) {
      if (i == *leader) continue;
      w.network.Cut(w.hosts[*leader]->ip(), w.hosts[i]->ip());
      w.network.Cut(w.hosts[i]->ip(), w.hosts[*leader]->ip());
    }
    ASSERT_TRUE(w.RunUntil([&] { return !w.master(*leader)->leads(); }));
    w.world.RunFor(seconds(1));
    for (const char* path : {"/state", "/redirect"}) {
      const http::Response response = w.Get(*leader, path);
      EXPECT_EQ(response.status, 503) << path;
      EXPECT_EQ(response.body, "No leader elected") << path;
    }
    w.world.RunFor(seconds(20));
    EXPECT_EQ(w.master(*leader)->view().election_problem,
              "ZooKeeper at 10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181 does not "
              "answer");
    w.network.MendAll();
    w.world.RunFor(seconds(20));
    EXPECT_EQ(w.master(*leader)->view().election_problem, "");
    EXPECT_EQ(w.Get(*leader, "/redirect").status, 307);
  }
}

// A session of an operator, who has a shell at ZooKeeper's.
class ZooKeeperShell final : public Program,
                             public io::CoordinationSession::Listener {
 public:
  ZooKeeperShell(io::Environment& environment,
                 std::function<void(io::CoordinationSession&)> work)
      : work_(std::move(work)) {
    session_ = *environment.coordination().Connect(
        {.servers = {"10.0.0.1:2181", "10.0.0.2:2181"}}, this);
  }

  void OnConnected(int64_t) override { work_(*session_); }
  void OnDisconnected() override {}
  void OnExpired() override {}
  void OnAuthenticationFailed() override {}

 private:
  const std::function<void(io::CoordinationSession&)> work_;
  std::unique_ptr<io::CoordinationSession> session_;
};

class RecordTest : public ::testing::Test {
 protected:
  void InZooKeeper(std::function<void(io::CoordinationSession&)> work) {
    w_.agent_host->ensemble = w_.ensemble.get();
    Process& shell = w_.agent_host->Start(
        absl::StrCat("shell", ++shells_),
        [work = std::move(work)](io::Environment& environment) {
          return std::make_unique<ZooKeeperShell>(environment, work);
        });
    w_.world.RunFor(seconds(10));
    shell.Kill();
  }

  std::string Record() {
    std::string record;
    InZooKeeper([&record](io::CoordinationSession& session) {
      session.Get("/mesos/cluster_id", nullptr, [&record](auto znode) {
        record = znode.ok() ? znode->data : znode.status().ToString();
      });
    });
    return record;
  }

  // Who is a candidate, or announced.
  std::vector<std::string> CandidateNames() {
    std::vector<std::string> paths;
    InZooKeeper([&paths](io::CoordinationSession& session) {
      session.GetChildren("/mesos", nullptr, [&paths](auto names) {
        for (const std::string& name : *names) {
          if (name.rfind("json.info", 0) == 0)
            paths.push_back("/mesos/" + name);
        }
      });
    });
    return paths;
  }
  size_t Candidates() { return CandidateNames().size(); }

  void Delete(std::vector<std::string> paths) {
    InZooKeeper([paths = std::move(paths)](io::CoordinationSession& session) {
      for (const std::string& path : paths) {
        session.Delete(path, -1, [](const absl::Status& deleted) {
          EXPECT_TRUE(deleted.ok()) << deleted;
        });
      }
    });
  }

  bool HasLeader() {
    for (int i = 0; i < 3; ++i) {
      if (w_.master(i) != nullptr && w_.master(i)->leads()) return true;
    }
    return false;
  }

  // A master on a host of its own, of a cluster of its own, whose log was
  // formed at another path. Now it is started with those options.
  Process& StartStranger(master::MasterOptions options) {
    stranger_.ensemble = w_.ensemble.get();
    options.bind = {stranger_.ip(), kPort};
    options.work_dir = "/work";
    const auto start = [&] {
      return &stranger_.Start("master", [=](io::Environment& environment) {
        return std::make_unique<MasterProgram>(environment, options);
      });
    };
    const auto zk = std::exchange(options.zk, std::nullopt);
    const auto masters = std::exchange(options.masters, {});
    Process* process = start();
    w_.world.RunFor(seconds(10));
    process->Kill();
    options.zk = zk;
    options.masters = masters;
    process = start();
    w_.world.RunFor(seconds(30));
    return *process;
  }

  const election::ZooKeeperUrl zk_{.servers = {"10.0.0.1:2181"},
                                   .path = "/mesos"};
  MasterWorld w_{1};
  Host stranger_{w_.world, w_.network, "stranger", "10.0.2.1"};
  int shells_ = 0;
};

TEST_F(RecordTest, TheFirstLeaderWritesIt) {
  w_.StartAll();
  ASSERT_TRUE(w_.AwaitLeader().has_value());
  const std::string record = Record();
  EXPECT_EQ(record.size(), 32) << record;
  const std::optional<int> leader = w_.AwaitLeader();
  w_.processes[*leader]->Kill();
  ASSERT_TRUE(w_.AwaitLeader(*leader).has_value());
  EXPECT_EQ(Record(), record);
}

TEST_F(RecordTest, MastersThatLostAllTheirDisksBeginNothingNew) {
  w_.StartAll();
  ASSERT_TRUE(w_.AwaitLeader().has_value());
  const std::string record = Record();
  for (int i = 0; i < 3; ++i) {
    w_.processes[i]->Kill();
    w_.hosts[i]->files().Replace(FileSystem().root());
  }
  w_.StartAll();
  w_.world.RunFor(minutes(2));
  EXPECT_FALSE(HasLeader());
  const http::Response quorum = w_.Get(0, "/quorum");
  EXPECT_EQ(quorum.status, 503);
  EXPECT_NE(quorum.body.find("/mesos/cluster_id names cluster " + record),
            std::string::npos)
      << quorum.body;
  // The operator gives that cluster up. Those that have ended meanwhile are
  // started again.
  InZooKeeper([](io::CoordinationSession& session) {
    session.Delete("/mesos/cluster_id", -1, [](const auto&) {});
  });
  for (int i = 0; i < 3; ++i) {
    if (w_.master(i) == nullptr) w_.Start(i);
  }
  ASSERT_TRUE(w_.AwaitLeader().has_value());
  EXPECT_NE(Record(), record);
}

TEST_F(RecordTest, AMasterOfAnotherClusterDoesNotContend) {
  w_.StartAll();
  const std::optional<int> leader = w_.AwaitLeader();
  ASSERT_TRUE(leader.has_value());
  Process& stranger = StartStranger({.zk = zk_});
  ASSERT_TRUE(stranger.ended().has_value());
  EXPECT_EQ(stranger.ended()->code, io::kExitFailure);
  const std::string& words = stranger.ended()->message;
  EXPECT_NE(words.find("/mesos/cluster_id names cluster " + Record()),
            std::string::npos)
      << words;
  EXPECT_NE(words.find("the log in /work"), std::string::npos) << words;
  EXPECT_NE(words.find("delete that znode"), std::string::npos) << words;
  EXPECT_TRUE(w_.master(*leader)->leads());
  EXPECT_EQ(Candidates(), 3);
}

// It is served without ZooKeeper, and goes on so.
TEST_F(RecordTest, AnElectedMasterOfAnotherClusterIsNotAnnounced) {
  w_.StartAll();
  ASSERT_TRUE(w_.AwaitLeader().has_value());
  Process& stranger =
      StartStranger({.masters = {{"10.0.2.1", kPort}}, .zk = zk_});
  EXPECT_TRUE(stranger.alive());
  EXPECT_TRUE(static_cast<MasterProgram*>(stranger.program())->master.leads());
  EXPECT_EQ(Candidates(), 3);
}

TEST_F(RecordTest, AnElectedMasterIsAnnouncedWhenTheRecordIsNotForeignAnyMore) {
  w_.StartAll();
  ASSERT_TRUE(w_.AwaitLeader().has_value());
  const std::string foreign = Record();
  Process& stranger =
      StartStranger({.masters = {{"10.0.2.1", kPort}}, .zk = zk_});
  const master::Master& master =
      static_cast<MasterProgram*>(stranger.program())->master;
  ASSERT_TRUE(master.leads());
  const std::string problem = master.view().election_problem;
  EXPECT_NE(problem.find("/mesos/cluster_id names cluster " + foreign),
            std::string::npos)
      << problem;
  EXPECT_NE(problem.find("not announced"), std::string::npos) << problem;
  for (Process* process : w_.processes) process->Kill();
  Delete({"/mesos/cluster_id"});
  w_.world.RunFor(seconds(15));
  EXPECT_TRUE(master.leads());
  EXPECT_EQ(Candidates(), 1);
  EXPECT_NE(Record(), foreign);
  EXPECT_EQ(master.view().election_problem, "");
}

// ZooKeeper has lost its data: the record is there before the announcement.
TEST_F(RecordTest, AnElectedMasterWritesItAgain) {
  Process& stranger =
      StartStranger({.masters = {{"10.0.2.1", kPort}}, .zk = zk_});
  const std::string record = Record();
  EXPECT_EQ(record.size(), 32) << record;
  Delete({"/mesos/cluster_id", CandidateNames().front()});
  w_.world.RunFor(seconds(15));
  EXPECT_EQ(Record(), record);
  EXPECT_EQ(Candidates(), 1);
  EXPECT_EQ(static_cast<MasterProgram*>(stranger.program())
                ->master.view()
                .election_problem,
            "");
}

// The elected master gives its place up, after --registry_fetch_timeout, and
// says why.
TEST_F(RecordTest, WhoMayNotWriteItDoesNotLeadForLong) {
  for (int i = 0; i < 3; ++i) {
    master::MasterOptions options = w_.Options(i);
    options.registry_fetch_timeout = seconds(40);
    w_.Start(i, options);
  }
  const std::optional<int> leader = w_.AwaitLeader();
  ASSERT_TRUE(leader.has_value());
  w_.world.RunFor(seconds(10));
  Delete({"/mesos/cluster_id"});
  w_.ensemble->Restrict("/mesos", "somebody:else");
  w_.processes[*leader]->Kill();
  std::optional<int> elected;
  ASSERT_TRUE(w_.RunUntil([&] {
    for (int i = 0; i < 3; ++i) {
      if (w_.master(i) != nullptr &&
          !w_.master(i)->view().election_problem.empty()) {
        elected = i;
      }
    }
    return elected.has_value();
  }));
  const std::string problem = w_.master(*elected)->view().election_problem;
  EXPECT_NE(problem.find("/mesos/cluster_id cannot be written"),
            std::string::npos)
      << problem;
  Process& process = *w_.processes[*elected];
  ASSERT_TRUE(w_.RunUntil([&] { return !process.alive(); }, seconds(50)));
  EXPECT_EQ(process.ended()->code, io::kExitFailure);
  EXPECT_NE(process.ended()->message.find(problem), std::string::npos)
      << process.ended()->message;
}

// Whoever may not create a znode is told so also when it is there.
TEST_F(RecordTest, WhoMayNotWriteItLeadsWhenItIsThere) {
  w_.StartAll();
  const std::optional<int> leader = w_.AwaitLeader();
  ASSERT_TRUE(leader.has_value());
  w_.world.RunFor(seconds(10));
  w_.ensemble->Restrict("/mesos", "somebody:else");
  w_.ensemble->Restrict("/", "somebody:else");
  w_.processes[*leader]->Kill();
  EXPECT_TRUE(w_.AwaitLeader(*leader).has_value());
}

TEST_F(RecordTest, AnEmptyOneIsRefused) {
  InZooKeeper([](io::CoordinationSession& session) {
    session.Create("/mesos", "", {}, [&session](const auto&) {
      session.Create("/mesos/cluster_id", "", {}, [](const auto&) {});
    });
  });
  w_.Start(0);
  w_.world.RunFor(seconds(10));
  const auto refused = [&](int i) {
    const auto& ended = w_.processes[i]->ended();
    return ended && ended->message.find("/mesos/cluster_id is empty") !=
                        std::string::npos;
  };
  EXPECT_TRUE(refused(0));
  // As after an election.
  Delete({"/mesos/cluster_id"});
  w_.StartAll();
  const std::optional<int> leader = w_.AwaitLeader();
  ASSERT_TRUE(leader.has_value());
  InZooKeeper([](io::CoordinationSession& session) {
    session.Set("/mesos/cluster_id", "", -1, [](const auto&) {});
  });
  w_.processes[*leader]->Kill();
  EXPECT_TRUE(w_.RunUntil([&] {
    return refused((*leader + 1) % 3) || refused((*leader + 2) % 3);
  }));
}

// A master without a vote in the log could not lead: it does not queue up
// before those that can.
TEST_F(RecordTest, AnExtraMasterStandsForElectionOnceItIsAMember) {
  const auto start = [&](int i, int quorum) {
    if (w_.master(i) != nullptr) w_.processes[i]->Kill();
    master::MasterOptions options = w_.Options(i);
    options.quorum = quorum;
    w_.Start(i, options);
    w_.world.RunFor(seconds(20));
  };
  start(0, 1);
  ASSERT_EQ(w_.AwaitLeader(), 0);
  start(1, 1);
  EXPECT_EQ(Candidates(), 1);
  EXPECT_EQ(w_.Get(1, "/state").status, 307);
  start(1, 2);
  start(2, 2);
  EXPECT_EQ(Candidates(), 1);
  start(0, 2);
  w_.world.RunFor(seconds(60));
  EXPECT_EQ(Candidates(), 3);
  const std::optional<int> leader = w_.AwaitLeader();
  ASSERT_TRUE(leader.has_value());
  w_.processes[*leader]->Kill();
  EXPECT_TRUE(w_.AwaitLeader(*leader).has_value());
}

TEST_F(RecordTest, WhatIsNoIdIsRefused) {
  InZooKeeper([](io::CoordinationSession& session) {
    session.Create("/mesos", "", {}, [&session](const auto&) {
      session.Create("/mesos/cluster_id", "old\nnote", {}, [](const auto&) {});
    });
  });
  w_.Start(0);
  w_.world.RunFor(seconds(10));
  ASSERT_TRUE(w_.processes[0]->ended().has_value());
  EXPECT_NE(w_.processes[0]->ended()->message.find("holds 'old\\nnote'"),
            std::string::npos)
      << w_.processes[0]->ended()->message;
}

}  // namespace
}  // namespace quorate::sim
