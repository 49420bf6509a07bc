// The fixtures of the suites. Each suite is a library of its own that holds
// the tests of one fixture; a test program links those that it instantiates.

#ifndef QUORATE_IO_CONTRACT_SUITES_H_
#define QUORATE_IO_CONTRACT_SUITES_H_

#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "io/contract/world.h"

namespace quorate::io::contract {

// Longer than anything may take, on a busy machine too.
inline constexpr Duration kTimeout = std::chrono::seconds(60);

// Lets process 0 take `turns` turns of its loop at a millisecond each. Shows
// that something does *not* happen, as far as anything can.
void Settle(ContractWorld& world, int turns = 5);

class ContractTest : public testing::TestWithParam<ContractWorldFactory> {
 protected:
  ContractTest() : world_(GetParam()()) {}

  ContractWorld& world() { return *world_; }
  Environment& environment(int process = 0) {
    return world_->environment(process);
  }
  bool Await(const std::function<bool()>& done) {
    return world_->RunUntil(done, kTimeout);
  }
  void Settle() { contract::Settle(*world_); }

 private:
  std::unique_ptr<ContractWorld> world_;
};

class ClockContract : public ContractTest {};

class NetworkContract : public ContractTest {};

class DiskContract : public ContractTest {
 protected:
  // Runs `work` on a lane of process 0, where disk calls belong.
  void OnLane(const std::function<void(Disk&)>& work);
  // A path in the folder of process 0.
  std::string Path(const std::string& name) {
    return world().directory(0) + "/" + name;
  }
};

class LaneContract : public ContractTest {};

class RandomContract : public ContractTest {};

class CoordinationContract : public ContractTest {};

class ContainersContract : public ContractTest {};

}  // namespace quorate::io::contract

#endif  // QUORATE_IO_CONTRACT_SUITES_H_
