// C5 for histories from real processes, where no log tells the order: is there
// any order of the calls that agrees with real time and with a sequential
// model? The search of Wing and Gong in Lowe's form, as Porcupine has it: calls
// are taken in any order that real time allows; what was tried before, as the
// set of calls taken and the state reached, is not tried again.
//
//   const Verdict verdict = CheckLinearizable(RegisterModel(), calls, {});
//
// A call whose outcome is unknown may take effect at any time after it began,
// or never. Models are compositional: calls of different keys do not touch each
// other, so each key is checked apart, which is what makes the search fast. The
// general problem is NP-complete; hence the limit.

#ifndef QUORATE_SIM_CHECKERS_LINEARIZABILITY_H_
#define QUORATE_SIM_CHECKERS_LINEARIZABILITY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::sim {

struct Call {
  uint64_t client = 0;
  std::string key;
  std::string kind;                   // "read", "write"
  std::string argument;               // "" for none
  std::optional<std::string> result;  // nullopt: unknown
  // Any clock that all clients share.
  int64_t begin = 0;
  std::optional<int64_t> end;  // nullopt: not answered
};

// What one call does, alone.
struct SequentialModel {
  std::string initial;  // the state of every key
  // Whether the call may be answered as it was in that state, and the state
  // after it. Without a result any answer goes.
  std::function<bool(const std::string& state, const Call& call,
                     std::string* next)>
      step;
  // What is wrong with a call that the model does not know; "" for nothing.
  std::function<std::string(const Call& call)> refuse;
};

// write V -> ok; read -> V; cas FROM,TO -> ok or fail. Empty at first.
SequentialModel RegisterModel();
// put V -> ok; append V -> ok; get -> V. Empty at first.
SequentialModel KeyValueModel();
// An agent in the registry: admit, reachable, unreachable, remove -> ok, known
// or unknown; read -> none, admitted or unreachable.
SequentialModel AgentModel();
// The end of a log: append -> the position, above all before it or, for appends
// that share one, at the last; end -> the highest position.
SequentialModel SequenceModel();
// "register", "kv", "agent", "sequence"; null for another name.
std::optional<SequentialModel> ModelNamed(absl::string_view name);

struct LinearizabilityVerdict {
  enum class Kind { kLinearizable, kViolation, kUnknown };
  Kind kind = Kind::kLinearizable;
  // Of a violation: the key, and the call that fits nowhere behind as many
  // others as could be put in order. Of kUnknown: the key.
  std::string finding;
};

struct LinearizabilityOptions {
  // Asked now and then; true ends the search with kUnknown.
  std::function<bool()> give_up;
};

LinearizabilityVerdict CheckLinearizable(const SequentialModel& model,
                                         const std::vector<Call>& calls,
                                         const LinearizabilityOptions& options);

// A history, one call a line, either as JSON,
//   {"client":1,"key":"x","op":"write","value":"5","result":"ok",
//    "begin":10,"end":20}
// or as the same words in that order, with "-" for what is not there:
//   1 x write 5 ok 10 20
// Empty lines and those that begin with # are skipped. InvalidArgument, with
// the number of the line, for anything else.
absl::StatusOr<std::vector<Call>> ParseHistory(absl::string_view text);
// As words.
std::string ToString(const Call& call);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_LINEARIZABILITY_H_
