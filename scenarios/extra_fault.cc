#include "scenarios/extra_fault.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/node.h"

namespace quorate::scenarios {
namespace {

using sim::Fault;
using sim::Host;
using sim::Process;
using sim::World;

constexpr io::Duration kDiskStall = 51ms;
constexpr io::Duration kSlowLoop = 50ms;
constexpr io::Duration kSlowFor = 1s;

// What it strikes: one host, or the link from it to another.
struct Target {
  Host* host = nullptr;
  Host* other = nullptr;
};

struct Kind {
  const char* name;
  FaultClass fault_class;
  bool of_link;
  Fault sign;  // that it took effect
  void (*strike)(World&, io::Random&, const Target&);
};

// The program that a host is there for; null when none runs.
Process* MainProcess(const Host& host) {
  for (const auto& process : host.processes()) {
    if (process->alive() && process->name() == host.name()) {
      return process.get();
    }
  }
  return nullptr;
}

void SleepFor(World& world, Host& host, io::Duration time) {
  host.Suspend();
  world.After(time, "wakes from an extra fault", [&host] { host.Wake(); });
}

void Doze(World& world, io::Random& random, const Target& target) {
  SleepFor(world, *target.host, random.Between(10ms, 300ms));
}

void Clog(World&, io::Random& random, const Target& target) {
  target.host->network().Clog(target.host->ip(), target.other->ip(),
                              random.Between(10ms, 300ms));
}

void Reset(World&, io::Random&, const Target& target) {
  target.host->network().ResetConnections(target.host->ip(),
                                          target.other->ip());
}

// Not if the story has made the disk slow itself, before or meanwhile.
void StallDisk(World& world, io::Random&, const Target& target) {
  Host& host = *target.host;
  if (host.disk_stall != io::Duration::zero()) return;
  host.disk_stall = kDiskStall;
  world.After(kSlowFor, "disk is well again", [&host] {
    if (host.disk_stall == kDiskStall) host.disk_stall = {};
  });
}

void SlowDown(World& world, io::Random&, const Target& target) {
  Process* process = MainProcess(*target.host);
  if (process == nullptr) return;
  process->SetSlowLoop(kSlowLoop);
  world.After(kSlowFor, "is fast again",
              [process] { process->SetSlowLoop(io::Duration::zero()); });
}

void JumpClock(World&, io::Random& random, const Target& target) {
  target.host->clock().JumpWall(random.Between(-1h, 1h));
}

// As its supervisor would, if it has one that the story does not play.
void StartLater(World& world, io::Random& random, Host& host) {
  world.After(random.Between(1s, 20s), "starts after an extra fault", [&host] {
    if (auto* node = dynamic_cast<sim::Node*>(&host)) {
      node->Restart();
    } else if (host.ensemble == nullptr && host.processes().empty()) {
      host.Boot();
    }
  });
}

void Kill(World& world, io::Random& random, const Target& target) {
  if (Process* process = MainProcess(*target.host)) process->Kill();
  StartLater(world, random, *target.host);
}

void LosePower(World& world, io::Random& random, const Target& target) {
  target.host->LosePower();
  StartLater(world, random, *target.host);
}

void Sleep(World& world, io::Random& random, const Target& target) {
  SleepFor(world, *target.host, random.Between(10s, 2min));
}

void Isolate(World& world, io::Random& random, const Target& target) {
  sim::Network& network = target.host->network();
  const std::string ip = target.host->ip();
  std::vector<std::string> others;
  for (const auto& [other, host] : network.hosts()) {
    if (other != ip) others.push_back(other);
  }
  for (const std::string& other : others) {
    network.Cut(ip, other);
    network.Cut(other, ip);
  }
  world.After(random.Between(5s, 2min), "extra cut ends",
              [&network, ip, others] {
                for (const std::string& other : others) {
                  network.Mend(ip, other);
                  network.Mend(other, ip);
                }
              });
}

constexpr Kind kKinds[] = {
    {"doze", FaultClass::kHiccup, false, Fault::kSuspend, Doze},
    {"clog", FaultClass::kHiccup, true, Fault::kClog, Clog},
    {"reset", FaultClass::kHiccup, true, Fault::kConnectionReset, Reset},
    {"disk-stall", FaultClass::kHiccup, false, Fault::kDiskStall, StallDisk},
    {"slow-loop", FaultClass::kHiccup, false, Fault::kSlowLoop, SlowDown},
    {"clock-jump", FaultClass::kHiccup, false, Fault::kClockJump, JumpClock},
    {"kill", FaultClass::kBlow, false, Fault::kKill, Kill},
    {"power-loss", FaultClass::kBlow, false, Fault::kPowerLoss, LosePower},
    {"sleep", FaultClass::kBlow, false, Fault::kSuspend, Sleep},
    {"isolate", FaultClass::kBlow, false, Fault::kSegmentStalled, Isolate},
};

const Kind* FindKind(absl::string_view name) {
  for (const Kind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

// Those that are up, in order of their addresses.
std::vector<Host*> HostsUp(const World& world) {
  std::vector<Host*> hosts;
  if (world.network == nullptr) return hosts;
  for (const auto& [ip, host] : world.network->hosts()) {
    if (host->up()) hosts.push_back(host);
  }
  return hosts;
}

std::string NameOf(const Target& target) {
  if (target.other == nullptr) return target.host->name();
  return absl::StrCat(target.host->name(), ">", target.other->name());
}

Host* FindHost(const std::vector<Host*>& hosts, absl::string_view name) {
  for (Host* host : hosts) {
    if (host->name() == name) return host;
  }
  return nullptr;
}

// Waits for its step, and strikes.
class Injector {
 public:
  Injector(World& world, const ExtraFault& fault)
      : world_(world), fault_(fault) {
    world.on_step = [this](uint64_t step) {
      if (step == fault_.step) Inject();
    };
  }

  const std::optional<ExtraFault>& injected() const { return injected_; }
  // Without effect if nothing was injected.
  uint64_t signs_before() const { return signs_before_; }

 private:
  void Inject() {
    const std::vector<Host*> hosts = HostsUp(world_);
    const Kind* kind =
        fault_.kind.empty() ? DrawKind(hosts) : FindKind(fault_.kind);
    if (kind == nullptr) return;
    const std::optional<Target> target =
        fault_.target.empty() ? DrawTarget(*kind, hosts) : FindTarget(hosts);
    if (!target) return;
    injected_ = {fault_.step, kind->fault_class, kind->name, NameOf(*target)};
    signs_before_ = world_.faults().of(kind->sign);
    kind->strike(world_, *Stream("strength"), *target);
  }

  // What is drawn first depends on nothing that a replay is told.
  std::unique_ptr<io::Random> Stream(absl::string_view what) {
    return world_.NewRandom(
        absl::StrCat("extra fault ", fault_.step, " ", what));
  }

  const Kind* DrawKind(const std::vector<Host*>& hosts) {
    std::vector<const Kind*> kinds;
    for (const Kind& kind : kKinds) {
      const size_t needed = kind.of_link ? 2 : 1;
      if (kind.fault_class == fault_.fault_class && hosts.size() >= needed) {
        kinds.push_back(&kind);
      }
    }
    return kinds.empty() ? nullptr : kinds[Stream("kind")->Below(kinds.size())];
  }

  std::optional<Target> DrawTarget(const Kind& kind, std::vector<Host*> hosts) {
    if (hosts.size() < (kind.of_link ? 2u : 1u)) return std::nullopt;
    auto random = Stream("target");
    const size_t first = random->Below(hosts.size());
    Target target{hosts[first]};
    if (!kind.of_link) return target;
    hosts.erase(hosts.begin() + static_cast<std::ptrdiff_t>(first));
    target.other = hosts[random->Below(hosts.size())];
    return target;
  }

  std::optional<Target> FindTarget(const std::vector<Host*>& hosts) const {
    const std::vector<std::string> names = absl::StrSplit(fault_.target, '>');
    Target target{FindHost(hosts, names.front())};
    if (names.size() == 2) target.other = FindHost(hosts, names.back());
    const bool found = target.host != nullptr &&
                       (names.size() == 1 || target.other != nullptr);
    return found ? std::optional<Target>(target) : std::nullopt;
  }

  World& world_;
  const ExtraFault fault_;
  std::optional<ExtraFault> injected_;
  uint64_t signs_before_ = 0;
};

// A disk that was rolled back, or copied, has forgotten votes that count; with
// a blow at another member there may be nobody left who knows of them.
bool IsExcused(const Outcome& outcome, const ExtraFault& injected) {
  if (injected.fault_class != FaultClass::kBlow) return false;
  return outcome.failure_kind != sim::FailureKind::kViolation ||
         outcome.faults.of(Fault::kDiskRolledBack) > 0 ||
         outcome.faults.of(Fault::kDiskCloned) > 0;
}

uint64_t CountSteps(const Scenario& story, uint64_t seed, Outcome* outcome) {
  uint64_t steps = 0;
  *outcome = Run(story, seed, {.prepare = [&](World& world) {
                   world.on_step = [&](uint64_t step) { steps = step + 1; };
                 }});
  return steps;
}

}  // namespace

absl::StatusOr<ExtraFault> ParseExtraFault(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  ExtraFault fault;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &fault.step)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expecting STEP:KIND:TARGET, such as 3:doze:master0, not '", text,
        "'"));
  }
  const Kind* kind = FindKind(parts[1]);
  if (kind == nullptr) {
    std::string known;
    for (const Kind& one : kKinds) absl::StrAppend(&known, " ", one.name);
    return absl::InvalidArgumentError(
        absl::StrCat("no extra fault is called '", parts[1], "'; but:", known));
  }
  if (kind->of_link != absl::StrContains(parts[2], ">")) {
    return absl::InvalidArgumentError(absl::StrCat(
        parts[1], " strikes ",
        kind->of_link ? "a link, such as master0>agent1" : "one host"));
  }
  fault.fault_class = kind->fault_class;
  fault.kind = parts[1];
  fault.target = parts[2];
  return fault;
}

