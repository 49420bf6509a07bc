// What the masters answer, as people read it. Pure.

#ifndef QUORATE_CORE_CLI_VIEWS_H_
#define QUORATE_CORE_CLI_VIEWS_H_

#include <string>
#include <vector>

#include "core/api/master.pb.h"
#include "core/cli/survey.h"
#include "io/clock.h"

namespace quorate::cli {

using Lines = std::vector<std::string>;
using State = mesos::v1::master::Response::GetState;

enum class Health { kHealthy, kDegraded, kUnavailable };

// As the leader says; degraded as well when a master does not answer, or sees
// something wrong. Unavailable when none leads, or when they are not one
// cluster under one leader. `testimonies` are of all masters.
Health HealthOf(const std::vector<Testimony>& testimonies);
const char* ToString(Health health);

// How the log's members are, and what is to be done.
Lines QuorumLines(const std::vector<Testimony>& testimonies);
// Who answers, and as what; and where they contradict each other.
Lines MastersLines(const std::vector<Testimony>& testimonies);
// Of both, for scripts: every answer, whole.
std::string SurveyJson(const std::vector<Testimony>& testimonies);

// The v1 messages, with all their lists, whole.
std::string AgentsJson(const State& state);
std::string TasksJson(const State& state);
std::string FrameworksJson(const State& state);

Lines AgentsLines(const State& state, io::WallTime now);
// With `ended`, those that have ended as well.
Lines TasksLines(const State& state, bool ended, io::WallTime now);
Lines FrameworksLines(const State& state, bool ended, io::WallTime now);

}  // namespace quorate::cli

#endif  // QUORATE_CORE_CLI_VIEWS_H_
