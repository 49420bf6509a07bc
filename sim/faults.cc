#include "sim/faults.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

// In the order of Fault.
constexpr const char* kNames[] = {
    "segment-stalled",
    "connection-reset",
    "connection-half-open",
    "connection-broken",
    "first-bytes-lost",
    "latency-spike",
    "slow-link",
    "clog",
    "one-way-cut",
    "link-flapped",
    "address-reused",
    "clock-offset",
    "clock-jump",
    "clock-drift",
    "clock-frozen",
    "suspend",
    "kill",
    "pause",
    "zombie",
    "slow-loop",
    "dies-at-disk-call",
    "second-process",
    "other-flags",
    "upgrade",
    "power-loss",
    "rack-power-loss",
    "unsynced-write-lost",
    "unsynced-write-torn",
    "unsynced-write-reordered",
    "name-lost",
    "write-lost",
    "write-misdirected",
    "bit-flipped",
    "sector-zeroed",
    "sector-stale",
    "read-failed",
    "write-failed",
    "sync-failed",
    "disk-full",
    "disk-stall",
    "disk-wiped",
    "disk-rolled-back",
    "disk-cloned",
    "session-expired",
    "session-moved",
    "reply-lost",
    "watch-late",
    "stale-read",
    "ensemble-halted",
    "ephemeral-linger",
    "access-denied",
    "ensemble-rolled-back",
    "sequence-overflow",
    "container-killed",
    "exit-status-lost",
    "container-stuck",
    "container-remove-busy",
    "fork-failed",
    "pid-reused",
    "executor-slow",
    "executor-repeats",
    "executor-garbage",
    "host-rebooted",
    "wrong-quorum",
    "extra-master",
    "replaced-returns",
    "wrong-path",
    "dead-host-added",
    "framework-reconnects",
    "subscribed-twice",
    "stale-offer-accepted",
    "unknown-acknowledged",
    "slow-consumer",
    "call-flood",
    "task-id-reused",
};
static_assert(sizeof(kNames) / sizeof(kNames[0]) == kFaults);

}  // namespace

const char* NameOf(Fault fault) { return kNames[static_cast<size_t>(fault)]; }

void FaultCounts::Add(const FaultCounts& other) {
  for (size_t i = 0; i < kFaults; ++i) counts_[i] += other.counts_[i];
}

uint64_t FaultCounts::total() const {
  uint64_t total = 0;
  for (uint64_t count : counts_) total += count;
  return total;
}

std::string FaultCounts::ToString() const {
  std::string text;
  for (size_t i = 0; i < kFaults; ++i) {
    if (counts_[i] == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ", kNames[i], " ",
                    counts_[i]);
  }
  return text;
}

}  // namespace quorate::sim
