// Registrars on three hosts, with a log among them, what they write, and the
// checkers that watch them.

#ifndef QUORATE_SIM_ROLES_REGISTRARS_H_
#define QUORATE_SIM_ROLES_REGISTRARS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/registry/registrar.h"
#include "core/wire/port.h"
#include "sim/checkers/log_agreement.h"
#include "sim/checkers/registry_witness.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::registry {

inline constexpr int kHosts = 3;

io::Endpoint AddressOf(int host);
Operation AdmitAgent(const std::string& id);

// What any replica has learned, by position.
class History {
 public:
  struct Written {
    uint64_t position = 0;  // of the first part
    size_t bytes = 0;
    size_t operation_bytes = 0;  // since the one before
  };

  void Add(uint64_t position, const std::string& entry);
  // Goes through all of it. Whole snapshots are listed; those that something
  // else came in between of are counted.
  void Scan();

  std::vector<Written> whole;
  int broken = 0;

 private:
  void ScanPayload(uint64_t position, const std::string& payload);

  std::map<uint64_t, std::string> entries_;
  std::optional<Written> part_;
  size_t operation_bytes_ = 0;
  bool introduced_ = false;
};

// Sees what one host learns, in all of its lives.
class Observer final : public log::LogObserver {
 public:
  // `next` is told of everything, too.
  Observer(History* history, log::LogObserver* next)
      : history_(history), next_(next) {}

  void OnOpened(const std::string& member) override;
  void OnPromised(uint64_t round, const std::string& member) override {
    next_->OnPromised(round, member);
  }
  void OnVoted(uint64_t position, uint64_t round, const std::string& member,
               const std::string& hash) override {
    next_->OnVoted(position, round, member, hash);
  }
  void OnProposed(uint64_t position, uint64_t round, const std::string& member,
                  const std::string& hash,
                  const std::vector<std::string>& members) override {
    next_->OnProposed(position, round, member, hash, members);
  }
  void OnConfig(uint64_t position,
                const std::vector<std::string>& members) override {
    next_->OnConfig(position, members);
  }
  void OnLearned(uint64_t position, const std::string& bytes) override;

  uint64_t first = 0;  // that was learned in this life
  int bases_adopted = 0;
  std::function<void(const Snapshot&)> on_part;

 private:
  History* const history_;
  log::LogObserver* const next_;
  std::optional<uint64_t> learned_;  // the last
};

class Member final : public sim::Program {
 public:
  Member(io::Environment& environment, int host,
         const Registrar::Options& options, log::LogOptions log);

  Registrar& registrar() { return registrar_; }
  absl::Status lost;

 private:
  Registrar registrar_;
  std::unique_ptr<wire::Port> port_;
};

class Registrars {
 public:
  static Registrar::Options Quick();

  explicit Registrars(uint64_t seed, Registrar::Options options = Quick(),
                      log::LogOptions log = {});
  // Expects that no checker has seen anything, or that one has.
  ~Registrars();

 protected:
  // The outcomes, in order of the answers.
  struct Outcomes {
    std::string text;
    size_t missing = 0;
  };

  // For a registrar that the test tells what is not in the log: restarts it
  // without the witness.
  void Unwatch(int i);
  void Start(int i);
  void Restart(int i);
  // It has to run.
  Member& member(int i);
  void RunOn(int i, const std::function<void(Registrar&)>& callback);
  log::LogStatus LogOf(int i);
  std::string StateOf(int i);

  absl::Status Recover(int i);
  // Admits agents: does not wait for the outcomes, or does.
  std::shared_ptr<Outcomes> Submit(int i, const std::vector<std::string>& ids);
  std::string Apply(int i, const std::vector<std::string>& ids);
  // `count` agents, one after the other, each in an entry of its own.
  void Admit(int i, const std::string& prefix, int count);

  // Everybody runs, and has learned the same.
  bool Converged();
  // They do soon, and hold the same.
  void ExpectAgreement();

  History history_;
  std::vector<std::unique_ptr<Observer>> observers_;
  sim::World world_;
  sim::LogAgreement agreement_{world_};
  sim::RegistryWitness witness_{world_};
  std::set<int> unwatched_;
  bool expects_failure_ = false;
  sim::Network network_;
  const Registrar::Options options_;
  const log::LogOptions log_;
  std::vector<std::unique_ptr<sim::Host>> hosts_;
  std::vector<sim::Process*> processes_;
};

}  // namespace quorate::registry

#endif  // QUORATE_SIM_ROLES_REGISTRARS_H_
