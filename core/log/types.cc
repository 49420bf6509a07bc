#include "core/log/types.h"

#include <xxhash.h>

namespace quorate::log {
namespace {

constexpr size_t kHashBytes = 16;

std::string Bytes(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static_assert(sizeof(canonical.digest) == kHashBytes);
  return std::string(reinterpret_cast<const char*>(canonical.digest),
                     kHashBytes);
}

}  // namespace

// Over the hashes of the payloads, so that where one ends counts.
std::string EntryHash(const EntryProto& entry) {
  std::string parts(1, static_cast<char>(entry.type()));
  for (const std::string& payload : entry.payload()) {
    parts += Bytes(XXH3_128bits(payload.data(), payload.size()));
  }
  return Bytes(XXH3_128bits(parts.data(), parts.size()));
}

}  // namespace quorate::log
