// The registry alone: three registrars over a log of their own.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/log/log_node.h"
#include "core/registry/registrar.h"
#include "core/wire/port.h"
#include "scenarios/scenario.h"
#include "sim/checkers/log_agreement.h"
#include "sim/checkers/registry_witness.h"
#include "sim/machine.h"
#include "sim/network.h"

namespace quorate::scenarios {
namespace {

constexpr int kHosts = 3;

io::Endpoint AddressOf(int host) {
  return {absl::StrCat("10.0.0.", host + 1), 5050};
}

class Member final : public sim::Program {
 public:
  Member(io::Environment& environment, int host,
         const registry::Registrar::Options& options, log::LogOptions log)
      : registrar_(environment, options, std::move(log),
                   [](const absl::Status&) {}) {
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

  registry::Registrar& registrar() { return registrar_; }

 private:
  registry::Registrar registrar_;
  std::unique_ptr<wire::Port> port_;
};

// Registrars whose answers are held to the log.
class Registry {
 public:
  explicit Registry(sim::World& world)
      : agreement_(world), witness_(world), network_(world, {}) {
    agreement_.appends_differ = false;
    agreement_.on_entry = [this](uint64_t position,
                                 const log::EntryProto& entry) {
      witness_.Entry(position, entry);
    };
    for (int i = 0; i < kHosts; ++i) {
      const std::string name = absl::StrCat("master", i);
      hosts_.push_back(
          std::make_unique<sim::Host>(world, network_, name, AddressOf(i).ip));
      log::LogOptions log;
      log.directory = "/log";
      log.quorum = 2;
      log.address = AddressOf(i);
      log.observer = agreement_.Observe(name);
      registry::Registrar::Options options;
      options.observer = witness_.Observe(name);
      hosts_.back()->Start(name, [=](io::Environment& environment) {
        return std::make_unique<Member>(environment, i, options, log);
      });
    }
  }

  const sim::RegistryWitness& witness() const { return witness_; }

  // At the first.
  void Run(const std::function<void(registry::Registrar&)>& callback) {
    sim::Process& process = *hosts_.front()->processes().front();
    process.Run([&] {
      callback(static_cast<Member*>(process.program())->registrar());
    });
  }

 private:
  sim::LogAgreement agreement_;
  sim::RegistryWitness witness_;
  sim::Network network_;
  std::vector<std::unique_ptr<sim::Host>> hosts_;
};

mesos::v1::AgentInfo InfoOf(const std::string& agent) {
  mesos::v1::AgentInfo info;
  info.mutable_id()->set_value(agent);
  info.set_hostname(agent);
  return info;
}

// Any change of one of few agents.
registry::Operation AnyChange(io::Random& random) {
  registry::Operation operation;
  const std::string agent = absl::StrCat("agent", random.Below(3));
  switch (random.Below(4)) {
    case 0:
      *operation.mutable_admit_agent()->mutable_info() = InfoOf(agent);
      break;
    case 1:
      *operation.mutable_mark_agent_reachable()->mutable_info() = InfoOf(agent);
      break;
    case 2: {
      auto& mark = *operation.mutable_mark_agent_unreachable();
      mark.mutable_id()->set_value(agent);
      mark.mutable_timestamp()->set_nanoseconds(1);
      break;
    }
    default:
      operation.mutable_remove_agent()->mutable_id()->set_value(agent);
  }
  return operation;
}

}  // namespace

// Changes of the same agents that are asked for while others are under way:
// each is answered by what it met in the log, not when it was asked for.
SCENARIO(Registry, ChangesThatMeetAreAnsweredInOrder) {
  auto random = world.NewRandom("story");
  Registry registry(world);
  bool leads = false;
  registry.Run([&](registry::Registrar& registrar) {
    mesos::v1::MasterInfo info;
    info.set_id("master0");
    info.set_ip(0);
    info.set_port(5050);
    registrar.Recover(
        info, [&](absl::StatusOr<uint64_t> epoch) { leads = epoch.ok(); });
  });
  EXPECT_SOON(leads, 60s);
  constexpr int kChanges = 60;
  int answers = 0;
  for (int asked = 0; asked < kChanges && !world.failure(); ++asked) {
    registry.Run([&](registry::Registrar& registrar) {
      registrar.Apply(AnyChange(*random),
                      [&](const absl::Status&) { ++answers; });
    });
    const bool alone = random->Below(3) == 0;
    if (alone) world.RunFor(random->Between(0ms, 10ms));
  }
  EXPECT_SOON(answers == kChanges, 60s);
  EXPECT_NOW(registry.witness().answered() >= kChanges);
}

}  // namespace quorate::scenarios
