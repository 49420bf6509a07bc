// Runs scenarios: all of them under many seeds, or one seed of one again.

#include <string>
#include <vector>

#include "scenarios/runner.h"

int main(int argc, char** argv) {
  return quorate::scenarios::RunnerMain(
      std::vector<std::string>(argv + 1, argv + argc));
}
