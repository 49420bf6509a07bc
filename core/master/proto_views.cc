#include "core/master/proto_views.h"

#include <string>

#include "core/api/json.h"
#include "core/json/writer.h"
#include "core/master/events.h"

namespace quorate::master {
namespace {

using mesos::v1::master::Response;

constexpr Resources::Form kForm = Resources::Form::kClassic;

void FillAgent(const Context& context, const Agent& agent,
               Response::GetAgents::Agent* out) {
  *out->mutable_agent_info() = agent.info;
  out->set_active(agent.connected());
  out->set_deactivated(false);
  out->set_version(agent.version);
  out->set_pid(agent.pid());
  *out->mutable_registered_time() = MakeTime(agent.registered_time);
  if (agent.reregistered_time) {
    *out->mutable_reregistered_time() = MakeTime(*agent.reregistered_time);
  }
  agent.total.ToProto(out->mutable_total_resources(), kForm);
  context.cluster.UsedOn(agent).ToProto(out->mutable_allocated_resources(),
                                        kForm);
  Resources offered;
  for (const std::string& id : agent.offers) {
    offered += context.cluster.offers().at(id).resources;
  }
  offered.ToProto(out->mutable_offered_resources(), kForm);
  for (const std::string& name : agent.capabilities) {
    mesos::v1::AgentInfo::Capability::Type type;
    if (mesos::v1::AgentInfo::Capability::Type_Parse(name, &type)) {
      out->add_capabilities()->set_type(type);
    }
  }
}

void FillOffer(const Offer& offer, mesos::v1::Offer* out,
               const Context& context) {
  const Agent& agent = *context.cluster.FindAgent(offer.agent_id);
  out->mutable_id()->set_value(offer.id);
  out->mutable_framework_id()->set_value(offer.framework_id);
  out->mutable_agent_id()->set_value(offer.agent_id);
  out->set_hostname(agent.info.hostname());
  out->mutable_allocation_info()->set_role(offer.role);
  offer.resources.ToProto(out->mutable_resources(), kForm);
}

void FillFramework(const Context& context, const Framework& framework,
                   Response::GetFrameworks::Framework* out) {
  *out->mutable_framework_info() = framework.info;
  out->set_active(framework.connected());
  out->set_connected(framework.connected());
  out->set_recovered(framework.recovered);
  *out->mutable_registered_time() = MakeTime(framework.registered_time);
  *out->mutable_reregistered_time() =
      MakeTime(framework.reregistered_time.value_or(framework.registered_time));
  if (framework.unregistered_time) {
    *out->mutable_unregistered_time() = MakeTime(*framework.unregistered_time);
  }
  for (const std::string& id : framework.offers) {
    FillOffer(context.cluster.offers().at(id), out->add_offers(), context);
  }
  context.cluster.UsedBy(framework).ToProto(out->mutable_allocated_resources(),
                                            kForm);
  context.cluster.OfferedTo(framework).ToProto(out->mutable_offered_resources(),
                                               kForm);
  out->mutable_offer_constraints();
}

void FillTasksOf(const Framework& framework, Response::GetTasks* out) {
  for (const auto& [id, task] : framework.tasks) *out->add_tasks() = task.info;
  for (const Task& task : framework.unreachable_tasks) {
    *out->add_unreachable_tasks() = task.info;
  }
  for (const Task& task : framework.completed_tasks) {
    *out->add_completed_tasks() = task.info;
  }
}

template <typename Message>
void WriteList(json::JsonWriter& writer, absl::string_view key,
               const google::protobuf::RepeatedPtrField<Message>& list) {
  writer.Key(key).StartArray();
  for (const Message& item : list) api::WriteMessage(item, writer);
  writer.EndArray();
}

void WriteTasks(json::JsonWriter& writer, const Response::GetTasks& tasks) {
  writer.Key("get_tasks").StartObject();
  WriteList(writer, "tasks", tasks.tasks());
  WriteList(writer, "unreachable_tasks", tasks.unreachable_tasks());
  WriteList(writer, "completed_tasks", tasks.completed_tasks());
  writer.EndObject();
}

void WriteExecutors(json::JsonWriter& writer,
                    const Response::GetExecutors& executors) {
  writer.Key("get_executors").StartObject();
  WriteList(writer, "executors", executors.executors());
  writer.EndObject();
}

void WriteFrameworks(json::JsonWriter& writer,
                     const Response::GetFrameworks& frameworks) {
  writer.Key("get_frameworks").StartObject();
  WriteList(writer, "frameworks", frameworks.frameworks());
  WriteList(writer, "completed_frameworks", frameworks.completed_frameworks());
  writer.EndObject();
}

void WriteAgents(json::JsonWriter& writer, const Response::GetAgents& agents) {
  writer.Key("get_agents").StartObject();
  WriteList(writer, "agents", agents.agents());
  WriteList(writer, "recovered_agents", agents.recovered_agents());
  writer.EndObject();
}

// False for a reply without such lists.
bool WriteLists(json::JsonWriter& writer, const Response& reply) {
  switch (reply.type()) {
    case Response::GET_TASKS:
      WriteTasks(writer, reply.get_tasks());
      return true;
    case Response::GET_EXECUTORS:
      WriteExecutors(writer, reply.get_executors());
      return true;
    case Response::GET_FRAMEWORKS:
      WriteFrameworks(writer, reply.get_frameworks());
      return true;
    case Response::GET_AGENTS:
      WriteAgents(writer, reply.get_agents());
      return true;
    case Response::GET_STATE:
      writer.Key("get_state").StartObject();
      WriteTasks(writer, reply.get_state().get_tasks());
      WriteExecutors(writer, reply.get_state().get_executors());
      WriteFrameworks(writer, reply.get_state().get_frameworks());
      WriteAgents(writer, reply.get_state().get_agents());
      writer.EndObject();
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string ReplyJson(const Response& reply) {
  std::string text;
  json::JsonWriter writer(&text);
  writer.StartObject();
  writer.Key("type").String(Response::Type_Name(reply.type()));
  if (!WriteLists(writer, reply)) return api::MessageToJson(reply);
  writer.EndObject();
  return text;
}

void FillVersion(mesos::v1::VersionInfo* info) {
  info->set_version(kVersion);
  info->set_build_date(kBuildDate);
  info->set_build_time(kBuildTime);
  info->set_build_user(kBuildUser);
}

void FillMaster(const Context& context, Response::GetMaster* master) {
  *master->mutable_master_info() = context.info;
  master->set_start_time(io::ToUnixSeconds(context.start_time));
  if (context.elected_time) {
    master->set_elected_time(io::ToUnixSeconds(*context.elected_time));
  }
}

void FillAgents(const Context& context, Response::GetAgents* agents) {
  for (const auto& [id, agent] : context.cluster.agents()) {
    FillAgent(context, *agent, agents->add_agents());
  }
  for (const auto& [id, recovered] : context.cluster.recovered_agents()) {
    *agents->add_recovered_agents() = recovered.info;
  }
}

void FillFrameworks(const Context& context,
                    Response::GetFrameworks* frameworks) {
  for (const auto& [id, framework] : context.cluster.frameworks()) {
    FillFramework(context, *framework, frameworks->add_frameworks());
  }
  for (const auto& framework : context.cluster.completed_frameworks()) {
    FillFramework(context, *framework, frameworks->add_completed_frameworks());
  }
}

void FillExecutors(const Context& context, Response::GetExecutors* out) {
  for (const auto& [agent_id, agent] : context.cluster.agents()) {
    for (const auto& [framework_id, executors] : agent->executors) {
      for (const auto& [id, executor] : executors) {
        auto& added = *out->add_executors();
        *added.mutable_executor_info() = executor.info;
        added.mutable_agent_id()->set_value(agent_id);
      }
    }
  }
}

void FillTasks(const Context& context, Response::GetTasks* out) {
  for (const auto& [id, framework] : context.cluster.frameworks()) {
    FillTasksOf(*framework, out);
  }
  for (const auto& framework : context.cluster.completed_frameworks()) {
    FillTasksOf(*framework, out);
  }
}

}  // namespace quorate::master
