// How long the master's allocation takes: a full cycle, in which every agent
// is free and looked at, and one after 1 % of the agents have changed, beside
// a bare loop over as many pairs of an agent and a framework.
//
//   ./dev bench allocation_bench [--agents=10000] [--frameworks=200]
//
// "granted": every agent goes to somebody. "refused": every framework has
// refused every agent, so that each pair is looked at in vain.

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/floor/measure.h"
#include "core/master/allocation.h"

namespace quorate::bench {
namespace {

using master::Allocation;
using master::Demand;
using master::Grant;

constexpr int kRounds = 5;

struct Setting {
  uint64_t agents;
  uint64_t frameworks;
};

// Of the processor, in milliseconds.
template <typename Work>
double Time(const Work& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) * 1e3 / CLOCKS_PER_SEC;
}

// The least that looking at every pair can take.
double BareLoop(const Setting& setting) {
  std::vector<int64_t> free(setting.agents, 4000);
  std::vector<int64_t> wanted(setting.frameworks);
  for (uint64_t i = 0; i < wanted.size(); ++i) wanted[i] = 5000 + i % 7;
  volatile int64_t fits = 0;
  return Time([&] {
    int64_t count = 0;
    for (int64_t has : free) {
      for (int64_t wants : wanted) count += has >= wants ? 1 : 0;
    }
    fits = count;
  });
}

class Cycles {
 public:
  explicit Cycles(const Setting& setting)
      : setting_(setting),
        all_(*Resources::ParseText(
            "cpus:4;mem:4096;disk:4096;ports:[31000-32000]")) {
    for (uint64_t i = 0; i < setting.agents; ++i) {
      agents_.push_back(absl::StrCat("4a1c8f0e-S", i));
    }
    for (uint64_t i = 0; i < setting.frameworks; ++i) {
      demands_.push_back({absl::StrCat("4a1c8f0e-", i), "*"});
    }
  }

  void Free(uint64_t agents) {
    for (uint64_t i = 0; i < agents; ++i) {
      allocation_.SetSupply({agents_[i], all_});
    }
  }

  void RefuseAll() {
    for (const Demand& demand : demands_) {
      for (const std::string& agent : agents_) {
        allocation_.Refuse(demand.framework_id, demand.role, agent, all_, 3600,
                           io::Instant());
      }
    }
  }

  // In milliseconds, when that many agents have changed.
  double Run(uint64_t agents, size_t expected_grants) {
    std::vector<double> times;
    for (int round = 0; round < kRounds; ++round) {
      Free(agents);
      size_t grants = 0;
      times.push_back(Time(
          [&] { grants = allocation_.Run(demands_, io::Instant()).size(); }));
      if (grants != expected_grants) Die("the allocation granted otherwise");
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

 private:
  const Setting setting_;
  const Resources all_;
  std::vector<std::string> agents_;
  std::vector<Demand> demands_;
  Allocation allocation_{{}};
};

void Line(const char* name, double full, double part, double floor) {
  std::printf("%-8s %10.3f %12.3f %8.1f %10.1f\n", name, full, part,
              full / floor, full / part);
}

void Main(const Arguments& arguments) {
  const Setting setting = {arguments.Number("agents", 10000),
                           arguments.Number("frameworks", 200)};
  const uint64_t few = std::max<uint64_t>(1, setting.agents / 100);
  const double floor = BareLoop(setting);
  std::printf("bare loop: %.3f ms\n", floor);
  std::printf("%-8s %10s %12s %8s %10s\n", "", "full ms", "1 % ms", "x bare",
              "full / 1 %");
  Cycles cycles(setting);
  // The first run, which meets everybody, is not measured.
  cycles.Run(setting.agents, setting.agents);
  const double granted = cycles.Run(setting.agents, setting.agents);
  Line("granted", granted, cycles.Run(few, few), floor);
  cycles.RefuseAll();
  Line("refused", cycles.Run(setting.agents, 0), cycles.Run(few, 0), floor);
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
  quorate::bench::Main(quorate::bench::Arguments(argc, argv));
  return 0;
}
