// What the master tells frameworks. Nothing is sent to one that is
// disconnected.

#ifndef QUORATE_CORE_MASTER_EVENTS_H_
#define QUORATE_CORE_MASTER_EVENTS_H_

#include <optional>
#include <string>

#include "core/api/mesos.pb.h"
#include "core/master/context.h"

namespace quorate::master {

// A status that the master itself makes: without a UUID, so that nobody
// acknowledges it.
struct MasterStatus {
  std::string task_id;
  std::optional<std::string> agent_id;
  mesos::v1::TaskState state = mesos::v1::TASK_LOST;
  mesos::v1::TaskStatus::Reason reason =
      mesos::v1::TaskStatus::REASON_RECONCILIATION;
  std::string message;
  std::optional<mesos::v1::TimeInfo> unreachable_time;
};
mesos::v1::TaskStatus MakeStatus(Context& context, const MasterStatus& status);

mesos::v1::TimeInfo MakeTime(io::WallTime time);
io::WallTime ToWallTime(const mesos::v1::TimeInfo& time);

// `state` for frameworks that are PARTITION_AWARE, TASK_LOST for the others.
mesos::v1::TaskState LostState(const Framework& framework,
                               mesos::v1::TaskState state);

void SendSubscribed(Context& context, Framework& framework);
void SendUpdate(Framework& framework, const mesos::v1::TaskStatus& status);
void SendRescind(Framework& framework, const std::string& offer_id);
void SendAgentFailure(Framework& framework, const std::string& agent_id);
void SendExecutorFailure(Framework& framework, const std::string& agent_id,
                         const std::string& executor_id,
                         std::optional<int> wait_status);
void SendMessage(Framework& framework, const std::string& agent_id,
                 const std::string& executor_id, const std::string& data);
void SendOperationStatus(Framework& framework,
                         const mesos::v1::OperationStatus& status);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_EVENTS_H_
