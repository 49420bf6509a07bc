// Tells detectors, over links that they open to any master, who leads.
//
//   announcer.Accept(std::move(link));       // Purpose::kDetector
//   announcer.Announce(info, reign);         // whenever it changes

#ifndef QUORATE_CORE_ELECTION_ANNOUNCER_H_
#define QUORATE_CORE_ELECTION_ANNOUNCER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/wire/link.h"
#include "io/clock.h"

namespace quorate::election {

class LeaderNews;

// News are repeated that often.
inline constexpr io::Duration kNewsInterval = std::chrono::seconds(5);
// More links are closed; whoever is refused asks another master.
inline constexpr size_t kMaxDetectors = 100000;

class Announcer {
 public:
  // `clock` outlives it.
  explicit Announcer(io::Clock& clock);
  ~Announcer();

  void Accept(std::unique_ptr<wire::Link> link);
  void Announce(const LeaderNews& news);

  size_t listeners() const { return links_.size(); }

 private:
  class Audience;

  void Repeat();

  io::Clock& clock_;
  std::string news_;  // Serialized.
  uint64_t next_id_ = 0;
  std::map<uint64_t, std::unique_ptr<Audience>> links_;
  io::Timer repeat_;
};

}  // namespace quorate::election

#endif  // QUORATE_CORE_ELECTION_ANNOUNCER_H_
