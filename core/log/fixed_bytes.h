// Little-endian numbers in the files of a replica.

#ifndef QUORATE_CORE_LOG_FIXED_BYTES_H_
#define QUORATE_CORE_LOG_FIXED_BYTES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace quorate::log {

inline void StoreFixed(uint64_t value, int bytes, char* out) {
  for (int i = 0; i < bytes; ++i) {
    out[i] = static_cast<char>((value >> (8 * i)) & 0xff);
  }
}

inline void PutFixed(uint64_t value, int bytes, std::string* out) {
  char buffer[8];
  StoreFixed(value, bytes, buffer);
  out->append(buffer, bytes);
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
