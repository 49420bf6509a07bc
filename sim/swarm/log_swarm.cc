#include "sim/swarm/log_swarm.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sim/log_cluster.h"
#include "sim/swarm/weather.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

using Kind = Plan::Kind;

// Faults of disks that forget what they have acknowledged.
constexpr const char* kLies[] = {"wipe", "rollback", "clone", "damage"};
constexpr const char* kMediumLies[] = {"lost-write-permille",
                                       "misdirected-permille", "stale-sector"};

// Founders come in odd numbers: 2 * quorum - 1.
uint64_t DrawQuorum(io::Random& random) {
  constexpr uint64_t kQuorums[] = {1, 2, 2, 2, 2, 2, 3, 3, 3, 4};
  return kQuorums[random.Below(std::size(kQuorums))];
}

int FoundersOf(const Plan& plan) {
  return 2 * static_cast<int>(plan.at("quorum")) - 1;
}

void DrawOptions(io::Random& random, Plan& plan) {
  const bool hostile = random.Below(2) == 0;
  const auto option = [&](const char* name, uint64_t tame, uint64_t low,
                          uint64_t high) {
    const uint64_t drawn = low + random.Below(high - low);
    plan.Add({name, Kind::kOption, hostile ? drawn : tame, tame, 86400000});
  };
  option("heartbeat-ms", 200, 20, 400);
  option("check-quorum-ms", 2000, 800, 5000);
  option("election-ms", 600, 450, 2000);
  option("election-more-ms", 300, 1, 2000);
  option("retry-ms", 200, 10, 1000);
  option("segment-kib", 256, 64, 512);
  option("scrub-ms", 86400000, 1000, 60000);
}

void DrawWork(io::Random& random, Plan& plan) {
  const auto work = [&](const char* name, uint64_t often, uint64_t most) {
    const uint64_t drawn = random.Below(most);
    const bool on = random.Below(often) == 0;
    plan.Add({name, Kind::kWork, on ? drawn : 0, 0, 100 * most});
  };
  work("append", 1, 50000);
  work("read", 2, 5000);
  work("truncate", 3, 2000);
  work("change-members", 3, 500);
  work("rivals", 3, 2000);
  work("wrong-quorum", 6, 100);
  plan.Add({"append-bytes", Kind::kOption,
            random.Below(4) == 0 ? random.Below(30 << 10) : 0, 0, 1 << 20});
}

log::LogOptions OptionsOf(const Plan& plan) {
  const auto ms = [&](const char* name) {
    return std::chrono::milliseconds(plan.at(name));
  };
  log::LogOptions options = LogClusterOptions::SmallLog();
  options.heartbeat_interval = ms("heartbeat-ms");
  options.check_quorum_timeout = ms("check-quorum-ms");
  options.min_election_timeout = ms("election-ms");
  options.max_election_timeout = ms("election-ms") + ms("election-more-ms");
  options.retry_interval = ms("retry-ms");
  options.scrub_interval = ms("scrub-ms");
  options.segment_bytes = plan.at("segment-kib") << 10;
  return options;
}

// Of those that an operator may change from one start to the next.
constexpr io::Duration kLongestOtherElection = 1500ms;
void DrawFlags(io::Random& random, log::LogOptions& options) {
  options.heartbeat_interval = random.Between(20ms, 300ms);
  options.check_quorum_timeout = random.Between(800ms, 5s);
  options.min_election_timeout = random.Between(450ms, 1s);
  options.max_election_timeout =
      options.min_election_timeout + random.Between(1ms, 500ms);
  options.retry_interval = random.Between(10ms, 1s);
  options.scrub_interval = random.Between(1s, 60s);
  options.segment_bytes = (64 + random.Below(448)) << 10;
  options.reserve_bytes = (8 + random.Below(24)) << 10;
}

LogClusterOptions ClusterOptionsOf(const Plan& plan) {
  LogClusterOptions options;
  options.replicas = FoundersOf(plan);
  options.builtin_election = plan.at("rivals") == 0;
  options.log = OptionsOf(plan);
  return options;
}

// -----------------------------------------------------------------------------

class LogSwarm {
 public:
  LogSwarm(World& world, const Plan& plan)
      : world_(world),
        plan_(plan),
        founders_(FoundersOf(plan)),
        log_(world, ClusterOptionsOf(plan)),
        weather_(world, log_.network(), plan) {}
  ~LogSwarm() { *working_ = false; }

