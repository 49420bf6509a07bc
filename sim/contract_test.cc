#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "io/contract/suites.h"
#include "sim/coordination.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

constexpr char kDirectory[] = "/work";

// Two hosts with a process each, and a server of the coordination service.
class SimContractWorld final : public io::contract::ContractWorld {
 public:
  SimContractWorld() {
    for (int i = 0; i < kProcesses; ++i) {
      hosts_.push_back(std::make_unique<Host>(world_, network_,
                                              absl::StrCat("host", i), ip(i)));
      hosts_[i]->ensemble = &ensemble_;
      processes_.push_back(nullptr);
      Restart(i);
      auto made = environment(i).disk().MakeDirectories(kDirectory);
      EXPECT_TRUE(made.ok()) << made;
    }
  }

  io::Environment& environment(int process) override {
    return *processes_[process];
  }
  std::string ip(int process) override {
    return absl::StrCat("10.0.0.", process + 1);
  }
  std::string directory(int) override { return kDirectory; }
  void Restart(int process) override {
    if (processes_[process] != nullptr) processes_[process]->Kill();
    processes_[process] = &hosts_[process]->Start(
        "test", [](io::Environment&) { return std::make_unique<Program>(); });
  }

  bool RunUntil(const std::function<bool()>& done,
                io::Duration timeout) override {
    const bool result = world_.RunUntil(done, timeout);
    EXPECT_FALSE(world_.failure()) << *world_.failure();
    return result;
  }

  std::vector<std::string> coordination_servers(int) override {
    return {absl::StrCat(server_.ip(), ":2181")};
  }
  void CutCoordination(int process) override {
    network_.Cut(ip(process), server_.ip());
  }
  void HealCoordination(int process) override {
    network_.Mend(ip(process), server_.ip());
  }

 private:
  World world_{1};
  Network network_{world_, {}};
  Host server_{world_, network_, "zookeeper", "10.0.0.9"};
  Ensemble ensemble_{world_, {&server_}};
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<Process*> processes_;
};

std::unique_ptr<io::contract::ContractWorld> NewContractWorld() {
  return std::make_unique<SimContractWorld>();
}

}  // namespace
}  // namespace quorate::sim

namespace quorate::io::contract {

using testing::Values;

INSTANTIATE_TEST_SUITE_P(Sim, ClockContract, Values(&sim::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Sim, ContainersContract,
                         Values(&sim::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Sim, CoordinationContract,
                         Values(&sim::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Sim, DiskContract, Values(&sim::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Sim, LaneContract, Values(&sim::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Sim, NetworkContract, Values(&sim::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Sim, RandomContract, Values(&sim::NewContractWorld));

}  // namespace quorate::io::contract
