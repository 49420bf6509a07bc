#include "core/agent/runner.h"

#include <utility>

namespace quorate::agent {

Runner::Runner(io::Environment& environment, Store& store, Listener* listener)
    : environment_(environment), store_(store), listener_(listener) {}

void Runner::Launch(const Run& run, io::ContainerSpec spec) {
  store_.Try(
      [run](Checkpoints& checkpoints) { return checkpoints.MakeSandbox(run); },
      [this, run, spec = std::move(spec)](const absl::Status& made) {
        if (!made.ok()) return listener_->OnLaunchFailed(run, made);
        Start(run, spec);
      });
}

void Runner::Start(const Run& run, const io::ContainerSpec& spec) {
  environment_.containers().Launch(
      spec, [this, run, alive = std::weak_ptr<bool>(alive_)](
                const absl::StatusOr<io::ContainerInfo>& info) {
        if (alive.expired()) return;
        if (!info.ok()) return listener_->OnLaunchFailed(run, info.status());
        Watch(run);
        listener_->OnLaunched(run, info->pid);
      });
}

void Runner::Watch(const Run& run) {
  environment_.containers().Wait(
      run.container_id, [this, run, alive = std::weak_ptr<bool>(alive_)](
                            const io::ContainerExit& exit) {
        if (alive.expired()) return;
        listener_->OnExited(run, exit);
      });
}

void Runner::Destroy(const std::string& container_id) {
  environment_.containers().Destroy(container_id);
}

}  // namespace quorate::agent
