#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/planted_bugs.h"
#include "core/log/formation.h"
#include "core/log/messages.h"
#include "core/log/testing/transcript.h"
#include "io/random.h"

namespace quorate::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Transcript;

std::string Script(const std::string& name) {
  std::ifstream file(absl::StrCat("core/log/testdata/", name, ".txt"));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Transcripts : public ::testing::TestWithParam<const char*> {};

TEST_P(Transcripts, AreAsWritten) {
  const std::string script = Script(GetParam());
  ASSERT_FALSE(script.empty());
  const std::string outcome = Transcript().Run(script);
  // To see in a diff what a change of the machines does:
  // QUORATE_REWRITE=1 bazel run //core/log:machines_test
  // tidy-allow(environment): how bazel run tells where the sources are
  const char* sources = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  // tidy-allow(environment): how bazel run tells where the sources are
  if (std::getenv("QUORATE_REWRITE") != nullptr && sources != nullptr) {
    std::ofstream(
        absl::StrCat(sources, "/core/log/testdata/", GetParam(), ".txt"))
        << outcome;
    return;
  }
  EXPECT_EQ(outcome, script);
}

INSTANTIATE_TEST_SUITE_P(
    Machines, Transcripts,
    ::testing::Values("a_known_position_is_fetched",
                      "a_member_that_knows_is_gone",
                      "a_damaged_vote_is_not_forgotten",
                      "a_new_leader_keeps_what_may_be_chosen",
                      "a_refused_candidate_gives_up", "a_straggler_catches_up",
                      "an_overtaken_leader_stops", "deposed_leader_is_refused",
                      "duplicates_count_once", "election_and_append",
                      "nothing_before_durable", "retries_are_answered_again",
                      "two_candidates"),
    [](const auto& info) { return std::string(info.param); });

class Planted : public ::testing::Test {
 protected:
  ~Planted() override { Plant(Bug::kNone); }
};

TEST_F(Planted, AnAcceptorThatKeepsItsPromiseReplacesAChosenEntry) {
  Plant(Bug::kAcceptKeepsPromise);
  // The script has no step of its own for the wrong path: A writes B's entry.
  const std::string outcome =
      Transcript().Run(Script("deposed_leader_is_refused"));
  EXPECT_TRUE(absl::StrContains(
      outcome, "A learns @1 leader B\n  others have learned leader C there"))
      << outcome;
}

TEST_F(Planted, AnswersThatDoNotWaitForTheDiskShow) {
  const std::string script = Script("nothing_before_durable");
  for (Bug bug : {Bug::kPromiseBeforeDurable, Bug::kWriteAckBeforeDurable}) {
    Plant(bug);
    EXPECT_NE(Transcript().Run(script), script);
  }
}

// One step of a random walk over everything that may happen to replicas.
std::string RandomStep(const Transcript& replicas, io::Random& random,
                       int step) {
  const auto routes = replicas.routes();
  const auto& members = replicas.members();
  const MemberId& at = members[random.Below(members.size())];
  const uint64_t kind = random.Below(200);
  if (kind < 120 && !routes.empty()) {
    const auto& [from, to] = routes[random.Below(routes.size())];
    const std::string route = absl::StrCat(from, ">", to);
    if (random.Below(20) == 0) return absl::StrCat("drop ", route);
    return random.Below(20) == 0 ? absl::StrCat(route, " again") : route;
  }
  if (kind < 130 && replicas.CanAppend(at)) {
    return absl::StrCat(at, " appends v", step);
  }
  if (kind < 133) return absl::StrCat(at, " elects ", replicas.NextRound(at));
  if (kind < 173) return absl::StrCat(at, " syncs\n", at, " waits");
  if (kind < 180) return absl::StrCat(at, " retries");
  if (kind < 183) return absl::StrCat(at, " leaves");
  if (kind < 194) return absl::StrCat(at, " returns");
  // Its disk does not wait for a while.
  return absl::StrCat(at, " restarts");
}

// The first walk in which replicas disagree: its seed and its last step.
std::string FirstDisagreement(int walks) {
  for (int seed = 1; seed <= walks; ++seed) {
    io::SeededRandom random(seed);
    Transcript replicas;
    replicas.Run(random.Below(4) == 0 ? "replicas ABCDE" : "replicas ABC");
    for (const MemberId& at : replicas.members()) {
      replicas.Run(absl::StrCat(at, " waits"));
    }
    for (int step = 0; step < 500; ++step) {
      const std::string script =
          replicas.Run(RandomStep(replicas, random, step));
      if (replicas.disagreement()) {
        return absl::StrCat("seed ", seed, ", step ", step, ":\n", script);
      }
    }
  }
  return "";
}

TEST(RandomWalks, NeverDisagree) { EXPECT_EQ(FirstDisagreement(1000), ""); }

TEST_F(Planted, RandomWalksFindVotesThatDoNotWaitForTheDisk) {
  Plant(Bug::kWriteAckBeforeDurable);
  EXPECT_NE(FirstDisagreement(2000), "");
}

Entry Text(const std::string& payload) {
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(APPEND);
  entry->add_payload(payload);
  return entry;
}

absl::Status Learn(Acceptor& acceptor, uint64_t position,
                   const std::string& payload) {
  const Entry entry = Text(payload);
  return acceptor.OnLearned(position, entry, EntryHash(*entry));
}

TEST(Acceptor, TwoValuesAtOnePositionAreAnError) {
  Acceptor acceptor("A", {});
  EXPECT_TRUE(Learn(acceptor, 3, "x").ok());
  EXPECT_TRUE(Learn(acceptor, 3, "x").ok());
  EXPECT_TRUE(absl::IsDataLoss(Learn(acceptor, 3, "y")));
}

TEST(Acceptor, LearnsAPrefixWithoutGaps) {
  Acceptor acceptor("A", {});
  ASSERT_TRUE(Learn(acceptor, 1, "1").ok());
  EXPECT_EQ(acceptor.learned_upto(), 0u);
  EXPECT_EQ(acceptor.TakeLearned().size(), 1u);
  ASSERT_TRUE(Learn(acceptor, 0, "0").ok());
  EXPECT_EQ(acceptor.learned_upto(), 2u);
  const auto learned = acceptor.TakeLearned();
  ASSERT_EQ(learned.size(), 1u);
  EXPECT_EQ(learned[0].position, 0u);
  EXPECT_EQ(learned[0].entry->payload(0), "0");
}

TEST(Acceptor, KeepsOnlySoManyPositionsAhead) {
  Acceptor acceptor("A", {});
  std::vector<Outgoing> answers;
  for (uint64_t position : {Acceptor::kMaxAhead, Acceptor::kMaxAhead - 1}) {
    Write write;
    *write.mutable_ballot() = ToProto({1, "B"});
    *write.mutable_entry() = *Text("x");
    write.set_position(position);
    acceptor.OnWrite("B", &write, &answers);
  }
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].message.write_reply().result(), NOT_READY);
  EXPECT_EQ(answers[1].message.write_reply().result(), OK);
  ASSERT_TRUE(Learn(acceptor, Acceptor::kMaxAhead, "y").ok());
  EXPECT_EQ(acceptor.end(), Acceptor::kMaxAhead);
}

