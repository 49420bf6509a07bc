#include "core/master/views.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/api/json.h"
#include "core/json/writer.h"
#include "core/resources/attributes.h"

namespace quorate::master {
namespace {

using json::JsonWriter;
using mesos::v1::FrameworkInfo;
using mesos::v1::TaskState;

constexpr TaskState kCountedStates[] = {
    mesos::v1::TASK_STAGING,  mesos::v1::TASK_STARTING,
    mesos::v1::TASK_RUNNING,  mesos::v1::TASK_KILLING,
    mesos::v1::TASK_FINISHED, mesos::v1::TASK_KILLED,
    mesos::v1::TASK_FAILED,   mesos::v1::TASK_LOST,
    mesos::v1::TASK_ERROR,    mesos::v1::TASK_UNREACHABLE};

using StateCounts = std::map<TaskState, int64_t>;

// Tasks of one framework or agent, by state.
void Count(const Task& task, StateCounts& counts) {
  ++counts[task.info.state()];
}

void WriteLabels(JsonWriter& writer, const mesos::v1::Labels& labels) {
  writer.Key("labels").StartArray();
  for (const mesos::v1::Label& label : labels.labels()) {
    api::WriteMessage(label, writer);
  }
  writer.EndArray();
}

void WriteResources(JsonWriter& writer, absl::string_view key,
                    const Resources& resources) {
  writer.Key(key);
  resources.WriteSummary(writer);
}

void WriteFull(JsonWriter& writer, const Resources& resources) {
  google::protobuf::RepeatedPtrField<mesos::v1::Resource> protos;
  resources.ToProto(&protos, Resources::Form::kClassic);
  writer.StartArray();
  for (const mesos::v1::Resource& resource : protos) {
    api::WriteMessage(resource, writer);
  }
  writer.EndArray();
}

void WriteStatus(JsonWriter& writer, const mesos::v1::TaskStatus& status) {
  writer.StartObject();
  writer.Key("state").String(mesos::v1::TaskState_Name(status.state()));
  writer.Key("timestamp").Double(status.timestamp());
  if (status.has_labels()) WriteLabels(writer, status.labels());
  if (status.has_container_status()) {
    mesos::v1::ContainerStatus container = status.container_status();
    container.clear_executor_pid();
    writer.Key("container_status");
    api::WriteMessage(container, writer);
  }
  if (status.has_healthy()) writer.Key("healthy").Bool(status.healthy());
  writer.EndObject();
}

void WriteTask(JsonWriter& writer, const Task& task) {
  const mesos::v1::Task& info = task.info;
  writer.StartObject();
  writer.Key("id").String(task.id());
  writer.Key("name").String(info.name());
  writer.Key("framework_id").String(info.framework_id().value());
  writer.Key("executor_id").String(info.executor_id().value());
  writer.Key("slave_id").String(task.agent_id());
  writer.Key("state").String(mesos::v1::TaskState_Name(info.state()));
  WriteResources(writer, "resources", task.resources);
  writer.Key("role").String(task.role);
  writer.Key("statuses").StartArray();
  for (const auto& status : info.statuses()) WriteStatus(writer, status);
  writer.EndArray();
  if (info.has_user()) writer.Key("user").String(info.user());
  if (info.has_labels()) WriteLabels(writer, info.labels());
  if (info.has_discovery()) {
    writer.Key("discovery");
    api::WriteMessage(info.discovery(), writer);
  }
  if (info.has_container()) {
    writer.Key("container");
    api::WriteMessage(info.container(), writer);
  }
  if (info.has_health_check()) {
    writer.Key("health_check");
    api::WriteMessage(info.health_check(), writer);
  }
  writer.EndObject();
}

void WriteTasks(JsonWriter& writer, absl::string_view key,
                const std::map<std::string, Task>& tasks) {
  writer.Key(key).StartArray();
  for (const auto& [id, task] : tasks) WriteTask(writer, task);
  writer.EndArray();
}

void WriteTasks(JsonWriter& writer, absl::string_view key,
                const std::deque<Task>& tasks) {
  writer.Key(key).StartArray();
  for (const Task& task : tasks) WriteTask(writer, task);
  writer.EndArray();
}

void WriteOffer(JsonWriter& writer, const Offer& offer) {
  writer.StartObject();
  writer.Key("id").String(offer.id);
  writer.Key("framework_id").String(offer.framework_id);
  writer.Key("allocation_info").StartObject();
  writer.Key("role").String(offer.role).EndObject();
  writer.Key("slave_id").String(offer.agent_id);
  WriteResources(writer, "resources", offer.resources);
  writer.EndObject();
}

void WriteCommand(JsonWriter& writer, const mesos::v1::CommandInfo& command) {
  writer.StartObject();
  if (command.has_shell()) writer.Key("shell").Bool(command.shell());
  if (command.has_value()) writer.Key("value").String(command.value());
  writer.Key("argv").StartArray();
  for (const std::string& argument : command.arguments()) {
    writer.String(argument);
  }
  writer.EndArray();
  if (command.has_environment()) {
    writer.Key("environment");
    api::WriteMessage(command.environment(), writer);
  }
  writer.Key("uris").StartArray();
  for (const auto& uri : command.uris()) {
    writer.StartObject();
    writer.Key("value").String(uri.value());
    writer.Key("executable").Bool(uri.executable());
    writer.EndObject();
  }
  writer.EndArray();
  writer.EndObject();
}

void WriteExecutor(JsonWriter& writer, const std::string& framework_id,
                   const std::string& agent_id, const Executor& executor) {
  const mesos::v1::ExecutorInfo& info = executor.info;
  writer.StartObject();
  writer.Key("executor_id").String(info.executor_id().value());
  writer.Key("name").String(info.name());
  writer.Key("framework_id").String(framework_id);
  writer.Key("command");
  WriteCommand(writer, info.command());
  WriteResources(writer, "resources", executor.resources);
  if (info.has_labels()) WriteLabels(writer, info.labels());
  if (info.has_type()) {
    writer.Key("type").String(mesos::v1::ExecutorInfo::Type_Name(info.type()));
  }
  writer.Key("slave_id").String(agent_id);
  writer.EndObject();
}

void WriteAgentFields(JsonWriter& writer, const Agent& agent) {
  writer.Key("id").String(agent.id);
  writer.Key("hostname").String(agent.info.hostname());
  writer.Key("port").Int(agent.address.port);
  writer.Key("attributes");
  WriteAttributes(agent.info.attributes(), writer);
  if (agent.info.has_domain()) {
    writer.Key("domain");
    api::WriteMessage(agent.info.domain(), writer);
  }
  writer.Key("pid").String(agent.pid());
  writer.Key("registered_time")
      .Double(io::ToUnixSeconds(agent.registered_time));
  if (agent.reregistered_time) {
    writer.Key("reregistered_time")
        .Double(io::ToUnixSeconds(*agent.reregistered_time));
  }
  WriteResources(writer, "resources", agent.total);
  WriteResources(writer, "used_resources", agent.used);
  WriteResources(writer, "offered_resources", agent.offered);
  writer.Key("reserved_resources").StartObject();
  for (const auto& [role, resources] : agent.total.Reserved()) {
    WriteResources(writer, role, resources);
  }
  writer.EndObject();
  WriteResources(writer, "unreserved_resources", agent.total.Unreserved());
  writer.Key("active").Bool(agent.connected());
  writer.Key("deactivated").Bool(false);
  writer.Key("version").String(agent.version);
  writer.Key("capabilities").StartArray();
  for (const std::string& capability : agent.capabilities) {
    writer.String(capability);
  }
  writer.EndArray();
}

void WriteAgentWithAll(JsonWriter& writer, const Context& context,
                       const Agent& agent) {
  writer.StartObject();
  WriteAgentFields(writer, agent);
  writer.Key("reserved_resources_full").StartObject();
  for (const auto& [role, resources] : agent.total.Reserved()) {
    writer.Key(role);
    WriteFull(writer, resources);
  }
  writer.EndObject();
  writer.Key("unreserved_resources_full");
  WriteFull(writer, agent.total.Unreserved());
  writer.Key("used_resources_full");
  WriteFull(writer, context.cluster.UsedOn(agent));
  writer.Key("offered_resources_full");
  Resources offered;
  for (const std::string& id : agent.offers) {
    offered += context.cluster.offers().at(id).resources;
  }
  WriteFull(writer, offered);
  writer.EndObject();
}

void WriteRecoveredAgents(JsonWriter& writer, const Context& context) {
  writer.Key("recovered_slaves").StartArray();
  for (const auto& [id, recovered] : context.cluster.recovered_agents()) {
    writer.StartObject();
    writer.Key("id").String(id);
    writer.Key("hostname").String(recovered.info.hostname());
    writer.Key("port").Int(recovered.info.port());
    writer.Key("attributes");
    WriteAttributes(recovered.info.attributes(), writer);
    writer.EndObject();
  }
  writer.EndArray();
}

// What /state and /state-summary share.
void WriteFrameworkHead(JsonWriter& writer, const Framework& framework,
                        const Resources& used, const Resources& offered) {
  const FrameworkInfo& info = framework.info;
  writer.Key("id").String(framework.id);
  writer.Key("name").String(info.name());
  WriteResources(writer, "used_resources", used);
  WriteResources(writer, "offered_resources", offered);
  writer.Key("capabilities").StartArray();
  for (const auto& capability : info.capabilities()) {
    writer.String(FrameworkInfo::Capability::Type_Name(capability.type()));
  }
  writer.EndArray();
  writer.Key("hostname").String(info.hostname());
  writer.Key("webui_url").String(info.webui_url());
  writer.Key("active").Bool(framework.connected());
  writer.Key("connected").Bool(framework.connected());
  writer.Key("recovered").Bool(framework.recovered);
}

void WriteFramework(JsonWriter& writer, const Context& context,
                    const Framework& framework) {
  const FrameworkInfo& info = framework.info;
  const Resources used = context.cluster.UsedBy(framework);
  const Resources offered = context.cluster.OfferedTo(framework);
  writer.StartObject();
  WriteFrameworkHead(writer, framework, used, offered);
  writer.Key("user").String(info.user());
  writer.Key("failover_timeout").Double(info.failover_timeout());
  writer.Key("checkpoint").Bool(info.checkpoint());
  writer.Key("registered_time")
      .Double(io::ToUnixSeconds(framework.registered_time));
  writer.Key("unregistered_time")
      .Double(framework.unregistered_time
                  ? io::ToUnixSeconds(*framework.unregistered_time)
                  : 0);
  if (info.has_principal()) writer.Key("principal").String(info.principal());
  WriteResources(writer, "resources", used + offered);
  if (framework.reregistered_time) {
    writer.Key("reregistered_time")
        .Double(io::ToUnixSeconds(*framework.reregistered_time));
  }
  if (framework.Has(FrameworkInfo::Capability::MULTI_ROLE)) {
    writer.Key("roles").StartArray();
    for (const std::string& role : info.roles()) writer.String(role);
    writer.EndArray();
  } else {
    writer.Key("role").String(info.role());
  }
  WriteTasks(writer, "tasks", framework.tasks);
  WriteTasks(writer, "unreachable_tasks", framework.unreachable_tasks);
  WriteTasks(writer, "completed_tasks", framework.completed_tasks);
  writer.Key("offers").StartArray();
  for (const std::string& id : framework.offers) {
    WriteOffer(writer, context.cluster.offers().at(id));
  }
  writer.EndArray();
  writer.Key("executors").StartArray();
  for (const auto& [agent_id, agent] : context.cluster.agents()) {
    auto executors = agent->executors.find(framework.id);
    if (executors == agent->executors.end()) continue;
    for (const auto& [id, executor] : executors->second) {
      WriteExecutor(writer, framework.id, agent_id, executor);
    }
  }
  writer.EndArray();
  if (info.has_labels()) WriteLabels(writer, info.labels());
  writer.Key("offer_constraints").StartObject().EndObject();
  writer.EndObject();
}

void WriteFrameworks(JsonWriter& writer, const Context& context,
                     const std::string& only) {
  writer.Key("frameworks").StartArray();
  for (const auto& [id, framework] : context.cluster.frameworks()) {
    if (only.empty() || only == id) {
      WriteFramework(writer, context, *framework);
    }
  }
  writer.EndArray();
  writer.Key("completed_frameworks").StartArray();
  for (const auto& framework : context.cluster.completed_frameworks()) {
    if (only.empty() || only == framework->id) {
      WriteFramework(writer, context, *framework);
    }
  }
  writer.EndArray();
}

void WriteCounts(JsonWriter& writer, const StateCounts& counts) {
  for (TaskState state : kCountedStates) {
    auto it = counts.find(state);
    writer.Key(mesos::v1::TaskState_Name(state))
        .Int(it == counts.end() ? 0 : it->second);
  }
}

void WriteNames(JsonWriter& writer, absl::string_view key,
                const std::set<std::string>& names) {
  writer.Key(key).StartArray();
  for (const std::string& name : names) writer.String(name);
  writer.EndArray();
}

void WriteFlagMap(JsonWriter& writer, const MasterOptions& options) {
  writer.Key("flags").StartObject();
  for (const auto& [name, value] : options.flags) {
    writer.Key(name).String(value);
  }
  writer.EndObject();
}

void WriteIdentity(JsonWriter& writer, const Context& context) {
  writer.Key("version").String(kVersion);
  writer.Key("build_date").String(kBuildDate);
  writer.Key("build_time").Double(kBuildTime);
  writer.Key("build_user").String(kBuildUser);
  writer.Key("start_time").Double(io::ToUnixSeconds(context.start_time));
  if (context.elected_time) {
    writer.Key("elected_time").Double(io::ToUnixSeconds(*context.elected_time));
  }
  writer.Key("id").String(context.id());
  writer.Key("pid").String(context.info.pid());
  writer.Key("hostname").String(context.info.hostname());
  writer.Key("capabilities").StartArray();
  for (const auto& capability : context.info.capabilities()) {
    writer.String(
        mesos::v1::MasterInfo::Capability::Type_Name(capability.type()));
  }
  writer.EndArray();
}

void WriteLeader(JsonWriter& writer, const mesos::v1::MasterInfo& leader) {
  writer.Key("leader").String(leader.pid());
  writer.Key("leader_info").StartObject();
  writer.Key("id").String(leader.id());
  writer.Key("pid").String(leader.pid());
  writer.Key("port").Uint(leader.port());
  writer.Key("hostname").String(leader.hostname());
  writer.EndObject();
}

void WriteAgentNumbers(JsonWriter& writer, const Context& context) {
  size_t connected = 0;
  for (const auto& [id, agent] : context.cluster.agents()) {
    connected += agent->connected();
  }
  const size_t all = context.cluster.agents().size();
  writer.Key("activated_slaves").Double(static_cast<double>(connected));
  writer.Key("deactivated_slaves").Double(static_cast<double>(all - connected));
  writer.Key("unreachable_slaves")
      .Double(
          static_cast<double>(context.registry->state().unreachable().size()));
}

// The task and when it began.
using Dated = std::pair<double, const Task*>;

void Collect(const Framework& framework, const TaskQuery& query,
             std::vector<Dated>& found) {
  const auto add = [&](const Task& task) {
    if (!query.task_id.empty() && query.task_id != task.id()) return;
    const auto& statuses = task.info.statuses();
    found.emplace_back(statuses.empty() ? 0 : statuses.Get(0).timestamp(),
                       &task);
  };
  for (const auto& [id, task] : framework.tasks) add(task);
  for (const Task& task : framework.unreachable_tasks) add(task);
  for (const Task& task : framework.completed_tasks) add(task);
}

}  // namespace

std::string StateJson(const Context& context,
                      const std::optional<mesos::v1::MasterInfo>& leader) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  WriteIdentity(writer, context);
  WriteAgentNumbers(writer, context);
  if (leader) WriteLeader(writer, *leader);
  if (!context.options.cluster.empty()) {
    writer.Key("cluster").String(context.options.cluster);
  }
  auto log_dir = context.options.flags.find("log_dir");
  if (log_dir != context.options.flags.end()) {
    writer.Key("log_dir").String(log_dir->second);
  }
  WriteFlagMap(writer, context.options);
  writer.Key("slaves").StartArray();
  for (const auto& [id, agent] : context.cluster.agents()) {
    writer.StartObject();
    WriteAgentFields(writer, *agent);
    writer.EndObject();
  }
  writer.EndArray();
  WriteRecoveredAgents(writer, context);
  WriteFrameworks(writer, context, "");
  writer.Key("orphan_tasks").StartArray().EndArray();
  writer.Key("unregistered_frameworks").StartArray().EndArray();
  writer.EndObject();
  return text;
}

