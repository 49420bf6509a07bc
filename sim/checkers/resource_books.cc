#include "sim/checkers/resource_books.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/agent/model.h"
#include "core/master/cluster.h"

namespace quorate::sim {
namespace {

constexpr char kOffer[] = "offer ";

Resources WithoutMarks(Resources resources) {
  resources.Unallocate();
  return resources;
}

// What an agent holds was validated before it came there.
Resources Read(const Resources::Protos& protos) {
  return WithoutMarks(Resources::FromProto(protos).value_or(Resources()));
}

void AddExecutor(const agent::Executor& executor, Books* books) {
  if (executor.state == agent::Executor::State::kTerminated) return;
  const std::string& framework = executor.run.framework_id;
  if (!executor.generated) {
    books->held[absl::StrCat("executor ", framework, " ", executor.id())] =
        Read(executor.info.resources());
  }
  for (const auto& [id, task] : executor.tasks) {
    if (task.phase == agent::Task::Phase::kTerminated) continue;
    books->held[absl::StrCat("task ", framework, " ", id)] =
        Read(task.info.resources());
  }
}

}  // namespace

Books BooksOf(const master::Cluster& cluster, const master::Agent& agent) {
  Books books{.agent = agent.id, .total = agent.total};
  for (const auto& [framework_id, tasks] : agent.tasks) {
    const master::Framework* framework = cluster.FindFramework(framework_id);
    if (framework == nullptr) continue;
    for (const std::string& id : tasks) {
      const master::Task& task = framework->tasks.at(id);
      if (master::IsTerminal(task.info.state())) continue;
      books.held[absl::StrCat("task ", framework_id, " ", id)] =
          WithoutMarks(task.resources);
    }
  }
  for (const auto& [framework_id, executors] : agent.executors) {
    for (const auto& [id, executor] : executors) {
      books.held[absl::StrCat("executor ", framework_id, " ", id)] =
          WithoutMarks(executor.resources);
    }
  }
  for (const std::string& id : agent.offers) {
    books.held[kOffer + id] = WithoutMarks(cluster.offers().at(id).resources);
  }
  return books;
}

Books BooksOf(const std::string& agent, const Resources& total,
              const agent::Workload& workload) {
  Books books{.agent = agent, .total = total};
  for (const auto& [id, framework] : workload.frameworks()) {
    for (const auto& [executor_id, executor] : framework->executors) {
      AddExecutor(*executor, &books);
    }
  }
  return books;
}

void ResourceBooks::Check(absl::string_view who, const Books& books) {
  ++checked_;
  Resources left = books.total;
  for (const auto& [holder, resources] : books.held) {
    // Taken away one by one: a sum would hide a port that two of them hold.
    if (!left.Contains(resources)) {
      return world_.Fail(absl::StrCat(
          who, " gives away more than agent ", books.agent, " has (",
          books.total.ToText(), "): ", holder, " holds ", resources.ToText(),
          ", and without the others ", left.ToText(), " are left"));
    }
    left -= resources;
  }
}

std::string ResourceBooks::Differences(const Books& master,
                                       const Books& agent) {
  std::string differences;
  const auto compare = [&](const Books& one, const Books& other,
                           const char* side) {
    for (const auto& [holder, resources] : one.held) {
      if (absl::StartsWith(holder, kOffer)) continue;
      auto same = other.held.find(holder);
      if (same != other.held.end() && same->second == resources) continue;
      absl::StrAppend(&differences, holder, " holds ", resources.ToText(),
                      " of agent ", one.agent, ", says ", side, " alone; ");
    }
  };
  compare(master, agent, "the master");
  compare(agent, master, "the agent");
  if (master.total != agent.total) {
    absl::StrAppend(&differences, "agent ", agent.agent, " has ",
                    agent.total.ToText(), ", its master thinks ",
                    master.total.ToText());
  }
  return differences;
}

}  // namespace quorate::sim
