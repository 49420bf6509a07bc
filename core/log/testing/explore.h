// Bounded exhaustive exploration of the real Acceptor and Proposer: every
// order of deliveries, losses, duplicates, candidacies, crashes and damage
// within the bounds, each reachable state once.
//
// What makes the space small enough, and why nothing is lost by it:
//
// * Messages are a set. A message may arrive at any time, repeatedly, or never,
//   so loss, duplication and reordering need no steps of their own. One that
//   can have no effect any more is taken out of the set.
// * A refusal (REJECT) is not delivered. It could only depose a proposer, and a
//   deposed proposer does what one does that hears nothing any more.
// * A learned entry is told to everybody by one message that is never lost;
//   who fetches an entry gets it by that message as well.
// * A candidate's promise to itself is part of its first step: nobody hears of
//   the ballot before.
// * What a step writes is durable at its end. That no answer overtakes the
//   disk is the business of other tests; a crash here takes away the proposer
//   and what was only learned.
// * Replicas are interchangeable at first: the rounds are given out so that a
//   new face is always the first one in the alphabet.
//
// A replica's state is interned: the machines run once for each pair of a
// replica's state and an input, and the exploration itself is over numbers.

#ifndef QUORATE_CORE_LOG_TESTING_EXPLORE_H_
#define QUORATE_CORE_LOG_TESTING_EXPLORE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace quorate::log::testing {

struct Bounds {
  // A replica for each letter; the first ones are the members.
  std::string members = "ABC";
  std::string learners;
  // 0: nothing is written yet. Otherwise the first member leads with that
  // round, was elected by itself and the last member, and its LEADER entry, at
  // position 1, is learned by all.
  uint64_t led_round = 0;
  // Nothing is written above it.
  uint64_t last_position = 2;
  // Each round up to it is used by one proposer.
  uint64_t rounds = 3;
  int appends = 0;
  // Members that a leader may propose, once.
  std::string configuration;
  int crashes = 0;
  // A replica's disk is lost, and it is gone with it: the learners stand in
  // for the new members that are formatted in its place.
  int wipes = 0;
  // A vote's record becomes unreadable, or all trace of it is lost.
  int damages = 0;
  // A replica forgets what it has learned, below a base.
  int truncations = 0;
  // After a crash it answers NOT_READY until it is told that it may vote.
  bool handshake = false;
  uint64_t max_states = 1000000;
};

struct Exploration {
  uint64_t states = 0;
  uint64_t steps = 0;
  uint64_t machine_steps = 0;  // those that ran a machine
  // No state within the bounds was left out.
  bool complete = false;
  // Empty when every state is as it must be; else what is wrong, and the
  // shortest way there.
  std::string violation;
  std::vector<std::string> trace;
};

// Breadth first. The properties, at each state:
// * a ballot proposes one value at a position;
// * at a position one value is chosen (by the votes of a quorum of the
//   position's configuration), and what is learned is that one;
// * once a value is chosen, each higher ballot proposes the same;
// * a replica's promise never decreases.
Exploration Explore(const Bounds& bounds);

}  // namespace quorate::log::testing

#endif  // QUORATE_CORE_LOG_TESTING_EXPLORE_H_
