#include "core/master/events.h"

#include "core/api/scheduler.pb.h"
#include "core/master/limits.h"
#include "core/master/subscriber.h"

namespace quorate::master {

using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Event;

namespace {

void Send(Framework& framework, const Event& event) {
  if (framework.connected()) framework.subscriber->Send(event);
}

}  // namespace

TaskStatus MakeStatus(Context& context, const MasterStatus& from) {
  TaskStatus status;
  status.mutable_task_id()->set_value(from.task_id);
  status.set_state(from.state);
  status.set_message(from.message);
  status.set_source(TaskStatus::SOURCE_MASTER);
  status.set_reason(from.reason);
  if (from.agent_id) status.mutable_agent_id()->set_value(*from.agent_id);
  status.set_timestamp(io::ToUnixSeconds(context.clock().WallNow()));
  if (from.unreachable_time) {
    *status.mutable_unreachable_time() = *from.unreachable_time;
  }
  return status;
}

mesos::v1::TimeInfo MakeTime(io::WallTime time) {
  mesos::v1::TimeInfo info;
  info.set_nanoseconds(time.time_since_epoch().count());
  return info;
}

io::WallTime ToWallTime(const mesos::v1::TimeInfo& time) {
  return io::WallTime(io::Duration(time.nanoseconds()));
}

TaskState LostState(const Framework& framework, TaskState state) {
  const bool aware =
      framework.Has(mesos::v1::FrameworkInfo::Capability::PARTITION_AWARE);
  return aware ? state : mesos::v1::TASK_LOST;
}

void SendSubscribed(Context& context, Framework& framework) {
  Event event;
  event.set_type(Event::SUBSCRIBED);
  Event::Subscribed& subscribed = *event.mutable_subscribed();
  subscribed.mutable_framework_id()->set_value(framework.id);
  subscribed.set_heartbeat_interval_seconds(
      std::chrono::duration<double>(kHeartbeatInterval).count());
  *subscribed.mutable_master_info() = context.info;
  Send(framework, event);
}

void SendUpdate(Framework& framework, const TaskStatus& status) {
  Event event;
  event.set_type(Event::UPDATE);
  *event.mutable_update()->mutable_status() = status;
  Send(framework, event);
}

void SendRescind(Framework& framework, const std::string& offer_id) {
  Event event;
  event.set_type(Event::RESCIND);
  event.mutable_rescind()->mutable_offer_id()->set_value(offer_id);
  Send(framework, event);
}

void SendAgentFailure(Framework& framework, const std::string& agent_id) {
  Event event;
  event.set_type(Event::FAILURE);
  event.mutable_failure()->mutable_agent_id()->set_value(agent_id);
  Send(framework, event);
}

void SendExecutorFailure(Framework& framework, const std::string& agent_id,
                         const std::string& executor_id,
                         std::optional<int> wait_status) {
  Event event;
  event.set_type(Event::FAILURE);
  Event::Failure& failure = *event.mutable_failure();
  failure.mutable_agent_id()->set_value(agent_id);
  failure.mutable_executor_id()->set_value(executor_id);
  if (wait_status) failure.set_status(*wait_status);
  Send(framework, event);
}

void SendMessage(Framework& framework, const std::string& agent_id,
                 const std::string& executor_id, const std::string& data) {
  Event event;
  event.set_type(Event::MESSAGE);
  Event::Message& message = *event.mutable_message();
  message.mutable_agent_id()->set_value(agent_id);
  message.mutable_executor_id()->set_value(executor_id);
  message.set_data(data);
  Send(framework, event);
}

void SendOperationStatus(Framework& framework,
                         const mesos::v1::OperationStatus& status) {
  Event event;
  event.set_type(Event::UPDATE_OPERATION_STATUS);
  *event.mutable_update_operation_status()->mutable_status() = status;
  Send(framework, event);
}

}  // namespace quorate::master
