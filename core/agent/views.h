// What the agent shows of itself: pure functions from state to JSON and to the
// operator API's messages.

#ifndef QUORATE_CORE_AGENT_VIEWS_H_
#define QUORATE_CORE_AGENT_VIEWS_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/agent/agent.h"
#include "core/agent/model.h"
#include "core/api/agent.pb.h"
#include "core/api/mesos.pb.h"
#include "core/metrics/metrics.h"
#include "core/resources/resources.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::agent {

struct Snapshot {
  const AgentOptions& options;
  const mesos::v1::AgentInfo& info;
  const Workload& workload;
  io::Endpoint self;
  io::WallTime start_time;
  std::string master_hostname;  // Empty when no master leads.
};

// What this agent can do, as AgentInfo::Capability names it.
const std::vector<std::string>& Capabilities();

// GET /state
std::string StateJson(const Snapshot& snapshot);
// GET /flags
std::string FlagsJson(const std::map<std::string, std::string>& flags);
// GET /version
std::string VersionJson();
// GET /containers
std::string ContainersJson(const Workload& workload, io::WallTime now);

// Answers of POST /api/v1.
void FillTasks(const Workload& workload,
               mesos::v1::agent::Response::GetTasks* answer);
void FillExecutors(const Workload& workload,
                   mesos::v1::agent::Response::GetExecutors* answer);
void FillFrameworks(const Workload& workload,
                    mesos::v1::agent::Response::GetFrameworks* answer);
void FillContainers(const Workload& workload,
                    mesos::v1::agent::Response::GetContainers* answer);

// Gauges over the workload and the agent's resources. All arguments outlive
// `metrics`' last snapshot.
void AddGauges(const Workload& workload, const Resources& total,
               metrics::Metrics* metrics);

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_VIEWS_H_
