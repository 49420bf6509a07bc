// An operator at a console: calls of the operator API, to whoever leads, until
// one has answered.
//
//   Console console(world, network, [&] { return cluster.Leader(); });
//   auto call = console.MarkGone(agent_id);
//   EXPECT_SOON(call->status == 200, 60s);

#ifndef QUORATE_SIM_CONSOLE_H_
#define QUORATE_SIM_CONSOLE_H_

#include <functional>
#include <memory>
#include <string>

#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {

class Console {
 public:
  struct Call {
    std::string body;
    // Of the answer; 0 as long as there is none that counts.
    int status = 0;
  };

  // On a machine of its own. Both outlive the console; `leader` may say null.
  Console(World& world, Network& network, std::function<Host*()> leader);

  // A master has answered 200: it is so.
  std::function<void(const std::string& agent_id)> on_gone;
  std::function<void(const std::string& framework_id)> on_torn_down;

  std::shared_ptr<const Call> MarkGone(const std::string& agent_id);
  std::shared_ptr<const Call> TearDown(const std::string& framework_id);

 private:
  class Asking;

  std::shared_ptr<const Call> Insist(std::string body,
                                     std::function<void()> on_ok);

  World& world_;
  const std::function<Host*()> leader_;
  Host host_;
  int asked_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CONSOLE_H_
