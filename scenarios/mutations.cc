#include "scenarios/mutations.h"

#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/planted_bugs.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {
namespace {

const Scenario* Story(const std::string& name) {
  for (const Scenario& scenario : All()) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// kIteratorStatusIgnored needs one damaged sector of many: the sweep of
// //sim/roles:log_damage_test finds it.
const Mutation kMutations[] = {
    {Bug::kAcceptKeepsPromise, "accepting does not raise the promise",
     "Storm.OfRivals", "voted at position"},
    {Bug::kPromiseBeforeDurable, "a promise is answered before it is durable",
     "Log.TheOnlyWitnessLosesItsPower", "log.Leaders() =="},
    {Bug::kWriteAckBeforeDurable, "a vote is answered before it is durable",
     "Log.TheOnlyWitnessLosesItsPower", "learned what no quorum has voted for"},
    {Bug::kAckBeforeIdentifier,
     "a large vote is answered before its identifier is durable",
     "Damage.OfTheLatestLargeVote", "proposed another entry"},
    {Bug::kConfigOnAccept, "a configuration counts when it is accepted",
     "Storm.OfRivals", "proposed another entry"},
    {Bug::kForeignVotes, "votes of others than the members count",
     "Storm.OfRivals", "proposed another entry"},
    {Bug::kDuplicateVotes, "a vote that arrives twice counts twice",
     "Storm.OfRivals", "learned what no quorum has voted for"},
    {Bug::kQuorumOfFlag, "the quorum is what --quorum says",
     "Members.AQuorumOfOneDecidesNothing",
     "learned what no quorum has voted for"},
    {Bug::kEpochIgnored, "an agent obeys an older epoch",
     "SplitBrain.AnAgentMeetsAMasterOfThePast", "obeys a master of epoch"},
    {Bug::kReadWithoutQuorum, "a read is answered without asking a quorum",
     "Members.ReadsAreLinearizable", "answered a read without position"},
    {Bug::kLearnedWithoutHash, "what is accepted is learned without its hash",
     "Storm.OfRivals", "learned another entry than others did"},
    {Bug::kTruncationForgetsConfig, "truncation forgets the members",
     "Storm.WithChangingMembers", "counts other members than others do"},
    {Bug::kHandshakeSkipped, "votes are given before the start handshake",
     "Members.ARestoredBackupIsQuarantined", "state == State::kQuarantined"},
    {Bug::kNotReadyCounts, "a refusal counts as a vote", "Storm.OfRivals",
     "learned what no quorum has voted for"},
    {Bug::kTruncatedIsNone, "a truncated position counts as empty",
     "Storm.OfRivals", "proposed another entry"},
    {Bug::kNoPromiseAfterConfig,
     "new members are written to without their promises", "Storm.OfRivals",
     "proposed another entry"},
    {Bug::kConfigUnprepared, "members are changed that do not answer",
     "Members.AChangeToMembersThatDoNotAnswerIsRefused",
     "IsDeadlineExceeded(*log.change_outcome)"},
    {Bug::kBallotReused, "a ballot is used again after a restart",
     "Log.ThreeReplicasInAStorm", "proposed two entries at position"},
    {Bug::kSyncRetried, "a failed sync is tried again",
     "Damage.ASyncThatFailed", "proposed another entry"},
    {Bug::kSingleSuperblock, "the superblock has one copy",
     "Damage.OfASuperblock", "log.status(i).voting"},
    {Bug::kWipedKeepsId, "a wiped disk keeps its member's id",
     "Members.AWipedDiskIsANewMember", "state == State::kJoining"},
    {Bug::kDamagedIsNone, "a damaged record is an empty one",
     "Damage.OfTheLatestVotes", "proposed another entry"},
    {Bug::kNackTestSkipped,
     "a damaged record is passed over although others may hold it",
     "Damage.OfTheLatestLargeVote", "proposed another entry"},
    {Bug::kNoPreVote, "a candidate does not ask first",
     "Members.ADeafMemberDisturbsNobody", "epoch == epoch"},
    {Bug::kRegistryStale, "a change is answered by the state that it found",
     "Registry.ChangesThatMeetAreAnsweredInOrder", "; in order it is"},
    {Bug::kUpdateBeforeDurable, "an update is told before it is durable",
     "AgentRecovery.AnAgentDiesWhileItLaunchesATask",
     "has not made durable before it told anybody"},
    {Bug::kForwardAcknowledges, "an update that was sent needs no answer",
     "Storm.OfFrameworksComesToRest", " updates of "},
    {Bug::kStreamsKept, "streams of updates are kept for ever",
     "Load.ForMinutesGrowsNoQueue", "checkpointed streams; the limit is"},
    {Bug::kExecutorsForgotten, "an agent takes its executors for dead",
     "AgentRecovery.ATaskSurvivesTheRestartOfItsAgent", "was killed by signal"},
    {Bug::kFirstLeaderForEver, "an agent stays with its first leader",
     "FailOver.ATaskSurvivesTheDeathOfTheLeadingMaster",
     "all agents are registered"},
    {Bug::kOfferedIsAvailable, "what is in an offer is offered again",
     "Storm.OfFrameworksComesToRest", "gives away more than agent"},
    {Bug::kUnreachableUncommitted,
     "tasks are unreachable before the registry says so",
     "Tasks.AreUnreachableAndComeBack",
     "for unreachable, and no committed entry"},
    {Bug::kLaunchLossUntold, "a launch that is lost is not told",
     "Tasks.ALaunchIsLostOnItsWay", "nothing was told of"},
    {Bug::kSlowReaderKept, "a framework that does not read is not cut off",
     "Frameworks.ASlowReaderIsCutOff", "unread events; the limit is"},
};

}  // namespace

const std::vector<Mutation>& Mutations() {
  static const auto& mutations =
      *new std::vector<Mutation>(std::begin(kMutations), std::end(kMutations));
  return mutations;
}

Verdict Hunt(const Mutation& mutation, uint64_t max_seeds) {
  const Scenario* story = Story(mutation.story);
  if (story == nullptr) return {std::nullopt, "its story is not there"};
  std::string other;
  for (uint64_t seed = 1; seed <= max_seeds; ++seed) {
    Plant(mutation.bug);
    const Outcome outcome = Run(*story, seed);
    Plant(Bug::kNone);
    if (!outcome.failure) continue;
    if (!absl::StrContains(outcome.cause, mutation.sees)) {
      other = absl::StrCat(", and seed ", seed,
                           " fails otherwise: ", FirstLine(outcome.cause));
      continue;
    }
    if (Run(*story, seed).failure) {
      return {std::nullopt,
              absl::StrCat("seed ", seed, " fails without the bug, too")};
    }
    return {seed, FirstLine(outcome.cause)};
  }
  return {std::nullopt, absl::StrCat("survived ", max_seeds, " seeds", other)};
}

}  // namespace quorate::scenarios
