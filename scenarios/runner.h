// The program behind `./dev sim`: many runs in several processes, with
// progress, or one run again.

#ifndef QUORATE_SCENARIOS_RUNNER_H_
#define QUORATE_SCENARIOS_RUNNER_H_

#include <string>
#include <vector>

namespace quorate::scenarios {

// Arguments without the program's name. The result is the exit code.
int RunnerMain(const std::vector<std::string>& arguments);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_RUNNER_H_
