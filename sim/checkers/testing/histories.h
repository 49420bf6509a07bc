// Histories to be checked: what clients of a correct store could have seen.

#ifndef QUORATE_SIM_CHECKERS_TESTING_HISTORIES_H_
#define QUORATE_SIM_CHECKERS_TESTING_HISTORIES_H_

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "io/random.h"
#include "sim/checkers/linearizability.h"

namespace quorate::sim {

struct HistoryShape {
  size_t calls = 20;
  size_t clients = 3;
  size_t keys = 1;
  // One call of so many has an unknown outcome; 0: none.
  uint64_t unknown = 0;
  // Calls overlap the more, the longer they take; a pause between two calls of
  // a client is as long as one of them at most.
  uint64_t longest = 20;
  // "write" and "read" of a register, or "append" and "get" of a key/value
  // store whose values grow.
  bool key_value = false;
};

// Each call takes effect at one instant between its begin and its end. No value
// is written twice.
inline std::vector<Call> DrawHistory(io::Random& random,
                                     const HistoryShape& shape) {
  struct Drawn {
    Call call;
    int64_t takes_effect = 0;
  };
  std::vector<int64_t> free_at(shape.clients, 0);
  std::vector<Drawn> drawn(shape.calls);
  for (size_t i = 0; i < shape.calls; ++i) {
    Call& call = drawn[i].call;
    call.client = i % shape.clients;
    call.key = absl::StrCat("k", random.Below(shape.keys));
    const bool reads = random.Below(2) == 0;
    call.kind = shape.key_value ? (reads ? "get" : "append")
                                : (reads ? "read" : "write");
    if (!reads) call.argument = absl::StrCat(i, ".");
    const auto some = [&] {
      return static_cast<int64_t>(random.Below(shape.longest) + 1);
    };
    call.begin = free_at[call.client] + some();
    drawn[i].takes_effect = call.begin + some();
    call.end = drawn[i].takes_effect + some();
    free_at[call.client] = *call.end;
  }
  std::stable_sort(drawn.begin(), drawn.end(),
                   [](const Drawn& a, const Drawn& b) {
                     return a.takes_effect < b.takes_effect;
                   });
  std::map<std::string, std::string> values;
  std::vector<Call> calls;
  for (Drawn& one : drawn) {
    Call& call = one.call;
    std::string& value = values[call.key];
    const bool unknown = shape.unknown > 0 && random.Below(shape.unknown) == 0;
    const bool reads = call.argument.empty();
    // Half of the unknown ones never take effect.
    if (!reads && !(unknown && random.Below(2) == 0)) {
      value = shape.key_value ? value + call.argument : call.argument;
    }
    if (unknown) {
      call.end.reset();
    } else {
      call.result = reads ? value : "ok";
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

// Has one read of a register answer what was overwritten, for certain, before
// it began. False if there is no such read.
inline bool PlantStaleRead(io::Random& random, std::vector<Call>& calls) {
  const size_t first = random.Below(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    Call& read = calls[(first + i) % calls.size()];
    if (read.kind != "read" || !read.result) continue;
    for (const Call& later : calls) {
      const bool over = later.kind == "write" && later.result &&
                        later.key == read.key && *later.end < read.begin;
      if (!over) continue;
      for (const Call& earlier : calls) {
        if (earlier.kind != "write" || !earlier.result ||
            earlier.key != read.key || *earlier.end >= later.begin) {
          continue;
        }
        read.result = earlier.argument;
        return true;
      }
    }
  }
  return false;
}

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_TESTING_HISTORIES_H_
