// Runs the agent's disk work in order, off the event loop.

#ifndef QUORATE_CORE_AGENT_STORE_H_
#define QUORATE_CORE_AGENT_STORE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/agent/checkpoint.h"
#include "io/environment.h"

namespace quorate::agent {

class Store {
 public:
  // Touches nothing but what it holds by value: it runs elsewhere.
  using Work = std::function<absl::Status(Checkpoints&)>;

  // `environment` outlives the store.
  Store(io::Environment& environment, const std::string& work_dir);
  // Waits for the piece of work that runs; no `done` runs any more.
  ~Store();

  // Work that must succeed: after an error the process ends with
  // kExitDiskFailure, and `done` does not run.
  void Write(Work work, std::function<void()> done);

  // Work that may fail.
  void Try(Work work, std::function<void(const absl::Status&)> done);

  const Paths& paths() const { return paths_; }

 private:
  io::Environment& environment_;
  const Paths paths_;
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<io::Lane> lane_;  // Uses checkpoints_.
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_STORE_H_
