#include "core/base/planted.h"

namespace quorate {

// Weak: a test's strong definition takes its place at link time.
__attribute__((weak)) bool Planted(Bug) { return false; }

}  // namespace quorate
