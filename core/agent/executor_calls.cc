// What executors say, and what they are told.

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/agent/executors.h"
#include "core/api/media.h"
#include "core/http/recordio.h"

namespace quorate::agent {
namespace {

using mesos::v1::TaskStatus;
using mesos::v1::executor::Call;

constexpr io::Duration kHeartbeatInterval = std::chrono::minutes(30);
// An executor that does not read: its stream is cut, and it may subscribe
// again.
constexpr size_t kMaxStreamBytes = 64 << 20;

}  // namespace

void Executors::Subscribe(Executor& executor, const Call::Subscribe& call,
                          api::MediaType media,
                          std::unique_ptr<http::Stream> stream) {
  executor.media = media;
  executor.stream = std::move(stream);
  executor.stream->OnClosed([this, run = executor.run] {
    Executor* executor = workload_.FindRun(run);
    if (executor == nullptr) return;
    LOG(INFO) << "executor '" << run.executor_id << "' has left its stream";
    executor->stream.reset();
  });
  LOG(INFO) << "executor '" << executor.id() << "' of framework "
            << executor.run.framework_id << " subscribed";
  if (executor.state == Executor::State::kTerminating) {
    Event event;
    event.set_type(Event::SHUTDOWN);
    return Send(executor, event);
  }
  if (executor.state == Executor::State::kRegistering) {
    executor.state = Executor::State::kRunning;
    executor.deadline.Cancel();
  }
  Event event;
  event.set_type(Event::SUBSCRIBED);
  Event::Subscribed& subscribed = *event.mutable_subscribed();
  *subscribed.mutable_executor_info() = executor.info;
  *subscribed.mutable_framework_info() =
      workload_.FindFramework(executor.run.framework_id)->info;
  *subscribed.mutable_agent_info() = context_.agent_info();
  subscribed.mutable_container_id()->set_value(executor.run.container_id);
  Send(executor, event);
  SendHeartbeats(executor);
  for (const Call::Update& update : call.unacknowledged_updates()) {
    const absl::Status taken = Update(executor, update.status());
    if (!taken.ok()) LOG(WARNING) << taken;
  }
  CompareTasks(executor, call);
  SendQueued(executor);
}

void Executors::CompareTasks(Executor& executor, const Call::Subscribe& call) {
  std::set<std::string> listed;
  for (const mesos::v1::TaskInfo& info : call.unacknowledged_tasks()) {
    const std::string& task_id = info.task_id().value();
    listed.insert(task_id);
    if (!ValidateId(task_id).ok() || executor.HasHad(task_id)) continue;
    Task& task = executor.tasks[task_id];
    task.info = info;
    task.phase = Task::Phase::kLaunched;
  }
  const Framework& framework =
      *workload_.FindFramework(executor.run.framework_id);
  for (auto& [task_id, task] : executor.tasks) {
    if (task.phase != Task::Phase::kLaunched) continue;
    if (task.statuses.empty() && listed.count(task_id) == 0) {
      Report(executor, task,
             {DroppedState(framework.info), TaskStatus::REASON_AGENT_RESTARTED,
              "Task was lost on its way to the executor"});
    } else if (task.kill.has_value()) {
      SendKill(executor, task, *task.kill);
    }
  }
  if (executor.generated && !executor.HasLiveTasks()) ShutDown(executor);
}

absl::Status Executors::Update(Executor& executor, TaskStatus status) {
  const std::string& task_id = status.task_id().value();
  const StatusUpdates::Stream stream = {executor.run.framework_id, task_id};
  const auto it = executor.tasks.find(task_id);
  if (it == executor.tasks.end() ||
      workload_.FindFramework(stream.framework_id)->terminating) {
    // Nobody waits for it any more.
    SendAccepted(executor, task_id, status.uuid());
    return absl::OkStatus();
  }
  status.mutable_agent_id()->set_value(agent_id_);
  status.mutable_executor_id()->set_value(executor.id());
  if (!status.has_timestamp()) {
    status.set_timestamp(io::ToUnixSeconds(clock_.WallNow()));
  }
  mesos::v1::ContainerStatus& container = *status.mutable_container_status();
  container.mutable_container_id()->set_value(executor.run.container_id);
  if (executor.pid > 0) {
    container.set_executor_pid(static_cast<uint32_t>(executor.pid));
  }
  if (container.network_infos_size() == 0) {
    auto& address = *container.add_network_infos()->add_ip_addresses();
    address.set_protocol(mesos::v1::NetworkInfo::IPv4);
    address.set_ip_address(self_.ip);
  }
  wire::StatusUpdate update;
  update.mutable_framework_id()->set_value(stream.framework_id);
  *update.mutable_executor_id() = status.executor_id();
  *update.mutable_status() = status;
  Task& task = it->second;
  const bool known = updates_.Knows(stream, status.uuid()) ||
                     task.phase == Task::Phase::kTerminated;
  // First the task: without a checkpoint to wait for, the update is forwarded
  // from within Take, together with the task's latest state.
  if (!known) task.Add(status);
  const absl::Status taken =
      updates_.Take(update, executor.checkpointed ? std::optional(executor.run)
                                                  : std::nullopt);
  if (!taken.ok() || known) return taken;
  LOG(INFO) << "task '" << task_id << "' is " << TaskState_Name(status.state());
  ++valid_updates_;
  if (IsTerminal(status.state())) CountEnd(status.state());
  return absl::OkStatus();
}

void Executors::ForwardMessage(const Executor& executor,
                               const std::string& data) {
  wire::AgentMessage message;
  wire::FrameworkMessage& forwarded = *message.mutable_executor_message();
  forwarded.mutable_framework_id()->set_value(executor.run.framework_id);
  forwarded.mutable_executor_id()->set_value(executor.id());
  forwarded.set_data(data);
  context_.send(message);
}

// -----------------------------------------------------------------------------
// What they are told

void Executors::Send(Executor& executor, const Event& event) {
  if (executor.stream == nullptr) return;
  executor.stream->Write(
      http::EncodeRecord(api::SerializeBody(executor.media, event)));
  if (executor.stream->queued_bytes() <= kMaxStreamBytes) return;
  LOG(WARNING) << "executor '" << executor.id()
               << "' does not read its events; cutting its stream";
  executor.stream.reset();
}

std::vector<QueueSize> Executors::queues() const {
  size_t unread = 0;
  size_t executors_of_one = 0;
  for (const auto& [framework_id, framework] : workload_.frameworks()) {
    executors_of_one = std::max(executors_of_one, framework->completed.size());
    for (const auto& [id, executor] : framework->executors) {
      if (executor->stream == nullptr) continue;
      unread = std::max(unread, executor->stream->queued_bytes());
    }
  }
  std::vector<QueueSize> queues = updates_.queues();
  queues.push_back({"unread events", unread, kMaxStreamBytes, true});
  queues.push_back(
      {"completed executors", executors_of_one, kMaxCompletedExecutors, true});
  queues.push_back({"completed frameworks", workload_.completed().size(),
                    kMaxCompletedFrameworks, true});
  return queues;
}

void Executors::SendAccepted(Executor& executor, const std::string& task_id,
                             const std::string& uuid) {
  Event event;
  event.set_type(Event::ACKNOWLEDGED);
  event.mutable_acknowledged()->mutable_task_id()->set_value(task_id);
  event.mutable_acknowledged()->set_uuid(uuid);
  Send(executor, event);
}

void Executors::SendQueued(Executor& executor) {
  while (executor.state == Executor::State::kRunning &&
         executor.stream != nullptr && !executor.queue.empty()) {
    Task& task = executor.tasks.at(executor.queue.front());
    if (!task.durable) return;
    executor.queue.pop_front();
    task.phase = Task::Phase::kLaunched;
    Event event;
    event.set_type(Event::LAUNCH);
    *event.mutable_launch()->mutable_task() = task.info;
    Send(executor, event);
  }
}

void Executors::SendKill(Executor& executor, Task& task,
                         const mesos::v1::KillPolicy& policy) {
  task.kill.reset();
  if (executor.stream == nullptr) {
    task.kill = policy;
    return;
  }
  Event event;
  event.set_type(Event::KILL);
  *event.mutable_kill()->mutable_task_id() = task.info.task_id();
  if (policy.has_grace_period()) {
    *event.mutable_kill()->mutable_kill_policy() = policy;
  }
  Send(executor, event);
}

void Executors::SendHeartbeats(Executor& executor) {
  executor.heartbeat =
      clock_.RunAfter(kHeartbeatInterval, [this, run = executor.run] {
        Executor* executor = workload_.FindRun(run);
        if (executor == nullptr) return;
        Event event;
        event.set_type(Event::HEARTBEAT);
        Send(*executor, event);
        SendHeartbeats(*executor);
      });
}

}  // namespace quorate::agent
