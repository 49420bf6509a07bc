// Who is offered what. Pure: it is told the time and what is available, and
// answers with grants.
//
//   Allocation allocation({.interval = 1s});
//   allocation.Refuse("f1", "*", "a1", offered, 5s, now);
//   for (const Grant& grant : allocation.Run(supplies, demands, now)) ...
//
// A grant holds all of an agent that its taker may have. Takers come in turn:
// whoever was granted something goes to the end of the line.

#ifndef QUORATE_CORE_MASTER_ALLOCATION_H_
#define QUORATE_CORE_MASTER_ALLOCATION_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/resources/resources.h"
#include "io/clock.h"

namespace quorate::master {

// What one agent has to give, without allocation marks.
struct Supply {
  std::string agent_id;
  Resources available;
  // Kept for frameworks that know what to do with GPUs.
  bool has_gpus = false;
};

// A framework that wants offers for a role.
struct Demand {
  std::string framework_id;
  std::string role;
  bool takes_gpus = false;
};

struct Grant {
  std::string framework_id;
  std::string role;
  std::string agent_id;
  Resources resources;  // Without allocation marks.
};

class Allocation {
 public:
  struct Options {
    // A refusal outlives the next regular run.
    io::Duration interval = std::chrono::seconds(1);
  };
  explicit Allocation(Options options) : options_(options) {}

  // The framework does not want these resources, or a part of them, in this
  // role from this agent for a while. `seconds` as in v1 Filters: negative or
  // NaN means the default, 0 not at all; at most a year.
  void Refuse(const std::string& framework_id, const std::string& role,
              const std::string& agent_id, const Resources& refused,
              double seconds, io::Instant now);

  // Forget refusals.
  void Revive(const std::string& framework_id, const std::string& role);
  void ForgetFramework(const std::string& framework_id);
  void ForgetAgent(const std::string& agent_id);

  std::vector<Grant> Run(const std::vector<Supply>& supplies,
                         const std::vector<Demand>& demands, io::Instant now);

  size_t refusals() const;

 private:
  struct Filter {
    Resources refused;
    io::Instant until;
  };
  using Key = std::tuple<std::string, std::string, std::string>;
  using Taker = std::pair<std::string, std::string>;

  bool IsRefused(const Demand& demand, const std::string& agent_id,
                 const Resources& resources) const;
  void DropExpired(io::Instant now);

  const Options options_;
  // By framework, role, agent.
  std::map<Key, std::deque<Filter>> filters_;
  // When each framework and role was last served, counted in grants.
  std::map<Taker, uint64_t> served_;
  uint64_t grants_ = 0;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_ALLOCATION_H_
