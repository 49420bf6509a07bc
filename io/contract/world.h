// What the contract suites need from a world.
//
// The suites (clock.cc, network.cc, ...) say what every implementation of the
// interfaces in io/ does. They are abstract tests: a world links them and
// instantiates the fixtures of suites.h with a factory of its own:
//
//   INSTANTIATE_TEST_SUITE_P(Prod, NetworkContract, Values(&NewProdWorld));

#ifndef QUORATE_IO_CONTRACT_WORLD_H_
#define QUORATE_IO_CONTRACT_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/environment.h"

namespace quorate::io::contract {

// Two processes that can reach each other. A test acts as both: what it gets
// from environment(i) belongs to process i, and so do the callbacks.
class ContractWorld {
 public:
  static constexpr int kProcesses = 2;

  virtual ~ContractWorld() = default;

  virtual Environment& environment(int process) = 0;

  // The address at which the process may listen.
  virtual std::string ip(int process) = 0;

  // A folder of the process' machine: absolute, without symlinks, empty at
  // first. It survives Restart, as running containers do.
  virtual std::string directory(int process) = 0;

  // Kills the process (as SIGKILL would) and starts it anew: environment(i) is
  // another object from here on. The test has destroyed all that it got from
  // the old one; callbacks that it gave away do not run.
  virtual void Restart(int process) = 0;

  // Lets the world go on until `done` says so, which it is asked between
  // callbacks. False when that did not happen within `timeout`, in the world's
  // own time.
  virtual bool RunUntil(const std::function<bool()>& done,
                        Duration timeout) = 0;

  // What the process gives to Coordination::Connect; all processes reach the
  // same tree. Sessions of 2 s and more are granted as asked for.
  virtual std::vector<std::string> coordination_servers(int process) = 0;
  // Cuts the process off from the servers, and joins them again. The servers
  // end sessions that stay away for longer than their timeout, not earlier.
  virtual void CutCoordination(int process) = 0;
  virtual void HealCoordination(int process) = 0;
};

using ContractWorldFactory = std::unique_ptr<ContractWorld> (*)();

}  // namespace quorate::io::contract

#endif  // QUORATE_IO_CONTRACT_WORLD_H_
