#include "sim/report/marks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

// Of an executor "agent1/5f3a..." only its kind is left.
std::string KindOf(absl::string_view who) {
  const size_t slash = who.find('/');
  std::string kind(who.substr(0, slash));
  kind.erase(std::remove_if(kind.begin(), kind.end(), absl::ascii_isdigit),
             kind.end());
  return slash == absl::string_view::npos ? kind : absl::StrCat(kind, "/");
}

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}

// A literal is told by its address.
uint64_t AddressOf(const char* literal) {
  return reinterpret_cast<uintptr_t>(literal);
}

}  // namespace

void Marks::OnEvent(io::Instant, const char* kind, uint64_t) {
  if (!seen_.insert(AddressOf(kind)).second) return;
  Add(absl::StrCat("event: ", kind));
}

void Marks::OnNote(const Note& note) {
  const uint64_t hash = Mix(Mix(AddressOf(note.what), StableHash(note.who)),
                            StableHash(note.whom));
  if (!seen_.insert(hash).second) return;
  Add(absl::StrCat(KindOf(note.who), " ", note.what,
                   note.whom.empty() ? "" : " ", KindOf(note.whom)));
}

void Marks::OnSpan(io::Instant, absl::string_view who, absl::string_view name,
                   bool begins) {
  if (!begins) return;
  const uint64_t hash = Mix(StableHash(who), StableHash(name));
  if (!seen_.insert(hash).second) return;
  Add(absl::StrCat(KindOf(who), " ", KindOf(name)));
}

void Marks::Add(std::string mark) {
  if (all_.insert(mark).second) new_.insert(std::move(mark));
}

std::set<std::string> Marks::TakeNew() { return std::exchange(new_, {}); }

}  // namespace quorate::sim