// It was not voted for before, so that the answer waits for the disk: who
// counts it believes that it outlives a crash.
TEST(Acceptor, AVoteForWhatItLearnedElsewhereIsDurable) {
  Acceptor acceptor("A", {});
  ASSERT_TRUE(Learn(acceptor, 3, "x").ok());
  Write write;
  *write.mutable_ballot() = ToProto({2, "B"});
  *write.mutable_entry() = *Text("x");
  write.set_position(3);
  std::vector<Outgoing> answers;
  acceptor.OnWrite("B", &write, &answers);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].message.write_reply().result(), OK);
  EXPECT_EQ(acceptor.voted_end(), 4u);
  const DurableWrite durable = acceptor.TakeWrite();
  EXPECT_EQ(answers[0].after_write, durable.number);
  ASSERT_EQ(durable.accepted.count(3), 1u);
  EXPECT_EQ(durable.accepted.at(3).ballot, (Ballot{2, "B"}));
  EXPECT_TRUE(durable.promised.has_value());
}

// The disk shows a vote of round 1 and has lost others, up to round 3: one of
// them may be for another entry at the same position.
TEST(Acceptor, AnOlderVoteIsNotTakenForTheLatest) {
  const auto state_of = [](uint64_t round, Slot::State found) {
    ReplicaState state;
    state.promised = state.blind_promised = {3, "B"};
    state.blind_below = 10;
    Slot slot;
    slot.state = found;
    slot.ballot = {round, "B"};
    slot.entry = Text("v");
    slot.hash = EntryHash(*slot.entry);
    if (found == Slot::State::kFaulty) slot.entry.reset();
    state.slots[6] = slot;
    return Acceptor("A", state).Describe(6).state();
  };
  EXPECT_EQ(state_of(1, Slot::State::kAccepted), SlotProto::UNKNOWN);
  EXPECT_EQ(state_of(1, Slot::State::kFaulty), SlotProto::UNKNOWN);
  EXPECT_EQ(state_of(1, Slot::State::kLearned), SlotProto::LEARNED);
  EXPECT_EQ(state_of(3, Slot::State::kAccepted), SlotProto::ACCEPTED);
}

