#include "sim/log_recovery.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""s;
using State = log::LogStatus::State;

// The protocol's bounds for a leader, an append, and everybody's convergence.
constexpr io::Duration kLeader = 10s;
constexpr io::Duration kAppend = 5s;
constexpr io::Duration kConvergence = 5s;
// One that waits for an answer may have gone to a leader that cannot give it.
constexpr io::Duration kAppendAgain = std::chrono::milliseconds(100);
// Damage is found and fetched entry by entry.
constexpr io::Duration kRepair = 20s;
// Long enough for several elections to come to nothing.
constexpr io::Duration kHalt = 15s;

class Demand {
 public:
  Demand(World& world, LogCluster& log, const Prognosis& prognosis)
      : world_(world), log_(log), prognosis_(prognosis) {}

  void GoesOn();
  void Halts();
  void GoesOnOrSaysWhy();

 private:
  // Appends for a while.
  void Tries(const std::function<bool()>& enough);
  void Await(const std::function<bool()>& condition, io::Duration at_most,
             const char* what);
  bool Counts(int i);
  void ReadAll();
  bool SaysWhy();
  bool Named(const std::string& explanation);

  World& world_;
  LogCluster& log_;
  const Prognosis& prognosis_;
};

void Demand::Await(const std::function<bool()>& condition, io::Duration at_most,
                   const char* what) {
  if (world_.RunUntil(condition, at_most)) return;
  world_.FailStuck(absl::StrCat("the log ", ToString(prognosis_.recovery),
                                ", as ", prognosis_.reason, "; not within ",
                                at_most / 1s, " s: ", what));
}

void Demand::GoesOn() {
  Await([this] { return AskForLeader(log_) >= 0; }, kLeader, "one leads");
  const uint64_t before = log_.acknowledged();
  io::Instant next = world_.now();
  Await(
      [&] {
        const int leader = AskForLeader(log_);
        if (leader >= 0 && world_.now() >= next) {
          log_.Append(leader);
          next = world_.now() + kAppendAgain;
        }
        return log_.acknowledged() > before;
      },
      kAppend, "an append is acknowledged");
  Await([this] { return log_.Converged(); }, kConvergence,
        "all that run have everything");
  for (int i = 0; i < log_.size() && !world_.failure(); ++i) {
    if (!Counts(i)) continue;
    log_.durability().EndsAt(log_.host(i).name(), log_.status(i).learned_upto);
  }
  ReadAll();
  log_.NoteRepairs();
}

// A quarantined one has fallen out.
bool Demand::Counts(int i) {
  return log_.up(i) && !log_.foreign(i) &&
         log_.status(i).state != State::kQuarantined;
}

// What a disk has lost is fetched from another one when it is missed.
void Demand::ReadAll() {
  for (int i = 0; i < log_.size() && !world_.failure(); ++i) {
    if (!Counts(i)) continue;
    struct Reading {
      bool asked = false;
      bool done = false;
    };
    auto reading = std::make_shared<Reading>();
    Await(
        [&] {
          if (!std::exchange(reading->asked, true)) {
            log_.ReadBack(i, [reading](const absl::Status& outcome) {
              reading->asked = reading->done = outcome.ok();
            });
          }
          return reading->done;
        },
        kRepair, "everything can be read");
  }
}

void Demand::Tries(const std::function<bool()>& enough) {
  const io::Instant end = world_.now() + kHalt;
  while (world_.now() < end && !world_.failure() && !enough()) {
    AskForLeader(log_);
    for (const int leader : log_.Leaders()) log_.Append(leader);
    world_.RunFor(std::chrono::milliseconds(500));
  }
}

void Demand::Halts() {
  const uint64_t before = log_.acknowledged();
  bool said = false;
  Tries([&] {
    said = said || SaysWhy();
    return false;
  });
  if (log_.acknowledged() > before) {
    return world_.Fail(
        absl::StrCat("the log goes on although ", prognosis_.reason));
  }
  if (!said) {
    world_.FailStuck(absl::StrCat("the log halts, as ", prognosis_.reason,
                                  ", and no member says so"));
  }
}

// What it waits for nobody can foresee, but it has to be something.
void Demand::GoesOnOrSaysWhy() {
  const uint64_t before = log_.acknowledged();
  bool said = false;
  Tries([&] {
    for (int i = 0; i < log_.size(); ++i) {
      said = said || (log_.up(i) && !log_.status(i).explanation.empty());
    }
    return log_.acknowledged() > before;
  });
  if (log_.acknowledged() == before && !said) {
    world_.FailStuck(absl::StrCat("the log halts, which it may, as ",
                                  prognosis_.reason,
                                  ", and no member says why"));
  }
}

bool Demand::Named(const std::string& explanation) {
  if (prognosis_.missing_position &&
      absl::StrContains(
          absl::StrCat(explanation, " "),
          absl::StrCat("position ", *prognosis_.missing_position, " "))) {
    return true;
  }
  for (const std::string& member : prognosis_.missing_members) {
    const std::string id =
        absl::BytesToHexString(absl::string_view(member).substr(0, 4));
    if (absl::StrContains(explanation, id)) return true;
  }
  return false;
}

// True, too, if no member is there that could.
bool Demand::SaysWhy() {
  bool anybody = false;
  for (int i = 0; i < log_.size(); ++i) {
    if (!log_.up(i)) continue;
    const log::LogStatus view = log_.status(i);
    if (view.state == State::kFollowing || view.state == State::kElecting ||
        view.state == State::kLeading) {
      anybody = true;
      if (Named(view.explanation)) return true;
    }
  }
  return !anybody;
}

}  // namespace

int AskForLeader(LogCluster& log) {
  for (int i = 0; i < log.size() && log.Leaders().empty(); ++i) {
    if (log.status(i).state == State::kFollowing) log.Elect(i);
  }
  const std::vector<int> leaders = log.Leaders();
  return leaders.size() == 1 ? leaders[0] : -1;
}

Recovery AwaitRecovery(World& world, LogCluster& log) {
  log.HealAll();
  const Prognosis prognosis = log.Foresee();
  world.Note("oracle", ToString(prognosis.recovery), prognosis.reason);
  Demand demand(world, log, prognosis);
  switch (prognosis.recovery) {
    case Recovery::kMust:
      demand.GoesOn();
      break;
    case Recovery::kMustNot:
      demand.Halts();
      break;
    case Recovery::kMay:
      demand.GoesOnOrSaysWhy();
      break;
  }
  return prognosis.recovery;
}

}  // namespace quorate::sim
