// Planted bugs, each with the story that has to find it: proof that the
// checkers bite.

#ifndef QUORATE_SCENARIOS_MUTATIONS_H_
#define QUORATE_SCENARIOS_MUTATIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/planted.h"

namespace quorate::scenarios {

struct Mutation {
  Bug bug;
  const char* name;
  const char* story;  // finds it soonest
  const char* sees;   // part of what the checker says that is there for it
};

const std::vector<Mutation>& Mutations();

struct Verdict {
  // The first seed that was found out; nullopt: the bug survived.
  std::optional<uint64_t> seed;
  // What was seen, in a line.
  std::string finding;
};

// Runs the story with the bug from seed 1 on. A seed that fails in another way
// than it has to is no finding; one that fails without the bug, too, is none
// either, and ends the search.
Verdict Hunt(const Mutation& mutation, uint64_t max_seeds);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_MUTATIONS_H_
