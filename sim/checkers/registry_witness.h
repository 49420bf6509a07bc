// C5: the registry is linearizable, and the log is the witness: it tells in
// which order the operations took effect.
//
//   RegistryWitness witness(world);
//   agreement.on_entry = [&](uint64_t position, const log::EntryProto& entry) {
//     witness.Entry(position, entry);
//   };
//   options.observer = witness.Observe("master0");
//
// A sequential model, which is not the registry's own code, replays the log.
//
// * Each answer is the model's, at the place in the log that the registrar
//   names; and that place holds the operation that was asked for.
// * An operation that was answered before another was asked for lies before it.
// * What was answered is in the log once; what was not, or with an unknown
//   outcome, at most once; nothing else is.
// * Every replica finds the same outcomes; whoever takes a snapshot over, and
//   whoever begins to lead, has the model's state.

#ifndef QUORATE_SIM_CHECKERS_REGISTRY_WITNESS_H_
#define QUORATE_SIM_CHECKERS_REGISTRY_WITNESS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/registry/registrar.h"
#include "sim/world.h"

namespace quorate::log {
class EntryProto;
}

namespace quorate::sim {

// What the registry's operations mean, one after the other. Infos and times are
// opaque bytes.
class RegistryModel {
 public:
  absl::StatusCode Apply(const registry::Operation& operation);
  // Of all that it holds; equal states have equal ones.
  uint64_t digest() const { return digest_; }
  static uint64_t DigestOf(const registry::RegistryState& state);

 private:
  enum class Kind {
    kMaster,
    kAdmitted,
    kUnreachable,
    kGone,
    kFramework,
    kEnded,
  };
  struct Known {
    Kind kind = Kind::kAdmitted;
    std::string bytes;
  };

  static uint64_t Fold(const std::string& id, Kind kind,
                       const std::string& bytes);
  bool Is(const std::string& id, Kind kind) const;
  void Put(const std::string& id, Kind kind, std::string bytes);
  bool Erase(const std::string& id, Kind kind);
  void Erase(const std::string& id);
  absl::StatusCode Admit(const mesos::v1::AgentInfo& info);
  absl::StatusCode MarkGone(const registry::MarkAgentGone& mark);
  absl::StatusCode Prune(const registry::Prune& prune);
  absl::StatusCode Update(const registry::UpdateFramework& update);
  absl::StatusCode End(const registry::EndFramework& end);

  // By agent id; the master's is empty. By framework id, with a prefix.
  std::map<std::string, Known> known_;
  std::map<std::string, std::string> registered_;  // By framework id.
  std::deque<std::string> ended_;  // Oldest first, with the prefix.
  uint64_t digest_ = 0;
};

class RegistryWitness {
 public:
  // `world` outlives the checker; a violation fails its run.
  explicit RegistryWitness(World& world);
  ~RegistryWitness();

  // To be given to that master in every life it has.
  registry::RegistryObserver* Observe(const std::string& master);
  // The next entry of the log, before any registrar has it.
  void Entry(uint64_t position, const log::EntryProto& entry);

  // Operations that were answered with what is a durable fact.
  uint64_t answered() const { return answered_; }

 private:
  class Observer;
  using Place = std::pair<uint64_t, size_t>;  // position, index in the batch
  struct Written {
    std::string operation;
    absl::StatusCode outcome = absl::StatusCode::kOk;
    bool claimed = false;  // by an answer
  };
  struct Asked {
    std::string operation;
    Place after;  // all that was answered before lies at or below
    bool open = true;
  };
  // Of equal operations: those asked for that may be in the log, by what lies
  // before them; and how many in the log nobody has an answer to.
  struct Equal {
    std::multiset<Place> open;
    uint64_t unclaimed = 0;
  };

  uint64_t OnAsked(const registry::Operation& operation);
  void OnAnswered(const std::string& master, uint64_t ticket,
                  const absl::Status& outcome, const Place& place);
  void Claim(const std::string& master, const Asked& asked,
             const absl::Status& outcome, const Place& place);
  void OnApplied(const std::string& master, uint64_t position,
                 const std::vector<absl::Status>& outcomes);
  void OnState(const std::string& master, uint64_t position,
               const registry::RegistryState& state);
  void Write(const Place& place, const registry::Operation& operation);
  void Close(const Asked& asked);

  World& world_;
  std::map<std::string, std::unique_ptr<Observer>> observers_;
  RegistryModel model_;
  std::map<uint64_t, std::vector<Written>> written_;  // by position
  std::map<uint64_t, uint64_t> digests_;              // after that position
  std::map<uint64_t, Asked> asked_;                   // by ticket
  std::map<std::string, Equal> equal_;                // by operation
  Place highest_answered_;
  uint64_t next_ticket_ = 1;
  uint64_t answered_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_REGISTRY_WITNESS_H_
