// Disks die, lie and return in any number, and an oracle that knows them all
// says what must come of the log.

#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "scenarios/log_storm.h"
#include "scenarios/scenario.h"
#include "sim/log_recovery.h"

namespace quorate::scenarios {
namespace {

enum class Blow {
  kDies,
  kWiped,
  kZeroed,
  kGarbled,
  kDamaged,
  kCount,
};

struct Backup {
  int replica = 0;
  sim::FileSystem::NodePtr disk;
};

// What hits the disks while nobody runs, or only those that are not hit.
class Catastrophe {
 public:
  Catastrophe(sim::World& world, sim::LogCluster& log)
      : world_(world), log_(log), random_(world.NewRandom("catastrophe")) {
    // From harmless to everybody.
    odds_ = 1 + random_->Below(5);
    if (random_->Below(2) == 0) {
      backup_ = {static_cast<int>(random_->Below(log.size())), nullptr};
    }
  }

  // At any moment before.
  void TakeBackup() {
    if (backup_) backup_->disk = log_.Backup(backup_->replica);
  }

  void Strike() {
    const bool everybody = random_->Below(2) == 0 || backup_;
    for (int i = 0; everybody && i < log_.size(); ++i) log_.Kill(i);
    for (int i = 0; i < log_.size(); ++i) {
      const bool hit = random_->Below(6) < odds_;
      const uint64_t blow = random_->Below(static_cast<uint64_t>(Blow::kCount));
      if (hit) Hit(i, static_cast<Blow>(blow));
    }
    // Older disks are put back only where nobody runs who could take a vote
    // that they have forgotten for a new one.
    if (backup_ && hit_.count(backup_->replica) == 0 &&
        log_.MayForget(backup_->replica)) {
      log_.Restore(backup_->replica, backup_->disk);
    }
    if (everybody && random_->Below(6) == 0) Clone();
  }

  // Those that were away come back, with the disks that they had.
  void BringBackTheDead() {
    for (int i : dead_) log_.Start(i);
  }
  bool any_dead() const { return !dead_.empty(); }

 private:
  void Hit(int i, Blow blow) {
    hit_.insert(i);
    world_.Note(log_.host(i).name(), "is hit", static_cast<uint64_t>(blow));
    if (log_.up(i)) log_.Kill(i);
    switch (blow) {
      case Blow::kDies:
        log_.Retire(i);
        dead_.push_back(i);
        break;
      case Blow::kWiped:
        log_.Wipe(i);
        break;
      case Blow::kZeroed:
      case Blow::kGarbled:
        log_.LoseContents(i, blow == Blow::kZeroed);
        break;
      default:
        log_.DamageSectors(i, 1 + random_->Below(30), *random_);
    }
  }

  void Clone() {
    const int from = static_cast<int>(random_->Below(log_.size()));
    const int to = static_cast<int>(random_->Below(log_.size()));
    if (from == to) return;
    world_.Note(log_.host(to).name(), "is a clone of",
                static_cast<uint64_t>(from));
    log_.Clone(from, to);
  }

  sim::World& world_;
  sim::LogCluster& log_;
  std::unique_ptr<io::Random> random_;
  uint64_t odds_ = 0;
  std::optional<Backup> backup_;
  std::set<int> hit_;
  std::vector<int> dead_;
};

sim::LogClusterOptions DrawOptions(io::Random& random) {
  constexpr int kSizes[] = {1, 3, 3, 3, 5};
  sim::LogClusterOptions options;
  options.replicas = kSizes[random.Below(5)];
  options.builtin_election = random.Below(2) == 0;
  return options;
}

}  // namespace

// One replica comes from a backup of its own present life, and another one runs
// twice: each side takes the other for a clone, says so, and leaves it at that.
SCENARIO(Damage, ClonesOfEachOthersEyesStaySilent) {
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  const auto backup = log.Backup(0);
  log.Kill(0);
  log.Start(0);
  EXPECT_SOON(sim::AskForLeader(log) >= 0, 30s);
  world.RunFor(2s);
  for (int i = 0; i < 3; ++i) log.Kill(i);
  log.Restore(0, backup);
  log.Clone(2, 1);
  log.HealAll();
  world.max_events = world.events() + 100000;
  world.RunFor(10s);
}

// Any number of disks is wiped, emptied, damaged, restored or cloned, and any
// number of machines dies; later the dead return.
SCENARIO(Storm, OfEverything) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, DrawOptions(*random));
  EXPECT_SOON(log.Converged(), 30s);
  // A log that was lost is not begun anew by those that are left.
  for (int i = 0; i < log.size(); ++i) log.SetAutoInitialize(i, false);
  LogWeather weather = DrawWeather(*world.NewRandom("faults"));
  weather.truncation = random->Below(3) == 0;
  log.network().SetOptions(DrawNetwork(*random));
  LogStorm storm(world, log, weather);
  const int steps = static_cast<int>(random->Below(20));
  storm.Blow(steps);
  Catastrophe catastrophe(world, log);
  catastrophe.TakeBackup();
  storm.Blow(20 - steps);
  // The members tell each other what they have promised and voted for.
  log.network().SetOptions({});
  EXPECT_NOW(sim::AwaitRecovery(world, log) == sim::Recovery::kMust);
  world.RunFor(2s);
  catastrophe.Strike();
  sim::AwaitRecovery(world, log);
  if (!catastrophe.any_dead()) return;
  catastrophe.BringBackTheDead();
  sim::AwaitRecovery(world, log);
}

}  // namespace quorate::scenarios
