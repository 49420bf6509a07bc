// Properties of the allocation under static demand, against an oracle that is
// as plain as possible. What it promises today is a fair turn, and nothing
// about shares: dominant resource fairness, weights, quota and limits are not
// there yet, so that nothing here tests them.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/master/allocation.h"
#include "io/random.h"

namespace quorate::master {
namespace {

Resources Draw(io::Random& random) {
  const uint64_t cpus = random.Below(5);
  const uint64_t mem = random.Below(128);
  return *Resources::ParseText(absl::StrCat("cpus:", cpus, ";mem:", mem));
}

bool IsEnough(const Resources& resources) {
  return resources.Scalar("cpus") >= 0.01 || resources.Scalar("mem") >= 32;
}

struct Case {
  std::vector<Supply> supplies;
  std::vector<Demand> demands;
};

Case DrawCase(io::Random& random) {
  Case drawn;
  const uint64_t agents = 1 + random.Below(8);
  for (uint64_t i = 0; i < agents; ++i) {
    Supply supply{.agent_id = absl::StrCat("a", i), .available = Draw(random)};
    supply.has_gpus = random.Below(4) == 0;
    drawn.supplies.push_back(std::move(supply));
  }
  const uint64_t frameworks = 1 + random.Below(5);
  for (uint64_t i = 0; i < frameworks; ++i) {
    Demand demand{.framework_id = absl::StrCat("f", i), .role = "*"};
    demand.takes_gpus = random.Below(2) == 0;
    drawn.demands.push_back(std::move(demand));
  }
  return drawn;
}

// Whoever has waited longest among those who may have an agent gets all of it.
class Oracle {
 public:
  explicit Oracle(const std::vector<Demand>& demands)
      : line_(demands.begin(), demands.end()) {}

  std::vector<std::string> Run(const std::vector<Supply>& supplies) {
    std::vector<std::string> grants;
    for (const Supply& supply : supplies) {
      if (!IsEnough(supply.available)) continue;
      const auto taker =
          std::find_if(line_.begin(), line_.end(), [&](const Demand& demand) {
            return demand.takes_gpus || !supply.has_gpus;
          });
      if (taker == line_.end()) continue;
      grants.push_back(absl::StrCat(taker->framework_id, "@", supply.agent_id));
      std::rotate(taker, taker + 1, line_.end());
    }
    return grants;
  }

 private:
  std::vector<Demand> line_;
};

TEST(AllocationPropertyTest, EachTurnIsThatOfTheOracle) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    io::SeededRandom random(seed);
    Case drawn = DrawCase(random);
    Allocation allocation({});
    Oracle oracle(drawn.demands);
    for (int round = 0; round < 5; ++round) {
      std::vector<std::string> grants;
      for (const Grant& grant :
           allocation.Run(drawn.supplies, drawn.demands, io::Instant())) {
        grants.push_back(absl::StrCat(grant.framework_id, "@", grant.agent_id));
      }
      ASSERT_EQ(grants, oracle.Run(drawn.supplies)) << "seed " << seed;
      for (Supply& supply : drawn.supplies) supply.available = Draw(random);
    }
  }
}

// Nothing is granted twice, or that was not there, also with reservations,
// refusals and several roles.
TEST(AllocationPropertyTest, GrantsAreDisjointPartsOfWhatIsThere) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    io::SeededRandom random(seed);
    Case drawn = DrawCase(random);
    for (Supply& supply : drawn.supplies) {
      const uint64_t cpus = random.Below(3);
      const uint64_t ports = 1 + random.Below(9);
      supply.available += *Resources::ParseText(absl::StrCat(
          "cpus(eng):", cpus, ";mem(ops):64;ports:[1-", ports, "]"));
    }
    for (Demand& demand : drawn.demands) {
      demand.role = random.Below(2) == 0 ? "eng" : "ops/ci";
    }
    Allocation allocation({});
    for (int round = 0; round < 5; ++round) {
      std::map<std::string, Resources> left;
      for (const Supply& supply : drawn.supplies) {
        left[supply.agent_id] = supply.available;
      }
      for (const Grant& grant :
           allocation.Run(drawn.supplies, drawn.demands, io::Instant())) {
        ASSERT_TRUE(left[grant.agent_id].Contains(grant.resources))
            << "seed " << seed;
        left[grant.agent_id] -= grant.resources;
        if (random.Below(3) != 0) continue;
        allocation.Refuse(grant.framework_id, grant.role, grant.agent_id,
                          grant.resources, 3600, io::Instant());
      }
    }
  }
}

// With as many equal agents as one likes, nobody is ahead of another by more
// than one.
TEST(AllocationPropertyTest, NobodyIsAheadByMoreThanOne) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    io::SeededRandom random(seed);
    std::vector<Demand> demands;
    const uint64_t frameworks = 2 + random.Below(6);
    for (uint64_t i = 0; i < frameworks; ++i) {
      demands.push_back({absl::StrCat("f", i), "*"});
    }
    Allocation allocation({});
    std::map<std::string, int> granted;
    for (const Demand& demand : demands) granted[demand.framework_id] = 0;
    for (int round = 0; round < 10; ++round) {
      std::vector<Supply> supplies;
      const uint64_t agents = random.Below(6);
      for (uint64_t i = 0; i < agents; ++i) {
        supplies.push_back(
            {absl::StrCat("a", i), *Resources::ParseText("cpus:1")});
      }
      for (const Grant& grant :
           allocation.Run(supplies, demands, io::Instant())) {
        ++granted[grant.framework_id];
      }
      const auto [fewest, most] = std::minmax_element(
          granted.begin(), granted.end(),
          [](const auto& a, const auto& b) { return a.second < b.second; });
      ASSERT_LE(most->second - fewest->second, 1) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace quorate::master
