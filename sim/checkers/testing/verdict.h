// For the checkers' tests: each sees what it is there for, and nothing in what
// is right.

#ifndef QUORATE_SIM_CHECKERS_TESTING_VERDICT_H_
#define QUORATE_SIM_CHECKERS_TESTING_VERDICT_H_

#include <functional>
#include <string>

#include "sim/world.h"

namespace quorate::sim {

// What the checker says of `story`, "" for nothing.
template <typename Checker>
std::string Verdict(const std::function<void(Checker&)>& story) {
  World world(1);
  Checker checker(world);
  story(checker);
  return world.failure().value_or("");
}

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_TESTING_VERDICT_H_
