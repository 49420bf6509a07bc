// Linearizable reads without an entry in the log: a leader answers one only
// when a quorum has confirmed, in a round of heartbeats that began after the
// read, that it still leads.

#ifndef QUORATE_CORE_LOG_READS_H_
#define QUORATE_CORE_LOG_READS_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "core/log/types.h"

namespace quorate::log {

class ReadIndex {
 public:
  struct Output {
    std::vector<uint64_t> answered;
  };
  // Rounds that wait for answers at once; the oldest is given up, and its
  // reads move to the next.
  static constexpr size_t kMaxRounds = 100;

  ReadIndex(MemberId me, std::vector<MemberId> members);

  void OnConfig(std::vector<MemberId> members);
  // Waits for the next round.
  void Read(uint64_t id);
  // A round of heartbeats with that sequence goes out.
  void OnRound(uint64_t sequence, Output* out);
  // That member has answered it, and has promised nobody a higher ballot.
  void OnReply(const MemberId& from, uint64_t sequence, Output* out);

 private:
  struct Round {
    std::set<MemberId> confirmed;
    std::vector<uint64_t> reads;
  };
  void Answer(Output* out);

  const MemberId me_;
  std::vector<MemberId> members_;
  std::vector<uint64_t> waiting_;
  std::map<uint64_t, Round> rounds_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_READS_H_