// Others would miss it after a crash that came before the base was durable,
// and take the disk for a backup.
TEST(Acceptor, ABaseThatItAdoptsIsNoVote) {
  Acceptor acceptor("A", {});
  acceptor.AdoptBase(50);
  EXPECT_EQ(acceptor.learned_upto(), 50u);
  EXPECT_EQ(acceptor.voted_end(), 0u);
}

TEST(Proposer, GoesOnWhenItLearnsThatFewerPromisesAreNeeded) {
  Proposer proposer("A", {"A", "B", "C"}, {1, "A"}, 1);
  Proposer::Output out;
  proposer.Start(&out);
  PromiseReply reply;
  *reply.mutable_ballot() = ToProto({1, "A"});
  *reply.mutable_promised() = ToProto({1, "A"});
  reply.set_result(OK);
  proposer.OnPromiseReply("A", reply, &out);
  EXPECT_EQ(proposer.phase(), Proposer::Phase::kPromise);
  proposer.OnLearned(2, {"A"}, &out);
  EXPECT_EQ(proposer.phase(), Proposer::Phase::kWrite);
}

TEST(Quorums, Intersect) {
  for (size_t members = 1; members <= 9; ++members) {
    EXPECT_GT(WriteQuorum(members) + PromiseQuorum(members), members);
    EXPECT_GT(2 * WriteQuorum(members), members);
  }
}

// Forming a log.

Config Members(const std::string& letters) {
  Config config;
  for (char letter : letters) {
    config.add_members()->set_id(std::string(1, letter));
  }
  return config;
}

// Feeds one member's formation and says what it asked for.
class Forming {
 public:
  explicit Forming(Formation::Options options,
                   std::optional<Config> pinned = std::nullopt)
      : formation_("A", options, std::move(pinned)) {}

  std::string Hear(const std::string& from, MemberStatus status,
                   const std::string& members = "", int quorum = 2) {
    Hello hello;
    hello.set_status(status);
    hello.set_declared_quorum(quorum);
    *hello.mutable_members() = Members(members);
    Formation::Output output;
    formation_.OnHello(
        now_, from, {status == ACTIVE ? ClusterIdOf(hello.members()) : "", 0},
        hello, &output);
    return Text(output);
  }

  std::string After(io::Duration time) {
    now_ += time;
    Formation::Output output;
    formation_.OnTick(now_, &output);
    return Text(output);
  }

  std::string Explain() const { return formation_.Explain().why; }
  std::string Remedy() const { return formation_.Explain().remedy; }
  void OnRecord(const std::string& id) { formation_.OnRecord(id); }

 private:
  std::string Text(const Formation::Output& output) {
    std::string text;
    if (output.pin) {
      text = "pin ";
      for (const MemberId& id : MembersOf(*output.pin)) text += id;
      formation_.OnPinned(*output.pin);
    }
    if (output.genesis) {
      text += "genesis ";
      for (const MemberId& id : MembersOf(output.genesis->members)) text += id;
    }
    return text;
  }

  io::Instant now_{seconds(1)};
  Formation formation_;
};

const Formation::Options kTwoOfThree{.quorum = 2};

