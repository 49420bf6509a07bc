// Roles: who resources are for. "*", "eng", "eng/ci".

#ifndef QUORATE_CORE_RESOURCES_ROLES_H_
#define QUORATE_CORE_RESOURCES_ROLES_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quorate {

// The role of everything that is reserved to nobody.
inline constexpr absl::string_view kDefaultRole = "*";

// InvalidArgument with a message like "Role '/bad' cannot start with a slash".
absl::Status ValidateRole(absl::string_view role);

}  // namespace quorate

#endif  // QUORATE_CORE_RESOURCES_ROLES_H_
