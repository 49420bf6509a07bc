// Asks a simulated program over HTTP, as a load balancer or a monitor would.
//
//   HttpProbe probe(world, c.network());
//   EXPECT_NOW(probe.Get(master, "/health").status == 200);

#ifndef QUORATE_SCENARIOS_HTTP_PROBE_H_
#define QUORATE_SCENARIOS_HTTP_PROBE_H_

#include <string>

#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::scenarios {

class HttpProbe {
 public:
  struct Answer {
    int status = 0;  // 0: none within some seconds, or no connection
    std::string location;
    std::string body;
  };

  // On a host of its own. Both outlive the probe.
  HttpProbe(sim::World& world, sim::Network& network);

  // Waits for the answer; time passes.
  Answer Get(const sim::Host& host, const std::string& target);

 private:
  sim::World& world_;
  sim::Host host_;
  int asked_ = 0;
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_HTTP_PROBE_H_
