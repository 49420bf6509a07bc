#include "sim/swarm/weather.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/squatter.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;

constexpr io::Duration kTendEvery = 100ms;

uint64_t Milliseconds(io::Duration time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

// Every fault by itself is on or off, and of very different strength.
uint64_t DrawRate(io::Random& random, uint64_t most, uint64_t one_in) {
  if (random.Below(one_in) != 0) return 0;
  const uint64_t tenth = std::max<uint64_t>(1, most / 10);
  const bool strong = random.Below(3) == 0;
  return 1 + random.Below(strong ? most : tenth);
}

}  // namespace

io::Duration DrawSpell(io::Random& random) {
  switch (random.Below(3)) {
    case 0:
      return random.Between(10ms, 300ms);
    case 1:
      return random.Between(300ms, 5s);
    default:
      return random.Between(5s, 60s);
  }
}

void Recur(World& world, uint64_t per_1000_s,
           std::shared_ptr<io::Random> random, std::shared_ptr<bool> life,
           std::function<void(io::Random&)> event) {
  if (per_1000_s == 0) return;
  const io::Duration mean = io::Duration(1000s) / per_1000_s;
  const io::Duration wait = random->Between(io::Duration(0), 2 * mean);
  world.After(wait, "recurs",
              [&world, per_1000_s, random = std::move(random),
               life = std::move(life), event = std::move(event)]() mutable {
                if (!*life) return;
                event(*random);
                Recur(world, per_1000_s, std::move(random), std::move(life),
                      std::move(event));
              });
}

// -----------------------------------------------------------------------------

namespace {

struct FaultKnob {
  const char* name;
  uint64_t most;  // in 1,000 seconds
};

constexpr FaultKnob kFaultKnobs[] = {
    {"kill", 300},        {"power-loss", 200},  {"rack-power-loss", 50},
    {"disk-death", 300},  {"pause", 300},       {"suspend", 100},
    {"slow-loop", 100},   {"partition", 300},   {"flap", 100},
    {"reset", 300},       {"half-open", 100},   {"first-bytes-lost", 100},
    {"slow-link", 100},   {"lossy-link", 100},  {"clog", 100},
    {"disk-stall", 200},  {"disk-full", 50},    {"read-error", 30},
    {"write-error", 30},  {"sync-error", 50},   {"clock-jump", 100},
    {"clock-drift", 100}, {"clock-freeze", 50},
};

}  // namespace

void Weather::Draw(io::Random& random, Plan& plan) {
  // Few of many find what all at once would hide.
  constexpr uint64_t kOneIn[] = {16, 8, 4, 2};
  const uint64_t one_in = kOneIn[random.Below(std::size(kOneIn))];
  for (const FaultKnob& knob : kFaultKnobs) {
    plan.Add({knob.name, Plan::Kind::kFault,
              DrawRate(random, knob.most, one_in), 0, 100 * knob.most});
  }
  plan.Add({"jitter-us", Plan::Kind::kStrength,
            Milliseconds(DrawSpell(random)) % 5000, 100, 500000});
  plan.Add({"spike-permille", Plan::Kind::kStrength,
            random.Below(3) == 0 ? random.Below(20) : 0, 0, 1000});
  plan.Add(
      {"spike-ms", Plan::Kind::kStrength, 1 + random.Below(2000), 500, 60000});
  plan.Add(
      {"split-permille", Plan::Kind::kStrength, random.Below(200), 50, 1000});
  plan.Add({"stall-min-ms", Plan::Kind::kStrength, 1 + random.Below(5000), 5000,
            60000});
  plan.Add({"stall-more-ms", Plan::Kind::kStrength, random.Below(10000), 10000,
            60000});
}

void Weather::DrawRestarts(io::Random& random, Plan& plan) {
  constexpr uint64_t kMost = 100;
  constexpr uint64_t kOneIn = 5;
  for (const char* name : {"other-flags", "upgrade", "address-reuse"}) {
    plan.Add({name, Plan::Kind::kFault, DrawRate(random, kMost, kOneIn), 0,
              100 * kMost});
  }
}