TEST(Formation, ThreeThatSeeEachOtherPinTheSameSetAndForm) {
  Forming a(kTwoOfThree);
  EXPECT_EQ(a.Hear("B", FORMATTED), "");
  EXPECT_EQ(a.Hear("C", FORMATTED), "");
  EXPECT_EQ(a.After(milliseconds(500)), "");
  EXPECT_EQ(a.After(milliseconds(500)), "pin ABC");
  // A number of them is not enough: every one has to have pinned this set.
  EXPECT_EQ(a.Hear("B", PINNED, "ABC"), "");
  EXPECT_EQ(a.Hear("C", FORMATTED), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "has not agreed yet"));
  EXPECT_EQ(a.Hear("C", PINNED, "ABC"), "genesis ABC");
}

TEST(Formation, TooFewOrTooManyDoNotForm) {
  Forming a(kTwoOfThree);
  EXPECT_EQ(a.Hear("B", FORMATTED), "");
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "2 of 3 members"));
  EXPECT_TRUE(absl::StrContains(a.Remedy(), "same --quorum, 2, for 3"));
  a.Hear("B", FORMATTED);
  a.Hear("C", FORMATTED);
  a.Hear("D", FORMATTED);
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "4 of 3 members"));
  EXPECT_TRUE(absl::StrContains(a.Remedy(), "stop all but 3 masters"));
}

TEST(Formation, TheSetHasToStayTheSameForAWhile) {
  Forming a(kTwoOfThree);
  a.Hear("B", FORMATTED);
  a.Hear("C", FORMATTED);
  a.After(milliseconds(900));
  a.Hear("D", FORMATTED);
  EXPECT_EQ(a.After(milliseconds(2200)), "");
  // Of the others only D was heard of within the last three seconds.
  a.Hear("B", FORMATTED);
  EXPECT_EQ(a.After(milliseconds(700)), "");
  a.Hear("D", FORMATTED);
  EXPECT_EQ(a.After(milliseconds(200)), "");
  EXPECT_EQ(a.After(milliseconds(100)), "pin ABD");
}

TEST(Formation, APinnedSetIsForEver) {
  Forming a(kTwoOfThree, Members("ABC"));
  a.Hear("B", PINNED, "ABC");
  // C was replaced by D before it agreed. There is no way on but to format A
  // and B anew.
  EXPECT_EQ(a.Hear("D", FORMATTED), "");
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "not heard of"));
  EXPECT_EQ(a.Hear("D", ACTIVE, "DEF"), "");
}

TEST(Formation, OthersThatWaitForSomebodyElseAreNotPinned) {
  Forming a(kTwoOfThree);
  a.Hear("B", PINNED, "BCX");
  a.Hear("C", FORMATTED);
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "waits for others"));
}

TEST(Formation, AnotherQuorumIsNotPinned) {
  Forming a(kTwoOfThree);
  a.Hear("B", FORMATTED);
  a.Hear("C", FORMATTED, "", 3);
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "--quorum=3"));
}

TEST(Formation, AFormedClusterIsFollowedAndNotFormedAgain) {
  Forming a(kTwoOfThree);
  a.Hear("X", FORMATTED);
  // There may be others, of a later generation.
  EXPECT_EQ(a.Hear("B", ACTIVE, "BCD"), "");
  EXPECT_EQ(a.After(seconds(2)), "genesis BCD");
  // Also one that was pinned and crashed before it was told that all had.
  Forming pinned(kTwoOfThree, Members("ABC"));
  EXPECT_EQ(pinned.Hear("B", ACTIVE, "ABC"), "genesis ABC");
}

TEST(Formation, AMemberThatDoesNotKnowItsClusterStaysOut) {
  Forming a(kTwoOfThree);
  EXPECT_EQ(a.Hear("B", ACTIVE, "ABC"), "");
  EXPECT_EQ(a.After(seconds(10)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "backup"));
  EXPECT_TRUE(absl::StrContains(a.Remedy(), "start it empty"));
}

TEST(Formation, OneMemberFormsAloneAndOnlyIfItMay) {
  Forming alone({.quorum = 1});
  EXPECT_EQ(alone.After(milliseconds(1)), "pin A");
  EXPECT_EQ(alone.After(milliseconds(1)), "genesis A");
  Forming forbidden({.quorum = 1, .auto_initialize = false});
  EXPECT_EQ(forbidden.After(seconds(10)), "");
}

Formation::Options OnRecordSomewhere() {
  return {.quorum = 2, .record = "/mesos/cluster_id"};
}

