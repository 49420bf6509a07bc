// Who is offered what. Pure: it is told the time, what is available and who
// wants it, and answers with grants.
//
//   Allocation allocation({.interval = 1s});
//   allocation.SetSupply({"a1", available});
//   allocation.Refuse("f1", "*", "a1", offered, 5s, now);
//   for (const Grant& grant : allocation.Run(demands, now)) ...
//
// A grant holds all of an agent that its taker may have. Takers come in turn:
// whoever was granted something goes to the end of the line.
//
// A run costs what has changed, not what there is: an agent that nobody could
// take more of is looked at again when its supply is set, when a refusal of it
// ends, or when somebody new is in the line. That leaves nothing out: what is
// granted or refused only takes away from what others may have.

#ifndef QUORATE_CORE_MASTER_ALLOCATION_H_
#define QUORATE_CORE_MASTER_ALLOCATION_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
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

  friend bool operator==(const Demand&, const Demand&) = default;
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
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;

  // What the agent has to give from now on. Grants take from it.
  void SetSupply(const Supply& supply);
  // It has nothing to give any more. Refusals of it stay.
  void RemoveSupply(const std::string& agent_id);

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

  // By agent, ordered by id. `demands` are all that there are, each once.
  std::vector<Grant> Run(const std::vector<Demand>& demands, io::Instant now);

  size_t refusals() const { return ends_.size(); }

 private:
  // A framework and role that are or were in the line, or have refused.
  struct Taker {
    std::string framework_id;
    std::string role;
    bool takes_gpus = false;
    bool in_line = false;
    uint64_t served = 0;  // When it last was, counted in grants.
  };
  struct Agent;
  struct End {
    Agent* agent;
    Taker* taker;
  };
  using Ends = std::multimap<io::Instant, End>;
  struct Filter {
    Resources refused;
    Ends::iterator end;
  };
  struct Agent {
    std::string id;
    bool has_supply = false;
    bool has_gpus = false;
    Resources left;
    absl::flat_hash_map<const Taker*, std::vector<Filter>> refused_by;
  };

  Agent& AgentOf(const std::string& agent_id);
  Taker& TakerOf(const std::string& framework_id, const std::string& role);
  // The next run looks at it.
  void Touch(const Agent& agent) { touched_.insert(agent.id); }
  void EraseIfEmpty(const Agent& agent);
  void ForgetRefusals(Agent& agent, const Taker& taker);
  void ForgetRefusals(const Taker& taker);
  void DropExpired(io::Instant now);
  void UpdateLine(const std::vector<Demand>& demands);
  void Serve(Agent& agent, std::vector<Grant>* grants);
  static bool IsRefused(const Agent& agent, const Taker& taker,
                        const Resources& resources);

  const Options options_;
  std::map<std::string, Agent> agents_;  // With a supply or with refusals.
  std::set<std::string> touched_;
  Ends ends_;  // One for each refusal.
  std::map<std::pair<std::string, std::string>, Taker> takers_;
  // As of the last run. Who has waited longest comes first.
  std::vector<Demand> demands_;
  std::vector<Taker*> line_;
  bool line_is_old_ = false;
  uint64_t grants_ = 0;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_ALLOCATION_H_