  void Run() {
    WarmUp();
    weather_.Begin();
    world_.RunFor(std::chrono::milliseconds(plan_.at("storm-ms")));
    log_.network().SetOptions({});
    if (plan_.at("heal-core") != 0 && !Rivals() && !MembersChange()) {
      HealCore();
    } else {
      HealAll();
    }
  }

 private:
  bool Rivals() const { return plan_.at("rivals") != 0; }
  bool DisksLie() const {
    uint64_t all = 0;
    for (const char* lie : kLies) all += plan_.at(lie);
    for (const char* lie : kMediumLies) all += plan_.at(lie);
    return all != 0;
  }
  // Members that are removed leave a smaller majority, in which disks that lie
  // could be too many: it is one or the other.
  bool MembersChange() const {
    return plan_.at("change-members") != 0 && !DisksLie();
  }
  // Enough others keep what they promised.
  bool MayLie(int i) const { return i < (founders_ - 1) / 2; }

  void WarmUp();
  void AddVictim(int i);
  void AddDiskKinds();
  void AddDamage();
  void AddSecondProcess();
  void AddWork();
  void Recurring(const char* knob, std::function<void(io::Random&)> event);
  void ReplaceWiped(int leader);
  void HealAll();
  void HealCore();
  void AwaitService(const std::vector<int>& core);
  void Await(const std::function<bool()>& condition, io::Duration at_most,
             const char* what);
  bool MayBeQuarantined(const log::LogStatus& status) const;
  void ReadBack(const std::vector<int>& core);
  bool CoreLeads(const std::vector<int>& core);

  World& world_;
  const Plan& plan_;
  const int founders_;
  LogCluster log_;
  std::map<int, FileSystem::NodePtr> backups_;
  std::map<int, std::string> wiped_;  // their former ids
  std::shared_ptr<bool> working_ = std::make_shared<bool>(true);
  Weather weather_;
};

void LogSwarm::WarmUp() {
  Await([this] { return log_.Converged(); }, 30s, "the log forms");
  for (uint64_t i = 0; i < plan_.at("spares"); ++i) {
    // A fresh master with --quorum=1 would form a log of its own.
    log_.Add(std::max(2, founders_ / 2 + 1));
  }
  for (int i = 0; i < log_.size(); ++i) AddVictim(i);
  world_.RunFor(1s);
  AddDiskKinds();
  AddDamage();
  AddSecondProcess();
  AddWork();
  log_.network().SetOptions(Weather::NetworkOf(plan_));
}

void LogSwarm::AddVictim(int i) {
  weather_.Add({
      .host = &log_.host(i),
      .process = [this, i] { return &log_.process(i); },
      .start =
          [this, i] {
            if (!log_.up(i)) log_.Start(i);
          },
      .other_flags =
          [this, i](io::Random& random) {
            log_.ChangeOptions(i, [&random](log::LogOptions& options) {
              DrawFlags(random, options);
            });
          },
      .set_protocol =
          [this, i](const wire::Versions& versions) {
            log_.SetProtocol(i, versions);
          },
      .address = log_.address(i),
  });
}

void LogSwarm::AddDiskKinds() {
  weather_.AddKind("wipe", [this](io::Random& random) {
    const int i = static_cast<int>(random.Below(founders_));
    if (!MayLie(i)) return;
    log_.status(i);
    log_.Kill(i);
    if (!log_.id(i).empty()) wiped_[i] = log_.id(i);
    log_.Wipe(i);
  });
  weather_.AddKind("rollback", [this](io::Random& random) {
    const int i = static_cast<int>(random.Below(founders_));
    if (!MayLie(i)) return;
    FileSystem::NodePtr& backup = backups_[i];
    if (backup == nullptr) {
      backup = log_.Backup(i);
      return;
    }
    log_.Kill(i);
    log_.Restore(i, backup);
    backup = nullptr;
  });
  weather_.AddKind("clone", [this](io::Random& random) {
    const int from = static_cast<int>(random.Below(founders_));
    const int to = static_cast<int>(random.Below(log_.size()));
    if (from == to || !MayLie(from)) return;
    if (to < founders_ && !MayLie(to)) return;
    log_.Kill(from);
    log_.Kill(to);
    log_.Clone(from, to);
  });
}

