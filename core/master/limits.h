// What the master takes from outside, at most. Bodies and frames are bounded
// before they come here (core/http, core/wire).

#ifndef QUORATE_CORE_MASTER_LIMITS_H_
#define QUORATE_CORE_MASTER_LIMITS_H_

#include <cstddef>

#include "io/clock.h"

namespace quorate::master {

inline constexpr io::Duration kHeartbeatInterval = std::chrono::seconds(15);

// A subscriber that has left that much unread is disconnected: it subscribes
// again and reconciles.
inline constexpr size_t kMaxSubscriberQueueBytes = 32 << 20;

inline constexpr size_t kMaxFrameworks = 20000;
// Whose ids nobody may use any more: of more than are shown to operators.
inline constexpr size_t kMaxEndedFrameworks = 10000;
// The registry and each of its changes hold such a description whole.
inline constexpr size_t kMaxInfoBytes = 1 << 20;
// All frameworks that have not ended, together: every master keeps them in
// memory and in its log.
inline constexpr size_t kMaxFrameworkBytes = 64 << 20;
// Each text that is kept of a framework that has ended.
inline constexpr size_t kMaxEndedTextBytes = 255;
// What the registry could not take is tried again after that.
inline constexpr io::Duration kRegistryRetry = std::chrono::seconds(5);
inline constexpr size_t kMaxRolesPerFramework = 1000;
inline constexpr size_t kMaxCapabilitiesPerFramework = 100;
inline constexpr size_t kMaxAgents = 100000;
inline constexpr size_t kMaxResourcesPerAgent = 10000;
inline constexpr size_t kMaxAttributesPerAgent = 1000;
inline constexpr size_t kMaxUnregisteredLinks = 20000;
inline constexpr size_t kMaxUnreachableTasksPerFramework = 1000;
// Of one task, as shown to operators; the newest are kept.
inline constexpr int kMaxStatusesPerTask = 100;
inline constexpr size_t kMaxStreamIdBytes = 128;
inline constexpr size_t kMaxIdBytes = 255;
// Refusals of one framework and role for one agent that count at a time.
inline constexpr size_t kMaxFiltersPerAgent = 32;

inline constexpr io::Duration kDefaultRefusal = std::chrono::seconds(5);
inline constexpr io::Duration kMaxRefusal = std::chrono::hours(24 * 365);
// An offer holds at least one of these.
inline constexpr double kMinOfferedCpus = 0.01;
inline constexpr double kMinOfferedMem = 32;

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_LIMITS_H_
