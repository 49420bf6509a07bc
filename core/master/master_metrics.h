// The master's numbers for /metrics/snapshot.

#ifndef QUORATE_CORE_MASTER_MASTER_METRICS_H_
#define QUORATE_CORE_MASTER_MASTER_METRICS_H_

#include <functional>

#include "core/master/context.h"

namespace quorate::master {

// Registers every name in `context.metrics`, so that counters show from the
// start. `leads` is asked at each snapshot.
void RegisterMetrics(Context& context, std::function<bool()> leads);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_MASTER_METRICS_H_
