#include "core/agent/views.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/api/json.h"
#include "core/base/version.h"
#include "core/json/writer.h"
#include "core/resources/attributes.h"
#include "core/resources/resources.h"

namespace quorate::agent {
namespace {

using json::JsonWriter;
using mesos::v1::FrameworkInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::agent::Response;

// Validated when they came in.
Resources ToResources(const Resources::Protos& protos) {
  auto resources = Resources::FromProto(protos);
  return resources.ok() ? *std::move(resources) : Resources();
}

void WriteFull(const Resources& resources, JsonWriter& writer) {
  Resources::Protos protos;
  resources.ToProto(&protos, Resources::Form::kClassic);
  writer.StartArray();
  for (const auto& resource : protos) api::WriteMessage(resource, writer);
  writer.EndArray();
}

void WriteByRole(const Resources& resources,
                 const std::function<void(const Resources&)>& write,
                 JsonWriter& writer) {
  writer.StartObject();
  for (const auto& [role, part] : resources.Reserved()) {
    writer.Key(role);
    write(part);
  }
  writer.EndObject();
}

Resources Allocated(const Workload& workload) {
  Resources used;
  for (const auto& [id, framework] : workload.frameworks()) {
    for (const auto& [executor_id, executor] : framework->executors) {
      used += executor->Used();
    }
  }
  used.Unallocate();
  return used;
}

void WriteResources(const Snapshot& snapshot, JsonWriter& writer) {
  const Resources total = ToResources(snapshot.info.resources());
  const Resources used = Allocated(snapshot.workload);
  const auto summary = [&writer](const Resources& resources) {
    resources.WriteSummary(writer);
  };
  const auto full = [&writer](const Resources& resources) {
    WriteFull(resources, writer);
  };
  writer.Key("resources");
  summary(total);
  writer.Key("reserved_resources");
  WriteByRole(total, summary, writer);
  writer.Key("unreserved_resources");
  summary(total.Unreserved());
  writer.Key("reserved_resources_full");
  WriteByRole(total, full, writer);
  writer.Key("unreserved_resources_full");
  full(total.Unreserved());
  writer.Key("reserved_resources_allocated");
  WriteByRole(used, summary, writer);
  writer.Key("unreserved_resources_allocated");
  summary(used.Unreserved());
}

// The role for which something is allocated.
std::string RoleOf(const Resources::Protos& resources) {
  return resources.empty() ? "*" : resources[0].allocation_info().role();
}

void WriteStatus(const TaskStatus& status, JsonWriter& writer) {
  writer.StartObject();
  writer.Key("state").String(TaskState_Name(status.state()));
  writer.Key("timestamp").Double(status.timestamp());
  if (status.has_labels()) {
    writer.Key("labels").StartArray();
    for (const auto& label : status.labels().labels()) {
      api::WriteMessage(label, writer);
    }
    writer.EndArray();
  }
  if (status.has_container_status()) {
    mesos::v1::ContainerStatus container = status.container_status();
    container.clear_executor_pid();
    writer.Key("container_status");
    api::WriteMessage(container, writer);
  }
  if (status.has_healthy()) writer.Key("healthy").Bool(status.healthy());
  writer.EndObject();
}

void WriteTask(const Executor& executor, const Task& task, JsonWriter& writer) {
  const mesos::v1::TaskInfo& info = task.info;
  writer.StartObject();
  writer.Key("id").String(task.id());
  writer.Key("name").String(info.name());
  writer.Key("framework_id").String(executor.run.framework_id);
  writer.Key("executor_id").String(executor.generated ? "" : executor.id());
  writer.Key("slave_id").String(info.agent_id().value());
  writer.Key("state").String(TaskState_Name(task.state));
  writer.Key("resources");
  ToResources(info.resources()).WriteSummary(writer);
  writer.Key("role").String(RoleOf(info.resources()));
  writer.Key("statuses").StartArray();
  for (const TaskStatus& status : task.statuses) WriteStatus(status, writer);
  writer.EndArray();
  if (info.has_labels()) {
    writer.Key("labels").StartArray();
    for (const auto& label : info.labels().labels()) {
      api::WriteMessage(label, writer);
    }
    writer.EndArray();
  }
  if (info.has_discovery()) {
    writer.Key("discovery");
    api::WriteMessage(info.discovery(), writer);
  }
  if (info.has_container()) {
    writer.Key("container");
    api::WriteMessage(info.container(), writer);
  }
  writer.EndObject();
}

void WriteTasks(const Executor& executor, Task::Phase phase,
                JsonWriter& writer) {
  for (const auto& [id, task] : executor.tasks) {
    if (task.phase == phase) WriteTask(executor, task, writer);
  }
}

void WriteExecutor(const Executor& executor, JsonWriter& writer) {
  Resources used = executor.Used();
  if (executor.state == Executor::State::kTerminated) {
    used = ToResources(executor.info.resources());
  }
  writer.StartObject();
  writer.Key("id").String(executor.id());
  writer.Key("name").String(executor.info.name());
  writer.Key("source").String(executor.info.source());
  writer.Key("container").String(executor.run.container_id);
  writer.Key("directory").String(executor.sandbox);
  writer.Key("resources");
  used.WriteSummary(writer);
  writer.Key("role").String(RoleOf(executor.info.resources()));
  if (executor.info.has_labels()) {
    writer.Key("labels").StartArray();
    for (const auto& label : executor.info.labels().labels()) {
      api::WriteMessage(label, writer);
    }
    writer.EndArray();
  }
  writer.Key("tasks").StartArray();
  WriteTasks(executor, Task::Phase::kLaunched, writer);
  writer.EndArray();
  writer.Key("queued_tasks").StartArray();
  WriteTasks(executor, Task::Phase::kQueued, writer);
  writer.EndArray();
  writer.Key("completed_tasks").StartArray();
  for (const Task& task : executor.completed) {
    WriteTask(executor, task, writer);
  }
  WriteTasks(executor, Task::Phase::kTerminated, writer);
  writer.EndArray();
  writer.EndObject();
}

void WriteFramework(const Framework& framework, JsonWriter& writer) {
  const FrameworkInfo& info = framework.info;
  writer.StartObject();
  writer.Key("id").String(framework.id());
  writer.Key("name").String(info.name());
  writer.Key("user").String(info.user());
  writer.Key("failover_timeout").Double(info.failover_timeout());
  writer.Key("checkpoint").Bool(info.checkpoint());
  writer.Key("hostname").String(info.hostname());
  if (info.has_principal()) writer.Key("principal").String(info.principal());
  if (info.roles_size() > 0) {
    writer.Key("roles").StartArray();
    for (const std::string& role : info.roles()) writer.String(role);
    writer.EndArray();
  } else {
    writer.Key("role").String(info.role());
  }
  writer.Key("executors").StartArray();
  for (const auto& [id, executor] : framework.executors) {
    WriteExecutor(*executor, writer);
  }
  writer.EndArray();
  writer.Key("completed_executors").StartArray();
  for (const auto& executor : framework.completed) {
    WriteExecutor(*executor, writer);
  }
  writer.EndArray();
  writer.EndObject();
}

void WriteFlags(const std::map<std::string, std::string>& flags,
                JsonWriter& writer) {
  writer.StartObject();
  for (const auto& [name, value] : flags) writer.Key(name).String(value);
  writer.EndObject();
}

using OnExecutor = std::function<void(const Framework&, const Executor&)>;

void ForEachLive(const Workload& workload, const OnExecutor& visit) {
  for (const auto& [id, framework] : workload.frameworks()) {
    for (const auto& [executor_id, executor] : framework->executors) {
      visit(*framework, *executor);
    }
  }
}

void ForEachCompleted(const Workload& workload, const OnExecutor& visit) {
  for (const auto& [id, framework] : workload.frameworks()) {
    for (const auto& executor : framework->completed) {
      visit(*framework, *executor);
    }
  }
  for (const auto& framework : workload.completed()) {
    for (const auto& executor : framework->completed) {
      visit(*framework, *executor);
    }
  }
}

bool HasContainer(const Executor& executor) {
  return executor.pid > 0 && executor.state != Executor::State::kTerminated;
}

mesos::v1::ContainerStatus ContainerStatusOf(const Executor& executor) {
  mesos::v1::ContainerStatus status;
  status.mutable_container_id()->set_value(executor.run.container_id);
  status.set_executor_pid(static_cast<uint32_t>(executor.pid));
  return status;
}

void WriteVersion(JsonWriter& writer) {
  writer.Key("version").String(kVersion);
  writer.Key("build_date").String(kBuildDate);
  writer.Key("build_time").Double(kBuildTime);
  writer.Key("build_user").String(kBuildUser);
}

}  // namespace

const std::vector<std::string>& Capabilities() {
  static const auto& capabilities = *new std::vector<std::string>{
      "MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"};
  return capabilities;
}

std::string StateJson(const Snapshot& snapshot) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  WriteVersion(writer);
  writer.Key("start_time").Double(io::ToUnixSeconds(snapshot.start_time));
  writer.Key("id").String(snapshot.info.id().value());
  writer.Key("pid").String(absl::StrCat("slave(1)@", snapshot.self.ToString()));
  writer.Key("hostname").String(snapshot.info.hostname());
  writer.Key("capabilities").StartArray();
  for (const std::string& name : Capabilities()) writer.String(name);
  writer.EndArray();
  WriteResources(snapshot, writer);
  writer.Key("resource_providers").StartArray().EndArray();
  writer.Key("attributes");
  WriteAttributes(snapshot.info.attributes(), writer);
  if (!snapshot.master_hostname.empty()) {
    writer.Key("master_hostname").String(snapshot.master_hostname);
  }
  const auto log_dir = snapshot.options.flags.find("log_dir");
  if (log_dir != snapshot.options.flags.end()) {
    writer.Key("log_dir").String(log_dir->second);
  }
  writer.Key("flags");
  WriteFlags(snapshot.options.flags, writer);
  writer.Key("frameworks").StartArray();
  for (const auto& [id, framework] : snapshot.workload.frameworks()) {
    WriteFramework(*framework, writer);
  }
  writer.EndArray();
  writer.Key("completed_frameworks").StartArray();
  for (const auto& framework : snapshot.workload.completed()) {
    WriteFramework(*framework, writer);
  }
  writer.EndArray();
  writer.EndObject();
  return text;
}

