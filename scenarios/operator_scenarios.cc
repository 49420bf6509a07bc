// What the masters tell operators, and load balancers.

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/json/value.h"
#include "scenarios/cluster_story.h"
#include "scenarios/http_framework.h"
#include "scenarios/http_probe.h"
#include "scenarios/scenario.h"
#include "sim/cluster.h"
#include "sim/file_system.h"

namespace quorate::scenarios {
namespace {

using sim::Cluster;
using sim::MasterNode;

// What a master says of the masters: "200 healthy".
class Quorum {
 public:
  Quorum(sim::World& world, Cluster& c)
      : world_(world), probe_(world, c.network()) {}

  // Asks, now and then, until it says so.
  bool Becomes(const MasterNode& master, const std::string& wanted,
               io::Duration at_most) {
    const io::Instant end = world_.now() + at_most;
    while (Of(master) != wanted) {
      if (world_.failure() || world_.now() >= end) return false;
      world_.RunFor(500ms);
    }
    return true;
  }

  std::string Of(const MasterNode& master) {
    const HttpProbe::Answer answer = probe_.Get(master, "/quorum");
    if (answer.status == 0) return "no answer";
    auto json = json::Parse(answer.body);
    if (!json.ok()) return answer.body;
    json_ = *std::move(json);
    return absl::StrCat(answer.status, " ", json_["status"].AsString());
  }
  // The last answer.
  const json::Value& json() const { return json_; }
  bool Mentions(const std::string& kind, const MasterNode& master) const {
    for (const json::Value& problem : json_["problems"].items()) {
      if (problem["kind"].AsString() == kind &&
          absl::StartsWith(problem["master"].AsString(), master.ip() + ":")) {
        return true;
      }
    }
    return false;
  }

 private:
  sim::World& world_;
  HttpProbe probe_;
  json::Value json_;
};

}  // namespace

// Whichever master is asked, it tells who leads and how the masters are; the
// leader misses one that is lost; and without a majority nobody says that all
// is well.
SCENARIO(Quorum, EveryMasterTellsHowTheMastersAre) {
  Cluster c(world, AnyElection(world));
  Quorum quorum(world, c);
  MasterNode& leader = c.AwaitLeader(60s);
  const std::string address = absl::StrCat(leader.ip(), ":", sim::kMasterPort);
  for (MasterNode* master : c.masters()) {
    EXPECT_NOW(quorum.Becomes(*master, "200 healthy", 30s));
    EXPECT_NOW(quorum.json()["leader"]["address"].AsString() == address);
    EXPECT_NOW(quorum.json()["complete"].AsBool() == (master == &leader));
  }
  EXPECT_NOW(quorum.Of(leader) == "200 healthy");
  EXPECT_NOW(quorum.json()["tolerates"].AsInt() == 1);

  std::vector<MasterNode*> others;
  for (MasterNode* master : c.masters()) {
    if (master != &leader) others.push_back(master);
  }
  others[0]->Kill();
  EXPECT_NOW(quorum.Becomes(leader, "200 degraded", 10s));
  EXPECT_NOW(quorum.Mentions("missing", *others[0]));
  EXPECT_NOW(quorum.json()["tolerates"].AsInt(-1) == 0);

  leader.Kill();
  EXPECT_NOW(quorum.Becomes(*others[1], "503 unavailable", 30s));
  world.RunFor(20s);
  EXPECT_NOW(quorum.Of(*others[1]) == "503 unavailable");
  others[0]->Restart();
  leader.Restart();
  MasterNode& next = c.AwaitLeader(60s);
  EXPECT_NOW(quorum.Becomes(next, "200 healthy", 30s));
}

// One master is started with another --quorum: the leader names it.
SCENARIO(Quorum, TheLeaderNamesWhoWasStartedWrongly) {
  Cluster c(world, AnyElection(world));
  Quorum quorum(world, c);
  MasterNode& leader = c.AwaitLeader(60s);
  EXPECT_NOW(quorum.Becomes(leader, "200 healthy", 30s));
  MasterNode* wrong =
      c.masters()[0] == &leader ? c.masters()[1] : c.masters()[0];
  wrong->ChangeFlags([](master::MasterOptions& flags) { flags.quorum = 3; });
  wrong->Kill();
  wrong->Restart();
  world.RunFor(10s);
  EXPECT_NOW(quorum.Becomes(leader, "200 degraded", 30s));
  EXPECT_NOW(quorum.Mentions("misconfigured", *wrong));
  EXPECT_NOW(leader.leads());
}

// All masters lose their disks, and --log_auto_initialize is on. A new log
// would forget the agents, and nobody would see that anything is wrong: the
// znode of the old one stops it, and says what to do.
SCENARIO(Quorum, MastersThatLostAllTheirDisksBeginNothingNew) {
  Cluster c(
      world,
      {.masters = 3, .quorum = 2, .agents = 1, .network = DrawNetwork(world)});
  auto random = world.NewRandom("story");
  c.AwaitRegistered(60s);
  c.framework().Launch("long", "sleep 600");
  c.AwaitTask("long", "TASK_RUNNING", 30s);
  for (MasterNode* master : c.masters()) master->LosePower();
  for (MasterNode* master : c.masters()) {
    master->files().Replace(sim::FileSystem().root());
    master->Restart();
    master->Supervise(1s);
  }
  Quorum quorum(world, c);
  for (int i = 0; i < 5; ++i) {
    world.RunFor(random->Between(1s, 60s));
    for (MasterNode* master : c.masters()) EXPECT_NOW(!master->leads());
  }
  EXPECT_NOW(quorum.Becomes(*c.masters()[0], "503 unavailable", 30s));
  EXPECT_NOW(
      absl::StrContains(quorum.json()["problems"][size_t{0}]["what"].AsString(),
                        "/cluster_id names cluster "));
  EXPECT_NOW(Undisturbed(c.framework().States("long")));
}

// A framework that reaches one master only, which does not lead (issue "High
// availability"): with --proxy_to_leader its calls and its stream of events go
// through that. Its stream ends with the leader, and the next one is of the
// next leader; its task feels nothing.
SCENARIO(Proxy, AFrameworkThatOnlyReachesAFollower) {
  Cluster c(world, AnyElection(world));
  for (MasterNode* master : c.masters()) {
    master->ChangeFlags(
        [](master::MasterOptions& flags) { flags.proxy_to_leader = true; });
    master->Kill();
    master->Restart();
  }
  MasterNode& leader = c.AwaitLeader(60s);
  c.AwaitRegistered(leader, 60s);
  MasterNode& follower =
      c.masters()[0] == &leader ? *c.masters()[1] : *c.masters()[0];
  HttpFramework framework(world, c.network(), c.checks().task_truth());
  for (MasterNode* master : c.masters()) {
    if (master == &follower) continue;
    c.network().Cut(framework.host().ip(), master->ip());
    c.network().Cut(master->ip(), framework.host().ip());
  }
  framework.Subscribe(follower, "sleep 120");
  EXPECT_SOON(framework.Reached("TASK_RUNNING"), 60s);
  leader.Kill();
  EXPECT_SOON(!framework.connected(), 30s);
  c.AwaitRegistered(c.AwaitLeaderOtherThan(leader, 60s), 90s);
  // The follower itself may lead now.
  framework.Subscribe(follower, "");
  EXPECT_SOON(framework.Reached("TASK_FINISHED"), 200s);
  EXPECT_NOW(!framework.Reached("TASK_LOST"));
}

}  // namespace quorate::scenarios
