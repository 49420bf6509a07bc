// The part of Agents that gives agents up: unreachable, gone, unregistered, and
// forgotten at last.

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/planted.h"
#include "core/master/agent_connection.h"
#include "core/master/agents.h"
#include "core/master/events.h"
#include "core/master/limits.h"

namespace quorate::master {
namespace {

using mesos::v1::TaskStatus;
using Times = std::map<std::string, mesos::v1::TimeInfo>;

// One change of the registry: the rest is for the next.
constexpr int kMaxForgottenAtOnce = 10000;

absl::Status Unknown(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("No agent has the id ", id));
}

// Those that are older than allowed, or more than allowed; oldest first.
std::vector<std::string> Stale(const Times& times, int64_t oldest_allowed,
                               size_t max_count) {
  std::vector<std::pair<int64_t, std::string>> by_age;
  for (const auto& [id, time] : times) {
    by_age.emplace_back(time.nanoseconds(), id);
  }
  std::sort(by_age.begin(), by_age.end());
  std::vector<std::string> stale;
  for (size_t i = 0; i < by_age.size(); ++i) {
    const bool too_many = by_age.size() - i > max_count;
    if (too_many || by_age[i].first < oldest_allowed) {
      stale.push_back(by_age[i].second);
    }
  }
  return stale;
}

}  // namespace

// -----------------------------------------------------------------------------
// After a fail-over

// An agent that is admitted, and whose registration, or whose end, has come to
// nothing: it has its time to come back from now on.
void Agents::AwaitReturn(const std::string& id) {
  const auto& admitted = context_.registry->state().admitted();
  auto known = admitted.find(id);
  if (known == admitted.end() || leaving_.count(id) > 0) return;
  if (Agent* agent = context_.cluster.FindAgent(id)) {
    agent->missed_pings = 0;
    agent->awaits_pong = false;
    agent->ping_timer =
        context_.clock().RunAfter(context_.options.agent_ping_timeout,
                                  [this, id] { Ping(std::string(id)); });
    if (!agent->connected()) AwaitLink(*agent);
    return;
  }
  AddRecovered(known->second,
               context_.clock().RunAfter(
                   context_.options.agent_reregister_timeout, [this, id] {
                     MarkUnreachable(id, "did not register again");
                   }));
}

void Agents::StopExpecting(const std::string& id) {
  expected_.erase(id);
  withheld_ = std::min(withheld_, expected_.size());
}

void Agents::AddRecovered(const Entry& entry, io::Timer timer) {
  const std::string& id = entry.info().id().value();
  RecoveredAgent& recovered = context_.cluster.recovered_agents()[id];
  recovered_at_.erase({recovered.address, id});
  recovered = {entry.info(), entry.address(), std::move(timer)};
  recovered_at_.emplace(recovered.address, id);
}

bool Agents::ForgetRecovered(const std::string& id) {
  StopExpecting(id);
  auto& recovered = context_.cluster.recovered_agents();
  auto known = recovered.find(id);
  if (known == recovered.end()) return false;
  recovered_at_.erase({known->second.address, id});
  recovered.erase(known);
  return true;
}

// That so many machines died at once is less likely than that this master
// cannot be reached. It waits for them, and for an operator: another master
// would not know more.
void Agents::EndRecovery() {
  if (expected_.empty()) return;
  const double percent = 100.0 * static_cast<double>(expected_.size()) /
                         static_cast<double>(inherited_);
  if (percent > context_.options.recovery_agent_removal_limit) {
    withheld_ = expected_.size();
    LOG(ERROR) << withheld_ << " of " << inherited_
               << " agents have not registered with this new leader: more than "
                  "the "
               << context_.options.recovery_agent_removal_limit
               << "% of --recovery_agent_removal_limit, so none of them is "
                  "marked unreachable. Can they reach this master? Those that "
                  "are lost for good can be marked so (MARK_AGENT_GONE), or "
                  "the limit can be raised";
    recovery_timer_ = context_.clock().RunAfter(
        context_.options.agent_reregister_timeout, [this] { EndRecovery(); });
    return;
  }
  withheld_ = 0;
  for (const std::string& id : std::exchange(expected_, {})) {
    MarkUnreachable(id, "did not register with the new master");
  }
}

// -----------------------------------------------------------------------------
// Unreachable

// Whether a framework takes tasks for lost, once and for all, when the agent is
// unreachable. Whose tasks run on one that has not registered with this master
// is not known.
bool Agents::EndsTasks(const std::string& id) const {
  const Agent* agent = context_.cluster.FindAgent(id);
  for (const auto& [framework_id, framework] : context_.cluster.frameworks()) {
    if (framework->Has(mesos::v1::FrameworkInfo::Capability::PARTITION_AWARE)) {
      continue;
    }
    if (agent == nullptr || agent->tasks.count(framework_id) > 0) return true;
  }
  return false;
}

