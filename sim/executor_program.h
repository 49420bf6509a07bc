// The command executor as the program of a simulated container, well or not.
//
//   host.containers().Register("mesos-executor", [&](const auto& spec) {
//     return NewExecutorProgram(spec, {.repeats = 0.1});
//   });
//
// It never lies: what it says about its task is true, however late or often it
// says it, and what is garbage is garbage to everybody.

#ifndef QUORATE_SIM_EXECUTOR_PROGRAM_H_
#define QUORATE_SIM_EXECUTOR_PROGRAM_H_

#include "io/containers.h"
#include "sim/machine.h"

namespace quorate::sim {

// Off by default; what is off draws no random number.
struct ExecutorFaults {
  // How likely an executor is slow: it subscribes late, perhaps too late, and
  // stands still now and then.
  double slow = 0;
  // How likely a request is said once more, a moment later, over another
  // connection.
  double repeats = 0;
  // How likely an executor says, every few seconds, what makes no sense.
  double garbage = 0;
};

// `spec` is that of the agent's launch.
ProgramFactory NewExecutorProgram(const io::ContainerSpec& spec,
                                  const ExecutorFaults& faults);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_EXECUTOR_PROGRAM_H_
