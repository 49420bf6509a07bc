// How much waits in a queue or buffer, and the limit that it keeps by itself.
// For the simulator, which looks at all of them and believes none.

#ifndef QUORATE_CORE_BASE_QUEUE_SIZE_H_
#define QUORATE_CORE_BASE_QUEUE_SIZE_H_

#include <cstddef>

namespace quorate {

struct QueueSize {
  const char* name = "";  // A literal.
  size_t size = 0;
  size_t limit = 0;
  // It fills up to its limit by design, as a history does; another one that
  // only grows under a constant load leaks.
  bool fills = false;
};

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_QUEUE_SIZE_H_
