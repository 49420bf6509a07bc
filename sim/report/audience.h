// Several spectators of one run.

#ifndef QUORATE_SIM_REPORT_AUDIENCE_H_
#define QUORATE_SIM_REPORT_AUDIENCE_H_

#include <cstdint>
#include <vector>

#include "sim/world.h"

namespace quorate::sim {

class Audience final : public Spectator {
 public:
  // `spectator` outlives the use of this.
  void Add(Spectator* spectator) { spectators_.push_back(spectator); }

  void OnEvent(io::Instant when, const char* kind, uint64_t hash) override {
    for (Spectator* one : spectators_) one->OnEvent(when, kind, hash);
  }
  void OnNote(const Note& note) override {
    for (Spectator* one : spectators_) one->OnNote(note);
  }
  void OnSpan(io::Instant when, absl::string_view who, absl::string_view name,
              bool begins) override {
    for (Spectator* one : spectators_) one->OnSpan(when, who, name, begins);
  }
  void OnPacket(absl::string_view from, absl::string_view to, io::Instant sent,
                io::Instant arrived, uint64_t bytes) override {
    for (Spectator* one : spectators_) {
      one->OnPacket(from, to, sent, arrived, bytes);
    }
  }

 private:
  std::vector<Spectator*> spectators_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_AUDIENCE_H_