std::string StateSummaryJson(const Context& context) {
  std::map<std::string, StateCounts> by_agent;
  std::map<std::string, std::set<std::string>> frameworks_on;
  std::string text;
  JsonWriter writer(&text);
  for (const auto& [id, framework] : context.cluster.frameworks()) {
    for (const auto& [task_id, task] : framework->tasks) {
      Count(task, by_agent[task.agent_id()]);
      frameworks_on[task.agent_id()].insert(id);
    }
  }
  writer.StartObject();
  writer.Key("hostname").String(context.info.hostname());
  if (!context.options.cluster.empty()) {
    writer.Key("cluster").String(context.options.cluster);
  }
  writer.Key("slaves").StartArray();
  for (const auto& [id, agent] : context.cluster.agents()) {
    writer.StartObject();
    WriteAgentFields(writer, *agent);
    WriteCounts(writer, by_agent[id]);
    WriteNames(writer, "framework_ids", frameworks_on[id]);
    writer.EndObject();
  }
  writer.EndArray();
  writer.Key("frameworks").StartArray();
  for (const auto& [id, framework] : context.cluster.frameworks()) {
    StateCounts counts;
    std::set<std::string> agents;
    for (const auto& [task_id, task] : framework->tasks) {
      Count(task, counts);
      agents.insert(task.agent_id());
    }
    for (const Task& task : framework->unreachable_tasks) Count(task, counts);
    for (const Task& task : framework->completed_tasks) Count(task, counts);
    writer.StartObject();
    WriteFrameworkHead(writer, *framework, context.cluster.UsedBy(*framework),
                       context.cluster.OfferedTo(*framework));
    WriteCounts(writer, counts);
    WriteNames(writer, "slave_ids", agents);
    writer.EndObject();
  }
  writer.EndArray();
  writer.EndObject();
  return text;
}