void Agents::MarkUnreachable(const std::string& id, const std::string& reason) {
  // AwaitReturn follows if nothing comes of it.
  if (leaving_.count(id) + reregistering_.count(id) > 0) return;
  if (!scheduled_.insert(id).second) return;
  ++context_.metrics.AddCounter("master/slave_unreachable_scheduled");
  const auto pass = [this, id, reason] {
    unreachables_.Acquire(id, [this, id, reason] {
      scheduled_.erase(id);
      WriteUnreachable(id, reason);
    });
  };
  if (EndsTasks(id)) {
    removals_.Acquire(id, pass);
  } else {
    pass();
  }
  if (scheduled_.count(id) == 0) return;
  LOG(WARNING) << "agent " << id << " " << reason
               << "; it waits to be marked unreachable, as "
               << removals_.waiting() + unreachables_.waiting() - 1
               << " others";
}

void Agents::CancelUnreachable(const std::string& id) {
  if (scheduled_.erase(id) == 0) return;
  if (!removals_.Cancel(id)) unreachables_.Cancel(id);
  ++context_.metrics.AddCounter("master/slave_unreachable_canceled");
  LOG(INFO) << "agent " << id << " is not marked unreachable any more";
}

void Agents::WriteUnreachable(const std::string& id,
                              const std::string& reason) {
  CHECK_EQ(reregistering_.count(id), 0) << id;
  leaving_.insert(id);
  LOG(WARNING) << "marking agent " << id << " unreachable: it " << reason;
  const mesos::v1::TimeInfo time = MakeTime(context_.clock().WallNow());
  registry::Operation operation;
  auto& mark = *operation.mutable_mark_agent_unreachable();
  mark.mutable_id()->set_value(id);
  *mark.mutable_timestamp() = time;
  if (Planted(Bug::kUnreachableUncommitted)) OnMarkedUnreachable(id, time);
  context_.registry->Apply(
      std::move(operation), [this, id, time](const absl::Status& outcome) {
        leaving_.erase(id);
        if (outcome.ok()) {
          return OnMarkedUnreachable(id, time);
        }
        LOG(WARNING) << "agent " << id
                     << " is not marked unreachable yet: " << outcome.message();
        AwaitReturn(id);
      });
}

void Agents::OnMarkedUnreachable(const std::string& id,
                                 mesos::v1::TimeInfo time) {
  ++context_.metrics.AddCounter("master/slave_unreachable_completed");
  ++context_.metrics.AddCounter("master/slave_removals");
  ++context_.metrics.AddCounter("master/slave_removals/reason_unhealthy");
  if (Agent* agent = context_.cluster.FindAgent(id)) {
    return Remove(*agent,
                  {.message = absl::StrCat("Agent ", agent->info.hostname(),
                                           " is unreachable"),
                   .state = mesos::v1::TASK_UNREACHABLE,
                   .unreachable_time = time});
  }
  if (context_.cluster.recovered_agents().count(id) == 0) return;
  ++context_.metrics.AddCounter("master/recovery_slave_removals");
  RemoveRecovered(id);
}

// The tasks of an agent that has not registered with this master are not known:
// frameworks that are told of its failure may ask.
void Agents::RemoveRecovered(const std::string& id) {
  ForgetRecovered(id);
  for (const auto& [framework_id, framework] : context_.cluster.frameworks()) {
    SendAgentFailure(*framework, id);
  }
}

// -----------------------------------------------------------------------------
// Gone

void Agents::MarkGone(const std::string& id, OnMarked done) {
  const registry::RegistryState& registry = context_.registry->state();
  if (registry.gone().count(id) > 0) return done(absl::OkStatus());
  if (registry.admitted().count(id) + registry.unreachable().count(id) == 0) {
    return done(Unknown(id));
  }
  if (!leaving_.insert(id).second) {
    return done(absl::UnavailableError(absl::StrCat(
        "Agent ", id, " is being marked or removed already; try again")));
  }
  LOG(WARNING) << "marking agent " << id << " gone, as an operator wants";
  CancelUnreachable(id);
  registry::Operation operation;
  auto& mark = *operation.mutable_mark_agent_gone();
  mark.mutable_id()->set_value(id);
  *mark.mutable_timestamp() = MakeTime(context_.clock().WallNow());
  context_.registry->Apply(
      std::move(operation),
      [this, id, done = std::move(done)](const absl::Status& outcome) {
        leaving_.erase(id);
        if (outcome.ok()) {
          OnMarkedGone(id);
          return done(outcome);
        }
        AwaitReturn(id);
        // It was unreachable, and has been forgotten meanwhile.
        if (absl::IsNotFound(outcome)) return done(Unknown(id));
        done(absl::UnavailableError(absl::StrCat(
            "Agent ", id, " could not be marked: ", outcome.message(),
            "; try again")));
      });
}

