// The simulated world: virtual time, one queue of events, one seed.
//
//   sim::World world(seed);
//   world.After(10ms, "hello", [] {...});
//   world.RunUntil([&] { return done; }, 10s);
//
// Everything that happens is an event; events run one at a time, in order of
// time and, at the same instant, of creation. All randomness comes from the
// seed, in streams with names, so that drawing more in one place shifts no
// other. Each event folds into a rolling hash: two runs of a seed that differ
// anywhere differ there.

#ifndef QUORATE_SIM_WORLD_H_
#define QUORATE_SIM_WORLD_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "io/clock.h"
#include "io/random.h"
#include "sim/faults.h"

namespace quorate::sim {

class Network;

// What a run failed by.
enum class FailureKind {
  kViolation,    // a checker saw a property broken
  kExpectation,  // what a story expects does not hold
  kStuck,        // what should happen does not, or events never end
};

// Looks on and changes nothing, so that runs are the same with it and without.
class Spectator {
 public:
  struct Note {
    io::Instant when;
    absl::string_view who;
    const char* what = "";
    absl::string_view whom;  // the other side, or empty
    uint64_t number = 0;     // of bytes, if bytes were noted
  };

  virtual ~Spectator() = default;
  // An event begins; `kind` lives for ever. `hash` is that of the trace so far.
  virtual void OnEvent(io::Instant, const char* /*kind*/, uint64_t /*hash*/) {}
  virtual void OnNote(const Note&) {}
  // Part of a story begins or ends: "runs", "leads in epoch 3", "cut off from
  // replica1". The same name for both; spans of one name and owner do not
  // overlap. A process is called after its host, perhaps with a slash and
  // more.
  virtual void OnSpan(io::Instant, absl::string_view /*who*/,
                      absl::string_view /*name*/, bool /*begins*/) {}
  // A packet has arrived; `bytes` are its payload's size. Its note follows.
  virtual void OnPacket(absl::string_view /*from*/, absl::string_view /*to*/,
                        io::Instant /*sent*/, io::Instant /*arrived*/,
                        uint64_t /*bytes*/) {}
};

// A line of a report.
std::string ToString(const Spectator::Note& note);

class World {
 public:
  static constexpr uint64_t kMaxEvents = 50'000'000;

  explicit World(uint64_t seed);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // More events than this in one run mean that something spins.
  uint64_t max_events = kMaxEvents;
  // The network of this world; null before there is one.
  Network* network = nullptr;
  // Null: nobody looks on. Outlives its use.
  Spectator* spectator = nullptr;
  // Called when the story begins to wait, with how often it has by then: the
  // steps of a story.
  std::function<void(uint64_t step)> on_step;

  uint64_t seed() const { return seed_; }
  io::Instant now() const { return now_; }
  // Time since the run began.
  io::Duration elapsed() const { return now_.time_since_epoch(); }
  // At the run's beginning, the same for every run: 2026-01-01.
  io::WallTime wall_now() const;

  // A stream of randomness of its own; the same name gives the same stream.
  std::unique_ptr<io::Random> NewRandom(absl::string_view name) const;

  // Runs `callback` that much later. `kind` is a literal, for the trace.
  uint64_t After(io::Duration delay, const char* kind,
                 std::function<void()> callback);
  // Nothing happens if the event has run or was cancelled.
  void Cancel(uint64_t event);

  // Runs the next event. False when none is left, or the run has failed.
  bool Step();
  // False when `condition` does not come true within that time, or the run
  // has failed. The condition is asked after each event.
  bool RunUntil(const std::function<bool()>& condition, io::Duration at_most);
  void RunFor(io::Duration time);

  // Notes something that happened, with a number or some bytes that must be
  // the same in every run of the seed.
  void Note(absl::string_view who, const char* what, uint64_t number);
  // `whom` is the other side, if there is one: "receives data from", "agent1".
  void Note(absl::string_view who, const char* what, absl::string_view bytes,
            absl::string_view whom = "");

  // A fault has taken effect on `who`.
  void Took(Fault fault, absl::string_view who);
  const FaultCounts& faults() const { return faults_; }
  // Those that took effect on that one.
  const FaultCounts& faults_of(absl::string_view who) const;

