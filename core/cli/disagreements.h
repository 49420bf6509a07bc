// Whether the masters that were asked are one cluster under one leader. Each of
// them may be well by itself, as masters are that were started without
// --masters: then every one leads a cluster of its own.
//
//   for (const Problem& problem : DisagreementsOf(testimonies)) ...

#ifndef QUORATE_CORE_CLI_DISAGREEMENTS_H_
#define QUORATE_CORE_CLI_DISAGREEMENTS_H_

#include <map>
#include <string>
#include <vector>

#include "core/cli/survey.h"
#include "core/json/writer.h"

namespace quorate::cli {

// In the words of /quorum.
struct Problem {
  std::string severity;  // "note", "warning", "critical"
  std::string kind;
  std::string master;  // whom it concerns; maybe empty
  std::string what;
  std::string remedy;
};

// "several clusters" and "two leaders" are critical; a "former leader", which
// has yet to find out that another leads in a newer epoch, is a warning.
std::vector<Problem> DisagreementsOf(const std::vector<Testimony>& testimonies);

bool IsCritical(const std::vector<Problem>& problems);

// As a person reads it, in two lines.
std::vector<std::string> LinesOf(const Problem& problem);
void WriteProblem(const Problem& problem, json::JsonWriter& writer);

// By the id of the cluster. Without those that do not answer, or are part of
// none yet.
std::map<std::string, std::vector<Testimony>> ByCluster(
    const std::vector<Testimony>& testimonies);

}  // namespace quorate::cli

#endif  // QUORATE_CORE_CLI_DISAGREEMENTS_H_
