// The master's state as JSON: /state, /slaves, /frameworks, /tasks, ... in the
// classic form that UIs, service discovery and monitoring read. Pure.

#ifndef QUORATE_CORE_MASTER_VIEWS_H_
#define QUORATE_CORE_MASTER_VIEWS_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/master/context.h"

namespace quorate::master {

std::string StateJson(const Context& context,
                      const std::optional<mesos::v1::MasterInfo>& leader);
std::string StateSummaryJson(const Context& context);
// With an id, only that agent.
std::string AgentsJson(const Context& context, const std::string& agent_id);
std::string FrameworksJson(const Context& context,
                           const std::string& framework_id);

// Which tasks of all, newest first unless `ascending`.
struct TaskQuery {
  size_t limit = 100;
  size_t offset = 0;
  bool ascending = false;
  std::string framework_id;  // Empty: of all.
  std::string task_id;
};
// InvalidArgument with the text of a 400 answer. A negative limit means none.
absl::StatusOr<TaskQuery> ParseTaskQuery(
    const std::map<std::string, std::string>& query);
std::string TasksJson(const Context& context, const TaskQuery& query);

std::string FlagsJson(const MasterOptions& options);
std::string VersionJson();

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_VIEWS_H_
