#include "core/cli/disagreements.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/cli/table.h"

namespace quorate::cli {
namespace {

using Clusters = std::map<std::string, std::vector<Testimony>>;

Problem SeveralClusters(const Clusters& clusters) {
  std::vector<std::string> parts;
  for (const auto& [id, testimonies] : clusters) {
    const std::string masters = absl::StrJoin(
        testimonies, ", ", [](std::string* out, const Testimony& one) {
          absl::StrAppend(out, one.master.ToString(),
                          Leads(one) ? " (leads)" : "");
        });
    parts.push_back(absl::StrCat(masters, " of ", id));
  }
  return {
      "critical", "several clusters", "",
      absl::StrCat("these masters are of ", clusters.size(),
                   " clusters: ", absl::StrJoin(parts, "; ")),
      "name masters of one cluster in --master; if they are to be one, give "
      "all the same --masters (or --zk), which names each of them, and an "
      "empty --work_dir to those that join"};
}

std::string EpochOf(const Testimony& leader) {
  return absl::StrCat(leader.quorum["leader"]["epoch"].AsUint());
}

// `other` leads as well, in the same cluster.
Problem SecondLeader(const Testimony& newest, const Testimony& other) {
  const std::string master = other.master.ToString();
  if (ReignOf(other) < ReignOf(newest)) {
    return {"warning", "former leader", master,
            absl::StrCat("led in epoch ", EpochOf(other),
                         ", and has yet to find out that ",
                         newest.master.ToString(), " leads, in epoch ",
                         EpochOf(newest)),
            "wait some seconds; if it stays so, stop it, and see what keeps it "
            "from the other masters"};
  }
  return {"critical", "two leaders", master,
          absl::StrCat("leads in epoch ", EpochOf(other), ", and so does ",
                       newest.master.ToString()),
          "stop one of them; keep the logs and the work directories of both: "
          "this is never to be"};
}

void AddLeaders(const std::vector<Testimony>& testimonies,
                std::vector<Problem>* problems) {
  const Testimony* newest = LeaderOf(testimonies);
  for (const Testimony& one : testimonies) {
    if (!Leads(one) || &one == newest) continue;
    problems->push_back(SecondLeader(*newest, one));
  }
}

}  // namespace

Clusters ByCluster(const std::vector<Testimony>& testimonies) {
  Clusters clusters;
  for (const Testimony& one : testimonies) {
    const absl::string_view id = one.quorum["cluster_id"].AsString();
    if (!id.empty()) clusters[std::string(id)].push_back(one);
  }
  return clusters;
}

std::vector<Problem> DisagreementsOf(
    const std::vector<Testimony>& testimonies) {
  std::vector<Problem> problems;
  const Clusters clusters = ByCluster(testimonies);
  if (clusters.size() > 1) problems.push_back(SeveralClusters(clusters));
  for (const auto& cluster : clusters) AddLeaders(cluster.second, &problems);
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& a, const Problem& b) {
                     return a.severity < b.severity;
                   });
  return problems;
}

bool IsCritical(const std::vector<Problem>& problems) {
  return std::any_of(problems.begin(), problems.end(), [](const Problem& one) {
    return one.severity == "critical";
  });
}

std::vector<std::string> LinesOf(const Problem& problem) {
  const std::string whom =
      problem.master.empty() ? "" : absl::StrCat(problem.master, " ");
  return {Printable(absl::StrCat(problem.severity, ": ", whom, problem.what)),
          Printable(absl::StrCat("  -> ", problem.remedy))};
}

void WriteProblem(const Problem& problem, json::JsonWriter& writer) {
  writer.StartObject();
  writer.Key("severity").String(problem.severity);
  writer.Key("kind").String(problem.kind);
  writer.Key("master").String(problem.master);
  writer.Key("what").String(problem.what);
  writer.Key("remedy").String(problem.remedy);
  writer.EndObject();
}

}  // namespace quorate::cli
