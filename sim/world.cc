#include "sim/world.h"

#include <glog/logging.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quorate::sim {
namespace {

// 2026-01-01 00:00:00 UTC.
constexpr std::chrono::seconds kWallAtStart(1767225600);

}  // namespace

// Eight bytes at a time, as FNV-1a and with a shift that lets high bits reach
// low ones.
uint64_t StableHash(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325 ^ bytes.size();
  const auto fold = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  };
  static_assert(std::endian::native == std::endian::little);
  uint64_t word = 0;
  for (; bytes.size() >= sizeof(word); bytes.remove_prefix(sizeof(word))) {
    std::memcpy(&word, bytes.data(), sizeof(word));
    fold(word);
  }
  word = 0;
  if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
  fold(word);
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
  uint32_t index = static_cast<uint32_t>(slots_.size());
  if (free_slots_.empty()) {
    CHECK_LT(index, uint32_t{1} << kSlotBits) << "too many events at a time";
    slots_.emplace_back();
  } else {
    index = free_slots_.back();
    free_slots_.pop_back();
  }
  const uint64_t id = ++created_ << kSlotBits | index;
  slots_[index] = {id, kind, std::move(callback)};
  heap_.push_back({now_ + std::max(delay, io::Duration::zero()), id});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return id;
}

// A slot is free for others when its event is no more in the heap.
void World::Free(uint64_t id) {
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  heap_.pop_back();
  Slot& slot = SlotOf(id);
  slot.id = 0;
  free_slots_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
}

void World::Cancel(uint64_t id) {
  if (id == 0) return;
  Slot& slot = SlotOf(id);
  if (slot.id != id) return;
  slot.id = 0;
  // What the callback holds may cancel further events when it is destroyed.
  const std::function<void()> dropped = std::exchange(slot.callback, nullptr);
}

const World::Queued* World::Next() {
  while (!heap_.empty()) {
    const uint64_t id = heap_.front().id;
    if (SlotOf(id).id == id) return &heap_.front();
    Free(id);
  }
  return nullptr;
}

bool World::Step() {
  const Queued* next = Next();
  if (failure_ || next == nullptr) return false;
  now_ = next->when;
  const uint64_t id = next->id;
  const char* kind = SlotOf(id).kind;
  std::function<void()> callback = std::exchange(SlotOf(id).callback, nullptr);
  Free(id);
  Fold(static_cast<uint64_t>(now_.time_since_epoch().count()));
  Fold(HashOf(kind));
  if (spectator != nullptr) spectator->OnEvent(now_, kind, hash_);
  callback();
  callback = nullptr;
  for (const auto& check : checks_) check();
  if (++events_run_ > max_events) FailStuck("too many events: something spins");
  return !failure_;
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

uint64_t World::HashOf(const char* kind) {
  auto& [known, hash] =
      kind_hashes_[reinterpret_cast<uintptr_t>(kind) / 8 % kind_hashes_.size()];
  if (known != kind) {
    known = kind;
    hash = StableHash(kind);
  }
  return hash;
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
  Fold(HashOf(what));
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