std::string AgentsJson(const Context& context, const std::string& agent_id) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  writer.Key("slaves").StartArray();
  for (const auto& [id, agent] : context.cluster.agents()) {
    if (agent_id.empty() || agent_id == id) {
      WriteAgentWithAll(writer, context, *agent);
    }
  }
  writer.EndArray();
  WriteRecoveredAgents(writer, context);
  writer.EndObject();
  return text;
}

std::string FrameworksJson(const Context& context,
                           const std::string& framework_id) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  WriteFrameworks(writer, context, framework_id);
  writer.Key("unregistered_frameworks").StartArray().EndArray();
  writer.EndObject();
  return text;
}

absl::StatusOr<TaskQuery> ParseTaskQuery(
    const std::map<std::string, std::string>& query) {
  TaskQuery parsed;
  for (const auto& [key, value] : query) {
    int64_t number = 0;
    if (key == "limit" || key == "offset") {
      if (!absl::SimpleAtoi(value, &number)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "Expecting '", key, "' to be a number: '", value, "'"));
      }
      if (key == "limit") parsed.limit = number < 0 ? SIZE_MAX : number;
      if (key == "offset") parsed.offset = number < 0 ? 0 : number;
    } else if (key == "order") {
      if (value != "asc" && value != "desc") {
        return absl::InvalidArgumentError(
            absl::StrCat("Expecting 'order' to be asc or desc: '", value, "'"));
      }
      parsed.ascending = value == "asc";
    } else if (key == "framework_id") {
      parsed.framework_id = value;
    } else if (key == "task_id") {
      parsed.task_id = value;
    }
  }
  return parsed;
}

