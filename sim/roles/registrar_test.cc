// Registrars on three hosts, with a log among them.

#include "core/registry/registrar.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/wire/port.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::registry {
namespace {

using std::chrono::seconds;

constexpr int kHosts = 3;
constexpr uint16_t kPort = 5050;

io::Endpoint AddressOf(int host) {
  return {absl::StrCat("10.0.0.", host + 1), kPort};
}

class Member final : public sim::Program {
 public:
  Member(io::Environment& environment, int host)
      : registrar_(
            environment,
            {.fetch_timeout = seconds(5), .store_timeout = seconds(1)},
            {.directory = "/log", .quorum = 2, .address = AddressOf(host)},
            [this](const absl::Status& reason) { lost = reason; }) {
    port_ = wire::OpenPort(
                environment.clock(), environment.network(), AddressOf(host),
                {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
                 .on_link =
                     [this](std::unique_ptr<wire::Link> link) {
                       registrar_.log().Accept(std::move(link));
                     },
                 .handshake = [this](const wire::Handshake&)
                     -> absl::StatusOr<wire::Handshake> {
                   return registrar_.log().MyHandshake();
                 }})
                .value();
    registrar_.log().Start();
    std::vector<io::Endpoint> peers;
    for (int peer = 0; peer < kHosts; ++peer) peers.push_back(AddressOf(peer));
    registrar_.log().SetPeers(peers);
  }

  Registrar& registrar() { return registrar_; }
  absl::Status lost;

 private:
  Registrar registrar_;
  std::unique_ptr<wire::Port> port_;
};

Operation Admit(const std::string& id) {
  Operation operation;
  mesos::v1::AgentInfo& info = *operation.mutable_admit_agent()->mutable_info();
  info.set_hostname("host-" + id);
  info.mutable_id()->set_value(id);
  return operation;
}

class RegistrarTest : public testing::Test {
 protected:
  RegistrarTest() : world_(1), network_(world_, sim::NetworkOptions{}) {
    for (int i = 0; i < kHosts; ++i) {
      hosts_.push_back(std::make_unique<sim::Host>(
          world_, network_, absl::StrCat("master", i), AddressOf(i).ip));
      processes_.push_back(nullptr);
      Start(i);
    }
  }

  void Start(int i) {
    processes_[i] =
        &hosts_[i]->Start("master", [i](io::Environment& environment) {
          return std::make_unique<Member>(environment, i);
        });
  }
  Member& member(int i) {
    return *static_cast<Member*>(processes_[i]->program());
  }
  void Run(int i, std::function<void(Registrar&)> callback) {
    processes_[i]->Run([&] { callback(member(i).registrar()); });
  }

  absl::Status Recover(int i) {
    absl::Status result = absl::UnknownError("not answered");
    mesos::v1::MasterInfo info;
    info.set_id(absl::StrCat("master", i));
    info.set_ip(0);
    info.set_port(kPort);
    Run(i, [&](Registrar& registrar) {
      registrar.Recover(info, [&](absl::StatusOr<uint64_t> epoch) {
        result = epoch.status();
      });
    });
    world_.RunUntil([&] { return !absl::IsUnknown(result); }, seconds(30));
    return result;
  }

  // The outcomes, in order of the answers.
  std::string Apply(int i, const std::vector<std::string>& ids) {
    std::string outcomes;
    size_t answered = 0;
    Run(i, [&](Registrar& registrar) {
      for (const std::string& id : ids) {
        registrar.Apply(Admit(id), [&, id](const absl::Status& status) {
          ++answered;
          absl::StrAppend(&outcomes, id, " ",
                          absl::StatusCodeToString(status.code()), "; ");
        });
      }
    });
    world_.RunUntil([&] { return answered == ids.size(); }, seconds(30));
    return outcomes;
  }

  sim::World world_;
  sim::Network network_;
  std::vector<std::unique_ptr<sim::Host>> hosts_;
  std::vector<sim::Process*> processes_;
};

TEST_F(RegistrarTest, AppliesInOrderAndTogether) {
  ASSERT_TRUE(Recover(0).ok());
  const uint64_t before = member(0).registrar().log().status().learned_upto;
  EXPECT_EQ(Apply(0, {"a", "b", "a", "c"}),
            "a OK; b OK; a ALREADY_EXISTS; c OK; ");
  EXPECT_EQ(member(0).registrar().state().admitted().size(), 3u);
  // The first alone, and what came meanwhile in one entry.
  EXPECT_EQ(member(0).registrar().log().status().learned_upto, before + 2);
}

TEST_F(RegistrarTest, WhatWasAppliedSurvivesItsMaster) {
  ASSERT_TRUE(Recover(0).ok());
  ASSERT_EQ(Apply(0, {"a", "b"}), "a OK; b OK; ");
  processes_[0]->Kill();
  ASSERT_TRUE(Recover(1).ok());
  EXPECT_EQ(member(1).registrar().state().admitted().size(), 2u);
  EXPECT_EQ(Apply(1, {"b", "c"}), "b ALREADY_EXISTS; c OK; ");
  EXPECT_EQ(member(1).registrar().state().ToProto().master().id(), "master1");
  // And it is what a standby and a restarted master hold.
  Start(0);
  world_.RunFor(seconds(5));
  for (int i : {0, 2}) {
    EXPECT_EQ(member(i).registrar().state().ToProto().SerializeAsString(),
              member(1).registrar().state().ToProto().SerializeAsString());
  }
}

TEST_F(RegistrarTest, OnlyTheLeaderApplies) {
  EXPECT_EQ(Apply(0, {"a"}), "a FAILED_PRECONDITION; ");
  ASSERT_TRUE(Recover(0).ok());
  ASSERT_TRUE(Recover(1).ok());
  world_.RunUntil([&] { return !member(0).lost.ok(); }, seconds(10));
  EXPECT_TRUE(absl::IsAborted(member(0).lost)) << member(0).lost;
  EXPECT_EQ(Apply(0, {"a"}), "a FAILED_PRECONDITION; ");
  EXPECT_EQ(Apply(1, {"a"}), "a OK; ");
}

TEST_F(RegistrarTest, WithoutAQuorumItTimesOutAndMayTryAgain) {
  ASSERT_TRUE(Recover(0).ok());
  processes_[1]->Kill();
  processes_[2]->Kill();
  EXPECT_EQ(Apply(0, {"a", "b"}), "a DEADLINE_EXCEEDED; b DEADLINE_EXCEEDED; ");
  EXPECT_TRUE(absl::IsDeadlineExceeded(member(0).lost));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Recover(0)));
  Start(1);
  ASSERT_TRUE(Recover(0).ok());
  // "a" was under way when it timed out: it may be there or not.
  EXPECT_EQ(Apply(0, {"b"}), "b OK; ");
}

TEST_F(RegistrarTest, AnOversizedOperationHarmsNobodyElse) {
  ASSERT_TRUE(Recover(0).ok());
  EXPECT_EQ(Apply(0, {std::string(9 << 20, 'x')}).substr(9 << 20),
            " INVALID_ARGUMENT; ");
  EXPECT_EQ(Apply(0, {"a"}), "a OK; ");
}

}  // namespace
}  // namespace quorate::registry