std::string FlagsJson(const std::map<std::string, std::string>& flags) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  writer.Key("flags");
  WriteFlags(flags, writer);
  writer.EndObject();
  return text;
}

std::string VersionJson() {
  std::string text;
  JsonWriter writer(&text);
  writer.StartObject();
  WriteVersion(writer);
  writer.EndObject();
  return text;
}

std::string ContainersJson(const Workload& workload, io::WallTime now) {
  std::string text;
  JsonWriter writer(&text);
  writer.StartArray();
  ForEachLive(workload, [&](const Framework& framework, const Executor& e) {
    if (!HasContainer(e)) return;
    writer.StartObject();
    writer.Key("container_id").String(e.run.container_id);
    writer.Key("executor_id").String(e.id());
    writer.Key("executor_name").String(e.info.name());
    writer.Key("framework_id").String(framework.id());
    writer.Key("source").String(e.info.source());
    const Resources used = e.Used();
    writer.Key("statistics").StartObject();
    writer.Key("cpus_soft_limit").Double(used.Scalar("cpus"));
    writer.Key("mem_soft_limit_bytes")
        .Uint(static_cast<uint64_t>(used.Scalar("mem")) << 20);
    writer.Key("timestamp").Double(io::ToUnixSeconds(now));
    writer.EndObject();
    writer.Key("status");
    api::WriteMessage(ContainerStatusOf(e), writer);
    writer.EndObject();
  });
  writer.EndArray();
  return text;
}

