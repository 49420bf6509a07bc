#include "core/cli/views.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/api/json.h"
#include "core/cli/disagreements.h"
#include "core/cli/table.h"
#include "core/json/writer.h"

namespace quorate::cli {
namespace {

using mesos::v1::Task;
using Align = Table::Align;
using Agent = mesos::v1::master::Response::GetAgents::Agent;
using Framework = mesos::v1::master::Response::GetFrameworks::Framework;
using Resources = google::protobuf::RepeatedPtrField<mesos::v1::Resource>;

std::string Text(const json::Value& value) {
  return std::string(value.AsString());
}

double Scalar(const Resources& resources, absl::string_view name) {
  double sum = 0;
  for (const mesos::v1::Resource& resource : resources) {
    if (resource.name() == name) sum += resource.scalar().value();
  }
  return sum;
}

// "1.5/8"
std::string Share(const Resources& used, const Resources& all,
                  absl::string_view name) {
  return absl::StrCat(TextOf(Scalar(used, name)), "/",
                      TextOf(Scalar(all, name)));
}

std::string Ago(double unix_seconds, io::WallTime now) {
  if (unix_seconds <= 0) return "";
  return TextOf(std::chrono::duration_cast<io::Duration>(
      std::chrono::duration<double>(io::ToUnixSeconds(now) - unix_seconds)));
}

std::string Ago(const mesos::v1::TimeInfo& time, io::WallTime now) {
  return Ago(static_cast<double>(time.nanoseconds()) / 1e9, now);
}

// "TASK_RUNNING" -> "running"
std::string StateText(mesos::v1::TaskState state) {
  std::string text = mesos::v1::TaskState_Name(state).substr(5);
  for (char& c : text) c = c == '_' ? ' ' : static_cast<char>(c | 0x20);
  return text;
}

// Problems of all testimonies, each once: where they contradict each other, the
// leader's, and what the others know of themselves.
class Problems {
 public:
  explicit Problems(const std::vector<Testimony>& testimonies) {
    for (Problem& problem : DisagreementsOf(testimonies)) {
      Add(std::move(problem));
    }
    const Testimony* leader = LeaderOf(testimonies);
    if (leader != nullptr) AddAll(leader->quorum);
    for (const Testimony& testimony : testimonies) {
      if (&testimony == leader) continue;
      if (!testimony.status.ok()) {
        AddSilent(testimony);
      } else if (leader == nullptr) {
        AddAll(testimony.quorum);
      } else {
        AddOwn(testimony.quorum);
      }
    }
  }

  const std::vector<Problem>& all() const { return problems_; }
  bool any_but_notes() const {
    return std::any_of(problems_.begin(), problems_.end(),
                       [](const Problem& p) { return p.severity != "note"; });
  }

 private:
  void AddAll(const json::Value& quorum) {
    for (const json::Value& problem : quorum["problems"].items()) Add(problem);
  }

  void AddOwn(const json::Value& quorum) {
    for (const json::Value& problem : quorum["problems"].items()) {
      if (problem["master"].AsString() ==
          quorum["master"]["address"].AsString()) {
        Add(problem);
      }
    }
  }

  void Add(const json::Value& problem) {
    Add({Text(problem["severity"]), Text(problem["kind"]),
         Text(problem["master"]), Text(problem["what"]),
         Text(problem["remedy"])});
  }

  void AddSilent(const Testimony& testimony) {
    const std::string master = testimony.master.ToString();
    const bool known = std::any_of(
        problems_.begin(), problems_.end(),
        [&](const Problem& problem) { return problem.master == master; });
    if (known) return;
    Add({"warning", "no answer", master,
         std::string(testimony.status.message()),
         "see whether it runs, and whether this machine reaches it"});
  }

  void Add(Problem problem) {
    if (seen_.insert({problem.kind, problem.master}).second) {
      problems_.push_back(std::move(problem));
    }
  }

