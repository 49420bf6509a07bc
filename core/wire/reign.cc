#include "core/wire/reign.h"

#include <tuple>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::wire {

std::string ReignText(const Reign& reign) {
  return absl::StrCat(absl::BytesToHexString(reign.cluster_id()), "/",
                      reign.generation(), "/", reign.epoch());
}

std::optional<Reign> ParseReign(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  uint32_t generation = 0;
  uint64_t epoch = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[1], &generation) ||
      !absl::SimpleAtoi(parts[2], &epoch)) {
    return std::nullopt;
  }
  Reign reign;
  reign.set_cluster_id(absl::HexStringToBytes(parts[0]));
  reign.set_generation(generation);
  reign.set_epoch(epoch);
  if (ReignText(reign) != text) return std::nullopt;
  return reign;
}

bool IsOlder(const Reign& a, const Reign& b) {
  return a.cluster_id() == b.cluster_id() &&
         std::tuple(a.generation(), a.epoch()) <
             std::tuple(b.generation(), b.epoch());
}

}  // namespace quorate::wire