// -----------------------------------------------------------------------------
// Operator API

void FillTasks(const Workload& workload, Response::GetTasks* answer) {
  ForEachLive(workload, [answer](const Framework&, const Executor& executor) {
    for (const auto& [id, task] : executor.tasks) {
      mesos::v1::Task* entry = task.phase == Task::Phase::kQueued
                                   ? answer->add_queued_tasks()
                               : task.phase == Task::Phase::kLaunched
                                   ? answer->add_launched_tasks()
                                   : answer->add_terminated_tasks();
      *entry = ToApi(executor, task);
    }
  });
  const auto add = [answer](const Framework&, const Executor& executor) {
    for (const Task& task : executor.completed) {
      *answer->add_completed_tasks() = ToApi(executor, task);
    }
  };
  ForEachLive(workload, add);
  ForEachCompleted(workload, add);
}

void FillExecutors(const Workload& workload, Response::GetExecutors* answer) {
  ForEachLive(workload, [answer](const Framework&, const Executor& executor) {
    *answer->add_executors()->mutable_executor_info() = executor.info;
  });
  ForEachCompleted(workload, [answer](const Framework&,
                                      const Executor& executor) {
    *answer->add_completed_executors()->mutable_executor_info() = executor.info;
  });
}

void FillFrameworks(const Workload& workload, Response::GetFrameworks* answer) {
  for (const auto& [id, framework] : workload.frameworks()) {
    *answer->add_frameworks()->mutable_framework_info() = framework->info;
  }
  for (const auto& framework : workload.completed()) {
    *answer->add_completed_frameworks()->mutable_framework_info() =
        framework->info;
  }
}

