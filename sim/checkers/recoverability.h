// C3, the recoverability oracle: by all that there is to know about every
// disk, can the log go on? If it can it must, if it cannot it must halt and
// say what is missing.
//
//   const Prognosis prognosis = Foresee(agreement, replicas, truncated, true);
//   if (prognosis.recovery == Recovery::kMust) ...
//
// It must when a majority of the members runs on disks that have lost nothing:
// whatever was chosen, one of them has voted for it. It must not when fewer
// than a majority could vote at all, or when a chosen entry is left on no disk
// that runs: any other entry in its place would break a promise.
//
// Between the two no oracle can decide from outside what replicas with the
// knowledge that they have should do: a majority runs, but only together with
// a disk that has lost some of its votes, or that was restored from a backup
// and may or may not be found out (with one member it never is). Then the log
// may go on or halt, but not without saying why, and the other checkers watch
// how.

#ifndef QUORATE_SIM_CHECKERS_RECOVERABILITY_H_
#define QUORATE_SIM_CHECKERS_RECOVERABILITY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/checkers/log_agreement.h"

namespace quorate::sim {

// What became of a replica's disk, or of what it holds.
enum class DiskState {
  kWhole,
  kDamaged,   // parts of it; nobody knows which entries they held
  kLost,      // all of it but who it is and what it has promised
  kDoubtful,  // an older state of it, or there is another one like it
};

struct KnownReplica {
  std::string member;  // empty: it has no id yet
  std::string disk;    // as LogAgreement::Observe knows it
  DiskState state = DiskState::kWhole;
  bool runs = true;        // from now on
  bool disturbed = false;  // while faults go on to hit it
  std::string copy_of;     // the disk whose content it had at first, if any
};

enum class Recovery { kMust, kMay, kMustNot };
const char* ToString(Recovery recovery);

struct Prognosis {
  Recovery recovery = Recovery::kMay;
  std::string reason;
  // kMustNot: the members that do not vote any more, or the lowest position
  // whose entry is left nowhere. The log has to name one of them, or it.
  std::vector<std::string> missing_members;
  std::optional<uint64_t> missing_position;
};

// All that run reach each other. What lies below `truncated` may have been
// given up. Not `members_settled`: a change of the members may be under way,
// so that it is not known whose votes count.
Prognosis Foresee(const LogAgreement& agreement,
                  const std::vector<KnownReplica>& replicas, uint64_t truncated,
                  bool members_settled);

// Whether the log must keep its promises even if the disk of this replica
// forgets everything: for each chosen entry fewer than a majority of the
// members could deny it. Otherwise a quorum that missed the same as a backup
// does not notice either, and no protocol without other memory could.
bool MayForget(const LogAgreement& agreement,
               const std::vector<KnownReplica>& replicas, size_t forgetful,
               uint64_t truncated);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CHECKERS_RECOVERABILITY_H_