// A sector at rest, of a disk that may lie, and writes that it acknowledged.
void LogSwarm::AddDamage() {
  const auto chance = [this](const char* knob) {
    return static_cast<double>(plan_.at(knob)) / 1000;
  };
  for (int i = 0; i < founders_; ++i) {
    if (!MayLie(i)) continue;
    FileSystem& files = log_.host(i).files();
    files.remembers = plan_.at("stale-sector") != 0;
    DiskFaults faults;
    faults.write_lost = chance("lost-write-permille");
    faults.write_misdirected = chance("misdirected-permille");
    if (faults.media()) files.SetFaults(faults);
  }
  weather_.AddKind("stale-sector", [this](io::Random& random) {
    const int i = static_cast<int>(random.Below(founders_));
    if (MayLie(i)) log_.host(i).files().Damage(Fault::kSectorStale);
  });
  constexpr Fault kKinds[] = {Fault::kBitFlipped, Fault::kSectorZeroed,
                              Fault::kReadFailed};
  weather_.AddKind("damage", [this, kKinds](io::Random& random) {
    const int i = static_cast<int>(random.Below(founders_));
    const Fault kind = kKinds[random.Below(std::size(kKinds))];
    if (MayLie(i)) log_.host(i).files().Damage(kind);
  });
}

void LogSwarm::AddSecondProcess() {
  weather_.AddKind("second-process", [this](io::Random& random) {
    const int i = static_cast<int>(random.Below(log_.size()));
    const bool spared = weather_.Spared(static_cast<size_t>(i));
    if (!spared && log_.up(i) && log_.host(i).up()) log_.StartSecond(i);
  });
}

void LogSwarm::Recurring(const char* knob,
                         std::function<void(io::Random&)> event) {
  Recur(world_, plan_.at(knob), world_.NewRandom(absl::StrCat("work ", knob)),
        working_, std::move(event));
}

void LogSwarm::AddWork() {
  Recurring("append", [this](io::Random& random) {
    const uint64_t bytes = random.Below(plan_.at("append-bytes") + 1);
    for (const int leader : log_.Leaders()) log_.Append(leader, bytes);
  });
  Recurring("read", [this](io::Random&) {
    for (const int leader : log_.Leaders()) log_.Read(leader);
  });
  Recurring("truncate", [this](io::Random& random) {
    const uint64_t kept = random.Below(10);
    for (const int leader : log_.Leaders()) {
      const uint64_t end = log_.status(leader).learned_upto;
      log_.Truncate(leader, end - std::min(end, kept));
    }
  });
  Recurring("rivals", [this](io::Random& random) {
    log_.Elect(static_cast<int>(random.Below(log_.size())));
  });
  Recurring("change-members", [this](io::Random& random) {
    for (const int leader : log_.Leaders()) {
      if (MembersChange()) {
        log_.ChangeAnyMembers(leader, random);
      } else {
        ReplaceWiped(leader);
      }
    }
  });
  // An operator's mistake at the next restart.
  Recurring("wrong-quorum", [this](io::Random& random) {
    const int i = static_cast<int>(random.Below(log_.size()));
    log_.SetQuorum(i, 2 + static_cast<int>(random.Below(3)));
  });
}

// As an operator should when a disk was lost.
void LogSwarm::ReplaceWiped(int leader) {
  const std::vector<std::string> members = log_.status(leader).members;
  for (const auto& [i, old_id] : wiped_) {
    log_.status(i);
    if (std::count(members.begin(), members.end(), old_id) == 0) continue;
    const bool back = log_.up(i) && !log_.id(i).empty() && log_.id(i) != old_id;
    if (back) return log_.ReplaceId(leader, old_id, i);
  }
}

// -----------------------------------------------------------------------------

void LogSwarm::Await(const std::function<bool()>& condition,
                     io::Duration at_most, const char* what) {
  if (world_.RunUntil(condition, at_most)) return;
  world_.FailStuck(absl::StrCat("not within ", at_most / 1s, " s: ", what));
}

void LogSwarm::HealAll() {
  weather_.End();
  for (int i = 0; i < founders_; ++i) log_.host(i).files().SetFaults({});
  std::vector<int> sound;
  for (int i = 0; i < log_.size(); ++i) {
    const bool cloned_to = i >= founders_ && plan_.at("clone") != 0;
    if (!DisksLie() || (!MayLie(i) && !cloned_to)) sound.push_back(i);
  }
  AwaitService(sound);
}

// A majority of the founders, of disks that never lied.
void LogSwarm::HealCore() {
  auto random = world_.NewRandom("core");
  std::vector<int> core;
  std::vector<size_t> spared;
  for (int i = 0; i < founders_; ++i) {
    if (!DisksLie() || !MayLie(i)) core.push_back(i);
  }
  while (core.size() > static_cast<size_t>(founders_ / 2 + 1)) {
    core.erase(core.begin() +
               static_cast<std::ptrdiff_t>(random->Below(core.size())));
  }
  for (const int i : core) spared.push_back(static_cast<size_t>(i));
  weather_.Spare(spared);
  AwaitService(core);
}

