#include "io/random.h"

#include <set>
#include <vector>

#include "io/contract/suites.h"

namespace quorate::io::contract {
namespace {

std::vector<uint64_t> Draw(Random& random) {
  std::vector<uint64_t> drawn(16);
  for (uint64_t& value : drawn) value = random.Next();
  return drawn;
}

TEST_P(RandomContract, ValuesDiffer) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(environment().random().Next());
  EXPECT_EQ(seen.size(), 1000);
}

TEST_P(RandomContract, ASplitIsNamed) {
  const Random& random = environment().random();
  const std::vector<uint64_t> a = Draw(*random.Split("a"));
  EXPECT_EQ(a, Draw(*random.Split("a")));
  EXPECT_NE(a, Draw(*random.Split("b")));
  EXPECT_NE(Draw(*random.Split("a")->Split("c")),
            Draw(*random.Split("b")->Split("c")));
}

TEST_P(RandomContract, ASplitDoesNotDependOnWhatWasDrawn) {
  Random& random = environment().random();
  const std::vector<uint64_t> before = Draw(*random.Split("a"));
  random.Next();
  EXPECT_EQ(before, Draw(*random.Split("a")));
}

TEST_P(RandomContract, ProcessesDiffer) {
  EXPECT_NE(Draw(environment(0).random()), Draw(environment(1).random()));
  EXPECT_NE(Draw(*environment(0).random().Split("a")),
            Draw(*environment(1).random().Split("a")));
}

TEST_P(RandomContract, ValuesAreWithinBounds) {
  Random& random = environment().random();
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(random.Below(3));
    const double fraction = random.Fraction();
    EXPECT_GE(fraction, 0);
    EXPECT_LT(fraction, 1);
    const Duration between = random.Between(Duration(5), Duration(7));
    EXPECT_GE(between, Duration(5));
    EXPECT_LT(between, Duration(7));
  }
  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2}));
}

TEST_P(RandomContract, UuidsAreOfVersion4) {
  const std::string uuid = environment().random().Uuid();
  ASSERT_EQ(uuid.size(), 36);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
  EXPECT_NE(uuid, environment().random().Uuid());
}

}  // namespace
}  // namespace quorate::io::contract
