// ./dev sim --mutations: prints which planted bugs are found, and how soon.
// Fails when one survives.

#include <glog/logging.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "scenarios/mutations.h"

int main(int argc, char** argv) {
  using namespace quorate::scenarios;
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