std::string TasksJson(const Context& context, const TaskQuery& query) {
  std::vector<Dated> found;
  const auto collect = [&](const Framework& framework) {
    if (query.framework_id.empty() || query.framework_id == framework.id) {
      Collect(framework, query, found);
    }
  };
  for (const auto& [id, framework] : context.cluster.frameworks()) {
    collect(*framework);
  }
  for (const auto& framework : context.cluster.completed_frameworks()) {
    collect(*framework);
  }
  std::stable_sort(
      found.begin(), found.end(), [&](const Dated& a, const Dated& b) {
        return query.ascending ? a.first < b.first : a.first > b.first;
      });
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  writer.Key("tasks").StartArray();
  for (size_t i = query.offset;
       i < found.size() && i - query.offset < query.limit; ++i) {
    WriteTask(writer, *found[i].second);
  }
  writer.EndArray();
  writer.EndObject();
  return text;
}

std::string FlagsJson(const MasterOptions& options) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  WriteFlagMap(writer, options);
  writer.EndObject();
  return text;
}

std::string VersionJson() {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  writer.Key("build_date").String(kBuildDate);
  writer.Key("build_time").Double(kBuildTime);
  writer.Key("build_user").String(kBuildUser);
  writer.Key("version").String(kVersion);
  writer.EndObject();
  return text;
}

}  // namespace quorate::master
