#include "core/base/crc32c.h"

#include <gtest/gtest.h>

namespace quorate {
namespace {

TEST(Crc32c, CheckValueOfTheCatalogue) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
}

TEST(Crc32c, Continues) {
  EXPECT_EQ(Crc32c("56789", Crc32c("1234")), Crc32c("123456789"));
  EXPECT_EQ(Crc32c(""), 0u);
}

}  // namespace
}  // namespace quorate
