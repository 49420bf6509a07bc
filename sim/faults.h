// Every fault that the simulated world can have. Each is counted when it takes
// effect, not when it is asked for: a partition when it holds up a segment, a
// torn write when a loss of power tears one. A run whose counter is zero has
// not had the fault.

#ifndef QUORATE_SIM_FAULTS_H_
#define QUORATE_SIM_FAULTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace quorate::sim {

enum class Fault {
  // Network.
  kSegmentStalled,      // by a cut link or by loss, until it was repeated
  kConnectionReset,     // while both ends were well
  kConnectionHalfOpen,  // one end is gone, the other does not know
  kConnectionBroken,    // stalled for longer than TCP bears
  kFirstBytesLost,      // of a new connection, with the connection
  kLatencySpike,
  kSlowLink,     // a segment waited for the link's bandwidth
  kClog,         // a segment waited for a link that carries nothing for a while
  kOneWayCut,    // a segment was stalled by a cut of one direction only
  kLinkFlapped,  // a cut that was too short to break a connection
  kAddressReused,  // by another program than a client meant
  // Clocks.
  kClockOffset,  // a wall clock was read that is off
  kClockJump,
  kClockDrift,
  kClockFrozen,  // a wall clock was read that stands still
  kSuspend,      // a host slept, and its monotonic clock stood still
  // Processes.
  kKill,
  kPause,     // something waited for the process to be resumed
  kZombie,    // a process that was paused for long runs again
  kSlowLoop,  // a callback ran later than it was due
  kDiesAtDiskCall,
  kSecondProcess,  // on a directory that is in use
  kOtherFlags,     // a restart with other flags
  kUpgrade,        // a restart with another protocol version
  kPowerLoss,
  kRackPowerLoss,  // several hosts at one instant
  // Disks.
  kUnsyncedWriteLost,
  kUnsyncedWriteTorn,
  kUnsyncedWriteReordered,  // a later one was kept
  kNameLost,                // a change of a directory
  kWriteLost,               // though its sync succeeded
  kWriteMisdirected,
  kBitFlipped,
  kSectorZeroed,
  kSectorStale,
  kReadFailed,
  kWriteFailed,
  kSyncFailed,
  kDiskFull,
  kDiskStall,
  kDiskWiped,
  kDiskRolledBack,
  kDiskCloned,
  // ZooKeeper.
  kSessionExpired,
  kSessionMoved,     // to another server
  kReplyLost,        // of an operation that was carried out
  kWatchLate,        // told after the next connection
  kStaleRead,        // from a server that lags
  kEnsembleHalted,   // no majority of servers
  kEphemeralLinger,  // a node outlived its process
  kAccessDenied,
  kEnsembleRolledBack,
  kSequenceOverflow,  // the number of a new node is negative
  // Agents and containers.
  kContainerKilled,  // for want of memory, or by a signal from outside
  kExitStatusLost,   // how a container ended is not known
  kContainerStuck,   // signals have no effect for a while
  kContainerRemoveBusy,
  kForkFailed,
  kPidReused,
  kExecutorSlow,
  kExecutorRepeats,
  kExecutorGarbage,
  kHostRebooted,
  // Operators.
  kWrongQuorum,
  kExtraMaster,
  kReplacedReturns,
  kWrongPath,  // two clusters meet
  kDeadHostAdded,
  // Frameworks.
  kFrameworkReconnects,
  kSubscribedTwice,
  kStaleOfferAccepted,
  kUnknownAcknowledged,
  kSlowConsumer,
  kCallFlood,
  kTaskIdReused,
  kCount,
};

constexpr size_t kFaults = static_cast<size_t>(Fault::kCount);

// "power-loss"; the same for ever, as replay commands name faults so.
const char* NameOf(Fault fault);

class FaultCounts {
 public:
  void Add(Fault fault, uint64_t times = 1) {
    counts_[static_cast<size_t>(fault)] += times;
  }
  void Add(const FaultCounts& other);
  uint64_t of(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }
  uint64_t total() const;
  // "kill 3, power-loss 1": those that took effect.
  std::string ToString() const;

 private:
  std::array<uint64_t, kFaults> counts_{};
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FAULTS_H_
