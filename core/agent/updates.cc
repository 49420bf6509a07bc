#include "core/agent/updates.h"

#include <glog/logging.h>

#include <utility>

#include "core/base/planted.h"

namespace quorate::agent {
namespace {

UpdateRecord RecordOf(const StatusUpdates::Output& output) {
  UpdateRecord record;
  if (output.kind == StatusUpdates::Output::Kind::kPersistUpdate) {
    CHECK(record.mutable_update()->ParseFromString(output.content));
  } else {
    record.set_acknowledged_uuid(output.uuid);
  }
  return record;
}

}  // namespace

Updates::Updates(io::Environment& environment, Store& store, Listener* listener,
                 UpdateObserver* observer)
    : environment_(environment),
      store_(store),
      listener_(listener),
      observer_(observer) {}

void Updates::Tell(const StatusUpdates::Stream& stream, const std::string& uuid,
                   bool durable) {
  if (observer_ == nullptr) return;
  observer_->OnTaken(stream.framework_id, stream.task_id, uuid, durable);
}

absl::Status Updates::Take(const wire::StatusUpdate& update,
                           const std::optional<Run>& run) {
  const StatusUpdates::Stream stream = {update.framework_id().value(),
                                        update.status().task_id().value()};
  if (run.has_value()) runs_[stream] = *run;
  StatusUpdates::Outputs outputs;
  const absl::Status taken = machine_.OnUpdate(
      environment_.clock().Now(), stream,
      {update.status().uuid(), IsTerminal(update.status().state()),
       update.SerializeAsString()},
      run.has_value(), &outputs);
  if (!run.has_value() && machine_.Knows(stream, update.status().uuid())) {
    Tell(stream, update.status().uuid(), false);
  }
  CarryOut(std::move(outputs));
  return taken;
}

void Updates::Acknowledge(const StatusUpdates::Stream& stream,
                          absl::string_view uuid) {
  StatusUpdates::Outputs outputs;
  const absl::Status known = machine_.OnAcknowledgement(
      environment_.clock().Now(), stream, uuid, &outputs);
  if (!known.ok()) {
    LOG(INFO) << "ignoring an acknowledgement for task '" << stream.task_id
              << "': " << known.message();
  }
  CarryOut(std::move(outputs));
}

bool Updates::Knows(const StatusUpdates::Stream& stream,
                    absl::string_view uuid) const {
  return machine_.Knows(stream, uuid);
}

void Updates::Resume() {
  StatusUpdates::Outputs outputs;
  machine_.Resume(environment_.clock().Now(), &outputs);
  CarryOut(std::move(outputs));
}

void Updates::Pause() {
  machine_.Pause();
  ArmRetry();
}

void Updates::RemoveFramework(const std::string& framework_id) {
  machine_.Remove(framework_id);
  std::erase_if(runs_, [&](const auto& entry) {
    return entry.first.framework_id == framework_id;
  });
  ArmRetry();
}

bool Updates::Recover(const Run& run, const std::string& task_id,
                      const std::vector<UpdateRecord>& records) {
  const StatusUpdates::Stream stream = {run.framework_id, task_id};
  std::vector<StatusUpdates::Record> inputs;
  for (const UpdateRecord& record : records) {
    if (record.has_acknowledged_uuid()) {
      inputs.push_back({true, {.uuid = record.acknowledged_uuid()}});
    } else {
      const mesos::v1::TaskStatus& status = record.update().status();
      inputs.push_back({false,
                        {status.uuid(), IsTerminal(status.state()),
                         record.update().SerializeAsString()}});
    }
  }
  for (const StatusUpdates::Record& record : inputs) {
    if (!record.is_acknowledgement) Tell(stream, record.update.uuid, true);
  }
  if (!machine_.Recover(stream, inputs)) return false;
  runs_[stream] = run;
  return true;
}

void Updates::CarryOut(StatusUpdates::Outputs outputs) {
  ArmRetry();
  std::vector<Output> ready;
  for (Output& output : outputs) {
    if (output.write > 0) {
      Persist(output);
    } else if (output.after > durable_ && !Planted(Bug::kUpdateBeforeDurable)) {
      waiting_.push_back(std::move(output));
    } else {
      ready.push_back(std::move(output));
    }
  }
  for (const Output& output : ready) Release(output);
}

void Updates::Persist(const Output& output) {
  const auto run = runs_.find(output.stream);
  CHECK(run != runs_.end()) << output.stream.task_id;
  store_.Write(
      [run = run->second, task_id = output.stream.task_id,
       record = RecordOf(output)](Checkpoints& checkpoints) {
        return checkpoints.AppendUpdate(run, task_id, record);
      },
      [this, write = output.write, stream = output.stream, uuid = output.uuid,
       is_update = output.kind == Output::Kind::kPersistUpdate] {
        if (is_update) Tell(stream, uuid, true);
        OnDurable(write);
      });
}

void Updates::OnDurable(uint64_t write) {
  CHECK_EQ(write, durable_ + 1);
  durable_ = write;
  std::vector<Output> ready;
  while (!waiting_.empty() && waiting_.front().after <= durable_) {
    ready.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  for (const Output& output : ready) Release(output);
}

void Updates::Release(const Output& output) {
  switch (output.kind) {
    case Output::Kind::kAccepted:
      return listener_->OnAccepted(output.stream, output.uuid);
    case Output::Kind::kForward: {
      wire::StatusUpdate update;
      CHECK(update.ParseFromString(output.content));
      listener_->OnForward(std::move(update));
      if (Planted(Bug::kForwardAcknowledges)) {
        Acknowledge(output.stream, output.uuid);
      }
      return;
    }
    case Output::Kind::kFinished:
      if (!Planted(Bug::kStreamsKept)) runs_.erase(output.stream);
      return listener_->OnFinished(output.stream);
    case Output::Kind::kPersistUpdate:
    case Output::Kind::kPersistAcknowledgement:
      return;
  }
}

std::vector<QueueSize> Updates::queues() const {
  return {
      // The terminal one is taken in any case.
      {"updates of a task", machine_.longest(), StatusUpdates::kMaxPending + 1},
      // Of a stream that has ended, until that is durable.
      {"checkpointed streams", runs_.size(),
       machine_.streams() + waiting_.size()},
  };
}

void Updates::ArmRetry() {
  retry_.Cancel();
  const std::optional<io::Instant> due = machine_.NextRetry();
  if (!due.has_value()) return;
  retry_ =
      environment_.clock().RunAfter(*due - environment_.clock().Now(), [this] {
        StatusUpdates::Outputs outputs;
        machine_.OnTimer(environment_.clock().Now(), &outputs);
        CarryOut(std::move(outputs));
      });
}

}  // namespace quorate::agent
