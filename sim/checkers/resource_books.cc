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
void Hold(const std::string& holder, const Resources::Protos& protos,
          std::map<std::string, Resources>* held, Books* books) {
  absl::StatusOr<Resources> resources = Resources::FromProto(protos);
  if (!resources.ok()) {
    absl::StrAppend(&books->wrong, holder, " holds what is no resources: ",
                    resources.status().message(), "; ");
    return;
  }
  (*held)[holder] = WithoutMarks(*std::move(resources));
}

void AddExecutor(const agent::Executor& executor,
                 std::map<std::string, Resources>* held, Books* books) {
  if (executor.state == agent::Executor::State::kTerminated) return;
  const std::string& framework = executor.run.framework_id;
  if (!executor.generated) {
    Hold(absl::StrCat("executor ", framework, " ", executor.id()),
         executor.info.resources(), held, books);
  }
  for (const auto& [id, task] : executor.tasks) {
    if (task.phase == agent::Task::Phase::kTerminated) continue;
    Hold(absl::StrCat("task ", framework, " ", id), task.info.resources(), held,
         books);
  }
}

}  // namespace

Books BooksOf(const master::Cluster& cluster, const master::Agent& agent) {
  Books books{.agent = agent.id, .total = agent.total};
  for (const auto& [framework_id, tasks] : agent.tasks) {
    const master::Framework* framework = cluster.FindFramework(framework_id);
    for (const std::string& id : tasks) {
      const std::string holder = absl::StrCat("task ", framework_id, " ", id);
      if (framework == nullptr || framework->tasks.count(id) == 0) {
        absl::StrAppend(&books.wrong, holder, " is there and not known; ");
        continue;
      }
      const master::Task& task = framework->tasks.at(id);
      if (master::IsTerminal(task.info.state())) continue;
      books.held[holder] = WithoutMarks(task.resources);
    }
  }
  for (const auto& [framework_id, executors] : agent.executors) {
    for (const auto& [id, executor] : executors) {
      books.held[absl::StrCat("executor ", framework_id, " ", id)] =
          WithoutMarks(executor.resources);
    }
  }
  for (const std::string& id : agent.offers) {
    const auto offer = cluster.offers().find(id);
    if (offer == cluster.offers().end()) {
      absl::StrAppend(&books.wrong, kOffer, id, " is there and not known; ");
      continue;
    }
    books.held[kOffer + id] = WithoutMarks(offer->second.resources);
  }
  return books;
}

Books BooksOf(const std::string& agent, const Resources& total,
              const agent::Workload& workload) {
  Books books{.agent = agent, .total = total};
  for (const auto& [id, framework] : workload.frameworks()) {
    auto* held = framework->terminating ? &books.ending : &books.held;
    for (const auto& [executor_id, executor] : framework->executors) {
      AddExecutor(*executor, held, &books);
    }
  }
  return books;
}

void ResourceBooks::Check(absl::string_view who, const Books& books) {
  ++checked_;
  if (!books.wrong.empty()) {
    return world_.Fail(absl::StrCat(who, " has wrong books of agent ",
                                    books.agent, ": ", books.wrong));
  }
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
  for (const auto& [holder, resources] : agent.ending) {
    absl::StrAppend(&differences, holder,
                    " has not ended with its framework; ");
  }
  if (master.total != agent.total) {
    absl::StrAppend(&differences, "agent ", agent.agent, " has ",
                    agent.total.ToText(), ", its master thinks ",
                    master.total.ToText());
  }
  return differences;
}

}  // namespace quorate::sim