void Agents::OnMarkedGone(const std::string& id) {
  ++context_.metrics.AddCounter("master/slave_removals");
  Tasks::Loss loss{.reason = TaskStatus::REASON_AGENT_REMOVED_BY_OPERATOR,
                   .message = "Agent was marked gone by an operator",
                   .state = mesos::v1::TASK_GONE_BY_OPERATOR};
  if (Agent* agent = context_.cluster.FindAgent(id)) {
    if (agent->connected()) {
      Refuse(*static_cast<Connection*>(agent->peer), kMarkedGone);
    }
    return Remove(*agent, loss);
  }
  tasks_.GiveUpUnreachable(id, loss);
  RemoveRecovered(id);
}

// -----------------------------------------------------------------------------
// Unregistered, and forgotten

absl::string_view Agents::WordsOf(Removal removal) {
  switch (removal) {
    case Removal::kUnregistered:
      return "unregistered";
    case Removal::kRegisteredAnew:
      return "registered anew";
  }
  LOG(FATAL) << static_cast<int>(removal);
}

absl::string_view Agents::MetricOf(Removal removal) {
  switch (removal) {
    case Removal::kUnregistered:
      return "master/slave_removals/reason_unregistered";
    case Removal::kRegisteredAnew:
      return "master/slave_removals/reason_registered";
  }
  LOG(FATAL) << static_cast<int>(removal);
}

void Agents::RemoveFromRegistry(const std::string& id, Removal removal) {
  if (!leaving_.insert(id).second) return;
  LOG(INFO) << "removing agent " << id << ": it " << WordsOf(removal);
  CancelUnreachable(id);
  registry::Operation operation;
  operation.mutable_remove_agent()->mutable_id()->set_value(id);
  context_.registry->Apply(
      std::move(operation), [this, id, removal](const absl::Status& outcome) {
        leaving_.erase(id);
        if (outcome.ok()) return OnRemoved(id, removal);
        LOG(WARNING) << "agent " << id
                     << " is not removed: " << outcome.message();
        AwaitReturn(id);
      });
}

void Agents::OnRemoved(const std::string& id, Removal removal) {
  ++context_.metrics.AddCounter("master/slave_removals");
  ++context_.metrics.AddCounter(MetricOf(removal));
  Agent* agent = context_.cluster.FindAgent(id);
  if (agent == nullptr) return RemoveRecovered(id);
  Remove(*agent, {.message = absl::StrCat("Agent ", agent->info.hostname(), " ",
                                          WordsOf(removal)),
                  .state = mesos::v1::TASK_GONE});
}

void Agents::Remove(Agent& agent, const Tasks::Loss& loss) {
  const std::string id = agent.id;
  auto* connection = static_cast<Connection*>(agent.peer);
  context_.cluster.SetPeer(agent, nullptr);
  offers_.RescindAll(agent);
  tasks_.Lose(agent, loss);
  for (const auto& [framework_id, framework] : context_.cluster.frameworks()) {
    SendAgentFailure(*framework, id);
  }
  offers_.Forget(agent);
  context_.cluster.RemoveAgent(agent);
  // If it is there after all it connects, and registers, again.
  if (connection != nullptr) Drop(connection->id());
}

void Agents::CollectGarbage() {
  garbage_timer_ = context_.clock().RunAfter(
      context_.options.registry_gc_interval, [this] { CollectGarbage(); });
  const registry::RegistryState& registry = context_.registry->state();
  const int64_t oldest_allowed =
      MakeTime(context_.clock().WallNow() -
               context_.options.registry_max_agent_age)
          .nanoseconds();
  const size_t max_count = context_.options.registry_max_agent_count;
  registry::Operation operation;
  registry::Prune& prune = *operation.mutable_prune();
  for (const std::string& id :
       Stale(registry.unreachable(), oldest_allowed, max_count)) {
    if (prune.unreachable_size() == kMaxForgottenAtOnce) break;
    prune.add_unreachable()->set_value(id);
  }
  for (const std::string& id :
       Stale(registry.gone(), oldest_allowed, max_count)) {
    if (prune.gone_size() == kMaxForgottenAtOnce) break;
    prune.add_gone()->set_value(id);
  }
  if (prune.unreachable_size() + prune.gone_size() == 0) return;
  LOG(INFO) << "forgetting " << prune.unreachable_size() << " unreachable and "
            << prune.gone_size() << " gone agents";
  context_.registry->Apply(std::move(operation), [](const absl::Status& done) {
    // Those that are back already need not be forgotten.
    if (done.ok() || absl::IsNotFound(done)) return;
    LOG(WARNING) << "they are forgotten later: " << done.message();
  });
}

}  // namespace quorate::master
