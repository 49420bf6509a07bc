#include "core/master/allocation.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/master/limits.h"

namespace quorate::master {
namespace {

// What is unreserved, and what is reserved to the role or to one above it.
Resources Visible(const Resources& available, const std::string& role) {
  Resources visible = available.Unreserved();
  for (const auto& [reserved_to, resources] : available.Reserved()) {
    if (role == reserved_to ||
        absl::StartsWith(role, absl::StrCat(reserved_to, "/"))) {
      visible += resources;
    }
  }
  return visible;
}

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

template <typename Map, typename Predicate>
void EraseIf(Map& map, Predicate predicate) {
  for (auto it = map.begin(); it != map.end();) {
    it = predicate(it->first) ? map.erase(it) : std::next(it);
  }
}

}  // namespace

void Allocation::Refuse(const std::string& framework_id,
                        const std::string& role, const std::string& agent_id,
                        const Resources& refused, double seconds,
                        io::Instant now) {
  const io::Duration duration = RefusalDuration(seconds);
  if (duration == io::Duration::zero()) return;
  std::deque<Filter>& filters = filters_[{framework_id, role, agent_id}];
  filters.push_back({refused, now + std::max(duration, options_.interval)});
  if (filters.size() > kMaxFiltersPerAgent) filters.pop_front();
}

void Allocation::Revive(const std::string& framework_id,
                        const std::string& role) {
  EraseIf(filters_, [&](const Key& key) {
    return std::get<0>(key) == framework_id && std::get<1>(key) == role;
  });
}

void Allocation::ForgetFramework(const std::string& framework_id) {
  EraseIf(filters_,
          [&](const Key& key) { return std::get<0>(key) == framework_id; });
  EraseIf(served_,
          [&](const Taker& taker) { return taker.first == framework_id; });
}

void Allocation::ForgetAgent(const std::string& agent_id) {
  EraseIf(filters_,
          [&](const Key& key) { return std::get<2>(key) == agent_id; });
}

std::vector<Grant> Allocation::Run(const std::vector<Supply>& supplies,
                                   const std::vector<Demand>& demands,
                                   io::Instant now) {
  DropExpired(now);
  std::vector<Demand> line = demands;
  const auto turn = [&](const Demand& demand) {
    auto it = served_.find({demand.framework_id, demand.role});
    return it == served_.end() ? 0 : it->second;
  };
  const auto before = [&](const Demand& a, const Demand& b) {
    return std::tuple(turn(a), a.framework_id, a.role) <
           std::tuple(turn(b), b.framework_id, b.role);
  };
  std::sort(line.begin(), line.end(), before);

  std::vector<Grant> grants;
  for (const Supply& supply : supplies) {
    Resources left = supply.available;
    for (size_t i = 0; i < line.size(); ++i) {
      if (!IsWorthOffering(left)) break;
      const Demand demand = line[i];
      if (supply.has_gpus && !demand.takes_gpus) continue;
      Resources visible = Visible(left, demand.role);
      if (!IsWorthOffering(visible) ||
          IsRefused(demand, supply.agent_id, visible)) {
        continue;
      }
      left -= visible;
      grants.push_back({demand.framework_id, demand.role, supply.agent_id,
                        std::move(visible)});
      served_[{demand.framework_id, demand.role}] = ++grants_;
      std::rotate(line.begin() + i, line.begin() + i + 1, line.end());
      // The next in line moved to this place.
      --i;
    }
  }
  return grants;
}

size_t Allocation::refusals() const {
  size_t count = 0;
  for (const auto& [key, filters] : filters_) count += filters.size();
  return count;
}

bool Allocation::IsRefused(const Demand& demand, const std::string& agent_id,
                           const Resources& resources) const {
  auto it = filters_.find({demand.framework_id, demand.role, agent_id});
  if (it == filters_.end()) return false;
  return std::any_of(
      it->second.begin(), it->second.end(),
      [&](const Filter& filter) { return filter.refused.Contains(resources); });
}

void Allocation::DropExpired(io::Instant now) {
  for (auto it = filters_.begin(); it != filters_.end();) {
    std::deque<Filter>& filters = it->second;
    filters.erase(std::remove_if(filters.begin(), filters.end(),
                                 [&](const Filter& filter) {
                                   return filter.until <= now;
                                 }),
                  filters.end());
    it = filters.empty() ? filters_.erase(it) : std::next(it);
  }
}

}  // namespace quorate::master