bool LogSwarm::CoreLeads(const std::vector<int>& core) {
  // Where nobody stands by himself, a member is asked to.
  for (const int i : core) {
    if (!log_.Leaders().empty()) break;
    if (log_.status(i).state == log::LogStatus::State::kFollowing) {
      log_.Elect(i);
    }
  }
  return !log_.Leaders().empty();
}

// The bound of the protocol: a leader, then an append, then everybody of the
// core has everything.
void LogSwarm::AwaitService(const std::vector<int>& core) {
  const io::Duration election = std::chrono::milliseconds(
      plan_.at("election-ms") + plan_.at("election-more-ms"));
  const io::Duration elections =
      3 * (plan_.at("other-flags") == 0
               ? election
               : std::max(election, kLongestOtherElection));
  // What a slow disk was asked before, it does first.
  Await(
      [&] {
        return std::none_of(core.begin(), core.end(), [&](int i) {
          return log_.status(i).state == log::LogStatus::State::kOpening;
        });
      },
      180s, "every disk is opened");
  Await([&] { return CoreLeads(core); }, 10s + elections,
        "a majority has a leader");
  const uint64_t before = log_.acknowledged();
  Await(
      [&] {
        if (!CoreLeads(core)) return false;
        for (const int leader : log_.Leaders()) log_.Append(leader);
        return log_.acknowledged() > before;
      },
      5s + elections, "an append is acknowledged");
  uint64_t end = 0;
  for (const int i : core) end = std::max(end, log_.status(i).learned_upto);
  Await(
      [&] {
        return std::all_of(core.begin(), core.end(), [&](int i) {
          const log::LogStatus status = log_.status(i);
          return MayBeQuarantined(status) || status.learned_upto >= end;
        });
      },
      5s + elections, "everybody of the majority has everything");
  ReadBack(core);
}

// A disk that could not be read does not say any more what it promised; nor
// does that of a member that was removed.
bool LogSwarm::MayBeQuarantined(const log::LogStatus& status) const {
  return status.state == log::LogStatus::State::kQuarantined &&
         (DisksLie() || MembersChange() ||
          world_.faults().of(Fault::kReadFailed) > 0);
}

// Everything that was ever acknowledged, from each of them.
void LogSwarm::ReadBack(const std::vector<int>& core) {
  for (const int i : core) {
    if (!log_.up(i) || MayBeQuarantined(log_.status(i))) continue;
    auto done = std::make_shared<std::optional<absl::Status>>();
    log_.ReadBack(i, [done](const absl::Status& read) { *done = read; });
    Await([done] { return done->has_value(); }, 60s, "the log is read");
  }
}

}  // namespace

Plan DrawLogPlan(uint64_t seed) {
  auto random = io::SeededRandom(seed).Split("log plan");
  Plan plan;
  plan.Add({"quorum", Kind::kSize, DrawQuorum(*random), 1, 4});
  plan.Add({"spares", Kind::kSize, random->Below(3), 0, 5});
  plan.Add({"storm-ms", Kind::kTime, 2000 + random->Below(58000), 0, 3600000});
  plan.Add({"heal-core", Kind::kOption, random->Below(2), 0, 1});
  DrawOptions(*random, plan);
  DrawWork(*random, plan);
  Weather::Draw(*random, plan);
  plan.Add({"second-process", Kind::kFault,
            random->Below(5) == 0 ? 1 + random->Below(50) : 0, 0, 10000});
  for (const char* lie : kLies) {
    const uint64_t drawn = random->Below(100);
    const bool on = random->Below(5) == 0;
    plan.Add({lie, Kind::kFault, on ? drawn : 0, 0, 10000});
  }
  Weather::DrawRestarts(*random, plan);
  for (const char* lie : kMediumLies) {
    const uint64_t drawn = 1 + random->Below(30);
    const bool on = random->Below(8) == 0;
    const bool strikes = absl::string_view(lie) == "stale-sector";
    plan.Add({lie, strikes ? Kind::kFault : Kind::kStrength, on ? drawn : 0, 0,
              1000});
  }
  return plan;
}

void RunLogSwarm(World& world, const Plan& plan) {
  LogSwarm(world, plan).Run();
}

}  // namespace quorate::sim
