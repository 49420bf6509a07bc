#include "core/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <climits>

namespace quorate {

uint32_t Crc32c(absl::string_view bytes, uint32_t crc) {
  // The library leaves out the inversions, and takes its sizes as int.
  uint32_t sum = ~crc;
  while (!bytes.empty()) {
    const size_t size = std::min<size_t>(bytes.size(), INT_MAX);
    sum = crc32_iscsi(
        reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())),
        static_cast<int>(size), sum);
    bytes.remove_prefix(size);
  }
  return ~sum;
}

}  // namespace quorate
