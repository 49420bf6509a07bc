// Planted bugs: deliberate mistakes that prove that the simulator's checkers
// bite. A production program links the definition that answers false; only a
// test that depends on //core/base:planted_bugs can plant one.

#ifndef QUORATE_CORE_BASE_PLANTED_H_
#define QUORATE_CORE_BASE_PLANTED_H_

namespace quorate {

enum class Bug {
  kNone,
  // The replicated log. Accepting a write does not raise the promise.
  kAcceptKeepsPromise,
  // A promise is answered before it is durable.
  kPromiseBeforeDurable,
  // A write is answered before the record is durable.
  kWriteAckBeforeDurable,
  // A large write is answered before its identifiers are durable.
  kAckBeforeIdentifier,
  // A configuration counts from when it is accepted.
  kConfigOnAccept,
  // Votes of members that are not in the configuration are counted.
  kForeignVotes,
  // A vote that arrives twice is counted twice.
  kDuplicateVotes,
  // The quorum is what --quorum says.
  kQuorumOfFlag,
  // The agent obeys every epoch.
  kEpochIgnored,
  // A read is answered by a leader that has not asked anybody.
  kReadWithoutQuorum,
  // What is accepted becomes learned whatever its hash is.
  kLearnedWithoutHash,
  // Truncation does not keep the configuration.
  kTruncationForgetsConfig,
  // Votes are given before the handshake after a start is over.
  kHandshakeSkipped,
  // A refusal counts as a vote.
  kNotReadyCounts,
  // A truncated position counts as an empty one.
  kTruncatedIsNone,
  // A new configuration is written to without its promises.
  kNoPromiseAfterConfig,
  // A configuration is proposed whose members have not answered.
  kConfigUnprepared,
  // A restarted proposer uses its last ballot again.
  kBallotReused,
  // The errors of LevelDB's iterators are ignored.
  kIteratorStatusIgnored,
  // A failed sync is tried again, and then believed.
  kSyncRetried,
  // The superblock has one copy.
  kSingleSuperblock,
  // A wiped disk is formatted with the old member's id.
  kWipedKeepsId,
  // A damaged record is an empty one.
  kDamagedIsNone,
  // A damaged record is passed over without asking who could have it.
  kNackTestSkipped,
  // A candidate does not ask first.
  kNoPreVote,
  // The registry. A change is answered by the state at the time when it was
  // asked for, not by that which it met.
  kRegistryStale,
  // The agent. An update is forwarded before it is durable.
  kUpdateBeforeDurable,
  // Whoever forwards an update takes it for acknowledged.
  kForwardAcknowledges,
  // Streams of updates that are over are kept for ever.
  kStreamsKept,
  // A restarted agent takes its executors for dead.
  kExecutorsForgotten,
  // An agent stays with the first leader that it has heard of.
  kFirstLeaderForEver,
  // The master. What is in an offer is offered again.
  kOfferedIsAvailable,
  // Tasks are unreachable before the registry says so.
  kUnreachableUncommitted,
  // Nobody asks for a task that its agent does not list.
  kLaunchLossUntold,
  // A framework that does not read is not cut off.
  kSlowReaderKept,
  // A framework is subscribed before the registry says so.
  kSubscribedUncommitted,
  // What an agent still runs brings back a framework that has ended.
  kEndedRecovered,
  // An agent that was marked gone may register again.
  kGoneReadmitted,
};

// Whether `bug` is planted in this process.
bool Planted(Bug bug);

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_PLANTED_H_
