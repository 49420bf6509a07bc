// What frameworks and agents may say. Pure; the messages are for whoever sent
// it.

#ifndef QUORATE_CORE_MASTER_VALIDATION_H_
#define QUORATE_CORE_MASTER_VALIDATION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/master/cluster.h"

namespace mesos::v1::master {
class Call;
}
namespace mesos::v1::scheduler {
class Call;
}

namespace quorate::master {

// All errors are InvalidArgument.

// Ids of tasks, executors, frameworks and the like end up in paths.
absl::Status ValidateId(absl::string_view what, absl::string_view id);

// "Expecting 'type' to be present": what each type of call must carry. With
// "Failed to validate scheduler::Call: " before it, the text of a 400 answer.
absl::Status ValidateCall(const mesos::v1::scheduler::Call& call);
absl::Status ValidateCall(const mesos::v1::master::Call& call);

// What a SUBSCRIBE or UPDATE_FRAMEWORK may hold; the text of an ERROR event.
absl::Status ValidateFrameworkInfo(
    const mesos::v1::FrameworkInfo& info,
    const std::vector<std::string>& suppressed_roles, bool root_submissions);

// 0 for what no duration can hold; never more than a hundred years.
io::Duration FailoverTimeout(const mesos::v1::FrameworkInfo& info);

// The resources of an agent that wants to register.
absl::StatusOr<Resources> ValidateAgentInfo(const mesos::v1::AgentInfo& info);

// What a task to launch would take from `remaining`, the rest of the offers
// that were accepted. `task` has its allocation marks.
struct TaskDemand {
  Resources task;
  // Of the executor that the task brings, unless it is there already.
  Resources executor;
  bool is_new_executor = false;
};
absl::StatusOr<TaskDemand> ValidateTask(const mesos::v1::TaskInfo& task,
                                        const Framework& framework,
                                        const Agent& agent,
                                        const Resources& remaining);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_VALIDATION_H_
