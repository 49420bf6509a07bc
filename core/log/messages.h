// What a message of another replica has to look like before any machine sees
// it. The machines then rely on it.

#ifndef QUORATE_CORE_LOG_MESSAGES_H_
#define QUORATE_CORE_LOG_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "core/log/types.h"

namespace quorate::log {

inline constexpr size_t kMemberIdBytes = 16;
inline constexpr size_t kHashBytes = 16;
inline constexpr int kMaxMembers = 19;
inline constexpr size_t kMaxReasonBytes = 256;
inline constexpr int kMaxRemoved = 2 * kMaxMembers;
// Rounds and positions stay below: nothing that is added to one overflows.
inline constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

// False for bytes that are no message, and for one that lacks what its kind
// needs, names impossible ids, ballots, positions or members.
bool ParseMessage(absl::string_view bytes, LogMessage* message);

// Between one and kMaxMembers distinct members, sorted (so that each set of
// members is written in one way), with a window of 1.
bool IsConfig(const Config& config);

// Enough of an id to tell members apart in a text for operators.
std::string ShortId(const MemberId& id);

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_MESSAGES_H_
