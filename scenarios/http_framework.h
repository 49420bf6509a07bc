// A framework that speaks HTTP with one master only, whichever it is told: it
// looks for no leader, as behind a firewall that lets one address through.
//
//   HttpFramework framework(world, c.network(), c.checks().task_truth());
//   framework.Subscribe(follower);
//   EXPECT_SOON(framework.Reached("TASK_FINISHED"), 60s);

#ifndef QUORATE_SCENARIOS_HTTP_FRAMEWORK_H_
#define QUORATE_SCENARIOS_HTTP_FRAMEWORK_H_

#include <memory>
#include <string>
#include <vector>

#include "sim/checkers/task_truth.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::scenarios {

class HttpFramework {
 public:
  // What it knows, through all its subscriptions.
  struct Memory {
    std::string id;
    std::string stream_id;
    bool connected = false;
    bool launched = false;
    std::vector<std::string> states;
  };

  // On a host of its own. All of them outlive it; `truth` hears what it asks
  // for and what it is told.
  HttpFramework(sim::World& world, sim::Network& network,
                sim::TaskTruth& truth);

  // Its stream lasts until something ends it; it launches one task, which runs
  // that command.
  void Subscribe(const sim::Host& master, const std::string& command);

  const sim::Host& host() const { return host_; }
  bool connected() const { return memory_->connected; }
  bool Reached(const std::string& state) const;

 private:
  sim::Host host_;
  sim::TaskTruth& truth_;
  int subscriptions_ = 0;
  const std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_HTTP_FRAMEWORK_H_
