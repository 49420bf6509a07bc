// Whose commands count: those of the newest reign.

#ifndef QUORATE_CORE_WIRE_REIGN_H_
#define QUORATE_CORE_WIRE_REIGN_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/wire/agent.pb.h"

namespace quorate::wire {

// With it a master that leads says so to a framework that subscribes; a client
// that has seen a newer reign of the cluster leaves.
inline constexpr absl::string_view kReignHeader = "Quorate-Reign";

// "<cluster id in hex>/<generation>/<epoch>".
std::string ReignText(const Reign& reign);
std::optional<Reign> ParseReign(absl::string_view text);

// Of the same cluster, and before.
bool IsOlder(const Reign& a, const Reign& b);

}  // namespace quorate::wire

#endif  // QUORATE_CORE_WIRE_REIGN_H_
