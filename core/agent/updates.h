// Carries out what StatusUpdates decides: writes records, and releases what
// waited for them.

#ifndef QUORATE_CORE_AGENT_UPDATES_H_
#define QUORATE_CORE_AGENT_UPDATES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/agent/agent.h"
#include "core/agent/model.h"
#include "core/agent/status_updates.h"
#include "core/agent/store.h"
#include "core/base/queue_size.h"
#include "core/wire/agent.pb.h"
#include "io/environment.h"

namespace quorate::agent {

class Updates {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // The executor may forget the update.
    virtual void OnAccepted(const StatusUpdates::Stream& stream,
                            const std::string& uuid) = 0;
    // To be sent to the framework now.
    virtual void OnForward(wire::StatusUpdate update) = 0;
    // The framework has acknowledged the terminal update.
    virtual void OnFinished(const StatusUpdates::Stream& stream) = 0;
  };

  // All arguments outlive this object. The listener may call back; the
  // observer may be null.
  Updates(io::Environment& environment, Store& store, Listener* listener,
          UpdateObserver* observer);

  // `run`: where the task is checkpointed; none: it is not. The status has a
  // uuid. Errors as StatusUpdates::OnUpdate.
  absl::Status Take(const wire::StatusUpdate& update,
                    const std::optional<Run>& run);
  void Acknowledge(const StatusUpdates::Stream& stream, absl::string_view uuid);
  bool Knows(const StatusUpdates::Stream& stream, absl::string_view uuid) const;

  void Resume();
  void Pause();
  void RemoveFramework(const std::string& framework_id);

  // Before anything else. False when the task had finished.
  bool Recover(const Run& run, const std::string& task_id,
               const std::vector<UpdateRecord>& records);

  std::vector<QueueSize> queues() const;
  void CheckInvariants() const { machine_.CheckInvariants(); }

 private:
  using Output = StatusUpdates::Output;

  void CarryOut(StatusUpdates::Outputs outputs);
  void Persist(const Output& output);
  void OnDurable(uint64_t write);
  void Tell(const StatusUpdates::Stream& stream, const std::string& uuid,
            bool durable);
  void Release(const Output& output);
  void ArmRetry();

  io::Environment& environment_;
  Store& store_;
  Listener* const listener_;
  UpdateObserver* const observer_;
  StatusUpdates machine_;
  std::map<StatusUpdates::Stream, Run> runs_;  // Of checkpointed streams.
  uint64_t durable_ = 0;
  std::deque<Output> waiting_;  // For writes, in order.
  io::Timer retry_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_UPDATES_H_
