// CRC-32C (Castagnoli), the checksum of everything we store or send.

#ifndef QUORATE_CORE_BASE_CRC32C_H_
#define QUORATE_CORE_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace quorate {

// The checksum of `bytes`, continuing from the checksum `crc` of what came
// before: Crc32c("ab") == Crc32c("b", Crc32c("a")).
uint32_t Crc32c(absl::string_view bytes, uint32_t crc = 0);

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_CRC32C_H_
