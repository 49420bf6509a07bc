// Faults that strike at random: each kind as often as the plan says, on victims
// and for times that it draws from a stream of its own.
//
//   Weather weather(world, network, plan);
//   weather.Add({.host = &host, .process = ..., .start = ...});
//   weather.Begin();
//   world.RunFor(storm);
//   weather.Spare({0, 1});  // the core; the others go on to suffer
//   weather.End();
//
// What is struck down is started again after a time that is drawn as well, as a
// supervisor would.

#ifndef QUORATE_SIM_SWARM_WEATHER_H_
#define QUORATE_SIM_SWARM_WEATHER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/wire/link.h"
#include "io/network.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/swarm/plan.h"
#include "sim/world.h"

namespace quorate::sim {

class Weather {
 public:
  // A host and what matters on it. All of it outlives the weather.
  struct Victim {
    Host* host = nullptr;
    // Null while it does not run; not set for a host that only has to be up.
    std::function<Process*()> process;
    // Boots the host and starts the program; nothing happens if both are there.
    std::function<void()> start;
    // What its next start is to be like; not set where that makes no sense.
    std::function<void(io::Random&)> other_flags;
    std::function<void(const wire::Versions&)> set_protocol;
    // Where clients look for it; port 0: nowhere.
    io::Endpoint address;
  };

  // The knobs of every fault that strikes, as a seed draws them; and of those
  // after which something else runs than before.
  static void Draw(io::Random& random, Plan& plan);
  static void DrawRestarts(io::Random& random, Plan& plan);
  // The network of a plan: its latency, and how soon it gives up connections.
  static NetworkOptions NetworkOf(const Plan& plan);

  // All outlive the weather. `plan` has the knobs of both.
  Weather(World& world, Network& network, const Plan& plan);
  ~Weather();

  // Victims are numbered from 0 on, as they come.
  void Add(Victim victim) { victims_.push_back(std::move(victim)); }

  // A fault of its own kind, as often as the knob of that name says.
  void AddKind(const char* knob, std::function<void(io::Random&)> strike);

  void Begin();
  // From now on these victims, and the links among them, are left alone; what
  // was done to them is undone, and they run.
  void Spare(const std::vector<size_t>& victims);
  // The same for all.
  void End();

  // For kinds that are added. Whether that victim is to be left alone, and
  // whether any is.
  bool Spared(size_t victim) const { return spared_.count(victim) != 0; }
  bool SparesAny() const { return !spared_.empty(); }
  // Undoes something after that time, or when all these victims are spared: of
  // none, when any is.
  void For(io::Duration time, std::vector<size_t> victims,
           std::function<void()> undo);

 private:
  struct Kind;
  using Links = std::vector<std::pair<size_t, size_t>>;  // from, to
  // Something that was done for a while.
  struct Spell {
    std::vector<size_t> victims;
    std::function<void()> undo;
  };

  void AddProcessKinds();
  void AddRestartKinds();
  void Upgrade(size_t victim, io::Random& random);
  void Displace(size_t victim, io::Random& random);
  void AddNetworkKinds();
  void AddLinkKinds();
  // `strike` says for how long; without `undo` it is over by itself.
  void AddLinkKind(
      const char* knob,
      std::function<io::Duration(const std::string& from, const std::string& to,
                                 io::Random& random)>
          strike,
      std::function<void(const std::string& from, const std::string& to)> undo =
          nullptr);
  void AddDiskKinds();
  void AddDiskError(const char* knob, int FileSystem::* failing);
  void AddClockKinds();
  void Tend();

  // Any one, unless that is spared.
  std::optional<size_t> Any(io::Random& random);
  bool Down(size_t victim) const;
  void StrikeDown(size_t victim, bool power);
  void Undo(uint64_t spell);
  // No link from one of these to another, unless both are spared.
  void Cut(const Links& links, io::Duration time);
  void Partition(io::Random& random);
  void Flap(size_t a, size_t b, int times, io::Duration period);

  World& world_;
  Network& network_;
  const Plan& plan_;
  std::vector<Victim> victims_;
  std::vector<std::unique_ptr<Kind>> kinds_;
  std::set<size_t> spared_;
  std::map<uint64_t, Spell> spells_;
  uint64_t next_spell_ = 0;
  std::set<size_t> starting_;  // will be started
  std::set<size_t> too_new_;   // skipped a release
  std::unique_ptr<io::Random> supervisor_;
  bool over_ = true;
  // False once this is destroyed; for events that come too late.
  std::shared_ptr<bool> life_ = std::make_shared<bool>(true);
};

// 10 ms to 60 s: short, middling or long, each as likely.
io::Duration DrawSpell(io::Random& random);

// An event that comes so often in 1,000 s, for ever, while `life` is true.
// The first comes after a while, too.
void Recur(World& world, uint64_t per_1000_s,
           std::shared_ptr<io::Random> random, std::shared_ptr<bool> life,
           std::function<void(io::Random&)> event);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SWARM_WEATHER_H_
