// Answers to RECONCILE: what the master knows of a framework's tasks.

#ifndef QUORATE_CORE_MASTER_RECONCILIATION_H_
#define QUORATE_CORE_MASTER_RECONCILIATION_H_

#include <string>

#include "core/api/scheduler.pb.h"
#include "core/master/context.h"

namespace quorate::master {

// Without tasks: one update for each of the framework's that is not terminal.
// Otherwise one for each that is asked for; none for a task whose agent may
// still come back and tell.
void Reconcile(Context& context, Framework& framework,
               const mesos::v1::scheduler::Call::Reconcile& call);

// One task, wherever `agent_id` says it was; empty: anywhere.
void ReconcileTask(Context& context, Framework& framework,
                   const std::string& task_id, const std::string& agent_id);

// This master starts no operations, so it knows of none; it tells what became
// of the agents that they name.
void ReconcileOperations(
    Context& context, Framework& framework,
    const mesos::v1::scheduler::Call::ReconcileOperations& call);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_RECONCILIATION_H_
