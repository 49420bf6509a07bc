// How executors are started: pure functions.

#ifndef QUORATE_CORE_AGENT_LAUNCHING_H_
#define QUORATE_CORE_AGENT_LAUNCHING_H_

#include <string>

#include "absl/status/status.h"
#include "core/agent/agent.h"
#include "core/agent/model.h"
#include "io/containers.h"

namespace quorate::agent {

// The executor that the agent brings for a task with a command.
mesos::v1::ExecutorInfo CommandExecutorInfo(
    const AgentOptions& options, const mesos::v1::FrameworkID& framework_id,
    const mesos::v1::TaskInfo& task);

// Unimplemented, with a message for the framework, for what this agent cannot
// run: files to fetch, images, DOCKER containers.
absl::Status CheckLaunchable(const mesos::v1::TaskInfo& task,
                             const mesos::v1::ExecutorInfo& executor);

// Whom a task of this executor runs as.
std::string UserOf(const mesos::v1::FrameworkInfo& framework,
                   const mesos::v1::ExecutorInfo& executor,
                   const mesos::v1::TaskInfo& task);

// `self`: where the agent is reached.
io::ContainerSpec MakeContainerSpec(const AgentOptions& options,
                                    const io::Endpoint& self,
                                    const Executor& executor);

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_LAUNCHING_H_
