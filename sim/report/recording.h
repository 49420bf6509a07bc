// What happened in a run, kept for the pages that show it.
//
//   Recording recording;
//   world.spectator = &recording;
//   ...                             // the story, and the end of its cluster
//   recording.Close(world.now());
//   std::string trace = ChromeTrace(recording);

#ifndef QUORATE_SIM_REPORT_RECORDING_H_
#define QUORATE_SIM_REPORT_RECORDING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/world.h"

namespace quorate::sim {

class Recording final : public Spectator {
 public:
  // Of a longer run the latest are kept: those before its failure.
  static constexpr size_t kMaxNotes = 400'000;
  static constexpr size_t kMaxPackets = 200'000;

  // Names stand in a table; 0 is the empty one.
  using Name = uint32_t;
  struct Noted {
    io::Instant when;
    Name who = 0;
    Name what = 0;
    Name whom = 0;
    uint64_t number = 0;
    bool is_fault = false;
  };
  struct Packet {
    io::Instant sent;
    io::Instant arrived;
    Name from = 0;
    Name to = 0;
    Name what = 0;  // its receiver's note: "receives data from"
    uint64_t bytes = 0;
  };
  struct Stretch {
    io::Instant begins;
    io::Instant ends;
    Name who = 0;
    Name name = 0;
  };

  Recording();

  void OnEvent(io::Instant when, const char* kind, uint64_t hash) override;
  void OnNote(const Note& note) override;
  void OnSpan(io::Instant when, absl::string_view who, absl::string_view name,
              bool begins) override;
  void OnPacket(absl::string_view from, absl::string_view to, io::Instant sent,
                io::Instant arrived, uint64_t bytes) override;

  // The run is over, and so are spans that are open.
  void Close(io::Instant now);

  // By time; packets by their arrival, spans by their end. The note of a
  // packet is with the packet only.
  const std::deque<Noted>& notes() const { return notes_; }
  const std::deque<Packet>& packets() const { return packets_; }
  const std::vector<Stretch>& spans() const { return spans_; }
  const std::string& Text(Name name) const { return *texts_[name]; }
  // All names, by number.
  size_t names() const { return texts_.size(); }
  uint64_t events() const { return events_; }
  io::Instant end() const { return end_; }
  // Of the beginning of the run, for want of space.
  uint64_t notes_dropped() const { return notes_dropped_; }
  uint64_t packets_dropped() const { return packets_dropped_; }

 private:
  Name Intern(absl::string_view text);

  std::map<std::string, Name, std::less<>> numbers_;
  std::vector<const std::string*> texts_;  // keys of numbers_
  std::deque<Noted> notes_;
  std::deque<Packet> packets_;
  std::vector<Stretch> spans_;
  std::map<std::pair<Name, Name>, io::Instant> open_;  // by who and name
  bool packet_expects_note_ = false;
  uint64_t events_ = 0;
  uint64_t notes_dropped_ = 0;
  uint64_t packets_dropped_ = 0;
  io::Instant end_{};
};

// The host of a process: "agent1" of "agent1/5f3a".
absl::string_view HostOf(absl::string_view who);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_RECORDING_H_
