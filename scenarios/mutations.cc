#include "scenarios/mutations.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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

// The cause, without the last events and the replay command.
std::string Cause(const std::string& failure) {
  const std::vector<std::string> lines = absl::StrSplit(failure, '\n');
  return lines.size() > 1
             ? lines[1].substr(std::min<size_t>(2, lines[1].size()))
             : failure;
}

// kIteratorStatusIgnored needs one damaged sector of many: the sweep of
// //sim/roles:log_damage_test finds it.
const Mutation kMutations[] = {
    {Bug::kAcceptKeepsPromise, "accepting does not raise the promise",
     "Storm.OfRivals"},
    {Bug::kPromiseBeforeDurable, "a promise is answered before it is durable",
     "Log.TheOnlyWitnessLosesItsPower"},
    {Bug::kWriteAckBeforeDurable, "a vote is answered before it is durable",
     "Log.TheOnlyWitnessLosesItsPower"},
    {Bug::kAckBeforeIdentifier,
     "a large vote is answered before its identifier is durable",
     "Damage.OfTheLatestLargeVote"},
    {Bug::kConfigOnAccept, "a configuration counts when it is accepted",
     "Storm.OfRivals"},
    {Bug::kForeignVotes, "votes of others than the members count",
     "Storm.OfRivals"},
    {Bug::kDuplicateVotes, "a vote that arrives twice counts twice",
     "Storm.OfRivals"},
    {Bug::kQuorumOfFlag, "the quorum is what --quorum says",
     "Members.AQuorumOfOneDecidesNothing"},
    {Bug::kEpochIgnored, "an agent obeys an older epoch",
     "SplitBrain.AnAgentForgetsNoMaster"},
    {Bug::kReadWithoutQuorum, "a read is answered without asking a quorum",
     "Members.ReadsAreLinearizable"},
    {Bug::kLearnedWithoutHash, "what is accepted is learned without its hash",
     "Storm.OfRivals"},
    {Bug::kTruncationForgetsConfig, "truncation forgets the members",
     "Storm.WithChangingMembers"},
    {Bug::kHandshakeSkipped, "votes are given before the start handshake",
     "Members.ARestoredBackupIsQuarantined"},
    {Bug::kNotReadyCounts, "a refusal counts as a vote", "Storm.OfRivals"},
    {Bug::kTruncatedIsNone, "a truncated position counts as empty",
     "Storm.OfRivals"},
    {Bug::kNoPromiseAfterConfig,
     "new members are written to without their promises", "Storm.OfRivals"},
    {Bug::kConfigUnprepared, "members are changed that do not answer",
     "Members.AChangeToMembersThatDoNotAnswerIsRefused"},
    {Bug::kBallotReused, "a ballot is used again after a restart",
     "Log.ThreeReplicasInAStorm"},
    {Bug::kSyncRetried, "a failed sync is tried again",
     "Damage.ASyncThatFailed"},
    {Bug::kSingleSuperblock, "the superblock has one copy",
     "Damage.OfASuperblock"},
    {Bug::kWipedKeepsId, "a wiped disk keeps its member's id",
     "Members.AWipedDiskIsANewMember"},
    {Bug::kDamagedIsNone, "a damaged record is an empty one",
     "Damage.OfTheLatestVotes"},
    {Bug::kNackTestSkipped,
     "a damaged record is passed over although others may hold it",
     "Damage.OfTheLatestLargeVote"},
    {Bug::kNoPreVote, "a candidate does not ask first",
     "Members.ADeafMemberDisturbsNobody"},
    {Bug::kUpdateBeforeDurable, "an update is told before it is durable",
     "AgentRecovery.AnAgentDiesWhileItLaunchesATask"},
    {Bug::kForwardAcknowledges, "an update that was sent needs no answer",
     "Storm.OfFrameworksComesToRest"},
    {Bug::kStreamsKept, "streams of updates are kept for ever",
     "Load.ForMinutesGrowsNoQueue"},
    {Bug::kExecutorsForgotten, "an agent takes its executors for dead",
     "AgentRecovery.ATaskSurvivesTheRestartOfItsAgent"},
    {Bug::kFirstLeaderForEver, "an agent stays with its first leader",
     "FailOver.ATaskSurvivesTheDeathOfTheLeadingMaster"},
    {Bug::kOfferedIsAvailable, "what is in an offer is offered again",
     "Storm.OfFrameworksComesToRest"},
    {Bug::kUnreachableUncommitted,
     "tasks are unreachable before the registry says so",
     "Tasks.AreUnreachableAndComeBack"},
    {Bug::kLaunchLossUntold, "a launch that is lost is not told",
     "Tasks.ALaunchIsLostOnItsWay"},
    {Bug::kSlowReaderKept, "a framework that does not read is not cut off",
     "Frameworks.ASlowReaderIsCutOff"},
    {Bug::kSubscribedUncommitted,
     "a framework is subscribed before the registry says so",
     "FailOver.AnEndedFrameworkStaysEnded"},
    {Bug::kEndedRecovered,
     "what an agent still runs brings back a framework that has ended",
     "FailOver.AnEndedFrameworkStaysEnded"},
    {Bug::kGoneReadmitted, "an agent that was marked gone may register again",
     "FailOver.AnAgentThatIsGoneStaysGone"},
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
  for (uint64_t seed = 1; seed <= max_seeds; ++seed) {
    Plant(mutation.bug);
    const Outcome outcome = Run(*story, seed);
    Plant(Bug::kNone);
    if (!outcome.failure) continue;
    if (Run(*story, seed).failure) {
      return {std::nullopt,
              absl::StrCat("seed ", seed, " fails without the bug, too")};
    }
    return {seed, Cause(*outcome.failure)};
  }
  return {std::nullopt, absl::StrCat("survived ", max_seeds, " seeds")};
}

}  // namespace quorate::scenarios