TEST(Formation, NothingIsFormedBeforeTheRecordIsKnown) {
  Forming a(OnRecordSomewhere());
  a.Hear("B", FORMATTED);
  a.Hear("C", FORMATTED);
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "waits to be told"));
  EXPECT_TRUE(absl::StrContains(a.Remedy(), "ZooKeeper runs"));
  a.OnRecord("");
  EXPECT_EQ(a.After(milliseconds(1)), "pin ABC");
}

// All disks are lost, say: a new log would forget what the old one knew.
TEST(Formation, NothingIsFormedInPlaceOfWhatIsOnRecord) {
  Forming a(OnRecordSomewhere());
  a.OnRecord("another");
  a.Hear("B", FORMATTED);
  a.Hear("C", FORMATTED);
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Remedy(), "delete /mesos/cluster_id"));
  // Nor is another cluster joined.
  EXPECT_EQ(a.Hear("X", ACTIVE, "XYZ"), "");
  EXPECT_EQ(a.After(seconds(2)), "");
  EXPECT_TRUE(absl::StrContains(a.Explain(), "who answers here belongs to"));
  // The operator gives the other one up.
  a.OnRecord("");
  EXPECT_EQ(a.After(seconds(2)), "genesis XYZ");
}

TEST(Formation, WhatIsOnRecordIsJoined) {
  const std::string id = ClusterIdOf(Members("BCD"));
  Forming a(OnRecordSomewhere());
  a.Hear("B", ACTIVE, "BCD");
  EXPECT_EQ(a.After(seconds(2)), "");
  a.OnRecord(id);
  EXPECT_EQ(a.After(milliseconds(1)), "genesis BCD");
}

// One that crashed between the two steps of forming it.
TEST(Formation, ThePinnedSetIsFormedIfItIsOnRecord) {
  for (const bool same : {true, false}) {
    Forming a(OnRecordSomewhere(), Members("ABC"));
    a.Hear("B", PINNED, "ABC");
    EXPECT_EQ(a.Hear("C", PINNED, "ABC"), "");
    a.OnRecord(same ? ClusterIdOf(Members("ABC")) : "another");
    EXPECT_EQ(a.After(milliseconds(1)), same ? "genesis ABC" : "");
    EXPECT_EQ(a.Hear("B", ACTIVE, "ABC"), same ? "genesis ABC" : "");
  }
}

// Messages.

LogMessage Base() {
  LogMessage message;
  message.set_cluster_id("");
  message.set_generation(0);
  message.set_from(std::string(kMemberIdBytes, 'a'));
  message.set_to("");
  message.set_incarnation(1);
  message.set_boot_nonce(1);
  message.set_learned_upto(0);
  message.set_config_position(0);
  return message;
}

bool Parses(const LogMessage& message) {
  LogMessage parsed;
  return ParseMessage(message.SerializePartialAsString(), &parsed);
}

TEST(Messages, BadOnesAreDropped) {
  LogMessage parsed;
  EXPECT_FALSE(ParseMessage("garbage", &parsed));
  EXPECT_FALSE(Parses(Base()));

  LogMessage promise = Base();
  promise.mutable_promise()->set_from_position(1);
  EXPECT_FALSE(Parses(promise));
  BallotProto& ballot = *promise.mutable_promise()->mutable_ballot();
  ballot = ToProto({1, std::string(kMemberIdBytes, 'b')});
  EXPECT_TRUE(Parses(promise));
  ballot.set_round(0);
  EXPECT_FALSE(Parses(promise));
  ballot.set_round(~uint64_t{0});
  EXPECT_FALSE(Parses(promise));
  ballot = ToProto({1, "short"});
  EXPECT_FALSE(Parses(promise));
  ballot = ToProto({1, std::string(kMemberIdBytes, 'b')});
  promise.set_from("");
  EXPECT_FALSE(Parses(promise));
}

TEST(Messages, MembersAreSortedAndFew) {
  LogMessage message = Base();
  Hello& hello = *message.mutable_hello();
  hello.set_status(PINNED);
  hello.set_declared_quorum(2);
  EXPECT_FALSE(Parses(message));
  hello.mutable_members()->add_members()->set_id(
      std::string(kMemberIdBytes, 'b'));
  EXPECT_TRUE(Parses(message));
  hello.mutable_members()->add_members()->set_id(
      std::string(kMemberIdBytes, 'a'));
  EXPECT_FALSE(Parses(message));
}

}  // namespace
}  // namespace quorate::log
