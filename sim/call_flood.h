// Many calls of a framework at once: written one after the other on a
// connection of their own, without waiting for answers.

#ifndef QUORATE_SIM_CALL_FLOOD_H_
#define QUORATE_SIM_CALL_FLOOD_H_

#include <functional>
#include <memory>
#include <string>

#include "core/http/parser.h"
#include "io/environment.h"
#include "io/network.h"

namespace quorate::sim {

class CallFlood final : private io::Connection::Listener {
 public:
  struct Options {
    io::Endpoint master;
    std::string framework_id;
    std::string stream_id;
    int calls = 0;
    int tasks = 1;  // Of each call.
  };

  // Asks to reconcile tasks that nobody knows with each call. `on_answer`
  // is told the status of each; it may not destroy the flood.
  CallFlood(io::Environment& environment, Options options,
            std::function<void(int status)> on_answer);

 private:
  void OnData(absl::string_view bytes) override;
  void OnClosed(const absl::Status& reason) override;

  const std::function<void(int)> on_answer_;
  http::Parser parser_;
  std::unique_ptr<io::Connector> connector_;
  std::unique_ptr<io::Connection> connection_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CALL_FLOOD_H_
