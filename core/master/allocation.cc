#include "core/master/allocation.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/master/limits.h"

namespace quorate::master {
namespace {

bool IsWorthOffering(const Resources& resources) {
  return resources.Scalar("cpus") >= kMinOfferedCpus ||
         resources.Scalar("mem") >= kMinOfferedMem;
}

io::Duration RefusalDuration(double seconds) {
  if (!(seconds >= 0)) return kDefaultRefusal;
  const std::chrono::duration<double> wanted(seconds);
  if (wanted > kMaxRefusal) return kMaxRefusal;
  return std::chrono::duration_cast<io::Duration>(wanted);
}

}  // namespace

// -----------------------------------------------------------------------------
// What there is

Allocation::Agent& Allocation::AgentOf(const std::string& agent_id) {
  Agent& agent = agents_[agent_id];
  agent.id = agent_id;
  return agent;
}

void Allocation::SetSupply(const Supply& supply) {
  Agent& agent = AgentOf(supply.agent_id);
  agent.has_supply = true;
  agent.has_gpus = supply.has_gpus;
  agent.left = supply.available;
  Touch(agent);
}

void Allocation::RemoveSupply(const std::string& agent_id) {
  auto agent = agents_.find(agent_id);
  if (agent == agents_.end()) return;
  agent->second.has_supply = false;
  agent->second.left = Resources();
  EraseIfEmpty(agent->second);
}

void Allocation::EraseIfEmpty(const Agent& agent) {
  if (agent.has_supply || !agent.refused_by.empty()) return;
  touched_.erase(agent.id);
  agents_.erase(std::string(agent.id));
}

// -----------------------------------------------------------------------------
// Refusals

Allocation::Taker& Allocation::TakerOf(const std::string& framework_id,
                                       const std::string& role) {
  Taker& taker = takers_[{framework_id, role}];
  taker.framework_id = framework_id;
  taker.role = role;
  return taker;
}

void Allocation::Refuse(const std::string& framework_id,
                        const std::string& role, const std::string& agent_id,
                        const Resources& refused, double seconds,
                        io::Instant now) {
  const io::Duration duration = RefusalDuration(seconds);
  if (duration == io::Duration::zero()) return;
  const io::Instant until = now + std::max(duration, options_.interval);
  Agent& agent = AgentOf(agent_id);
  Taker& taker = TakerOf(framework_id, role);
  std::vector<Filter>& filters = agent.refused_by[&taker];
  filters.push_back({refused, ends_.insert({until, {&agent, &taker}})});
  if (filters.size() <= kMaxFiltersPerAgent) return;
  ends_.erase(filters.front().end);
  filters.erase(filters.begin());
  Touch(agent);
}

void Allocation::ForgetRefusals(Agent& agent, const Taker& taker) {
  auto filters = agent.refused_by.find(&taker);
  if (filters == agent.refused_by.end()) return;
  for (const Filter& filter : filters->second) ends_.erase(filter.end);
  agent.refused_by.erase(filters);
  Touch(agent);
  EraseIfEmpty(agent);
}

void Allocation::ForgetRefusals(const Taker& taker) {
  for (auto agent = agents_.begin(); agent != agents_.end();) {
    ForgetRefusals((agent++)->second, taker);
  }
}

void Allocation::Revive(const std::string& framework_id,
                        const std::string& role) {
  auto taker = takers_.find({framework_id, role});
  if (taker != takers_.end()) ForgetRefusals(taker->second);
}

void Allocation::ForgetFramework(const std::string& framework_id) {
  auto taker = takers_.lower_bound({framework_id, ""});
  while (taker != takers_.end() && taker->first.first == framework_id) {
    ForgetRefusals(taker->second);
    line_.erase(std::remove(line_.begin(), line_.end(), &taker->second),
                line_.end());
    line_is_old_ = true;
    taker = takers_.erase(taker);
  }
}

void Allocation::ForgetAgent(const std::string& agent_id) {
  auto known = agents_.find(agent_id);
  if (known == agents_.end()) return;
  Agent& agent = known->second;
  // tidy-allow(iteration-order): all of them are erased
  for (const auto& [taker, filters] : agent.refused_by) {
    for (const Filter& filter : filters) ends_.erase(filter.end);
  }
  agent.refused_by.clear();
  Touch(agent);
  EraseIfEmpty(agent);
}

void Allocation::DropExpired(io::Instant now) {
  while (!ends_.empty() && ends_.begin()->first <= now) {
    const auto [agent, taker] = ends_.begin()->second;
    std::vector<Filter>& filters = agent->refused_by.at(taker);
    filters.erase(std::find_if(
        filters.begin(), filters.end(),
        [this](const Filter& filter) { return filter.end == ends_.begin(); }));
    ends_.erase(ends_.begin());
    if (filters.empty()) agent->refused_by.erase(taker);
    Touch(*agent);
    EraseIfEmpty(*agent);
  }
}

bool Allocation::IsRefused(const Agent& agent, const Taker& taker,
                           const Resources& resources) {
  if (agent.refused_by.empty()) return false;
  auto it = agent.refused_by.find(&taker);
  if (it == agent.refused_by.end()) return false;
  return std::any_of(
      it->second.begin(), it->second.end(),
      [&](const Filter& filter) { return filter.refused.Contains(resources); });
}

// -----------------------------------------------------------------------------
// Grants

void Allocation::UpdateLine(const std::vector<Demand>& demands) {
  if (!line_is_old_ && demands == demands_) return;
  line_is_old_ = false;
  demands_ = demands;
  std::vector<Taker*> line;
  bool any_new = false;
  for (const Demand& demand : demands) {
    Taker& taker = TakerOf(demand.framework_id, demand.role);
    any_new |= !taker.in_line || (demand.takes_gpus && !taker.takes_gpus);
    taker.takes_gpus = demand.takes_gpus;
    line.push_back(&taker);
  }
  for (Taker* taker : line_) taker->in_line = false;
  for (Taker* taker : line) taker->in_line = true;
  line_ = std::move(line);
  std::sort(line_.begin(), line_.end(), [](const Taker* a, const Taker* b) {
    return std::tie(a->served, a->framework_id, a->role) <
           std::tie(b->served, b->framework_id, b->role);
  });
  if (!any_new) return;
  for (const auto& [id, agent] : agents_) Touch(agent);
}

std::vector<Grant> Allocation::Run(const std::vector<Demand>& demands,
                                   io::Instant now) {
  DropExpired(now);
  UpdateLine(demands);
  std::vector<Grant> grants;
  for (const std::string& id : touched_) Serve(agents_.at(id), &grants);
  touched_.clear();
  return grants;
}

void Allocation::Serve(Agent& agent, std::vector<Grant>* grants) {
  if (!IsWorthOffering(agent.left)) return;
  // What those of the role see of what is left.
  const std::string* role = nullptr;
  Resources visible;
  bool enough = false;
  for (size_t i = 0; i < line_.size();) {
    Taker& taker = *line_[i];
    if (role == nullptr || *role != taker.role) {
      role = &taker.role;
      visible = agent.left.VisibleTo(*role);
      enough = IsWorthOffering(visible);
    }
    if (!enough || (agent.has_gpus && !taker.takes_gpus) ||
        IsRefused(agent, taker, visible)) {
      ++i;
      continue;
    }
    agent.left -= visible;
    role = nullptr;
    grants->push_back({taker.framework_id, taker.role, agent.id,
                       std::exchange(visible, Resources())});
    taker.served = ++grants_;
    // The next in line moves to this place.
    std::rotate(line_.begin() + i, line_.begin() + i + 1, line_.end());
    if (!IsWorthOffering(agent.left)) return;
  }
}

}  // namespace quorate::master
