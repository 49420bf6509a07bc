#include "sim/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quorate::sim {
namespace {

// 2026-01-01 00:00:00 UTC.
constexpr std::chrono::seconds kWallAtStart(1767225600);

}  // namespace

uint64_t StableHash(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

std::string ToString(const Spectator::Note& note) {
  const double seconds =
      std::chrono::duration<double>(note.when.time_since_epoch()).count();
  return absl::StrFormat("%12.6f  %-14s %s%s%s %d", seconds, note.who,
                         note.what, note.whom.empty() ? "" : " ", note.whom,
                         note.number);
}

World::World(uint64_t seed) : seed_(seed), random_(seed) {
  notes_.resize(kNotes);
}

io::WallTime World::wall_now() const {
  return io::WallTime(kWallAtStart + elapsed());
}

std::unique_ptr<io::Random> World::NewRandom(absl::string_view name) const {
  return random_.Split(name);
}

uint64_t World::After(io::Duration delay, const char* kind,
                      std::function<void()> callback) {
  const uint64_t id = first_id_ + events_.size();
  events_.push_back({kind, std::move(callback)});
  heap_.push_back({now_ + std::max(delay, io::Duration::zero()), id});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return id;
}

World::Event* World::Find(uint64_t id) {
  if (id < first_id_ || id >= first_id_ + events_.size()) return nullptr;
  return &events_[id - first_id_];
}

void World::Cancel(uint64_t id) {
  // What the callback holds may cancel further events when it is destroyed.
  std::function<void()> dropped;
  if (Event* event = Find(id)) dropped.swap(event->callback);
}

const World::Queued* World::Next() {
  while (!heap_.empty()) {
    const Event* event = Find(heap_.front().id);
    if (event != nullptr && event->callback) return &heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
  return nullptr;
}

bool World::Step() {
  const Queued* next = Next();
  if (failure_ || next == nullptr) return false;
  now_ = next->when;
  Event* event = Find(next->id);
  std::function<void()> callback;
  callback.swap(event->callback);
  Fold(static_cast<uint64_t>(now_.time_since_epoch().count()));
  Fold(StableHash(event->kind));
  if (spectator != nullptr) spectator->OnEvent(now_, event->kind, hash_);
  callback();
  callback = nullptr;
  Forget();
  for (const auto& check : checks_) check();
  if (++events_run_ > max_events) FailStuck("too many events: something spins");
  return !failure_;
}

// Lets go of events that are over, from the oldest on, many at a time.
void World::Forget() {
  constexpr size_t kMany = 1000;
  while (finished_ < events_.size() && !events_[finished_].callback) {
    ++finished_;
  }
  if (finished_ <= kMany || finished_ * 2 <= events_.size()) return;
  events_.erase(events_.begin(), events_.begin() + finished_);
  first_id_ += finished_;
  finished_ = 0;
}

bool World::RunUntil(const std::function<bool()>& condition,
                     io::Duration at_most) {
  if (on_step) on_step(steps_);
  ++steps_;
  const io::Instant deadline = now_ + at_most;
  while (!failure_) {
    if (condition()) return true;
    const Queued* next = Next();
    if (next == nullptr || next->when > deadline) break;
    Step();
  }
  if (!failure_) now_ = std::max(now_, deadline);
  return !failure_ && condition();
}

void World::RunFor(io::Duration time) {
  RunUntil([] { return false; }, time);
}

void World::Fold(uint64_t value) {
  hash_ = (hash_ ^ value) * 0x100000001b3;
  hash_ ^= hash_ >> 29;
}

void World::Record(absl::string_view who, const char* what,
                   absl::string_view whom, uint64_t number) {
  // What happens after a failure is only its clearing up.
  if (failure_ || story_over_) return;
  Fold(StableHash(who));
  Fold(StableHash(what));
  Fold(number);
  if (spectator != nullptr) {
    spectator->OnNote({now_, who, what, whom, number});
  }
  NoteRecord& note = notes_[next_note_++ % kNotes];
  note.when = now_;
  note.who.assign(who.data(), who.size());
  note.what = what;
  note.whom.assign(whom.data(), whom.size());
  note.number = number;
}

void World::Note(absl::string_view who, const char* what, uint64_t number) {
  Record(who, what, "", number);
}

void World::EndStory() {
  story_over_ = true;
  checks_.clear();
  spectator = nullptr;
}

void World::Note(absl::string_view who, const char* what,
                 absl::string_view bytes, absl::string_view whom) {
  if (failure_ || story_over_) return;
  Fold(StableHash(bytes));
  Record(who, what, whom, bytes.size());
}

void World::Took(Fault fault, absl::string_view who) {
  if (failure_ || story_over_) return;
  faults_.Add(fault);
  faults_of_[std::string(who)].Add(fault);
  Record(who, NameOf(fault), "", faults_.of(fault));
}

const FaultCounts& World::faults_of(absl::string_view who) const {
  static const auto& none = *new FaultCounts;
  const auto found = faults_of_.find(std::string(who));
  return found == faults_of_.end() ? none : found->second;
}

void World::Span(absl::string_view who, absl::string_view name, bool begins) {
  if (spectator != nullptr) spectator->OnSpan(now_, who, name, begins);
}

void OpenSpan::Begin(std::string name) {
  if (name == name_) return;
  End();
  name_ = std::move(name);
  world_.Span(who_, name_, true);
}

void OpenSpan::End() {
  if (!name_.empty()) world_.Span(who_, name_, false);
  name_.clear();
}

void World::Fail(std::string cause) {
  if (!failure_) failure_ = std::move(cause);
}

void World::FailExpectation(std::string cause) {
  if (failure_) return;
  failure_kind_ = FailureKind::kExpectation;
  failure_ = std::move(cause);
}

void World::FailStuck(std::string cause) {
  if (failure_) return;
  failure_kind_ = FailureKind::kStuck;
  failure_ = std::move(cause);
  for (const auto& called : witnesses_) {
    if (const Witness witness = called.lock()) {
      absl::StrAppend(&*failure_, "\n", (*witness)());
    }
  }
}

std::vector<std::string> World::LastNotes() const {
  std::vector<std::string> lines;
  const size_t count = std::min(next_note_, kNotes);
  for (size_t i = next_note_ - count; i < next_note_; ++i) {
    const NoteRecord& note = notes_[i % kNotes];
    lines.push_back(
        ToString({note.when, note.who, note.what, note.whom, note.number}));
  }
  return lines;
}

}  // namespace quorate::sim
