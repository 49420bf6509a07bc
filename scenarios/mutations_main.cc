// ./dev sim --mutations: prints which planted bugs are found, and how soon.
// Fails when one survives. With --plant='NAME' it runs scenarios as ./dev sim
// does, with that bug.

#include <glog/logging.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/planted_bugs.h"
#include "scenarios/mutations.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {
namespace {

constexpr char kPlant[] = "--plant=";

int RunPlanted(const std::string& name, char** begin, char** end) {
  for (const Mutation& mutation : Mutations()) {
    if (mutation.name != name) continue;
    Plant(mutation.bug);
    SetReplayProgram("bazel-bin/scenarios/mutations --plant='" + name + "'");
    return RunnerMain(std::vector<std::string>(begin, end));
  }
  std::fprintf(stderr, "no planted bug is called '%s'\n", name.c_str());
  return 2;
}

}  // namespace
}  // namespace quorate::scenarios

int main(int argc, char** argv) {
  using namespace quorate::scenarios;
  const size_t length = std::strlen(kPlant);
  if (argc > 1 && std::strncmp(argv[1], kPlant, length) == 0) {
    return RunPlanted(argv[1] + length, argv + 2, argv + argc);
  }
  const uint64_t max_seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  const std::string only = argc > 2 ? argv[2] : "";
  if (max_seeds == 0) {
    std::fprintf(stderr, "usage: mutations SEEDS [STORY]\n");
    return 2;
  }
  google::InitGoogleLogging("mutations");
  FLAGS_minloglevel = google::FATAL;
  int survived = 0;
  for (const Mutation& mutation : Mutations()) {
    if (!only.empty() && only != mutation.story) continue;
    const Verdict verdict = Hunt(mutation, max_seeds);
    if (!verdict.seed) ++survived;
    const std::string seeds =
        verdict.seed ? "seed " + std::to_string(*verdict.seed) : "NOT FOUND";
    std::printf("%-60s %-10s %-48s %s\n", mutation.name, seeds.c_str(),
                mutation.story, verdict.finding.c_str());
    std::fflush(stdout);
  }
  std::printf("%zu planted bugs, %d survived\n", Mutations().size(), survived);
  return survived == 0 ? 0 : 1;
}