std::string ToString(const ExtraFault& fault) {
  return absl::StrCat(fault.step, ":", fault.kind, ":", fault.target);
}

ExtraOutcome RunWithExtraFault(const Scenario& story, uint64_t seed,
                               const ExtraFault& fault,
                               sim::Spectator* spectator) {
  std::unique_ptr<Injector> injector;
  ExtraOutcome extra;
  extra.outcome =
      Run(story, seed,
          {.spectator = spectator,
           .prepare =
               [&](World& world) {
                 injector = std::make_unique<Injector>(world, fault);
               },
           .replay_flags =
               [&] {
                 return injector->injected()
                            ? absl::StrCat(" --extra_fault='",
                                           ToString(*injector->injected()), "'")
                            : std::string();
               }});
  extra.injected = injector->injected();
  if (!extra.injected) return extra;
  const Fault sign = FindKind(extra.injected->kind)->sign;
  extra.took_effect = extra.outcome.faults.of(sign) > injector->signs_before();
  if (IsExcused(extra.outcome, *extra.injected)) {
    extra.outcome.failure = std::nullopt;
  }
  return extra;
}

Sweep SweepExtraFaults(const Scenario& story, uint64_t seed,
                       uint64_t most_steps) {
  Sweep sweep;
  sweep.steps = CountSteps(story, seed, &sweep.plain);
  if (sweep.plain.failure) sweep.failed = sweep.plain;
  const uint64_t count =
      most_steps == 0 ? sweep.steps : std::min(most_steps, sweep.steps);
  for (uint64_t i = 0; i < count && !sweep.failed; ++i) {
    // Spread over the story, and elsewhere with the next seed.
    const uint64_t step = (i * sweep.steps / count + seed) % sweep.steps;
    for (FaultClass fault_class : {FaultClass::kHiccup, FaultClass::kBlow}) {
      const ExtraOutcome extra = RunWithExtraFault(
          story, seed, {.step = step, .fault_class = fault_class});
      ++sweep.runs;
      sweep.took_effect += extra.took_effect ? 1 : 0;
      if (extra.outcome.failure && !sweep.failed) {
        sweep.failed = extra.outcome;
      }
    }
  }
  return sweep;
}

}  // namespace quorate::scenarios
