#include "sim/report/recording.h"

#include <algorithm>

namespace quorate::sim {
namespace {

// Names of faults are told by their address: there is one of each.
bool IsFault(const char* what) {
  static const auto& names = *new std::vector<const char*>([] {
    std::vector<const char*> all;
    for (size_t i = 0; i < kFaults; ++i) {
      all.push_back(NameOf(static_cast<Fault>(i)));
    }
    return all;
  }());
  return std::find(names.begin(), names.end(), what) != names.end();
}

}  // namespace

absl::string_view HostOf(absl::string_view who) {
  return who.substr(0, who.find('/'));
}

Recording::Recording() { Intern(""); }

Recording::Name Recording::Intern(absl::string_view text) {
  auto known = numbers_.find({text.data(), text.size()});
  if (known != numbers_.end()) return known->second;
  const Name number = static_cast<Name>(texts_.size());
  texts_.push_back(&numbers_.emplace(std::string(text), number).first->first);
  return number;
}

void Recording::OnEvent(io::Instant, const char*, uint64_t) { ++events_; }

void Recording::OnNote(const Note& note) {
  const Name what = Intern(note.what);
  if (packet_expects_note_) {
    packet_expects_note_ = false;
    packets_.back().what = what;
    return;
  }
  notes_.push_back({note.when, Intern(note.who), what, Intern(note.whom),
                    note.number, IsFault(note.what)});
  if (notes_.size() <= kMaxNotes) return;
  notes_.pop_front();
  ++notes_dropped_;
}

void Recording::OnSpan(io::Instant when, absl::string_view who,
                       absl::string_view name, bool begins) {
  const std::pair<Name, Name> key{Intern(who), Intern(name)};
  if (begins) {
    open_.emplace(key, when);
    return;
  }
  auto open = open_.find(key);
  if (open == open_.end()) return;
  spans_.push_back({open->second, when, key.first, key.second});
  open_.erase(open);
}

void Recording::OnPacket(absl::string_view from, absl::string_view to,
                         io::Instant sent, io::Instant arrived,
                         uint64_t bytes) {
  packets_.push_back({sent, arrived, Intern(from), Intern(to), 0, bytes});
  packet_expects_note_ = true;
  if (packets_.size() <= kMaxPackets) return;
  packets_.pop_front();
  ++packets_dropped_;
}

void Recording::Close(io::Instant now) {
  end_ = now;
  for (const auto& [key, begun] : open_) {
    spans_.push_back({begun, now, key.first, key.second});
  }
  open_.clear();
}

}  // namespace quorate::sim