NetworkOptions Weather::NetworkOf(const Plan& plan) {
  NetworkOptions options;
  options.jitter = std::chrono::microseconds(plan.at("jitter-us"));
  options.spike_probability =
      static_cast<double>(plan.at("spike-permille")) / 1000;
  options.spike = std::chrono::milliseconds(plan.at("spike-ms"));
  options.split_probability =
      static_cast<double>(plan.at("split-permille")) / 1000;
  options.min_stall = std::chrono::milliseconds(plan.at("stall-min-ms"));
  options.max_stall =
      options.min_stall + std::chrono::milliseconds(plan.at("stall-more-ms"));
  return options;
}

// -----------------------------------------------------------------------------

struct Weather::Kind {
  const char* knob;
  std::function<void(io::Random&)> strike;
};

Weather::Weather(World& world, Network& network, const Plan& plan)
    : world_(world),
      network_(network),
      plan_(plan),
      supervisor_(world.NewRandom("weather supervisor")) {
  AddProcessKinds();
  AddRestartKinds();
  AddNetworkKinds();
  AddLinkKinds();
  AddDiskKinds();
  AddClockKinds();
}

Weather::~Weather() { *life_ = false; }

void Weather::AddKind(const char* knob,
                      std::function<void(io::Random&)> strike) {
  kinds_.push_back(std::make_unique<Kind>(Kind{knob, std::move(strike)}));
}

void Weather::Begin() {
  over_ = false;
  for (const auto& kind : kinds_) {
    Recur(world_, plan_.at(kind->knob),
          world_.NewRandom(absl::StrCat("weather ", kind->knob)), life_,
          [this, &kind = *kind](io::Random& random) {
            if (!over_) kind.strike(random);
          });
  }
  Tend();
}

void Weather::AddProcessKinds() {
  AddKind("kill", [this](io::Random& random) {
    if (const std::optional<size_t> victim = Any(random))
      StrikeDown(*victim, false);
  });
  AddKind("power-loss", [this](io::Random& random) {
    if (const std::optional<size_t> victim = Any(random))
      StrikeDown(*victim, true);
  });
  AddKind("rack-power-loss", [this](io::Random& random) {
    const uint64_t rack = random.Below(3);
    int struck = 0;
    for (size_t i = 0; i < victims_.size(); ++i) {
      if (i % 3 != rack || Spared(i) || Down(i)) continue;
      ++struck;
      StrikeDown(i, true);
    }
    if (struck > 1)
      world_.Took(Fault::kRackPowerLoss, absl::StrCat("rack", rack));
  });
  AddKind("disk-death", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const uint64_t calls = 1 + random.Below(40);
    const bool power = random.Below(2) == 0;
    if (!victim || Down(*victim)) return;
    if (!victims_[*victim].process) return;
    victims_[*victim].process()->DieAtDiskCall(calls, power);
  });
  AddKind("pause", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration time = DrawSpell(random);
    if (!victim || Down(*victim)) return;
    if (!victims_[*victim].process) return;
    Process* const process = victims_[*victim].process();
    process->Pause();
    For(time, {*victim}, [process] { process->Resume(); });
  });
  AddKind("suspend", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration time = DrawSpell(random);
    if (!victim || Down(*victim)) return;
    Host& host = *victims_[*victim].host;
    host.Suspend();
    For(time, {*victim}, [&host] { host.Wake(); });
  });
  AddKind("slow-loop", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration late = random.Between(1ms, 200ms);
    const io::Duration time = DrawSpell(random);
    if (!victim || Down(*victim) || !victims_[*victim].process) return;
    Process* const process = victims_[*victim].process();
    process->SetSlowLoop(late);
    For(time, {*victim}, [process] { process->SetSlowLoop({}); });
  });
}

