#include "core/base/crc32c.h"

#include <boost/crc.hpp>

namespace quorate {
namespace {

uint32_t ReverseBits(uint32_t x) {
  uint32_t reversed = 0;
  for (int i = 0; i < 32; ++i, x >>= 1) reversed = (reversed << 1) | (x & 1);
  return reversed;
}

}  // namespace

uint32_t Crc32c(absl::string_view bytes, uint32_t crc) {
  // Boost takes the initial remainder with its bits in the other order than
  // those of the checksum it reports.
  boost::crc_optimal<32, 0x1EDC6F41, 0xffffffff, 0xffffffff, true, true> sum(
      ReverseBits(~crc));
  sum.process_bytes(bytes.data(), bytes.size());
  return sum.checksum();
}

}  // namespace quorate