void FillContainers(const Workload& workload, Response::GetContainers* answer) {
  ForEachLive(
      workload, [answer](const Framework& framework, const Executor& executor) {
        if (!HasContainer(executor)) return;
        auto& container = *answer->add_containers();
        *container.mutable_framework_id() = framework.info.id();
        *container.mutable_executor_id() = executor.info.executor_id();
        container.set_executor_name(executor.info.name());
        container.mutable_container_id()->set_value(executor.run.container_id);
        *container.mutable_container_status() = ContainerStatusOf(executor);
      });
}

// -----------------------------------------------------------------------------
// Metrics

void AddGauges(const Workload& workload, const Resources& total,
               metrics::Metrics* metrics) {
  metrics->AddGauge("slave/frameworks_active", [&workload] {
    return static_cast<double>(workload.frameworks().size());
  });
  for (const Executor::State state :
       {Executor::State::kRegistering, Executor::State::kRunning,
        Executor::State::kTerminating}) {
    metrics->AddGauge(
        absl::StrCat("slave/executors_", StateName(state)), [&workload, state] {
          double count = 0;
          ForEachLive(workload, [&](const Framework&, const Executor& e) {
            count += e.state == state;
          });
          return count;
        });
  }
  const std::map<std::string, TaskState> live = {
      {"staging", mesos::v1::TASK_STAGING},
      {"starting", mesos::v1::TASK_STARTING},
      {"running", mesos::v1::TASK_RUNNING},
      {"killing", mesos::v1::TASK_KILLING}};
  for (const auto& [name, state] : live) {
    metrics->AddGauge("slave/tasks_" + name, [&workload, state = state] {
      double count = 0;
      ForEachLive(workload, [&](const Framework&, const Executor& e) {
        for (const auto& [id, task] : e.tasks) count += task.state == state;
      });
      return count;
    });
  }
  for (const char* name : {"cpus", "gpus", "mem", "disk"}) {
    const auto used = [&workload, name] {
      return Allocated(workload).Scalar(name);
    };
    metrics->AddGauge(absl::StrCat("slave/", name, "_total"),
                      [&total, name] { return total.Scalar(name); });
    metrics->AddGauge(absl::StrCat("slave/", name, "_used"), used);
    metrics->AddGauge(absl::StrCat("slave/", name, "_percent"),
                      [&total, name, used] {
                        const double all = total.Scalar(name);
                        return all > 0 ? used() / all : 0;
                      });
  }
  // Known from the start, so that monitoring sees them at 0.
  for (const char* name : {"failed", "finished", "gone", "killed", "lost"}) {
    metrics->AddCounter(absl::StrCat("slave/tasks_", name));
  }
}

}  // namespace quorate::agent
