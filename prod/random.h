// io::Random from the system.

#ifndef QUORATE_PROD_RANDOM_H_
#define QUORATE_PROD_RANDOM_H_

#include <array>
#include <memory>

#include "io/random.h"

namespace quorate::prod {

// Next() is getrandom(2): nobody can predict ids that are made from it. The
// streams that Split gives are seeded with a secret of this object.
class SystemRandom final : public io::Random {
 public:
  SystemRandom();

  uint64_t Next() override;
  std::unique_ptr<io::Random> Split(absl::string_view name) const override;

 private:
  std::array<uint64_t, 64> drawn_;
  size_t used_ = drawn_.size();
  io::SeededRandom root_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_RANDOM_H_
