#include "core/resources/roles.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate {
namespace {

// What is wrong with a part of a role between slashes; empty if nothing is.
std::string Problem(absl::string_view component) {
  if (component == "." || component == ".." || component == "*") {
    return absl::StrCat("cannot have '", component, "' as a part");
  }
  if (absl::StartsWith(component, "-")) {
    return "cannot have a part that starts with a dash";
  }
  if (component.find_first_of(" \t\n\v\f\r\b") != component.npos) {
    return "cannot contain whitespace or backspace";
  }
  return "";
}

}  // namespace

absl::Status ValidateRole(absl::string_view role) {
  if (role == kDefaultRole) return absl::OkStatus();
  std::string problem;
  if (role.empty()) {
    problem = "cannot be empty";
  } else if (absl::StartsWith(role, "/")) {
    problem = "cannot start with a slash";
  } else if (absl::EndsWith(role, "/")) {
    problem = "cannot end with a slash";
  } else if (absl::StrContains(role, "//")) {
    problem = "cannot contain two slashes in a row";
  } else {
    for (absl::string_view component : absl::StrSplit(role, '/')) {
      problem = Problem(component);
      if (!problem.empty()) break;
    }
  }
  if (problem.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Role '", role, "' ", problem));
}

}  // namespace quorate