  // For the spectator; see there.
  void Span(absl::string_view who, absl::string_view name, bool begins);

  // After every event, in order of registration.
  void AfterEachEvent(std::function<void()> check) {
    checks_.push_back(std::move(check));
  }
  // What follows is only the clearing up of a cluster: it is not checked, not
  // noted, counts no faults, and has no spectator.
  void EndStory();

  // Ends the run as failed: a property was violated. The first cause counts.
  void Fail(std::string cause);
  // The same for what a story expects, which a fault more may excuse.
  void FailExpectation(std::string cause);
  // The same for a run that does not get on: what should happen does not.
  void FailStuck(std::string cause);
  // Asked what it has to say when a run does not get on, while it lives.
  using Witness = std::shared_ptr<const std::function<std::string()>>;
  [[nodiscard]] Witness CallAsWitness(std::function<std::string()> say) {
    auto witness =
        std::make_shared<const std::function<std::string()>>(std::move(say));
    witnesses_.push_back(witness);
    return witness;
  }
  const std::optional<std::string>& failure() const { return failure_; }
  // Of a run that has failed.
  FailureKind failure_kind() const { return failure_kind_; }

  uint64_t trace_hash() const { return hash_; }
  uint64_t events() const { return events_run_; }
  // The last things noted, oldest first, a line each; of a failed run, up to
  // its failure.
  std::vector<std::string> LastNotes() const;

 private:
  struct Queued {
    io::Instant when;
    uint64_t id;
    friend bool operator>(const Queued& a, const Queued& b) {
      return a.when != b.when ? a.when > b.when : a.id > b.id;
    }
  };
  // Of the event that has it now; 0 when it is free or was cancelled.
  struct Slot {
    uint64_t id = 0;
    const char* kind = nullptr;
    std::function<void()> callback;
  };
  struct NoteRecord {
    io::Instant when;
    std::string who;
    const char* what = "";
    std::string whom;
    uint64_t number = 0;
  };
  static constexpr size_t kNotes = 50;

  // Ids rise in order of creation; their lower bits are the event's slot.
  static constexpr int kSlotBits = 24;

  Slot& SlotOf(uint64_t id) {
    return slots_[id & ((uint64_t{1} << kSlotBits) - 1)];
  }
  void Free(uint64_t id);
  // The next event, past those that were cancelled; null when none is left.
  const Queued* Next();
  void Fold(uint64_t value);
  uint64_t HashOf(const char* kind);
  void Record(absl::string_view who, const char* what, absl::string_view whom,
              uint64_t number);

  const uint64_t seed_;
  io::SeededRandom random_;
  io::Instant now_;
  std::vector<Queued> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  uint64_t created_ = 0;
  // Of literals that were hashed lately, by address.
  std::array<std::pair<const char*, uint64_t>, 256> kind_hashes_{};
  uint64_t events_run_ = 0;
  uint64_t hash_ = 0xcbf29ce484222325;
  std::vector<std::weak_ptr<const std::function<std::string()>>> witnesses_;
  std::vector<NoteRecord> notes_;
  size_t next_note_ = 0;
  std::vector<std::function<void()>> checks_;
  std::optional<std::string> failure_;
  FailureKind failure_kind_ = FailureKind::kViolation;
  FaultCounts faults_;
  std::map<std::string, FaultCounts> faults_of_;
  uint64_t steps_ = 0;
  bool story_over_ = false;
};

// A span of which one is open at a time, and which ends with this object:
//
//   OpenSpan leads(world, "master0");
//   leads.Begin("leads in epoch 3");
class OpenSpan {
 public:
  // `world` outlives the span.
  OpenSpan(World& world, std::string who)
      : world_(world), who_(std::move(who)) {}
  ~OpenSpan() { End(); }
  OpenSpan(const OpenSpan&) = delete;
  OpenSpan& operator=(const OpenSpan&) = delete;

  // Another one that is open ends.
  void Begin(std::string name);
  void End();

 private:
  World& world_;
  const std::string who_;
  std::string name_;  // Empty: none is open.
};

// A 64-bit hash that is the same everywhere.
uint64_t StableHash(absl::string_view bytes);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORLD_H_
