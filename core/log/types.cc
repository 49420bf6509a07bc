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

// Numbers are hashed in one byte order, whatever the machine's.
void Update(XXH3_state_t* state, uint64_t number) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<unsigned char>(number >> (8 * i));
  }
  XXH3_128bits_update(state, bytes, sizeof(bytes));
}

}  // namespace

std::string EntryHash(const EntryProto& entry) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  Update(&state, static_cast<uint64_t>(entry.type()));
  for (const std::string& payload : entry.payload()) {
    Update(&state, payload.size());
    XXH3_128bits_update(&state, payload.data(), payload.size());
  }
  return Bytes(XXH3_128bits_digest(&state));
}

std::string ChainHash(const std::string& before,
                      const std::string& entry_hash) {
  const std::string both = before + entry_hash;
  return Bytes(XXH3_128bits(both.data(), both.size()));
}

}  // namespace quorate::log
