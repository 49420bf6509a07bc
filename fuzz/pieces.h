// Cuts inputs, as a network does.

#ifndef QUORATE_FUZZ_PIECES_H_
#define QUORATE_FUZZ_PIECES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace quorate::fuzz {

inline absl::string_view ToView(const uint8_t* data, size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(data), size);
}

// Calls `feed` with one piece of `bytes` after the other. Seed 0 is the whole,
// seed 1 single bytes, any other cuts at places of its own.
template <typename Feed>
void FeedInPieces(absl::string_view bytes, uint64_t seed, const Feed& feed) {
  uint64_t state = seed * 0x9e3779b97f4a7c15u + bytes.size();
  while (!bytes.empty()) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    size_t size = bytes.size();
    if (seed == 1) size = 1;
    if (seed > 1) size = 1 + (state >> 33) % std::min<size_t>(size, 64);
    feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
}

inline constexpr uint64_t kSeeds[] = {0, 1, 2, 3};

}  // namespace quorate::fuzz

#endif  // QUORATE_FUZZ_PIECES_H_