void Weather::AddRestartKinds() {
  AddKind("other-flags", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    if (!victim || !victims_[*victim].other_flags) return;
    victims_[*victim].other_flags(random);
    StrikeDown(*victim, false);
  });
  AddKind("upgrade", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    if (victim && victims_[*victim].set_protocol) Upgrade(*victim, random);
  });
  AddKind("address-reuse", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    if (victim && victims_[*victim].address.port != 0) {
      Displace(*victim, random);
    }
  });
}

namespace {

// The next release speaks the protocol of this one, too; the one after it does
// not any more.
constexpr uint32_t kNow = wire::kProtocolVersion;
constexpr wire::Versions kThisRelease{kNow, kNow};
constexpr wire::Versions kNextRelease{kNow, kNow + 1};
constexpr wire::Versions kReleaseAfterNext{kNow + 1, kNow + 2};

}  // namespace

// To the next release or back; now and then, by mistake, two at once.
void Weather::Upgrade(size_t victim, io::Random& random) {
  const bool hasty = random.Below(8) == 0;
  const bool up = random.Below(2) == 0;
  too_new_.erase(victim);
  if (hasty) too_new_.insert(victim);
  victims_[victim].set_protocol(hasty ? kReleaseAfterNext
                                : up  ? kNextRelease
                                      : kThisRelease);
  StrikeDown(victim, false);
}

// Another program has its address for a while; it cannot start meanwhile.
void Weather::Displace(size_t victim, io::Random& random) {
  const io::Duration time = DrawSpell(random);
  Host& host = *victims_[victim].host;
  if (!host.up() || IsSquatted(host)) return;
  StrikeDown(victim, false);
  Process& squatter = StartSquatter(host, victims_[victim].address, random);
  For(time, {victim}, [&squatter] { squatter.Terminate(); });
}

void Weather::AddNetworkKinds() {
  AddKind("partition", [this](io::Random& random) { Partition(random); });
  AddKind("flap", [this](io::Random& random) {
    const std::optional<size_t> a = Any(random);
    const size_t b = random.Below(victims_.size());
    const int times = 2 + static_cast<int>(random.Below(10));
    const io::Duration period = random.Between(50ms, 3s);
    if (a && *a != b) Flap(*a, b, times, period);
  });
}

// Of one direction between two hosts, or of both.
void Weather::AddLinkKind(
    const char* knob,
    std::function<io::Duration(const std::string& from, const std::string& to,
                               io::Random& random)>
        strike,
    std::function<void(const std::string& from, const std::string& to)> undo) {
  AddKind(knob, [this, strike = std::move(strike),
                 undo = std::move(undo)](io::Random& random) {
    const std::optional<size_t> a = Any(random);
    const size_t b = random.Below(victims_.size());
    const bool back = random.Below(2) == 0;
    if (!a || *a == b) return;
    const size_t from = back ? b : *a;
    const size_t to = back ? *a : b;
    const std::string source = victims_[from].host->ip();
    const std::string target = victims_[to].host->ip();
    const io::Duration time = strike(source, target, random);
    if (undo) For(time, {from, to}, [=] { undo(source, target); });
  });
}

void Weather::AddLinkKinds() {
  AddLinkKind("reset", [this](const auto& from, const auto& to, io::Random&) {
    network_.ResetConnections(from, to);
    return io::Duration();
  });
  AddLinkKind("half-open",
              [this](const auto& from, const auto& to, io::Random&) {
                network_.HalfOpenConnections(from, to);
                return io::Duration();
              });
  AddLinkKind("first-bytes-lost",
              [this](const auto& from, const auto& to, io::Random&) {
                network_.LoseFirstBytes(from, to);
                return io::Duration();
              });
  AddLinkKind("clog",
              [this](const auto& from, const auto& to, io::Random& random) {
                network_.Clog(from, to, random.Between(50ms, 10s));
                return io::Duration();
              });
  const auto restore = [this](const auto& from, const auto& to) {
    network_.SetLink(from, to, {});
  };
  AddLinkKind(
      "slow-link",
      [this](const auto& from, const auto& to, io::Random& random) {
        const uint64_t rate = 1000 + random.Below(100000);
        network_.SetLink(from, to, {.bytes_per_second = rate});
        return DrawSpell(random);
      },
      restore);
  AddLinkKind(
      "lossy-link",
      [this](const auto& from, const auto& to, io::Random& random) {
        const double loss = static_cast<double>(random.Below(300)) / 1000;
        network_.SetLink(from, to, {.loss = loss});
        return DrawSpell(random);
      },
      restore);
}

