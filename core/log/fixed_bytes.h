// Little-endian numbers in the files of a replica.

#ifndef QUORATE_CORE_LOG_FIXED_BYTES_H_
#define QUORATE_CORE_LOG_FIXED_BYTES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace quorate::log {

inline void PutFixed(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

// Requires that `in` holds `bytes` bytes from `at` on.
inline uint64_t GetFixed(absl::string_view in, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(in[at + i]);
  }
  return value;
}

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_FIXED_BYTES_H_
