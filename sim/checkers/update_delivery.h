// What agents have taken of their tasks' states, frameworks hear.
//
// * In order: what a framework hears of a task for the first time is what the
//   agent has taken next, with nothing left out but what a crash may lose.
//   What is repeated may come at any time.
// * Nothing made up: it hears only of updates that an agent has taken, and of
//   one that is checkpointed only when no crash can lose it any more.
// * At least once: what is durable is heard in the end, whoever was killed or
//   lost power in between: when all is quiet, Unheard is empty.
//
// Only updates with a uuid count; masters make others, which may get lost.

#ifndef QUORATE_SIM_CHECKERS_UPDATE_DELIVERY_H_
#define QUORATE_SIM_CHECKERS_UPDATE_DELIVERY_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/agent/agent.h"
#include "sim/world.h"

namespace quorate::sim {

class UpdateDelivery {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit UpdateDelivery(World& world);
  ~UpdateDelivery();

  // To be given to that agent in every life; "agent0".
  agent::UpdateObserver* Observe(const std::string& agent);

  // As UpdateObserver::OnTaken.
  void Taken(const std::string& agent, const std::string& framework_id,
             const std::string& task_id, const std::string& uuid, bool durable);
  // The framework was told so by that agent.
  void Heard(const std::string& agent, const std::string& framework_id,
             const std::string& task_id, const std::string& uuid);

  // The agent's memory is gone, or not what it wrote: it may have forgotten
  // what it has taken so far.
  void Forgotten(const std::string& agent);
  // Nobody is told what becomes of the tasks of that framework, from now on.
  void FrameworkRemoved(const std::string& framework_id);

  // What was durable and has not been heard, in words; empty for nothing.
  std::string Unheard() const;
  uint64_t taken() const { return taken_; }
  uint64_t heard() const { return heard_; }

 private:
  class Observer;
  using Key = std::tuple<std::string, std::string, std::string>;
  struct Stream {
    std::vector<std::string> uuids;
    std::vector<bool> durable;
    size_t heard = 0;  // Of them, from the first on.
    bool excused = false;
  };

  World& world_;
  std::map<std::string, std::unique_ptr<Observer>> observers_;
  std::map<Key, Stream> streams_;  // By agent, framework and task.
  std::set<std::string> removed_frameworks_;
  uint64_t taken_ = 0;
  uint64_t heard_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_UPDATE_DELIVERY_H_
