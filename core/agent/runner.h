// Containers of executors: launched, watched, destroyed.

#ifndef QUORATE_CORE_AGENT_RUNNER_H_
#define QUORATE_CORE_AGENT_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/agent/store.h"
#include "io/environment.h"

namespace quorate::agent {

class Runner {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnLaunched(const Run& run, int64_t pid) = 0;
    virtual void OnLaunchFailed(const Run& run, const absl::Status& why) = 0;
    // After OnLaunched or Watch, once.
    virtual void OnExited(const Run& run, const io::ContainerExit& exit) = 0;
  };

  // All arguments outlive the runner.
  Runner(io::Environment& environment, Store& store, Listener* listener);

  // Makes the sandbox, then starts the container.
  void Launch(const Run& run, io::ContainerSpec spec);
  // A container that a previous process has launched.
  void Watch(const Run& run);
  // Nothing happens when it is not running.
  void Destroy(const std::string& container_id);

 private:
  void Start(const Run& run, const io::ContainerSpec& spec);

  io::Environment& environment_;
  Store& store_;
  Listener* const listener_;
  // The containers may outlive the runner: their callbacks check it.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_RUNNER_H_