  std::set<std::pair<std::string, std::string>> seen_;
  std::vector<Problem> problems_;
};

// The leader's, or that of whoever knows most.
const Testimony* BestOf(const std::vector<Testimony>& testimonies) {
  const Testimony* best = LeaderOf(testimonies);
  if (best != nullptr) return best;
  for (const Testimony& testimony : testimonies) {
    if (!testimony.status.ok()) continue;
    if (best == nullptr ||
        (best->quorum["status"].AsString() == "unavailable" &&
         testimony.quorum["status"].AsString() != "unavailable")) {
      best = &testimony;
    }
  }
  return best;
}

std::string Headline(const std::vector<Testimony>& testimonies,
                     const Testimony& best) {
  const json::Value& quorum = best.quorum;
  const json::Value& leader = quorum["leader"];
  std::string line = absl::StrCat(ToString(HealthOf(testimonies)), ": ");
  if (IsCritical(DisagreementsOf(testimonies))) {
    return line + "the masters are not one cluster under one leader";
  }
  if (leader.is_null() || quorum["status"].AsString() == "unavailable") {
    absl::StrAppend(&line, "no master leads");
  } else {
    absl::StrAppend(&line, leader["address"].AsString(), " leads, in epoch ",
                    leader["epoch"].AsUint());
  }
  const uint64_t voters = quorum["voters"].AsUint();
  absl::StrAppend(&line, "; the log has ", voters,
                  voters == 1 ? " member" : " members");
  if (!quorum["tolerates"].is_null()) {
    const uint64_t tolerates = quorum["tolerates"].AsUint();
    absl::StrAppend(&line, ", and goes on when ",
                    tolerates == 0 ? "none" : absl::StrCat(tolerates),
                    tolerates == 0
                        ? " of them fails"
                        : (tolerates == 1 ? " more fails" : " more fail"));
  }
  return line;
}

std::string RoleOf(const json::Value& quorum) {
  const absl::string_view phase = quorum["phase"].AsString();
  if (phase == "leading") return "leader";
  return std::string(phase == "following" ? "follower" : phase);
}

void AppendProblems(const Problems& problems, Lines* lines) {
  if (!problems.all().empty()) lines->push_back("");
  for (const Problem& problem : problems.all()) {
    for (std::string& line : LinesOf(problem))
      lines->push_back(std::move(line));
  }
}

// Of the log, as its leader says, or whoever knows most.
void AddMembers(const std::vector<Testimony>& testimonies, Table* table) {
  const Testimony* best = BestOf(testimonies);
  if (best == nullptr) return;
  for (const json::Value& member : best->quorum["masters"].items()) {
    table->Add({Text(member["address"]), Text(member["state"]),
                member["leads"].AsBool() ? "yes" : "no",
                member["votes"].AsBool() ? "yes" : "no",
                absl::StrCat(member["learned_upto"].AsUint()),
                Text(member["id"])});
  }
}

std::map<std::string, int> Count(
    const google::protobuf::RepeatedPtrField<Task>& tasks,
    const std::string& (*key)(const Task&)) {
  std::map<std::string, int> counts;
  for (const Task& task : tasks) ++counts[key(task)];
  return counts;
}

void AddTask(const Task& task,
             const std::map<std::string, std::string>& hostnames,
             io::WallTime now, Table* table) {
  const std::string& agent = task.agent_id().value();
  auto hostname = hostnames.find(agent);
  const double since =
      task.statuses().empty() ? 0 : task.statuses().rbegin()->timestamp();
  table->Add(
      {task.task_id().value(), task.name(), StateText(task.state()),
       Ago(since, now), hostname == hostnames.end() ? agent : hostname->second,
       TextOf(Scalar(task.resources(), "cpus")),
       TextOf(Scalar(task.resources(), "mem")), task.framework_id().value()});
}

void AddFramework(const Framework& framework, const std::string& state,
                  int tasks, io::WallTime now, Table* table) {
  const mesos::v1::FrameworkInfo& info = framework.framework_info();
  const Resources& used = framework.allocated_resources();
  table->Add({info.id().value(), info.name(), state, info.user(),
              absl::StrJoin(info.roles(), ","), absl::StrCat(tasks),
              TextOf(Scalar(used, "cpus")), TextOf(Scalar(used, "mem")),
              Ago(framework.registered_time(), now)});
}

std::string StateOf(const Framework& framework) {
  if (framework.connected()) return "active";
  return framework.recovered() ? "recovering" : "disconnected";
}

template <typename Message>
void WriteList(json::JsonWriter& writer, absl::string_view key,
               const google::protobuf::RepeatedPtrField<Message>& list) {
  writer.Key(key).StartArray();
  for (const Message& item : list) api::WriteMessage(item, writer);
  writer.EndArray();
}

}  // namespace

const char* ToString(Health health) {
  constexpr const char* kNames[] = {"healthy", "degraded", "unavailable"};
  return kNames[static_cast<int>(health)];
}

Health HealthOf(const std::vector<Testimony>& testimonies) {
  const Testimony* best = BestOf(testimonies);
  if (best == nullptr || best->quorum["status"].AsString() == "unavailable" ||
      IsCritical(DisagreementsOf(testimonies))) {
    return Health::kUnavailable;
  }
  return Problems(testimonies).any_but_notes() ? Health::kDegraded
                                               : Health::kHealthy;
}

Lines QuorumLines(const std::vector<Testimony>& testimonies) {
  const Testimony* best = BestOf(testimonies);
  if (best == nullptr) return {};
  Lines lines = {Headline(testimonies, *best), ""};
  Table table({{"ADDRESS"},
               {"STATE"},
               {"LEADS"},
               {"VOTES"},
               {"LEARNED", Align::kRight},
               {"ID"}});
  const auto clusters = ByCluster(testimonies);
  if (clusters.size() > 1) {
    for (const auto& cluster : clusters) AddMembers(cluster.second, &table);
  } else {
    AddMembers(testimonies, &table);
  }
  for (std::string& line : table.Lines()) lines.push_back(std::move(line));
  AppendProblems(Problems(testimonies), &lines);
  return lines;
}

Lines MastersLines(const std::vector<Testimony>& testimonies) {
  Table table({{"ADDRESS"}, {"ROLE"}, {"VERSION"}, {"HOSTNAME"}, {"ID"}});
  Lines trouble;
  for (const Testimony& testimony : testimonies) {
    const json::Value& master = testimony.quorum["master"];
    const std::string address = testimony.master.ToString();
    if (testimony.status.ok()) {
      table.Add({address, RoleOf(testimony.quorum), Text(master["version"]),
                 Text(master["hostname"]), Text(master["id"])});
    } else {
      table.Add({address, "no answer", "", "", ""});
      trouble.push_back(absl::StrCat(address, " ", testimony.status.message()));
    }
  }
  for (const Problem& problem : DisagreementsOf(testimonies)) {
    for (std::string& line : LinesOf(problem))
      trouble.push_back(std::move(line));
  }
  Lines lines = table.Lines();
  if (!trouble.empty()) lines.push_back("");
  lines.insert(lines.end(), trouble.begin(), trouble.end());
  return lines;
}

std::string SurveyJson(const std::vector<Testimony>& testimonies) {
  std::string text;
  json::JsonWriter w(&text);
  w.StartObject();
  w.Key("status").String(ToString(HealthOf(testimonies)));
  const Testimony* leader = LeaderOf(testimonies);
  w.Key("leader");
  if (leader == nullptr) {
    w.Null();
  } else {
    w.String(leader->master.ToString());
  }
  w.Key("disagreements").StartArray();
  for (const Problem& problem : DisagreementsOf(testimonies)) {
    WriteProblem(problem, w);
  }
  w.EndArray();
  w.Key("masters").StartArray();
  for (const Testimony& testimony : testimonies) {
    w.StartObject();
    w.Key("address").String(testimony.master.ToString());
    if (testimony.status.ok()) {
      w.Key("quorum").Raw(testimony.text);
    } else {
      w.Key("error").String(testimony.status.message());
    }
    w.EndObject();
  }
  w.EndArray();
  w.EndObject();
  return text;
}

std::string AgentsJson(const State& state) {
  std::string text;
  json::JsonWriter w(&text);
  w.StartObject();
  WriteList(w, "agents", state.get_agents().agents());
  WriteList(w, "recovered_agents", state.get_agents().recovered_agents());
  w.EndObject();
  return text;
}

std::string TasksJson(const State& state) {
  std::string text;
  json::JsonWriter w(&text);
  w.StartObject();
  WriteList(w, "tasks", state.get_tasks().tasks());
  WriteList(w, "unreachable_tasks", state.get_tasks().unreachable_tasks());
  WriteList(w, "completed_tasks", state.get_tasks().completed_tasks());
  w.EndObject();
  return text;
}

std::string FrameworksJson(const State& state) {
  const auto& frameworks = state.get_frameworks();
  std::string text;
  json::JsonWriter w(&text);
  w.StartObject();
  WriteList(w, "frameworks", frameworks.frameworks());
  WriteList(w, "completed_frameworks", frameworks.completed_frameworks());
  w.EndObject();
  return text;
}

Lines AgentsLines(const State& state, io::WallTime now) {
  Table table({{"ID"},
               {"HOSTNAME"},
               {"ADDRESS"},
               {"STATE"},
               {"TASKS", Align::kRight},
               {"CPUS", Align::kRight},
               {"MEM", Align::kRight},
               {"DISK", Align::kRight},
               {"VERSION"},
               {"SINCE"}});
  const std::map<std::string, int> tasks = Count(
      state.get_tasks().tasks(), [](const Task& task) -> const std::string& {
        return task.agent_id().value();
      });
  for (const Agent& agent : state.get_agents().agents()) {
    const mesos::v1::AgentInfo& info = agent.agent_info();
    const std::string& id = info.id().value();
    const Resources& all = agent.total_resources();
    const Resources& used = agent.allocated_resources();
    auto count = tasks.find(id);
    const std::string pid = agent.pid();
    table.Add({id, info.hostname(), pid.substr(pid.find('@') + 1),
               agent.active() ? "active" : "disconnected",
               absl::StrCat(count == tasks.end() ? 0 : count->second),
               Share(used, all, "cpus"), Share(used, all, "mem"),
               Share(used, all, "disk"), agent.version(),
               Ago(agent.has_reregistered_time() ? agent.reregistered_time()
                                                 : agent.registered_time(),
                   now)});
  }
  for (const auto& info : state.get_agents().recovered_agents()) {
    table.Add({info.id().value(), info.hostname(), absl::StrCat(info.port()),
               "recovering", "", "", "", "", "", ""});
  }
  return table.Lines();
}

Lines TasksLines(const State& state, bool ended, io::WallTime now) {
  Table table({{"ID"},
               {"NAME"},
               {"STATE"},
               {"SINCE"},
               {"AGENT"},
               {"CPUS", Align::kRight},
               {"MEM", Align::kRight},
               {"FRAMEWORK"}});
  std::map<std::string, std::string> hostnames;
  for (const Agent& agent : state.get_agents().agents()) {
    hostnames[agent.agent_info().id().value()] = agent.agent_info().hostname();
  }
  const auto& tasks = state.get_tasks();
  for (const Task& task : tasks.tasks()) AddTask(task, hostnames, now, &table);
  for (const Task& task : tasks.unreachable_tasks()) {
    AddTask(task, hostnames, now, &table);
  }
  if (ended) {
    for (const Task& task : tasks.completed_tasks()) {
      AddTask(task, hostnames, now, &table);
    }
  }
  return table.Lines();
}

Lines FrameworksLines(const State& state, bool ended, io::WallTime now) {
  Table table({{"ID"},
               {"NAME"},
               {"STATE"},
               {"USER"},
               {"ROLES"},
               {"TASKS", Align::kRight},
               {"CPUS", Align::kRight},
               {"MEM", Align::kRight},
               {"SINCE"}});
  const std::map<std::string, int> tasks = Count(
      state.get_tasks().tasks(), [](const Task& task) -> const std::string& {
        return task.framework_id().value();
      });
  for (const Framework& one : state.get_frameworks().frameworks()) {
    auto count = tasks.find(one.framework_info().id().value());
    AddFramework(one, StateOf(one), count == tasks.end() ? 0 : count->second,
                 now, &table);
  }
  if (ended) {
    for (const Framework& one : state.get_frameworks().completed_frameworks()) {
      AddFramework(one, "ended", 0, now, &table);
    }
  }
  return table.Lines();
}

}  // namespace quorate::cli
