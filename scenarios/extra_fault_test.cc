#include "scenarios/extra_fault.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "scenarios/kept_seeds.h"
#include "scenarios/scenario.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

// Three steps, of a log that leads by itself.
void Quiet(sim::World& world) {
  sim::LogClusterOptions options;
  options.builtin_election = true;
  sim::LogCluster log(world, options);
  EXPECT_SOON(log.Leaders().size() == 1, 30s);
  log.Append(log.Leaders()[0]);
  world.RunFor(3s);
  EXPECT_SOON(log.Converged(), 60s);
}

const Scenario& Story() {
  static const auto& story =
      *new Scenario{"Test.Quiet", Quiet, nullptr, nullptr};
  return story;
}

ExtraFault Parsed(const std::string& text) {
  const absl::StatusOr<ExtraFault> fault = ParseExtraFault(text);
  EXPECT_TRUE(fault.ok()) << fault.status();
  return fault.value_or(ExtraFault{});
}

TEST(ExtraFault, EveryKindTakesEffect) {
  for (const char* kind : {"doze", "disk-stall", "slow-loop", "kill",
                           "power-loss", "sleep", "isolate"}) {
    const ExtraOutcome extra = RunWithExtraFault(
        Story(), 1, Parsed(absl::StrCat("1:", kind, ":replica0")));
    EXPECT_TRUE(extra.injected.has_value()) << kind;
    EXPECT_TRUE(extra.took_effect) << kind;
    EXPECT_FALSE(extra.outcome.failure) << *extra.outcome.failure;
  }
  // A clog may be too short to meet anything.
  for (const char* kind : {"clog", "reset"}) {
    int took_effect = 0;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      const ExtraOutcome extra = RunWithExtraFault(
          Story(), seed,
          Parsed(absl::StrCat("1:", kind, ":replica0>replica1")));
      took_effect += extra.took_effect ? 1 : 0;
      EXPECT_FALSE(extra.outcome.failure) << *extra.outcome.failure;
    }
    EXPECT_GE(took_effect, 5) << kind;
  }
}

TEST(ExtraFault, WhatWasDrawnIsReplayedExactly) {
  const uint64_t plain = scenarios::Run(Story(), 1).trace_hash;
  for (FaultClass fault_class : {FaultClass::kHiccup, FaultClass::kBlow}) {
    std::set<std::string> kinds;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      const ExtraOutcome drawn = RunWithExtraFault(
          Story(), seed, {.step = 1, .fault_class = fault_class});
      ASSERT_TRUE(drawn.injected.has_value());
      kinds.insert(drawn.injected->kind);
      const ExtraOutcome again =
          RunWithExtraFault(Story(), seed, Parsed(ToString(*drawn.injected)));
      EXPECT_EQ(again.outcome.trace_hash, drawn.outcome.trace_hash)
          << ToString(*drawn.injected);
      EXPECT_EQ(again.injected->fault_class, fault_class);
    }
    EXPECT_GE(kinds.size(), 4u);
  }
  // A step that never comes is no fault.
  const ExtraOutcome never = RunWithExtraFault(Story(), 1, {.step = 99});
  EXPECT_FALSE(never.injected.has_value());
  EXPECT_EQ(never.outcome.trace_hash, plain);
}

// Fails in one of three ways as soon as a fault is there.
Scenario Fragile(void (*fail)(sim::World&)) {
  return {"Test.Fragile",
          [fail](sim::World& world) {
            sim::LogCluster log(world, 3);
            world.RunFor(1s);
            world.RunFor(5s);
            if (world.faults().total() > 0) fail(world);
          },
          nullptr, nullptr};
}

TEST(ExtraFault, ABlowExcusesWhatTheStoryExpectsAndNothingElse) {
  const Scenario expects = Fragile([](auto& w) { w.FailExpectation("hoped"); });
  const Scenario stuck = Fragile([](auto& w) { w.FailStuck("stuck"); });
  const Scenario broken = Fragile([](auto& w) { w.Fail("broken"); });
  const ExtraFault blow = Parsed("1:kill:replica0");
  const ExtraFault hiccup = Parsed("1:doze:replica0");
  for (const Scenario* story : {&expects, &stuck}) {
    EXPECT_FALSE(RunWithExtraFault(*story, 1, blow).outcome.failure);
    EXPECT_TRUE(RunWithExtraFault(*story, 1, hiccup).outcome.failure);
  }
  EXPECT_TRUE(RunWithExtraFault(broken, 1, hiccup).outcome.failure);
  const auto failure = RunWithExtraFault(broken, 1, blow).outcome.failure;
  ASSERT_TRUE(failure);
  EXPECT_TRUE(absl::StrContains(*failure, "--extra_fault='1:kill:replica0'"))
      << *failure;
}

TEST(ExtraFault, ASweepFindsTheStepThatMatters) {
  const Scenario broken = Fragile([](auto& w) { w.Fail("broken"); });
  const Sweep found = SweepExtraFaults(broken, 1, 0);
  EXPECT_EQ(found.steps, 2u);
  EXPECT_TRUE(found.failed);
  const Sweep quiet = SweepExtraFaults(Story(), 1, 0);
  EXPECT_EQ(quiet.steps, 3u);
  EXPECT_EQ(quiet.runs, 6u);
  EXPECT_FALSE(quiet.failed) << quiet.failed->cause;
}

TEST(ExtraFault, WordsThatAreNoFaultAreRefused) {
  for (const char* text : {"", "1", "x:doze:master0", "1:nap:master0",
                           "1:doze:a>b", "1:clog:master0"}) {
    EXPECT_FALSE(ParseExtraFault(text).ok()) << text;
  }
}

TEST(KeptSeeds, AreReadLineByLine) {
  const Registration registration({"Test.Kept", Quiet, nullptr, nullptr});
  const auto kept = ParseKeptSeeds(
      "# comment\n\nTest.Kept 7  it failed once\n"
      "Test.Kept 8/1:clog:replica0>replica1 slow links\n");
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_EQ((*kept)[0].why, "it failed once");
  EXPECT_EQ((*kept)[1].extra_fault->target, "replica0>replica1");
  EXPECT_FALSE(RunKeptSeed((*kept)[1]));
  for (const char* line : {"Test.Kept 7", "Test.Kept x why", "Nothing 7 why",
                           "Test.Kept 7/1:nap:a why"}) {
    EXPECT_FALSE(ParseKeptSeeds(line).ok()) << line;
  }
}

}  // namespace
}  // namespace quorate::scenarios