void Weather::AddDiskKinds() {
  AddKind("disk-stall", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration time = DrawSpell(random);
    const io::Duration stall = random.Between(1ms, 500ms);
    if (!victim) return;
    Host& host = *victims_[*victim].host;
    host.disk_stall = stall;
    host.disk_stall_until = world_.elapsed() + time;
    For(time, {*victim}, [&host] {
      host.disk_stall = {};
      host.disk_stall_until = io::Duration::max();
    });
  });
  AddKind("disk-full", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration time = DrawSpell(random);
    if (!victim) return;
    Host& host = *victims_[*victim].host;
    host.files().full = true;
    For(time, {*victim}, [&host] { host.files().full = false; });
  });
  AddDiskError("read-error", &FileSystem::failing_reads);
  AddDiskError("write-error", &FileSystem::failing_writes);
  AddDiskError("sync-error", &FileSystem::failing_syncs);
}

// The next call fails.
void Weather::AddDiskError(const char* knob, int FileSystem::* failing) {
  AddKind(knob, [this, failing](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration time = DrawSpell(random);
    if (!victim) return;
    FileSystem& files = victims_[*victim].host->files();
    files.*failing = 1;
    For(time, {*victim}, [&files, failing] { files.*failing = 0; });
  });
}

void Weather::AddClockKinds() {
  AddKind("clock-jump", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration jump = random.Between(-1h, 1h);
    if (!victim) return;
    victims_[*victim].host->clock().JumpWall(jump);
  });
  AddKind("clock-drift", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const int ppm = static_cast<int>(random.Below(100000)) - 50000;
    const io::Duration time = DrawSpell(random);
    if (!victim) return;
    HostClock& clock = victims_[*victim].host->clock();
    clock.SetDrift(ppm);
    For(time, {*victim}, [&clock] { clock.SetDrift(0); });
  });
  AddKind("clock-freeze", [this](io::Random& random) {
    const std::optional<size_t> victim = Any(random);
    const io::Duration time = DrawSpell(random);
    if (!victim) return;
    HostClock& clock = victims_[*victim].host->clock();
    clock.FreezeWall(true);
    For(time, {*victim}, [&clock] { clock.FreezeWall(false); });
  });
}

// -----------------------------------------------------------------------------

std::optional<size_t> Weather::Any(io::Random& random) {
  const size_t drawn = random.Below(victims_.size());
  if (Spared(drawn)) return std::nullopt;
  return drawn;
}

bool Weather::Down(size_t victim) const {
  const Victim& v = victims_[victim];
  if (!v.process) return !v.host->up() && !v.host->asleep();
  const Process* process = v.process();
  return process == nullptr || !process->alive();
}

void Weather::StrikeDown(size_t victim, bool power) {
  if (Down(victim)) return;
  const Victim& v = victims_[victim];
  if (power || !v.process) {
    v.host->LosePower();
  } else {
    v.process()->Kill();
  }
}

// Whatever is down, for whatever reason, is started again some time; for ever,
// as a supervisor would.
void Weather::Tend() {
  for (size_t i = 0; i < victims_.size(); ++i) {
    if (!Down(i) || !starting_.insert(i).second) continue;
    const bool at_once = Spared(i) || supervisor_->Below(4) == 0;
    const io::Duration wait = at_once ? kTendEvery : DrawSpell(*supervisor_);
    world_.After(wait, "supervisor", [this, i, life = life_] {
      if (!*life) return;
      starting_.erase(i);
      if (Down(i)) victims_[i].start();
    });
  }
  world_.After(kTendEvery, "supervisor looks", [this, life = life_] {
    if (*life) Tend();
  });
}

