// Nothing is given away twice.
//
// * On each agent, what its master counts as used by tasks and executors and
//   as held in offers fits into what the agent has, after every event; no two
//   of these hold the same (a port, an item of a set).
// * Who holds something is known, and what.
// * What an agent runs fits into what it has. The command executors' own share
//   is the agent's, and is not counted; nor is what it is ending because the
//   framework was removed, which the master gives to others at once.
// * Conservation: when all is quiet, master and agent know of the same things
//   with the same resources.
//
//   books.Check("master0", BooksOf(cluster, agent));
//
// Quota, limits and weights are not there yet, so that nothing checks them.

#ifndef QUORATE_SIM_CHECKERS_RESOURCE_BOOKS_H_
#define QUORATE_SIM_CHECKERS_RESOURCE_BOOKS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "core/resources/resources.h"
#include "sim/world.h"

namespace quorate::master {
class Cluster;
struct Agent;
}  // namespace quorate::master
namespace quorate::agent {
class Workload;
}

namespace quorate::sim {

// Who holds what of one agent; without allocation marks.
struct Books {
  std::string agent;
  Resources total;
  // By "task <framework> <id>", "executor ..." or "offer <id>".
  std::map<std::string, Resources> held;
  // The same, of frameworks that were removed.
  std::map<std::string, Resources> ending;
  // What is to be held and is not there, or cannot be read; empty: nothing.
  std::string wrong;
};

// What a master thinks of one of its agents, by the tasks, executors and
// offers themselves and not by its own sums.
Books BooksOf(const master::Cluster& cluster, const master::Agent& agent);
// What an agent knows of itself.
Books BooksOf(const std::string& agent, const Resources& total,
              const agent::Workload& workload);

class ResourceBooks {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit ResourceBooks(World& world) : world_(world) {}

  // Of any side, at any time.
  void Check(absl::string_view who, const Books& books);

  // What the two sides disagree on, in words; empty when all is conserved. To
  // be asked when all is quiet: what is on its way makes a difference.
  static std::string Differences(const Books& master, const Books& agent);

  // How many books have been checked.
  uint64_t checked() const { return checked_; }

 private:
  World& world_;
  uint64_t checked_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_RESOURCE_BOOKS_H_
