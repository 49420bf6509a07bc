// ACCEPT: a framework takes offers and says what to do with them.

#ifndef QUORATE_CORE_MASTER_ACCEPT_H_
#define QUORATE_CORE_MASTER_ACCEPT_H_

#include "core/api/scheduler.pb.h"
#include "core/master/context.h"
#include "core/master/offers.h"
#include "core/master/tasks.h"

namespace quorate::master {

// Carries out the operations in order on what the offers hold, and declines
// the rest with the call's filters. When an offer is invalid nothing is done:
// the valid ones are discarded, and the framework is told of each task.
void Accept(Context& context, Offers& offers, Tasks& tasks,
            Framework& framework,
            const mesos::v1::scheduler::Call::Accept& call);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_ACCEPT_H_
