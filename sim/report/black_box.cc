#include "sim/report/black_box.h"

#include <glog/logging.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace quorate::sim {
namespace {

constexpr size_t kNotes = 50;
constexpr size_t kNameBytes = 40;

// No pointers but to literals, which are where they were before the fork.
struct Entry {
  io::Instant when;
  const char* what;
  uint64_t number;
  char who[kNameBytes];
  char whom[kNameBytes];
};

void Keep(absl::string_view name, char* kept) {
  const size_t size = std::min(name.size(), kNameBytes - 1);
  std::memcpy(kept, name.data(), size);
  kept[size] = '\0';
}

}  // namespace

struct BlackBox::Shared {
  size_t count;
  Entry entries[kNotes];
};

BlackBox::BlackBox()
    : shared_(static_cast<Shared*>(mmap(nullptr, sizeof(Shared),
                                        PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
  PCHECK(static_cast<void*>(shared_) != MAP_FAILED);
}

BlackBox::~BlackBox() { munmap(shared_, sizeof(Shared)); }

void BlackBox::Clear() { shared_->count = 0; }

void BlackBox::OnNote(const Note& note) {
  Entry& entry = shared_->entries[shared_->count % kNotes];
  entry.when = note.when;
  entry.what = note.what;
  entry.number = note.number;
  Keep(note.who, entry.who);
  Keep(note.whom, entry.whom);
  ++shared_->count;
}

std::vector<std::string> BlackBox::LastNotes() const {
  std::vector<std::string> lines;
  const size_t end = shared_->count;
  for (size_t i = end - std::min(end, kNotes); i < end; ++i) {
    const Entry& entry = shared_->entries[i % kNotes];
    lines.push_back(ToString(
        {entry.when, entry.who, entry.what, entry.whom, entry.number}));
  }
  return lines;
}

}  // namespace quorate::sim
