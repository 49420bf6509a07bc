#include "io/contract/suites.h"

namespace quorate::io::contract {

void Settle(ContractWorld& world, int turns) {
  Clock& clock = world.environment(0).clock();
  Timer timer;
  std::function<void()> tick = [&] {
    if (--turns > 0) timer = clock.RunAfter(std::chrono::milliseconds(1), tick);
  };
  timer = clock.RunAfter(std::chrono::milliseconds(1), tick);
  ASSERT_TRUE(world.RunUntil([&] { return turns <= 0; }, kTimeout));
}

void DiskContract::OnLane(const std::function<void(Disk&)>& work) {
  const std::unique_ptr<Lane> lane = environment().NewLane("contract");
  bool done = false;
  lane->Run([&] { work(environment().disk()); }, [&] { done = true; });
  ASSERT_TRUE(Await([&] { return done; }));
}

}  // namespace quorate::io::contract
