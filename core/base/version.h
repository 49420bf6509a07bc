// Which release of the v1 API and of the guides' behaviour this is, the same
// for every program. Existing clients compare it.

#ifndef QUORATE_CORE_BASE_VERSION_H_
#define QUORATE_CORE_BASE_VERSION_H_

namespace quorate {

inline constexpr char kVersion[] = "1.12.0";

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_VERSION_H_