void Weather::For(io::Duration time, std::vector<size_t> victims,
                  std::function<void()> undo) {
  const uint64_t spell = next_spell_++;
  spells_[spell] = {std::move(victims), std::move(undo)};
  world_.After(time, "weather changes", [this, spell, life = life_] {
    if (*life) Undo(spell);
  });
}

void Weather::Undo(uint64_t spell) {
  auto found = spells_.find(spell);
  if (found == spells_.end()) return;
  const std::function<void()> undo = std::move(found->second.undo);
  spells_.erase(found);
  undo();
}

void Weather::Cut(const Links& links, io::Duration time) {
  for (const auto& [from, to] : links) {
    if (from == to || (Spared(from) && Spared(to))) continue;
    const std::string source = victims_[from].host->ip();
    const std::string target = victims_[to].host->ip();
    network_.Cut(source, target);
    For(time, {from, to},
        [this, source, target] { network_.Mend(source, target); });
  }
}

// One alone, two halves, a line of which each sees its neighbours, or any few
// links; in both directions or in one.
void Weather::Partition(io::Random& random) {
  const size_t n = victims_.size();
  const uint64_t shape = random.Below(4);
  const bool one_way = random.Below(3) == 0;
  const size_t alone = random.Below(n);
  const io::Duration time = DrawSpell(random);
  std::vector<uint64_t> side(n);
  for (uint64_t& drawn : side) drawn = random.Below(4);
  const auto apart = [&](size_t a, size_t b) {
    switch (shape) {
      case 0:
        return a == alone || b == alone;
      case 1:
        return side[a] % 2 != side[b] % 2;
      case 2:
        return a + 1 != b && b + 1 != a;
      default:
        return side[a] == 0 && side[b] != 0;
    }
  };
  // Whether that is the direction from the one side to the other.
  const auto forth = [&](size_t a, size_t b) {
    return shape == 0 ? a == alone : shape == 1 ? side[a] % 2 == 0 : a < b;
  };
  const bool back = one_way && random.Below(2) == 0;
  Links links;
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b < n; ++b) {
      if (a == b || !apart(a, b)) continue;
      if (!one_way || forth(a, b) != back) links.push_back({a, b});
    }
  }
  Cut(links, time);
}

void Weather::Flap(size_t a, size_t b, int times, io::Duration period) {
  if (times == 0 || over_) return;
  Cut({{a, b}, {b, a}}, period / 2);
  world_.After(period, "flaps", [this, a, b, times, period, life = life_] {
    if (*life) Flap(a, b, times - 1, period);
  });
}

void Weather::Spare(const std::vector<size_t>& victims) {
  spared_.insert(victims.begin(), victims.end());
  std::vector<uint64_t> over;
  for (const auto& [id, spell] : spells_) {
    const bool all = std::all_of(spell.victims.begin(), spell.victims.end(),
                                 [this](size_t i) { return Spared(i); });
    if (all) over.push_back(id);
  }
  for (const uint64_t spell : over) Undo(spell);
  // What others suffer from they will again.
  network_.ClearLinks();
  for (const size_t i : victims) {
    starting_.erase(i);
    victims_[i].host->clock().Correct();
    if (too_new_.erase(i) != 0) {
      victims_[i].set_protocol(kNextRelease);
      if (!Down(i)) victims_[i].process()->Terminate();
    }
    if (victims_[i].process && !Down(i)) {
      victims_[i].process()->DieAtDiskCall(0, false);
    }
    victims_[i].start();
  }
}

void Weather::End() {
  over_ = true;
  std::vector<size_t> all(victims_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  Spare(all);
}

}  // namespace quorate::sim
