#include "prod/random.h"

#include <glog/logging.h>
#include <sys/random.h>

#include "prod/posix.h"

namespace quorate::prod {
namespace {

void Fill(void* out, size_t size) {
  auto* bytes = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t n = Retry([&] { return getrandom(bytes, size, 0); });
    PCHECK(n > 0);
    bytes += n;
    size -= n;
  }
}

uint64_t Draw() {
  uint64_t value;
  Fill(&value, sizeof(value));
  return value;
}

}  // namespace

SystemRandom::SystemRandom() : root_(Draw()) {}

uint64_t SystemRandom::Next() {
  if (used_ == drawn_.size()) {
    Fill(drawn_.data(), sizeof(drawn_));
    used_ = 0;
  }
  return drawn_[used_++];
}

std::unique_ptr<io::Random> SystemRandom::Split(absl::string_view name) const {
  return root_.Split(name);
}

}  // namespace quorate::prod
