// Says whether a history of calls is linearizable.
//
//   check_history MODEL FILE [SECONDS]
//
// Exits with 0 if it is, with 1 if it is not, with 3 if that was not found out
// in time, which is 300 seconds by default, and with 2 for anything else.

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/numbers.h"
#include "sim/checkers/linearizability.h"

namespace quorate::sim {
namespace {

enum ExitCode { kLinearizable = 0, kViolation = 1, kUsage = 2, kUnknown = 3 };

int Fail(const std::string& message) {
  std::fprintf(stderr, "check_history: %s\n", message.c_str());
  return kUsage;
}

int Check(const SequentialModel& model, const std::string& text, int seconds) {
  const auto calls = ParseHistory(text);
  if (!calls.ok()) return Fail(std::string(calls.status().message()));
  for (const Call& call : *calls) {
    if (const std::string reason = model.refuse(call); !reason.empty()) {
      return Fail(reason);
    }
  }
  // tidy-allow(wall-clock): how long a person waits; nothing is simulated
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  const LinearizabilityVerdict verdict = CheckLinearizable(
      model, *calls, {.give_up = [end] { return Clock::now() > end; }});
  switch (verdict.kind) {
    case LinearizabilityVerdict::Kind::kLinearizable:
      std::printf("linearizable: %zu calls\n", calls->size());
      return kLinearizable;
    case LinearizabilityVerdict::Kind::kViolation:
      std::printf("not linearizable: %s\n", verdict.finding.c_str());
      return kViolation;
    case LinearizabilityVerdict::Kind::kUnknown:
      std::printf("unknown: %s\n", verdict.finding.c_str());
      return kUnknown;
  }
  return kUsage;
}

int Main(int argc, char** argv) {
  int seconds = 300;
  if (argc < 3 || argc > 4 ||
      (argc == 4 && (!absl::SimpleAtoi(argv[3], &seconds) || seconds < 0))) {
    return Fail(
        "usage: check_history register|kv|agent|sequence FILE [SECONDS]");
  }
  const auto model = ModelNamed(argv[1]);
  if (!model) return Fail(std::string("no model is named ") + argv[1]);
  std::ifstream file(argv[2]);
  if (!file) return Fail(std::string("cannot read ") + argv[2]);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return Check(*model, text, seconds);
}

}  // namespace
}  // namespace quorate::sim

int main(int argc, char** argv) { return quorate::sim::Main(argc, argv); }
