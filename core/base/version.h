// Which release of the v1 API and of the guides' behaviour this is, the same
// for every program. Existing clients compare it.

#ifndef QUORATE_CORE_BASE_VERSION_H_
#define QUORATE_CORE_BASE_VERSION_H_

namespace quorate {

inline constexpr char kVersion[] = "1.12.0";

// Of the release, not of the build: builds are reproducible.
inline constexpr char kBuildDate[] = "2026-11-21 00:00:00 UTC";
inline constexpr double kBuildTime = 1795219200;
inline constexpr char kBuildUser[] = "quorate";

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_VERSION_H_
