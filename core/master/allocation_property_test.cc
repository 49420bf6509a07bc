// Properties of the allocation under static demand, against an oracle that is
// as plain as possible. What it promises today is a fair turn, and nothing
// about shares: dominant resource fairness, weights, quota and limits are not
// there yet, so that nothing here tests them.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
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

// All of it anew.
std::vector<Grant> RunWith(Allocation& allocation,
                           const std::vector<Supply>& supplies,
                           const std::vector<Demand>& demands) {
  for (const Supply& supply : supplies) allocation.SetSupply(supply);
  return allocation.Run(demands, io::Instant());
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
           RunWith(allocation, drawn.supplies, drawn.demands)) {
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
           RunWith(allocation, drawn.supplies, drawn.demands)) {
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
      for (int i = 0; i < 6; ++i) {
        allocation.RemoveSupply(absl::StrCat("a", i));
      }
      for (const Grant& grant : RunWith(allocation, supplies, demands)) {
        ++granted[grant.framework_id];
      }
      const auto [fewest, most] = std::minmax_element(
          granted.begin(), granted.end(),
          [](const auto& a, const auto& b) { return a.second < b.second; });
      ASSERT_LE(most->second - fewest->second, 1) << "seed " << seed;
    }
  }
}

// A run looks only at what has changed. One that looks at everything, each
// time, grants the same in the same turns: `full` has all supplies set again
// before each run, as they were left.
class Twins {
 public:
  explicit Twins(uint64_t seed) : random_(seed) {
    for (uint64_t i = 0; i < kAgents; ++i) SetSupply(i);
    for (uint64_t i = 0; i < kFrameworks; ++i) {
      wants_[i] = random_.Below(2) == 0;
    }
  }

  void Step() {
    const uint64_t agent = random_.Below(kAgents);
    const uint64_t framework = random_.Below(kFrameworks);
    const std::string f = absl::StrCat("f", framework);
    const std::string a = absl::StrCat("a", agent);
    switch (random_.Below(8)) {
      case 0:
        return SetSupply(agent);
      case 1:
        wants_[framework] = !wants_[framework];
        return;
      case 2:
        return Both([&](Allocation& one) { one.Revive(f, RoleOf(framework)); });
      case 3:
        return Both([&](Allocation& one) { one.ForgetFramework(f); });
      case 4:
        return Both([&](Allocation& one) { one.ForgetAgent(a); });
      case 5:
        takes_gpus_[framework] = !takes_gpus_[framework];
        return;
      default:
        now_ += std::chrono::milliseconds(random_.Below(3000));
        return;
    }
  }

  // Grants of both. Half of them are given back, refused.
  std::pair<std::string, std::string> Run() {
    std::vector<Demand> demands;
    for (uint64_t i = 0; i < kFrameworks; ++i) {
      if (!wants_[i]) continue;
      demands.push_back({absl::StrCat("f", i), RoleOf(i), takes_gpus_[i]});
    }
    for (const Supply& supply : supplies_) full_.SetSupply(supply);
    const std::vector<Grant> grants = changed_.Run(demands, now_);
    const std::string expected = ToText(full_.Run(demands, now_));
    for (const Grant& grant : grants) {
      SupplyOf(grant).available -= grant.resources;
    }
    for (const Grant& grant : grants) {
      if (random_.Below(2) == 0) GiveBack(grant);
    }
    return {ToText(grants), expected};
  }

 private:
  static constexpr uint64_t kAgents = 5;
  static constexpr uint64_t kFrameworks = 4;

  static std::string RoleOf(uint64_t framework) {
    return framework % 2 == 0 ? "eng" : "ops/ci";
  }

  static std::string ToText(const std::vector<Grant>& grants) {
    std::string text;
    for (const Grant& grant : grants) {
      absl::StrAppend(&text, grant.framework_id, "/", grant.role, "@",
                      grant.agent_id, "=", grant.resources.ToText(), " ");
    }
    return text;
  }

  void Both(const std::function<void(Allocation&)>& act) {
    act(changed_);
    act(full_);
  }

  void SetSupply(uint64_t agent) {
    Resources available = Draw(random_);
    const uint64_t reserved = random_.Below(3);
    available += *Resources::ParseText(absl::StrCat("cpus(eng):", reserved));
    supplies_[agent] = {absl::StrCat("a", agent), std::move(available),
                        random_.Below(3) == 0};
    changed_.SetSupply(supplies_[agent]);
  }

  Supply& SupplyOf(const Grant& grant) {
    return *std::find_if(
        supplies_.begin(), supplies_.end(),
        [&](const Supply& one) { return one.agent_id == grant.agent_id; });
  }

  void GiveBack(const Grant& grant) {
    const double seconds = static_cast<double>(random_.Below(10));
    Both([&](Allocation& one) {
      one.Refuse(grant.framework_id, grant.role, grant.agent_id,
                 grant.resources, seconds, now_);
    });
    Supply& supply = SupplyOf(grant);
    supply.available += grant.resources;
    changed_.SetSupply(supply);
  }

  io::SeededRandom random_;
  Allocation changed_{{}};
  Allocation full_{{}};
  io::Instant now_;
  std::vector<Supply> supplies_{kAgents};
  bool wants_[kFrameworks] = {};
  bool takes_gpus_[kFrameworks] = {};
};

TEST(AllocationPropertyTest, LookingAtWhatHasChangedIsEnough) {
  int granted = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    Twins twins(seed);
    for (int step = 0; step < 60; ++step) {
      const auto [grants, expected] = twins.Run();
      ASSERT_EQ(grants, expected) << "seed " << seed << " step " << step;
      granted += grants.empty() ? 0 : 1;
      twins.Step();
    }
  }
  EXPECT_GT(granted, 1000);
}

}  // namespace
}  // namespace quorate::master
